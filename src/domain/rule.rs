//! Rules: boolean CEL expressions with a name.

use chrono::{DateTime, Utc};

use super::{Name, RuleId};

/// A rule as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// Its name, unique within its tenant.
    pub name: Name,
    /// CEL, of type `bool`.
    pub expression: String,
    /// What it is for.
    pub description: Option<String>,
    /// Words to select rules by.
    pub tags: Vec<String>,
    /// Whether it is evaluated.
    pub active: bool,
    /// When it was made; rules are listed and evaluated in this order, then by id.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A rule to be made, or what to put in an existing one's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDraft {
    /// Its name.
    pub name: Name,
    /// CEL, of type `bool`.
    pub expression: String,
    /// What it is for.
    pub description: Option<String>,
    /// Words to select rules by.
    pub tags: Vec<String>,
    /// Whether it is evaluated.
    pub active: bool,
}

/// What to change about a rule; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulePatch {
    /// A new name.
    pub name: Option<Name>,
    /// A new expression.
    pub expression: Option<String>,
    /// A new description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// New tags.
    pub tags: Option<Vec<String>>,
    /// Whether it is evaluated.
    pub active: Option<bool>,
}
