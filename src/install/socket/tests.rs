use super::*;
use crate::config::TEMPLATE;
use std::os::unix::net::UnixListener;

const OWN: &str = "/run/user/1000/agent-console.sock";

fn added(text: Option<&str>) -> String {
    with_line(text, Path::new(OWN), 2).unwrap()
}

#[test]
fn the_line_goes_in_and_out_and_nothing_else_changes() {
    for text in [
        "",
        "\n",
        TEMPLATE,
        "history = 5",
        "# mine\r\nlog = \"debug\"\r\n[usage]\r\ninterval = \"5min\"\r\n",
        "[usage]\ninterval = \"5min\"\n",
        "\u{feff}history = 5\n",
        "# socket = \"/x\"\nrecord_prompts = false # für mich\n\n\n",
    ] {
        let with = added(Some(text));
        let config = Config::parse(&with, Path::new("config.toml")).unwrap();
        assert_eq!(config.socket, Path::new(OWN), "{with}");
        let expected = Config::parse(text, Path::new("config.toml")).unwrap();
        assert_eq!(config.history, expected.history);
        assert_eq!(without_line(&with), Some((text.to_owned(), None)));
    }
}

#[test]
fn a_file_that_was_made_for_the_line_goes_with_it() {
    let with = added(None);
    assert_eq!(without_line(&with), Some((String::new(), Some(2))));
    // Not if a person has added to it.
    let more = with + "history = 5\n";
    let rest = "history = 5\n".to_owned();
    assert_eq!(without_line(&more), Some((rest, Some(2))));
}

#[test]
fn a_line_that_is_not_ours_stays() {
    for text in [
        "socket = \"/x\"\n",
        "# Written by `agent-console install`; `agent-console uninstall` takes it out again.\n",
        "# Written by `agent-console install`\nhistory = 5\nsocket = \"/x\"\n",
        "history = 5 # Written by `agent-console install`\nsocket = \"/x\"\n",
    ] {
        assert_eq!(without_line(text), None, "{text}");
    }
}

#[test]
fn strange_paths_are_written_so_that_they_are_read() {
    for path in ["/with \"quotes\"", "/back\\slash", "/ünï 日本", "/tab\t"] {
        let text = with_line(Some("history = 5\n"), Path::new(path), 0).unwrap();
        let config = Config::parse(&text, Path::new("config.toml")).unwrap();
        assert_eq!(config.socket, Path::new(path), "{text}");
        assert!(without_line(&text).is_some(), "{text}");
    }
}

#[test]
fn who_comes_first_decides() {
    let place = tempfile::tempdir().unwrap();
    let default = place.path().join("default");
    let (flag, given) = (Path::new("/run/flag"), Path::new("/run/given"));
    let path = |flag, given| decide(flag, given, &candidates(&default)).map(|choice| choice.path);
    assert_eq!(path(None, None).unwrap(), default);
    assert_eq!(path(None, Some(given)).unwrap(), given);
    assert_eq!(path(Some(flag), None).unwrap(), flag);
    assert_eq!(path(Some(flag), Some(flag)).unwrap(), flag);
    let error = path(Some(flag), Some(given)).unwrap_err().to_string();
    assert!(error.contains("/run/given differ"), "{error}");

    // A socket of one's own: a daemon's that runs, or one that it left behind.
    let listener = UnixListener::bind(&default).unwrap();
    assert_eq!(path(None, None).unwrap(), default);
    drop(listener);
    fs::remove_file(&default).unwrap();

    // The user's own file is not replaced, either.
    fs::write(&default, "mine").unwrap();
    let choice = decide(None, None, &candidates(&default)).unwrap();
    assert_eq!(choice.path, own());
    assert!(
        choice.notes[0].contains("is no socket: the socket is"),
        "{choice:?}"
    );
    let error = path(None, Some(&default)).unwrap_err().to_string();
    assert!(error.contains("choose another path"), "{error}");
}

/// A daemon without a service manager cannot serve the path then. A manager needs no lock.
#[test]
fn a_lock_file_that_cannot_be_used_leads_to_another_path() {
    let place = tempfile::tempdir().unwrap();
    let default = place.path().join("default");
    let lock = place.path().join("default.lock");
    let path = || decide(None, None, &candidates(&default)).unwrap().path;
    // A daemon's of one's own.
    fs::write(&lock, "").unwrap();
    assert_eq!(path(), default);

    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let choice = decide(None, None, &candidates(&default)).unwrap();
    assert_eq!(choice.path, own());
    assert!(
        choice.notes[0].contains("default.lock is no regular file"),
        "{choice:?}"
    );
    let listener = UnixListener::bind(&default).unwrap();
    assert_eq!(path(), default);
    drop(listener);
    assert_eq!(path(), own());
}
