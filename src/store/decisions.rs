//! Decisions as they are looked up: those of events and those of evaluations that were recorded.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Error, LeftOut, Store, events, tx::TenantTx, window::Window};
use crate::domain::{DecisionSource, Revision, RuleId, SchemaVersion, TenantScope};

/// What came of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionOutcome {
    /// A rule matched.
    Matched,
    /// No rule matched, and none ended with an error.
    Unmatched,
    /// A rule ended with an error.
    Error,
}

impl DecisionOutcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Matched, Self::Unmatched, Self::Error];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::Error => "error",
        }
    }
}

/// How long a tenant's decisions are kept.
#[derive(Debug, Clone, Copy)]
pub struct DecisionsKept {
    /// Those of events: as long as the events.
    pub of_events: TimeDelta,
    /// Those of evaluations.
    pub of_evaluations: TimeDelta,
}

/// Which decisions.
#[derive(Debug, Clone, Default)]
pub struct DecisionFilter {
    /// Those that this rule matched, or ended with an error.
    pub rule: Option<RuleId>,
    /// Those of which this came.
    pub outcome: Option<DecisionOutcome>,
    /// Those of this revision.
    pub revision: Option<Revision>,
    /// Those of this source.
    pub source: Option<DecisionSource>,
    /// Those of events of this type.
    pub kind: Option<String>,
    /// Those asked for at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Those asked for before this time.
    pub to: Option<DateTime<Utc>>,
}

/// In which order, and from where on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionOrder {
    /// The newest first, of those before an id.
    NewestFirst(Option<Uuid>),
    /// The oldest first, of those after an id.
    OldestFirst(Option<Uuid>),
}

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
pub struct DecisionLook {
    /// Rows at most.
    pub rows: usize,
    /// How long, about.
    pub time: Duration,
    /// Whether facts are read.
    pub facts: bool,
}

/// Decisions that were found.
#[derive(Debug, Default)]
pub struct DecisionsFound {
    /// In the order asked for.
    pub rows: Vec<StoredDecision>,
    /// The place up to which all was looked at; `None`: there is nothing beyond it.
    pub up_to: Option<Uuid>,
}

/// A decision as stored.
#[derive(Debug, Clone)]
pub struct StoredDecision {
    /// Its id; of an event's, the event's.
    pub id: Uuid,
    /// Where its facts came from.
    pub source: DecisionSource,
    /// The type of its event.
    pub kind: Option<String>,
    /// The request that asked.
    pub request_id: Option<String>,
    /// The revision that decided.
    pub revision: Revision,
    /// The schema version that decided.
    pub schema_version: SchemaVersion,
    /// The hash of the rule set that decided; `None` of those decided before there was one.
    pub rule_set_hash: Option<Vec<u8>>,
    /// The rules that matched.
    pub matched: Vec<RuleId>,
    /// The errors of rules.
    pub errors: Value,
    /// Units of cost.
    pub cost: i64,
    /// How long it took, in microseconds.
    pub micros: i64,
    /// What the rules read as `now`.
    pub evaluated_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// Its facts, or its event's, as JSON, where they were asked for and are there.
    pub facts: Option<String>,
    /// Why facts are missing.
    pub left_out: Option<LeftOut>,
    /// Which rules were asked for; `None`: all that are active.
    pub selection: Option<Value>,
}

impl StoredDecision {
    /// How many rules ended with an error.
    pub fn error_count(&self) -> usize {
        self.errors.as_array().map_or(0, Vec::len)
    }
}

impl FromRow<'_, PgRow> for StoredDecision {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let source: &str = row.try_get("source")?;
        let left_out: Option<&str> = row.try_get("facts_left_out")?;
        Ok(Self {
            id: row.try_get("id")?,
            source: DecisionSource::named(source).ok_or_else(|| sqlx::Error::Decode("an unknown source".into()))?,
            kind: row.try_get("event_type")?,
            request_id: row.try_get("request_id")?,
            revision: Revision(row.try_get("revision")?),
            schema_version: SchemaVersion(row.try_get("schema_version")?),
            rule_set_hash: row.try_get("rule_set_hash")?,
            matched: row.try_get::<Vec<Uuid>, _>("matched")?.into_iter().map(RuleId).collect(),
            errors: row.try_get("errors")?,
            cost: row.try_get("cost")?,
            micros: row.try_get("micros")?,
            evaluated_at: row.try_get("evaluated_at")?,
            decided_at: row.try_get("decided_at")?,
            facts: row.try_get("facts")?,
            left_out: left_out.and_then(LeftOut::named),
            selection: row.try_get("selection")?,
        })
    }
}

const COLUMNS: &str = "d.id, d.source, d.event_type, d.request_id, d.revision, d.schema_version, d.rule_set_hash,
    d.matched, d.errors, d.cost, d.micros, d.evaluated_at, d.decided_at, d.facts_left_out, d.selection";
/// The facts of an evaluation, or those of the event, looked up by its key.
const FACTS: &str = "case d.source when 'event' then (select e.facts::text from events e
    where e.tenant_id = $1 and e.id = d.id and e.id >= $2 and e.id < $3) else d.facts::text end as facts";
const NO_FACTS: &str = "null::text as facts";

