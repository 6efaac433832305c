//! Everything of a tenant, read at one moment.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};

use super::{Error, Store, derived_fields, rules, schemas::SchemaRow, tenants, tx::TenantTx};
use crate::domain::{Epoch, Schema, SchemaVersion, Snapshot, Tenant, TenantId};

impl Store {
    /// Everything of a tenant, read in one `REPEATABLE READ READ ONLY` transaction.
    pub async fn snapshot(&self, id: TenantId) -> Result<Option<Snapshot>, Error> {
        let mut tx = TenantTx::read(&self.loads, &self.role, id).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        // Nothing was written: the transaction ends on the connection's way back to the pool, and nobody waits for it.
        rest(&mut tx, tenant).await.map(Some)
    }
}

/// Everything else of `tenant`. Either `tx` sees one moment, or it holds the tenant's lock.
pub(super) async fn rest(tx: &mut TenantTx, tenant: Tenant) -> Result<Snapshot, Error> {
    let Head { epoch, taken_at, schema, schema_version_max } = head(tx).await?;
    Ok(Snapshot {
        tenant,
        epoch,
        schema,
        schema_version_max,
        derived_fields: derived_fields::all(tx).await?,
        rules: rules::all(tx).await?,
        taken_at,
    })
}

/// What there is one of.
struct Head {
    epoch: Epoch,
    taken_at: DateTime<Utc>,
    schema: Option<Schema>,
    schema_version_max: Option<SchemaVersion>,
}

async fn head(tx: &mut TenantTx) -> Result<Head, Error> {
    const OPERATION: &str = "get active schema";
    let query = sqlx::query_as(
        "select i.epoch, now() as taken_at, s.version, s.definition, s.active, s.created_at,
             (select max(version) from schemas where tenant_id = $1) as version_max
         from installation i left join schemas s on s.tenant_id = $1 and s.active",
    )
    .bind(tx.tenant.0);
    tx.optional(OPERATION, query).await?.ok_or_else(|| Error::of(OPERATION, sqlx::Error::RowNotFound))
}

impl FromRow<'_, PgRow> for Head {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let is_there = row.try_get::<Option<i32>, _>("version")?.is_some();
        Ok(Self {
            epoch: Epoch(row.try_get("epoch")?),
            taken_at: row.try_get("taken_at")?,
            schema: is_there.then(|| SchemaRow::from_row(row)).transpose()?.map(|SchemaRow(schema)| schema),
            schema_version_max: row.try_get::<Option<i32>, _>("version_max")?.map(SchemaVersion),
        })
    }
}
