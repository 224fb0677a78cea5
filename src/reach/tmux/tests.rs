//! Which moves are right for which servers and clients, by what tmux has answered.

use super::super::asker::{Asker, Seat};
use super::super::plan::{Move, Place, Plan};
use super::super::{Proof, Servers};
use super::*;
use crate::protocol::Terminal;

/// `base` and `b` are one group, each with a client, and show window @1 with pane %3; `other` shows another, with a
/// client; `away` shows window @4 with pane %7, without one.
const ANSWER: &str = "\
pane 77 $0 @1 %3 1 11 /dev/pts/3 other
pane 77 $1 @1 %3 1 01 /dev/pts/3 other
pane 77 $0 @2 %4 1 01 /dev/pts/4 other
pane 77 $1 @2 %4 1 11 /dev/pts/4 other
pane 77 $2 @3 %5 1 11 /dev/pts/5 other
pane 77 $3 @4 %7 0 11 /dev/pts/7 other
client 510 $0 100 session focused /dev/pts/10
client 511 $1 105 session focused /dev/pts/11
client 512 $2 90 session focused /dev/pts/12
";

const SOCKET: &str = "/tmp/tmux-1000/default";

/// What is around the terminal of a client.
#[derive(Clone, Copy)]
enum Around {
    Window,
    Nothing,
}

/// A pane of that server, and where the terminals of its clients are.
fn pane(id: &str, clients: &[(u32, Around)]) -> Pane {
    let server = Server::parse(ANSWER);
    let viewers = clients.iter().map(|(pid, around)| Viewer {
        client: client(&server, *pid),
        place: match around {
            Around::Window => Ok(window()),
            Around::Nothing => Err("it is on another machine".to_owned()),
        },
    });
    Pane {
        socket: SOCKET.to_owned(),
        id: id.to_owned(),
        viewers: viewers.collect(),
        server,
    }
}

fn client(server: &Server, pid: u32) -> Client {
    let mut clients = server.clients.iter();
    clients.find(|client| client.pid == pid).unwrap().clone()
}

fn window() -> Proof {
    Proof::Window {
        place: Place {
            way: "x11",
            what: "window".to_owned(),
            remains: None,
            moves: vec![Move::Run(vec!["focus".to_owned()])],
        },
        is_in_front: None,
        outside: None,
    }
}

/// One that asks in the client with this process id.
fn inside(pid: u32) -> Asker {
    let client = client(&Server::parse(ANSWER), pid);
    let seat = Seat {
        server: 77,
        socket: SOCKET.to_owned(),
        client: Some(client),
    };
    Asker::for_test(vec![seat], true)
}

fn outside() -> Asker {
    Asker::for_test(Vec::new(), true)
}

fn line(pane: &Pane, asker: &Asker) -> String {
    let places = places(pane, asker).unwrap();
    Plan { places }.shell_line()
}

#[test]
fn the_asking_client_switches_in_its_own_session() {
    assert_eq!(
        line(&pane("%4", &[]), &inside(510)),
        "tmux -S /tmp/tmux-1000/default switch-client -c /dev/pts/10 -t '$0:@2.%4'"
    );
    assert_eq!(
        line(&pane("%3", &[]), &inside(511)),
        "tmux -S /tmp/tmux-1000/default switch-client -c /dev/pts/11 -t '$1:@1.%3'"
    );
    assert_eq!(line(&pane("%3", &[]), &inside(510)), "", "it is there");
}

#[test]
fn of_several_clients_the_one_that_shows_the_asking_pane_asks() {
    let server = Server::parse(ANSWER);
    let asks = |tty: Option<&str>, session: Option<&str>| {
        Some(view::asking_client(&server, tty, session)?.pid)
    };
    assert_eq!(asks(Some("/dev/pts/3"), Some("$0")), Some(510));
    assert_eq!(asks(Some("/dev/pts/4"), Some("$0")), Some(511));
    // A popup's terminal is no pane's.
    assert_eq!(asks(Some("/dev/pts/40"), Some("$2")), Some(512));
    assert_eq!(asks(None, Some("$0")), Some(510));
    assert_eq!(asks(Some("/dev/pts/7"), Some("$3")), None);
}

