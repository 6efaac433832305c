//! The words of the trade: tenants, schemas, derived fields, rules and changes to them, as plain values.
//!
//! Nothing here knows a database, an actor or a request.

mod access;
mod api_key;
mod audit;
mod author;
mod change;
mod decision;
mod decision_log;
mod derived_field;
mod duration;
mod event;
mod id;
mod name;
mod node;
mod quota;
pub mod quote;
mod rule;
mod schema;
mod scope;
mod snapshot;
mod tenant;
mod timestamp;
mod token;

pub use access::{Permission, Permissions, Principal, Role, Scope};
pub use api_key::{ApiKey, ApiKeyDraft};
pub use audit::{AuditAction, AuditChain, AuditDraft, AuditFault, AuditHash, AuditRow};
pub use author::Author;
pub use change::{AtRevision, Change, ChangeOptions, OnBroken};
pub use decision::DecisionSource;
pub use decision_log::{DecisionLog, LogMode, NotASampleRate, SampleRate};
pub use derived_field::{DerivedField, DerivedFieldDraft, DerivedFieldPatch};
pub use duration::{NotADuration, micros, nanos, read_duration, within_range};
pub use event::{
    Accepted, EVENT_ATTEMPTS_MAX, EventDraft, EventFailure, EventOutcome, EventState, QueuedEvent, retry_after,
};
pub use id::{
    ApiKeyId, DerivedFieldId, Epoch, EventId, NodeId, RedriveId, Revision, RuleId, SchemaVersion, TenantId,
    random_permille,
};
pub use name::{Name, Unclear, field_name_error, identifier_error, selector};
pub use node::{Node, Vitals};
pub use quota::{Quota, QuotaExceeded, QuotaOverrides, QuotaPatch};
pub use rule::{Rule, RuleDraft, RulePatch};
pub use schema::{Bounds, Field, FieldType, ObjectDefinition, Schema, SchemaDefinition};
pub use scope::{System, TenantScope};
pub use snapshot::Snapshot;
pub use tenant::{Tenant, TenantDraft, TenantPatch, TenantStatus, Tier, WORKERS_MAX};
pub use timestamp::{NotATimestamp, read_timestamp, within_years};
pub use token::{Holder, KeyDigest, NoRandom, Token, fingerprint};
