//! Evaluating a set on facts. Every rule asked for is answered, with an error if need be; none can spoil another.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{RuleEntry, RuleSet, RuleState, compiled::Compiled};
use crate::{
    cel::{Activation, EvaluationError, TraceEntry, Value},
    config::limits::DECISION_COST_MAX,
    domain::RuleId,
    ruleset::{Decision, Facts, Query, Return, RuleError, RuleReference, RuleResult},
};

/// A rule that a query asks for.
enum Mention<'a> {
    Known(&'a RuleEntry),
    Unknown(&'a str),
}

/// What evaluating a rule gave.
type Outcome = (bool, Option<RuleError>, Option<Vec<TraceEntry>>);

thread_local! {
    /// The places of the rules to evaluate; kept, so that a decision need not make room for them.
    static CANDIDATES: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

impl RuleSet {
    /// Evaluates the rules that `query` asks for. The facts must have been read by this set, or by one of the same
    /// schema.
    pub fn decide<'a>(&'a self, facts: &Facts, query: &'a Query) -> Decision<'a> {
        let activation = self.activation(facts);
        match &activation {
            // A trace shows why a rule is false, and few rules are run sooner than found.
            Some(activation) if query.rules.is_none() && !query.trace => self.decide_candidates(activation, query),
            _ => self.decide_each(activation.as_deref(), query),
        }
    }

    /// Evaluates the rules that the index does not rule out; the others are false.
    fn decide_candidates<'a>(&'a self, activation: &Activation, query: &'a Query) -> Decision<'a> {
        let mut candidates = CANDIDATES.take();
        self.index.candidates(activation, &mut candidates);
        let is_wanted = |rule: &&RuleEntry| !matches!(rule.state, RuleState::Inactive) && has_tag(rule, query);
        let budget = Budget::of_a_decision();
        let answer = |rule| result(rule, self.evaluate(rule, Some(activation), query, &budget));
        let (results, evaluated) = match query.returns {
            Return::All => {
                let mut ahead = candidates.iter().copied().peekable();
                let answer = |(place, rule): (u32, _)| match ahead.next_if_eq(&place) {
                    Some(_) => is_wanted(&rule).then(|| answer(rule)),
                    None => is_wanted(&rule).then(|| result(rule, (false, None, None))),
                };
                let mut results = Vec::with_capacity(self.active);
                let rules = self.rules.iter().map(Arc::as_ref);
                results.extend((0..).zip(rules).filter_map(answer));
                let evaluated = results.len();
                (results, evaluated)
            }
            Return::Matched => {
                let candidates = candidates.iter().filter_map(|place| self.rules.get(*place as usize)).map(Arc::as_ref);
                let answers = candidates.filter(is_wanted).map(answer);
                let evaluated = match query.tags {
                    None => self.active,
                    Some(_) => self.rules.iter().map(Arc::as_ref).filter(is_wanted).count(),
                };
                (answers.filter(|result| result.matched || result.error.is_some()).collect(), evaluated)
            }
        };
        CANDIDATES.set(candidates);
        let matched_count = results.iter().filter(|result: &&RuleResult| result.matched).count();
        Decision { results, evaluated, matched_count, cost: budget.spent() }
    }

    /// Evaluates every rule asked for.
    pub(super) fn decide_each<'a>(&'a self, activation: Option<&Activation>, query: &'a Query) -> Decision<'a> {
        // A rule named twice is answered twice, and evaluated once.
        let mut evaluated: HashMap<RuleId, Outcome> = HashMap::new();
        let budget = Budget::of_a_decision();
        let mut answer = |mention| match mention {
            Mention::Unknown(text) => unknown(text),
            Mention::Known(rule) if query.rules.is_none() => {
                result(rule, self.evaluate(rule, activation, query, &budget))
            }
            Mention::Known(rule) => {
                let outcome =
                    evaluated.entry(rule.id).or_insert_with(|| self.evaluate(rule, activation, query, &budget));
                result(rule, outcome.clone())
            }
        };
        let mut results: Vec<RuleResult> = self.mentions(query).into_iter().map(&mut answer).collect();
        let evaluated = results.len();
        let matched_count = results.iter().filter(|result| result.matched).count();
        if query.returns == Return::Matched {
            results.retain(|result| result.matched || result.error.is_some());
        }
        Decision { results, evaluated, matched_count, cost: budget.spent() }
    }

    /// The rules asked for, in the order of the answer.
    fn mentions<'a>(&'a self, query: &'a Query) -> Vec<Mention<'a>> {
        let tagged = |rule: &RuleEntry| has_tag(rule, query);
        let inactive = |rule: &RuleEntry| matches!(rule.state, RuleState::Inactive);
        match &query.rules {
            None => {
                let rules = self.rules.iter().map(Arc::as_ref);
                rules.filter(|rule| !inactive(rule) && tagged(rule)).map(Mention::Known).collect()
            }
            Some(ids) => {
                let mention = |text: &'a String| match self.rule_named(text) {
                    None => Some(Mention::Unknown(text)),
                    Some(rule) => (inactive(rule) || tagged(rule)).then_some(Mention::Known(rule)),
                };
                ids.iter().filter_map(mention).collect()
            }
        }
    }

    fn rule_named(&self, id: &str) -> Option<&RuleEntry> {
        let place = self.places.get(&id.parse().ok()?)?;
        self.rules.get(*place).map(Arc::as_ref)
    }

    /// What the rules read; `None` if the facts were read by another schema.
    pub(super) fn activation<'f>(&self, facts: &'f Facts) -> Option<Cow<'f, Activation>> {
        if facts.activation().is_of(&self.frame) {
            return Some(Cow::Borrowed(facts.activation()));
        }
        let layout = &self.schema.as_ref()?.shared.layout;
        if !Arc::ptr_eq(layout, facts.layout()) && layout.variables() != facts.layout().variables() {
            return None;
        }
        let mut activation = Activation::of(&self.frame);
        for (slot, value) in facts.activation().filled() {
            activation.set(slot, value.clone());
        }
        Some(Cow::Owned(activation))
    }

    fn evaluate(&self, rule: &RuleEntry, activation: Option<&Activation>, query: &Query, budget: &Budget) -> Outcome {
        let compiled = match &rule.state {
            RuleState::Ready(compiled) => compiled,
            RuleState::Inactive => return refused("rule_inactive", "the rule is not active"),
            RuleState::Broken(message) => {
                return refused("rule_broken", format!("the rule does not compile: {message}"));
            }
        };
        let Some(activation) = activation else {
            return refused("schema_changed", "the facts were read by another schema");
        };
        let run = || run(compiled, activation, query.trace, budget);
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            refused("internal", "the rule cannot be evaluated, and that is a defect of the service")
        })
    }
}

