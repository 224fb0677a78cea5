//! A process that stands for an agent in a recorded run: it has the agent's name, and runs the agent's hooks itself, so
//! that a hook finds its agent as it would find the real one. And the files that the agent writes.
//!
//! The process is this program under another name (`demo --stand-in`, in [`super::stand_in_process`]); it ends with its
//! owner, because it reads its orders from it. Called by the demo, and by the tests that play recordings in real time.
//! Knows nothing of any agent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the process is asked for, a line of JSON each. It answers each with a line: [`DONE`], or what went wrong.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Run a hook of this program and wait for its end.
    Hook {
        /// The words after `hook`.
        arguments: Vec<String>,
        /// Its environment, beside that of the process.
        variables: BTreeMap<String, String>,
        /// Its standard input.
        payload: String,
    },
    /// Make a file and hold a lock on it, as flock(2) makes it, until the end.
    Lock(PathBuf),
}

/// The answer to an order that was carried out.
pub(crate) const DONE: &str = "done";

/// How the process is started.
pub(crate) const ARGUMENTS: [&str; 2] = ["demo", "--stand-in"];

/// The process, and what it has written.
pub(crate) struct StandIn {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    files: BTreeSet<PathBuf>,
}

impl StandIn {
    /// Starts `program` under the name of `link` in this directory, with these variables alone.
    pub(crate) fn start<'a>(
        program: &Path,
        link: &Path,
        directory: &Path,
        variables: impl IntoIterator<Item = (&'a str, &'a Path)>,
    ) -> io::Result<Self> {
        match symlink(program, link) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Err(_) | Ok(()) => {}
        }
        let mut child = Command::new(link)
            .args(ARGUMENTS)
            .current_dir(directory)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the owner, which ends the process.
            .process_group(0)
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, answers) = pipes.ok_or(ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            orders,
            answers: BufReader::new(answers),
            files: BTreeSet::new(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a hook and waits for its end.
    pub(crate) fn hook(
        &mut self,
        agent: &str,
        event: Option<&str>,
        variables: BTreeMap<String, String>,
        payload: String,
    ) -> io::Result<()> {
        let arguments = [Some(agent), event].into_iter().flatten();
        self.order(&Order::Hook {
            arguments: arguments.map(str::to_owned).collect(),
            variables,
            payload,
        })
    }

    fn order(&mut self, order: &Order) -> io::Result<()> {
        writeln!(self.orders, "{}", serde_json::to_string(order)?)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end() {
            DONE => Ok(()),
            "" => Err(ErrorKind::UnexpectedEof.into()),
            why => Err(io::Error::other(why)),
        }
    }

    /// Changes a file as a recording has it: `line` is a new line, `text` the whole new content; `change` is `create`,
    /// `to` or `delete`. Of a line that was recorded by the names of its members alone nothing is written.
    pub(crate) fn change_file(&mut self, file: &Path, fact: &Value) -> io::Result<()> {
        let (line, change) = (&fact["line"], fact["change"].as_str());
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        self.files.insert(file.to_owned());
        if line.is_object() && !line["type"].is_array() {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).open(file)?;
            file.write_all(format!("{line}\n").as_bytes())?;
        } else if change == Some("delete") {
            match fs::remove_file(file) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Err(_) | Ok(()) => {}
            }
        } else if let Some(text) = fact["text"].as_str() {
            let mut whole = file.as_os_str().to_owned();
            whole.push(".new");
            fs::write(&whole, text)?;
            fs::rename(&whole, file)?;
        } else if change == Some("create") && !file.exists() {
            if file.extension().is_some_and(|ending| ending == "lock") {
                self.order(&Order::Lock(file.to_owned()))?;
            } else {
                fs::write(file, "")?;
            }
        }
        Ok(())
    }
}

impl Drop for StandIn {
    /// Ends the process, and removes its files as the next run of the same recording must find none.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

/// The lines of a recording, in `home` and with the process `pid`.
pub(crate) fn moved(lines: &str, home: &Path, pid: u32) -> String {
    let lines = lines.replace("/home/dev", &home.to_string_lossy());
    let Some(recorded) = recorded_pid(&lines) else {
        return lines;
    };
    lines
        .replace(&format!("inuse.{recorded}."), &format!("inuse.{pid}."))
        .replace(&format!("\"{recorded}\\n\""), &format!("\"{pid}\\n\""))
        .replace(&format!("\"{recorded}\""), &format!("\"{pid}\""))
}

/// The recorded process: the mark of its start names it.
fn recorded_pid(lines: &str) -> Option<u32> {
    let (_, rest) = lines.split_once("\"mark\":\"pid ")?;
    rest.split_once('"')?.0.parse().ok()
}

/// Where the file of a recorded fact is: as a hook names it, or below the configuration directory.
pub(crate) fn file_of(lines: &str, config_dir: &Path, path: &str) -> PathBuf {
    let mut named = lines.split("\"transcript_path\":\"").skip(1);
    let named = named.find_map(|rest| {
        let named = Path::new(rest.split('"').next()?);
        named.ends_with(path).then(|| named.to_owned())
    });
    named.unwrap_or_else(|| config_dir.join(path))
}
