//! The list: a row for each session.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::theme;
use super::theme::{FAINT, STRONG};
use crate::dashboard::columns::{Content, cell, columns, edges};
use crate::dashboard::model::Model;
use crate::format;
use crate::format::status::DisplayStatus;
use crate::protocol::SessionRecord;

pub(super) fn draw(model: &Model, headings: Rect, rows: Rect, buffer: &mut Buffer) {
    // The mark of the selected row at the left, a blank at the right.
    let width = usize::from(rows.width).saturating_sub(2);
    let columns = columns(width, model.has_several_agents());
    let titled = columns
        .iter()
        .any(|column| column.content == Content::Title);
    for (edge, column) in edges(&columns) {
        put(
            buffer,
            headings,
            edge,
            column.width,
            column.content.is_number(),
            column.content.heading(),
            FAINT,
        );
    }
    let keys = model.rows.iter().enumerate().skip(model.offset);
    for ((at, key), y) in keys.zip(rows.top()..rows.bottom()) {
        let Some(session) = model.session(key) else {
            continue;
        };
        let row = Rect {
            y,
            height: 1,
            ..rows
        };
        let selected = at == model.index;
        let base = if selected { STRONG } else { Style::new() };
        for (edge, column) in edges(&columns) {
            let text = cell(column, session, model.home(), model.now, titled);
            let style = match column.content {
                Content::Why | Content::For | Content::Sign | Content::Status => base,
                _ if selected => base,
                _ => FAINT,
            };
            put(
                buffer,
                row,
                edge,
                column.width,
                column.content.is_number(),
                &text,
                style,
            );
        }
        status(model, session, row, buffer);
        if selected {
            buffer.set_string(row.x, y, "▌", theme(model).notice());
        }
    }
}

/// The first column: symbol and word, in the colour of the status.
fn status(model: &Model, session: &SessionRecord<'_>, row: Rect, buffer: &mut Buffer) {
    let status = DisplayStatus::of(session);
    let text = format!("{} {}", status.symbol(), status.word());
    put(
        buffer,
        row,
        0,
        10,
        false,
        &text,
        theme(model).status(status),
    );
}

/// Writes a cell; `right`: aligned to the right.
fn put(
    buffer: &mut Buffer,
    row: Rect,
    edge: usize,
    width: usize,
    right: bool,
    text: &str,
    style: Style,
) {
    let pad = if right {
        width.saturating_sub(format::width(text))
    } else {
        0
    };
    let x = edge + pad + 1;
    let room = usize::from(row.width).saturating_sub(x);
    if let (Ok(x), false) = (u16::try_from(x), row.is_empty() || room == 0) {
        buffer.set_stringn(row.x + x, row.y, text, room.min(width), style);
    }
}
