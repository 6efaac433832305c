//! What revisions held: a tenant's rules and derived fields at a revision of the past, and when each revision was made.
//!
//! The database's triggers fill these tables, and nothing here does.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};

use super::{
    Error, Store,
    derived_fields::DerivedFieldRow,
    rules::RuleRow,
    schemas::SchemaRow,
    snapshot,
    tenants::{self, tier},
    tx::TenantTx,
};
use crate::domain::{Revision, Snapshot, Tenant, TenantId, TenantScope};

/// Tenants whose history is forgotten by one transaction.
const FORGOTTEN_TENANTS: i32 = 200;

/// A revision that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum PastRevision {
    /// What it held.
    Kept(Box<Snapshot>),
    /// It is so old that it was forgotten.
    Expired,
    /// The tenant has not come so far.
    Unknown,
}

/// What is noted of a revision.
struct Note {
    at: DateTime<Utc>,
    schema_version: Option<i32>,
    tier: crate::domain::Tier,
    quotas: crate::domain::QuotaOverrides,
    strict_facts: bool,
}

impl FromRow<'_, PgRow> for Note {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            at: row.try_get("at")?,
            schema_version: row.try_get("schema_version")?,
            tier: tier(row.try_get("tier")?)?,
            quotas: tenants::quotas(&row.try_get::<Json<serde_json::Value>, _>("quotas")?.0),
            strict_facts: row.try_get("strict_facts")?,
        })
    }
}

impl Store {
    /// Everything of a tenant as it was at `revision`; `None` if there is no such tenant. What decisions do not depend on,
    /// such as the tenant's name, is as it is now.
    pub async fn snapshot_at(&self, scope: TenantScope, revision: Revision) -> Result<Option<PastRevision>, Error> {
        let mut tx = TenantTx::read(&self.loads, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let past = if tenant.revision < revision || revision.0 < 1 {
            PastRevision::Unknown
        } else {
            match note(&mut tx, revision).await? {
                Some(note) => PastRevision::Kept(Box::new(past(&mut tx, tenant, revision, note).await?)),
                None => PastRevision::Expired,
            }
        };
        tx.end().await?;
        Ok(Some(past))
    }

    /// Forgets what revisions held that another one had replaced by `before`. The newest is always kept.
    pub async fn forget_history(&self, before: DateTime<Utc>) -> Result<(), Error> {
        const OPERATION: &str = "forget history";
        let mut after = Some(uuid::Uuid::nil());
        while let Some(tenant) = after {
            let query = sqlx::query_scalar("select tenet_forget_history($1, $2, $3)")
                .bind(tenant)
                .bind(FORGOTTEN_TENANTS)
                .bind(before);
            let mut connection = self.loads.acquire(OPERATION).await?;
            after = self.loads.observer().timed(OPERATION, query.fetch_one(&mut *connection)).await?;
        }
        Ok(())
    }
}

async fn note(tx: &mut TenantTx, revision: Revision) -> Result<Option<Note>, Error> {
    let query = sqlx::query_as(
        "select at, schema_version, tier, quotas, strict_facts from revision_notes where tenant_id = $1 and revision = $2",
    )
    .bind(tx.tenant.0)
    .bind(revision.0);
    tx.optional("get note of revision", query).await
}

async fn past(tx: &mut TenantTx, tenant: Tenant, revision: Revision, note: Note) -> Result<Snapshot, Error> {
    let TenantId(id) = tx.tenant;
    let tenant = Tenant {
        tier: note.tier,
        quotas: note.quotas,
        strict_facts: note.strict_facts,
        revision,
        updated_at: note.at,
        ..tenant
    };
    let snapshot = snapshot::head_of(tx, tenant).await?;
    let schema = sqlx::query_as(
        "select version, definition, true as active, created_at from schemas where tenant_id = $1 and version = $2",
    )
    .bind(id)
    .bind(note.schema_version);
    let schema = tx.optional("get schema of revision", schema).await?.map(|SchemaRow(schema)| schema);
    let fields = sqlx::query_as(
        "select derived_field_id as id, name, expression, description, value_type, dependencies, active, created_at,
            updated_at
         from derived_field_history
         where tenant_id = $1 and from_revision <= $2 and (to_revision is null or to_revision > $2)
         order by created_at, derived_field_id",
    )
    .bind(id)
    .bind(revision.0);
    let derived_fields = tx.all("get derived fields of revision", fields).await?;
    let rules = sqlx::query_as(
        "select rule_id as id, name, expression, description, tags, active, created_at, updated_at from rule_history
         where tenant_id = $1 and from_revision <= $2 and (to_revision is null or to_revision > $2)
         order by created_at, rule_id",
    )
    .bind(id)
    .bind(revision.0);
    let rules = tx.all("get rules of revision", rules).await?;
    Ok(Snapshot {
        schema,
        derived_fields: derived_fields.into_iter().map(|DerivedFieldRow(field)| field).collect(),
        rules: rules.into_iter().map(|RuleRow(rule)| rule).collect(),
        ..snapshot
    })
}
