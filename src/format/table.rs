//! Rows in columns, two blanks apart, cut to a terminal's width. Pure.

use std::borrow::Cow;

use super::StdoutStyle;
use super::text::{truncate, truncate_start, width};

/// Between two columns.
const GAP: usize = 2;

/// Text that is safe on a terminal, and its style (the parameters of SGR).
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

/// Which end of a text is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Start,
    End,
}

impl Cut {
    fn apply(self, text: &str, room: usize) -> Cow<'_, str> {
        match self {
            Self::Start => truncate_start(text, room),
            Self::End => truncate(text, room),
        }
    }
}

/// How a column behaves on a narrow terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Which end of its text may be cut; `None`: it keeps its width as long as another column can shrink.
    cut: Option<Cut>,
    /// The least width that cutting leaves.
    least: usize,
    /// The least width, even if its cells are narrower.
    padded: usize,
    /// The order in which columns are dropped when cutting is not enough, the lowest first; `None`: never.
    drop_priority: Option<u8>,
}

impl Column {
    /// A column that is not cut.
    pub(crate) const WHOLE: Self = Self {
        cut: None,
        least: 0,
        padded: 0,
        drop_priority: None,
    };

    /// A column that may be cut down to `least` columns of the terminal.
    pub(crate) const fn cut(cut: Cut, least: usize) -> Self {
        Self {
            cut: Some(cut),
            least,
            ..Self::WHOLE
        }
    }

    /// The same, at least this wide: for rows that are rendered one at a time.
    pub(crate) const fn padded(self, width: usize) -> Self {
        Self {
            padded: width,
            ..self
        }
    }

    /// The same, dropped in this order, the lowest first.
    pub(crate) const fn drop_priority(self, priority: u8) -> Self {
        Self {
            drop_priority: Some(priority),
            ..self
        }
    }
}

/// Rows in columns of any width; lines have no blanks at their end.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| row.iter().map(|text| text.as_str().into()).collect())
        .collect();
    render(&vec![Column::WHOLE; columns], &rows, StdoutStyle::default())
}

/// The same, cut to the terminal's width, and in colours if it takes them.
pub(crate) fn render(columns: &[Column], rows: &[Vec<Cell>], stdout: StdoutStyle) -> String {
    let natural: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| width(&cell.text)).max().unwrap_or(0);
            widest.max(columns[column].padded)
        })
        .collect();
    let widths = match stdout.columns {
        Some(room) => shrink(columns, &natural, room),
        None => natural,
    };
    let mut text = String::new();
    for row in rows {
        let mut blanks = 0;
        let mut left = stdout.columns.unwrap_or(usize::MAX);
        for ((cell, column_width), column) in row.iter().zip(&widths).zip(columns) {
            if *column_width == 0 {
                continue;
            }
            let room = (*column_width).min(left.saturating_sub(blanks));
            let shown = column.cut.unwrap_or(Cut::End).apply(&cell.text, room);
            let taken = width(&shown);
            if taken > 0 {
                text.push_str(&" ".repeat(blanks));
                text.push_str(&stdout.paint(cell.style, &shown));
                left -= blanks + taken;
                blanks = 0;
            }
            blanks += column_width.saturating_sub(taken) + GAP;
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Widths that fit into `room`: the widest column shrinks first; if that is not enough, one column is dropped (its width
/// is 0), and the others start again at their natural widths.
fn shrink(columns: &[Column], natural: &[usize], room: usize) -> Vec<usize> {
    let mut natural = natural.to_vec();
    loop {
        let mut widths = natural.clone();
        let taken = |widths: &[usize]| {
            let shown = widths.iter().filter(|width| **width > 0).count();
            widths.iter().sum::<usize>() + shown.saturating_sub(1) * GAP
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
        let dropped = (0..columns.len())
            .filter(|at| natural[*at] > 0)
            .filter_map(|at| columns[at].drop_priority.map(|priority| (priority, at)))
            .min();
        match dropped {
            Some((_, at)) if taken(&widths) > room => natural[at] = 0,
            _ => return widths,
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
    fn a_narrow_terminal_cuts_the_widest_column_and_then_drops_columns() {
        let columns = [
            Column::WHOLE,
            Column::cut(Cut::End, 4),
            Column::cut(Cut::Start, 4).drop_priority(0),
        ];
        let rows = [vec![
            Cell::from("state"),
            "a-long-name".into(),
            "/a/long/path".into(),
        ]];
        let shown = |room| {
            let stdout = StdoutStyle {
                columns: Some(room),
                ..StdoutStyle::default()
            };
            render(&columns, &rows, stdout)
        };
        assert_eq!(shown(32), "state  a-long-name  /a/long/path\n");
        assert_eq!(shown(31), "state  a-long-name  …/long/path\n");
        assert_eq!(shown(17), "state  a-l…  …ath\n");
        assert_eq!(shown(16), "state  a-long-n…\n");
        assert_eq!(shown(9), "state  a…\n");
        assert_eq!(shown(3), "st…\n");
        let coloured = StdoutStyle {
            coloured: true,
            columns: Some(3),
            terminal: true,
        };
        let styled = Cell {
            text: "state".into(),
            style: "32",
        };
        assert_eq!(
            render(&[Column::WHOLE], &[vec![styled]], coloured),
            "\u{1b}[32mst…\u{1b}[0m\n"
        );
    }
}