/// What may still be done for a decision, for all its rules together; each has its own limit as well.
struct Budget(Cell<u64>);

impl Budget {
    fn of_a_decision() -> Self {
        Self(Cell::new(DECISION_COST_MAX))
    }

    fn spent(&self) -> u64 {
        DECISION_COST_MAX.saturating_sub(self.0.get())
    }
}

/// Whether a rule has one of the tags asked for.
fn has_tag(rule: &RuleEntry, query: &Query) -> bool {
    query.tags.as_ref().is_none_or(|tags| rule.tags.iter().any(|tag| tags.contains(tag)))
}

fn run(compiled: &Compiled, activation: &Activation, trace: bool, budget: &Budget) -> Outcome {
    let mut work_left = budget.0.get();
    if work_left == 0 {
        let message = format!("the decision has used up its {DECISION_COST_MAX} units of cost before this rule");
        return refused("cost_exceeded", message);
    }
    let value = compiled.program.evaluate_sharing(activation, &mut work_left);
    budget.0.set(work_left);
    let (matched, error) = match value {
        Ok(Value::Bool(matched)) => (matched, None),
        // What the checker could not know: an expression of type `dyn`.
        Ok(other) => {
            let message = format!("a rule is a bool, this one is a {}", other.type_name());
            (false, Some(EvaluationError::new("not_a_bool", message).into()))
        }
        Err(error) => (false, Some(error.into())),
    };
    (matched, error, trace.then(|| compiled.program.trace(activation)))
}

fn refused(code: &'static str, message: impl Into<String>) -> Outcome {
    (false, Some(EvaluationError::new(code, message).into()), None)
}

fn result(rule: &RuleEntry, (matched, error, trace): Outcome) -> RuleResult<'_> {
    let missing = if matched { Vec::new() } else { missing(trace.as_deref().unwrap_or_default()) };
    RuleResult { rule_id: RuleReference::Known(rule.id), rule_name: Some(&rule.name), matched, error, trace, missing }
}

/// The facts whose absence decided.
fn missing(trace: &[TraceEntry]) -> Vec<String> {
    let missing: BTreeSet<&String> =
        trace.iter().filter(|entry| entry.decided).filter_map(|entry| entry.missing.as_ref()).collect();
    missing.into_iter().cloned().collect()
}

fn unknown(text: &str) -> RuleResult<'_> {
    let (matched, error, trace) = refused("rule_not_found", "there is no rule with this id");
    RuleResult { rule_id: RuleReference::Unknown(text), rule_name: None, matched, error, trace, missing: Vec::new() }
}

impl From<EvaluationError> for RuleError {
    fn from(error: EvaluationError) -> Self {
        let (line, column) = error.span.map(|span| (span.line, span.column)).unzip();
        let EvaluationError { code, message, missing, within, span: _ } = error;
        Self { code, message, line, column, missing, derived_field: within }
    }
}