impl Store {
    /// A tenant's decisions. What is older than `kept` is not shown, whether or not it is still there. Where much has to be
    /// looked through, fewer than asked for are answered, and the place from which to go on.
    pub async fn decisions(
        &self,
        scope: TenantScope,
        filter: &DecisionFilter,
        kept: DecisionsKept,
        order: DecisionOrder,
        look: DecisionLook,
        now: DateTime<Utc>,
    ) -> Result<DecisionsFound, Error> {
        let oldest = now - kept.of_events.max(kept.of_evaluations);
        let mut lower = events::floor(filter.from.map_or(oldest, |from| from.max(oldest)));
        let mut upper = filter.to.map_or_else(|| events::above(now), |to| events::floor(to).min(events::above(now)));
        match order {
            DecisionOrder::NewestFirst(before) => upper = before.map_or(upper, |before| before.min(upper)),
            DecisionOrder::OldestFirst(after) => lower = after.map_or(lower, |after| next(after).max(lower)),
        }
        let (mut found, mut window, began) = (DecisionsFound::default(), Window::default(), Instant::now());
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        // A window at a time: each statement touches the days of its own.
        while lower < upper {
            let left = look.rows.saturating_sub(found.rows.len());
            if left == 0 || began.elapsed() > look.time {
                found.up_to = Some(match order {
                    DecisionOrder::NewestFirst(_) => upper,
                    DecisionOrder::OldestFirst(_) => previous(lower),
                });
                break;
            }
            let asked = Instant::now();
            let bounds = match order {
                DecisionOrder::NewestFirst(_) => (window.before(upper, now).max(lower), upper),
                DecisionOrder::OldestFirst(_) => (lower, window.after(lower).min(upper).max(next(lower))),
            };
            let rows = window_rows(&mut tx, filter, (kept, now), order, bounds, (left, look.facts)).await?;
            let last = rows.last().filter(|_| rows.len() == left).map(|row| row.id);
            match order {
                DecisionOrder::NewestFirst(_) => upper = last.unwrap_or(bounds.0),
                DecisionOrder::OldestFirst(_) => lower = last.map_or(bounds.1, next),
            }
            found.rows.extend(rows);
            window.took(asked.elapsed());
        }
        tx.end().await?;
        Ok(found)
    }

    /// One decision, with its facts.
    pub async fn decision(&self, scope: TenantScope, id: Uuid) -> Result<Option<StoredDecision>, Error> {
        let sql = format!(
            "select {COLUMNS}, {FACTS} from decisions d where d.tenant_id = $1 and d.id >= $2 and d.id < $3 and d.id = $2"
        );
        let query =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(scope.id().0).bind(id).bind(next(id)).persistent(false);
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let decision = tx.optional("get decision", query).await?;
        tx.end().await?;
        Ok(decision)
    }

    /// What rules were called at a revision, as far as it is known.
    pub async fn rule_names_at(
        &self,
        scope: TenantScope,
        revision: Revision,
        rules: &[RuleId],
    ) -> Result<Vec<(RuleId, String)>, Error> {
        let ids: Vec<Uuid> = rules.iter().map(|rule| rule.0).collect();
        let query = sqlx::query_as(
            "select rule_id, name from rule_history
             where tenant_id = $1 and rule_id = any ($2) and from_revision <= $3
                and (to_revision is null or to_revision > $3)",
        )
        .bind(scope.id().0)
        .bind(ids)
        .bind(revision.0);
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let rows: Vec<(Uuid, String)> = tx.all("get names of rules", query).await?;
        tx.end().await?;
        Ok(rows.into_iter().map(|(id, name)| (RuleId(id), name)).collect())
    }
}

async fn window_rows(
    tx: &mut TenantTx,
    filter: &DecisionFilter,
    (kept, now): (DecisionsKept, DateTime<Utc>),
    order: DecisionOrder,
    (lower, upper): (Uuid, Uuid),
    (rows, has_facts): (usize, bool),
) -> Result<Vec<StoredDecision>, Error> {
    let facts = if has_facts { FACTS } else { NO_FACTS };
    let direction = match order {
        DecisionOrder::NewestFirst(_) => "desc",
        DecisionOrder::OldestFirst(_) => "asc",
    };
    let sql = format!(
        "select {COLUMNS}, {facts} from decisions d
         where d.tenant_id = $1 and d.id >= $2 and d.id < $3
            and d.id >= case d.source when 'event' then $4::uuid else $5::uuid end
            and ($6::text is null or d.source = $6) and ($7::bigint is null or d.revision = $7)
            and ($8::text is null or d.event_type = $8)
            and ($9::uuid is null or $9 = any (d.matched)
                or d.errors @> jsonb_build_array(jsonb_build_object('ruleId', $9::text)))
            and case $10::text when 'matched' then cardinality(d.matched) > 0 when 'error' then d.errors <> '[]'
                when 'unmatched' then cardinality(d.matched) = 0 and d.errors = '[]' else true end
         order by d.id {direction} limit $11"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant.0)
        .bind(lower)
        .bind(upper)
        .bind(events::floor(now - kept.of_events))
        .bind(events::floor(now - kept.of_evaluations))
        .bind(filter.source.map(DecisionSource::name))
        .bind(filter.revision.map(|revision| revision.0))
        .bind(filter.kind.as_deref())
        .bind(filter.rule.map(|rule| rule.0))
        .bind(filter.outcome.map(DecisionOutcome::name))
        .bind(i64::try_from(rows).unwrap_or(i64::MAX))
        .persistent(false);
    tx.all("list decisions", query).await
}

/// The rules that matched, as one text of many: an array of arrays has rows of one length.
pub(super) fn array_text(rules: &[RuleId]) -> String {
    let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
    format!("{{{}}}", rules.join(","))
}

fn next(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

fn previous(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_sub(1))
}
