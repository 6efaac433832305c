//! PostgreSQL: the truth. Everything a tenant has is stored here, and every change of it counted.
//!
//! Tenant tables are reached through `TenantTx` alone. No other module names `sqlx`.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        DerivedField, DerivedFieldId, Epoch, Name, Revision, Rule, RuleId, Schema, SchemaVersion, Snapshot, Tenant,
        TenantDraft, TenantId,
    },
    error::ErrorKind,
    ruleset::Operation,
};

/// Handle on the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {}

/// A page of a list, and where the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Opaque; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// From where on: what an earlier page answered.
    pub cursor: Option<String>,
    /// Rows at most.
    pub limit: u32,
}

/// Which rules of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleFilter {
    /// Active ones, inactive ones, or both.
    pub active: Option<bool>,
    /// Those with this tag.
    pub tag: Option<String>,
    /// Those whose name begins so.
    pub name_prefix: Option<String>,
}

/// A line of the schema's changelog, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangelogLine {
    /// Its id.
    pub id: uuid::Uuid,
    /// What was done.
    pub action: String,
    /// The version in use before.
    pub from_version: Option<SchemaVersion>,
    /// The version in use afterwards.
    pub to_version: SchemaVersion,
    /// Who did it.
    pub actor: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// Rules and derived fields compiled again.
    pub rules_recompiled: i32,
    /// Of these, how many were deactivated.
    pub rules_failed: i32,
    /// Which, and why.
    pub details: Value,
}

/// Where a tenant stands, as the change log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its newest revision; `None` once it is deleted.
    pub revision: Option<Revision>,
}

/// What went wrong in the database, as far as a caller can act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant's name is taken.
    #[error("a tenant named `{0}` exists already")]
    TenantNameTaken(String),
    /// A cursor that this service did not make, or made for another list.
    #[error("the cursor is not one that this list answered")]
    CursorInvalid,
    /// A lock was not had in time.
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
        source: sqlx::Error,
    },
    /// Anything else: a defect of ours.
    #[error("{operation} failed")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// Why, for the log.
        source: sqlx::Error,
    },
}

impl Error {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TenantNameTaken(_) => ErrorKind::Conflict,
            Self::CursorInvalid => ErrorKind::Unacceptable,
            Self::Locked { .. } | Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Failed { .. } => ErrorKind::Internal,
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TenantNameTaken(_) => "tenant_name_taken",
            Self::CursorInvalid => "cursor_invalid",
            Self::Locked { .. } => "locked",
            Self::Unavailable { .. } => "database_unavailable",
            Self::Failed { .. } => "internal",
        }
    }
}

/// A tenant's row, locked for one change.
#[derive(Debug)]
pub struct ChangeTx {
    snapshot: Snapshot,
}

impl ChangeTx {
    /// Everything of the tenant, as it stands under the lock.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Writes the rows and commits; answers the revision that the database counted.
    pub async fn commit(self, operations: &[Operation]) -> Result<Revision, Error> {
        let _ = operations;
        todo!("store helper")
    }
}

#[expect(clippy::todo, clippy::unused_async, reason = "the signatures that the other modules build on")]
impl Store {
    /// Makes a tenant.
    pub async fn create_tenant(&self, draft: &TenantDraft) -> Result<Tenant, Error> {
        let _ = draft;
        todo!()
    }

    /// Deletes a tenant and everything of it, if it stands at `if_match` or none is given.
    /// `Ok(None)`: there is none. `Ok(Some(Err(revision)))`: it stands at another revision.
    pub async fn delete_tenant(
        &self,
        id: TenantId,
        if_match: Option<Revision>,
    ) -> Result<Option<Result<(), Revision>>, Error> {
        let _ = (id, if_match);
        todo!()
    }

