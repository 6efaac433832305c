//! Changes to what a tenant has stored. Each is one transaction and one revision.

use uuid::Uuid;

use super::{
    Author, DerivedFieldDraft, DerivedFieldId, DerivedFieldPatch, Revision, RuleDraft, RuleId, RulePatch, Schema,
    SchemaDefinition, TenantPatch,
};

/// One change.
#[derive(Debug, Clone)]
pub enum Change {
    /// Name, tier or status.
    Tenant(TenantPatch),
    /// The first schema; refused when there is one.
    CreateSchema(SchemaDefinition),
    /// The next schema version; the first if there is none. Equal to the active one, it changes nothing.
    PutSchema(SchemaDefinition),
    /// An older schema version, as it is stored, active again. Active already, it changes nothing.
    ActivateSchema(Schema),
    /// A new derived field.
    CreateDerivedField(DerivedFieldDraft),
    /// Parts of a derived field.
    PatchDerivedField(DerivedFieldId, DerivedFieldPatch),
    /// No longer a derived field.
    DeleteDerivedField(DerivedFieldId),
    /// A new rule.
    CreateRule(RuleDraft),
    /// Another rule in an existing one's place.
    ReplaceRule(RuleId, RuleDraft),
    /// Parts of a rule.
    PatchRule(RuleId, RulePatch),
    /// No longer a rule.
    DeleteRule(RuleId),
    /// The whole list; rules of the same name keep their id.
    ReplaceRules(Vec<RuleDraft>),
}

impl Change {
    /// Whether it is one of the schema in use.
    pub fn is_of_schema(&self) -> bool {
        matches!(self, Self::CreateSchema(_) | Self::PutSchema(_) | Self::ActivateSchema(_))
    }
}

/// What becomes of active rules and derived fields that a change would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBroken {
    /// The change is refused with their list.
    #[default]
    Refuse,
    /// They are deactivated in the same transaction.
    Deactivate,
}

/// Which revisions a change may be made at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AtRevision {
    /// Any.
    #[default]
    Any,
    /// One of these; none at all, if there are none.
    OneOf(Vec<Revision>),
}

impl AtRevision {
    /// Whether a change may be made at `current`.
    pub fn allows(&self, current: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(&current),
        }
    }
}

/// On what conditions a change is made, and by whom.
#[derive(Debug, Clone, Default)]
pub struct ChangeOptions {
    /// At which revisions of the tenant.
    pub if_match: AtRevision,
    /// What becomes of what the change would break.
    pub on_broken: OnBroken,
    /// Whether callers that send their facts flat may be broken (one object becoming several).
    pub accept_breaking: bool,
    /// Whether what earlier changes of the schema deactivated is activated again.
    pub reactivate: bool,
    /// What they deactivated and nobody has changed since: ids of rules and derived fields. For the engine to fill in,
    /// as it is under the tenant's lock.
    pub deactivated: Vec<Uuid>,
    /// Who asks, for the logs.
    pub author: Author,
}
