//! Deciding: the one way from facts to results, whichever door they came through. What may be asked of the facts is
//! checked here: the tenant's quota, strict JSON, depth and NUL characters; and what was decided is counted here.
//!
//! [`Engine::deciding`] answers the rule set, once for as many facts as are to see the same revision, and
//! [`Engine::decide`] decides one set of facts with it. No mailbox, no SQL.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};
use tokio::task::spawn_blocking;

use super::record::{RecordWish, Recorded};
use crate::{
    admission::{Class, Contender},
    config::limits::{self, INLINE_COST_MAX},
    domain::{DecisionSource, Quota, Revision, Tenant, TenantScope},
    engine::{
        Engine, Error, Served,
        pool::{self, NotDone},
        shared::Shared,
    },
    error::Detail,
    json,
    ruleset::{Decision, Facts, Pace, Query, Results, Return, RuleSet, Unknown, UnknownFacts},
};

/// How long a request waits for its first turn in the evaluation pool.
const TURN_WAIT_MAX: Duration = Duration::from_millis(100);
/// What a decision counts in the tenant's average that was cut off: more than it had taken, since it would have taken more.
const DEAR_COST: u64 = 2 * INLINE_COST_MAX;

const PANICKED: &str = "an evaluation panicked";

/// Objects of a schema that a hint names.
const OBJECTS_SHOWN: usize = 10;

/// Which rules to decide by, and what to answer.
#[derive(Debug, Default)]
pub struct Ask {
    /// Which rules, which results.
    pub query: Query,
    /// What becomes of facts that the schema does not declare; what the tenant's setting says if `None`.
    pub unknown: Option<UnknownFacts>,
    /// The revision that the rule set must have reached.
    pub min_revision: Option<Revision>,
    /// The time of the decision; the current time if `None`.
    pub at: Option<DateTime<Utc>>,
    /// Where the facts come from.
    pub source: DecisionSource,
    /// What is wanted of the record of the decision.
    pub record: RecordWish,
    /// The request that asks, if decisions may be recorded.
    pub request_id: Option<String>,
}

impl Ask {
    /// The time of the decision. The current time is taken to the microsecond, so that answers stay easy to read.
    pub fn time(&self) -> DateTime<Utc> {
        self.at.unwrap_or_else(|| Utc::now().trunc_subsecs(6))
    }
}

/// What waits for a turn in the evaluation pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A request, which is refused if it waits for too long.
    Request,
    /// A piece of an answer that has begun, and waits as long as it must.
    Piece,
    /// Events, which have the pool to themselves while no request waits, and a fifth of it otherwise.
    Events,
}

/// One set of facts, as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'t> {
    /// The facts: one JSON value, well-formed or not.
    pub facts: &'t str,
    /// Bytes of the document that they came in; the tenant has a quota of them.
    pub bytes: usize,
    /// Levels of that document above the facts.
    pub depth: usize,
}

/// What was decided.
#[derive(Debug)]
pub struct Decided<'a> {
    /// The time of the decision, which rules read as `now`.
    pub evaluated_at: DateTime<Utc>,
    /// One result for each rule asked for.
    pub results: Results<'a>,
    /// How many rules were evaluated, and how many matched, where not each has its result.
    pub counts: Option<(usize, usize)>,
    /// Facts that were left out: all of them with a trace, otherwise those that are under none of several objects.
    pub warnings: Option<Vec<Detail>>,
    /// Units of cost that the decision took.
    pub cost: u64,
    /// How long reading the facts and deciding took.
    pub took: Duration,
    /// Its id, if the recorder took it.
    pub recorded: Option<Recorded>,
}

impl Engine {
    /// The rule set to decide a tenant's facts with, of `min_revision` at least if one is given.
    #[inline]
    pub async fn deciding(&self, scope: TenantScope, min_revision: Option<Revision>) -> Result<Served, Error> {
        let served = self.rule_set(scope, min_revision).await?;
        if served.set.schema_version().is_none() {
            return Err(Error::SchemaMissing);
        }
        if served.stale {
            self.inner.shared.metrics.stale_decision();
        }
        Ok(served)
    }

