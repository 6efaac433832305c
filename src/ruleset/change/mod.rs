//! What a change makes of what is stored: the rows to write, or why it is refused.
//!
//! Pure: it reads a snapshot and answers another one. Each change is first drafted (`draft`, and one file for each kind
//! of thing), then the set that results is compiled and weighed (`settle`), and the rows to write are what differs
//! between the two snapshots (`difference`). No file here writes anything.

mod text;
mod draft;
mod difference;
mod quotas;
mod record;
mod derived_fields;
mod rules;
mod schemas;
mod settle;

use std::sync::Arc;

use draft::Draft;
pub use quotas::used;
pub use record::record;
pub use schemas::inactive;

use crate::{
    domain::{
        Change, ChangeOptions, DerivedField, DerivedFieldId, QuotaExceeded, Rule, RuleId, SchemaDefinition,
        SchemaVersion, Snapshot, TenantPatch,
    },
    error::{Detail, Subject},
    ruleset::{Broken, RuleSet},
};

/// A change that can be made.
#[derive(Debug)]
pub struct Applied {
    /// The rows to write, in this order; none if the change changes nothing.
    pub operations: Vec<Operation>,
    /// Everything of the tenant afterwards, except the revision, which the database counts.
    pub after: Snapshot,
    /// What the change was about, to be answered.
    pub outcome: ChangeOutcome,
    /// What it would break, deactivated by it.
    pub deactivated: Vec<Broken>,
    /// What earlier changes of the schema deactivated, activated again by it.
    pub reactivated: Vec<Subject>,
    /// What earlier changes of the schema deactivated, and still is.
    pub inactive: Vec<Subject>,
    /// What is worth knowing of the expressions that it writes, and of the schema, each with its place in the input.
    pub warnings: Vec<Detail>,
    /// `after`, compiled; `None` if the change changes nothing. Its revision is still the one before: once it is
    /// committed, [`RuleSet::for_tenant`] makes it the set to serve.
    pub set: Option<Arc<RuleSet>>,
}

/// One row to write.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Columns of the tenant.
    UpdateTenant(TenantPatch),
    /// A schema version, made the active one.
    InsertSchema(SchemaVersion, Arc<SchemaDefinition>),
    /// The active schema version.
    ActivateSchema(SchemaVersion),
    /// A derived field.
    InsertDerivedField(DerivedField),
    /// All columns of a derived field.
    UpdateDerivedField(DerivedField),
    /// A derived field gone.
    DeleteDerivedField(DerivedFieldId),
    /// A rule.
    InsertRule(Rule),
    /// All columns of a rule.
    UpdateRule(Rule),
    /// A rule gone.
    DeleteRule(RuleId),
    /// A line of the schema's changelog.
    Log(ChangelogEntry),
}

/// A line of the schema's changelog.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangelogEntry {
    /// What was done: `create`, `update`, `activate`.
    pub action: &'static str,
    /// The version in use before.
    pub from_version: Option<SchemaVersion>,
    /// The version in use now.
    pub to_version: SchemaVersion,
    /// Who did it.
    pub actor: String,
    /// Rules and derived fields compiled again.
    pub rules_recompiled: usize,
    /// Of these, how many no longer compile and were deactivated.
    pub rules_failed: usize,
    /// Their ids, names and errors.
    pub details: serde_json::Value,
}

/// What a change was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// The tenant itself.
    Tenant,
    /// The schema in use.
    Schema,
    /// A derived field.
    DerivedField(DerivedFieldId),
    /// A rule.
    Rule(RuleId),
    /// All rules.
    Rules,
    /// Something that is gone.
    Deleted,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no schema yet.
    SchemaMissing,
    /// There is a schema already.
    SchemaExists,
    /// No such schema version, rule or derived field.
    NotFound(&'static str),
    /// A rule or derived field of this name exists.
    NameTaken(String),
    /// Rules of one list have the same name.
    NamesRepeated(Vec<Detail>),
    /// What is being written is wrong in itself.
    Invalid(Vec<Detail>),
    /// It would break these.
    Breaks(Vec<Broken>),
    /// It would change how callers must send their facts.
    BreaksFlatCallers,
    /// It would change what callers mean that send their facts under the name of the object.
    BreaksNamedCallers,
    /// It would go beyond a quota of the tenant.
    QuotaExceeded(QuotaExceeded),
    /// More rules or derived fields than any tenant may have.
    TooMany(&'static str, usize),
}

/// Says what `change` makes of `snapshot`. `current` is the set compiled from the snapshot, or an older one of the same
/// tenant: what it has compiled is not compiled again.
pub fn apply(
    snapshot: &Snapshot,
    current: Option<&RuleSet>,
    change: &Change,
    options: &ChangeOptions,
) -> Result<Applied, Refusal> {
    let mut draft = Draft::of(snapshot);
    match change {
        Change::Tenant(patch) => draft.patch_tenant(patch),
        Change::CreateSchema(definition) => schemas::create(&mut draft, definition)?,
        Change::PutSchema(definition) => schemas::put(&mut draft, definition, options)?,
        Change::ActivateSchema(schema) => schemas::activate(&mut draft, schema, options)?,
        Change::CreateDerivedField(new) => derived_fields::create(&mut draft, new)?,
        Change::PatchDerivedField(id, patch) => derived_fields::patch(&mut draft, *id, patch)?,
        Change::DeleteDerivedField(id) => derived_fields::delete(&mut draft, *id)?,
        Change::CreateRule(new) => rules::create(&mut draft, new)?,
        Change::ReplaceRule(id, new) => rules::replace(&mut draft, *id, new)?,
        Change::PatchRule(id, patch) => rules::patch(&mut draft, *id, patch)?,
        Change::DeleteRule(id) => rules::delete(&mut draft, *id)?,
        Change::ReplaceRules(new) => rules::replace_all(&mut draft, new)?,
    }
    settle::settle(draft, snapshot, current, options)
}

#[cfg(test)]
mod tests;
