//! Each target on the inputs of its corpus and on a fixed number of random changes to them, the same in every run.

use std::fs;
use std::path::{Path, PathBuf};

use super::{TARGETS, run};

/// The longest input that is made, in bytes.
const MAX_INPUT: usize = 16 * 1024;

/// The most changes that are made to one input.
const MAX_CHANGES: usize = 6;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The inputs of a target's corpus, always in the same order.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = directory().join("corpus").join(target);
    let files =
        fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The words of the dictionary, which is one of libFuzzer's: `"WORD"`, with `\\`, `\"` and `\xNN`.
fn words() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(directory().join("dictionary")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with('"'));
    lines.map(word).collect()
}

fn word(line: &str) -> Vec<u8> {
    let mut bytes = line[1..line.len() - 1].bytes();
    let mut word = Vec::new();
    while let Some(byte) = bytes.next() {
        word.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'x') => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                escaped => escaped.unwrap(),
            },
            byte => byte,
        });
    }
    word
}

/// Random numbers, the same for the same seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A part of a text of this length, at most so long.
    fn part(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let size = self.below((length - start).min(longest) + 1);
        start..start + size
    }
}

/// An input of the corpus with some changes.
fn changed(random: &mut Random, corpus: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(corpus).clone();
    for _ in 0..=random.below(MAX_CHANGES) {
        let length = input.len();
        let at = random.below(length + 1);
        match random.below(10) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => drop(input.drain(random.part(length, 40))),
            2 => drop(input.splice(at..at, random.pick(words).iter().copied())),
            3 => {
                let other = random.pick(corpus);
                let part = random.part(other.len(), 400);
                input.splice(at..at, other[part].iter().copied());
            }
            4 => {
                let part = input[random.part(length, 100)].repeat(1 + random.below(4));
                input.splice(at..at, part);
            }
            5 | 6 => {
                // What stands between two quotation marks, with them or without.
                let marks: Vec<_> = (0..length).filter(|place| input[*place] == b'"').collect();
                if let Some([from, to]) = marks.windows(2).nth(random.below(marks.len())) {
                    let inner = usize::from(random.below(2) == 0);
                    input.splice(
                        from + inner..to + 1 - inner,
                        random.pick(words).iter().copied(),
                    );
                }
            }
            7 | 8 => {
                // A line is moved, repeated or left out.
                let mut lines: Vec<_> = input.split(|byte| *byte == b'\n').collect();
                let line = lines[random.below(lines.len())];
                match random.below(3) {
                    0 => drop(lines.remove(random.below(lines.len()))),
                    1 => lines.insert(random.below(lines.len()), line),
                    _ => {
                        let (one, other) = (random.below(lines.len()), random.below(lines.len()));
                        lines.swap(one, other);
                    }
                }
                input = lines.join(&b'\n');
            }
            _ => input.truncate(at),
        }
        input.truncate(MAX_INPUT);
    }
    input
}

/// Shows the input at which a target has panicked.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the input\n{}\n---", self.0.escape_ascii());
        }
    }
}

fn play(target: &str, runs: usize) {
    let corpus = corpus(target);
    for input in &corpus {
        let _shown = Shown(input);
        run(target, input);
    }
    let words = words();
    let mut random = Random(target.len() as u64);
    for _ in 0..runs {
        let input = changed(&mut random, &corpus, &words);
        let _shown = Shown(&input);
        run(target, &input);
    }
}

#[test]
fn agent_files_hold() {
    play("agent_files", 1_500);
}

#[test]
fn config_holds() {
    play("config", 5_000);
}

#[test]
fn daemon_holds() {
    play("daemon", 1_000);
}

#[test]
fn hook_holds() {
    play("hook", 5_000);
}

#[test]
fn registry_holds() {
    play("registry", 10_000);
}

#[test]
fn settings_hold() {
    play("settings", 1_500);
}

#[test]
fn state_holds() {
    play("state", 200);
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let manifest = fs::read_to_string(directory().join("cargo-fuzz/Cargo.toml")).unwrap();
    let mut directories: Vec<_> = fs::read_dir(directory().join("corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    directories.sort();
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(directories, names);
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
