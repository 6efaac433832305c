//! What can go wrong in the database, in the words of those who asked. No other file reads SQLSTATEs.

use std::time::Duration;

use sqlx::error::DatabaseError;

use super::compatibility::SchemaMismatch;
use crate::{breakers::Dependency, error::ErrorKind};

/// What went wrong in the database, as far as a caller can act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant's name is taken.
    #[error("a tenant named `{0}` exists already")]
    TenantNameTaken(String),
    /// A rule or derived field of this name was made at the same time.
    #[error("a {0} of this name exists already")]
    NameTaken(&'static str),
    /// A row with this id exists.
    #[error("{operation}: this id is in use")]
    IdTaken {
        /// What was being done.
        operation: &'static str,
    },
    /// What the row belongs to went away meanwhile.
    #[error("{operation}: it was deleted meanwhile")]
    Gone {
        /// What was being done.
        operation: &'static str,
    },
    /// A value that the database cannot hold, such as a text with a NUL character.
    #[error("{operation}: a value cannot be stored")]
    ValueRefused {
        /// What was being done.
        operation: &'static str,
        /// Why, for the log.
        source: Cause,
    },
    /// A cursor that this service did not make, or made for another list.
    #[error("the cursor is not one that this list answered")]
    CursorInvalid,
    /// A lock was not had in time, or two writers stood in each other's way.
    #[error("{operation}: the row is locked by another writer")]
    Locked {
        /// What was being done.
        operation: &'static str,
    },
    /// The database cannot be reached, or is going down.
    #[error("{operation}: the database cannot be reached")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// Why, for the log.
        source: Cause,
    },
    /// There is no partition for the day of a row.
    #[error("{operation}: there is no partition for the day of a row")]
    NoPartition {
        /// What was being done.
        operation: &'static str,
    },
    /// All connections that the tenant's tier may have are in use.
    #[error("{operation}: all connections of the tenant's tier are in use")]
    Busy {
        /// What was being done.
        operation: &'static str,
    },
    /// The database has failed too often of late to be asked again already.
    #[error("{operation}: the database has failed, and is not asked for now")]
    BreakerOpen {
        /// What was being done.
        operation: &'static str,
        /// What it would have been asked.
        dependency: Dependency,
        /// When it is asked again.
        wait: Duration,
    },
    /// The connection broke while a change was being committed: it is made, or it is not.
    #[error("{operation}: the database did not say whether the change is made")]
    OutcomeUnknown {
        /// What was being done.
        operation: &'static str,
        /// Why, for the log.
        source: Cause,
    },
    /// The tables are not those that this service works with.
    #[error(transparent)]
    Schema(#[from] SchemaMismatch),
    /// The login or the role is not fit for the service.
    #[error("{0}")]
    Role(String),
    /// The URL of the database cannot be used.
    #[error("the URL of the database is not valid: {0}")]
    Url(String),
    /// Anything else: a defect of ours.
    #[error("{operation} failed")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// Why, for the log.
        source: Cause,
    },
}

