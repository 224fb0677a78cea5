//! The configuration file, and whether the daemon has read it.

use std::fs;

use super::super::fix::edit;
use super::super::{Level, config};
use super::{answers, commands, is};
use crate::config::Config;
use crate::protocol::Origin;

#[test]
fn the_configuration_is_right_and_the_daemons_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, "").unwrap();
    let seen = |config| config::Probe {
        path: Some(path.clone()),
        config: Some(config),
        daemons: Some(path.clone()),
    };
    let told = answers(Origin::SelfBound);
    let commands = commands();
    let daemon = Some((&told, &commands));
    let right = || seen(Config::parse("", &path));
    is(
        &config::evaluate(&right(), daemon),
        Level::Ok,
        "config.toml",
        None,
    );
    is(
        &config::evaluate(&right(), None),
        Level::Ok,
        "config.toml",
        None,
    );

    let broken = seen(Config::parse("log = 1", &path));
    is(
        &config::evaluate(&broken, None),
        Level::Wrong,
        "config.toml:1:7: log: ",
        Some(&edit(&path)),
    );
    let changed = seen(Config::parse("idle_timeout = \"2h\"", &path));
    is(
        &config::evaluate(&changed, daemon),
        Level::Wrong,
        "changed since",
        Some("kill -HUP 7"),
    );
    let mut others = right();
    others.daemons = Some("/elsewhere/config.toml".into());
    is(
        &config::evaluate(&others, daemon),
        Level::Wrong,
        "the daemon reads /elsewhere/config.toml",
        Some("agent-console stop && agent-console daemon --daemonize"),
    );
    fs::remove_file(&path).unwrap();
    is(
        &config::evaluate(&others, daemon),
        Level::Ok,
        "the defaults count",
        None,
    );
}
