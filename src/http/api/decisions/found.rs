//! Decisions that fit a query, a page at a time: by what is stored in columns, and by an expression over their facts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    domain::{DecisionSource, Quota, Revision, RuleId, TenantScope},
    engine::{Served, Work},
    error::Detail,
    http::door::{
        AppState, Error,
        query::{Given, Parameters},
    },
    ruleset::{Expression, UnknownFacts},
    store::{
        DecisionFilter, DecisionLook, DecisionOrder, DecisionOutcome, DecisionsFound, DecisionsKept, StoredDecision,
    },
};

/// Decisions whose facts one page looks at.
const SCANNED_MAX: usize = 10_000;
/// How long it looks at them.
const SCANNING_MAX: Duration = Duration::from_millis(500);
/// How long a page without an expression looks.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Decisions whose facts are read at once.
const CHUNK: usize = 500;

/// Which decisions.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DecisionQuery {
    /// Those that this rule matched, or ended with an error.
    rule: Option<RuleId>,
    /// `matched`: a rule matched. `unmatched`: none did, and none ended with an error. `error`: one ended with an error.
    #[param(value_type = Option<String>)]
    outcome: Option<DecisionOutcome>,
    /// Those of this revision.
    #[param(minimum = 1)]
    revision: Option<i64>,
    /// `event` or `evaluate`.
    #[param(value_type = Option<String>)]
    source: Option<DecisionSource>,
    /// Those of events of this type.
    r#type: Option<String>,
    /// Those asked for at this time or later: of an event the time at which it was received.
    from: Option<DateTime<Utc>>,
    /// Those asked for before this time.
    to: Option<DateTime<Utc>>,
    /// CEL of type `bool` over the facts, in the words of the tenant's present schema.
    r#where: Option<String>,
}

impl Parameters for DecisionQuery {
    fn take(given: &mut Given) -> Self {
        Self {
            rule: given.id("rule"),
            outcome: given.word("outcome", &DecisionOutcome::ALL.map(|outcome| (outcome.name(), outcome))),
            revision: given.number("revision", 1, i64::MAX),
            source: given.word("source", &DecisionSource::ALL.map(|source| (source.name(), source))),
            r#type: given.text("type"),
            from: given.time("from"),
            to: given.time("to"),
            r#where: given.text("where"),
        }
    }
}

/// Decisions of a tenant that fit a query.
pub struct Search {
    scope: TenantScope,
    filter: DecisionFilter,
    kept: DecisionsKept,
    condition: Option<Condition>,
}

/// An expression over facts, and what compiled it.
#[derive(Clone)]
struct Condition {
    served: Served,
    expression: Arc<Expression>,
}

/// Some of the decisions that fit.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order asked for.
    pub rows: Vec<StoredDecision>,
    /// How many were looked at.
    pub scanned: usize,
    /// Up to where all was looked at; `None`: there is nothing beyond it.
    pub up_to: Option<Uuid>,
    /// Whether it was ended early, and not because enough were found.
    pub is_cut: bool,
}

/// How long a tenant's decisions are kept.
pub async fn kept(state: &AppState, scope: TenantScope) -> Result<DecisionsKept, Error> {
    let quotas = [Quota::EventRetentionDays, Quota::DecisionRetentionDays];
    let [of_events, of_evaluations] = state.kept_for(scope, quotas).await?;
    Ok(DecisionsKept { of_events, of_evaluations })
}

