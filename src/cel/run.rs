//! One evaluation under way: what it reads, what it has bound, and what it may still take.

use std::{borrow::Cow, cell::Cell, sync::Arc};

use super::{
    account::{Account, Marks},
    activation::{Activation, Slot, State},
    fault::EvaluationError,
    parse::Range,
    types::ObjectType,
    value::{ObjectValue, Value},
};

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

    pub(super) fn into_error(self, source: &str) -> EvaluationError {
        let Content { code, message, range, missing, within } = *self.0;
        let is_absence = code == "no_such_field";
        let missing = missing.or_else(|| range.filter(|_| is_absence).map(|range| range.text(source).into()));
        let message = match (&missing, &within) {
            (Some(missing), Some(within)) => format!("`{missing}` is missing, which `{within}` reads"),
            (Some(missing), None) => format!("`{missing}` is missing"),
            (None, _) => message.into_owned(),
        };
        EvaluationError { code, message, span: range.map(|range| range.span(source)), missing, within }
    }
}

impl From<EvaluationError> for Fault {
    fn from(error: EvaluationError) -> Self {
        let EvaluationError { code, message, missing, within, span: _ } = error;
        Self(Box::new(Content { code, message: message.into(), range: None, missing, within }))
    }
}

/// The state of an evaluation.
pub(super) struct Run<'a> {
    activation: &'a Activation,
    locals: Vec<Outcome>,
    /// What may still be spent: the lesser of what is left to the evaluation, and to the work of the whole decision.
    cost_left: Cell<u64>,
    /// What the greater of the two has above that: more is left to the work than to the evaluation where positive.
    work_ahead: Cell<i64>,
    memory_left: u64,
    cost_max: u64,
    account: Account,
    /// The values of sub-expressions, where they are asked for.
    pub(super) trace: Option<Vec<Noted>>,
}

/// More than any evaluation may do.
pub(super) const WORK_UNLIMITED: u64 = 1 << 62;

impl<'a> Run<'a> {
    /// An evaluation within `limits`, which may do so much work for itself and for the deferred values that it is the
    /// first to read.
    #[inline]
    pub(super) fn new(activation: &'a Activation, locals: usize, limits: Limits, work_max: u64) -> Self {
        let (cost_max, work_max) = (limits.cost_max.min(WORK_UNLIMITED), work_max.min(WORK_UNLIMITED));
        Self {
            activation,
            locals: if locals == 0 { Vec::new() } else { vec![Ok(Value::Null); locals] },
            cost_left: Cell::new(cost_max.min(work_max)),
            work_ahead: Cell::new(work_max.cast_signed() - cost_max.cast_signed()),
            memory_left: limits.memory_bytes_max,
            cost_max,
            account: Account::default(),
            trace: None,
        }
    }

    /// What is left of the cost.
    pub(super) fn cost_left(&self) -> u64 {
        self.cost_left.get()
    }

    /// What is left to the evaluation, and to the work of the whole decision.
    fn left(&self) -> (u64, u64) {
        let (least, ahead) = (self.cost_left.get(), self.work_ahead.get());
        let most = least.saturating_add(ahead.unsigned_abs());
        if ahead < 0 { (most, least) } else { (least, most) }
    }

    /// Units charged.
    pub(super) fn cost(&self) -> u64 {
        self.cost_max - self.left().0
    }

    /// Units of work done, without what others had done before.
    pub(super) fn work(&self) -> u64 {
        self.own_cost().saturating_add(self.account.done.get())
    }

    /// Units charged for anything but deferred values.
    pub(super) fn own_cost(&self) -> u64 {
        self.cost().saturating_sub(self.account.charged.get())
    }

    /// The deferred values that were read.
    pub(super) fn into_reads(self) -> Marks {
        self.account.into_reads()
    }

    /// Takes `units` from what may still be spent.
    #[inline]
    pub(super) fn charge(&mut self, units: u64) -> Result<(), Fault> {
        match self.cost_left.get().checked_sub(units) {
            Some(left) => {
                self.cost_left.set(left);
                Ok(())
            }
            None => Err(self.cost_exceeded()),
        }
    }

