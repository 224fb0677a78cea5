//! `man`: the manual, made from the grammar: the program's page, or a page for each command. Needs no daemon.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The page of the short name refers to the other one.
const SHORT: &str = ".so man1/agent-console.1\n";

/// The heading of the examples in the text below a command's options.
const EXAMPLES_HEADING: &str = "Examples:\n";

/// The options of `man`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Write a page for each command into this directory, and create it if needed
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console man | man -l -            read it without installing it
  agent-console man --dir ~/.local/share/man/man1    then: man agent-console-list";

pub(super) fn run(options: &Options, grammar: Command, out: &mut impl Write) -> anyhow::Result<()> {
    let mut grammar = grammar.disable_help_subcommand(true);
    grammar.build();
    let Some(directory) = &options.dir else {
        page(&grammar, out)?;
        return Ok(());
    };
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let pages = write_all(&grammar, directory)?;
    write(directory, "acd.1", SHORT.as_bytes())?;
    let directory = crate::format::sanitize(&directory.display().to_string());
    writeln!(out, "wrote {} pages to {directory}", pages + 1)?;
    Ok(())
}

/// Writes the pages of a command and its subcommands; returns their number.
fn write_all(command: &Command, directory: &Path) -> anyhow::Result<usize> {
    let mut text = Vec::new();
    page(command, &mut text)?;
    write(directory, &format!("{}.1", title(command)), &text)?;
    let mut pages = 1;
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        pages += write_all(below, directory)?;
    }
    Ok(pages)
}

fn write(directory: &Path, name: &str, text: &[u8]) -> anyhow::Result<()> {
    let file = directory.join(name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The page's name: `agent-console-config-path`.
fn title(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

/// Renders a page. The library would join the examples into a paragraph, so that section is made here.
fn page(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let source = format!("agent-console {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone())
        .source(source)
        .manual("agent-console");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(out)?;
    }
    let after = command.get_after_help().map(ToString::to_string);
    let after = after.unwrap_or_default();
    let (notes, examples) = after.split_once(EXAMPLES_HEADING).unwrap_or((&after, ""));
    let mut roff = Roff::new();
    if !notes.trim().is_empty() {
        roff.control("SH", ["NOTES"]);
        for line in notes.trim().lines() {
            if line.is_empty() {
                roff.control("PP", []);
            } else {
                roff.text([roman(line)]);
            }
        }
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for line in examples.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        roff.control("fi", []);
    }
    if title(command) != "agent-console" {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("agent-console"), roman("(1)")]);
    }
    roff.to_writer(out)
}
