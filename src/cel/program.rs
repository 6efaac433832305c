//! A compiled expression.

use std::{cell::RefCell, fmt, sync::Arc};

use super::{
    TraceEntry,
    account::Computed,
    activation::Activation,
    check::{self, Checked, CheckedKind},
    conjuncts::{Conjunct, conjuncts},
    cost,
    env::Env,
    estimate::{Estimate, estimate},
    fault::EvaluationError,
    meter::Meter,
    parse,
    plan::{self, Condition, Planner, Step, Truth},
    run::{Bound, Fault, Limits, Outcome, Run},
    types::Type,
    value::Value,
};
use crate::{
    config::limits::TRACE_VALUE_WEIGHT_MAX,
    error::{Detail, Span},
};

/// An expression that was checked and planned. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    source: Box<str>,
    value_type: Type,
    references: Box<[String]>,
    limits: Limits,
    estimate: Estimate,
    conjuncts: Box<[Conjunct]>,
    /// What the straight-line code costs, which is paid for before it runs.
    units: u64,
    root: Root,
}

/// What runs: by its type, so that a rule makes no value.
enum Root {
    /// A condition that costs its straight-line code and no more.
    Straight(Condition),
    Truth(Condition),
    Value(Step),
}

/// What an expression costs at worst, and what costs most of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostEstimate {
    /// Units of cost; what an evaluation may take is [`Limits::cost_max`].
    pub units: u64,
    /// Where the costliest loop or call stands.
    pub span: Span,
    /// Its text.
    pub text: String,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("source", &self.inner.source).finish_non_exhaustive()
    }
}

/// Parses and checks `source`.
fn check(env: &Env, source: &str) -> Result<Checked, Vec<Detail>> {
    let node = parse::parse(source).map_err(|mistake| vec![mistake.detail(source)])?;
    check::check(env, source, &node)
        .map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.detail(source)).collect())
}

impl Program {
    pub(super) fn compile(env: &Env, source: &str) -> Result<Self, Vec<Detail>> {
        Ok(Self::plan(env, source, check(env, source)?))
    }

    pub(super) fn compile_bool(env: &Env, source: &str) -> Result<Self, Vec<Detail>> {
        let checked = check(env, source)?;
        if !matches!(checked.value_type, Type::Bool | Type::Dyn) {
            let message = format!("the expression is `{}`, and must be `bool`", checked.value_type);
            let mistake = parse::Mistake::new(checked.range, message).code("not_bool");
            return Err(vec![mistake.hint("compare it with something, such as `… == …`").detail(source)]);
        }
        Ok(Self::plan(env, source, checked))
    }

    fn plan(env: &Env, source: &str, mut checked: Checked) -> Self {
        let references = references(env, &checked);
        plan::fold(&mut checked);
        let estimate = estimate(&checked, locals(&checked));
        let units = cost::of_block(&checked);
        Self {
            inner: Arc::new(Inner {
                env: env.clone(),
                source: source.into(),
                value_type: checked.value_type.clone(),
                references,
                limits: env.limits(),
                estimate,
                conjuncts: conjuncts(&checked, estimate, env.limits(), source),
                units,
                root: root(&checked, units <= env.limits().cost_max),
            }),
        }
    }

    /// The expression's type.
    pub fn value_type(&self) -> &Type {
        &self.inner.value_type
    }

    /// What the expression reads, sorted: `facts.age`, `derived.adult`; a variable's name alone where it is read whole.
    pub fn references(&self) -> &[String] {
        &self.inner.references
    }

    /// Tests of single slots without which the expression is false.
    pub fn conjuncts(&self) -> &[Conjunct] {
        &self.inner.conjuncts
    }

    /// The source compiled.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// What an evaluation costs at worst, if the values keep to the bounds of their types.
    pub fn cost_estimate(&self) -> CostEstimate {
        let Estimate { units, costliest } = self.inner.estimate;
        let source = &*self.inner.source;
        CostEstimate { units, span: costliest.span(source), text: costliest.text(source).to_owned() }
    }

    /// The expression's value.
    pub fn evaluate(&self, activation: &Activation) -> Result<Value, EvaluationError> {
        self.evaluate_within(activation, self.inner.limits).0
    }

    /// The expression's value, within `limits`, and the units of cost it took: those of the deferred values that it read
    /// among them, whether they were computed for it or before.
    pub fn evaluate_within(&self, activation: &Activation, limits: Limits) -> (Result<Value, EvaluationError>, u64) {
        let meter = Meter::of(limits);
        let outcome = self.value(&Run::new(activation, &meter)).map_err(|fault| self.error(fault));
        (outcome, meter.cost())
    }

    /// The expression's value, for all who read it.
    pub(super) fn compute(&self, activation: &Activation, work_max: u64) -> Computed {
        let meter = Meter::new(self.inner.limits, work_max);
        let outcome = self.value(&Run::new(activation, &meter)).map_err(|fault| self.error(fault));
        Computed { outcome, own_cost: meter.own_cost(), work: meter.work(), reads: meter.into_reads() }
    }

    fn value(&self, run: &Run<'_>) -> Outcome {
        run.charge(self.inner.units)?;
        match &self.inner.root {
            Root::Straight(condition) | Root::Truth(condition) => condition.test(run).map(Value::Bool),
            Root::Value(step) => step(run),
        }
    }

    /// Whether the expression, a condition, is true.
    #[inline]
    pub fn holds(&self, activation: &Activation) -> Result<bool, Box<EvaluationError>> {
        let meter = Meter::of(self.inner.limits);
        let run = Run::new(activation, &meter);
        match run.charge(self.inner.units) {
            Ok(()) => self.holds_paid(&run),
            Err(fault) => Err(self.boxed_error(fault)),
        }
    }

