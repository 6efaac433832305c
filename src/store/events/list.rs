//! Events as they are looked up: each with what has become of it, which is derived and never stored with it.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use super::{above, floor};
use crate::{
    domain::{EventId, EventState, Revision, RuleId, TenantScope},
    store::{Error, Page, PageRequest, Store, tx::TenantTx, window::Window},
};

/// How long a list is looked through before a page ends early.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Events looked at in one statement where their state tells whether they belong to the list.
const CANDIDATES: usize = 500;

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

/// What every query of events selects: rows of `e`, joined with what has become of them within the same bounds. `offset 0`
/// makes each a look-up by its key: without statistics of a new day the planner would compare all with all.
const COLUMNS: &str = "e.id, e.type, e.project, e.occurred_at, d.revision, coalesce(d.matched, '{}') as matched,
    coalesce(l.attempts, r.attempt, 0::smallint) as attempts,
    case when d.id is not null then 'decided' when r.event_id is not null then 'retrying'
        when l.status = 'discarded' then 'discarded' when l.status = 'open' then 'dead' else 'pending' end as state";
const JOINS: &str = "left join lateral (
        select * from decisions d where d.tenant_id = $1 and d.id = e.id and d.id >= $2 and d.id < $3 offset 0) d on true
    left join lateral (
        select * from event_retries r where r.tenant_id = $1 and r.event_id = e.id offset 0) r on true
    left join lateral (
        select * from dead_letters l where l.tenant_id = $1 and l.event_id = e.id offset 0) l on true";

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
    /// A tenant's events, newest first. What is older than `retention` is not shown, whether or not it is still there. A
    /// page for which much has to be looked through ends early, with a cursor that goes on there.
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
        let (mut rows, mut window, began): (Vec<EventLine>, _, _) = (Vec::new(), Window::default(), Instant::now());
        let wanted = usize::try_from(page.rows()).unwrap_or(usize::MAX);
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        // A window at a time: each statement touches the days of its own.
        while upper > lowest && rows.len() < wanted {
            if began.elapsed() > LOOK_MAX {
                tx.end().await?;
                return Ok(Page { items: rows, next_cursor: PageRequest::cursor_at(LIST, &upper) });
            }
            let asked = Instant::now();
            let lower = window.before(upper, now).max(lowest);
            let left = wanted - rows.len();
            let most = if filter.state.is_some() { CANDIDATES.max(left) } else { left };
            let ids = candidates(&mut tx, filter, (lower, upper), most).await?;
            let lines = lines(&mut tx, filter.state, &ids, (lower, upper)).await?;
            rows.extend(lines.into_iter().take(left));
            upper = ids.last().filter(|_| ids.len() == most).copied().unwrap_or(lower);
            window.took(asked.elapsed());
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
                delete from decisions where tenant_id = $1 and id = $2 and id >= $3 and id < $4 and source = 'event'
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

/// The newest events within bounds that may belong to a list: all that it asks for but their state, of which it is seen
/// here only where events in that state are.
async fn candidates(
    tx: &mut TenantTx,
    filter: &EventFilter,
    (lower, upper): (Uuid, Uuid),
    most: usize,
) -> Result<Vec<Uuid>, Error> {
    const LETTERS: &str = "select event_id from dead_letters where tenant_id = $1 and event_id >= $2 and event_id < $3";
    let places = match filter.state {
        None | Some(EventState::Decided) => vec!["true".to_owned()],
        // Those beyond the position of the queue, and dead letters that are brought back.
        Some(EventState::Pending) => {
            let position = "(select position from event_queues where tenant_id = $1)";
            let redriven = format!("e.id = any (array({LETTERS} and status = 'redriven'))");
            vec![format!("e.id > {position}"), format!("e.id <= {position} and {redriven}")]
        }
        Some(EventState::Retrying) => vec![
            "e.id = any (array(select event_id from event_retries
                where tenant_id = $1 and event_id >= $2 and event_id < $3))"
                .to_owned(),
        ],
        Some(EventState::Dead) => vec![format!("e.id = any (array({LETTERS} and status = 'open'))")],
        Some(EventState::Discarded) => vec![format!("e.id = any (array({LETTERS} and status = 'discarded'))")],
    };
    let parts = places.iter().map(|place| {
        format!(
            "(select e.id from events e
              where e.tenant_id = $1 and e.id >= $2 and e.id < $3 and ($4::text is null or e.type = $4)
                and ($5::text is null or e.project = $5) and ($6::uuid is null or exists (
                    select from decisions d where d.tenant_id = $1 and d.id = e.id and d.id >= $2 and d.id < $3
                        and $6 = any (d.matched) offset 0))
                and {place}
              order by e.id desc limit $7)"
        )
    });
    let sql = format!("select id from ({}) e order by id desc limit $7", parts.collect::<Vec<_>>().join(" union all "));
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant.0)
        .bind(lower)
        .bind(upper)
        .bind(filter.kind.as_deref())
        .bind(filter.project.as_deref())
        .bind(filter.matched.map(|rule| rule.0))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .persistent(false);
    let ids: Vec<(Uuid,)> = tx.all("find events", query).await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

/// These events, newest first, if they are in this state.
async fn lines(
    tx: &mut TenantTx,
    state: Option<EventState>,
    ids: &[Uuid],
    (lower, upper): (Uuid, Uuid),
) -> Result<Vec<EventLine>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "select {COLUMNS} from events e {JOINS}
         where e.tenant_id = $1 and e.id >= $2 and e.id < $3 and e.id = any ($4) order by e.id desc"
    );
    let query =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(tx.tenant.0).bind(lower).bind(upper).bind(ids).persistent(false);
    let mut lines: Vec<EventLine> = tx.all("list events", query).await?;
    lines.retain(|line| state.is_none_or(|state| line.state == state));
    Ok(lines)
}

/// Bounds that hold one id, so that its day alone is touched.
fn around(id: EventId) -> (Uuid, Uuid) {
    let value = id.0.as_u128();
    (Uuid::from_u128(value), Uuid::from_u128(value.saturating_add(1)))
}
