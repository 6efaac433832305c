//! A change of one tenant: its row locked, everything read, the rows written, the tenant read back, and all of it
//! recorded in the audit log.

use uuid::Uuid;

use super::{Error, Store, audit, changelog, derived_fields, rules, schemas, snapshot, tenants, tx::TenantTx};
use crate::{
    domain::{Author, DerivedField, DerivedFieldId, Rule, RuleId, Snapshot, Tenant, TenantScope},
    ruleset::{Operation, record},
};

/// A tenant's row, locked for one change. Rolls back when dropped.
#[derive(Debug)]
pub struct ChangeTx {
    tx: TenantTx,
    snapshot: Snapshot,
}

impl Store {
    /// Locks a tenant's row and reads everything of it.
    pub async fn begin_change(&self, scope: TenantScope) -> Result<Option<ChangeTx>, Error> {
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::lock(&mut tx).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        // Whoever writes any row of the tenant counts on the locked one: nothing moves under these reads.
        let snapshot = snapshot::rest(&mut tx, tenant).await?;
        Ok(Some(ChangeTx { tx, snapshot }))
    }
}

impl ChangeTx {
    /// Everything of the tenant, as read under the lock.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What changes of the schema deactivated and nobody has changed since.
    pub async fn deactivated(&mut self) -> Result<Vec<Uuid>, Error> {
        changelog::deactivated(&mut self.tx).await
    }

    /// Writes the rows, writes down that `author` did it, and commits; answers the tenant as it is stored then.
    pub async fn commit(self, operations: &[Operation], author: &Author) -> Result<Tenant, Error> {
        let Self { mut tx, snapshot } = self;
        if operations.is_empty() {
            tx.rollback().await?;
            return Ok(snapshot.tenant);
        }
        Rows::of(operations).write(&mut tx).await?;
        let tenant = tenants::read(&mut tx).await?.ok_or(Error::Gone { operation: "change tenant" })?;
        audit::append(&mut tx, author, tenant.revision, record(&snapshot, operations)).await?;
        tx.commit("change tenant").await?;
        Ok(tenant)
    }
}

/// Operations, ordered so that few statements write many rows: what goes makes room for what is renamed, and that for
/// what comes.
#[derive(Default)]
struct Rows<'a> {
    /// Tenant and schemas, in the order given; the changelog refers to the versions.
    singly: Vec<&'a Operation>,
    fields_gone: Vec<DerivedFieldId>,
    fields_changed: Vec<&'a DerivedField>,
    fields_new: Vec<&'a DerivedField>,
    rules_gone: Vec<RuleId>,
    rules_changed: Vec<&'a Rule>,
    rules_new: Vec<&'a Rule>,
}

impl<'a> Rows<'a> {
    fn of(operations: &'a [Operation]) -> Self {
        let mut rows = Self::default();
        for operation in operations {
            match operation {
                Operation::UpdateTenant(_)
                | Operation::InsertSchema(..)
                | Operation::ActivateSchema(_)
                | Operation::Log(_) => rows.singly.push(operation),
                Operation::DeleteDerivedField(id) => rows.fields_gone.push(*id),
                Operation::UpdateDerivedField(field) => rows.fields_changed.push(field),
                Operation::InsertDerivedField(field) => rows.fields_new.push(field),
                Operation::DeleteRule(id) => rows.rules_gone.push(*id),
                Operation::UpdateRule(rule) => rows.rules_changed.push(rule),
                Operation::InsertRule(rule) => rows.rules_new.push(rule),
            }
        }
        rows
    }

    async fn write(self, tx: &mut TenantTx) -> Result<(), Error> {
        for operation in self.singly {
            match operation {
                Operation::UpdateTenant(patch) => tenants::update(tx, patch).await?,
                Operation::InsertSchema(version, definition) => schemas::insert(tx, *version, definition).await?,
                Operation::ActivateSchema(version) => schemas::activate(tx, *version).await?,
                Operation::Log(entry) => changelog::insert(tx, entry).await?,
                _ => {}
            }
        }
        derived_fields::delete(tx, &self.fields_gone).await?;
        derived_fields::update(tx, &self.fields_changed).await?;
        derived_fields::insert(tx, &self.fields_new).await?;
        rules::delete(tx, &self.rules_gone).await?;
        rules::update(tx, &self.rules_changed).await?;
        rules::insert(tx, &self.rules_new).await
    }
}
