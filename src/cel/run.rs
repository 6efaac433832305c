//! One evaluation under way: what it reads, what it has bound, and what it may still take.

use std::borrow::Cow;

use super::{
    activation::{Activation, Slot, State},
    fault::EvaluationError,
    parse::Range,
    value::Value,
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

/// The state of an evaluation.
pub(super) struct Run<'a> {
    activation: &'a Activation,
    locals: Vec<Outcome>,
    cost_left: u64,
    memory_left: u64,
    /// The values of sub-expressions, where they are asked for.
    pub(super) trace: Option<Vec<Noted>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(activation: &'a Activation, locals: usize, limits: Limits) -> Self {
        Self {
            activation,
            locals: if locals == 0 { Vec::new() } else { vec![Ok(Value::Null); locals] },
            cost_left: limits.cost_max,
            memory_left: limits.memory_bytes_max,
            trace: None,
        }
    }

    /// What is left of the cost.
    pub(super) fn cost_left(&self) -> u64 {
        self.cost_left
    }

    /// Takes `units` from what may still be spent.
    #[inline]
    pub(super) fn charge(&mut self, units: u64) -> Result<(), Fault> {
        match self.cost_left.checked_sub(units) {
            Some(left) => {
                self.cost_left = left;
                Ok(())
            }
            None => Err(self.cost_exceeded()),
        }
    }

    #[cold]
    fn cost_exceeded(&mut self) -> Fault {
        self.cost_left = 0;
        Fault::new("cost_exceeded", "the evaluation costs more than it may")
    }

    /// Takes the cost of work over `bytes`.
    #[inline]
    pub(super) fn charge_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.charge(super::cost::of_bytes(bytes as u64))
    }

    /// Takes the cost of comparing two values.
    pub(super) fn charge_comparing(&mut self, left: &Value, right: &Value) -> Result<(), Fault> {
        self.charge(super::cost::of_comparing(left, right, self.cost_left))
    }

    /// Takes memory for a value of `bytes` that is about to be made, and the cost of making it.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(), Fault> {
        self.charge_bytes(bytes)?;
        match self.memory_left.checked_sub(bytes as u64) {
            Some(left) => {
                self.memory_left = left;
                Ok(())
            }
            None => Err(Fault::new("memory_exceeded", "the evaluation makes more values than it may hold")),
        }
    }

    /// Takes memory for a list of `length`.
    pub(super) fn allocate_items(&mut self, length: usize) -> Result<(), Fault> {
        self.allocate(length.saturating_mul(size_of::<Value>()))
    }

    #[inline]
    pub(super) fn state(&self, slot: Slot) -> &State {
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
