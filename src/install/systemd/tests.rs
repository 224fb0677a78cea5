use super::*;
use crate::install::program::ServiceProgram;

fn starts(path: &str, argument: Option<&'static str>) -> ServiceProgram {
    ServiceProgram {
        path: path.into(),
        argument,
        note: None,
    }
}

/// A unit for a program and a socket.
fn text(name: &str, starts: &ServiceProgram, socket: &str) -> String {
    let wanted = Wanted {
        program: Path::new("/bin/agent-console"),
        starts,
        socket: Path::new(socket),
    };
    unit(name, wanted).unwrap()
}

#[test]
fn the_packaged_units_have_what_is_replaced() {
    assert_eq!(SOCKET_UNIT.matches(LISTEN).count(), 1);
    assert_eq!(SERVICE_UNIT.matches(START).count(), 1);
    let own = starts("/home/ada/bin/agent-consoled", None);
    let service = text(SERVICE, &own, "/s");
    assert!(service.contains("\nExecStart=/home/ada/bin/agent-consoled\n"));
    let alone = starts("/home/ada/bin/agent-console", Some("daemon"));
    let service = text(SERVICE, &alone, "/s");
    assert!(service.contains("\nExecStart=/home/ada/bin/agent-console daemon\n"));
    assert_eq!(text(SOCKET, &own, "/tmp/agent-console.sock"), SOCKET_UNIT);
}

#[test]
fn units_of_before_the_service_was_a_program_are_ours() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(SERVICE);
    let own = starts("/bin/agent-consoled", None);
    let installed = text(SERVICE, &own, "/s").replace("agent-consoled", "agent-console daemon");
    for former in [
        SERVICE_UNIT.replace(START, FORMER_START),
        marked(&installed, 2),
    ] {
        fs::write(&path, &former).unwrap();
        assert!(matches!(find(&path), Ok(Found::Ours(..))));
        fs::write(&path, former + "Environment=MINE=1\n").unwrap();
        assert!(matches!(find(&path), Ok(Found::Theirs)));
    }
}

#[test]
fn paths_are_written_as_systemd_reads_them() {
    let exec = |path: &str| exec_path(Path::new(path)).ok();
    assert_eq!(exec("/bin/a").as_deref(), Some("/bin/a"));
    assert_eq!(exec("/a b/%h/$HOME").as_deref(), Some("\"/a b/%%h/$HOME\""));
    for refused in ["/it's", "/\"", "/\\", "/\n"] {
        assert_eq!(exec(refused), None);
    }
    let listen = |path: &str| listen_path(Path::new(path)).ok();
    assert_eq!(listen("/a b/100%").as_deref(), Some("/a b/100%%"));
    for refused in ["/a ", "/a\\", "/a\nb"] {
        assert_eq!(listen(refused), None);
    }
}

#[test]
fn the_managers_answer_is_read() {
    let answer = read_status(
        "UnitPath=/home/a b/.config/systemd/user /usr/lib/systemd/user\n",
        "Listen=/run/user/1000/agent-console.sock (Stream)\nId=agent-console.socket\nLoadState=loaded\n\
         ActiveState=active\nFragmentPath=/usr/lib/systemd/user/agent-console.socket\nUnitFileState=enabled\n\
         NeedDaemonReload=yes\n\n\
         MainPID=17\nExecStart={ path=/usr/bin/agent-console ; argv[]=/usr/bin/agent-console daemon ; pid=0 }\n\
         Id=agent-console.service\nLoadState=loaded\nActiveState=failed\nUnitFileState=indirect\n",
    );
    let (socket, service) = (&answer.socket, &answer.service);
    assert!(
        socket.is_active() && socket.is_enabled() && socket.needs_reload() && socket.is_known()
    );
    assert_eq!(
        socket.listens(),
        Path::new("/run/user/1000/agent-console.sock")
    );
    assert!(service.has_failed() && !service.is_active() && !service.is_enabled());
    assert_eq!(service.program(), Path::new("/usr/bin/agent-console"));
    assert_eq!(service.property("MainPID"), "17");
    let user = Path::new("/home/a b/.config/systemd/user");
    assert!(socket.is_elsewhere(user));
    assert!(answer.searches(user) && answer.searches(Path::new("/usr/lib/systemd/user")));
    assert!(!answer.searches(Path::new("/usr/lib/systemd")));

    let answer = read_status(
        "UnitPath=/x\n",
        "Id=agent-console.socket\nLoadState=not-found\nFragmentPath=\n",
    );
    assert!(!answer.socket.is_known() && !answer.socket.is_elsewhere(user));
    assert_eq!(answer.service, Unit::default());
}

#[test]
fn comments_alone_restart_nothing() {
    let text = text(SERVICE, &starts("/bin/agent-consoled", None), "/s");
    assert!(effective_lines(&text).eq(effective_lines(&marked(&text, 3))));
    assert!(!effective_lines(&text).eq(effective_lines(&text.replace("10s", "20s"))));
}
