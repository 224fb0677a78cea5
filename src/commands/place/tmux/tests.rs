//! Which command is right for which server, by what tmux has answered.

use super::super::shell_command;
use super::*;

/// `base` and `b` are one group, each with a client, and show window @1 with pane %3; `other` shows another, with a
/// client; `away` shows window @4 with pane %7, without one.
const ANSWER: &str = "\
pane 77 $0 @1 %3 1 /dev/pts/3
pane 77 $1 @1 %3 1 /dev/pts/3
pane 77 $0 @2 %4 1 /dev/pts/4
pane 77 $1 @2 %4 1 /dev/pts/4
pane 77 $2 @3 %5 1 /dev/pts/5
pane 77 $3 @4 %7 0 /dev/pts/7
client $0 100 /dev/pts/10
client $1 105 /dev/pts/11
client $2 90 /dev/pts/12
";

const SOCKET: &str = "/tmp/tmux-1000/default";

fn terminal(pane: &str, tty: &str) -> Terminal {
    Terminal {
        tmux: Some(SOCKET.into()),
        tmux_pid: Some(77),
        tmux_pane: Some(pane.into()),
        tty: Some(tty.into()),
        ..Terminal::default()
    }
}

fn here(session: u32, pane: Option<&str>) -> Here {
    let tmux = format!("{SOCKET},77,{session}");
    Here {
        pid: 99,
        ..Here::new(Some(&tmux), pane.map(str::to_owned))
    }
}

fn command(pane: &str, here: &Here) -> String {
    shell_command(&words(SOCKET, pane, here, &parse(ANSWER)).unwrap())
}

#[test]
fn the_asking_client_switches_in_its_own_session() {
    assert_eq!(
        command("%3", &here(0, None)),
        "tmux -S /tmp/tmux-1000/default switch-client -c /dev/pts/10 -t '$0:@1.%3'"
    );
    // The pane is in both sessions of the group: the client that was used last.
    assert_eq!(
        command("%3", &here(0, Some("%4"))),
        "tmux -S /tmp/tmux-1000/default switch-client -c /dev/pts/11 -t '$1:@1.%3'"
    );
}

#[test]
fn a_session_that_no_client_shows_is_shown() {
    assert_eq!(
        command("%7", &here(2, Some("%5"))),
        "tmux -S /tmp/tmux-1000/default switch-client -c /dev/pts/12 -t '$3:@4.%7'"
    );
    assert_eq!(
        command("%7", &Here::default()),
        "tmux -S /tmp/tmux-1000/default attach-session -t '$3:@4.%7'"
    );
}

#[test]
fn a_session_that_another_client_shows_gets_a_second_view() {
    assert_eq!(
        command("%3", &here(2, Some("%5"))),
        "tmux -S /tmp/tmux-1000/default new-session -d -t '$0' -s go-3-99 ';' \
         switch-client -c /dev/pts/12 -t 'go-3-99:@1.%3' ';' set-option -t go-3-99 destroy-unattached on"
    );
    let outside = Here {
        pid: 99,
        ..Here::default()
    };
    assert_eq!(
        command("%3", &outside),
        "tmux -S /tmp/tmux-1000/default new-session -t '$0' -s go-3-99 ';' select-window -t 'go-3-99:@1.%3' ';' \
         select-pane -t 'go-3-99:@1.%3' ';' set-option -t go-3-99 destroy-unattached on"
    );
}

#[test]
fn another_server_is_left_before_a_client_attaches() {
    let elsewhere = Here::new(Some("/tmp/tmux-1000/other,5,0"), None);
    assert_eq!(
        command("%7", &elsewhere),
        "env -u TMUX tmux -S /tmp/tmux-1000/default attach-session -t '$3:@4.%7'"
    );
}

#[test]
fn a_pane_counts_only_on_the_named_server_with_the_agents_terminal() {
    let server = parse(ANSWER);
    let confirmed =
        |terminal: &Terminal| confirm(terminal, terminal.tmux_pane.as_deref().unwrap(), &server);
    assert_eq!(confirmed(&terminal("%3", "/dev/pts/3")), Ok(()));
    let refused = |terminal: &Terminal| confirmed(terminal).unwrap_err();
    assert_eq!(
        refused(&terminal("%3", "/dev/pts/2")),
        "tmux pane %3 is /dev/pts/3, and the session runs in /dev/pts/2"
    );
    assert_eq!(
        refused(&terminal("%9", "/dev/pts/3")),
        "tmux has no pane %9"
    );
    let later_server = Terminal {
        tmux_pid: Some(78),
        ..terminal("%3", "/dev/pts/3")
    };
    assert!(refused(&later_server).starts_with("the tmux server of this pane is gone"));
    let no_tty = Terminal {
        tty: None,
        ..terminal("%3", "")
    };
    assert!(refused(&no_tty).contains("is not known"));
}

#[test]
fn a_forged_address_is_never_passed_on() {
    for (tmux, pane) in [
        (Some("/tmp/x\u{1b}[2J"), "%3"),
        (Some("relative"), "%3"),
        (Some("/nonexistent/socket"), "%3; rm -rf ~"),
        (Some("/nonexistent/socket"), "%"),
        (Some("/nonexistent/socket"), "3"),
        (None, "%3"),
        (Some("/nonexistent/socket"), "%3"),
    ] {
        let terminal = Terminal {
            tmux: tmux.map(Into::into),
            ..terminal(pane, "/dev/pts/3")
        };
        assert!(way(&terminal, &Here::default()).is_err(), "{tmux:?} {pane}");
    }
}
