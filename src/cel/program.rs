//! A compiled expression.

mod told;

use std::{cell::RefCell, fmt, sync::Arc};

use super::{
    TraceEntry,
    account::Computed,
    activation::{Activation, Slot},
    allowed::Allowed,
    check::{self, Checked},
    conjuncts::{self, Conjunct},
    cost,
    env::Env,
    estimate::{self, Estimate},
    fault::EvaluationError,
    lint,
    memo::Memo,
    meter::Meter,
    parse,
    pattern_notes::has_pattern_notes,
    plan::{self, Asked, Condition, Planner, Step, Truth},
    reads::{SlotRead, reads},
    run::{self, Fault, Limits, Outcome, Run},
    sensitive::Sensitive,
    share::{self, Shareable, Shareables},
    size::Size,
    trace,
    types::Type,
    value::Value,
};
use crate::error::{Detail, Span};

/// An expression that was checked and planned. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    source: Box<str>,
    is_condition: bool,
    locals: u32,
    estimate: Estimate,
    /// How large its value can be, if that can grow: a rule's cannot.
    size: Option<Box<Size>>,
    conjuncts: Box<[Conjunct]>,
    /// Whether it costs the same whatever it reads, and is true wherever its conjuncts hold.
    is_conjuncts: bool,
    /// Its sub-expressions that others may have too.
    shareables: Option<Box<Shareables>>,
    sensitive: Option<Box<Sensitive>>,
    /// Which values it may have, if only some; of a condition nobody asks.
    allowed: Allowed,
    /// Whether a pattern in it reads otherwise in other dialects.
    has_pattern_notes: bool,
    /// What the straight-line code costs, which is paid for before it runs.
    units: u64,
    root: Root,
}

/// What runs: by its type, so that a rule makes no value.
enum Root {
    /// A condition that costs its straight-line code and no more.
    Straight(Condition),
    Truth(Condition),
    Value(Step, Box<Type>),
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
    /// Compiles `source`, and tells the slots that it reads, sorted.
    pub(super) fn compile(env: &Env, source: &str, is_condition: bool) -> Result<(Self, Vec<SlotRead>), Vec<Detail>> {
        let checked = check(env, source)?;
        if is_condition && !matches!(checked.value_type, Type::Bool | Type::Dyn) {
            let message = format!("the expression is `{}`, and must be `bool`", checked.value_type);
            let mistake = parse::Mistake::new(checked.range, message).code("not_bool");
            return Err(vec![mistake.hint("compare it with something, such as `… == …`").detail(source)]);
        }
        let reads = reads(&checked);
        Ok((Self::plan(env, source, is_condition, checked), reads))
    }

    fn plan(env: &Env, source: &str, is_condition: bool, mut checked: Checked) -> Self {
        let sensitive = env.has_sensitive().then(|| Box::new(Sensitive::of(env, &checked)));
        let allowed = if is_condition { Allowed::default() } else { lint::allowed(env, source, &checked) };
        let has_pattern_notes = has_pattern_notes(&checked);
        plan::fold(&mut checked);
        let locals = checked.locals();
        let units = cost::of_block(&checked);
        let (estimate, size) = estimate::estimate(&checked, locals, env.limits().cost_max);
        let conjuncts = conjuncts::conjuncts(&checked, estimate, env.limits(), source);
        let are_all = conjuncts::are_all(&checked);
        let shareables = share::mark(&mut checked);
        let root = root(&checked, units <= env.limits().cost_max);
        Self {
            inner: Arc::new(Inner {
                env: env.clone(),
                source: source.into(),
                is_condition,
                locals: u32::try_from(locals).unwrap_or(u32::MAX),
                estimate,
                size: (size != Size::scalar()).then(|| Box::new(size)),
                conjuncts,
                is_conjuncts: are_all && matches!(root, Root::Straight(_)),
                shareables,
                sensitive,
                allowed,
                has_pattern_notes,
                units,
                root,
            }),
        }
    }

