//! The file's settings, each mistake with its place, the choice of the socket.

use super::socket::choose_socket;
use super::*;
use crate::reminders::Causes;
use std::fs;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("config.toml"))
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn home() -> PathBuf {
    variable("HOME").unwrap().into()
}

/// The template with the "#" taken from each line that shows a setting.
fn uncommented() -> String {
    template()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest,
            _ => line,
        })
        .map(ToOwned::to_owned)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(parse("").unwrap(), Config::default());
    assert_eq!(parse(&template()).unwrap(), Config::default());
    assert_eq!(parse("[usage]").unwrap(), Config::default());
}

#[test]
fn the_template_shows_every_default() {
    let given = FileConfig::parse(&uncommented(), Path::new("config.toml")).unwrap();
    assert!(given.socket.is_some());
    assert!(given.idle_timeout.is_some());
    assert!(given.history.is_some());
    assert!(given.log.is_some());
    assert!(given.record_prompts.is_some());
    assert!(given.persist.is_some());
    assert!(given.attention.background_shell.is_some());
    assert!(given.dashboard.bell.is_some());
    assert!(given.usage.enabled.is_some());
    assert!(given.usage.interval.is_some());
    assert!(given.attention.quiet_after.is_some());
    assert!(given.attention.quiet.is_some());
    for agent in agents::ALL {
        assert!(given.agents[agent.name].config_dirs.is_some());
    }
    assert_eq!(Config::from(given), Config::default());
}

#[test]
fn every_setting_is_read() {
    let config = parse(
        r#"
        socket = "/run/user/1000/ac.sock"
        idle_timeout = "1h 30min"
        history = 0x10
        log = "debug"
        record_prompts = false
        persist = false
        attention = { background_shell = false, quiet_after = "1h", quiet = true }
        dashboard.bell = "notify"
        usage = { interval = "5min", enabled = false }
        notify = { desktop = true, command = "cat", delay = "2s", repeat = "5min", for = ["error"], finished_after = "0" }
        agents.claude-code.config_dirs = ["/a", "~/b", "~"]
        "#,
    )
    .unwrap();
    assert_eq!(
        config,
        Config {
            socket: "/run/user/1000/ac.sock".into(),
            idle_timeout: Some(Duration::from_mins(90)),
            history: 16,
            log: LogLevel::Debug,
            record_prompts: false,
            persist: false,
            attention: Attention {
                background_shell: false,
                quiet_after: Some(Duration::from_hours(1)),
                quiet: true,
            },
            dashboard_bell: DashboardBell::Notify,
            usage_enabled: false,
            usage_interval: Duration::from_mins(5),
            notify: Notify {
                desktop: true,
                command: Some("cat".into()),
                delay: Duration::from_secs(2),
                repeat: Some(Duration::from_mins(5)),
                causes: Causes {
                    waiting: false,
                    error: true,
                    finished: false,
                },
                finished_after: Duration::ZERO,
            },
            agent_dirs: [(
                "claude-code".into(),
                vec!["/a".into(), home().join("b"), home()]
            )]
            .into(),
        }
    );
    for level in LogLevel::ALL {
        assert_eq!(
            parse(&format!("log = {:?}", level.as_str())).unwrap().log,
            level
        );
    }
    assert_eq!(parse("log = \"trace\"").unwrap().log, LogLevel::Debug);
    for bell in DashboardBell::ALL {
        let text = format!("dashboard.bell = {:?}", bell.as_str());
        assert_eq!(parse(&text).unwrap().dashboard_bell, bell);
    }
}

#[test]
fn a_dashboard_reads_its_table_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    assert_eq!(file::dashboard_bell_of(&path).unwrap(), None);
    fs::write(&path, "log = 7\n[dashboard]\nbell = \"off\"\n").unwrap();
    let bell = file::dashboard_bell_of(&path).unwrap();
    assert_eq!(bell, Some(DashboardBell::Off));
    fs::write(&path, "[dashboard]\nbell = \"loud\"\n").unwrap();
    let error = file::dashboard_bell_of(&path).unwrap_err().to_string();
    let said = r#"config.toml:2:8: dashboard.bell: "loud" is none of "off", "bell" and "notify""#;
    assert!(error.ends_with(said), "{error}");
}

#[test]
fn zero_is_never() {
    for text in ["0", "\"0\"", "\" 0 \"", "\"0s\""] {
        let config = parse(&format!("idle_timeout = {text}")).unwrap();
        assert_eq!(config.idle_timeout, None, "{text}");
        let config = parse(&format!("attention.quiet_after = {text}")).unwrap();
        assert_eq!(config.attention.quiet_after, None, "{text}");
        let config = parse(&format!("notify.repeat = {text}")).unwrap();
        assert_eq!(config.notify.repeat, None, "{text}");
    }
}