    /// Decides one set of facts. In the evaluation pool it gives way between rules.
    pub fn decide<'a>(
        &self,
        served: &'a Served,
        ask: &'a Ask,
        submission: Submission<'_>,
    ) -> Result<Decided<'a>, Error> {
        let decided = self.decide_paced(served, ask, submission, Pace::GivingWay(&pool::give_way))?;
        decided.ok_or(Error::Internal("a decision without a bound was cut off"))
    }

    /// Decides one set of facts, if that is cheap; `None` if it is to be decided in the evaluation pool.
    pub fn decide_if_cheap<'a>(
        &self,
        served: &'a Served,
        ask: &'a Ask,
        submission: Submission<'_>,
    ) -> Result<Option<Decided<'a>>, Error> {
        if self.inner.pool.is_none() {
            return self.decide(served, ask, submission).map(Some);
        }
        if served.set.usually_costs_more_than(INLINE_COST_MAX) {
            return Ok(None);
        }
        self.decide_paced(served, ask, submission, Pace::Within(INLINE_COST_MAX))
    }

    /// Works in the evaluation pool when it is the tenant's turn. Where there is none, requests are worked on here and now,
    /// and events off the threads that wait for answers.
    pub async fn in_turn<T: Send + 'static>(
        &self,
        tenant: &Tenant,
        kind: Work,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let Some(pool) = &self.inner.pool else {
            return match kind {
                Work::Events => spawn_blocking(work).await.map_err(|_| Error::Internal(PANICKED)),
                Work::Request | Work::Piece => Ok(work()),
            };
        };
        let class = if kind == Work::Events { Class::Events } else { Class::Requests };
        let of = Contender { tenant: tenant.id, tier: tenant.tier, class };
        let wait_max = (kind == Work::Request && self.inner.gate.is_limiting()).then_some(TURN_WAIT_MAX);
        let (shared, queued) = (self.inner.shared.clone(), Instant::now());
        let work = move || {
            shared.metrics.load.turn_wait(of.tier.name(), queued.elapsed());
            work()
        };
        let done = pool.run(of, wait_max, work).await;
        if kind == Work::Request {
            self.inner.gate.place(tenant.id).part.left_line(matches!(done, Err(NotDone::Late)));
        }
        done.map_err(|not_done| match not_done {
            NotDone::Late => Error::TooBusy { limit: tenant.quota(Quota::ConcurrentRequests) },
            NotDone::Panicked => Error::Internal(PANICKED),
            NotDone::Stopping => Error::Stopping,
        })
    }

    fn decide_paced<'a>(
        &self,
        served: &'a Served,
        ask: &'a Ask,
        submission: Submission<'_>,
        pace: Pace<'_>,
    ) -> Result<Option<Decided<'a>>, Error> {
        served.allows(Quota::RequestBytes, submission.bytes)?;
        let (begun, waited) = (Instant::now(), pool::waited());
        let evaluated_at = ask.time();
        let facts = read(&served.set, ask.unknown, submission.facts, submission.depth)?.at(evaluated_at);
        let decision = served.set.decide_paced(&facts, &ask.query, pace);
        let took = begun.elapsed().saturating_sub(pool::waited() - waited);
        if decision.is_cut {
            served.set.was_too_dear(DEAR_COST, took);
            self.inner.shared.metrics.load.inline_exceeded();
            return Ok(None);
        }
        self.note(served, ask, &decision, took);
        let recorded = match served.records(ask) {
            true => self.record(served, ask, submission.facts, &decision, (evaluated_at, took)),
            false => None,
        };
        let is_counted = ask.query.returns == Return::Matched;
        Ok(Some(Decided {
            evaluated_at,
            counts: is_counted.then_some((decision.evaluated, decision.matched_count)),
            warnings: warnings(&facts, ask.query.trace),
            cost: decision.cost,
            results: decision.results,
            took,
            recorded,
        }))
    }

    /// Counts an event of a tenant that was sent again.
    pub fn count_duplicate(&self, scope: TenantScope, at: DateTime<Utc>, project: Option<&str>, kind: Option<&str>) {
        let Shared { store, counting, .. } = &*self.inner.shared;
        let [project, kind] = store.counted_as(scope, at, project, kind);
        counting.duplicate(scope.id(), at, project, kind);
    }

    /// Says what is wrong with facts, and decides nothing.
    pub fn check_facts(&self, served: &Served, facts: &str, depth: usize) -> Result<(), Error> {
        read(&served.set, None, facts, depth).map(drop)
    }

    fn note(&self, served: &Served, ask: &Ask, decision: &Decision<'_>, took: Duration) {
        let Shared { metrics, counting, .. } = &*self.inner.shared;
        metrics.decision(decision.evaluated, decision.matched_count, took);
        served.decided(decision, took);
        // Those of events are counted with their effect.
        if ask.source == DecisionSource::Evaluate {
            counting.decided(&served.set, &ask.query, decision, took);
        }
        self.inner.gate.evaluated(served.set.tenant().tier, took);
        for error in decision.results.errors() {
            metrics.rule_error(error.code);
        }
    }
}

impl Served {
    /// Whether so many bytes, or items, are within the tenant's quota.
    pub fn allows(&self, quota: Quota, used: usize) -> Result<(), Error> {
        let limit = self.set.tenant().quota(quota);
        quota.allows(limit, used as u64).map_err(Error::QuotaExceeded)
    }
}

