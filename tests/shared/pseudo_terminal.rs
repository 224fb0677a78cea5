//! A pseudo-terminal of 200 columns and 50 rows, for the tests and the benchmark.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The end that a person sits at.
pub struct PseudoTerminal {
    pub person: File,
    name: CString,
}

impl PseudoTerminal {
    pub fn open() -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        // No other test's child may have it.
        fcntl_setfd(&person, FdFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let size = Winsize {
            ws_row: 50,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&person, size).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        Self {
            person: File::from(person),
            name,
        }
    }

    /// The end that a program holds, opened once more.
    pub fn program_end(&self) -> OwnedFd {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(&*self.name, flags, Mode::empty()).unwrap()
    }
}

/// Whether `seen` contains all of these, one after the other.
#[allow(dead_code, reason = "not every crate that has this file draws")]
pub fn contains_in_order(seen: &[u8], marks: &[&str]) -> bool {
    let mut rest = seen;
    marks.iter().all(|mark| {
        let mut parts = rest.windows(mark.len());
        let at = parts.position(|part| part == mark.as_bytes());
        at.inspect(|at| rest = &rest[at + mark.len()..]).is_some()
    })
}
