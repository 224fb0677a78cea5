//! `agent-console config path|show|check|init`: where the settings lie, what they come to, what is wrong, a first file.
//!
//! Each function writes what a person or a script should see to `out`, and answers failure with an error that says what
//! to do next; exit codes and standard error are the caller's. Knows the settings through `crate::config` alone.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::agents;
use crate::config::{self, Config, FileConfig, Source, template};

/// Shown below `config --help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console config init               create a commented file with the defaults
  agent-console config check              check the file after a change
  agent-console config show               print the settings in effect, and the source of each";

/// Prints the configuration file's path, whether or not the file is there.
///
/// # Errors
/// Neither `XDG_CONFIG_HOME` nor `HOME` is set to an absolute path, or `out` fails.
pub(crate) fn path(out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{}", file()?.display())?;
    Ok(())
}

/// Prints the settings in force as TOML, each with a comment that says where its value comes from. `socket_flag` is
/// `--socket`, if file.
///
/// # Errors
/// The file cannot be read or is wrong, the chosen socket is unusable, or `out` fails.
pub(crate) fn show(socket_flag: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    let file = FileConfig::load(config::path().as_deref())?;
    let socket = config::socket_path(socket_flag)?;
    print(file, &socket, out)?;
    Ok(())
}

/// Says that the file is right, or that there is none, which is right too.
///
/// # Errors
/// The file cannot be read, or is wrong: then the error names the place of the mistake, and its
/// [`snippet`](config::ConfigError::snippet) shows it.
pub(crate) fn check(out: &mut impl Write) -> anyhow::Result<()> {
    let file = file()?;
    check_file(&file, out)
}

/// Writes the commented template, readable by its owner only, and says where. Missing directories are created.
///
/// # Errors
/// There is a file already (it is left as it is), or a file or directory cannot be created.
pub(crate) fn init(out: &mut impl Write) -> anyhow::Result<()> {
    let file = file()?;
    create(&file)?;
    writeln!(out, "wrote {}", file.display())?;
    Ok(())
}

fn file() -> anyhow::Result<PathBuf> {
    config::path().context(
        "there is no place for a configuration file: set HOME or XDG_CONFIG_HOME to an absolute path",
    )
}

fn print(file: FileConfig, socket: &config::SocketChoice, out: &mut impl Write) -> io::Result<()> {
    let from = |in_file: bool| {
        if in_file {
            Source::File
        } else {
            Source::Default
        }
        .as_str()
    };
    let timeout = from(file.idle_timeout.is_some());
    let history = from(file.history.is_some());
    let log = from(file.log.is_some());
    let record = from(file.record_prompts.is_some());
    let persist = from(file.persist.is_some());
    let shell = from(file.attention.background_shell.is_some());
    let bell = from(file.dashboard.bell.is_some());
    let enabled = from(file.usage.enabled.is_some());
    let interval = from(file.usage.interval.is_some());
    let quiet_after = from(file.attention.quiet_after.is_some());
    let quiet = from(file.attention.quiet.is_some());
    let desktop = from(file.notify.desktop.is_some());
    let command = from(file.notify.command.is_some());
    let delay = from(file.notify.delay.is_some());
    let repeat = from(file.notify.repeat.is_some());
    let causes = from(file.notify.causes.is_some());
    let finished_after = from(file.notify.finished_after.is_some());
    let config_dirs: Vec<_> = agents::ALL
        .iter()
        .map(|agent| {
            let table = file.agents.get(agent.name);
            from(table.is_some_and(|table| table.config_dirs.is_some()))
        })
        .collect();
    let config = Config::from(file);
    let time = |time: Option<Duration>| {
        let never = || "0".to_owned();
        time.map_or_else(never, |time| humantime::format_duration(time).to_string())
    };
    let idle = time(config.idle_timeout);

    // Only paths can hold characters that TOML must escape; one that is not UTF-8 cannot be written in TOML.
    let text = |path: &Path| toml::Value::String(path.to_string_lossy().into_owned());
    let path = text(&socket.path);
    writeln!(out, "socket = {path} # {}", socket.source.as_str())?;
    writeln!(out, "idle_timeout = \"{idle}\" # {timeout}")?;
    writeln!(out, "history = {} # {history}", config.history)?;
    writeln!(out, "log = \"{}\" # {log}", config.log.as_str())?;
    writeln!(out, "record_prompts = {} # {record}", config.record_prompts)?;
    writeln!(out, "persist = {} # {persist}", config.persist)?;
    writeln!(out, "\n[attention]")?;
    let background_shell = config.attention.background_shell;
    writeln!(out, "background_shell = {background_shell} # {shell}")?;
    let after = time(config.attention.quiet_after);
    writeln!(out, "quiet_after = \"{after}\" # {quiet_after}")?;
    writeln!(out, "quiet = {} # {quiet}", config.attention.quiet)?;
    let sound = config.dashboard_bell.as_str();
    writeln!(out, "\n[dashboard]\nbell = \"{sound}\" # {bell}")?;
    writeln!(out, "\n[usage]")?;
    writeln!(out, "enabled = {} # {enabled}", config.usage_enabled)?;
    let usage = humantime::format_duration(config.usage_interval);
    writeln!(out, "interval = \"{usage}\" # {interval}")?;
    let notify = &config.notify;
    writeln!(out, "\n[notify]")?;
    writeln!(out, "desktop = {} # {desktop}", notify.desktop)?;
    let line = toml::Value::String(notify.command.clone().unwrap_or_default());
    writeln!(out, "command = {line} # {command}")?;
    let wait = time(Some(notify.delay));
    writeln!(out, "delay = \"{wait}\" # {delay}")?;
    writeln!(out, "repeat = \"{}\" # {repeat}", time(notify.repeat))?;
    let chosen = notify
        .causes
        .iter()
        .map(|cause| format!("\"{}\"", cause.as_str()));
    let chosen = chosen.collect::<Vec<_>>().join(", ");
    writeln!(out, "for = [{chosen}] # {causes}")?;
    let after = Some(notify.finished_after).filter(|time| !time.is_zero());
    writeln!(
        out,
        "finished_after = \"{}\" # {finished_after}",
        time(after)
    )?;
    for (agent, source) in agents::ALL.iter().zip(config_dirs) {
        let directories = config.config_dirs(agent.name).iter();
        let directories = toml::Value::Array(directories.map(|path| text(path)).collect());
        writeln!(
            out,
            "\n[agents.{}]\nconfig_dirs = {directories} # {source}",
            agent.name
        )?;
    }
    Ok(())
}

