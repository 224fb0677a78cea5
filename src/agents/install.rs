//! What `install` puts in place for an agent, and which of the agent's settings count for it: data of the table's lines.
//!
//! Knows nothing of how a file is written. Read by `install` and `doctor`.

/// What `install` puts below an agent's configuration directory.
#[derive(Debug)]
pub struct Install {
    /// The file, below the configuration directory.
    pub settings: &'static str,
    /// How that file is written.
    pub form: InstallForm,
    /// The events that get a hook.
    pub events: &'static [&'static str],
    /// The members of the settings that keep every hook from running.
    pub switches: &'static [Switch],
    /// Other settings that count for the agent and may keep these hooks from running.
    pub layers: Option<Layers>,
    /// What a person must do after a change, such as `restart running Gemini sessions`.
    pub after_change: Option<&'static str>,
    /// What the agent needs below its configuration directory, and what happens without it.
    pub needed: Option<(&'static str, &'static str)>,
}

/// How an agent's hooks are written into a file.
#[derive(Debug, Clone, Copy)]
pub enum InstallForm {
    /// They are added to a JSON file, whose other contents stay byte for byte.
    Merged(MergedHooks),
    /// The whole file is this program's: [`own_file`](super::own_file) gives its contents.
    OwnFile,
}

/// Hooks in a JSON file: `{"hooks": {EVENT: [{"hooks": [{"type": "command", …}]}]}}`.
#[derive(Debug, Clone, Copy)]
pub struct MergedHooks {
    /// What the agent reads.
    pub syntax: Syntax,
    /// How a hook's command is spelled.
    pub command: CommandForm,
    /// How long the agent waits for a hook, in the unit of its settings.
    pub timeout: u32,
    /// Events whose hook the agent does not wait for (`"async": true`).
    pub async_events: &'static [&'static str],
    /// By which the agent names a hook to people (`"name"`), if it does.
    pub name: Option<&'static str>,
    /// The only members that the outermost object may have; empty: any.
    pub only_keys: &'static [&'static str],
    /// The agent remembers hooks by their place in their event's list, so those of others must keep theirs.
    pub keeps_places: bool,
}

/// The JSON that an agent reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// By RFC 8259.
    Json,
    /// Also with comments as in JavaScript, and a comma after the last child.
    JsonWithComments,
}

/// A member of an agent's settings that keeps hooks from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// Its name; below others with dots between, such as `hooksConfig.enabled`.
    pub key: &'static str,
    /// It does so if it is this JSON value, or a list with it.
    pub value: &'static str,
}

impl Install {
    /// How hooks are merged into the file, if they are.
    #[must_use]
    pub const fn merged(&self) -> Option<&MergedHooks> {
        match &self.form {
            InstallForm::Merged(merged) => Some(merged),
            InstallForm::OwnFile => None,
        }
    }
}

/// Settings files beside the user's own, as the agent reads them.
#[derive(Debug)]
pub struct Layers {
    /// The directory of the administrator's settings.
    pub managed_directory: &'static str,
    /// The administrator's file there.
    pub managed_file: &'static str,
    /// Below that directory: a directory whose `*.json` files add to the file.
    pub managed_drop_ins: &'static str,
    /// Below the configuration directory: what the organisation's server has sent.
    pub remote_file: &'static str,
    /// The member of these three that, if true, lets their own hooks run alone.
    pub managed_only_key: &'static str,
    /// Below the directory in which a session starts.
    pub project_files: &'static [&'static str],
}

/// How an agent's settings spell a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandForm {
    /// A program and its arguments, run without a shell.
    Exec,
    /// One text, run by a shell: [`hook_command()`](super::hook_command()).
    Shell,
}

/// What [`own_file`](super::own_file) writes into a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnFileValues<'a> {
    /// The program's absolute path.
    pub program: &'a str,
    /// The socket's path, if the configuration file names one.
    pub socket: &'a str,
}

/// The contents of a file of this program's own.
pub(crate) type OwnFile = fn(&OwnFileValues<'_>) -> String;
