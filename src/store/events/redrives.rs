//! Redrives: dead letters that are brought back, as rows that are carried out a second's worth at a time by whoever
//! consumes the tenant's queue. What a batch brings back and how far the redrive is are written in one transaction, so
//! that the next owner goes on where the last one ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::dead_letters::{LetterFilter, LetterStatus, MATCHES, bind_filter};
use crate::{
    domain::{AuditAction, AuditDraft, Author, EventFailure, EventId, RedriveId, TenantScope},
    store::{Error, Store, audit, tenants, tx::TenantTx},
};

/// How often an event can be brought back.
pub const REDRIVES_MAX: i16 = 10;

/// What to bring back, and how.
#[derive(Debug, Clone)]
pub struct RedriveOrder {
    /// Which dead letters.
    pub filter: LetterFilter,
    /// At most so many.
    pub max: i64,
    /// So many a second.
    pub rate_per_second: i32,
}

/// Dead letters that are being brought back, or were.
#[derive(Debug, Clone)]
pub struct Redrive {
    /// Its id.
    pub id: RedriveId,
    /// How many matched when it was made.
    pub matched: i64,
    /// How many were brought back.
    pub redriven: i64,
    /// How many are a second.
    pub rate_per_second: i32,
    /// `running`, `done` or `stopped`.
    pub state: String,
    /// Who made it.
    pub actor: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for Redrive {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: RedriveId(row.try_get("id")?),
            matched: row.try_get("matched")?,
            redriven: row.try_get("done")?,
            rate_per_second: row.try_get("rate")?,
            state: row.try_get("state")?,
            actor: row.try_get("actor")?,
            created_at: row.try_get("created_at")?,
            ended_at: row.try_get("ended_at")?,
        })
    }
}

/// A filter as it is stored. What can be brought back at all is not part of it.
#[derive(Debug, Serialize, Deserialize)]
struct StoredFilter {
    events: Option<Vec<Uuid>>,
    reason: Option<String>,
    kind: Option<String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl From<&LetterFilter> for StoredFilter {
    fn from(filter: &LetterFilter) -> Self {
        Self {
            events: filter.events.as_ref().map(|events| events.iter().map(|event| event.0).collect()),
            reason: filter.reason.map(|reason| reason.name().to_owned()),
            kind: filter.kind.clone(),
            from: filter.from,
            to: filter.to,
        }
    }
}

impl From<StoredFilter> for LetterFilter {
    fn from(stored: StoredFilter) -> Self {
        Self {
            events: stored.events.map(|events| events.into_iter().map(EventId).collect()),
            reason: stored.reason.as_deref().and_then(EventFailure::named),
            kind: stored.kind,
            from: stored.from,
            to: stored.to,
            ..redrivable()
        }
    }
}

/// What can be brought back.
pub fn redrivable() -> LetterFilter {
    LetterFilter { status: Some(LetterStatus::Open), redriven_below: Some(REDRIVES_MAX), ..LetterFilter::default() }
}

/// A redrive of which more is to be brought back.
struct Due {
    id: Uuid,
    filter: LetterFilter,
    left: i64,
    rate: i32,
    position: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl FromRow<'_, PgRow> for Due {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            filter: row.try_get::<Json<StoredFilter>, _>("filter")?.0.into(),
            left: row.try_get::<i64, _>("matched")? - row.try_get::<i64, _>("done")?,
            rate: row.try_get("rate")?,
            position: row.try_get("position")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

impl Store {
    /// Makes a redrive, and brings back the first second's worth. `None`: there is no such tenant.
    pub async fn create_redrive(
        &self,
        scope: TenantScope,
        order: &RedriveOrder,
        author: &Author,
    ) -> Result<Option<Redrive>, Error> {
        const OPERATION: &str = "create redrive";
        let tenant = scope.id().0;
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        let Some(head) = tenants::lock(&mut tx).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        // Whoever ends the queue looks under this lock whether anything is left to do.
        tx.execute(OPERATION, sqlx::query("select tenet_lock_events($1)").bind(tenant)).await?;
        let sql = format!("select count(*) from (select from dead_letters where {MATCHES} limit $9) l");
        let query = bind_filter!(sqlx::query_as(sqlx::AssertSqlSafe(sql)), tenant, order.filter).bind(order.max);
        let (matched,): (i64,) = tx.optional(OPERATION, query).await?.unwrap_or_default();
        let id = RedriveId::generate();
        let query = sqlx::query(
            "insert into redrives (tenant_id, id, filter, matched, rate, actor) values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant)
        .bind(id.0)
        .bind(Json(StoredFilter::from(&order.filter)))
        .bind(matched)
        .bind(order.rate_per_second)
        .bind(&author.actor);
        tx.execute(OPERATION, query).await?;
        bring_back(&mut tx).await?;
        let wake = "update event_queues set pending_since = coalesce(pending_since, now()) where tenant_id = $1";
        tx.execute(OPERATION, sqlx::query(wake).bind(tenant)).await?;
        let made = AuditDraft {
            action: AuditAction::DeadLettersRedrive,
            resource: format!("redrives/{id}"),
            before: None,
            after: Some(json!({"matched": matched, "ratePerSecond": order.rate_per_second})),
        };
        audit::append(&mut tx, author, head.revision, vec![made]).await?;
        let redrive = tx.optional(OPERATION, select(scope, id)).await?;
        tx.commit(OPERATION).await?;
        Ok(redrive)
    }

    /// Brings back what is due of a tenant's redrives; answers how many events. Called by whoever consumes the queue.
    pub async fn continue_redrive(&self, scope: TenantScope) -> Result<i64, Error> {
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        let redriven = bring_back(&mut tx).await?;
        tx.commit("continue redrive").await?;
        Ok(redriven)
    }

    /// A redrive.
    pub async fn redrive(&self, scope: TenantScope, id: RedriveId) -> Result<Option<Redrive>, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let redrive = tx.optional("get redrive", select(scope, id)).await?;
        tx.end().await?;
        Ok(redrive)
    }

