//! How things look to people: harmless text, durations, tables, one table of colours; and JSON for scripts. Used by every
//! command, the dashboard and the service's program.

mod agent;
mod duration;
mod error;
mod json;
mod limits;
mod location;
mod session;
pub(crate) mod status;
mod stdout;
mod table;
mod text;

pub(crate) use self::agent::{
    SIGN_WIDTH, agent_names, agent_sign, agent_title, agents_in_order, signed_agent,
};
pub(crate) use self::duration::{ago, duration, next_ago_change, precise, remaining};
pub(crate) use self::error::{error_text, print_error};
pub(crate) use self::json::{json, json_text};
pub(crate) use self::limits::{accounts, context_gauge, gauge, notice, window_name};
pub(crate) use self::location::{abbreviate_home, directory, location, terminal_line};
pub(crate) use self::session::{
    Field, fields, marker, model, named_rows, reason, resume, resume_command, status, status_words,
    summary,
};
pub(crate) use self::stdout::{StdoutStyle, is_coloured};
pub(crate) use self::table::{Cell, Column, Cut, render, table};
pub(crate) use self::text::{
    escape_bidi, sanitize, sanitize_lines, truncate, truncate_start, width, wrap,
};
