//! The changelog of schemas: who changed what, and what it did to the rules.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};

use super::{Error, Page, PageRequest, Store, tenants, tx::TenantTx};
use crate::{
    domain::{SchemaVersion, Tenant, TenantScope},
    ruleset::ChangelogEntry,
};

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

impl FromRow<'_, PgRow> for ChangelogLine {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let from_version: Option<i32> = row.try_get("from_version")?;
        let Json(details) = row.try_get("details")?;
        Ok(Self {
            id: row.try_get("id")?,
            action: row.try_get("action")?,
            from_version: from_version.map(SchemaVersion),
            to_version: SchemaVersion(row.try_get("to_version")?),
            actor: row.try_get("actor")?,
            changed_at: row.try_get("changed_at")?,
            rules_recompiled: row.try_get("rules_recompiled")?,
            rules_failed: row.try_get("rules_failed")?,
            details,
        })
    }
}

impl Store {
    /// What changes of the schema deactivated and nobody has changed since.
    pub async fn deactivated(&self, scope: TenantScope) -> Result<Vec<uuid::Uuid>, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let deactivated = deactivated(&mut tx).await?;
        tx.end().await?;
        Ok(deactivated)
    }

    /// The schema's changelog, newest first.
    pub async fn changelog(
        &self,
        scope: TenantScope,
        page: &PageRequest,
    ) -> Result<Option<(Tenant, Page<ChangelogLine>)>, Error> {
        const LIST: &str = "schema changelog";
        let (time, last) = page.after_moment(LIST)?;
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let query = sqlx::query_as(
            "select id, action, from_version, to_version, actor, changed_at, rules_recompiled, rules_failed, details
             from schema_changelog
             where tenant_id = $1 and ($2::timestamptz is null or (changed_at, id) < ($2, $3))
             order by changed_at desc, id desc limit $4",
        )
        .bind(scope.id().0)
        .bind(time)
        .bind(last)
        .bind(page.rows());
        let lines = tx.all("list schema changelog", query).await?;
        tx.end().await?;
        let moment = |line: &ChangelogLine| (line.changed_at, line.id);
        Ok(Some((tenant, page.page_of_moments(LIST, lines, moment))))
    }
}

/// What changes of the schema deactivated and nobody has changed since: its row still has the time of the change, which
/// is that of the line.
pub(super) async fn deactivated(tx: &mut TenantTx) -> Result<Vec<uuid::Uuid>, Error> {
    let query = sqlx::query_as(
        "select r.id from rules r
         where r.tenant_id = $1 and not r.active and exists (
             select from schema_changelog c
             where c.tenant_id = $1 and c.changed_at = r.updated_at
                 and c.details -> 'deactivated' @> jsonb_build_array(jsonb_build_object('ruleId', r.id)))
         union all
         select f.id from derived_fields f
         where f.tenant_id = $1 and not f.active and exists (
             select from schema_changelog c
             where c.tenant_id = $1 and c.changed_at = f.updated_at
                 and c.details -> 'deactivated' @> jsonb_build_array(jsonb_build_object('fieldId', f.id)))",
    )
    .bind(tx.tenant.0);
    let ids: Vec<(uuid::Uuid,)> = tx.all("list what schema changes deactivated", query).await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

/// Writes a line.
pub(super) async fn insert(tx: &mut TenantTx, entry: &ChangelogEntry) -> Result<(), Error> {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let query = sqlx::query(
        "insert into schema_changelog
            (tenant_id, id, action, from_version, to_version, actor, rules_recompiled, rules_failed, details)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tx.tenant.0)
    .bind(uuid::Uuid::now_v7())
    .bind(entry.action)
    .bind(entry.from_version.map(|version| version.0))
    .bind(entry.to_version.0)
    .bind(&entry.actor)
    .bind(count(entry.rules_recompiled))
    .bind(count(entry.rules_failed))
    .bind(Json(&entry.details));
    tx.execute("insert schema changelog", query).await.map(drop)
}