impl Error {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TenantNameTaken(_) | Self::NameTaken(_) | Self::IdTaken { .. } => ErrorKind::Conflict,
            Self::Gone { .. } => ErrorKind::NotFound,
            Self::ValueRefused { .. } | Self::CursorInvalid => ErrorKind::Unacceptable,
            Self::Locked { .. }
            | Self::NoPartition { .. }
            | Self::Busy { .. }
            | Self::BreakerOpen { .. }
            | Self::Unavailable { .. }
            | Self::OutcomeUnknown { .. } => ErrorKind::Unavailable,
            // An operator's mistake, not a passing one; requests meet it only if it is made while the service runs.
            Self::Schema(_) | Self::Role(_) | Self::Url(_) => ErrorKind::Unavailable,
            Self::Failed { .. } => ErrorKind::Internal,
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TenantNameTaken(_) => "tenant_name_taken",
            Self::NameTaken(_) => "name_taken",
            Self::IdTaken { .. } => "id_taken",
            Self::Gone { .. } => "not_found",
            Self::ValueRefused { .. } => "value_refused",
            Self::CursorInvalid => "cursor_invalid",
            Self::Locked { .. } => "locked",
            Self::Unavailable { .. } | Self::NoPartition { .. } => "database_unavailable",
            Self::Busy { .. } => "database_busy",
            Self::BreakerOpen { .. } => "dependency_unavailable",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Schema(_) => "database_not_migrated",
            Self::Role(_) | Self::Url(_) => "database_misconfigured",
            Self::Failed { .. } => "internal",
        }
    }

    /// Whether the database failed, and not what was asked of it.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::OutcomeUnknown { .. })
    }

    /// What `source` means for whoever asked for `operation`.
    pub(super) fn of(operation: &'static str, source: sqlx::Error) -> Self {
        let Some(database) = source.as_database_error() else {
            return if is_transport(&source) {
                Self::Unavailable { operation, source: Cause(source) }
            } else {
                Self::Failed { operation, source: Cause(source) }
            };
        };
        let code = database.code().unwrap_or_default().into_owned();
        match code.as_str() {
            "23505" => {
                duplicate(operation, database.constraint()).unwrap_or(Self::Failed { operation, source: Cause(source) })
            }
            "23503" => Self::Gone { operation },
            // Lock not had in time; serialization failure; deadlock: all three pass when asked again.
            "55P03" | "40001" | "40P01" => Self::Locked { operation },
            // Not the row's fault as a rule: it passes once somebody makes the partition.
            "23514" if database.constraint().is_none() => Self::NoPartition { operation },
            // Characters and escapes that text and JSON cannot hold; too long; checks; too large for an index.
            "22021" | "22P05" | "22001" | "23514" | "54000" => Self::ValueRefused { operation, source: Cause(source) },
            _ if is_unavailable(database, &code) => Self::Unavailable { operation, source: Cause(source) },
            _ => Self::Failed { operation, source: Cause(source) },
        }
    }

    /// The same for a statement that commits by itself, after which a server that went down leaves the outcome open, too.
    pub(super) fn of_committing(operation: &'static str, source: sqlx::Error) -> Self {
        let is_shutdown = |code: &str| code.starts_with("57P");
        match source.as_database_error().and_then(DatabaseError::code) {
            Some(code) if is_shutdown(&code) => Self::OutcomeUnknown { operation, source: Cause(source) },
            _ => Self::of_commit(operation, source),
        }
    }

    /// The same for COMMIT, after which a broken connection leaves the outcome open.
    pub(super) fn of_commit(operation: &'static str, source: sqlx::Error) -> Self {
        match source {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::OutcomeUnknown { operation, source: Cause(source) }
            }
            _ => Self::of(operation, source),
        }
    }
}

/// What the driver said, in the words of the server or of the system where there are any: the driver's own add where in
/// the server's source text an error arose.
#[derive(Debug, thiserror::Error)]
#[error("{}", words_of(.0))]
pub struct Cause(sqlx::Error);

fn words_of(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// Which uniqueness was hurt.
fn duplicate(operation: &'static str, constraint: Option<&str>) -> Option<Error> {
    match constraint? {
        "tenants_name_key" => Some(Error::NameTaken("tenant")),
        "rules_name_key" => Some(Error::NameTaken("rule")),
        "derived_fields_name_key" => Some(Error::NameTaken("derived field")),
        "tenants_pkey"
        | "rules_pkey"
        | "derived_fields_pkey"
        | "schemas_pkey"
        | "schema_changelog_pkey"
        | "api_keys_pkey" => Some(Error::IdTaken { operation }),
        // Two writers made the same version, or the same revision: possible only past the tenant's lock.
        "schemas_version_key" | "schemas_active" | "tenant_changes_pkey" | "audit_log_pkey" => {
            Some(Error::Locked { operation })
        }
        _ => None,
    }
}

/// Whether the connection failed, not what was asked on it.
fn is_transport(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::Configuration(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
    )
}

/// Whether the server is away, overloaded, going down, or one that cannot be written to.
fn is_unavailable(error: &dyn DatabaseError, code: &str) -> bool {
    const STATEMENT_TIMEOUT: &str = "57014";
    const STANDBY: &str = "25006";
    const TRANSACTION_TIMEOUTS: [&str; 2] = ["25P03", "25P04"];
    const AUTHENTICATION: &str = "28";
    const DATABASE_GONE: &str = "3D000";
    ["08", "53", "57P", AUTHENTICATION].iter().any(|class| code.starts_with(class))
        || [STATEMENT_TIMEOUT, STANDBY, DATABASE_GONE].contains(&code)
        || TRANSACTION_TIMEOUTS.contains(&code)
        // A server that starts or stops says so with a severity of its own.
        || error.message().starts_with("the database system is")
}
