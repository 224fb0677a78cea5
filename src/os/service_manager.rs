//! The names by which service managers know the service, and where journald listens. `install` writes them, `doctor` and
//! the log use them.

/// systemd's unit of the service.
pub const SYSTEMD_SERVICE: &str = "agent-console.service";

/// systemd's unit of the socket.
pub const SYSTEMD_SOCKET: &str = "agent-console.socket";

/// launchd's label of the job.
pub const LAUNCHD_LABEL: &str = "dev.agent-console";

/// Where journald listens (systemd-journald.service(8)).
pub const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
