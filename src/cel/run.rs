//! One evaluation under way: what it reads, what it has bound, and what it may still take.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
};

use super::{
    activation::{Activation, Slot, State},
    fault::EvaluationError,
    parse::Range,
    value::Value,
};
use crate::config::limits::TRACE_ENTRIES_MAX;

/// What one evaluation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Units of cost; see `docs/cel.md`.
    pub cost_max: u64,
    /// Bytes of the values that it makes, all together.
    pub memory_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        use crate::config::limits::{EVALUATION_COST_MAX, EVALUATION_MEMORY_BYTES_MAX};
        Self { cost_max: EVALUATION_COST_MAX, memory_bytes_max: EVALUATION_MEMORY_BYTES_MAX }
    }
}

/// The value of a sub-expression, or the code and message of its error.
pub(super) type Noted = (Range, Result<Value, (&'static str, String)>);

/// Why an evaluation, or a part of it, has no value. One pointer, so that results stay small.
#[derive(Debug, Clone)]
pub(super) struct Fault(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    code: &'static str,
    message: Cow<'static, str>,
    range: Option<Range>,
}

/// The value of a sub-expression, or why it has none.
pub(super) type Outcome = Result<Value, Fault>;

impl Fault {
    #[cold]
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Content { code, message: message.into(), range: None }))
    }

    /// The same fault, at `range` unless a place inside is known already.
    #[cold]
    pub(super) fn at(mut self, range: Range) -> Self {
        self.0.range.get_or_insert(range);
        self
    }

    /// Whether nothing may absorb it: the evaluation has used up what it may take.
    pub(super) fn is_stop(&self) -> bool {
        matches!(self.0.code, "cost_exceeded" | "memory_exceeded")
    }

    pub(super) fn content(&self) -> (&'static str, String) {
        (self.0.code, self.0.message.to_string())
    }

    pub(super) fn into_error(self, source: &str) -> EvaluationError {
        let Content { code, message, range } = *self.0;
        let message = match range {
            Some(range) if code == "no_such_field" => format!("`{}` is missing", range.text(source)),
            _ => message.into_owned(),
        };
        EvaluationError { code, message, span: range.map(|range| range.span(source)) }
    }
}

impl From<EvaluationError> for Fault {
    fn from(error: EvaluationError) -> Self {
        Self::new(error.code, error.message)
    }
}

/// What evaluations may still take, and what they note. Runs share it.
#[derive(Debug)]
pub struct Meter {
    cost_left: Cell<u64>,
    memory_left: Cell<u64>,
    /// The values of sub-expressions, where they are asked for.
    trace: Option<RefCell<Vec<Noted>>>,
}

impl Meter {
    /// A meter for an evaluation.
    #[inline]
    pub fn new(limits: Limits) -> Self {
        Self { cost_left: Cell::new(limits.cost_max), memory_left: Cell::new(limits.memory_bytes_max), trace: None }
    }

    /// The same, which notes the value of every sub-expression that is planned for it.
    pub(super) fn tracing(limits: Limits) -> Self {
        Self { trace: Some(RefCell::default()), ..Self::new(limits) }
    }

    /// Starts over for another evaluation.
    #[inline]
    pub fn refill(&self, limits: Limits) {
        self.cost_left.set(limits.cost_max);
        self.memory_left.set(limits.memory_bytes_max);
    }

    /// What is left of the cost.
    #[inline]
    pub fn cost_left(&self) -> u64 {
        self.cost_left.get()
    }

    /// What was noted.
    pub(super) fn into_trace(self) -> Vec<Noted> {
        self.trace.map(RefCell::into_inner).unwrap_or_default()
    }

    #[cold]
    fn cost_exceeded(&self) -> Fault {
        self.cost_left.set(0);
        Fault::new("cost_exceeded", "the evaluation costs more than it may")
    }
}

/// The variables of a loop or a binding, and around them those of the scopes that it stands in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    bound: Bound<'a>,
    outer: Option<&'a Self>,
}

/// Variables bound together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound<'a> {
    /// One with a value.
    One(u32, &'a Value),
    /// Any number of them, sorted; reading one that is a fault ends with it.
    Many(&'a [(u32, Outcome)]),
}

/// What an evaluation, or a part of it, reads. Small: a loop makes one for every turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    activation: &'a Activation,
    scope: Option<&'a Scope<'a>>,
    meter: &'a Meter,
}

