//! Reading a queue: events beyond a position, and those whose time to be tried again has come.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};

use super::above;
use crate::{
    domain::{EventId, QueuedEvent, TenantScope},
    store::{Error, Store, tx::TenantTx},
};

/// What a look at a queue found.
#[derive(Debug, Default)]
pub struct Found {
    /// The events to decide, in order.
    pub events: Vec<QueuedEvent>,
    /// The last event that was looked at: none up to here is missing from `events`.
    pub seen: Option<EventId>,
    /// Ordering keys of events that are left out because they wait to be tried again.
    pub waiting: Vec<String>,
    /// Whether some of these are due now.
    pub has_retries: bool,
}

/// Whether events may have been settled by an owner that ended before it noted its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// They may: what is settled is left out.
    AnotherOwner,
    /// No other owner can have come so far.
    Nobody,
}

/// What waits to be tried again.
#[derive(Debug, Default, FromRow)]
pub struct Waiting {
    /// Ordering keys of waiting events: later events of these wait behind them.
    pub keys: Vec<String>,
    /// When the first waiting event, or a redrive, is due.
    pub next_at: Option<DateTime<Utc>>,
    /// Whether more dead letters are to be brought back now.
    pub has_redrive_due: bool,
}

struct QueuedRow {
    event: QueuedEvent,
    is_settled: bool,
    is_waiting: bool,
}

impl FromRow<'_, PgRow> for QueuedRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let event = QueuedEvent {
            id: EventId(row.try_get("id")?),
            kind: row.try_get("type")?,
            ordering_key: row.try_get("ordering_key")?,
            at: row.try_get("at")?,
            facts: row.try_get("facts")?,
            attempts: row.try_get::<i16, _>("attempts")?.try_into().unwrap_or_default(),
            is_suspect: row.try_get("is_suspect")?,
        };
        Ok(Self { event, is_settled: row.try_get("is_settled")?, is_waiting: row.try_get("is_waiting")? })
    }
}

impl Store {
    /// The next `limit` events of a tenant beyond `position`. Ids of a tenant are committed in their order, so that
    /// none is skipped.
    pub async fn events_after(
        &self,
        scope: TenantScope,
        position: EventId,
        behind: Behind,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Found, Error> {
        let mut tx = TenantTx::read(&self.events, &self.role, scope).await?;
        let query = sqlx::query_as(
            "select e.id, e.type, e.ordering_key, case when e.at_occurrence then e.occurred_at end as at,
                e.facts::text as facts, 0::smallint as attempts, false as is_suspect, $5 and (
                exists (select from decisions d
                    where d.tenant_id = $1 and d.id = e.id and d.id > $2 and d.id < $3)
                or exists (select from dead_letters l where l.tenant_id = $1 and l.event_id = e.id)) as is_settled,
                $5 and exists (select from event_retries r where r.tenant_id = $1 and r.event_id = e.id) as is_waiting
             from events e where e.tenant_id = $1 and e.id > $2 and e.id < $3 order by e.id limit $4",
        )
        .bind(scope.id().0)
        .bind(position.0)
        .bind(above(now))
        .bind(i64::from(limit))
        .bind(behind == Behind::AnotherOwner)
        .persistent(false);
        let rows: Vec<QueuedRow> = tx.all("read events", query).await?;
        tx.end().await?;
        let seen = rows.last().map(|row| row.event.id);
        let mut found = Found { seen, ..Found::default() };
        for QueuedRow { event, is_settled, is_waiting } in rows {
            if is_waiting {
                found.waiting.extend(event.ordering_key);
            } else if !is_settled {
                found.events.push(event);
            }
        }
        Ok(found)
    }

    /// Events whose time to be tried again has come, in the order in which they began to wait. Of one ordering key none is
    /// among them whose predecessor still waits.
    pub async fn due_events(&self, scope: TenantScope, limit: u32) -> Result<Vec<QueuedEvent>, Error> {
        let mut tx = TenantTx::read(&self.events, &self.role, scope).await?;
        // Few rows at any time; each is then one look-up among the events.
        let query = sqlx::query_as(
            "select e.id, e.type, r.ordering_key, case when e.at_occurrence then e.occurred_at end as at,
                e.facts::text as facts, r.attempt as attempts, r.reason = 'crashed' as is_suspect, false as is_settled,
                false as is_waiting
             from (
                select * from event_retries r
                where r.tenant_id = $1 and r.not_before <= now() and (r.ordering_key is null or not exists (
                    select from event_retries b where b.tenant_id = $1 and b.ordering_key = r.ordering_key
                        and b.place < r.place and b.not_before > now()))
                order by r.place limit $2
             ) r join events e on e.tenant_id = $1 and e.id = r.event_id order by r.place",
        )
        .bind(scope.id().0)
        .bind(i64::from(limit));
        let rows: Vec<QueuedRow> = tx.all("read due events", query).await?;
        tx.end().await?;
        Ok(rows.into_iter().map(|row| row.event).collect())
    }

    /// What waits to be tried again.
    pub async fn waiting(&self, scope: TenantScope) -> Result<Waiting, Error> {
        let mut tx = TenantTx::read(&self.events, &self.role, scope).await?;
        let query = sqlx::query_as(
            "with running as (select next_at from redrives where tenant_id = $1 and state = 'running')
             select coalesce(array_agg(distinct ordering_key) filter (where ordering_key is not null), '{}') as keys,
                least(min(not_before), (select min(next_at) from running)) as next_at,
                exists (select from running where next_at <= now()) as has_redrive_due
             from event_retries where tenant_id = $1",
        )
        .bind(scope.id().0);
        let waiting = tx.optional("read what waits", query).await?;
        tx.end().await?;
        Ok(waiting.unwrap_or_default())
    }
}