    /// The expression's type.
    pub fn value_type(&self) -> &Type {
        match &self.inner.root {
            Root::Straight(_) | Root::Truth(_) => &Type::Bool,
            Root::Value(_, value_type) => value_type,
        }
    }

    /// Whether it was compiled as one that must be a `bool`.
    pub fn is_condition(&self) -> bool {
        self.inner.is_condition
    }

    /// Tests of single slots without which the expression is false.
    pub fn conjuncts(&self) -> &[Conjunct] {
        &self.inner.conjuncts
    }

    /// Whether the expression is true wherever one test of each conjunct holds of values that are there, and costs
    /// [`Self::straight_cost`].
    pub fn is_conjuncts(&self) -> bool {
        self.inner.is_conjuncts
    }

    /// Whether its value may not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.inner.sensitive.as_ref().is_some_and(|sensitive| sensitive.is_whole())
    }

    /// Which values it may have, if only some: those of the enumerations that they come from. Known of what is not a
    /// condition.
    pub fn allowed(&self) -> &Allowed {
        &self.inner.allowed
    }

    /// Whether it is this very program, and not one that was compiled anew.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Its sub-expressions that others may have too.
    pub(super) fn shareables(&self) -> &[(Arc<Shareable>, bool)] {
        self.inner.shareables.as_deref().map_or(&[], |shareables| &shareables.0)
    }

    /// The source compiled.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// What an evaluation costs at worst, if the values keep to the bounds of their types.
    pub fn cost_estimate(&self) -> CostEstimate {
        let Estimate { units, costliest, .. } = self.inner.estimate;
        let source = &*self.inner.source;
        CostEstimate { units, span: costliest.span(source), text: costliest.text(source).to_owned() }
    }

    /// The units of [`Self::cost_estimate`].
    pub fn cost_units(&self) -> u64 {
        self.inner.estimate.units
    }

    /// The same, where every value of type `dyn` of which the schema does not say all is as small as it can be: what an
    /// author of the expression and of the schema can do something about.
    pub fn closed_cost_units(&self) -> u64 {
        self.inner.estimate.closed_units
    }

    /// How large the expression's value can be.
    pub fn size(&self) -> Size {
        self.inner.size.as_deref().cloned().unwrap_or_else(Size::scalar)
    }

    /// The expression's value.
    pub fn evaluate(&self, activation: &Activation) -> Result<Value, EvaluationError> {
        self.evaluate_within(activation, self.limits()).0
    }

    fn locals(&self) -> usize {
        self.inner.locals as usize
    }

    fn limits(&self) -> Limits {
        self.inner.env.limits()
    }

    /// The expression's value, within `limits`, and the units of cost it took: those of the deferred values that it read
    /// among them, whether they were computed for it or before.
    pub fn evaluate_within(&self, activation: &Activation, limits: Limits) -> (Result<Value, EvaluationError>, u64) {
        self.evaluate_sharing(activation, limits, None)
    }

    /// The same, as one of many evaluations that share what they compute.
    pub fn evaluate_sharing(
        &self,
        activation: &Activation,
        limits: Limits,
        memo: Option<&Memo<'_>>,
    ) -> (Result<Value, EvaluationError>, u64) {
        let meter = Meter::of(limits).sharing(memo);
        let outcome = self.value(&Run::new(activation, &meter)).map_err(|fault| self.error(fault));
        (outcome, meter.cost())
    }

    /// The expression's value, for all who read it.
    pub(super) fn compute(&self, activation: &Activation, work_max: u64, memo: Option<&Memo<'_>>) -> Computed {
        let meter = Meter::new(self.limits(), work_max).sharing(memo);
        let work_before = meter.work_left();
        let outcome = self.value(&Run::new(activation, &meter)).map_err(|fault| self.error(fault));
        Computed {
            outcome,
            own_cost: meter.own_cost(),
            work: work_before - meter.work_left(),
            reads: meter.into_reads(),
        }
    }

    fn value(&self, run: &Run<'_>) -> Outcome {
        run.charge(self.inner.units)?;
        match &self.inner.root {
            Root::Straight(condition) | Root::Truth(condition) => condition.test(run).map(Value::Bool),
            Root::Value(step, _) => step(run),
        }
    }

    /// Whether the expression, a condition, is true.
    #[inline]
    pub fn holds(&self, activation: &Activation) -> Result<bool, Box<EvaluationError>> {
        match self.peek(activation) {
            Some(holds) => Ok(holds),
            None => self.holds_in_full(activation),
        }
    }

    /// Whether the expression is true, if that shows in the slots and costs no more than its straight-line code, which
    /// is within the limits. Most rules are so: they need no meter.
    #[inline]
    fn peek(&self, activation: &Activation) -> Option<bool> {
        match &self.inner.root {
            Root::Straight(condition) => condition.peek_here(activation.slots()),
            Root::Truth(_) | Root::Value(..) => None,
        }
    }

    /// The tests of slots that the expression consists of, if it is a condition that does, and whether all of them must
    /// hold, or any.
    pub(super) fn tests(&self) -> Option<(bool, Vec<(Slot, Asked)>)> {
        let Root::Straight(condition) = &self.inner.root else { return None };
        let (is_all, terms) = condition.terms();
        Some((is_all, terms.iter().map(Condition::asked_of_slot).collect::<Option<_>>()?))
    }

    #[inline(never)]
    fn holds_in_full(&self, activation: &Activation) -> Result<bool, Box<EvaluationError>> {
        let meter = Meter::of(self.limits());
        let run = Run::new(activation, &meter);
        match run.charge(self.inner.units) {
            Ok(()) => self.holds_paid(&run),
            Err(fault) => Err(self.boxed_error(fault)),
        }
    }

    /// The same, as one of many evaluations that share what may be done, and what they computed; takes from the former
    /// what was done now.
    pub fn holds_sharing(
        &self,
        activation: &Activation,
        work_left: &mut u64,
        memo: Option<&Memo<'_>>,
    ) -> Result<bool, Box<EvaluationError>> {
        if let (Some(holds), Some(left)) = (self.peek(activation), work_left.checked_sub(self.inner.units)) {
            *work_left = left;
            return Ok(holds);
        }
        let meter = Meter::new(self.limits(), *work_left).sharing(memo);
        let run = Run::new(activation, &meter);
        let outcome = match run.charge(self.inner.units) {
            Ok(()) => self.holds_paid(&run),
            Err(fault) => Err(self.boxed_error(fault)),
        };
        *work_left = meter.work_left();
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
            Root::Value(step, _) => truth(step(run)).into(),
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
        fault.into_error(&self.inner.source, self.inner.sensitive.as_deref())
    }

    /// The value of every sub-expression that was evaluated, in the order of the source; one for each turn of a loop.
    pub fn trace(&self, activation: &Activation) -> Vec<TraceEntry> {
        let source = &*self.inner.source;
        let Ok(checked) = check(&self.inner.env, source) else { return Vec::new() };
        let step = Planner { is_traced: true }.value(&checked);
        let (meter, notes) = (Meter::of(self.limits()), RefCell::default());
        let run = Run::new(activation, &meter);
        let outcome = match run.charge(cost::of_block(&checked)) {
            Ok(()) => step(&run.within(&run.scope(run::Bound::Trace(&notes)))),
            Err(fault) => Err(fault),
        };
        let words = (source, self.inner.sensitive.as_deref());
        trace::entries(&checked, words, notes.into_inner(), (checked.range, outcome))
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
        return Root::Value(planner.value(checked), Box::new(checked.value_type.clone()));
    }
    let condition = planner.truth(checked);
    if is_cheap && condition.is_straight() { Root::Straight(condition) } else { Root::Truth(condition) }
}
