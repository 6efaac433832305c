//! What can go wrong, in the few kinds a caller can act on.
//!
//! Each module has an `Error` of its own; each says its [`ErrorKind`], its stable code and, for bad input, its
//! [`Detail`]s. Only `http/door/error.rs` turns them into statuses and bodies. Nothing here knows HTTP.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The kinds of failure. The list is closed: a new one needs a status in `http/door/error.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input cannot be read at all: broken JSON, an invalid header.
    Malformed,
    /// No credential, or one that is not valid.
    Unauthenticated,
    /// A valid credential that may not do this, or a suspended tenant.
    Forbidden,
    /// No such thing, or none that the caller may know of.
    NotFound,
    /// It was there, and is no longer.
    Gone,
    /// The state of the resource refuses the change.
    Conflict,
    /// The caller's `If-Match` names another revision.
    Precondition,
    /// The input is larger than its limit.
    TooLarge,
    /// The input can be read, and cannot be accepted.
    Unacceptable,
    /// The caller has used up its share; it may come again.
    Busy,
    /// A defect of ours.
    Internal,
    /// Something we need is away; it may come back.
    Unavailable,
}

/// A range of a source text: lines and columns from 1, columns in characters, the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// Line of the first character, from 1.
    pub line: u32,
    /// Column of the first character, from 1, in characters.
    pub column: u32,
    /// Line of the first character after the range.
    pub end_line: u32,
    /// Column of the first character after the range.
    pub end_column: u32,
}

/// One thing wrong with an input: where it is, what it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// A stable name of the mistake, such as `undeclared_reference`.
    pub code: &'static str,
    /// What is wrong: lowercase, no full stop, input in backticks.
    #[serde(serialize_with = "in_short")]
    pub message: String,
    /// Where in the input, as a dotted path: `definition.facts.age`, `rules[3].expression`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_in_short")]
    pub path: Option<String>,
    /// What to do, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_in_short")]
    pub hint: Option<String>,
    /// Where in an expression.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// The offending part of the expression.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_in_short")]
    pub text: Option<String>,
    /// The stored rule or derived field concerned, if it is not the one being written.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
}

/// The stored thing that a [`Detail`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Subject {
    /// A rule.
    Rule {
        /// Its id.
        rule_id: Uuid,
        /// Its name.
        rule_name: String,
    },
    /// A derived field.
    DerivedField {
        /// Its id.
        field_id: Uuid,
        /// Its name.
        field_name: String,
    },
}

/// A text that may repeat input, cut where it gets longer than anybody reads: an answer must not grow with what is wrong.
pub fn shortened(text: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 1_000;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

fn in_short<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shortened(text))
}

#[expect(clippy::ref_option, reason = "what serde passes")]
fn some_in_short<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().map(shortened).serialize(serializer)
}

impl Subject {
    /// The id of what it is.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Rule { rule_id, .. } => *rule_id,
            Self::DerivedField { field_id, .. } => *field_id,
        }
    }
}

impl Detail {
    /// A mistake without a place of its own.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: None, hint: None, span: None, text: None, subject: None }
    }

    /// The same mistake, at `path`.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same mistake, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same mistake, about a stored thing.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_does_not_grow_with_what_is_wrong() {
        let long = "é".repeat(200_000);
        let mut detail = Detail::new("unknown_field", format!("unknown field `{long}`")).at(&*long).hint(&*long);
        detail.text = Some(long);
        let answer = serde_json::to_string(&detail).unwrap();
        assert!(answer.len() < 10_000, "{}", answer.len());
        assert!(answer.contains("é…"));
        let short = Detail::new("unknown_field", "unknown field `a`").at("a");
        assert_eq!(
            serde_json::to_value(short).unwrap(),
            serde_json::json!({"code": "unknown_field", "message": "unknown field `a`", "path": "a"})
        );
    }
}
