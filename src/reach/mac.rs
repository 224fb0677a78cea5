//! macOS: a tab of iTerm2 or Terminal by its terminal device, another program by its process. Written from their
//! scripting dictionaries, not tried on a Mac.

use std::process::Command;

use super::ask::ask;
use super::frame::Frame;
use super::plan::{Move, Place};
use super::{Proof, Prover};
use crate::format::sanitize;
use crate::os::process;

/// A program whose tabs can be asked for their terminals. Each script takes the terminal as its argument, and prints
/// `found` where a tab has it; with a second argument it selects that tab.
struct Program {
    /// `$TERM_PROGRAM`
    variable: &'static str,
    name: &'static str,
    /// How the name of the process begins that owns its terminals.
    process: &'static str,
    script: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        variable: "iTerm.app",
        name: "iTerm2",
        process: "iTerm",
        script: r#"on run argv
  tell application "iTerm2"
    repeat with w in windows
      repeat with t in tabs of w
        repeat with s in sessions of t
          if tty of s is item 1 of argv then
            if (count of argv) > 1 then
              select s
              select t
              select w
              activate
            end if
            return "found"
          end if
        end repeat
      end repeat
    end repeat
  end tell
end run"#,
    },
    Program {
        variable: "Apple_Terminal",
        name: "Terminal",
        process: "Terminal",
        script: r#"on run argv
  tell application "Terminal"
    repeat with w in windows
      repeat with t in tabs of w
        if tty of t is item 1 of argv then
          if (count of argv) > 1 then
            set selected of t to true
            set index of w to 1
            activate
          end if
          return "found"
        end if
      end repeat
    end repeat
  end tell
end run"#,
    },
];

/// Takes a process id as its argument; prints `true` where the process has windows, as no multiplexer's server has.
const HAS_WINDOWS: &str = r#"on run argv
  tell application "System Events"
    return exists (first process whose unix id is ((item 1 of argv) as integer))
  end tell
end run"#;

/// Takes a process id as its argument.
const ACTIVATE: &str = r#"on run argv
  tell application "System Events"
    set frontmost of (first process whose unix id is ((item 1 of argv) as integer)) to true
  end tell
end run"#;

/// Whether the frame is in a tab of these programs, or in another program's window.
pub(super) fn prove(frame: &Frame, _prover: &Prover<'_>) -> Option<Result<Proof, String>> {
    if !cfg!(target_os = "macos") {
        return None;
    }
    let tty = frame.tty.as_deref()?;
    // The first process above the terminal may be login(1), which runs for the program.
    let mut owners = frame.owners().iter();
    let owner = owners.find_map(|owner| {
        let name = process::name(owner.pid)?;
        (name != "login").then_some((owner.pid, name))
    });
    let variable = frame.claims.term_program.as_deref();
    let program = program(variable, owner.as_ref().map(|(_, name)| &**name));
    if let Some(program) = program {
        let asked = ask(Command::new("osascript").args(["-e", program.script, tty]));
        if asked.is_ok_and(|text| text.trim() == "found") {
            return Some(Ok(tab(program, tty)));
        }
    }
    let (pid, name) = owner?;
    Some(match program {
        Some(program) if name.starts_with(program.process) => Err(format!(
            "no tab of {} has the session's terminal",
            program.name
        )),
        // The variable was inherited from another terminal.
        Some(_) | None => {
            let number = pid.to_string();
            let asked = ask(Command::new("osascript").args(["-e", HAS_WINDOWS, &number]));
            let has_windows = asked.is_ok_and(|text| text.trim() == "true");
            let application = has_windows.then(|| application(pid, &name));
            application
                .ok_or_else(|| format!("the terminal is that of {name}, which has no window"))
        }
    })
}

/// The program that owns the terminal, or else the one that the environment names.
fn program(variable: Option<&str>, owner: Option<&str>) -> Option<&'static Program> {
    let owns = |program: &&Program| owner.is_some_and(|name| name.starts_with(program.process));
    let is_named = |program: &&Program| variable == Some(program.variable);
    let owner = PROGRAMS.iter().find(owns);
    owner.or_else(|| PROGRAMS.iter().find(is_named))
}

fn tab(program: &Program, tty: &str) -> Proof {
    window(
        format!("tab of {} with {tty}", program.name),
        None,
        ["osascript", "-e", program.script, tty, "select"],
    )
}

fn application(pid: u32, name: &str) -> Proof {
    window(
        sanitize(name),
        Some("select its tab".to_owned()),
        ["osascript", "-e", ACTIVATE, &pid.to_string()],
    )
}

fn window<'a>(
    what: String,
    remains: Option<String>,
    words: impl IntoIterator<Item = &'a str>,
) -> Proof {
    let words = words.into_iter().map(str::to_owned).collect();
    Proof::Window {
        place: Place {
            way: "macos",
            what,
            remains,
            moves: vec![Move::Run(words)],
        },
        is_in_front: None,
        outside: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(proof: &Proof) -> Vec<String> {
        match proof {
            Proof::Window { place, .. } => place.moves[0].words(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_terminal_is_an_argument_and_no_part_of_a_script() {
        for program in PROGRAMS {
            let words = moves(&tab(program, "/dev/ttys003"));
            assert_eq!(words[..2], ["osascript", "-e"]);
            assert_eq!(words[3..], ["/dev/ttys003", "select"]);
            assert!(words[2].contains(&format!("tell application \"{}\"", program.name)));
        }
        let words = moves(&application(42, "ghostty"));
        assert_eq!(words[3..], ["42"]);
    }

    #[test]
    fn the_owner_of_the_terminal_counts_before_the_environment() {
        let name = |variable, owner| Some(program(variable, owner)?.name);
        assert_eq!(name(Some("iTerm.app"), Some("Terminal")), Some("Terminal"));
        assert_eq!(name(None, Some("iTermServer-3.5")), Some("iTerm2"));
        assert_eq!(name(Some("iTerm.app"), None), Some("iTerm2"));
        assert_eq!(name(Some("ghostty"), Some("ghostty")), None);
    }

    #[test]
    fn nothing_is_asked_on_another_system() {
        if cfg!(target_os = "macos") {
            return;
        }
        let asker = crate::reach::Asker::default();
        let servers = crate::reach::Servers::default();
        let prover = Prover::new(&asker, &servers);
        assert!(prove(&Frame::default(), &prover).is_none());
    }
}