impl Search {
    /// For a query, or what is wrong with it.
    pub async fn of(state: &AppState, scope: TenantScope, query: DecisionQuery) -> Result<Self, Error> {
        if let (Some(from), Some(to)) = (query.from, query.to)
            && from > to
        {
            return Err(Error::invalid_one(Detail::new("invalid_value", "`from` is after `to`").at("from")));
        }
        let kept = kept(state, scope).await?;
        let condition = match query.r#where {
            Some(text) => Some(Condition::of(state.engine.deciding(scope, None).await?, &text)?),
            None => None,
        };
        let filter = DecisionFilter {
            rule: query.rule,
            outcome: query.outcome,
            revision: query.revision.map(Revision),
            source: query.source,
            kind: query.r#type,
            from: query.from,
            to: query.to,
        };
        Ok(Self { scope, filter, kept, condition })
    }

    /// The next `wanted` decisions, or fewer where much has to be looked at.
    pub async fn next(&self, state: &AppState, order: DecisionOrder, wanted: usize) -> Result<Batch, Error> {
        let Some(condition) = &self.condition else {
            let look = DecisionLook { rows: wanted, time: LOOK_MAX, facts: false };
            let DecisionsFound { rows, up_to } = self.read(state, order, look).await?;
            let is_cut = up_to.is_some() && rows.len() < wanted;
            return Ok(Batch { scanned: rows.len(), rows, up_to, is_cut });
        };
        let (mut batch, mut order, began) = (Batch::default(), order, Instant::now());
        loop {
            let left = SCANNING_MAX.saturating_sub(began.elapsed());
            let look = DecisionLook { rows: CHUNK.min(SCANNED_MAX - batch.scanned), time: left, facts: true };
            let DecisionsFound { rows, up_to } = self.read(state, order, look).await?;
            let (of, room) = (condition.clone(), wanted - batch.rows.len());
            let tenant = condition.served.set.tenant();
            let (rows, scanned, last) =
                state.engine.in_turn(tenant, Work::Piece, move || of.filter(rows, room)).await?;
            batch.rows.extend(rows);
            batch.scanned += scanned;
            batch.up_to = if batch.rows.len() == wanted { last.or(up_to) } else { up_to };
            let Some(at) = batch.up_to.filter(|_| batch.rows.len() < wanted) else { return Ok(batch) };
            if batch.scanned >= SCANNED_MAX || began.elapsed() >= SCANNING_MAX {
                batch.is_cut = true;
                return Ok(batch);
            }
            order = match order {
                DecisionOrder::NewestFirst(_) => DecisionOrder::NewestFirst(Some(at)),
                DecisionOrder::OldestFirst(_) => DecisionOrder::OldestFirst(Some(at)),
            };
        }
    }

    async fn read(&self, state: &AppState, order: DecisionOrder, look: DecisionLook) -> Result<DecisionsFound, Error> {
        Ok(state.store.decisions(self.scope, &self.filter, self.kept, order, look, Utc::now()).await?)
    }
}

impl Condition {
    fn of(served: Served, text: &str) -> Result<Self, Error> {
        let at = |detail: Detail| detail.at("where");
        let compiled = served.set.compile_expression(text);
        let expression = compiled.map_err(|details| Error::invalid(details.into_iter().map(at).collect()))?;
        let wrong = if expression.value_type() != "bool" {
            let message = format!("`where` must be a bool, not `{}`", expression.value_type());
            Some(Detail::new("wrong_type", message))
        } else if expression.is_sensitive() {
            Some(Detail::new("sensitive_fact", "`where` may not depend on a sensitive fact"))
        } else {
            None
        };
        match wrong {
            Some(detail) => Err(Error::invalid_one(at(detail))),
            None => Ok(Self { served, expression: Arc::new(expression) }),
        }
    }

    /// Those for which it holds, up to `room`; how many were looked at, and the last of these.
    fn filter(&self, rows: Vec<StoredDecision>, room: usize) -> (Vec<StoredDecision>, usize, Option<Uuid>) {
        let (mut found, mut scanned, mut last) = (Vec::new(), 0, None);
        for row in rows {
            scanned += 1;
            last = Some(row.id);
            if self.holds(&row) {
                found.push(row);
                if found.len() == room {
                    break;
                }
            }
        }
        (found, scanned, last)
    }

    /// Whether it is true of a decision's facts. Of those that the schema refuses by now, or that are not there, it is not.
    fn holds(&self, row: &StoredDecision) -> bool {
        let Some(facts) = row.facts.as_deref() else { return false };
        let read = self.served.set.read_facts(facts, UnknownFacts::Ignore);
        read.is_ok_and(|facts| self.served.set.holds(&self.expression, &facts.at(row.evaluated_at)))
    }
}
