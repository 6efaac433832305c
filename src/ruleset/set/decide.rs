//! Evaluating a set on facts. Every rule asked for is answered, with an error if need be; none can spoil another.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{RuleEntry, RuleSet, RuleState, budget::Budget, compiled_rules::Small};
use crate::{
    cel::{Activation, EvaluationError, Limits, Meter, Run, TraceEntry},
    domain::RuleId,
    ruleset::{Decision, Facts, Pace, Query, Results, Return, RuleError, decision::Listing, index::Candidate},
};

/// A rule that a query asks for.
enum Mention<'a> {
    Known(u32, &'a RuleEntry),
    Unknown(&'a str),
}

/// What evaluating a rule gave.
type RuleOutcome = (bool, Option<RuleError>, Option<Vec<TraceEntry>>);

/// What rules are evaluated on and for.
#[derive(Clone, Copy)]
struct Asked<'q> {
    activation: Option<&'q Activation>,
    query: &'q Query,
    budget: &'q Budget<'q>,
    guard: Guard,
}

/// Who sees to it that a rule that panics spoils no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nobody: the decision ends, and is taken again with care.
    None,
    /// Whoever evaluates a rule.
    EachRule,
}

thread_local! {
    /// The places of the rules to evaluate; kept, so that a decision need not make room for them.
    static CANDIDATES: Cell<Vec<Candidate>> = const { Cell::new(Vec::new()) };
}

impl RuleSet {
    /// Evaluates the rules that `query` asks for. The facts must have been read by this set, or by one of the same
    /// schema.
    #[inline]
    pub fn decide<'a>(&'a self, facts: &Facts, query: &'a Query) -> Decision<'a> {
        self.decide_paced(facts, query, Pace::AtOnce)
    }

