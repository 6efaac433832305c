//! Lines on standard output.
//!
//! `println!` panics if the reader has closed its end, as `head` does when it has read enough.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
};

/// Writes a line to standard output. A reader that has closed its end is not an error: the exit code is set all the same.
pub(super) fn line(text: fmt::Arguments<'_>) -> io::Result<()> {
    unless_closed(writeln!(io::stdout(), "{text}"))
}

/// Writes a text of whole lines to standard output, likewise.
pub(super) fn text(text: &str) -> io::Result<()> {
    unless_closed(io::stdout().write_all(text.as_bytes()))
}

fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// `println!` that returns an error instead of a panic.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*)) };
}

pub(super) use say;