    /// The same, as one of many evaluations that share what may be done; takes from it what was done now.
    pub fn holds_sharing(&self, activation: &Activation, work_left: &mut u64) -> Result<bool, Box<EvaluationError>> {
        let meter = Meter::new(self.inner.limits, *work_left);
        let run = Run::new(activation, &meter);
        let outcome = match run.charge(self.inner.units) {
            Ok(()) => self.holds_paid(&run),
            Err(fault) => Err(self.boxed_error(fault)),
        };
        *work_left = work_left.saturating_sub(meter.work());
        outcome
    }

    /// What the expression costs, if that is the same whatever it reads, as long as that is not deferred.
    #[inline]
    pub fn straight_cost(&self) -> Option<u64> {
        matches!(self.inner.root, Root::Straight(_)).then_some(self.inner.units)
    }

    /// Whether the expression is true, where its straight-line code is paid for already.
    #[inline]
    pub fn holds_paid(&self, run: &Run<'_>) -> Result<bool, Box<EvaluationError>> {
        let truth = match &self.inner.root {
            Root::Straight(condition) | Root::Truth(condition) => condition.truth_here(run),
            Root::Value(step) => truth(step(run)).into(),
        };
        match truth {
            Truth::False => Ok(false),
            Truth::True => Ok(true),
            Truth::Fault(fault) => Err(self.boxed_error(fault)),
        }
    }

    #[cold]
    fn boxed_error(&self, fault: Fault) -> Box<EvaluationError> {
        Box::new(self.error(fault))
    }

    #[cold]
    fn error(&self, fault: Fault) -> EvaluationError {
        fault.into_error(&self.inner.source)
    }

    /// The value of every sub-expression that was evaluated, in the order of the source; one for each turn of a loop.
    pub fn trace(&self, activation: &Activation) -> Vec<TraceEntry> {
        let source = &*self.inner.source;
        let Ok(checked) = check(&self.inner.env, source) else { return Vec::new() };
        let step = Planner { is_traced: true }.value(&checked);
        let (meter, trace) = (Meter::of(self.inner.limits), RefCell::default());
        let run = Run::new(activation, &meter);
        if run.charge(cost::of_block(&checked)).is_ok() {
            let _ = step(&run.within(&run.scope(Bound::Trace(&trace))));
        }
        let mut entries = trace.into_inner();
        entries.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        entries
            .into_iter()
            .map(|(range, value)| TraceEntry {
                span: range.span(source),
                text: range.text(source).to_owned(),
                value: value.map_or_else(error_shown, |value| shown(&value)),
            })
            .collect()
    }
}

/// The truth value that a condition of type `dyn` turned out to be.
fn truth(outcome: Outcome) -> Result<bool, Fault> {
    match outcome? {
        Value::Bool(value) => Ok(value),
        other => {
            let message = format!("a rule is a bool, this one is a {}", other.type_name());
            Err(Fault::new("not_a_bool", message))
        }
    }
}

fn root(checked: &Checked, is_cheap: bool) -> Root {
    let planner = Planner { is_traced: false };
    if checked.value_type != Type::Bool {
        return Root::Value(planner.value(checked));
    }
    let condition = planner.truth(checked);
    if is_cheap && condition.is_straight() { Root::Straight(condition) } else { Root::Truth(condition) }
}

/// A value in JSON, unless it is too large to be read.
fn shown(value: &Value) -> serde_json::Value {
    if cost::weight(value, TRACE_VALUE_WEIGHT_MAX) > TRACE_VALUE_WEIGHT_MAX {
        return serde_json::Value::String(format!("(a large `{}`)", value.type_name()));
    }
    value.to_json()
}

fn error_shown((code, message): (&'static str, String)) -> serde_json::Value {
    serde_json::json!({ "error": { "code": code, "message": message } })
}

fn locals(node: &Checked) -> usize {
    let own = match &node.kind {
        CheckedKind::Loop(parts) => parts.second.unwrap_or(parts.first) as usize + 1,
        CheckedKind::Bind { bindings, .. } => bindings.iter().map(|(local, _)| *local as usize + 1).max().unwrap_or(0),
        CheckedKind::MapOptional { local, .. } => *local as usize + 1,
        _ => 0,
    };
    let mut most = own;
    node.children(&mut |child| most = most.max(locals(child)));
    most
}

fn references(env: &Env, checked: &Checked) -> Box<[String]> {
    let mut found = std::collections::BTreeSet::new();
    collect(env, checked, &mut found);
    found.into_iter().collect()
}

fn collect(env: &Env, node: &Checked, found: &mut std::collections::BTreeSet<String>) {
    match path(env, node) {
        Some(path) => {
            found.insert(path);
        }
        None => node.children(&mut |child| collect(env, child, found)),
    }
}

/// The path that `node` reads, if it reads one: a variable, a field, a field of that.
fn path(env: &Env, node: &Checked) -> Option<String> {
    match &node.kind {
        CheckedKind::Slot(slot, _) | CheckedKind::HasSlot(slot) | CheckedKind::OptionalSlot(slot) => {
            env.path(*slot, false)
        }
        CheckedKind::Object(_, slot) => env.path(*slot, true),
        CheckedKind::Select { operand, field, position: Some(_), .. } => {
            Some(format!("{}.{field}", path(env, operand)?))
        }
        _ => None,
    }
}
