//! Whether a person has a session's terminal in front of them.

use super::{Asker, Frame, Proof, Prover, Servers};
use crate::os::process_environment::ProcessEnvironment;
use crate::protocol::SessionRecord;

/// Whether the session's terminal, or a dashboard beside it, is in front on the display that `display` names, or without
/// one on this process's. False where that is not known. What a person looks at in a terminal of another machine is taken
/// for in front.
pub(crate) fn is_in_front(
    session: &SessionRecord<'_>,
    display: Option<&ProcessEnvironment>,
) -> bool {
    let asker = Asker::on_display(display);
    let servers = Servers::default();
    let proof = Prover::new(&asker, &servers).prove(&Frame::of_session(session));
    proof.is_ok_and(|proof| proof.is_in_front() == Some(true))
}

impl Proof {
    /// `None`: it is not known.
    pub(super) fn is_in_front(&self) -> Option<bool> {
        match self {
            Self::Tmux(pane) => Some(super::tmux::is_in_front(pane)),
            Self::Screen(_) | Self::Zellij(_) => None,
            Self::Window {
                is_in_front: inside,
                outside,
                ..
            } => {
                let outside = outside.as_ref().map(|proof| proof.is_in_front());
                match (*inside, outside.flatten()) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (inside, outside) => inside.or(outside),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::Place;

    fn window(is_in_front: Option<bool>, outside: Option<Proof>) -> Proof {
        Proof::Window {
            place: Place {
                way: "x11",
                what: String::new(),
                remains: None,
                moves: Vec::new(),
            },
            is_in_front,
            outside: outside.map(Box::new),
        }
    }

    #[test]
    fn a_place_is_in_front_if_all_around_it_is() {
        let (yes, no) = (Some(true), Some(false));
        for (inside, outside, expected) in [
            (yes, yes, yes),
            (yes, no, no),
            (no, yes, no),
            (None, yes, yes),
            (yes, None, yes),
            (None, None, None),
            (None, no, no),
        ] {
            let place = window(inside, Some(window(outside, None)));
            assert_eq!(place.is_in_front(), expected, "{inside:?} in {outside:?}");
        }
        assert_eq!(window(yes, None).is_in_front(), yes);
    }
}