    /// A tenant.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, Error> {
        let _ = id;
        todo!()
    }

    /// Tenants whose name begins with `name_prefix`, by name.
    pub async fn tenants(&self, name_prefix: Option<&str>, page: &PageRequest) -> Result<Page<Tenant>, Error> {
        let _ = (name_prefix, page);
        todo!()
    }

    /// Everything of a tenant, read in one `REPEATABLE READ READ ONLY` transaction.
    pub async fn snapshot(&self, id: TenantId) -> Result<Option<Snapshot>, Error> {
        let _ = id;
        todo!()
    }

    /// Locks a tenant's row and reads everything of it.
    pub async fn begin_change(&self, id: TenantId) -> Result<Option<ChangeTx>, Error> {
        let _ = id;
        todo!()
    }

    /// The tenant with its active schema, for reading. The tenant carries the revision that both were read at.
    pub async fn schema(&self, id: TenantId) -> Result<Option<(Tenant, Option<Schema>)>, Error> {
        let _ = id;
        todo!()
    }

    /// A version of a tenant's schema.
    pub async fn schema_version(
        &self,
        id: TenantId,
        version: SchemaVersion,
    ) -> Result<Option<(Tenant, Option<Schema>)>, Error> {
        let _ = (id, version);
        todo!()
    }

    /// The versions of a tenant's schema, newest first.
    pub async fn schema_versions(
        &self,
        id: TenantId,
        page: &PageRequest,
    ) -> Result<Option<(Tenant, Page<Schema>)>, Error> {
        let _ = (id, page);
        todo!()
    }

    /// The schema's changelog, newest first.
    pub async fn changelog(
        &self,
        id: TenantId,
        page: &PageRequest,
    ) -> Result<Option<(Tenant, Page<ChangelogLine>)>, Error> {
        let _ = (id, page);
        todo!()
    }

    /// Rules, in creation order.
    pub async fn rules(
        &self,
        id: TenantId,
        filter: &RuleFilter,
        page: &PageRequest,
    ) -> Result<Option<(Tenant, Page<Rule>)>, Error> {
        let _ = (id, filter, page);
        todo!()
    }

    /// A rule.
    pub async fn rule(&self, id: TenantId, rule: RuleId) -> Result<Option<(Tenant, Option<Rule>)>, Error> {
        let _ = (id, rule);
        todo!()
    }

    /// Derived fields, in creation order.
    pub async fn derived_fields(
        &self,
        id: TenantId,
        page: &PageRequest,
    ) -> Result<Option<(Tenant, Page<DerivedField>)>, Error> {
        let _ = (id, page);
        todo!()
    }

    /// A derived field.
    pub async fn derived_field(
        &self,
        id: TenantId,
        field: DerivedFieldId,
    ) -> Result<Option<(Tenant, Option<DerivedField>)>, Error> {
        let _ = (id, field);
        todo!()
    }

    /// The revisions of these tenants; those that are gone have none.
    pub async fn heads(&self, tenants: &[TenantId]) -> Result<Vec<Head>, Error> {
        let _ = tenants;
        todo!()
    }

    /// The history of this database.
    pub async fn epoch(&self) -> Result<Epoch, Error> {
        todo!()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        todo!()
    }

    /// A listener, not connected yet.
    pub fn listener(&self) -> Listener {
        Listener {}
    }

    /// A reconciler, not connected yet.
    pub fn reconciler(&self) -> Reconciler {
        Reconciler {}
    }

    /// Closes all connections.
    pub async fn close(&self) {}
}

/// Where reconciling stands: what of the change log has been seen.
#[derive(Debug, Clone, Default)]
pub struct ChangeCursor {}

/// What a poll of the change log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// These tenants changed since the last poll (possibly named twice, never left out).
    Changes(Vec<Head>),
    /// The database is another one than before, or was restored: everything must be compared.
    Discontinuity,
}

/// The connection on which the change log is polled: one of its own, named `tenet-reconcile`.
#[derive(Debug)]
pub struct Reconciler {}

#[expect(clippy::todo, clippy::unused_async, reason = "the signatures that the other modules build on")]
impl Reconciler {
    /// What changed since `cursor`, which moves on.
    pub async fn poll(&mut self, cursor: &mut ChangeCursor) -> Result<Poll, Error> {
        let _ = cursor;
        todo!()
    }
}

/// What the listener heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A tenant changed.
    Change(TenantId, Revision),
    /// Changes may have been missed: compare everything.
    Gap,
}

/// The connection that listens for changes, named `tenet-listener`.
#[derive(Debug)]
pub struct Listener {}

#[expect(clippy::todo, clippy::unused_async, reason = "the signatures that the other modules build on")]
impl Listener {
    /// The next thing heard. After an error the connection is made anew by the next call, which answers
    /// [`Heard::Gap`] first; the caller backs off between.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        todo!()
    }
}

/// A name given to a tenant, as a placeholder for what the helper needs from `domain`.
#[doc(hidden)]
pub fn _unused(_: Name) {}
