//! Everything of a tenant, read at one moment.

use chrono::{DateTime, Utc};

use super::{Error, Store, derived_fields, rules, schemas, tenants, tx::TenantTx};
use crate::domain::{Epoch, Snapshot, Tenant, TenantId};

impl Store {
    /// Everything of a tenant, read in one `REPEATABLE READ READ ONLY` transaction.
    pub async fn snapshot(&self, id: TenantId) -> Result<Option<Snapshot>, Error> {
        let mut tx = TenantTx::read(&self.loads, &self.role, id).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let snapshot = rest(&mut tx, tenant).await?;
        tx.end().await?;
        Ok(Some(snapshot))
    }
}

/// Everything else of `tenant`. Either `tx` sees one moment, or it holds the tenant's lock.
pub(super) async fn rest(tx: &mut TenantTx, tenant: Tenant) -> Result<Snapshot, Error> {
    let moment = sqlx::query_as("select epoch, now() from installation");
    let (epoch, taken_at): (uuid::Uuid, DateTime<Utc>) =
        tx.optional("get epoch", moment).await?.ok_or_else(|| Error::of("get epoch", sqlx::Error::RowNotFound))?;
    Ok(Snapshot {
        tenant,
        epoch: Epoch(epoch),
        schema: schemas::active(tx).await?,
        schema_version_max: schemas::version_max(tx).await?,
        derived_fields: derived_fields::all(tx).await?,
        rules: rules::all(tx).await?,
        taken_at,
    })
}
