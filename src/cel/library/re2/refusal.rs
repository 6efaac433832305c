//! Why a pattern is refused, and where.

use std::ops::Range;

/// What RE2 does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cel) struct Refusal {
    /// Where in the pattern, in bytes.
    pub(in crate::cel) range: Range<usize>,
    /// What is wrong.
    pub(in crate::cel) message: String,
    /// What to do instead, if that is known.
    pub(in crate::cel) hint: Option<String>,
}

impl Refusal {
    #[cold]
    pub(in crate::cel) fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Self { range, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The refusal in one sentence, for who does not see the pattern in a source.
    pub(in crate::cel) fn sentence(&self, pattern: &str) -> String {
        let before = pattern.get(..self.range.start).unwrap_or_default();
        let hint = self.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("the pattern is not valid at character {}: {}{hint}", before.chars().count() + 1, self.message)
    }
}
