//! What an evaluation can end with instead of a value.

use crate::error::Span;

/// Why an evaluation has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationError {
    /// A stable name: `no_such_key`, `no_such_field`, `no_such_overload`, `overflow`, `division_by_zero`,
    /// `index_out_of_range`, `invalid_conversion`, `invalid_argument`, `duplicate_key`, `cost_exceeded`,
    /// `memory_exceeded`.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// Where in the source.
    pub span: Option<Span>,
    /// What is missing, if it ended for that: `facts.age`, or what an item lacks as the expression names it.
    pub missing: Option<Box<str>>,
    /// The derived field in which it happened, if it was none of the expression's own doing: `derived.adult`.
    pub within: Option<Box<str>>,
}

impl EvaluationError {
    /// An error without a place yet.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), span: None, missing: None, within: None }
    }

    /// Whether the evaluation was stopped, so that no operator may absorb the error.
    pub fn is_stop(&self) -> bool {
        matches!(self.code, "cost_exceeded" | "memory_exceeded")
    }
}

impl std::fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvaluationError {}
