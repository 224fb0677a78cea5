use super::*;

#[test]
fn the_packaged_units_have_what_is_replaced() {
    assert_eq!(SOCKET_UNIT.matches(LISTEN).count(), 1);
    assert_eq!(SERVICE_UNIT.matches(START).count(), 1);
    let packaged = Path::new("/home/ada/.cargo/bin/agent-console");
    let service = unit(SERVICE, packaged, Path::new("/s")).unwrap();
    assert!(service.contains("\nExecStart=/home/ada/.cargo/bin/agent-console daemon\n"));
    let socket = Path::new("/tmp/agent-console.sock");
    assert_eq!(unit(SOCKET, packaged, socket).unwrap(), SOCKET_UNIT);
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
    let answer = read_answer(
        "UnitPath=/home/a b/.config/systemd/user /usr/lib/systemd/user\n",
        "Listen=/run/user/1000/agent-console.sock (Stream)\nId=agent-console.socket\nLoadState=loaded\n\
         ActiveState=active\nFragmentPath=/usr/lib/systemd/user/agent-console.socket\nUnitFileState=enabled\n\
         NeedDaemonReload=yes\n\n\
         MainPID=17\nExecStart={ path=/usr/bin/agent-console ; argv[]=/usr/bin/agent-console daemon ; pid=0 }\n\
         Id=agent-console.service\nLoadState=loaded\nActiveState=failed\nUnitFileState=indirect\n",
    );
    let (socket, service) = (&answer.socket, &answer.service);
    assert!(socket.is_active() && socket.is_enabled() && socket.needs_reload && socket.is_known());
    assert_eq!(
        socket.listens,
        Path::new("/run/user/1000/agent-console.sock")
    );
    assert!(service.has_failed() && !service.is_active() && !service.is_enabled());
    assert_eq!(service.program, Path::new("/usr/bin/agent-console"));
    assert_eq!(service.main_pid, 17);
    let user = Path::new("/home/a b/.config/systemd/user");
    assert!(socket.is_elsewhere(user));
    assert!(answer.looks_into(user) && answer.looks_into(Path::new("/usr/lib/systemd/user")));
    assert!(!answer.looks_into(Path::new("/usr/lib/systemd")));

    let answer = read_answer(
        "UnitPath=/x\n",
        "Id=agent-console.socket\nLoadState=not-found\nFragmentPath=\n",
    );
    assert!(!answer.socket.is_known() && !answer.socket.is_elsewhere(user));
    assert_eq!(answer.service, Unit::default());
}

#[test]
fn comments_alone_restart_nothing() {
    let path = Path::new("/bin/agent-console");
    let text = unit(SERVICE, path, path).unwrap();
    assert!(meaning(&text).eq(meaning(&marked(&text, 3))));
    assert!(!meaning(&text).eq(meaning(&text.replace("10s", "20s"))));
}