const MISTAKES: &[(&str, &str)] = &[
    (
        "idle_timeout = \"soon\"",
        "config.toml:1:16: idle_timeout: \"soon\" is no duration (",
    ),
    (
        "\n\nidle_timeout = 60",
        "config.toml:3:16: idle_timeout: 60 has no unit; write one like",
    ),
    (
        "idle_timeout = true",
        "config.toml:1:16: idle_timeout: expected a duration in quotes",
    ),
    (
        "idle_timeout = \"367days\"",
        "config.toml:1:16: idle_timeout: more than 366 days",
    ),
    (
        "idle_timeout = \"99999999999999999999s\"",
        "config.toml:1:16: idle_timeout: ",
    ),
    (
        "idle_timeout = -1",
        "config.toml:1:16: idle_timeout: -1 has no unit",
    ),
    (
        "history = 0",
        "config.toml:1:11: history: 0 is out of range; it must be 1 to 256",
    ),
    (
        "history = 257",
        "config.toml:1:11: history: 257 is out of range",
    ),
    (
        "history = -1",
        "config.toml:1:11: history: -1 is out of range",
    ),
    (
        "history = 99999999999999999999",
        "config.toml:1:11: history: ",
    ),
    (
        "history = \"32\"",
        "config.toml:1:11: history: expected a whole number, found string",
    ),
    (
        "log = \"loud\"",
        "config.toml:1:7: log: \"loud\" is no level; write \"error\", \"warn\", \"info\" or \"debug\"",
    ),
    (
        "log = 3",
        "config.toml:1:7: log: 3 is no level; write \"error\", \"warn\"",
    ),
    (
        "record_prompts = \"yes\"",
        "config.toml:1:18: record_prompts: invalid type: string \"yes\", expected a boolean",
    ),
    (
        "socket = \"ac.sock\"",
        "config.toml:1:10: socket: \"ac.sock\" is not an absolute path",
    ),
    (
        "socket = \"~/ac.sock\"",
        "config.toml:1:10: socket: \"~/ac.sock\" is not an absolute path",
    ),
    (
        "socket = \"/a\\u0000b\"",
        "config.toml:1:10: socket: \"/a\\0b\" contains a zero byte",
    ),
    (
        "socket = 1",
        "config.toml:1:10: socket: invalid type: integer `1`, expected path string",
    ),
    (
        "[usage]\ninterval = \"59s\"",
        "config.toml:2:12: usage.interval: \"59s\" is out of range; it must be 1min to 24h",
    ),
    (
        "[usage]\ninterval = 3",
        "config.toml:2:12: usage.interval: 3 has no unit; write one like \"3min\"",
    ),
    (
        "[notify]\ndelay = \"1s\"",
        "config.toml:2:9: notify.delay: \"1s\" is out of range; it must be 2s to 1h",
    ),
    (
        "[notify]\nrepeat = \"30s\"",
        "config.toml:2:10: notify.repeat: \"30s\" is out of range; it must be 1min to 24h, or \"0\"",
    ),
    (
        "[notify]\nfor = [\"waiting\", \"asking\"]",
        "config.toml:2:7: notify.for: \"asking\" is none of them; write some of \"waiting\", \"error\" and \"finished\"",
    ),
    (
        "[notify]\nfor = \"error\"",
        "config.toml:2:7: notify.for: expected a list, found string; write some of",
    ),
    (
        "[notify]\ncommand = \"a\\u0000b\"",
        "config.toml:2:11: notify.command: the command contains a zero byte",
    ),
    (
        "[usage]\nevery = 3",
        "config.toml:2:1: usage: unknown field `every`, expected `enabled` or `interval`",
    ),
    (
        "[usage]\nenabled = \"no\"",
        "config.toml:2:11: usage.enabled: invalid type: string \"no\", expected a boolean",
    ),
    (
        "usage = 3",
        "config.toml:1:9: usage: invalid type: integer `3`, expected a table, [usage]",
    ),
    (
        "[agents.claude]\nconfig_dirs = []",
        "config.toml:1:9: agents: there is no agent \"claude\", only claude-code",
    ),
    (
        "[agents.claude-code]\ndirs = []",
        "config.toml:2:1: agents.claude-code: unknown field `dirs`, expected `config_dirs`",
    ),
    (
        "[agents.claude-code]\nconfig_dirs = [\"/a\", \"work\"]",
        "config.toml:2:15: agents.claude-code.config_dirs: \"work\" is not an absolute path; write one",
    ),
    (
        "[agents.claude-code]\nconfig_dirs = [\"~ada/x\"]",
        "config.toml:2:15: agents.claude-code.config_dirs: \"~ada/x\" is not an absolute path",
    ),
    (
        "[agents.claude-code]\nconfig_dirs = \"/a\"",
        "config.toml:2:15: agents.claude-code.config_dirs: expected a list of directories, found string",
    ),
    (
        "[agents.claude-code]\nconfig_dirs = [1]",
        "config.toml:2:15: agents.claude-code.config_dirs: 1 is no path",
    ),
    (
        "history = 5\nidle-timeout = 5",
        "config.toml:2:1: unknown field `idle-timeout`, expected one of `socket`, `idle_timeout`, ",
    ),
    ("# é\nhistory = 5\n  é = 5", "config.toml:3:3: "),
    ("history = ", "config.toml:1:"),
    ("history = 1\nhistory = 2", "config.toml:2:1: "),
];

