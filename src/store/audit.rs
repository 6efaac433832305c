//! The audit log as rows: written in the transaction of what they tell, read in pages, and read through to be checked.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Error, Page, PageRequest, Store, tenants, tx::TenantTx};
use crate::domain::{
    ApiKeyId, AuditAction, AuditChain, AuditDraft, AuditFault, AuditHash, AuditRow, Author, Revision, TenantId,
    TenantScope,
};

/// Rows read at once when a log is checked.
const CHECKED_ROWS: i64 = 1_000;
/// Faults of one log that are told.
const FAULTS_MAX: usize = 100;

/// Which rows of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those of these actions; of any if there are none.
    pub actions: Vec<AuditAction>,
    /// Those of this actor.
    pub actor: Option<String>,
    /// Those of this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Those before this time.
    pub until: Option<DateTime<Utc>>,
    /// Also those of what is no tenant any more, or never was one.
    pub without_tenant: bool,
}

/// What a look through a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Whose log.
    pub tenant: TenantId,
    /// The number of its last row.
    pub rows: i64,
    /// The hash of its last row. Noted elsewhere, it shows later whether the log was written anew.
    pub hash: AuditHash,
    /// What is wrong with it, up to a hundred things.
    pub faults: Vec<AuditFault>,
}

/// Where a log ends, and the time of the transaction.
struct End {
    sequence: i64,
    hash: AuditHash,
    now: DateTime<Utc>,
}

fn hash(bytes: Vec<u8>) -> Result<AuditHash, sqlx::Error> {
    bytes.try_into().map(AuditHash).map_err(|_| sqlx::Error::Decode("a hash has 32 bytes".into()))
}

impl FromRow<'_, PgRow> for End {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let bytes = row.try_get::<Option<Vec<u8>>, _>("hash")?;
        Ok(Self {
            sequence: row.try_get::<Option<i64>, _>("sequence")?.unwrap_or_default(),
            hash: bytes.map(hash).transpose()?.unwrap_or_default(),
            now: row.try_get("now")?,
        })
    }
}

struct StoredRow(AuditRow);

impl FromRow<'_, PgRow> for StoredRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let address = row.try_get::<Option<String>, _>("address")?;
        let address = address.map(|address| address.parse::<IpAddr>()).transpose();
        Ok(Self(AuditRow {
            tenant: TenantId(row.try_get("tenant_id")?),
            sequence: row.try_get("sequence")?,
            at: row.try_get("at")?,
            author: Author {
                actor: row.try_get("actor")?,
                key: row.try_get::<Option<Uuid>, _>("key_id")?.map(ApiKeyId),
                request_id: row.try_get("request_id")?,
                address: address.map_err(|_| sqlx::Error::Decode("the audit log holds an invalid address".into()))?,
            },
            action: row.try_get("action")?,
            resource: row.try_get("resource")?,
            revision: Revision(row.try_get("revision")?),
            before: row.try_get("before")?,
            after: row.try_get("after")?,
            hash: hash(row.try_get("hash")?)?,
        }))
    }
}

impl Store {
    /// Writes down something done to a tenant that is no change of what is stored; answers whether there is the tenant.
    pub async fn note_audit(&self, scope: TenantScope, author: &Author, draft: AuditDraft) -> Result<bool, Error> {
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        let Some(head) = tenants::lock(&mut tx).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        append(&mut tx, author, head.revision, vec![draft]).await?;
        tx.commit("note audit").await?;
        Ok(true)
    }

