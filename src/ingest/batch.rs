//! Deciding events: each becomes a decision, an attempt to come, or a dead letter. No I/O.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::outside::{BATCH_EVENTS_MAX, Engine, SHARE_MIN};
use crate::{
    domain::{
        DecisionSource, EventFailure, EventOutcome, QueuedEvent, Quota, QuotaExceeded, RuleId, SchemaVersion, Tenant,
        micros, retry_after,
    },
    engine::{self, Ask, Served, Submission},
    error::Detail,
    ruleset::{Query, Return, RuleReference},
    store::Settlement,
};

/// How long a batch is decided before it is settled.
const BATCH_TIME_MAX: Duration = Duration::from_millis(20);

/// What is done with the facts of an event before they are decided: nothing, and in proofs of what happens when deciding
/// fails, something that does.
#[derive(Clone, Default)]
pub struct BeforeDeciding(Option<Arc<Act>>);

type Act = dyn Fn(&str) + Send + Sync;

impl BeforeDeciding {
    /// Does `what`.
    pub fn new(what: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(what)))
    }

    fn run(&self, facts: &str) {
        if let Some(what) = &self.0 {
            what(facts);
        }
    }
}

impl fmt::Debug for BeforeDeciding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "something" } else { "nothing" })
    }
}

/// Splits events over at most `workers`: those with one ordering key go to one worker, in their order; the others in turns.
pub fn split(events: Vec<QueuedEvent>, workers: usize) -> Vec<VecDeque<QueuedEvent>> {
    let workers = workers.min(events.len() / SHARE_MIN).max(1);
    let mut shares: Vec<VecDeque<QueuedEvent>> = (0..workers).map(|_| VecDeque::new()).collect();
    let mut turn = 0;
    for event in events {
        let share = match &event.ordering_key {
            Some(key) => {
                let mut hasher = DefaultHasher::new();
                key.hash(&mut hasher);
                usize::try_from(hasher.finish() % workers as u64).unwrap_or_default()
            }
            None => {
                turn = (turn + 1) % workers;
                turn
            }
        };
        if let Some(share) = shares.get_mut(share) {
            share.push_back(event);
        }
    }
    shares.retain(|share| !share.is_empty());
    shares
}

/// Decides events from the front of `events`, as many as are settled together. Those whose ordering key is among
/// `waiting` wait behind the event of that key which is to be tried again; a key whose event fails joins them.
pub fn decide(
    before: &BeforeDeciding,
    engine: &Engine,
    served: &Served,
    events: &mut VecDeque<QueuedEvent>,
    waiting: &mut HashSet<String>,
    (now, jitter_permille): (DateTime<Utc>, u16),
) -> Vec<Settlement> {
    let begun = Instant::now();
    let mut settled = Vec::new();
    while settled.len() < BATCH_EVENTS_MAX && begun.elapsed() < BATCH_TIME_MAX {
        let Some(event) = events.pop_front() else { break };
        let is_behind = event.ordering_key.as_ref().is_some_and(|key| waiting.contains(key));
        let (attempts, outcome) = if is_behind {
            (event.attempts, EventOutcome::behind())
        } else {
            (event.attempts + 1, decide_one(before, engine, served, &event, (now, jitter_permille)))
        };
        if let (EventOutcome::Retry { .. }, Some(key)) = (&outcome, &event.ordering_key) {
            waiting.insert(key.clone());
        }
        let QueuedEvent { id, kind, ordering_key, .. } = event;
        settled.push(Settlement { id, kind, ordering_key, attempts, outcome });
    }
    settled
}

fn decide_one(
    before: &BeforeDeciding,
    engine: &Engine,
    served: &Served,
    event: &QueuedEvent,
    (now, jitter_permille): (DateTime<Utc>, u16),
) -> EventOutcome {
    let attempt = AssertUnwindSafe(|| {
        before.run(&event.facts);
        outcome(engine, served, event, now)
    });
    catch_unwind(attempt).unwrap_or_else(|_| failed(EventFailure::Panic, event.attempts + 1, jitter_permille))
}

/// What follows from a failure that is not the event's own, after `attempts`.
pub fn failed(failure: EventFailure, attempts: u16, jitter_permille: u16) -> EventOutcome {
    let message = match failure {
        EventFailure::Crashed => "the process ended while it decided this event",
        _ => "deciding this event failed inside Tenet",
    };
    match retry_after(attempts, jitter_permille) {
        Some(after) => EventOutcome::Retry { failure, detail: message.to_owned(), after },
        None => EventOutcome::Dead { failure, detail: json!({ "message": message }), revision: None },
    }
}

fn outcome(engine: &Engine, served: &Served, event: &QueuedEvent, now: DateTime<Utc>) -> EventOutcome {
    let revision = served.set.revision();
    if let Some((failure, detail)) = unfit(served.set.tenant(), event, now) {
        return EventOutcome::Dead { failure, detail, revision: Some(revision) };
    }
    let query = Query { returns: Return::Matched, ..Query::default() };
    let ask = Ask { query, at: event.at, source: DecisionSource::Event, ..Ask::default() };
    // Events have a quota of their own in the place of that of requests.
    let decided = match engine.decide(served, &ask, Submission { facts: &event.facts, bytes: 0, depth: 1 }) {
        Ok(decided) => decided,
        Err(error) => {
            return EventOutcome::Dead {
                failure: EventFailure::FactsInvalid,
                detail: refusal(&error),
                revision: Some(revision),
            };
        }
    };
    let mut matched: Vec<RuleId> = Vec::new();
    let mut errors: Vec<Value> = Vec::new();
    for result in decided.results.iter() {
        let RuleReference::Known(rule) = result.rule_id else { continue };
        if result.matched {
            matched.push(rule);
        }
        if let Some(error) = result.error {
            errors.push(json!({ "ruleId": rule, "code": error.code, "message": error.message }));
        }
    }
    EventOutcome::Decided {
        evaluated_at: decided.evaluated_at,
        revision,
        schema_version: served.set.schema_version().unwrap_or(SchemaVersion(0)),
        matched,
        errors: Value::Array(errors),
        cost: decided.cost,
        micros: micros(decided.took),
        rule_set_hash: served.set.hash(),
    }
}

/// Why an event is not decided, whatever its facts say: it was accepted while the tenant's quotas were not known, or were
/// larger; or it has waited for too long.
fn unfit(tenant: &Tenant, event: &QueuedEvent, now: DateTime<Utc>) -> Option<(EventFailure, Value)> {
    let days = tenant.quota(Quota::EventRetentionDays);
    if now - event.id.received_at() > TimeDelta::days(i64::try_from(days).unwrap_or(i64::from(u16::MAX))) {
        let message = format!("it waited for longer than events are kept, which is {days} days");
        return Some((EventFailure::Expired, json!({ "message": message })));
    }
    let limit = tenant.quota(Quota::EventBytes);
    let exceeded = Quota::EventBytes.allows(limit, event.facts.len() as u64).err()?;
    let QuotaExceeded { quota, limit, used } = exceeded;
    let detail = json!({"message": exceeded.to_string(), "quota": quota.name(), "limit": limit, "used": used});
    Some((EventFailure::TooLarge, detail))
}

/// What a dead letter says of facts that were refused.
fn refusal(error: &engine::Error) -> Value {
    let (message, details): (_, &[Detail]) = match error {
        engine::Error::Invalid(details) => ("the schema refuses the facts".to_owned(), details),
        error => (error.to_string(), &[]),
    };
    json!({ "code": error.code(), "message": message, "errors": details })
}
