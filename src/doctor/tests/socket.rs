//! The socket: its file, and what listens there.

use std::io;

use super::super::probe::{DaemonProbe, File, Listener, SocketProbe};
use super::super::{Level, socket};
use super::{answers, choice, commands, is};
use crate::os::lock_file::Holder;
use crate::os::peer::ConnectError;
use crate::protocol::Origin;

#[test]
fn a_socket_is_there_mine_private_and_listened_on() {
    let own = rustix::process::geteuid().as_raw();
    let file = |uid, mode| File::Socket { uid, mode };
    let listener = |pid, name: Option<&str>| {
        let name = name.map(Into::into);
        Ok(Listener { pid, name })
    };
    let evaluate_held = |holder, file, listener, answers: Option<&DaemonProbe>| {
        let seen = SocketProbe {
            choice: choice(),
            has_directory: true,
            foreign_line: None,
            own_line: false,
            taken: None,
            holder,
            file,
            listener,
        };
        socket::evaluate(&seen, answers.map(|answers| &answers.hello), &commands())
    };
    let evaluate = |file, listener, answers| evaluate_held(None, file, listener, answers);
    let refused = || {
        Err(ConnectError::NoDaemon {
            path: "/tmp/s".into(),
            source: io::ErrorKind::ConnectionRefused.into(),
        })
    };
    let start = Some("agent-console daemon --daemonize");

    let check = evaluate(file(own, 0o600), listener(1, Some("systemd")), None);
    let what = "/tmp/s (default), mine, 0600, held by systemd (process 1)";
    is(&check, Level::Ok, what, None);
    let asked = answers(Origin::SelfBound);
    let check = evaluate(file(own, 0o600), listener(7, Some("x")), Some(&asked));
    is(&check, Level::Ok, "held by the daemon itself", None);
    let check = evaluate(file(own, 0o600), listener(0, None), None);
    is(&check, Level::Ok, "not seen from here", None);

    let check = evaluate(File::Missing, refused(), None);
    is(&check, Level::Wrong, "there is no socket", start);
    let check = evaluate(file(own, 0o600), refused(), None);
    is(&check, Level::Wrong, "no process listens", start);
    let check = evaluate(File::Other { uid: own }, refused(), None);
    is(
        &check,
        Level::Wrong,
        "is no socket",
        Some("mv /tmp/s /tmp/s.old"),
    );
    let check = evaluate(file(own, 0o666), listener(7, None), None);
    is(&check, Level::Wrong, "mode 0666", Some("chmod 600 /tmp/s"));
    let foreign = Err(ConnectError::Foreign {
        path: "/tmp/s".into(),
        uid: own + 1,
    });
    let check = evaluate(file(own + 1, 0o600), foreign, None);
    is(
        &check,
        Level::Wrong,
        &format!("belongs to user {}", own + 1),
        Some("agent-console install --service"),
    );
    // Root has named it.
    let check = evaluate(file(own + 1, 0o600), listener(7, None), None);
    is(&check, Level::Ok, &format!("user {}'s", own + 1), None);
    let roots = Err(ConnectError::Roots {
        path: "/tmp/s".into(),
    });
    let check = evaluate(file(0, 0o600), roots, None);
    is(
        &check,
        Level::Wrong,
        "belongs to root",
        Some("agent-console install --service"),
    );
    let busy = Err(ConnectError::Busy {
        path: "/tmp/s".into(),
    });
    let nine = Some(Holder::Process(9));
    let replace = Some("kill -9 9 && sleep 1 && agent-console daemon --daemonize");
    let check = evaluate_held(nine, file(own, 0o600), busy, None);
    is(&check, Level::Wrong, "accepted no connection", replace);
    let check = evaluate_held(nine, File::Missing, refused(), None);
    is(&check, Level::Wrong, "process 9 holds the lock", replace);
    let check = evaluate_held(Some(Holder::Unseen), File::Missing, refused(), None);
    is(&check, Level::Wrong, "not seen from here", None);
}
