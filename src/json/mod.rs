//! The JSON that Tenet reads and writes: [`check`] looks at a document strictly, [`read`] turns it into a request, and
//! [`Writer`] writes answers.
//!
//! Knows no HTTP: what is wrong is an [`Error`], which each door turns into an answer of its own.

mod decode;
mod mistake;
mod strict;
mod write;

pub use self::{
    decode::{Object, envelope, present, read},
    strict::{check, check_showing},
    write::Writer,
};

use crate::{
    config::limits,
    error::{Detail, ErrorKind},
};

/// Why a document cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not JSON.
    #[error("the body is not JSON: {0}")]
    Malformed(String),
    /// It is nested too deep.
    #[error("the document is more than {} levels deep", limits::JSON_DEPTH_MAX)]
    TooDeep,
    /// It is JSON, and not what is expected.
    #[error("{}", .0.message)]
    Invalid(Box<Detail>),
}

impl Error {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed(_) | Self::TooDeep => ErrorKind::Malformed,
            Self::Invalid(_) => ErrorKind::Unacceptable,
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_json",
            Self::TooDeep => "json_too_deep",
            Self::Invalid(_) => "invalid",
        }
    }

    /// One thing wrong with the document.
    pub fn invalid(detail: Detail) -> Self {
        Self::Invalid(Box::new(detail))
    }

    fn malformed(error: &serde_json::Error) -> Self {
        let reason = reason(error);
        Self::Malformed(format!("{reason} at line {} column {}", error.line(), error.column()))
    }
}

/// An error's message without the position at its end.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => message.get(..end).unwrap_or(&message).to_owned(),
        None => message,
    }
}

/// A step of the way to a value in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PathStep {
    Key(String),
    Index(usize),
}

impl PathStep {
    /// Adds the step to a path such as `rules[3].expression`.
    fn append_to(&self, path: &mut String) {
        match self {
            Self::Index(index) => path.push_str(&format!("[{index}]")),
            Self::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&key.replace('\0', "\\u0000"));
            }
        }
    }
}
