//! Facts: read from JSON, checked and coerced by the schema.

/// What becomes of facts that the schema does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownFacts {
    /// Left out; [`Facts::unknown`] names them.
    #[default]
    Ignore,
    /// An error.
    Refuse,
}

/// Facts that fit a rule set's schema.
#[derive(Debug, Clone)]
pub struct Facts {
    unknown: Vec<String>,
}

impl Facts {
    /// Paths of what was given and is not declared.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }
}
