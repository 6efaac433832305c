//! YAML as people write it: read as JSON values, each of which can be located in the text.
//!
//! Duplicate keys, keys that are not strings, tags and several documents in one text are errors. What a document must
//! contain is not known here.

mod find;
mod read;
mod scalar;

use std::ops::Range;

use serde_json::Value;

use crate::error::Detail;

pub(super) use find::{Found, find, text_at};
pub(super) use read::read;

/// A mistake in the text itself, and where it begins.
#[derive(Debug)]
pub(super) struct Malformed {
    /// What is wrong.
    pub detail: Detail,
    /// The bytes concerned, if they are known.
    pub place: Option<Range<usize>>,
}

/// One step from a value to a value inside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum YamlStep {
    Key(String),
    Element(usize),
}

/// The byte that the parser named, counted with the mark of the text's encoding.
fn place_of(error: &serde_yaml_ng::Error, text: &str) -> Option<usize> {
    let before = text.len() - without_mark(text).len();
    error.location().map(|location| text.len().min(before + location.index()))
}

/// The text without the mark of its encoding, which the parser does not count.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The value at the end of `steps`.
fn value_at<'a>(document: &'a Value, steps: &[YamlStep]) -> Option<&'a Value> {
    steps.iter().try_fold(document, |value, step| match step {
        YamlStep::Key(key) => value.get(key),
        YamlStep::Element(index) => value.get(index),
    })
}
