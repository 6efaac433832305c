//! Events as they are looked up: each with what has become of it, which is derived and never stored with it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use super::{above, floor};
use crate::{
    domain::{EventId, EventState, Revision, RuleId, TenantScope},
    store::{Error, Page, PageRequest, Store, tx::TenantTx},
};

/// Days that one statement of a list looks at.
const WINDOW: TimeDelta = TimeDelta::days(7);

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Those of this type.
    pub kind: Option<String>,
    /// Those of this project.
    pub project: Option<String>,
    /// Those in this state.
    pub state: Option<EventState>,
    /// Those received at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Those received before this time.
    pub to: Option<DateTime<Utc>>,
    /// Those that this rule matched.
    pub matched: Option<RuleId>,
}

/// An event in a list.
#[derive(Debug, Clone)]
pub struct EventLine {
    /// Its id, which tells when it was received.
    pub id: EventId,
    /// Its type.
    pub kind: Option<String>,
    /// What it is counted by beside its type.
    pub project: Option<String>,
    /// When it occurred, as its sender said.
    pub occurred_at: Option<DateTime<Utc>>,
    /// What has become of it.
    pub state: EventState,
    /// The rules that matched.
    pub matched: Vec<RuleId>,
    /// The revision that decided it.
    pub revision: Option<Revision>,
    /// How often it was tried in vain.
    pub attempts: i16,
}

/// An event with its facts and its decision.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// What a list shows of it.
    pub line: EventLine,
    /// Its facts, as JSON.
    pub facts: String,
    /// Its ordering key.
    pub ordering_key: Option<String>,
    /// The version of the schema that it was decided with.
    pub schema_version: Option<i32>,
    /// Whether it is decided as of when it occurred.
    pub at_occurrence: bool,
    /// The time that the rules read as `now`.
    pub evaluated_at: Option<DateTime<Utc>>,
    /// The errors of rules.
    pub errors: Value,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
}

/// What every query of events selects: rows of `e`, joined with what has become of them within the same bounds.
const COLUMNS: &str = "e.id, e.type, e.project, e.occurred_at, d.revision, coalesce(d.matched, '{}') as matched,
    coalesce(l.attempts, r.attempt, 0::smallint) as attempts,
    case when d.id is not null then 'decided' when r.event_id is not null then 'retrying'
        when l.status = 'discarded' then 'discarded' when l.status = 'open' then 'dead' else 'pending' end as state";
const JOINS: &str = "left join decisions d on d.tenant_id = $1 and d.id = e.id and d.id >= $2 and d.id < $3
    left join event_retries r on r.tenant_id = $1 and r.event_id = e.id
    left join dead_letters l on l.tenant_id = $1 and l.event_id = e.id";

impl FromRow<'_, PgRow> for EventLine {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        let matched: Vec<Uuid> = row.try_get("matched")?;
        Ok(Self {
            id: EventId(row.try_get("id")?),
            kind: row.try_get("type")?,
            project: row.try_get("project")?,
            occurred_at: row.try_get("occurred_at")?,
            state: EventState::named(&state).ok_or_else(|| sqlx::Error::Decode("an unknown state".into()))?,
            matched: matched.into_iter().map(RuleId).collect(),
            revision: row.try_get::<Option<i64>, _>("revision")?.map(Revision),
            attempts: row.try_get("attempts")?,
        })
    }
}

impl FromRow<'_, PgRow> for StoredEvent {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            line: EventLine::from_row(row)?,
            facts: row.try_get("facts")?,
            ordering_key: row.try_get("ordering_key")?,
            schema_version: row.try_get("schema_version")?,
            at_occurrence: row.try_get("at_occurrence")?,
            evaluated_at: row.try_get("evaluated_at")?,
            errors: row.try_get::<Option<Value>, _>("errors")?.unwrap_or_else(|| Value::Array(Vec::new())),
            decided_at: row.try_get("decided_at")?,
        })
    }
}

