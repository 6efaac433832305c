//! Tenants: the one table that is read across tenants. What others may see of it is decided here, by id.

use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};

use super::{Error, Page, PageRequest, Store, audit, tx::TenantTx};
use crate::domain::{
    AtRevision, AuditAction, AuditDraft, Author, DecisionLog, Name, Quota, QuotaOverrides, Revision, System, Tenant,
    TenantDraft, TenantId, TenantPatch, TenantScope, TenantStatus, Tier,
};

/// The revision of a tenant, from the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantHead {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its newest revision; `None` once it is deleted.
    pub revision: Option<Revision>,
}

/// A row of `tenants`.
pub(super) struct TenantRow(pub(super) Tenant);

impl FromRow<'_, PgRow> for TenantRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(Tenant {
            id: TenantId(row.try_get("id")?),
            name: Name::stored(row.try_get("name")?),
            tier: tier(row.try_get("tier")?)?,
            status: status(row.try_get("status")?)?,
            pinned: row.try_get("pinned")?,
            idle_stop_seconds: row
                .try_get::<Option<i32>, _>("idle_stop_seconds")?
                .and_then(|time| time.try_into().ok()),
            strict_facts: row.try_get("strict_facts")?,
            quotas: quotas(&row.try_get::<Json<Value>, _>("quotas")?.0),
            workers: row.try_get::<Option<i16>, _>("workers")?.and_then(|workers| workers.try_into().ok()),
            decision_log: decision_log(row.try_get::<Json<Value>, _>("decision_log")?.0),
            revision: Revision(row.try_get("revision")?),
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        }))
    }
}

/// What this version does not know is for a later one.
pub(super) fn quotas(stored: &Value) -> QuotaOverrides {
    let limits = stored.as_object().into_iter().flatten();
    let limits = limits.filter_map(|(name, limit)| Some((Quota::named(name)?, limit.as_u64()?)));
    QuotaOverrides(limits.collect())
}

pub(super) fn tier(text: &str) -> Result<Tier, sqlx::Error> {
    Tier::named(text).ok_or_else(|| sqlx::Error::Decode(format!("unknown tier `{text}`").into()))
}

/// What cannot be read is a later version's: nothing is recorded that it did not ask for.
fn decision_log(stored: Value) -> DecisionLog {
    serde_json::from_value(stored).unwrap_or_default()
}

fn status(text: &str) -> Result<TenantStatus, sqlx::Error> {
    match text {
        "active" => Ok(TenantStatus::Active),
        "suspended" => Ok(TenantStatus::Suspended),
        _ => Err(sqlx::Error::Decode(format!("unknown status `{text}`").into())),
    }
}

fn status_text(status: TenantStatus) -> &'static str {
    match status {
        TenantStatus::Active => "active",
        TenantStatus::Suspended => "suspended",
    }
}

impl Store {
    /// Makes a tenant.
    pub async fn create_tenant(&self, draft: &TenantDraft, author: &Author) -> Result<Tenant, Error> {
        const OPERATION: &str = "create tenant";
        let id = TenantId::generate();
        let scope = TenantScope::of_system(System::Creation, id);
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        let query = sqlx::query_as(
            "insert into tenants (id, name, tier) values ($1, $2, $3)
             returning id, name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, workers, decision_log, revision, created_at, updated_at",
        )
        .bind(id.0)
        .bind(draft.name.as_str())
        .bind(draft.tier.name());
        let inserted = tx.optional(OPERATION, query).await.map_err(|error| named(error, &draft.name))?;
        let TenantRow(tenant) = inserted.ok_or_else(|| Error::of(OPERATION, sqlx::Error::RowNotFound))?;
        let made = about(AuditAction::TenantCreate, None, Some(tenant.settings()));
        audit::append(&mut tx, author, tenant.revision, vec![made]).await?;
        tx.commit(OPERATION).await?;
        Ok(tenant)
    }

