//! The socket's path where there is no service manager: a runtime directory is used only if it is the user's own, and a
//! home may be another machine's.

use super::*;
use crate::doctor::named;

/// What an earlier version wrote on a machine where the user had the id 4242.
const ELSEWHERE: &str =
    "# Written by `agent-console install`; `agent-console uninstall` takes it out again.
socket = \"/run/user/4242/agent-console.sock\"
";

/// A machine with the place's home: the program there as a person runs it, with a runtime directory of its own.
struct Machine<'a> {
    place: &'a Place,
    runtime: PathBuf,
}

impl<'a> Machine<'a> {
    fn new(place: &'a Place, name: &str) -> Self {
        let runtime = place.path().join(name);
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, Permissions::from_mode(0o700)).unwrap();
        Self { place, runtime }
    }

    fn sh(&self, line: &str) -> Output {
        let usual = self.place.command([] as [&str; 0]);
        let variables = usual.get_envs();
        let path = std::env::var("PATH").unwrap();
        let directory = program().parent().unwrap().display().to_string();
        let mut command = Command::new("sh");
        command
            .env_clear()
            .envs(variables.filter_map(|(name, value)| Some((name, value?))))
            .env_remove("AGENT_CONSOLE_SOCKET")
            .env("XDG_RUNTIME_DIR", &self.runtime)
            .env("PATH", format!("{directory}:{path}"))
            .args(["-c", line])
            .current_dir(self.place.path());
        home::run(&mut command)
    }

    fn check(&self, name: &str) -> Value {
        let output = self.sh("agent-console doctor --json");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        named(&report, name).clone()
    }
}

#[test]
fn a_path_of_another_machine_in_a_shared_home_is_named_and_corrected() {
    let place = Place::new();
    let config = place.config_file();
    place.configure("");
    let rest = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{ELSEWHERE}{rest}")).unwrap();
    let here = Machine::new(&place, "run");

    let list = here.sh("agent-console list");
    assert_eq!(list.status.code(), Some(3), "{list:?}");
    assert!(
        shown(&list).contains("the directory of that path is not there"),
        "{list:?}"
    );
    let check = here.check("socket");
    let what = check["what"].as_str().unwrap();
    assert!(
        what.contains("/run/user/4242/agent-console.sock"),
        "{check}"
    );
    assert!(what.contains("on another machine"), "{check}");
    let fix = "agent-console install --service; agent-console daemon --daemonize";
    assert_eq!(check["fix"], fix);
    let fixed = here.sh(fix);
    assert!(fixed.status.success(), "{fixed:?}");
    assert_eq!(here.check("socket")["level"], "ok");
    assert!(here.runtime.join("agent-console.sock").exists());
    let line = "\nsocket = \"$XDG_RUNTIME_DIR/agent-console.sock\"\n";
    assert!(fs::read_to_string(&config).unwrap().contains(line));

    // The other machine has the same file, and its own directory.
    let there = Machine::new(&place, "other");
    let started = there.sh("agent-console daemon --daemonize && agent-console status --json");
    assert!(started.status.success(), "{started:?}");
    assert!(there.runtime.join("agent-console.sock").exists());
    for machine in [&here, &there] {
        let stopped = machine.sh("agent-console list && agent-console stop");
        assert!(stopped.status.success(), "{stopped:?}");
    }
    here.sh("agent-console uninstall --service");
    assert_eq!(fs::read_to_string(&config).unwrap(), rest);
}

#[test]
fn without_a_manager_the_service_is_not_installed_and_the_exit_status_says_so() {
    let place = Place::new();
    let output = place.run(&["install", "--service"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = shown(&output);
    assert!(
        said.contains("no service manager") && said.contains("daemon --daemonize"),
        "{said}"
    );
    // What was not asked for by name fails nothing.
    settings(&place);
    let said = place.ok(&["install"]);
    assert!(said.contains("note: no service manager"), "{said}");
}

/// As after `su`: the variable is another user's, whose directory cannot be entered.
#[test]
fn a_runtime_directory_of_another_user_is_named_and_not_used() {
    const SCRIPT: &str = r#"
mount -t tmpfs -o mode=755 none /run
install -m 755 "$1" /run/agent-console
install -m 755 "$2" /run/agent-consoled
mkdir -p /run/user; mkdir -m 700 /run/user/0
mount -t tmpfs -o mode=1777 none /tmp
mkdir -m 700 /tmp/ada; chown 4711:4711 /tmp/ada
python3 -c 'import os, socket
socket.socket(socket.AF_UNIX).bind("/tmp/agent-console.sock")
os.chown("/tmp/agent-console.sock", 4242, 4242)'
ada() { setpriv --reuid 4711 --regid 4711 --clear-groups env -i PATH=/run:/usr/bin:/bin HOME=/tmp/ada XDG_RUNTIME_DIR=/run/user/0 "$@"; }
cd /tmp/ada
ada agent-console install --service && exit 9
cat /tmp/ada/.config/agent-console/config.toml
! grep -q /run/user /tmp/ada/.config/agent-console/config.toml
ada agent-console doctor | grep "service\|socket"
ada agent-console daemon --daemonize
ada agent-console list
ada agent-console doctor | grep "^ok *socket */tmp/agent-console-4711.sock"
ada agent-console stop --force
"#;
    assert!(
        rustix::process::geteuid().is_root(),
        "this test becomes another user: run it as root"
    );
    let output = Command::new("unshare")
        // No process outlives the script.
        .args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--mount-proc",
        ])
        .args(["sh", "-euc", SCRIPT, "sh"])
        .args([program(), service()])
        .current_dir("/")
        .output()
        .unwrap();
    let said = shown(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("XDG_RUNTIME_DIR is /run/user/0, which belongs to user 0"),
        "{said}"
    );
    assert!(
        said.contains("the socket is /tmp/agent-console-4711.sock"),
        "{said}"
    );
    assert!(said.contains("no service manager"), "{said}");
}
