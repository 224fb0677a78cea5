//! Units that are there already, programs that are replaced or lie in strange places, managers that are not reached.

use super::*;

const SOCKET: &str = "agent-console.socket";
const SERVICE: &str = "agent-console.service";

/// The user's files after an upgrade of the program: the daemon that runs is the old one.
#[test]
fn a_newer_program_takes_over() {
    as_user(this_test!(), ":", |user| {
        user.ok(&["install", "--service"]);
        let before = user.json(&["status", "--json"])["pid"].clone();
        let new = user.home.join("new");
        for program in [user.installed(), user.installed_service()] {
            fs::copy(&program, &new).unwrap();
            fs::rename(&new, program).unwrap();
        }
        let said = user.ok(&["install", "--service"]);
        assert!(
            said.contains("ran systemctl --user try-restart agent-console.service"),
            "{said}"
        );
        assert_ne!(user.json(&["status", "--json"])["pid"], before);
        assert_eq!(
            user.ok(&["install", "--service"]),
            "service: nothing to do\n"
        );
    });
}

#[test]
fn the_first_versions_units_are_brought_up_to_date() {
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let copy = format!(
        "install -d -o 4711 \"$HOME/.config\" \"$HOME/.config/systemd\" \"$HOME/.config/systemd/user\"
         install -m 644 -o 4711 {}/* \"$HOME/.config/systemd/user\"",
        packaged.display()
    );
    as_user(this_test!(), &copy, |user| {
        user.systemctl(&["daemon-reload"]);
        user.systemctl(&["enable", "--now", SOCKET]);
        user.ok(&["list"]);
        let said = user.ok(&["install", "--service"]);
        assert!(
            said.contains("changed ") && said.contains("daemon-reload"),
            "{said}"
        );
        assert_eq!(user.property(SOCKET, "ActiveState"), "active");
        user.ok(&["list"]);
        assert_eq!(
            user.ok(&["install", "--service"]),
            "service: nothing to do\n"
        );
        user.ok(&["uninstall", "--service"]);
        assert!(!user.unit(SOCKET).exists() && !user.unit(SERVICE).exists());
        assert!(user.unit("").exists(), "not made by the installer");
    });
}

/// Units of before the service was a program of its own, as that installer wrote them and as they were copied by hand.
#[test]
fn units_that_start_the_command_are_brought_up_to_date() {
    as_user(this_test!(), ":", |user| {
        let service = user.installed_service();
        let aside = service.with_extension("aside");
        for by_hand in [false, true] {
            fs::rename(&service, &aside).unwrap();
            let said = user.ok(&["install", "--service"]);
            assert!(said.contains("there is no agent-consoled beside"), "{said}");
            let unit = fs::read_to_string(user.unit(SERVICE)).unwrap();
            let start = format!("\nExecStart={} daemon\n", user.installed().display());
            assert!(unit.contains(&start), "{unit}");
            if by_hand {
                let packaged = include_str!("../../../packaging/systemd/agent-console.service");
                let former = packaged.replace("agent-consoled\n", "agent-console daemon\n");
                fs::write(user.unit(SERVICE), former).unwrap();
                user.systemctl(&["daemon-reload"]);
            }
            let pid = user.json(&["status", "--json"])["pid"].to_string();
            let running = || fs::read_link(format!("/proc/{pid}/exe")).unwrap();
            assert_eq!(running(), user.installed());

            fs::rename(&aside, &service).unwrap();
            let said = user.ok(&["install", "--service"]);
            assert!(
                said.contains("ran systemctl --user try-restart agent-console.service"),
                "{said}"
            );
            let unit = fs::read_to_string(user.unit(SERVICE)).unwrap();
            let start = format!("\nExecStart={}\n", service.display());
            assert!(unit.contains(&start), "{unit}");
            let pid = user.json(&["status", "--json"])["pid"].to_string();
            let running = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
            assert_eq!(running, service);
            assert_eq!(
                user.ok(&["install", "--service"]),
                "service: nothing to do\n"
            );
            user.ok(&["uninstall", "--service"]);
        }
    });
}

#[test]
fn units_that_were_edited_stay() {
    as_user(this_test!(), ":", |user| {
        user.ok(&["install", "--service"]);
        let unit = user.unit(SERVICE);
        let text = fs::read_to_string(&unit).unwrap() + "Environment=MINE=1\n";
        fs::write(&unit, &text).unwrap();
        let said = user.ok(&["install", "--service"]);
        assert!(
            said.contains("is yours, or was edited, and stays as it is"),
            "{said}"
        );
        assert_eq!(fs::read_to_string(&unit).unwrap(), text);
        let said = user.ok(&["uninstall", "--service"]);
        assert!(said.contains("stays; remove it yourself"), "{said}");
        assert_eq!(fs::read_to_string(&unit).unwrap(), text);
        assert!(!user.unit(SOCKET).exists());
        assert_eq!(user.property(SOCKET, "ActiveState"), "inactive");
    });
}

#[test]
fn a_packages_units_are_used_and_not_covered() {
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let prepare = format!(
        "mkdir -p /run/systemd/user; install -m 644 {}/* /run/systemd/user",
        packaged.display()
    );
    as_user(this_test!(), &prepare, |user| {
        let before = listing(&user.home);
        let said = user.ok(&["install", "--service"]);
        assert!(
            said.contains("ran systemctl --user enable --now agent-console.socket"),
            "{said}"
        );
        assert!(!user.unit(SOCKET).is_file() && !user.unit(SERVICE).exists());
        assert_eq!(user.json(&["status", "--json"])["origin"], "systemd");
        assert_eq!(
            user.ok(&["install", "--service"]),
            "service: nothing to do\n"
        );
        let said = user.ok(&["uninstall", "--service"]);
        assert!(said.contains("is a package's and stays"), "{said}");
        assert_eq!(user.property(SOCKET, "ActiveState"), "inactive");
        let after = listing(&user.home);
        let left: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        assert!(
            left.iter().all(|line| line.contains("/.config")),
            "{left:?}"
        );

        // Another program than the package's: units of its own.
        let other = user.home.join("agent-console");
        fs::copy(user.installed(), &other).unwrap();
        let output = home::run(Command::new(&other).args(["install", "--service"]));
        assert!(output.status.success(), "{}", shown(&output));
        assert!(user.unit(SERVICE).exists() && !user.unit(SOCKET).exists());
        assert_eq!(
            user.property(SERVICE, "FragmentPath"),
            user.unit(SERVICE).to_str().unwrap()
        );
        user.ok(&["uninstall", "--service"]);
    });
}

#[test]
fn a_program_in_a_strange_place_is_started() {
    as_user(this_test!(), ":", |user| {
        for name in [
            "a b",
            "100%h",
            "$HOME",
            "für 日本",
            "semi;colon",
            "#",
            "@!-:+",
        ] {
            let directory = user.home.join(name);
            fs::create_dir(&directory).unwrap();
            let strange = directory.join("agent-console");
            let service = directory.join("agent-consoled");
            fs::copy(user.installed(), &strange).unwrap();
            fs::copy(user.installed_service(), &service).unwrap();
            let install = || home::run(Command::new(&strange).args(["install", "--service"]));
            let output = install();
            assert!(output.status.success(), "{}", shown(&output));
            let pid = user.json(&["status", "--json"])["pid"].to_string();
            assert_eq!(fs::read_link(format!("/proc/{pid}/exe")).unwrap(), service);
            assert_eq!(shown(&install()), "service: nothing to do\n");
        }
        user.ok(&["uninstall", "--service"]);

        let refused = user.home.join("it's");
        fs::create_dir(&refused).unwrap();
        fs::copy(user.installed(), refused.join("agent-console")).unwrap();
        let output =
            home::run(Command::new(refused.join("agent-console")).args(["install", "--service"]));
        assert_eq!(output.status.code(), Some(1));
        assert!(
            shown(&output).contains("it's/agent-console: systemd starts no program"),
            "{}",
            shown(&output)
        );
        assert!(!user.unit(SOCKET).exists());
    });
}

#[test]
fn a_manager_that_looks_elsewhere_or_does_not_answer_is_not_left_with_half() {
    as_user(this_test!(), ":", |user| {
        let elsewhere = user.home.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let before = listing(&user.home);
        let output = home::run(
            Command::new(user.installed())
                .args(["install", "--service"])
                .env("HOME", &elsewhere),
        );
        assert_eq!(output.status.code(), Some(1));
        assert!(
            shown(&output).contains("does not look for units in"),
            "{}",
            shown(&output)
        );
        assert_eq!(listing(&user.home), before);

        user.ok(&["install", "--service"]);
        let installed = listing(&user.home);
        let output = home::run(
            Command::new(user.installed())
                .args(["uninstall", "--service"])
                .env_remove("XDG_RUNTIME_DIR")
                .env_remove("DBUS_SESSION_BUS_ADDRESS"),
        );
        assert_eq!(output.status.code(), Some(1));
        assert!(
            shown(&output).contains("no systemd answers"),
            "{}",
            shown(&output)
        );
        assert_eq!(listing(&user.home), installed);
        user.ok(&["uninstall", "--service"]);
        assert_eq!(listing(&user.home), before);
    });
}

/// As a socket that was triggered too often.
#[test]
fn a_service_that_failed_is_started_again() {
    as_user(this_test!(), ":", |user| {
        user.ok(&["install", "--service"]);
        let drop_in = user.unit("agent-console.service.d/broken.conf");
        fs::create_dir(drop_in.parent().unwrap()).unwrap();
        fs::write(
            &drop_in,
            "[Service]\nExecStart=\nExecStart=/bin/true\nRestart=no\n",
        )
        .unwrap();
        user.systemctl(&["daemon-reload"]);
        until("the socket to fail", || {
            let _ = std::os::unix::net::UnixStream::connect("/tmp/agent-console.sock");
            (user.property(SOCKET, "ActiveState") == "failed").then_some(())
        });
        let said = user.ok(&["install", "--service"]);
        assert!(
            said.contains("a drop-in changes agent-console.service"),
            "{said}"
        );
        fs::remove_file(&drop_in).unwrap();
        fs::remove_dir(drop_in.parent().unwrap()).unwrap();
        let said = user.ok(&["install", "--service"]);
        assert!(said.contains("daemon-reload"), "{said}");
        assert_eq!(user.json(&["status", "--json"])["origin"], "systemd");
        user.ok(&["uninstall", "--service"]);
    });
}

/// Without lingering systemd ends the service with the last logout, and agents in tmux run on.
#[test]
fn a_service_that_ends_with_the_last_logout_is_noted() {
    // logind's own program and its directory, which only root writes to.
    const LOGIND: &str = "mkdir -p /var/lib/systemd
mount -t tmpfs -o mode=755 none /var/lib/systemd; mkdir -m 777 /var/lib/systemd/linger
printf '#!/bin/sh\ntouch /var/lib/systemd/linger/$(id -un)\n' >$HOME/.cargo/bin/loginctl
chmod 755 $HOME/.cargo/bin/loginctl";
    as_user(this_test!(), LOGIND, |user| {
        let said = user.ok(&["install", "--service"]);
        assert!(said.contains("`loginctl enable-linger`"), "{said}");
        let check = || {
            let output = user.program(&["doctor", "--json"]);
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            crate::doctor::named(&report, "service").clone()
        };
        let noted = check();
        assert_eq!(noted["level"], "note", "{noted}");
        let fix = noted["fix"].as_str().unwrap();
        let path = format!(
            "{}:/usr/bin:/bin",
            user.installed().parent().unwrap().display()
        );
        let fixed = home::run(Command::new("sh").args(["-c", fix]).env("PATH", path));
        assert!(fixed.status.success(), "{}", shown(&fixed));
        assert_eq!(check()["level"], "ok");
        user.ok(&["uninstall", "--service"]);
        let said = user.ok(&["install", "--service"]);
        assert!(!said.contains("linger"), "{said}");
    });
}
