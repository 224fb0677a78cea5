//! Entries as a journald of the test's own receives them, and one that hangs, returns, or is not there.

use std::collections::HashMap;
use std::io::{IoSliceMut, Read, Seek};
use std::path::PathBuf;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tempfile::TempDir;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[test]
fn the_unit_is_the_last_service_on_the_way() {
    let cases = [
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/agent-console.service\n",
            Some("agent-console.service"),
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service/worker\n",
            Some("a.service"),
        ),
        (
            "12:pids:/system.slice/b.service\n1:name=systemd:/system.slice/b.service\n",
            Some("b.service"),
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-5.scope\n",
            None,
        ),
        ("0::/\n", None),
        ("", None),
    ];
    for (groups, unit) in cases {
        assert_eq!(unit_in(groups), unit, "{groups}");
    }
}

#[test]
fn standard_error_is_the_journal_only_if_the_variable_names_it() {
    let stat = rustix::fs::fstat(rustix::stdio::stderr()).unwrap();
    let here = format!("{}:{}", stat.st_dev, stat.st_ino);
    assert!(is_standard_error(Some(here.into())));
    assert!(!is_standard_error(Some("8:0".into())));
    assert!(!is_standard_error(Some("nonsense".into())));
    assert!(!is_standard_error(None));
}

/// A socket in journald's place.
struct Journald {
    socket: UnixDatagram,
    path: PathBuf,
    _directory: TempDir,
}

impl Journald {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        Self {
            socket: bind(&path),
            path,
            _directory: directory,
        }
    }

    fn layer(&self) -> (Journal, Arc<Health>) {
        let health = Arc::new(Health::default());
        let journal = Journal::new(&self.path, Arc::clone(&health)).unwrap();
        (journal, health)
    }

    /// The next entry, from the datagram or the file that came with it; `None` if there is none.
    fn receive(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 256 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::empty()).ok()?;
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        let Some(file) = file else {
            bytes.truncate(received.bytes);
            return Some(bytes);
        };
        assert_eq!(received.bytes, 0);
        let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
        assert!(
            seals
                .contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)
        );
        let (mut file, mut entry) = (File::from(file), Vec::new());
        file.rewind().unwrap();
        file.read_to_end(&mut entry).unwrap();
        Some(entry)
    }

    fn receive_all(&self) -> usize {
        std::iter::from_fn(|| self.receive()).count()
    }
}

fn bind(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// The fields of an entry.
fn fields(mut entry: &[u8]) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    while !entry.is_empty() {
        let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
        let name = String::from_utf8(entry[..end].to_vec()).unwrap();
        let (length, rest) = entry[end + 1..].split_at(8);
        let length = u64::from_le_bytes(length.try_into().unwrap());
        let (value, rest) = rest.split_at(usize::try_from(length).unwrap());
        fields.insert(name, String::from_utf8(value.to_vec()).unwrap());
        entry = rest.strip_prefix(b"\n").unwrap();
    }
    fields
}

fn timed(journal: &Journal) -> Duration {
    let began = clock::monotonic();
    journal.send(b"MESSAGE=event\n");
    began.elapsed()
}

/// Sends until an entry is lost; how long that one took.
fn fill(journal: &Journal, health: &Health) -> Duration {
    (0..100_000)
        .map(|_| timed(journal))
        .find(|_| health.failing.load(std::sync::atomic::Ordering::Relaxed))
        .expect("a full queue")
}

#[test]
fn an_event_is_an_entry_with_fields() {
    let journald = Journald::start();
    let (journal, health) = journald.layer();
    let subscriber = tracing_subscriber::registry().with(journal);
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(port = 5, some.name = "a\nb", "hello");
        tracing::error!("{}", "x".repeat(1024 * 1024));
    });
    let entry = fields(&journald.receive().unwrap());
    for (name, value) in [
        ("MESSAGE", "hello"),
        ("PRIORITY", "6"),
        ("F_PORT", "5"),
        ("F_SOME_NAME", "a\nb"),
        ("SYSLOG_IDENTIFIER", "agent-console"),
        ("TARGET", module_path!()),
        ("CODE_FILE", file!()),
    ] {
        assert_eq!(entry[name], value, "{name}");
    }
    assert!(entry["CODE_LINE"].parse::<u32>().is_ok());
    assert!(entry["USER_UNIT"].ends_with(".service"));
    // Too long for a datagram.
    let entry = fields(&journald.receive().unwrap());
    assert_eq!(entry["MESSAGE"].len(), 1024 * 1024);
    assert_eq!(entry["PRIORITY"], "3");
    assert!(journald.receive().is_none());
    assert_eq!(health.take(), None);
}

#[test]
fn a_journald_that_hangs_is_waited_for_once() {
    let journald = Journald::start();
    let (journal, health) = journald.layer();
    let waited = fill(&journal, &health);
    assert!(waited >= WAIT / 2, "{waited:?}");
    assert!(health.take().unwrap().contains("does not keep up"));
    // So many waits would take forty seconds.
    let began = clock::monotonic();
    for _ in 0..200 {
        timed(&journal);
    }
    assert!(began.elapsed() < WAIT * 100, "{:?}", began.elapsed());

    // Entries arrive again as soon as there is room, long ones too.
    assert!(journald.receive_all() > 0);
    journal.send(b"MESSAGE=again\n");
    assert_eq!(journald.receive().unwrap(), b"MESSAGE=again\n");
    let long = vec![b'x'; 1024 * 1024];
    journal.send(&long);
    assert!(journald.receive().unwrap() == long);
}

#[test]
fn a_burst_waits_for_a_journald_that_reads() {
    let journald = Journald::start();
    let (journal, health) = journald.layer();
    fill(&journal, &health);
    let burst = 2000;
    loop {
        journald.receive_all();
        // As if the wait in vain were long ago.
        *journal.full_at.lock().unwrap() = clock::monotonic().checked_sub(NO_WAIT);
        timed(&journal);
        journald.receive_all();

        let (received, paused) = std::thread::scope(|scope| {
            let sender = scope.spawn(|| (0..burst).for_each(|_| journal.send(b"MESSAGE=event\n")));
            let (mut received, mut paused) = (0, Duration::ZERO);
            let mut read_at = clock::monotonic();
            while !sender.is_finished() {
                received += journald.receive_all();
                paused = paused.max(read_at.elapsed());
                read_at = clock::monotonic();
            }
            (received + journald.receive_all(), paused)
        });
        if received == burst {
            break;
        }
        // On a busy machine this one may itself not have read for too long.
        assert!(paused > WAIT / 2, "{received} of {burst}");
    }
}

#[test]
fn a_journald_that_is_gone_is_reported_and_a_new_one_is_found() {
    let journald = Journald::start();
    let (journal, health) = journald.layer();
    std::fs::remove_file(&journald.path).unwrap();
    // On a busy machine any one of them may take long.
    let waited = (0..20).map(|_| timed(&journal)).min().unwrap();
    assert!(waited < WAIT, "{waited:?}");
    assert!(
        health
            .take()
            .unwrap()
            .contains("cannot be written to the journal")
    );
    let new = Journald {
        socket: bind(&journald.path),
        ..journald
    };
    timed(&journal);
    assert_eq!(new.receive().unwrap(), b"MESSAGE=event\n");
}
