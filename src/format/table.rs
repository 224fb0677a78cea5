//! Rows in columns: as wide as they need to be, two blanks apart, cut where a terminal is narrower. Widths are columns
//! on the screen, of which a CJK character or an emoji takes two (UAX #11). Pure.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Screen;

/// Between two columns.
const GAP: usize = 2;

/// What stands for what is cut.
const ELLIPSIS: char = '…';

/// A place in a row: text that is harmless already, and the style it is shown in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) style: &'static str,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            style: "",
        }
    }
}

/// Which end of a text goes where there is no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Start,
    End,
}

/// What may happen to a column on a narrow screen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Which end is cut; `None`: it stays whole while any other column can give way.
    cut: Option<Cut>,
    /// What cutting leaves of it.
    least: usize,
    /// As wide as this even if its cells are not.
    padded: usize,
    /// Leaves altogether when cutting is not enough, the lowest first.
    leaves: Option<u8>,
}

impl Column {
    /// One that stays as it is.
    pub(crate) const WHOLE: Self = Self {
        cut: None,
        least: 0,
        padded: 0,
        leaves: None,
    };

    /// One that is cut, down to `least` columns of the screen.
    pub(crate) const fn cut(cut: Cut, least: usize) -> Self {
        Self {
            cut: Some(cut),
            least,
            ..Self::WHOLE
        }
    }

    /// The same, at least as wide: for rows that are not shown at once.
    pub(crate) const fn padded(self, width: usize) -> Self {
        Self {
            padded: width,
            ..self
        }
    }

    /// The same, leaving altogether as the `place`th.
    pub(crate) const fn leaving(self, place: u8) -> Self {
        Self {
            leaves: Some(place),
            ..self
        }
    }
}

/// Rows in columns of any width, nothing padded at the end of a line.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| row.iter().map(|text| text.as_str().into()).collect())
        .collect();
    fitted(&vec![Column::WHOLE; columns], &rows, Screen::default())
}