impl<'a> Run<'a> {
    #[inline]
    pub(super) fn new(activation: &'a Activation, meter: &'a Meter) -> Self {
        Self { activation, scope: None, meter }
    }

    /// A scope inside of this run's, for [`Run::within`].
    #[inline]
    pub(super) fn scope(&self, bound: Bound<'a>) -> Scope<'a> {
        Scope { bound, outer: self.scope }
    }

    /// The same run where these variables are bound.
    #[inline]
    pub(super) fn within(&self, scope: &'a Scope<'a>) -> Self {
        Self { scope: Some(scope), ..*self }
    }

    /// What is left of the cost.
    pub(super) fn cost_left(&self) -> u64 {
        self.meter.cost_left()
    }

    /// Takes `units` from what may still be spent.
    #[inline]
    pub(super) fn charge(&self, units: u64) -> Result<(), Fault> {
        match self.meter.cost_left.get().checked_sub(units) {
            Some(left) => {
                self.meter.cost_left.set(left);
                Ok(())
            }
            None => Err(self.meter.cost_exceeded()),
        }
    }

    /// Takes the cost of work over `bytes`.
    #[inline]
    pub(super) fn charge_bytes(&self, bytes: usize) -> Result<(), Fault> {
        self.charge(super::cost::of_bytes(bytes as u64))
    }

    /// Takes the cost of comparing two values.
    pub(super) fn charge_comparing(&self, left: &Value, right: &Value) -> Result<(), Fault> {
        self.charge(super::cost::of_comparing(left, right, self.meter.cost_left()))
    }

    /// Takes memory for a value of `bytes` that is about to be made, and the cost of making it.
    pub(super) fn allocate(&self, bytes: usize) -> Result<(), Fault> {
        self.charge_bytes(bytes)?;
        match self.meter.memory_left.get().checked_sub(bytes as u64) {
            Some(left) => {
                self.meter.memory_left.set(left);
                Ok(())
            }
            None => Err(Fault::new("memory_exceeded", "the evaluation makes more values than it may hold")),
        }
    }

    /// Takes memory for a list of `length`.
    pub(super) fn allocate_items(&self, length: usize) -> Result<(), Fault> {
        self.allocate(length.saturating_mul(size_of::<Value>()))
    }

    /// Notes the value of a sub-expression, if values are asked for.
    pub(super) fn note(&self, range: Range, outcome: &Outcome) {
        if let Some(trace) = &self.meter.trace {
            let mut trace = trace.borrow_mut();
            if trace.len() < TRACE_ENTRIES_MAX {
                trace.push((range, outcome.clone().map_err(|fault| fault.content())));
            }
        }
    }

    #[inline]
    pub(super) fn state(&self, slot: Slot) -> &'a State {
        self.activation.state(slot)
    }

    /// The slot's value; a fault if it is absent.
    #[inline]
    pub(super) fn slot(&self, slot: Slot) -> Result<&'a Value, Fault> {
        match self.activation.state(slot) {
            State::Present(value) => Ok(value),
            _ => self.slow_slot(slot),
        }
    }

    #[cold]
    fn slow_slot(&self, slot: Slot) -> Result<&'a Value, Fault> {
        self.activation.read(slot)?.ok_or_else(|| Fault::new("no_such_field", "the value is missing"))
    }

    pub(super) fn activation(&self) -> &'a Activation {
        self.activation
    }

    /// The variable's value, if it is that of the innermost scope.
    #[inline]
    pub(super) fn nearest(&self, local: u32) -> Option<&'a Value> {
        match self.scope {
            Some(Scope { bound: Bound::One(bound, value), .. }) if *bound == local => Some(value),
            _ => None,
        }
    }

    /// The variable's value.
    pub(super) fn local(&self, local: u32) -> Result<&'a Value, Fault> {
        let mut scope = self.scope;
        while let Some(Scope { bound, outer }) = scope {
            match bound {
                Bound::One(bound, value) if *bound == local => return Ok(value),
                Bound::Many(values) => {
                    if let Ok(place) = values.binary_search_by_key(&local, |(bound, _)| *bound)
                        && let Some((_, outcome)) = values.get(place)
                    {
                        return outcome.as_ref().map_err(Fault::clone);
                    }
                }
                Bound::One(..) => {}
            }
            scope = *outer;
        }
        Err(Fault::new("no_such_field", "the variable is not bound"))
    }
}