#[test]
fn a_session_that_no_client_shows_is_shown() {
    assert_eq!(
        line(&pane("%7", &[]), &inside(512)),
        "tmux -S /tmp/tmux-1000/default switch-client -c /dev/pts/12 -t '$3:@4.%7'"
    );
    assert_eq!(
        line(&pane("%7", &[]), &outside()),
        "tmux -S /tmp/tmux-1000/default attach-session -t '$3:@4.%7'"
    );
}

#[test]
fn a_session_that_another_client_shows_gets_a_second_view() {
    let ends_with_its_client = |command: &str| {
        let hook = " ';' set-hook -t go-3-99 client-detached ";
        let (before, hook) = command.split_once(hook).expect(command);
        let hook = shlex::split(hook).unwrap().remove(0);
        let end = [
            "if-shell",
            "-F",
            "-t",
            "go-3-99:",
            "#{session_attached}",
            "",
            "kill-session -t 'go-3-99'",
        ];
        assert_eq!(shlex::split(&hook).unwrap(), end);
        before.to_owned()
    };
    assert_eq!(
        ends_with_its_client(&line(&pane("%3", &[]), &inside(512))),
        "tmux -S /tmp/tmux-1000/default new-session -d -t '$0' -s go-3-99 ';' \
         switch-client -c /dev/pts/12 -t 'go-3-99:@1.%3'"
    );
    let clients = [(510, Around::Nothing), (511, Around::Nothing)];
    assert_eq!(
        ends_with_its_client(&line(&pane("%3", &clients), &outside())),
        "tmux -S /tmp/tmux-1000/default new-session -t '$0' -s go-3-99 ';' select-window -t 'go-3-99:@1.%3' ';' \
         select-pane -t 'go-3-99:@1.%3'"
    );
}

#[test]
fn a_view_that_its_client_leaves_ends() {
    let answer = ANSWER.replace("client 512 $2 90 session", "client 512 $2 90 view");
    let client = client(&Server::parse(&answer), 512);
    let seat = Seat {
        server: 77,
        socket: SOCKET.to_owned(),
        client: Some(client),
    };
    let moved = line(&pane("%7", &[]), &Asker::for_test(vec![seat], true));
    let words = shlex::split(&moved).unwrap();
    let end = [
        "if-shell",
        "-F",
        "-t",
        "$2:",
        "#{session_attached}",
        "",
        "kill-session -t '$2'",
    ];
    assert_eq!(words[words.len() - 7..], end, "{moved}");
}

#[test]
fn two_clients_of_one_session_are_not_moved_together() {
    let answer = ANSWER
        .replace("$0 @1 %3 1", "$0 @1 %3 2")
        .replace("$0 @2 %4 1", "$0 @2 %4 2");
    let shared = Pane {
        server: Server::parse(&format!(
            "{answer}client 513 $0 99 session focused /dev/pts/13\n"
        )),
        ..pane("%4", &[])
    };
    let moved = line(&shared, &inside(510));
    assert!(
        moved.contains("new-session -d -t '$0' -s go-4-99"),
        "{moved}"
    );
}

#[test]
fn another_server_is_left_before_a_client_attaches() {
    let elsewhere = Asker::for_test(
        vec![Seat {
            server: 5,
            socket: String::new(),
            client: None,
        }],
        true,
    );
    assert_eq!(
        line(&pane("%7", &[]), &elsewhere),
        "env -u TMUX tmux -S /tmp/tmux-1000/default attach-session -t '$3:@4.%7'"
    );
}

#[test]
fn a_client_that_shows_the_pane_comes_to_the_front() {
    let shown = pane("%3", &[(511, Around::Window), (510, Around::Window)]);
    assert_eq!(line(&shown, &outside()), "focus");
    let not_shown = pane("%4", &[(510, Around::Window)]);
    assert!(
        line(&not_shown, &outside()).contains(" new-session "),
        "one is attached"
    );
    let without_terminal = Asker::for_test(Vec::new(), false);
    assert_eq!(
        line(&not_shown, &without_terminal),
        "tmux -S /tmp/tmux-1000/default switch-client -c /dev/pts/10 -t '$0:@2.%4' && focus"
    );
    let unreachable = pane("%4", &[(510, Around::Nothing)]);
    assert!(places(&unreachable, &without_terminal).is_err());
}