/// Warnings of what an answer leaves out: with a trace each fact that the schema does not declare; always those that are
/// under none of several objects, since who sends facts flat would have all of them ignored.
fn warnings(facts: &Facts, has_trace: bool) -> Option<Vec<Detail>> {
    let told = facts.unknown().iter().filter(|unknown| has_trace || unknown.is_misplaced);
    let warnings: Vec<Detail> = told.map(|unknown| warning(facts, unknown)).collect();
    (has_trace || !warnings.is_empty()).then_some(warnings)
}

/// A warning for each fact that the schema does not declare.
pub(super) fn unknown_facts(facts: &Facts) -> Vec<Detail> {
    facts.unknown().iter().map(|unknown| warning(facts, unknown)).collect()
}

fn warning(facts: &Facts, unknown: &Unknown) -> Detail {
    if unknown.is_misplaced {
        let objects = facts.objects().take(OBJECTS_SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>();
        return Detail::new("unknown_fact", "the schema does not declare this object; it is ignored")
            .at(unknown.path.as_str())
            .hint(format!("send each fact under its object: {}", objects.join(", ")));
    }
    Detail::new("unknown_fact", "the schema does not declare this fact").at(unknown.path.as_str())
}

/// Reads facts; those that the schema does not declare as was asked, or as the tenant's setting says. What the reader takes is strict JSON but for two things, so that the text is looked at once more only
/// where one of them may be so, or something is wrong.
pub(super) fn read(set: &RuleSet, unknown: Option<UnknownFacts>, text: &str, depth: usize) -> Result<Facts, Error> {
    let by_setting = || if set.tenant().strict_facts { UnknownFacts::Refuse } else { UnknownFacts::Ignore };
    let facts = set.read_facts(text, unknown.unwrap_or_else(by_setting));
    let is_shallow = |facts: &Facts| facts.depth() + depth <= limits::JSON_DEPTH_MAX;
    match facts {
        // A NUL character can only be written as this.
        Ok(facts) if is_shallow(&facts) && !text.contains("\\u0000") => Ok(facts),
        facts => {
            json::check_showing(text.as_bytes(), "facts", depth, &|steps| set.shown_steps(steps))?;
            if !text.starts_with('{') {
                return Err(Error::Invalid(vec![Detail::new("wrong_type", "facts must be an object").at("facts")]));
            }
            facts.map_err(Error::Invalid)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ruleset::fixture;

    /// A set whose facts are `x`, of any type, and `n`, an int.
    fn set() -> RuleSet {
        let snapshot = fixture::with_schema(&json!({"facts": {"x": "dyn", "n": "int"}}));
        RuleSet::compile(&snapshot, None)
    }

    proptest! {
        #[test]
        fn facts_that_are_read_are_strict_json(
            field in "[xnz]",
            parts in prop::collection::vec(
                prop_oneof![
                    Just("\"\\u0000\""), Just("\"\\\\u0000\""), Just("\"\\ud800\""), Just("{\"a\":1,\"a\":2}"), Just("1e999"),
                    Just("{\"\\u0000\":1}"), Just("{\"a\":1,\"\\u0061\":2}"), Just("1"), Just("\"text\""), Just("{}"), Just("01"),
                ],
                1..3,
            ),
            nested in 0..36_usize, depth in 0..4_usize,
        ) {
            let (set, ask) = (set(), Ask::default());
            let lists = format!("{}{}{}", "[".repeat(nested), parts.join(","), "]".repeat(nested));
            let text = format!("{{\"{field}\":{lists}}}");
            let strict = json::check(text.as_bytes(), "facts", depth).map_err(|error| format!("{:?}", Error::from(error)));
            match read(&set, ask.unknown, &text, depth) {
                Ok(_) => prop_assert_eq!(strict, Ok(()), "{}", text),
                Err(error) if strict.is_err() => prop_assert_eq!(Err(format!("{error:?}")), strict, "{}", text),
                Err(error) => prop_assert!(field == "n" || nested > 20, "{} {:?}", text, error),
            }
        }
    }

    #[test]
    fn facts_are_an_object() {
        let set = set();
        let refusal = |text: &str| match read(&set, None, text, 1).map(drop).unwrap_err() {
            Error::Invalid(details) => (details[0].code, details[0].message.clone()),
            Error::Json(json::Error::Invalid(detail)) => (detail.code, detail.message.clone()),
            error => (error.code(), error.to_string()),
        };
        for text in ["[]", "7", "null", "\"{}\""] {
            assert_eq!(refusal(text).0, "wrong_type", "{text}");
        }
        assert_eq!(refusal("[1e999]").0, "malformed_json");
        assert_eq!(refusal(&format!("{{\"x\":{}{}}}", "[".repeat(31), "]".repeat(31))).0, "json_too_deep");
        assert_eq!(refusal("{\"x\":\"\\u0000\",\"n\":\"\"}").0, "nul_character");
        assert_eq!(refusal("{\"n\":\"\"}").1, "`facts.n` must be an int, not a string");
    }
}
