//! Why the engine did not do what it was asked.

use crate::{
    domain::{Quota, QuotaExceeded, Revision},
    error::{Detail, ErrorKind},
    json,
    ruleset::{Broken, Refusal},
    store,
};

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such tenant.
    #[error("there is no tenant with this id")]
    TenantNotFound,
    /// The tenant is pinned.
    #[error("the tenant is pinned and cannot be stopped")]
    TenantPinned,
    /// The tenant is in quarantine.
    #[error("the tenant is in quarantine")]
    TenantQuarantined,
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
    /// Rules of one list have the same name.
    #[error("the names of rules must be unique; `errors` lists the duplicates")]
    NamesRepeated(Vec<Detail>),
    /// The tenant is at another revision than the change expects.
    #[error("the tenant is at revision {current}, not at the expected one")]
    RevisionMismatch {
        /// The tenant's revision.
        current: Revision,
    },
    /// What is being written is wrong in itself.
    #[error("the input is not acceptable")]
    Invalid(Vec<Detail>),
    /// Facts are not the JSON that they must be.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// The change would break these.
    #[error("the change would break what is stored")]
    Breaks(Vec<Broken>),
    /// The change would misread callers that send their facts flat.
    #[error("callers that send their facts flat would be misread")]
    BreaksFlatCallers,
    /// The change would misread callers that send their facts under the name of the object.
    #[error("callers that send their facts under the name of the object would be misread")]
    BreaksNamedCallers,
    /// The tenant has as many as it may.
    #[error("a tenant has at most {1} {0}")]
    TooMany(&'static str, usize),
    /// It goes beyond a quota of the tenant.
    #[error("{0}")]
    QuotaExceeded(QuotaExceeded),
    /// Too many writers of this tenant are waiting.
    #[error("too many changes of this tenant are waiting")]
    TenantBusy,
    /// The revision asked for was not reached in time.
    #[error("the revision asked for was not reached in time")]
    RevisionNotReached {
        /// The revision that this node serves.
        current: Revision,
    },
    /// The tenant's rule set cannot be loaded now; the reason is in the log.
    #[error("the tenant's rules cannot be loaded now")]
    LoadFailed,
    /// More callers wait for loads than may.
    #[error("too many requests wait for rules to be loaded")]
    Overloaded,
    /// The tenant's evaluations wait for too long: it sends more than its turns allow.
    #[error("the tenant's evaluations wait for their turn for too long")]
    TooBusy {
        /// How many requests it may have in hand.
        limit: u64,
    },
    /// The decision could not be recorded in time.
    #[error("the decision could not be recorded")]
    NotRecorded,
    /// What that revision held is no longer known.
    #[error("what this revision held is no longer known")]
    RevisionExpired,
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
            | Self::NamesRepeated(_)
            | Self::TenantPinned
            | Self::TenantQuarantined
            | Self::Breaks(_)
            | Self::BreaksFlatCallers
            | Self::BreaksNamedCallers => ErrorKind::Conflict,
            Self::RevisionMismatch { .. } => ErrorKind::Precondition,
            Self::Invalid(_) | Self::TooMany(..) => ErrorKind::Unacceptable,
            Self::QuotaExceeded(exceeded) if exceeded.quota == Quota::RequestBytes => ErrorKind::TooLarge,
            Self::QuotaExceeded(_) => ErrorKind::Unacceptable,
            Self::TenantBusy | Self::TooBusy { .. } => ErrorKind::Busy,
            Self::RevisionExpired => ErrorKind::Gone,
            Self::NotRecorded
            | Self::RevisionNotReached { .. }
            | Self::LoadFailed
            | Self::Overloaded
            | Self::Stopping => ErrorKind::Unavailable,
            Self::Json(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TenantNotFound => "tenant_not_found",
            Self::TenantSuspended => "tenant_suspended",
            Self::TenantPinned => "tenant_pinned",
            Self::TenantQuarantined => "tenant_quarantined",
            Self::SchemaMissing => "schema_missing",
            Self::SchemaExists => "schema_exists",
            Self::NotFound("rule") => "rule_not_found",
            Self::NotFound("derived field") => "derived_field_not_found",
            Self::NotFound("schema version") => "schema_version_not_found",
            Self::NotFound(_) => "not_found",
            Self::NameTaken(_) | Self::NamesRepeated(_) => "name_taken",
            Self::RevisionMismatch { .. } => "revision_mismatch",
            Self::Invalid(_) => "invalid",
            Self::Breaks(_) => "would_break",
            Self::BreaksFlatCallers => "breaks_flat_callers",
            Self::BreaksNamedCallers => "breaks_named_callers",
            Self::TooMany(..) => "too_many",
            Self::QuotaExceeded(_) => "quota_exceeded",
            Self::TenantBusy => "tenant_busy",
            Self::TooBusy { .. } => "too_many_requests_in_hand",
            Self::RevisionNotReached { .. } => "revision_not_reached",
            Self::LoadFailed => "load_failed",
            Self::Overloaded => "overloaded",
            Self::NotRecorded => "decision_not_recorded",
            Self::RevisionExpired => "revision_expired",
            Self::Stopping => "stopping",
            Self::Json(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Internal(_) => "internal",
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SchemaMissing => Self::SchemaMissing,
            Refusal::SchemaExists => Self::SchemaExists,
            Refusal::NotFound(what) => Self::NotFound(what),
            Refusal::NameTaken(name) => Self::NameTaken(name),
            Refusal::NamesRepeated(details) => Self::NamesRepeated(details),
            Refusal::Invalid(details) => Self::Invalid(details),
            Refusal::Breaks(broken) => Self::Breaks(broken),
            Refusal::BreaksFlatCallers => Self::BreaksFlatCallers,
            Refusal::BreaksNamedCallers => Self::BreaksNamedCallers,
            Refusal::QuotaExceeded(exceeded) => Self::QuotaExceeded(exceeded),
            Refusal::TooMany(what, most) => Self::TooMany(what, most),
        }
    }
}