    /// The same, at a pace. What takes more than that allows is cut off ([`Decision::is_cut`]).
    pub fn decide_paced<'a>(&'a self, facts: &Facts, query: &'a Query, pace: Pace<'_>) -> Decision<'a> {
        match self.decide_at_once(facts, query) {
            Some(decision) => decision,
            None => self.decide_by_running(facts, query, pace),
        }
    }

    #[inline(never)]
    fn decide_by_running<'a>(&'a self, facts: &Facts, query: &'a Query, pace: Pace<'_>) -> Decision<'a> {
        let activation = self.activation(facts);
        with_care(|guard| self.decide_on(activation.as_deref(), query, guard, pace))
    }

    /// Decides a small set from a look at each fact, without running any rule: if they are all there.
    #[inline]
    fn decide_at_once<'a>(&'a self, facts: &Facts, query: &Query) -> Option<Decision<'a>> {
        let Small { cost, sheet: Some((sheet, places)) } = self.contents.small.as_ref()? else { return None };
        let asks_for_all = query.rules.is_none() && query.tags.is_none() && !query.trace;
        if !asks_for_all || !facts.activation().is_of(&self.contents.frame) {
            return None;
        }
        let truths = sheet.truths(facts.activation())?;
        let results = Results::of_truths(self, places, truths, query.returns);
        Some(Decision {
            evaluated: self.contents.active,
            matched_count: results.matched_count(),
            results,
            cost: *cost,
            is_cut: false,
        })
    }

    fn decide_on<'a>(
        &'a self,
        activation: Option<&Activation>,
        query: &'a Query,
        guard: Guard,
        pace: Pace<'_>,
    ) -> Decision<'a> {
        // A trace shows why a rule is false, and few rules are run sooner than found.
        match activation {
            Some(activation) if query.rules.is_none() && !query.trace => match &self.contents.small {
                Some(small) if query.tags.is_none() && guard == Guard::None => {
                    let is_cut = matches!(pace, Pace::Within(most) if most < small.cost);
                    if is_cut { self.cut() } else { self.decide_small(activation, query.returns, small.cost) }
                }
                _ => self.decide_candidates(activation, query, guard, pace),
            },
            _ => self.decide_each(activation, query, guard, pace),
        }
    }

    /// Evaluates all rules of a small set, which together cost no more than a decision may.
    fn decide_small(&self, activation: &Activation, returns: Return, cost: u64) -> Decision<'_> {
        let meter = Meter::of(Limits::default());
        let run = Run::new(activation, &meter);
        let mut results = Listing::of(self.contents.rules.len());
        for (place, rule) in (0..).zip(&self.contents.rules) {
            let RuleState::Ready(compiled) = &rule.state else {
                if let Some(error) = refusal(&rule.state) {
                    results.add(place, false, Some(error), None);
                }
                continue;
            };
            match compiled.program.holds_paid(&run) {
                Ok(matched) => {
                    if matched || returns == Return::All {
                        results.decided(place, matched);
                    }
                }
                Err(error) => results.add(place, false, Some((*error).into()), None),
            }
        }
        self.decision(results, self.contents.active, cost, false)
    }

    /// Evaluates the rules that the index does not rule out; the others are false.
    pub(super) fn decide_candidates<'a>(
        &'a self,
        activation: &Activation,
        query: &'a Query,
        guard: Guard,
        pace: Pace<'_>,
    ) -> Decision<'a> {
        let contents = &*self.contents;
        let rules = &*contents.rules;
        let mut candidates = CANDIDATES.take();
        contents.index().candidates(activation, &mut candidates);
        let is_wanted = |rule: &RuleEntry| !matches!(rule.state, RuleState::Inactive) && has_tag(rule, query);
        let budget = Budget::of_a_decision(self, pace);
        // The index knows most candidates to be true: what the others need stays out of their way.
        let asked = Asked { activation: Some(activation), query, budget: &budget, guard };
        let is_paid = |candidate: Candidate, rule: &RuleEntry| candidate.is_true() && budget.pays_for(rule);
        let (results, evaluated) = match query.returns {
            Return::All => {
                let mut results = Listing::of(contents.active);
                let mut ahead = candidates.iter().copied().peekable();
                for (place, rule) in (0..).zip(rules) {
                    let candidate = ahead.next_if(|candidate| candidate.rule() == place);
                    if !is_wanted(rule) {
                        continue;
                    }
                    match candidate {
                        None => results.decided(place, false),
                        Some(candidate) if is_paid(candidate, rule) => results.decided(place, true),
                        Some(_) if budget.is_cut() => break,
                        Some(_) => answer(&mut results, place, rule, asked),
                    }
                }
                let evaluated = results.len();
                (results, evaluated)
            }
            Return::Matched => {
                let mut results = Listing::of(candidates.len());
                for candidate in &candidates {
                    let place = candidate.rule();
                    let Some(rule) = rules.get(place as usize).filter(|rule| is_wanted(rule)) else { continue };
                    if is_paid(*candidate, rule) {
                        results.decided(place, true);
                    } else if budget.is_cut() {
                        break;
                    } else {
                        answer(&mut results, place, rule, asked);
                    }
                }
                let evaluated = match query.tags {
                    None => contents.active,
                    Some(_) => rules.iter().filter(|rule| is_wanted(rule)).count(),
                };
                (results, evaluated)
            }
        };
        CANDIDATES.set(candidates);
        self.decision(results, evaluated, budget.spent(), budget.is_cut())
    }

    /// Evaluates every rule asked for.
    pub(super) fn decide_each<'a>(
        &'a self,
        activation: Option<&Activation>,
        query: &'a Query,
        guard: Guard,
        pace: Pace<'_>,
    ) -> Decision<'a> {
        // A rule named twice is answered twice, and evaluated once.
        let mut known: HashMap<u32, RuleOutcome> = HashMap::new();
        let budget = Budget::of_a_decision(self, pace);
        let asked = Asked { activation, query, budget: &budget, guard };
        let mentions = self.mentions(query);
        let evaluated = mentions.len();
        let mut results = Listing::of(evaluated);
        for mention in mentions {
            if budget.is_cut() {
                break;
            }
            let (place, rule) = match mention {
                Mention::Known(place, rule) => (place, rule),
                Mention::Unknown(text) => {
                    results.add_unknown(text, error("rule_not_found", "no rule has this id or name"));
                    continue;
                }
            };
            let outcome = || evaluate(rule, asked);
            let (matched, error, trace) = match query.rules {
                None => outcome(),
                Some(_) => known.entry(place).or_insert_with(outcome).clone(),
            };
            if query.returns == Return::All || matched || error.is_some() {
                results.add(place, matched, error, trace);
            }
        }
        self.decision(results, evaluated, budget.spent(), budget.is_cut())
    }

    fn decision<'a>(&'a self, results: Listing<'a>, evaluated: usize, cost: u64, is_cut: bool) -> Decision<'a> {
        let results = results.finish(self);
        Decision { matched_count: results.matched_count(), results, evaluated, cost, is_cut }
    }

    /// A decision that was cut off before it began.
    #[cold]
    fn cut(&self) -> Decision<'_> {
        self.decision(Listing::of(0), 0, 0, true)
    }

    /// The rules asked for, in the order of the answer.
    fn mentions<'a>(&'a self, query: &'a Query) -> Vec<Mention<'a>> {
        let tagged = |rule: &RuleEntry| has_tag(rule, query);
        let inactive = |rule: &RuleEntry| matches!(rule.state, RuleState::Inactive);
        match &query.rules {
            None => {
                let rules = self.contents.rules.iter().map(Arc::as_ref);
                let wanted = (0..).zip(rules).filter(|(_, rule)| !inactive(rule) && tagged(rule));
                wanted.map(|(place, rule)| Mention::Known(place, rule)).collect()
            }
            Some(ids) => {
                let mention = |text: &'a String| match self.rule_named(text) {
                    None => Some(Mention::Unknown(text)),
                    Some((place, rule)) => (inactive(rule) || tagged(rule)).then_some(Mention::Known(place, rule)),
                };
                ids.iter().filter_map(mention).collect()
            }
        }
    }

    /// The ids of the rules that `query` asks for, once each.
    pub fn asked_for(&self, query: &Query) -> BTreeSet<RuleId> {
        let place = |mention| match mention {
            Mention::Known(place, _) => Some(place),
            Mention::Unknown(_) => None,
        };
        let places = self.mentions(query).into_iter().filter_map(place);
        places.filter_map(|place| self.ids.get(place as usize).copied()).collect()
    }

    /// The rule that `text` is the id of, or else the name of.
    fn rule_named(&self, text: &str) -> Option<(u32, &RuleEntry)> {
        let place = self.place_of_id(text).or_else(|| self.contents.place_of_name(text))?;
        Some((place, self.rule(place)?.1))
    }

    fn place_of_id(&self, text: &str) -> Option<u32> {
        let id: RuleId = text.parse().ok()?;
        if self.places.is_empty() {
            return u32::try_from(self.ids.iter().position(|other| *other == id)?).ok();
        }
        let of = |place: &u32| self.ids.get(*place as usize).copied();
        let found = self.places.binary_search_by_key(&Some(id), of).ok()?;
        self.places.get(found).copied()
    }

    /// What the rules read; `None` if the facts were read by another schema.
    pub(super) fn activation<'f>(&self, facts: &'f Facts) -> Option<Cow<'f, Activation>> {
        if facts.activation().is_of(&self.contents.frame) {
            return Some(Cow::Borrowed(facts.activation()));
        }
        let layout = &self.contents.schema.as_ref()?.layout;
        if !Arc::ptr_eq(layout, facts.layout()) && layout.variables() != facts.layout().variables() {
            return None;
        }
        let mut activation = Activation::of(&self.contents.frame);
        for (slot, value) in facts.activation().filled() {
            activation.set(slot, value.clone());
        }
        Some(Cow::Owned(activation))
    }
}

