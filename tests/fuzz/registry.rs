//! Small files of the agents that are read whole: entries of their registries, and files with a login.

use crate::agents;
use crate::protocol::{PATH_LIMIT, TEXT_LIMIT};

pub(super) fn target(data: &[u8]) {
    for agent in agents::ALL {
        if let Some(registry) = &agent.registry
            && let Some(registered) = (registry.read)(data, 855, Some(1))
        {
            let entry = registered.entry;
            let title = entry.title.unwrap_or_default();
            assert!(title.chars().count() <= TEXT_LIMIT, "{title}");
            assert!(entry.cwd.unwrap_or_default().len() <= PATH_LIMIT);
            assert!(entry.session_id.unwrap_or_default().len() <= PATH_LIMIT);
        }
        if let Some(limits) = &agent.limits {
            (limits.read_login)(&mut &*data);
        }
    }
}
