//! The layout of a screen of a given size, for the view and for mouse clicks. Pure.

use ratatui::layout::Rect;

/// From this width on the detail is beside the list.
const BESIDE: u16 = 110;

/// The rectangles of the screen; a part that is not shown is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Areas {
    /// The counts.
    pub(super) header: Rect,
    /// The state of the connection, if it is not live.
    pub(super) banner: Rect,
    /// The list's column headings.
    pub(super) headings: Rect,
    /// A row for each session.
    pub(super) rows: Rect,
    /// The detail of the selected session.
    pub(super) detail: Rect,
    /// The daemon's last notice.
    pub(super) notice: Rect,
    /// Hints about keys, or a message.
    pub(super) footer: Rect,
}

/// Divides a screen of `size` (columns, rows); the last part has `footer` lines.
pub(super) fn areas(
    size: (u16, u16),
    detail: bool,
    banner: bool,
    notice: bool,
    footer: usize,
) -> Areas {
    let (width, height) = size;
    let mut top = 0;
    let mut bottom = height;
    let line = |y| Rect::new(0, y, width, 1).intersection(Rect::new(0, 0, width, height));
    let mut from_top = |shown: bool| {
        let y = top;
        top += u16::from(shown);
        if shown { line(y) } else { Rect::ZERO }
    };
    let header = from_top(true);
    let banner = from_top(banner);
    // A blank line, if there is room.
    if height >= 20 {
        top += 1;
    }
    let footer = u16::try_from(footer)
        .unwrap_or(1)
        .min(height.saturating_sub(top))
        .max(1);
    bottom -= footer.min(bottom.saturating_sub(top));
    let footer = Rect::new(0, bottom, width, footer).intersection(Rect::new(0, 0, width, height));
    bottom -= u16::from(notice && bottom > top);
    let notice = if notice { line(bottom) } else { Rect::ZERO };
    let room = Rect::new(0, top, width, bottom.saturating_sub(top));
    let (list, detail) = match (detail, width >= BESIDE) {
        (false, _) => (room, Rect::ZERO),
        (true, false) => (Rect::ZERO, room),
        (true, true) => {
            let panel = (width * 2 / 5).clamp(46, 84);
            (
                Rect {
                    width: width - panel,
                    ..room
                },
                Rect {
                    x: width - panel,
                    width: panel,
                    ..room
                },
            )
        }
    };
    let headings = Rect {
        height: list.height.min(1),
        ..list
    };
    let rows = Rect {
        y: list.y + headings.height,
        height: list.height - headings.height,
        ..list
    };
    Areas {
        header,
        banner,
        headings,
        rows,
        detail,
        notice,
        footer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_outside_the_screen_or_upon_another() {
        for width in [0, 1, 20, 40, 80, 109, 110, 200, 400] {
            for height in 0..30 {
                for shown in 0..32 {
                    let [detail, banner, notice] = [1, 2, 4].map(|bit| shown & bit != 0);
                    let footer = 1 + shown / 8;
                    let areas = areas((width, height), detail, banner, notice, footer);
                    let screen = Rect::new(0, 0, width, height);
                    let Areas {
                        header,
                        banner,
                        headings,
                        rows,
                        detail,
                        notice,
                        footer,
                    } = areas;
                    let all = [header, banner, headings, rows, detail, notice, footer];
                    for (at, one) in all.iter().enumerate() {
                        assert_eq!(one.intersection(screen).area(), one.area(), "{areas:?}");
                        // Where there is hardly a line, the footer may lie on the header.
                        for other in all.iter().skip(at + 1).filter(|_| height >= 8) {
                            assert!(one.intersection(*other).is_empty(), "{areas:?}");
                        }
                    }
                }
            }
        }
    }
}