    /// Deletes a tenant and everything of it but its audit log, if it is at a revision that `if_match` allows.
    /// `Ok(None)`: there is none. `Ok(Some(Err(revision)))`: it is at another revision.
    pub async fn delete_tenant(
        &self,
        scope: TenantScope,
        if_match: &AtRevision,
        author: &Author,
    ) -> Result<Option<Result<Revision, Revision>>, Error> {
        const OPERATION: &str = "delete tenant";
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        let Some(tenant) = lock(&mut tx).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        if !if_match.allows(tenant.revision) {
            tx.rollback().await?;
            return Ok(Some(Err(tenant.revision)));
        }
        tx.execute(OPERATION, sqlx::query("delete from tenants where id = $1").bind(scope.id().0)).await?;
        // What `tenet_record_tenant` records it with.
        let revision = Revision(tenant.revision.0 + 1);
        let deleted = about(AuditAction::TenantDelete, Some(tenant.settings()), None);
        audit::append(&mut tx, author, revision, vec![deleted]).await?;
        tx.commit(OPERATION).await?;
        Ok(Some(Ok(revision)))
    }

    /// A tenant.
    pub async fn tenant(&self, scope: TenantScope) -> Result<Option<Tenant>, Error> {
        const OPERATION: &str = "get tenant";
        let query = sqlx::query_as(SELECT_TENANT).bind(scope.id().0);
        let mut connection = self.requests.acquire(OPERATION).await?;
        let row = self.requests.observer().timed(OPERATION, query.fetch_optional(&mut *connection)).await?;
        Ok(row.map(|TenantRow(tenant)| tenant))
    }

    /// Tenants whose name begins with `name_prefix`, by name.
    pub async fn tenants(&self, name_prefix: Option<&str>, page: &PageRequest) -> Result<Page<Tenant>, Error> {
        const OPERATION: &str = "list tenants";
        const LIST: &str = "tenants";
        let prefix = name_prefix.unwrap_or_default();
        let query = sqlx::query_as(
            "select id, name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, workers, decision_log, revision, created_at, updated_at from tenants
             where name >= $1 and ($2::text is null or name < $2) and ($3::text is null or name > $3)
             order by name limit $4",
        )
        .bind(prefix)
        .bind(beyond_prefix(prefix))
        .bind(page.after::<String>(LIST)?)
        .bind(page.rows());
        let mut connection = self.requests.acquire(OPERATION).await?;
        let rows = self.requests.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        let tenants = rows.into_iter().map(|TenantRow(tenant)| tenant).collect();
        Ok(page.page(LIST, tenants, |tenant| tenant.name.to_string()))
    }

    /// Tenants in the order of their ids, `rows` at most, from beyond `after` on.
    pub async fn tenants_by_id(&self, after: Option<TenantId>, rows: u32) -> Result<Vec<Tenant>, Error> {
        const OPERATION: &str = "list tenants by id";
        let query = sqlx::query_as(
            "select id, name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, workers, decision_log, revision, created_at, updated_at from tenants
             where ($1::uuid is null or id > $1) order by id limit $2",
        )
        .bind(after.map(|tenant| tenant.0))
        .bind(i64::from(rows));
        let mut connection = self.requests.acquire(OPERATION).await?;
        let rows = self.requests.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(rows.into_iter().map(|TenantRow(tenant)| tenant).collect())
    }

    /// Those of these tenants that exist, in no order.
    pub async fn tenants_of(&self, tenants: &[TenantId]) -> Result<Vec<Tenant>, Error> {
        const OPERATION: &str = "get tenants";
        let ids: Vec<uuid::Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
        let query = sqlx::query_as(
            "select id, name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, workers, decision_log, revision, created_at, updated_at from tenants
             where id = any ($1)",
        )
        .bind(ids);
        let mut connection = self.requests.acquire(OPERATION).await?;
        let rows = self.requests.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(rows.into_iter().map(|TenantRow(tenant)| tenant).collect())
    }

    /// The tenants that every node keeps in memory.
    pub async fn pinned_tenants(&self) -> Result<Vec<TenantId>, Error> {
        const OPERATION: &str = "list pinned tenants";
        let query = sqlx::query_scalar("select id from tenants where pinned order by id");
        let mut connection = self.loads.acquire(OPERATION).await?;
        let ids: Vec<uuid::Uuid> = self.loads.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(ids.into_iter().map(TenantId).collect())
    }

