//! The actors: one supervisor, one actor per resident tenant, the change listener; and the handle that the rest sees.
//!
//! A tenant's actor is the only writer of its rule set, which it publishes in the registry. Decisions take the
//! published set and run on the caller's task: no lock, no mailbox, no SQL.

use std::sync::Arc;

use crate::{
    domain::{Change, ChangeOptions, Revision, Tenant, TenantDraft, TenantId},
    error::{Detail, ErrorKind},
    ruleset::{Amendment, Broken, RuleSet},
    store,
};

/// Handle on the engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {}

/// A rule set to decide with.
#[derive(Debug, Clone)]
pub struct Served {
    /// The set.
    pub set: Arc<RuleSet>,
    /// Whether the database has been out of reach for longer than the promised bound.
    pub stale: bool,
}

/// A change that was made, and is served by this node.
#[derive(Debug)]
pub struct Changed {
    /// What was made of what was stored; `amendment.after` carries the new revision.
    pub amendment: Amendment,
    /// The revision now.
    pub revision: Revision,
}

/// What a change would do.
#[derive(Debug)]
pub struct Checked {
    /// The revision looked at.
    pub revision: Revision,
    /// Why it would be refused, beyond what it breaks.
    pub details: Vec<Detail>,
    /// What it would break.
    pub breaks: Vec<Broken>,
    /// Whether callers that send their facts flat would be misread.
    pub breaks_flat_callers: bool,
}

/// What readiness is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether the listener hears.
    pub listening: bool,
    /// Milliseconds since this node last compared itself with the database.
    pub synchronised_ago_ms: u64,
    /// Tenants held in memory.
    pub resident_tenants: usize,
}

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such tenant.
    #[error("there is no tenant with this id")]
    TenantNotFound,
    /// The tenant is suspended.
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// It has no schema yet.
    #[error("the tenant has no schema yet")]
    SchemaMissing,
    /// It has a schema already.
    #[error("the tenant has a schema already")]
    SchemaExists,
    /// No such rule, derived field or schema version.
    #[error("there is no {0} with this id")]
    NotFound(&'static str),
    /// The name is taken.
    #[error("the name `{0}` is taken")]
    NameTaken(String),
    /// The tenant stands at another revision than `If-Match` says.
    #[error("the tenant stands at revision {current}")]
    RevisionMismatch {
        /// Where it stands.
        current: Revision,
    },
    /// What is being written is wrong in itself.
    #[error("the input is not acceptable")]
    Invalid(Vec<Detail>),
    /// The change would break these.
    #[error("the change would break what is stored")]
    Breaks(Vec<Broken>),
    /// The change would misread callers that send their facts flat.
    #[error("callers that send their facts flat would be misread")]
    BreaksFlatCallers,
    /// The tenant has as many as it may.
    #[error("a tenant has at most {1} {0}")]
    TooMany(&'static str, usize),
    /// Too many writers of this tenant are waiting.
    #[error("too many changes of this tenant are waiting")]
    TenantBusy,
    /// The revision asked for was not reached in time.
    #[error("the revision asked for was not reached in time")]
    RevisionNotReached {
        /// Where this node stands.
        current: Revision,
    },
    /// The engine is stopping.
    #[error("the service is stopping")]
    Stopping,
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A defect of ours.
    #[error("{0}")]
    Internal(&'static str),
}

impl Error {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TenantNotFound | Self::NotFound(_) => ErrorKind::NotFound,
            Self::TenantSuspended => ErrorKind::Forbidden,
            Self::SchemaMissing
            | Self::SchemaExists
            | Self::NameTaken(_)
            | Self::Breaks(_)
            | Self::BreaksFlatCallers => ErrorKind::Conflict,
            Self::RevisionMismatch { .. } => ErrorKind::Precondition,
            Self::Invalid(_) | Self::TooMany(..) => ErrorKind::Unacceptable,
            Self::TenantBusy => ErrorKind::Busy,
            Self::RevisionNotReached { .. } | Self::Stopping => ErrorKind::Unavailable,
            Self::Store(error) => error.kind(),
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TenantNotFound => "tenant_not_found",
            Self::TenantSuspended => "tenant_suspended",
            Self::SchemaMissing => "schema_missing",
            Self::SchemaExists => "schema_exists",
            Self::NotFound("rule") => "rule_not_found",
            Self::NotFound("derived field") => "derived_field_not_found",
            Self::NotFound("schema version") => "schema_version_not_found",
            Self::NotFound(_) => "not_found",
            Self::NameTaken(_) => "name_taken",
            Self::RevisionMismatch { .. } => "revision_mismatch",
            Self::Invalid(_) => "invalid",
            Self::Breaks(_) => "would_break",
            Self::BreaksFlatCallers => "breaks_flat_callers",
            Self::TooMany(..) => "too_many",
            Self::TenantBusy => "tenant_busy",
            Self::RevisionNotReached { .. } => "revision_not_reached",
            Self::Stopping => "stopping",
            Self::Store(error) => error.code(),
            Self::Internal(_) => "internal",
        }
    }
}

#[expect(clippy::todo, clippy::unused_async, reason = "the signatures that the other modules build on")]
impl Engine {
    /// The tenant's rule set, loaded if need be. With `min_revision`, at least that revision: waits for it as long as
    /// the setting allows.
    pub async fn rule_set(&self, tenant: TenantId, min_revision: Option<Revision>) -> Result<Served, Error> {
        let _ = (tenant, min_revision);
        todo!()
    }

    /// Makes a tenant.
    pub async fn create_tenant(&self, draft: &TenantDraft) -> Result<Tenant, Error> {
        let _ = draft;
        todo!()
    }

    /// Deletes a tenant and everything of it. From the answer on this node knows no such tenant.
    pub async fn delete_tenant(&self, tenant: TenantId, if_match: Option<Revision>) -> Result<(), Error> {
        let _ = (tenant, if_match);
        todo!()
    }

    /// Makes a change, and waits until this node serves it.
    pub async fn change(&self, tenant: TenantId, change: Change, options: ChangeOptions) -> Result<Changed, Error> {
        let _ = (tenant, change, options);
        todo!()
    }

    /// Says what a change would do, and does nothing.
    pub async fn check(&self, tenant: TenantId, change: Change) -> Result<Checked, Error> {
        let _ = (tenant, change);
        todo!()
    }

    /// What readiness is judged by.
    pub fn health(&self) -> Health {
        todo!()
    }

    /// Stops all actors.
    pub async fn stop(&self) {}
}
