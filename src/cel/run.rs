//! One evaluation under way: what it reads, what it has bound, and what it may still take.

use std::{borrow::Cow, cell::RefCell, sync::Arc};

use super::{
    activation::{Activation, Slot, State},
    fault::EvaluationError,
    memo::{Kept, Memo},
    meter::{Expenses, Meter},
    parse::Range,
    sensitive::Sensitive,
    types::ObjectType,
    value::{ObjectValue, Value},
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

/// The value of a sub-expression, or why it has none.
pub(super) type Noted = (Range, Outcome);

/// Why an evaluation, or a part of it, has no value. One pointer, so that results stay small.
#[derive(Debug, Clone)]
pub(super) struct Fault(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    code: &'static str,
    message: Cow<'static, str>,
    range: Option<Range>,
    missing: Option<Box<str>>,
    within: Option<Box<str>>,
}

/// The value of a sub-expression, or why it has none.
pub(super) type Outcome = Result<Value, Fault>;

impl Fault {
    #[cold]
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Content { code, message: message.into(), range: None, missing: None, within: None }))
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

    /// The same fault, which the derived field at `path` ended with, or one that it reads.
    #[cold]
    fn within(mut self, path: Option<String>) -> Self {
        if let (None, Some(path)) = (&self.0.within, path) {
            if self.is_stop() {
                self.0.message = format!("`{path}`: {}", self.0.message).into();
            }
            self.0.within = Some(path.into());
        }
        self
    }

    /// The fault in `source`'s words, without what may not be shown of it.
    pub(super) fn into_error(self, source: &str, sensitive: Option<&Sensitive>) -> EvaluationError {
        let Content { code, message, range, missing, within } = *self.0;
        let is_absence = code == "no_such_field";
        let missing = missing.or_else(|| range.filter(|_| is_absence).map(|range| range.text(source).into()));
        let message = match (&missing, &within) {
            (Some(missing), Some(within)) => format!("`{missing}` is missing, which `{within}` reads"),
            (Some(missing), None) => format!("`{missing}` is missing"),
            (None, _) => message.into_owned(),
        };
        let error = EvaluationError { code, message, span: range.map(|range| range.span(source)), missing, within };
        match sensitive {
            Some(sensitive) => sensitive.error(range, error),
            None => error,
        }
    }
}

impl From<EvaluationError> for Fault {
    fn from(error: EvaluationError) -> Self {
        let EvaluationError { code, message, missing, within, span: _ } = error;
        Self(Box::new(Content { code, message: message.into(), range: None, missing, within }))
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
    /// None: around all others, where the values of sub-expressions are noted.
    Trace(&'a RefCell<Vec<Noted>>),
}

/// One evaluation under way, or a part of it: what it reads and who pays. Small, since a loop makes one for every turn.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    slots: &'a [State],
    scope: Option<&'a Scope<'a>>,
    meter: &'a Meter<'a>,
    activation: &'a Activation,
}

impl<'a> Run<'a> {
    /// An evaluation that reads `activation` and is paid for by `meter`.
    #[inline]
    pub fn new(activation: &'a Activation, meter: &'a Meter<'a>) -> Self {
        Self { slots: activation.slots(), scope: None, meter, activation }
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
        self.meter.charge(units)
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
        // Memory first: so no value costs more than the largest that may be made, however large it would be.
        self.meter.take_memory(bytes)?;
        self.charge_bytes(bytes)
    }

    /// Takes memory for a list of `length`.
    pub(super) fn allocate_items(&self, length: usize) -> Result<(), Fault> {
        self.allocate(length.saturating_mul(size_of::<Value>()))
    }

    /// What evaluations share, if this one does.
    #[inline]
    pub(super) fn memo(&self) -> Option<&'a Memo<'a>> {
        self.meter.memo()
    }

    /// What the evaluation has spent by now.
    pub(super) fn expenses(&self) -> Expenses {
        self.meter.expenses()
    }

    /// What it has spent since, on a value that is to be kept.
    pub(super) fn expenses_since(&self, before: Expenses) -> Kept {
        self.meter.spent_since(before, |number| self.activation.computed_before(number))
    }

    /// Pays for a value that was computed before; whether it can.
    pub(super) fn repay(&self, kept: &Kept) -> bool {
        self.meter.repay(kept, |number| self.activation.computed_before(number))
    }

    /// Notes the value of a sub-expression, if values are asked for.
    pub(super) fn note(&self, range: Range, outcome: &Outcome) {
        let mut scope = self.scope;
        while let Some(Scope { bound, outer }) = scope {
            if let Bound::Trace(trace) = bound {
                let mut trace = trace.borrow_mut();
                if trace.len() < TRACE_ENTRIES_MAX {
                    trace.push((range, outcome.clone().map_err(|fault| fault.at(range))));
                }
            }
            scope = *outer;
        }
    }

    #[inline]
    pub(super) fn state(&self, slot: Slot) -> &'a State {
        self.slots.get(slot.index()).unwrap_or(&State::Absent)
    }

    /// The slot's value; a fault if it is absent.
    #[inline]
    pub(super) fn slot(&self, slot: Slot) -> Result<&'a Value, Fault> {
        match self.state(slot) {
            State::Present(value) => Ok(value),
            _ => self.slow_slot(slot),
        }
    }

    #[cold]
    fn slow_slot(&self, slot: Slot) -> Result<&'a Value, Fault> {
        self.read(slot)?.ok_or_else(|| Fault::new("no_such_field", "the value is missing"))
    }

    /// The slot's value, if it has one; a deferred one is computed, and charged for.
    #[inline]
    pub(super) fn read(&self, slot: Slot) -> Result<Option<&'a Value>, Fault> {
        match self.state(slot) {
            State::Present(value) => Ok(Some(value)),
            State::Absent => Ok(None),
            State::Deferred(number) => self.deferred(*number),
        }
    }

    #[cold]
    fn deferred(&self, number: u32) -> Result<Option<&'a Value>, Fault> {
        let Some((computed, work)) = self.activation.computed(number, self.meter.work_left(), self.meter.memo()) else {
            return Ok(None);
        };
        let known = |number| self.activation.computed_before(number);
        let paid = self.meter.charge_computed(number, computed, work, known);
        let fault = match (&computed.outcome, paid) {
            (Err(error), _) => Fault::from(error.clone()),
            (Ok(_), Err(fault)) => fault,
            (Ok(value), Ok(())) => return Ok(Some(value)),
        };
        Err(fault.within(self.activation.deferred_path(number)))
    }

    /// The object whose fields lie in the slots from `first` on.
    pub(super) fn object(&self, object_type: &Arc<ObjectType>, first: Slot) -> Outcome {
        let fields = (first.0..).take(object_type.fields.len()).map(|slot| Ok(self.read(Slot(slot))?.cloned()));
        Ok(Value::Object(Arc::new(ObjectValue::new(Arc::clone(object_type), fields.collect::<Result<_, Fault>>()?))))
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
                Bound::One(..) | Bound::Trace(_) => {}
            }
            scope = *outer;
        }
        Err(Fault::new("no_such_field", "the variable is not bound"))
    }
}