/// A client of the server above in pane %5 of another server, which a client shows or not.
fn nested(shown: bool) -> Pane {
    let outer = "pane 88 $0 @0 %0 1 11 /dev/pts/20 other\npane 88 $0 @1 %5 1 SHOWN /dev/pts/10 other\n\
                 client 600 $0 9 session focused /dev/pts/30\n";
    let outer = outer.replace("SHOWN", if shown { "11" } else { "01" });
    let outer = Pane {
        socket: "/tmp/tmux-1000/outer".to_owned(),
        id: "%5".to_owned(),
        server: Server::parse(&outer),
        viewers: Vec::new(),
    };
    let inner = pane("%4", &[(510, Around::Nothing)]);
    let viewers = inner.viewers.into_iter().map(|viewer| Viewer {
        place: Ok(Proof::Tmux(Pane {
            socket: outer.socket.clone(),
            id: outer.id.clone(),
            server: outer.server.clone(),
            viewers: Vec::new(),
        })),
        ..viewer
    });
    Pane {
        viewers: viewers.collect(),
        ..inner
    }
}

#[test]
fn a_pane_inside_a_pane_is_reached_through_both() {
    let seat = |client: &str| Seat {
        server: 88,
        socket: String::new(),
        client: Some(Server::parse(client).clients.remove(0)),
    };
    let asker = Asker::for_test(
        vec![seat("client 600 $0 9 session focused /dev/pts/30")],
        true,
    );
    assert_eq!(
        line(&nested(false), &asker),
        "tmux -S /tmp/tmux-1000/default switch-client -c /dev/pts/10 -t '$0:@2.%4' && \
         tmux -S /tmp/tmux-1000/outer switch-client -c /dev/pts/30 -t '$0:@1.%5'"
    );
    // Another client looks at it.
    let stranger = Asker::for_test(
        vec![seat("client 601 $7 9 session focused /dev/pts/31")],
        true,
    );
    let moved = line(&nested(true), &stranger);
    assert!(
        moved.starts_with("env -u TMUX tmux -S /tmp/tmux-1000/default new-session "),
        "{moved}"
    );
}

fn frame(pane: &str, tty: Option<&str>, pid: Option<u32>) -> Frame {
    Frame {
        tty: tty.map(str::to_owned),
        claims: Terminal {
            tmux: Some(SOCKET.into()),
            tmux_pid: pid,
            tmux_pane: Some(pane.into()),
            ..Terminal::default()
        },
        ..Frame::default()
    }
}

#[test]
fn a_pane_counts_only_on_the_named_server_with_the_agents_terminal() {
    let server = Server::parse(ANSWER);
    let confirmed = |pane, tty, pid| confirm(&frame(pane, tty, pid), pid, &server);
    let tty = Some("/dev/pts/3");
    assert_eq!(confirmed("%3", tty, Some(77)), Ok("%3".to_owned()));
    let refused = |pane, tty, pid| confirmed(pane, tty, pid).unwrap_err();
    assert_eq!(
        refused("%3", Some("/dev/pts/2"), Some(77)),
        "tmux pane %3 is /dev/pts/3, and the session runs in /dev/pts/2"
    );
    assert_eq!(refused("%9", tty, Some(77)), "tmux has no pane %9");
    assert!(refused("%3", tty, Some(78)).starts_with("the tmux server of this pane is gone"));
    assert!(refused("%3", None, Some(77)).contains("is not known"));
    for forged in ["%3; rm -rf ~", "%", "3"] {
        assert!(refused(forged, tty, Some(77)).contains("is not a tmux pane"));
    }
}

#[test]
fn a_forged_address_is_never_passed_on() {
    let asker = outside();
    let servers = Servers::default();
    let prover = Prover::new(&asker, &servers);
    for socket in [
        Some("/tmp/x\u{1b}[2J"),
        Some("relative"),
        Some("/nonexistent/socket"),
        None,
    ] {
        let mut forged = frame("%3", Some("/dev/pts/3"), Some(77));
        forged.claims.tmux = socket.map(Into::into);
        assert!(
            matches!(prove(&forged, &prover), Some(Err(_))),
            "{socket:?}"
        );
    }
}
