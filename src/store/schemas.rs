//! The versions of a tenant's schema, of which one at most is in use.

use std::sync::Arc;

use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};

use super::{Error, Page, PageRequest, Store, tenants, tx::TenantTx};
use crate::domain::{Schema, SchemaDefinition, SchemaVersion, Tenant, TenantScope};

/// A row of `schemas`.
pub(super) struct SchemaRow(pub(super) Schema);

impl FromRow<'_, PgRow> for SchemaRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let version = row.try_get("version")?;
        let Json(json): Json<Value> = row.try_get("definition")?;
        let definition = SchemaDefinition::parse(&json).map_err(|details| {
            let first = details.first().map(|detail| detail.message.as_str()).unwrap_or_default();
            sqlx::Error::Decode(
                format!("schema version {version} was changed by hand and is not valid: {first}").into(),
            )
        })?;
        Ok(Self(Schema {
            version: SchemaVersion(version),
            definition: Arc::new(definition),
            active: row.try_get("active")?,
            created_at: row.try_get("created_at")?,
        }))
    }
}

impl Store {
    /// The tenant with its active schema, for reading. The tenant carries the revision that both were read at.
    pub async fn schema(&self, scope: TenantScope) -> Result<Option<(Tenant, Option<Schema>)>, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let schema = active(&mut tx).await?;
        tx.end().await?;
        Ok(Some((tenant, schema)))
    }

    /// A version of a tenant's schema.
    pub async fn schema_version(
        &self,
        scope: TenantScope,
        version: SchemaVersion,
    ) -> Result<Option<(Tenant, Option<Schema>)>, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let query = sqlx::query_as(
            "select version, definition, active, created_at from schemas where tenant_id = $1 and version = $2",
        )
        .bind(scope.id().0)
        .bind(version.0);
        let schema = tx.optional("get schema version", query).await?.map(|SchemaRow(schema)| schema);
        tx.end().await?;
        Ok(Some((tenant, schema)))
    }

    /// The versions of a tenant's schema, newest first.
    pub async fn schema_versions(
        &self,
        scope: TenantScope,
        page: &PageRequest,
    ) -> Result<Option<(Tenant, Page<Schema>)>, Error> {
        const LIST: &str = "schema versions";
        let before: Option<i32> = page.after(LIST)?;
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let query = sqlx::query_as(
            "select version, definition, active, created_at from schemas
             where tenant_id = $1 and ($2::int is null or version < $2)
             order by version desc limit $3",
        )
        .bind(scope.id().0)
        .bind(before)
        .bind(page.rows());
        let rows = tx.all("list schema versions", query).await?;
        tx.end().await?;
        let schemas = rows.into_iter().map(|SchemaRow(schema)| schema).collect();
        Ok(Some((tenant, page.page(LIST, schemas, |schema: &Schema| schema.version.0))))
    }
}

/// The schema in use.
pub(super) async fn active(tx: &mut TenantTx) -> Result<Option<Schema>, Error> {
    let query =
        sqlx::query_as("select version, definition, active, created_at from schemas where tenant_id = $1 and active")
            .bind(tx.tenant.0);
    Ok(tx.optional("get active schema", query).await?.map(|SchemaRow(schema)| schema))
}

/// Writes a new version, and makes it the one in use.
pub(super) async fn insert(
    tx: &mut TenantTx,
    version: SchemaVersion,
    definition: &SchemaDefinition,
) -> Result<(), Error> {
    deactivate(tx).await?;
    let query =
        sqlx::query("insert into schemas (tenant_id, id, version, definition, active) values ($1, $2, $3, $4, true)")
            .bind(tx.tenant.0)
            .bind(uuid::Uuid::now_v7())
            .bind(version.0)
            .bind(Json(definition.json()));
    tx.execute("insert schema", query).await.map(drop)
}

/// Makes a stored version the one in use.
pub(super) async fn activate(tx: &mut TenantTx, version: SchemaVersion) -> Result<(), Error> {
    deactivate(tx).await?;
    let query = sqlx::query("update schemas set active = true where tenant_id = $1 and version = $2")
        .bind(tx.tenant.0)
        .bind(version.0);
    tx.execute("activate schema", query).await.map(drop)
}

/// A statement of its own: the index that allows one active version looks at each row, not at the end.
async fn deactivate(tx: &mut TenantTx) -> Result<(), Error> {
    let query = sqlx::query("update schemas set active = false where tenant_id = $1 and active").bind(tx.tenant.0);
    tx.execute("deactivate schema", query).await.map(drop)
}