/// Runs `decide`, and once more with care if it panics: nobody else's answer depends on a defect in one rule.
fn with_care<R>(decide: impl Fn(Guard) -> R) -> R {
    catch_unwind(AssertUnwindSafe(|| decide(Guard::None))).unwrap_or_else(|_| decide(Guard::EachRule))
}

/// Why a rule has no answer, whatever the facts are.
#[cold]
fn refusal(state: &RuleState) -> Option<RuleError> {
    match state {
        RuleState::Ready(_) | RuleState::Inactive => None,
        RuleState::Broken(message) => Some(error("rule_broken", format!("the rule does not compile: {message}"))),
    }
}

/// Evaluates a candidate, and adds what that gave.
#[inline(never)]
fn answer(results: &mut Listing<'_>, place: u32, rule: &RuleEntry, asked: Asked<'_>) {
    let (matched, error, trace) = evaluate(rule, asked);
    if asked.query.returns == Return::All || matched || error.is_some() {
        results.add(place, matched, error, trace);
    }
}

fn evaluate(rule: &RuleEntry, Asked { activation, query, budget, guard }: Asked<'_>) -> RuleOutcome {
    let failed = |error| (false, Some(error), None);
    let compiled = match &rule.state {
        RuleState::Ready(compiled) => compiled,
        RuleState::Inactive => return failed(error("rule_inactive", "the rule is not active")),
        RuleState::Broken(_) => return (false, refusal(&rule.state), None),
    };
    let Some(activation) = activation else {
        return failed(error("schema_changed", "the facts were read by another schema"));
    };
    let run = || {
        let (matched, error) = match budget.holds(compiled, activation) {
            Ok(matched) => (matched, None),
            Err(error) => (false, Some((*error).into())),
        };
        (matched, error, query.trace.then(|| compiled.program.trace(activation)))
    };
    match guard {
        Guard::None => run(),
        Guard::EachRule => catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            failed(error("internal", "the rule cannot be evaluated, and that is a defect of the service"))
        }),
    }
}

/// Whether a rule has one of the tags asked for.
fn has_tag(rule: &RuleEntry, query: &Query) -> bool {
    query.tags.as_ref().is_none_or(|tags| rule.tags.iter().any(|tag| tags.contains(tag)))
}

fn error(code: &'static str, message: impl Into<String>) -> RuleError {
    EvaluationError::new(code, message).into()
}

impl From<EvaluationError> for RuleError {
    fn from(error: EvaluationError) -> Self {
        let (line, column) = error.span.map(|span| (span.line, span.column)).unzip();
        let EvaluationError { code, message, missing, within, span: _ } = error;
        Self { code, message, line, column, missing, derived_field: within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_that_panics_is_taken_again_with_care() {
        let decide = |guard| if guard == Guard::None { panic!("a defect") } else { 7 };
        assert_eq!(with_care(decide), 7);
        assert_eq!(with_care(|guard| u8::from(guard == Guard::EachRule)), 0);
    }
}
