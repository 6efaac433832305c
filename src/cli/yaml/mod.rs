//! YAML as it is written by people: read as JSON values, and every value found again in the text.
//!
//! Keys that stand twice, keys that are no texts, tags and several documents in one text are refused. What a document
//! must hold is not known here.

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
enum Step {
    Key(String),
    Element(usize),
}

/// The byte at which the character number `index` begins.
fn byte_of_character(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

/// A place that the parser named, in the text with the mark of its encoding.
fn place_of(error: &serde_yaml_ng::Error, text: &str) -> Option<usize> {
    let bare = without_mark(text);
    let before = text.len() - bare.len();
    error.location().map(|location| before + byte_of_character(bare, location.index()))
}

/// The text without the mark of its encoding, which the parser does not count.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The value at the end of `steps`.
fn value_at<'a>(document: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(document, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Element(index) => value.get(index),
    })
}
