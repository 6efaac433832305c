//! A change being drafted: the snapshot as it would be, and what must be looked at before it may be.

use super::{ChangeOutcome, text};
use crate::{
    domain::{DerivedField, DerivedFieldId, Rule, RuleId, Snapshot, TenantPatch},
    error::Detail,
};

/// A change being drafted.
pub(super) struct Draft {
    /// The snapshot as it would be; times of changed rows and the revision are not in it yet.
    pub after: Snapshot,
    /// What the change is about.
    pub outcome: ChangeOutcome,
    /// The expressions that the change writes: wrong, they make the change invalid.
    pub written: Vec<Written>,
    /// What is wrong with the input beside its expressions.
    pub details: Vec<Detail>,
    /// What the schema's changelog calls the change, if it is one of the schema.
    pub schema_action: Option<&'static str>,
}

/// An expression that a change writes.
pub(super) struct Written {
    /// What it is the expression of.
    pub target: Target,
    /// Where it stands in the input.
    pub path: String,
}

/// What has an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A rule.
    Rule(RuleId),
    /// A derived field.
    DerivedField(DerivedFieldId),
}

impl Draft {
    /// No change yet.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            after: snapshot.clone(),
            outcome: ChangeOutcome::Tenant,
            written: Vec::new(),
            details: Vec::new(),
            schema_action: None,
        }
    }

    /// Changes the tenant itself.
    pub fn patch_tenant(&mut self, patch: &TenantPatch) {
        patch.apply(&mut self.after.tenant);
    }

    /// The rule of this id.
    pub fn rule(&mut self, id: RuleId) -> Option<&mut Rule> {
        self.after.rules.iter_mut().find(|rule| rule.id == id)
    }

    /// The derived field of this id.
    pub fn derived_field(&mut self, id: DerivedFieldId) -> Option<&mut DerivedField> {
        self.after.derived_fields.iter_mut().find(|field| field.id == id)
    }

    /// Notes that the change writes an expression, and what can be seen of it without compiling.
    pub fn writes(&mut self, target: Target, expression: &str, path: String) {
        self.details.extend(text::expression_error(expression, &path));
        self.written.push(Written { target, path });
    }
}