    /// Has a redrive bring back no more; answers whether there is one. What was brought back is decided all the same.
    pub async fn stop_redrive(&self, scope: TenantScope, id: RedriveId, author: &Author) -> Result<bool, Error> {
        const OPERATION: &str = "stop redrive";
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        let Some(head) = tenants::lock(&mut tx).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        let query = sqlx::query(
            "update redrives set state = 'stopped', ended_at = now() where tenant_id = $1 and id = $2
                and state = 'running'",
        );
        let is_stopped = tx.execute(OPERATION, query.bind(scope.id().0).bind(id.0)).await? > 0;
        let Some(redrive) = tx.optional::<Redrive>(OPERATION, select(scope, id)).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        if is_stopped {
            let stopped = AuditDraft {
                action: AuditAction::RedriveStop,
                resource: format!("redrives/{id}"),
                before: None,
                after: Some(json!({"matched": redrive.matched, "redriven": redrive.redriven})),
            };
            audit::append(&mut tx, author, head.revision, vec![stopped]).await?;
        }
        tx.commit(OPERATION).await?;
        Ok(true)
    }
}

type Select = sqlx::query::QueryAs<'static, sqlx::Postgres, Redrive, sqlx::postgres::PgArguments>;

fn select(scope: TenantScope, id: RedriveId) -> Select {
    sqlx::query_as("select * from redrives where tenant_id = $1 and id = $2").bind(scope.id().0).bind(id.0)
}

/// Marks the next dead letters of a redrive, and puts them among the events to be tried again, spread over a second.
const BRING_BACK: &str = "chosen as (
        select event_id, attempts, row_number() over (order by event_id) - 1 as place from letters
    ), marked as (
        update dead_letters l set status = 'redriven', redrives = l.redrives + 1 from chosen c
        where l.tenant_id = $1 and l.event_id = c.event_id returning l.event_id, c.attempts, c.place
    ), queued as (
        insert into event_retries (tenant_id, event_id, attempt, not_before, reason)
        select $1, event_id, attempts, now() + make_interval(secs => place::float / $12), 'redriven' from marked
        on conflict (tenant_id, event_id) do nothing
    )
    select (select count(*) from marked), (select event_id from chosen order by event_id desc limit 1)";

/// Brings back what is due of one of the tenant's redrives. Two owners do not do it at once: the row is locked.
async fn bring_back(tx: &mut TenantTx) -> Result<i64, Error> {
    const OPERATION: &str = "bring back events";
    let tenant = tx.tenant.0;
    // Whoever deletes an event takes this lock alone: nothing is left waiting of one that is gone.
    tx.execute(OPERATION, sqlx::query("select tenet_share_settling($1)").bind(tenant)).await?;
    let query = sqlx::query_as(
        "select * from redrives where tenant_id = $1 and state = 'running' and next_at <= now()
         order by next_at limit 1 for update skip locked",
    );
    let Some(due) = tx.optional::<Due>(OPERATION, query.bind(tenant)).await? else { return Ok(0) };
    let wanted = due.left.min(i64::from(due.rate));
    let sql = format!(
        "with letters as (
            select event_id, attempts from dead_letters
            where {MATCHES} and ($9::uuid is null or event_id > $9) and last_failed_at <= $10
            order by event_id limit $11 for update
         ), {BRING_BACK}"
    );
    let query = bind_filter!(sqlx::query_as(sqlx::AssertSqlSafe(sql)), tenant, due.filter)
        .bind(due.position)
        .bind(due.created_at)
        .bind(wanted)
        .bind(f64::from(due.rate));
    let (redriven, last): (i64, Option<Uuid>) = tx.optional(OPERATION, query).await?.unwrap_or_default();
    let is_over = redriven < wanted || redriven >= due.left;
    let query = sqlx::query(
        "update redrives set done = done + $3, position = coalesce($4, position),
            next_at = now() + make_interval(secs => $3::float / rate),
            state = case when $5 then 'done' else state end, ended_at = case when $5 then now() end
         where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(due.id)
    .bind(redriven)
    .bind(last)
    .bind(is_over);
    tx.execute(OPERATION, query).await?;
    Ok(redriven)
}
