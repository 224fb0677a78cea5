//! The known windows of an account's limits. Used by the agents' folders, which read limits, and by `format`, which
//! names them.

use crate::limits::{Limit, plain_name};

/// A window of an account's limits, `NAME`, and those for one model each: `NAME_MODEL`.
#[derive(Debug, PartialEq, Eq)]
pub struct LimitWindow {
    /// The service's name for it.
    pub name: &'static str,
    /// For people, where there is little room: `5h`.
    pub label: &'static str,
    /// For people, in a sentence: `5 h limit`.
    pub title: &'static str,
    /// Its length in ms.
    pub length_ms: u64,
}

impl LimitWindow {
    /// The window of this name, and the model that it is for, if it is for one.
    #[must_use]
    pub fn find<'w, 'n>(windows: &'w [Self], name: &'n str) -> Option<(&'w Self, Option<&'n str>)> {
        windows.iter().find_map(|window| {
            let model = name.strip_prefix(window.name)?;
            match model.strip_prefix('_') {
                Some(model) => Some((window, Some(model))),
                None => model.is_empty().then_some((window, None)),
            }
        })
    }

    /// A limit as a source states it, with its window's title and length; `None` if the percentage is out of range.
    #[must_use]
    pub fn limit(
        windows: &[Self],
        name: &str,
        used_percent: f64,
        resets_at: Option<u64>,
    ) -> Option<Limit> {
        let name = plain_name(name);
        let (title, length_ms) = match Self::find(windows, &name) {
            Some((window, None)) => (window.title.into(), Some(window.length_ms)),
            Some((window, Some(model))) => {
                let title = format!("{} for {model}", window.title);
                (title, Some(window.length_ms))
            }
            None => (format!("limit {name}"), None),
        };
        (0.0..=1000.0).contains(&used_percent).then(|| Limit {
            title: plain_name(&title),
            name,
            used_percent,
            resets_at,
            length_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_known_by_its_name_and_for_each_model() {
        const WINDOWS: &[LimitWindow] = &[LimitWindow {
            name: "day",
            label: "1d",
            title: "1 d limit",
            length_ms: 86_400_000,
        }];
        let stated = |name| {
            let limit = LimitWindow::limit(WINDOWS, name, 1.0, None).unwrap();
            (limit.title, limit.length_ms)
        };
        assert_eq!(stated("day"), ("1 d limit".into(), Some(86_400_000)));
        let of_model = ("1 d limit for opus".into(), Some(86_400_000));
        assert_eq!(stated("day_opus"), of_model);
        assert_eq!(stated("daylight"), ("limit daylight".into(), None));
        assert_eq!(stated("iguana"), ("limit iguana".into(), None));
        let hostile = LimitWindow::limit(WINDOWS, "day_#(a)%{b}<\u{202e}", 1.0, None);
        assert_eq!(&*hostile.unwrap().name, "day___a___b___");
        for nonsense in [-1.0, 1000.5, f64::NAN] {
            assert_eq!(LimitWindow::limit(WINDOWS, "day", nonsense, None), None);
        }
    }
}