    /// A tenant's log, newest first; `None` if there is no such tenant.
    pub async fn audit(
        &self,
        scope: TenantScope,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Option<Page<AuditRow>>, Error> {
        const LIST: &str = "audit";
        let before: Option<i64> = page.after(LIST)?;
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        if tenants::read(&mut tx).await?.is_none() && (!filter.without_tenant || end(&mut tx).await?.sequence == 0) {
            return Ok(None);
        }
        let actions: Vec<String> = filter.actions.iter().map(|action| action.name().to_owned()).collect();
        let query = sqlx::query_as(
            "select tenant_id, sequence, at, actor, key_id, action, resource, revision, before::text as before,
                after::text as after, request_id, address, hash
             from audit_log
             where tenant_id = $1 and ($2::bigint is null or sequence < $2)
                and (cardinality($3::text[]) = 0 or action = any ($3)) and ($4::text is null or actor = $4)
                and ($5::timestamptz is null or at >= $5) and ($6::timestamptz is null or at < $6)
             order by sequence desc limit $7",
        )
        .bind(scope.id().0)
        .bind(before)
        .bind(actions)
        .bind(&filter.actor)
        .bind(filter.since)
        .bind(filter.until)
        .bind(page.rows());
        let rows = tx.all("list audit", query).await?;
        tx.end().await?;
        let rows = rows.into_iter().map(|StoredRow(row)| row).collect();
        Ok(Some(page.page(LIST, rows, |row: &AuditRow| row.sequence)))
    }

    /// Looks through a tenant's whole log, as it stands at one moment.
    pub async fn verify_audit(&self, scope: TenantScope) -> Result<AuditReport, Error> {
        let mut tx = TenantTx::read(&self.loads, &self.role, scope).await?;
        let end = end(&mut tx).await?;
        let (mut chain, mut faults) = (AuditChain::default(), Vec::new());
        loop {
            let query = sqlx::query_as(
                "select tenant_id, sequence, at, actor, key_id, action, resource, revision, before::text as before,
                    after::text as after, request_id, address, hash
                 from audit_log where tenant_id = $1 and sequence > $2 order by sequence limit $3",
            )
            .bind(scope.id().0)
            .bind(chain.sequence())
            .bind(CHECKED_ROWS);
            let rows: Vec<StoredRow> = tx.all("verify audit", query).await?;
            if rows.is_empty() {
                break;
            }
            faults.extend(rows.iter().filter_map(|StoredRow(row)| chain.next(row)));
            faults.truncate(FAULTS_MAX);
        }
        tx.end().await?;
        faults.extend(chain.end(end.sequence, end.hash));
        Ok(AuditReport { tenant: scope.id(), rows: chain.sequence(), hash: chain.hash(), faults })
    }

    /// Every tenant that has a log or should have one, deleted ones among them, `rows` at most, from beyond `after` on.
    pub async fn audited_tenants(&self, after: Option<TenantId>, rows: u32) -> Result<Vec<TenantId>, Error> {
        const OPERATION: &str = "list audited tenants";
        let query = sqlx::query_scalar(
            "select tenant_id from audit_heads where $1::uuid is null or tenant_id > $1
             union select id from tenants where $1::uuid is null or id > $1 order by 1 limit $2",
        )
        .bind(after.map(|tenant| tenant.0))
        .bind(i64::from(rows));
        let mut connection = self.loads.acquire(OPERATION).await?;
        let ids: Vec<Uuid> = self.loads.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(ids.into_iter().map(TenantId).collect())
    }
}

async fn end(tx: &mut TenantTx) -> Result<End, Error> {
    const OPERATION: &str = "get end of audit";
    let query = sqlx::query_as(
        "select now() as now, h.sequence, h.hash from (select $1::uuid as id) t
            left join audit_heads h on h.tenant_id = t.id",
    )
    .bind(tx.tenant.0);
    tx.optional(OPERATION, query).await?.ok_or_else(|| Error::of(OPERATION, sqlx::Error::RowNotFound))
}

/// Writes rows at the end of the log. The tenant's row is locked, or gone, or was made by this transaction; should two
/// write at once all the same, the second one fails on the first one's number.
pub(super) async fn append(
    tx: &mut TenantTx,
    author: &Author,
    revision: Revision,
    drafts: Vec<AuditDraft>,
) -> Result<(), Error> {
    if drafts.is_empty() {
        return Ok(());
    }
    let End { mut sequence, mut hash, now } = end(tx).await?;
    let mut columns = Columns::default();
    let text = |value: Option<Value>| value.map(|value| value.to_string());
    for draft in drafts {
        sequence += 1;
        let mut row = AuditRow {
            tenant: tx.tenant,
            sequence,
            at: now,
            author: author.clone(),
            action: draft.action.name().to_owned(),
            resource: draft.resource,
            revision,
            before: text(draft.before),
            after: text(draft.after),
            hash,
        };
        row.hash = row.hash_after(hash);
        hash = row.hash;
        columns.push(row);
    }
    let query = sqlx::query(
        "with written as (
            insert into audit_log (tenant_id, sequence, at, actor, key_id, action, resource, revision, before, after,
                request_id, address, hash)
            select $1, sequence, $2, $3, $4, action, resource, $5, before, after, $6, $7, hash
            from unnest($8::bigint[], $9::text[], $10::text[], $11::text[]::json[], $12::text[]::json[], $13::bytea[])
                as new (sequence, action, resource, before, after, hash)),
         noted as (
            -- Of a revision of this transaction's own.
            update revision_notes set actor = $3 where tenant_id = $1 and revision = $5 and at = now())
         insert into audit_heads (tenant_id, sequence, hash) values ($1, $14, $15)
         on conflict (tenant_id) do update set sequence = excluded.sequence, hash = excluded.hash",
    )
    .bind(tx.tenant.0)
    .bind(now)
    .bind(&author.actor)
    .bind(author.key.map(|key| key.0))
    .bind(revision.0)
    .bind(&author.request_id)
    .bind(author.address.map(|address| address.to_string()))
    .bind(columns.sequences)
    .bind(columns.actions)
    .bind(columns.resources)
    .bind(columns.before)
    .bind(columns.after)
    .bind(columns.hashes)
    .bind(sequence)
    .bind(hash.0.to_vec());
    tx.execute("append to audit", query).await.map(drop)
}

/// The columns of many rows, one list each: what `unnest` takes.
#[derive(Default)]
struct Columns {
    sequences: Vec<i64>,
    actions: Vec<String>,
    resources: Vec<String>,
    before: Vec<Option<String>>,
    after: Vec<Option<String>>,
    hashes: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, row: AuditRow) {
        self.sequences.push(row.sequence);
        self.actions.push(row.action);
        self.resources.push(row.resource);
        self.before.push(row.before);
        self.after.push(row.after);
        self.hashes.push(row.hash.0.to_vec());
    }
}