    /// The revisions of those of these tenants that stand at another one than is said here, or of which none is said;
    /// those that are gone have none. Mostly none do, and the rest is not sent.
    pub async fn heads_unlike(&self, tenants: &[(TenantId, Option<Revision>)]) -> Result<Vec<TenantHead>, Error> {
        const OPERATION: &str = "compare revisions";
        let (ids, revisions): (Vec<uuid::Uuid>, Vec<Option<i64>>) =
            tenants.iter().map(|(tenant, revision)| (tenant.0, revision.map(|revision| revision.0))).unzip();
        let query = sqlx::query_as(
            "select said.id, tenants.revision
             from unnest($1::uuid[], $2::bigint[]) as said (id, revision) left join tenants on tenants.id = said.id
             where said.revision is null or tenants.revision is distinct from said.revision",
        )
        .bind(ids)
        .bind(revisions);
        let mut connection = self.loads.acquire(OPERATION).await?;
        let rows: Vec<(uuid::Uuid, Option<i64>)> =
            self.loads.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        let head =
            |(id, revision): (_, Option<_>)| TenantHead { tenant_id: TenantId(id), revision: revision.map(Revision) };
        Ok(rows.into_iter().map(head).collect())
    }
}

fn about(action: AuditAction, before: Option<Value>, after: Option<Value>) -> AuditDraft {
    AuditDraft { action, resource: "tenant".to_owned(), before, after }
}

/// The tenant of a transaction.
pub(super) const SELECT_TENANT: &str = "select id, name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, workers, decision_log, revision, created_at, updated_at from tenants where id = $1";

/// The tenant of `tx`.
pub(super) async fn read(tx: &mut TenantTx) -> Result<Option<Tenant>, Error> {
    let query = sqlx::query_as(SELECT_TENANT).bind(tx.tenant.0);
    Ok(tx.optional("get tenant", query).await?.map(|TenantRow(tenant)| tenant))
}

/// The tenant of `tx`, which no other writer can change until `tx` ends. Rows that only refer to it can still be
/// inserted: `for update` would keep those waiting as well.
pub(super) async fn lock(tx: &mut TenantTx) -> Result<Option<Tenant>, Error> {
    let query = sqlx::query_as(
        "select id, name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, workers, decision_log, revision, created_at, updated_at from tenants where id = $1
         for no key update",
    )
    .bind(tx.tenant.0);
    Ok(tx.optional("lock tenant", query).await?.map(|TenantRow(tenant)| tenant))
}

/// Writes columns of the tenant of `tx`.
pub(super) async fn update(tx: &mut TenantTx, patch: &TenantPatch) -> Result<(), Error> {
    let query = sqlx::query(
        "update tenants set name = coalesce($2, name), tier = coalesce($3, tier), status = coalesce($4, status),
            pinned = coalesce($5, pinned), idle_stop_seconds = case when $6 then $7 else idle_stop_seconds end,
            quotas = jsonb_strip_nulls(quotas || $8), workers = case when $9 then $10 else workers end,
            strict_facts = coalesce($11, strict_facts), decision_log = coalesce($12, decision_log)
         where id = $1",
    )
    .bind(tx.tenant.0)
    .bind(patch.name.as_ref().map(Name::as_str))
    .bind(patch.tier.map(Tier::name))
    .bind(patch.status.map(status_text))
    .bind(patch.pinned)
    .bind(patch.idle_stop_seconds.is_some())
    .bind(patch.idle_stop_seconds.flatten().and_then(|time| i32::try_from(time).ok()))
    .bind(Json(&patch.quotas))
    .bind(patch.workers.is_some())
    .bind(patch.workers.flatten().and_then(|workers| i16::try_from(workers).ok()))
    .bind(patch.strict_facts)
    .bind(patch.decision_log.map(Json));
    let updated = tx.execute("update tenant", query).await;
    match (updated, &patch.name) {
        (Err(error), Some(name)) => Err(named(error, name)),
        (updated, _) => updated.map(drop),
    }
}

/// The name that is taken, in the error.
fn named(error: Error, name: &Name) -> Error {
    match error {
        Error::NameTaken(_) => Error::TenantNameTaken(name.to_string()),
        error => error,
    }
}

/// The least text that is greater, byte by byte, than all that begin with `prefix`; none if there is no such text.
fn beyond_prefix(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        // UTF-8 sorts as its code points do; the step over the surrogates is the only gap.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beyond_a_prefix() {
        assert_eq!(beyond_prefix("acme").as_deref(), Some("acmf"));
        assert_eq!(beyond_prefix(""), None);
        assert_eq!(beyond_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(beyond_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(beyond_prefix("\u{10ffff}"), None);
    }
}