/// The same, cut to the screen's width and coloured as it takes it.
pub(crate) fn fitted(columns: &[Column], rows: &[Vec<Cell>], screen: Screen) -> String {
    let natural: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.text.width()).max().unwrap_or(0);
            widest.max(columns[column].padded)
        })
        .collect();
    let widths = match screen.columns {
        Some(room) => fit(columns, &natural, room),
        None => natural,
    };
    let mut text = String::new();
    for row in rows {
        let mut blanks = 0;
        let mut left = screen.columns.unwrap_or(usize::MAX);
        for ((cell, width), column) in row.iter().zip(&widths).zip(columns) {
            if *width == 0 {
                continue;
            }
            let room = (*width).min(left.saturating_sub(blanks));
            let shown = shorten(&cell.text, room, column.cut.unwrap_or(Cut::End));
            let taken = shown.width();
            if taken > 0 {
                text.push_str(&" ".repeat(blanks));
                text.push_str(&screen.paint(cell.style, &shown));
                left -= blanks + taken;
                blanks = 0;
            }
            blanks += width.saturating_sub(taken) + GAP;
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Widths that fit into `room`: the widest gives way first, and where that is not enough a column leaves, and the
/// others begin anew. A width of 0 is a column that is not there.
fn fit(columns: &[Column], natural: &[usize], room: usize) -> Vec<usize> {
    let mut natural = natural.to_vec();
    loop {
        let mut widths = natural.clone();
        let taken = |widths: &[usize]| {
            let there = widths.iter().filter(|width| **width > 0).count();
            widths.iter().sum::<usize>() + there.saturating_sub(1) * GAP
        };
        while taken(&widths) > room {
            let widest = (0..columns.len())
                .filter(|at| columns[*at].cut.is_some() && widths[*at] > columns[*at].least.max(1))
                .max_by_key(|at| widths[*at]);
            match widest {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
        let leaves = (0..columns.len())
            .filter(|at| natural[*at] > 0)
            .filter_map(|at| columns[at].leaves.map(|place| (place, at)))
            .min();
        match leaves {
            Some((_, at)) if taken(&widths) > room => natural[at] = 0,
            _ => return widths,
        }
    }
}

/// How many columns of the screen the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text if it fits into `room` columns of the screen, else as much of it as does, with an ellipsis for the rest.
pub(crate) fn shorten(text: &str, room: usize, cut: Cut) -> String {
    if text.width() <= room {
        return text.into();
    }
    if room == 0 {
        return String::new();
    }
    let budget = room - 1;
    // A guess by characters; a sequence (an emoji and its variation selector) may be wider than its parts.
    let mut width = 0;
    let mut fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= budget
    };
    match cut {
        Cut::End => {
            let mut kept: String = text.chars().take_while(&mut fits).collect();
            while kept.width() > budget || kept.ends_with('\u{200d}') {
                kept.pop();
            }
            kept.push(ELLIPSIS);
            kept
        }
        Cut::Start => {
            let kept = text.chars().rev().take_while(&mut fits).count();
            let mut rest: String = text
                .chars()
                .skip(text.chars().count() - kept)
                // What would join the ellipsis.
                .skip_while(|c| c.width() == Some(0))
                .collect();
            while rest.width() > budget {
                rest.remove(0);
            }
            rest.insert(0, ELLIPSIS);
            rest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_where_their_text_ends() {
        let rows = [
            vec!["a".into(), "long".into(), String::new()],
            vec!["bcd".into(), "x".into(), "y".into()],
        ];
        assert_eq!(table(&rows), "a    long\nbcd  x     y\n");
        // Two columns each; the accent takes none.
        let rows = [
            vec!["日本".into(), "x".into()],
            vec!["e\u{301}".into(), "x".into()],
            vec!["👩‍💻".into(), "x".into()],
        ];
        assert_eq!(table(&rows), "日本  x\ne\u{301}     x\n👩‍💻    x\n");
    }

    #[test]
    fn what_is_cut_fits_and_says_so() {
        for (text, room, cut, shown) in [
            ("abcdef", 6, Cut::End, "abcdef"),
            ("abcdef", 4, Cut::End, "abc…"),
            ("abcdef", 4, Cut::Start, "…def"),
            ("日本語", 4, Cut::End, "日…"),
            ("日本語", 4, Cut::Start, "…語"),
            ("👩‍💻👩‍💻", 3, Cut::End, "👩…"),
            ("ae\u{301}b", 2, Cut::Start, "…b"),
            ("☁\u{fe0f}☁\u{fe0f}☁\u{fe0f}", 4, Cut::End, "☁\u{fe0f}☁…"),
            ("abc", 1, Cut::End, "…"),
            ("abc", 0, Cut::End, ""),
        ] {
            let cut = shorten(text, room, cut);
            assert_eq!(cut, shown);
            assert!(cut.width() <= room, "{cut}");
        }
    }

    #[test]
    fn a_narrow_screen_cuts_the_widest_and_then_leaves_columns_out() {
        let columns = [
            Column::WHOLE,
            Column::cut(Cut::End, 4),
            Column::cut(Cut::Start, 4).leaving(0),
        ];
        let rows = [vec![
            Cell::from("state"),
            "a-long-name".into(),
            "/a/long/path".into(),
        ]];
        let shown = |room| {
            let screen = Screen {
                columns: Some(room),
                ..Screen::default()
            };
            fitted(&columns, &rows, screen)
        };
        assert_eq!(shown(32), "state  a-long-name  /a/long/path\n");
        assert_eq!(shown(31), "state  a-long-name  …/long/path\n");
        assert_eq!(shown(17), "state  a-l…  …ath\n");
        assert_eq!(shown(16), "state  a-long-n…\n");
        assert_eq!(shown(9), "state  a…\n");
        assert_eq!(shown(3), "st…\n");
        let coloured = Screen {
            coloured: true,
            columns: Some(3),
            terminal: true,
        };
        let styled = Cell {
            text: "state".into(),
            style: "32",
        };
        assert_eq!(
            fitted(&[Column::WHOLE], &[vec![styled]], coloured),
            "\u{1b}[32mst…\u{1b}[0m\n"
        );
    }
}