#[test]
fn a_mistake_is_reported_with_its_place() {
    for &(text, begin) in MISTAKES {
        let message = error(text);
        assert!(message.starts_with(begin), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{text:?}: {message}");
    }
    let long = format!("socket = \"/{}\"", "x".repeat(LONGEST_PATH));
    assert!(error(&long).contains("bytes long; a socket's path has at most"));
}

#[test]
fn the_first_mistake_in_the_file_is_reported() {
    for (text, place) in [
        ("record_prompts = 1\nhistory = 0\n", "1:18"),
        ("record_prompts = 1\nhistory = 0\nunknown = 2\n", "1:18"),
        ("zoom = 1\nhistory = 0\n", "1:1"),
        (
            "[usage]\ninterval = 1\nenabled = 2\n[zoom]\n[another]\n",
            "2:12",
        ),
    ] {
        let message = error(text);
        assert!(
            message.starts_with(&format!("config.toml:{place}: ")),
            "{text:?}: {message}"
        );
    }
}

#[test]
fn the_snippet_marks_the_place() {
    let error = parse("\n\thistory = 0 # é\n").unwrap_err();
    assert_eq!(
        error.snippet().unwrap(),
        "    \thistory = 0 # é\n    \t          ^"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_one_that_is_not_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(FileConfig::load(Some(&dir.path().join("none"))).is_ok());
    assert!(FileConfig::load(None).is_ok());
    let error = FileConfig::load(Some(dir.path())).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    let file = dir.path().join("config.toml");
    fs::write(&file, b"history = 3\nlog = \"\xff\"\n").unwrap();
    let error = FileConfig::load(Some(&file)).unwrap_err().to_string();
    assert!(
        error.ends_with("config.toml:2:8: not UTF-8, which TOML must be"),
        "{error}"
    );
}

#[test]
fn the_socket_is_chosen_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, "socket = \"/file.sock\"\nidle_timeout = \"wrong\"").unwrap();
    let choose = |flag: Option<&str>, variable: Option<&str>, file: Option<&Path>| {
        choose_socket(flag.map(Path::new), variable.map(Into::into), file)
            .map(|choice| (choice.path.display().to_string(), choice.source))
    };
    let all = choose(Some("/flag.sock"), Some("/env.sock"), Some(&file)).unwrap();
    assert_eq!(all, ("/flag.sock".to_owned(), Source::Flag));
    let no_flag = choose(None, Some("/env.sock"), Some(&file)).unwrap();
    assert_eq!(no_flag, ("/env.sock".to_owned(), Source::Environment));
    let no_variable = choose(None, None, Some(&file)).unwrap();
    assert_eq!(no_variable, ("/file.sock".to_owned(), Source::File));
    let default = (DEFAULT_SOCKET.to_owned(), Source::Default);
    assert_eq!(
        choose(None, None, Some(Path::new("/nonexistent/file"))).unwrap(),
        default
    );
    assert_eq!(choose(None, None, None).unwrap(), default);

    let (relative, _) = choose(Some("here.sock"), None, None).unwrap();
    assert!(
        relative.starts_with('/') && relative.ends_with("/here.sock"),
        "{relative}"
    );
    let error = choose(None, Some("here.sock"), None)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("$AGENT_CONSOLE_SOCKET: \"here.sock\" is not an absolute"),
        "{error}"
    );
    fs::write(&file, "socket = nonsense").unwrap();
    assert!(choose(None, None, Some(&file)).is_err());
    assert!(
        choose(None, Some("/env.sock"), Some(&file)).is_ok(),
        "the file is not looked at"
    );
}

#[test]
fn the_file_lies_where_xdg_says() {
    let path = |xdg: Option<&str>, home: Option<&str>| {
        path_in(xdg.map(Into::into), home.map(Into::into)).map(|path| path.display().to_string())
    };
    let in_home = Some("/home/u/.config/agent-console/config.toml".to_owned());
    assert_eq!(
        path(Some("/x"), Some("/home/u")),
        Some("/x/agent-console/config.toml".to_owned())
    );
    assert_eq!(path(None, Some("/home/u")), in_home);
    assert_eq!(path(Some("relative"), Some("/home/u")), in_home);
    assert_eq!(path(None, Some("relative")), None);
    assert_eq!(path(None, None), None);
}
