//! How the loop reads the configuration again, and what it says of itself to the service manager. Called by the loop.

use super::{ControlFlow, EventLoop};
use crate::config::Config;
use crate::core::Input;
use crate::daemon::sd_notify;
use crate::daemon::settings::settings;

impl EventLoop {
    pub(super) fn reload(&mut self) -> ControlFlow {
        sd_notify::reloading();
        let outcome = match Config::load() {
            Ok(config) => {
                self.log_control.set_level(config.log);
                let moved = config.socket != self.config.socket;
                let restart = moved.then(|| {
                    let socket = config.socket.display();
                    format!("the configured socket is now {socket}; the daemon serves it after a restart")
                });
                self.registries.watch_configured(&config);
                self.files.open_configured(&config);
                self.config = config;
                tracing::info!("the configuration was read again");
                Ok((settings(&self.config), restart))
            }
            Err(error) => {
                // In the text, not in a field: `journalctl` shows no fields unless asked.
                tracing::warn!(
                    "the configuration was refused, so the previous one stays in force: {error}"
                );
                Err(error.to_string())
            }
        };
        let flow = self.handle(Input::Reloaded(outcome));
        self.publish();
        self.state.enable(self.config.persist);
        // What is no longer to be kept must not stay in the file.
        let outcome = self.state.replace(&mut self.core);
        self.report_state(outcome);
        sd_notify::ready(&self.serving());
        flow
    }

    pub(super) fn serving(&self) -> String {
        format!(
            "serving {} ({})",
            self.listener.path().display(),
            self.listener.origin().as_str()
        )
    }
}
