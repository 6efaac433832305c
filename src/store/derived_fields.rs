//! Derived fields as rows.

use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{Error, Page, PageRequest, Store, tenants, tx::TenantTx};
use crate::domain::{DerivedField, DerivedFieldId, Tenant, TenantScope};

/// A row of `derived_fields`.
pub(super) struct DerivedFieldRow(pub(super) DerivedField);

impl FromRow<'_, PgRow> for DerivedFieldRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(dependencies) = row.try_get("dependencies")?;
        Ok(Self(DerivedField {
            id: DerivedFieldId(row.try_get("id")?),
            name: row.try_get("name")?,
            expression: row.try_get("expression")?,
            description: row.try_get("description")?,
            value_type: row.try_get("value_type")?,
            dependencies,
            active: row.try_get("active")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        }))
    }
}

impl Store {
    /// Derived fields, in creation order.
    pub async fn derived_fields(
        &self,
        scope: TenantScope,
        page: &PageRequest,
    ) -> Result<Option<(Tenant, Page<DerivedField>)>, Error> {
        const LIST: &str = "derived fields";
        let (time, last) = page.after_moment(LIST)?;
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let query = sqlx::query_as(
            "select id, name, expression, description, value_type, dependencies, active, created_at, updated_at
             from derived_fields
             where tenant_id = $1 and ($2::timestamptz is null or (created_at, id) > ($2, $3))
             order by created_at, id limit $4",
        )
        .bind(scope.id().0)
        .bind(time)
        .bind(last)
        .bind(page.rows());
        let rows = tx.all("list derived fields", query).await?;
        tx.end().await?;
        let fields = rows.into_iter().map(|DerivedFieldRow(field)| field).collect();
        let moment = |field: &DerivedField| (field.created_at, field.id.0);
        Ok(Some((tenant, page.page_of_moments(LIST, fields, moment))))
    }

    /// A derived field.
    pub async fn derived_field(
        &self,
        scope: TenantScope,
        field: DerivedFieldId,
    ) -> Result<Option<(Tenant, Option<DerivedField>)>, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let query = sqlx::query_as(
            "select id, name, expression, description, value_type, dependencies, active, created_at, updated_at
             from derived_fields where tenant_id = $1 and id = $2",
        )
        .bind(scope.id().0)
        .bind(field.0);
        let field = tx.optional("get derived field", query).await?.map(|DerivedFieldRow(field)| field);
        tx.end().await?;
        Ok(Some((tenant, field)))
    }
}

/// All derived fields, in creation order.
pub(super) const SELECT_ALL: &str =
    "select id, name, expression, description, value_type, dependencies, active, created_at, updated_at
     from derived_fields where tenant_id = $1 order by created_at, id";

/// All derived fields, in creation order.
pub(super) async fn all(tx: &mut TenantTx) -> Result<Vec<DerivedField>, Error> {
    let query = sqlx::query_as(SELECT_ALL).bind(tx.tenant.0);
    let rows = tx.all("load derived fields", query).await?;
    Ok(rows.into_iter().map(|DerivedFieldRow(field)| field).collect())
}

/// The columns of many derived fields, one list each: what `unnest` takes.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    names: Vec<&'a str>,
    expressions: Vec<&'a str>,
    descriptions: Vec<Option<&'a str>>,
    value_types: Vec<&'a str>,
    dependencies: Vec<Value>,
    active: Vec<bool>,
    created: Vec<chrono::DateTime<chrono::Utc>>,
}

impl<'a> Columns<'a> {
    fn of(fields: &[&'a DerivedField]) -> Self {
        let mut columns = Self::default();
        for field in fields {
            columns.ids.push(field.id.0);
            columns.names.push(&field.name);
            columns.expressions.push(&field.expression);
            columns.descriptions.push(field.description.as_deref());
            columns.value_types.push(&field.value_type);
            columns.dependencies.push(Value::from(field.dependencies.clone()));
            columns.active.push(field.active);
            columns.created.push(field.created_at);
        }
        columns
    }
}

/// Writes new derived fields.
pub(super) async fn insert(tx: &mut TenantTx, fields: &[&DerivedField]) -> Result<(), Error> {
    if fields.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(fields);
    let query = sqlx::query(
        "insert into derived_fields (tenant_id, id, name, expression, description, value_type, dependencies, active,
            created_at, updated_at)
         select $1, id, name, expression, description, value_type, dependencies, active, created_at, created_at
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::bool[],
                $9::timestamptz[])
            as new (id, name, expression, description, value_type, dependencies, active, created_at)",
    )
    .bind(tx.tenant.0)
    .bind(columns.ids)
    .bind(columns.names)
    .bind(columns.expressions)
    .bind(columns.descriptions)
    .bind(columns.value_types)
    .bind(columns.dependencies)
    .bind(columns.active)
    .bind(columns.created);
    tx.execute("insert derived fields", query).await.map(drop)
}

/// Writes all columns of derived fields that exist.
pub(super) async fn update(tx: &mut TenantTx, fields: &[&DerivedField]) -> Result<(), Error> {
    if fields.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(fields);
    let query = sqlx::query(
        "update derived_fields set name = new.name, expression = new.expression, description = new.description,
            value_type = new.value_type, dependencies = new.dependencies, active = new.active
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::bool[])
            as new (id, name, expression, description, value_type, dependencies, active)
         where derived_fields.tenant_id = $1 and derived_fields.id = new.id",
    )
    .bind(tx.tenant.0)
    .bind(columns.ids)
    .bind(columns.names)
    .bind(columns.expressions)
    .bind(columns.descriptions)
    .bind(columns.value_types)
    .bind(columns.dependencies)
    .bind(columns.active);
    tx.execute("update derived fields", query).await.map(drop)
}

/// Removes derived fields.
pub(super) async fn delete(tx: &mut TenantTx, fields: &[DerivedFieldId]) -> Result<(), Error> {
    if fields.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = fields.iter().map(|field| field.0).collect();
    let query =
        sqlx::query("delete from derived_fields where tenant_id = $1 and id = any ($2)").bind(tx.tenant.0).bind(ids);
    tx.execute("delete derived fields", query).await.map(drop)
}
