//! Another user has taken what this user's daemon needs, in a `/tmp` that every user may write to: the command that `doctor`
//! names is run by the ordinary user, and afterwards the check is right.

use std::process::Command;

use crate::support::{program, service};

/// A `/tmp` and a `/run` of the script's own, the programs in `PATH`, and two users. `fixed NAME WORDS` is the test: the check is
/// wrong and says WORDS, its command runs, the check is right.
const SET_UP: &str = r#"
mount -t tmpfs -o mode=755 none /run
install -m 755 "$1" /run/agent-console
install -m 755 "$2" /run/agent-consoled
mount -t tmpfs -o mode=1777 none /tmp
mkdir -m 700 /tmp/ada /tmp/eve
mkdir -p /tmp/ada/.claude /tmp/ada/.config/agent-console
printf '[usage]\nenabled = false\n' >/tmp/ada/.config/agent-console/config.toml
cp /tmp/ada/.config/agent-console/config.toml /run/config
chown -R 4711:4711 /tmp/ada; chown 4712:4712 /tmp/eve
user() { setpriv --reuid "$1" --regid "$1" --clear-groups env -i PATH=/run:/usr/bin:/bin HOME="/tmp/$2" ${SET:-A=1} sh -c "$3"; }
ada() { user 4711 ada "cd; $1"; }
eve() { user 4712 eve "cd; $1"; }
cat >/run/check <<'END'
import json, sys
check = [c for c in json.load(open(sys.argv[1]))["checks"] if c["name"] == sys.argv[2]][0]
print(check[sys.argv[3]] if sys.argv[3] in check else "")
END
see() { ada "agent-console doctor --json || true" >/run/report; python3 /run/check /run/report "$1" "$2"; }
fixed() {
    [ "$(see "$1" level)" = wrong ]
    echo "$1: $(see "$1" what)"
    see "$1" what | grep -q "$2"
    fix=$(see "$1" fix)
    echo "   $fix"
    [ -n "$fix" ]
    ada "$fix" || true
    echo "   $(see "$1" level): $(see "$1" what)"
    [ "$(see "$1" level)" != wrong ]
}
again() {
    ada "agent-console stop --force" || true
    rm -rf /tmp/agent-console*
    cp /run/config /tmp/ada/.config/agent-console/config.toml
}
S=/tmp/agent-console.sock
"#;

#[track_caller]
fn run(script: &str) -> String {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test becomes other users: run it as root"
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
        .args(["sh", "-euc"])
        .arg(format!("{SET_UP}{script}"))
        .arg("sh")
        .args([program(), service()])
        .env_remove("AGENT_CONSOLE_SOCKET")
        .env_remove("XDG_RUNTIME_DIR")
        .current_dir("/")
        .output()
        .unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

#[test]
fn a_path_that_another_user_has_taken_is_left_for_another() {
    run(r#"
for what in "touch $S" "mkdir $S" "mkfifo $S" "ln -s /tmp/nothing $S" "ln -s /tmp/ada/other $S" \
    "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"$S\")'"; do
    eve "$what"
    fixed socket "belongs to user 4712"
    again
done
"#);
}

#[test]
fn a_lock_of_another_user_is_left_for_another_path() {
    run(r#"
eve "touch $S.lock"
fixed socket "its lock file $S.lock belongs to user 4712"
again
ada "mkdir $S.lock"
fixed socket "its lock file $S.lock is no regular file"
again
"#);
}

#[test]
fn the_path_of_roots_daemon_is_left_for_another() {
    run(r"
mkdir -p /run/superuser/.config/agent-console; cp /run/config /run/superuser/.config/agent-console/config.toml
HOME=/run/superuser PATH=/run:$PATH agent-console daemon & root=$!
until [ -S $S ]; do sleep 0.05; done
fixed socket root
kill $root; wait $root || true
again
");
}

/// `install` finds a third path, in the user's home, and moves away from one that it chose and that was taken later.
#[test]
fn with_both_usual_paths_taken_there_is_a_third() {
    run(r#"
eve "touch $S /tmp/agent-console-4711.sock"
fixed socket "belongs to user 4712"
grep -q "^socket = \"/tmp/ada/.config/agent-console/agent-console.sock\"" /tmp/ada/.config/agent-console/config.toml
ada "agent-console list"
again
eve "touch $S"
fixed socket "belongs to user 4712"
grep -q "agent-console-4711.sock\|XDG_RUNTIME_DIR" /tmp/ada/.config/agent-console/config.toml
ada "agent-console stop --force"
eve "touch /tmp/agent-console-4711.sock"
fixed socket "belongs to user 4712"
ada "agent-console uninstall --service" || true
cmp /run/config /tmp/ada/.config/agent-console/config.toml
again
"#);
}

#[test]
fn a_path_of_the_environment_that_was_taken_is_unset() {
    run(r#"
eve "touch /tmp/other.sock"
SET=AGENT_CONSOLE_SOCKET=/tmp/other.sock
[ "$(see socket level)" = wrong ]
fix=$(see socket fix)
echo "$fix"
ada "$fix; agent-console doctor --json >/tmp/ada/report || true"
[ "$(python3 /run/check /tmp/ada/report socket level)" = ok ]
SET=
again
"#);
}

#[test]
fn a_file_of_ones_own_at_the_path_is_moved() {
    run(r#"
for what in "touch $S" "mkdir $S" "mkfifo $S" "ln -s $S $S"; do
    ada "$what"
    fix=$(see socket fix)
    [ "$fix" = "mv $S $S.old" ]
    ada "$fix"
    fixed socket "there is no socket"
    again
done
"#);
}

#[test]
fn settings_that_are_no_readable_file_are_named_once_and_replaced() {
    let said = run(r#"
F=/tmp/ada/.claude/settings.json
for what in "ln -s settings.json $F" "mkdir $F" "mkfifo $F" "touch $F; chmod 0 $F" "touch $F; chmod 0 /tmp/ada/.claude"; do
    ada "$what"
    fixed_or_missing() {
        [ "$(see hooks level)" = wrong ]
        echo "hooks: $(see hooks what)"
        fix=$(see hooks fix)
        echo "   $fix"
        ada "$fix"
        # What was unreadable may lack the hooks.
        [ "$(see hooks level)" != wrong ] || ada "$(see hooks fix)"
        [ "$(see hooks level)" != wrong ]
    }
    fixed_or_missing
    ada "agent-console uninstall --hooks; rm -rf $F $F.old"
done
touch $F; chown 4712 $F; chmod 600 $F
fixed hooks "Permission denied"
"#);
    for line in said.lines().filter(|line| line.starts_with("hooks: ")) {
        assert!(line.matches("os error").count() <= 1, "{line}");
    }
}

#[test]
fn a_configuration_that_is_no_readable_file_is_fixed() {
    run(r#"
D=/tmp/ada/.config/agent-console; F=$D/config.toml
ada "agent-console daemon --daemonize"
for what in "ln -sf config.toml $F" "rm $F; mkdir $F" "rm $F; mkfifo $F" "chmod 0 $F" "chmod 0 $D" "echo 'log = 1' >$F"; do
    ada "$what"
    SET=EDITOR=true
    case $what in echo*) SET="EDITOR=/run/editor"; printf '#!/bin/sh\n: >"$1"\n' >/run/editor; chmod 755 /run/editor ;; esac
    fixed config config.toml
    SET=
    chmod 700 $D; rm -rf $F $F.old; cp /run/config $F; chown 4711 $F
done
"#);
}