fn check_file(file: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    FileConfig::load(Some(file))?;
    if file.exists() {
        writeln!(out, "{}: ok", file.display())?;
    } else {
        writeln!(
            out,
            "{}: no such file, the defaults count; `agent-console config init` writes one",
            file.display()
        )?;
    }
    Ok(())
}

fn create(file: &Path) -> anyhow::Result<()> {
    if let Some(directory) = file.parent() {
        // 0700 as the XDG base directory specification says for directories that are not there.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("{}: cannot be created", directory.display()))?;
    }
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    let mut opened = match created {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "{}: is there already and stays as it is; move it away to get a new one",
            file.display()
        ),
        Err(error) => {
            return Err(error).with_context(|| format!("{}: cannot be created", file.display()));
        }
    };
    opened
        .write_all(template().as_bytes())
        .with_context(|| format!("{}: cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SocketChoice;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn shown(text: &str, socket: &str, source: Source) -> String {
        let file = FileConfig::parse(text, Path::new("config.toml")).unwrap();
        let choice = SocketChoice {
            path: socket.into(),
            source,
        };
        let mut out = Vec::new();
        print(file, &choice, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_shown_names_its_sources() {
        let text = shown("history = 5\nidle_timeout = \"90min\"", "/s", Source::Flag);
        let agents = agents::ALL.iter().map(|agent| {
            let name = agent.name;
            format!("\n[agents.{name}]\nconfig_dirs = [] # default\n")
        });
        let agents = agents.collect::<String>();
        assert_eq!(
            text.strip_suffix(&agents).unwrap(),
            "socket = \"/s\" # flag\nidle_timeout = \"1h 30m\" # file\nhistory = 5 # file\nlog = \"info\" # default\n\
             record_prompts = true # default\npersist = true # default\n\n[attention]\nbackground_shell = true # default\n\
             quiet_after = \"10m\" # default\nquiet = false # default\n\n\
             [dashboard]\nbell = \"bell\" # default\n\n[usage]\n\
             enabled = true # default\ninterval = \"3m\" # default\n\n[notify]\ndesktop = false # default\n\
             command = \"\" # default\ndelay = \"8s\" # default\nrepeat = \"0\" # default\n\
             for = [\"waiting\", \"error\", \"finished\"] # default\nfinished_after = \"10s\" # default\n"
        );
    }

    #[test]
    fn what_is_shown_is_a_file_of_the_same_settings() {
        for text in [
            "",
            "idle_timeout = 0\nlog = \"trace\"\nrecord_prompts = false",
            "[usage]\nenabled = false\ninterval = \"61s\"",
            "[attention]\nquiet_after = \"0\"\nquiet = true",
            "[notify]\ncommand = 'echo \"a\" \\ b'\nfor = []\nfinished_after = 0\nrepeat = \"90s\"\ndesktop = true",
            "[dashboard]\nbell = \"off\"",
            "[agents.claude-code]\nconfig_dirs = [\"/a \\\"b\\\"\", \"~/c\"]",
            "socket = \"/with \\\"quotes\\\" and \\\\\"",
        ] {
            let config = Config::parse(text, Path::new("config.toml")).unwrap();
            let socket = config.socket.to_str().unwrap().to_owned();
            let again = shown(text, &socket, Source::File);
            assert_eq!(
                Config::parse(&again, Path::new("shown")).unwrap(),
                config,
                "{again}"
            );
        }
    }

    #[test]
    fn init_writes_a_private_file_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/agent-console/config.toml");
        create(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), template());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(&dir.path().join("a")), 0o700);

        fs::write(&file, "history = 3").unwrap();
        let error = create(&file).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "history = 3");

        let below_a_file = file.join("config.toml");
        assert!(
            create(&below_a_file)
                .unwrap_err()
                .to_string()
                .contains("cannot be created")
        );
    }

    #[test]
    fn check_says_ok_or_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        let check = || {
            let mut out = Vec::new();
            check_file(&file, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert!(
            check()
                .unwrap()
                .contains("no such file, the defaults count")
        );
        fs::write(&file, template()).unwrap();
        assert!(check().unwrap().ends_with("config.toml: ok\n"));
        fs::write(&file, "log = 1").unwrap();
        let error = check().unwrap_err();
        assert!(
            error.to_string().contains("config.toml:1:7: log: "),
            "{error}"
        );
        // The caller shows it below the error.
        assert!(
            error
                .downcast_ref::<config::ConfigError>()
                .and_then(config::ConfigError::snippet)
                .is_some_and(|snippet| snippet == "    log = 1\n          ^")
        );
    }
}
