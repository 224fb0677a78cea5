//! The part of the configuration that the core goes by.

use std::time::Duration;

use crate::config::Config;
use crate::core::{AttentionRules, ReminderRules, Settings};

/// The core's settings of this configuration.
pub(super) fn settings(config: &Config) -> Settings {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let interval = Some(config.usage_interval).filter(|_| config.usage_enabled);
    Settings {
        idle_timeout_ms: config.idle_timeout.map(ms),
        history: config.history,
        record_prompts: config.record_prompts,
        persist: config.persist,
        usage_interval_ms: interval.map(ms),
        quiet_after_ms: config.attention.quiet_after.map(ms),
        attention: AttentionRules {
            background_shell: config.attention.background_shell,
            quiet: config.attention.quiet,
        },
        reminders: ReminderRules {
            is_on: config.notify.is_on(),
            delay_ms: ms(config.notify.delay),
            repeat_ms: config.notify.repeat.map(ms),
            causes: config.notify.causes,
            finished_after_ms: ms(config.notify.finished_after),
        },
    }
}
