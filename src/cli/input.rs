//! Texts that are given to a command: files, the standard input, or an argument itself.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
};

use clap::ValueEnum;

use super::report::{Colours, Problem, Source};
use crate::error::Detail;

/// Bytes of a text: room for all the rules that a tenant may have, and an end to what has none.
const TEXT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Output format of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// For machines
    Json,
}

/// A text that could not be read, with as much of it as there is.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// What was read.
    pub source: Source,
    /// Why that is not all.
    pub problem: Problem,
}

impl Unreadable {
    fn new(name: String, text: String, problem: Problem) -> Box<Self> {
        Box::new(Self { source: Source { name, text }, problem })
    }
}

/// Reads the file called `name`, or the standard input if that is `-`.
pub(super) fn read(name: &str) -> Result<Source, Box<Unreadable>> {
    let read = match name {
        "-" => up_to_limit(io::stdin().lock()),
        path => File::open(path).and_then(up_to_limit),
    };
    let name = if name == "-" { "standard input" } else { name }.to_owned();
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) => {
            let detail = Detail::new("unreadable", format!("it cannot be read: {}", reason(&error)));
            return Err(Unreadable::new(name, String::new(), Problem { detail, place: None }));
        }
    };
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        let message = format!("it has more than {TEXT_BYTES_MAX} bytes");
        let detail = Detail::new("too_large", message).hint("split it into several files");
        return Err(Unreadable::new(name, String::new(), Problem { detail, place: None }));
    }
    String::from_utf8(bytes).map(|text| Source { name: name.clone(), text }).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let detail = Detail::new("not_utf8", "it is not UTF-8 from here on").hint("save it as UTF-8");
        let place = Some(valid..valid + '\u{fffd}'.len_utf8());
        Unreadable::new(name, text, Problem { detail, place })
    })
}

fn up_to_limit(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Colours if the output is a terminal.
pub(super) fn colours() -> Colours {
    if io::stdout().is_terminal() { Colours::On } else { Colours::Off }
}

/// `1 rule`, `2 rules`.
pub(super) fn counted<N: PartialEq + From<u8> + std::fmt::Display>(count: N, what: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{plural}")
}