    /// Ends the evaluation: nothing is left to it.
    #[cold]
    fn cost_exceeded(&self) -> Fault {
        let used = self.cost();
        let message = match self.work_ahead.get() {
            0.. => format!("stopped after {used} of the {} units of cost that an evaluation may take", self.cost_max),
            _ => format!("stopped after {used} units of cost: the decision has used up what all its rules may take"),
        };
        self.cost_left.set(0);
        Fault::new("cost_exceeded", message)
    }

    /// Takes the cost of work over `bytes`.
    #[inline]
    pub(super) fn charge_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.charge(super::cost::of_bytes(bytes as u64))
    }

    /// Takes the cost of comparing two values.
    pub(super) fn charge_comparing(&mut self, left: &Value, right: &Value) -> Result<(), Fault> {
        self.charge(super::cost::of_comparing(left, right, self.cost_left()))
    }

    /// Takes memory for a value of `bytes` that is about to be made, and the cost of making it.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(), Fault> {
        // Memory first: so no value costs more than the largest that may be made, however large it would be.
        let Some(left) = self.memory_left.checked_sub(bytes as u64) else {
            return Err(Fault::new("memory_exceeded", "the evaluation makes more values than it may hold"));
        };
        self.memory_left = left;
        self.charge_bytes(bytes)
    }

    /// Takes memory for a list of `length`.
    pub(super) fn allocate_items(&mut self, length: usize) -> Result<(), Fault> {
        self.allocate(length.saturating_mul(size_of::<Value>()))
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
        self.read(slot)?.ok_or_else(|| Fault::new("no_such_field", "the value is missing"))
    }

    /// The slot's value, if it has one; a deferred one is computed, and charged for.
    #[inline]
    pub(super) fn read(&self, slot: Slot) -> Result<Option<&'a Value>, Fault> {
        match self.activation.state(slot) {
            State::Present(value) => Ok(Some(value)),
            State::Absent => Ok(None),
            State::Deferred(number) => self.deferred(*number),
        }
    }

    #[cold]
    fn deferred(&self, number: u32) -> Result<Option<&'a Value>, Fault> {
        let Some((computed, work)) = self.activation.computed(number, self.left().1) else { return Ok(None) };
        let units = self.account.enter(number, computed, |number| self.activation.computed_before(number));
        self.account.done.set(self.account.done.get().saturating_add(work));
        let (cost_left, work_left) = self.left();
        self.account.charged.set(self.account.charged.get().saturating_add(units.min(cost_left)));
        let work_left = work_left.saturating_sub(work);
        let is_exceeded = units > cost_left;
        let cost_left = cost_left.saturating_sub(units);
        self.cost_left.set(cost_left.min(work_left));
        self.work_ahead.set(work_left.cast_signed() - cost_left.cast_signed());
        let fault = match &computed.outcome {
            Err(error) => Fault::from(error.clone()),
            Ok(_) if is_exceeded => self.cost_exceeded(),
            Ok(value) => return Ok(Some(value)),
        };
        Err(fault.within(self.activation.deferred_path(number)))
    }

    /// The object whose fields lie in the slots from `first` on.
    pub(super) fn object(&self, object_type: &Arc<ObjectType>, first: Slot) -> Outcome {
        let fields = (first.0..).take(object_type.fields.len()).map(|slot| Ok(self.read(Slot(slot))?.cloned()));
        Ok(Value::Object(Arc::new(ObjectValue::new(Arc::clone(object_type), fields.collect::<Result<_, Fault>>()?))))
    }

    #[inline]
    pub(super) fn local(&self, local: u32) -> Result<&Value, Fault> {
        match self.locals.get(local as usize) {
            Some(Ok(value)) => Ok(value),
            Some(Err(fault)) => Err(fault.clone()),
            None => Err(Fault::new("no_such_field", "the variable is not bound")),
        }
    }

    #[inline]
    pub(super) fn bind(&mut self, local: u32, value: Outcome) {
        if let Some(place) = self.locals.get_mut(local as usize) {
            *place = value;
        }
    }
}