impl Store {
    /// A tenant's events, newest first. What is older than `retention` is not shown, whether or not it is still there.
    pub async fn events(
        &self,
        scope: TenantScope,
        filter: &EventFilter,
        retention: TimeDelta,
        page: &PageRequest,
        now: DateTime<Utc>,
    ) -> Result<Page<EventLine>, Error> {
        const LIST: &str = "events";
        let before: Option<Uuid> = page.after(LIST)?;
        let oldest = filter.from.map_or(now - retention, |from| from.max(now - retention));
        let lowest = floor(oldest);
        let mut upper = before.unwrap_or_else(|| filter.to.map_or_else(|| above(now), floor));
        let mut rows: Vec<EventLine> = Vec::new();
        let wanted = usize::try_from(page.rows()).unwrap_or(usize::MAX);
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        // A window at a time: each statement touches the days of its own.
        while upper > lowest && rows.len() < wanted {
            let window_begins = EventId(upper).received_at() - WINDOW;
            let lower = floor(window_begins).max(lowest);
            let left = i64::try_from(wanted - rows.len()).unwrap_or(i64::MAX);
            let sql = format!(
                "select {COLUMNS} from events e {JOINS}
                 where e.tenant_id = $1 and e.id >= $2 and e.id < $3 and ($4::text is null or e.type = $4)
                    and ($5::text is null or e.project = $5) and ($6::uuid is null or $6 = any (d.matched))
                    and case $7::text when 'decided' then d.id is not null
                        when 'retrying' then d.id is null and r.event_id is not null
                        when 'discarded' then d.id is null and r.event_id is null and l.status = 'discarded'
                        when 'dead' then d.id is null and r.event_id is null and l.status = 'open'
                        when 'pending' then d.id is null and r.event_id is null
                            and (l.status is null or l.status = 'redriven')
                        else true end
                 order by e.id desc limit $8"
            );
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(scope.id().0)
                .bind(lower)
                .bind(upper)
                .bind(filter.kind.as_deref())
                .bind(filter.project.as_deref())
                .bind(filter.matched.map(|rule| rule.0))
                .bind(filter.state.map(EventState::name))
                .bind(left)
                .persistent(false);
            rows.extend(tx.all::<EventLine>("list events", query).await?);
            upper = lower;
        }
        tx.end().await?;
        Ok(page.page(LIST, rows, |line: &EventLine| line.id.0))
    }

    /// One event.
    pub async fn event(&self, scope: TenantScope, id: EventId) -> Result<Option<StoredEvent>, Error> {
        let (lower, upper) = around(id);
        let sql = format!(
            "select {COLUMNS}, e.facts::text as facts, e.ordering_key, e.at_occurrence, d.schema_version, d.errors,
                d.evaluated_at, d.decided_at
             from events e {JOINS} where e.tenant_id = $1 and e.id >= $2 and e.id < $3 and e.id = $4"
        );
        let query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(scope.id().0)
            .bind(lower)
            .bind(upper)
            .bind(id.0)
            .persistent(false);
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let event = tx.optional("get event", query).await?;
        tx.end().await?;
        Ok(event)
    }

    /// Deletes an event, its decision and whatever waits for it; answers whether there was one. It is never decided
    /// afterwards. Counts stay.
    pub async fn delete_event(&self, scope: TenantScope, id: EventId) -> Result<bool, Error> {
        const OPERATION: &str = "delete event";
        let tenant = scope.id().0;
        let (lower, upper) = around(id);
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        tx.execute(OPERATION, sqlx::query("select tenet_stop_settling($1)").bind(tenant)).await?;
        let query = sqlx::query(
            "with gone as (
                delete from events where tenant_id = $1 and id = $2 and id >= $3 and id < $4 returning id
             ), decision as (
                delete from decisions where tenant_id = $1 and id = $2 and id >= $3 and id < $4
             ), retry as (
                delete from event_retries where tenant_id = $1 and event_id = $2
             ), letter as (
                delete from dead_letters where tenant_id = $1 and event_id = $2
             )
             insert into event_day_counts as c (tenant_id, day, received)
             select $1, (tenet_event_time(id) at time zone 'UTC')::date, 1 from gone
             on conflict (tenant_id, day) do update
                set received = c.received + case when c.is_over then 0 else 1 end",
        )
        .bind(tenant)
        .bind(id.0)
        .bind(lower)
        .bind(upper)
        .persistent(false);
        let gone = tx.execute(OPERATION, query).await? > 0;
        tx.commit(OPERATION).await?;
        Ok(gone)
    }
}

/// Bounds that hold one id, so that its day alone is touched.
fn around(id: EventId) -> (Uuid, Uuid) {
    let value = id.0.as_u128();
    (Uuid::from_u128(value), Uuid::from_u128(value.saturating_add(1)))
}
