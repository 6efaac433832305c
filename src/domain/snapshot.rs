//! Everything of one tenant as stored at one revision.

use chrono::{DateTime, Utc};

use super::{DerivedField, Epoch, Revision, Rule, Schema, SchemaVersion, Tenant};

/// What one transaction read of a tenant: the input of compiling, and of every change.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The tenant itself, with the revision of all that follows.
    pub tenant: Tenant,
    /// The history of the database that the revision counts in.
    pub epoch: Epoch,
    /// The schema in use, if there is one.
    pub schema: Option<Schema>,
    /// The number of the newest schema version, in use or not.
    pub schema_version_max: Option<SchemaVersion>,
    /// All derived fields, in creation order.
    pub derived_fields: Vec<DerivedField>,
    /// All rules, active or not, in creation order.
    pub rules: Vec<Rule>,
    /// The time of the transaction: what its triggers write as `updated_at`.
    pub taken_at: DateTime<Utc>,
}

impl Snapshot {
    /// The revision that the snapshot shows.
    pub fn revision(&self) -> Revision {
        self.tenant.revision
    }
}
