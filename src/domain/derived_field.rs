//! Derived fields: CEL over facts and other derived fields, read in rules as `derived.<name>`.

use chrono::{DateTime, Utc};

use super::DerivedFieldId;

/// A derived field as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedField {
    /// Its id.
    pub id: DerivedFieldId,
    /// Its name: an identifier, unique within its tenant.
    pub name: String,
    /// CEL of any type.
    pub expression: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its type as the checker inferred it when it was last compiled.
    pub value_type: String,
    /// The derived fields (`derived.x`) and facts (`facts.y`) that it reads, sorted.
    pub dependencies: Vec<String>,
    /// Whether it can be used; one that a schema change broke is kept and deactivated.
    pub active: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A derived field to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedFieldDraft {
    /// Its name: an identifier.
    pub name: String,
    /// CEL of any type.
    pub expression: String,
    /// What it is for.
    pub description: Option<String>,
}

/// What to change about a derived field; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DerivedFieldPatch {
    /// A new name.
    pub name: Option<String>,
    /// A new expression.
    pub expression: Option<String>,
    /// A new description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// Whether it can be used.
    pub active: Option<bool>,
}
