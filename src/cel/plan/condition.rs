//! Conditions as data: the usual ones are tested where they stand, without a call and without a value in between.
//!
//! A test of a place against constants is a [`Leaf`]; `&&` and `||` hold their terms side by side. Whatever else is a
//! condition is a closure.

use super::{
    BoolStep,
    place::{Place, mismatch},
};
use crate::cel::{
    parse::Range,
    run::{Fault, Run},
    value::Value,
};

/// What is true or false.
pub(in crate::cel) enum Condition {
    Constant(bool),
    /// A bool that must be this one.
    Flag(Leaf<bool>),
    Int(Leaf<super::numbers::Ints>),
    Double(Leaf<super::numbers::Doubles>),
    Text(Leaf<super::text::Word>),
    OneOf(Leaf<super::text::Words>),
    /// `&&`
    All(Box<[Self]>),
    /// `||`
    Any(Box<[Self]>),
    Step(BoolStep),
}

/// A test of what stands at a place.
#[derive(Debug)]
pub(in crate::cel) struct Leaf<T> {
    pub(super) place: Place,
    /// Where the place is named.
    pub(super) range: Range,
    pub(super) test: T,
}

/// What a value is tested for.
pub(in crate::cel) trait Test {
    /// Whether it holds; `None` where the value is of another type, or in no order.
    fn holds(&self, value: &Value) -> Option<bool>;

    /// Why it neither holds nor not.
    fn refusal(&self, _: &Value) -> Fault {
        mismatch()
    }
}

impl Test for bool {
    #[inline(always)]
    fn holds(&self, value: &Value) -> Option<bool> {
        if let Value::Bool(value) = value { Some(value == self) } else { None }
    }
}

impl<T: Test> Leaf<T> {
    #[inline(always)]
    fn test(&self, run: &Run<'_>) -> Result<bool, Fault> {
        match self.place.peek(run).and_then(|value| self.test.holds(value)) {
            Some(holds) => Ok(holds),
            None => self.test_slowly(run),
        }
    }

    /// The same for a value that is missing, computed, or further away.
    #[cold]
    #[inline(never)]
    fn test_slowly(&self, run: &Run<'_>) -> Result<bool, Fault> {
        let value = self.place.read(run).map_err(|fault| fault.at(self.range))?;
        self.test.holds(value).ok_or_else(|| self.test.refusal(value).at(self.range))
    }
}

impl Condition {
    /// Whether it holds. Inlined: for where conditions are tested again and again.
    #[inline(always)]
    pub(in crate::cel) fn test_here(&self, run: &Run<'_>) -> Result<bool, Fault> {
        match self {
            Self::Constant(value) => Ok(*value),
            Self::Flag(leaf) => leaf.test(run),
            Self::Int(leaf) => leaf.test(run),
            Self::Double(leaf) => leaf.test(run),
            Self::Text(leaf) => leaf.test(run),
            Self::OneOf(leaf) => leaf.test(run),
            Self::All(terms) => all(terms, run),
            Self::Any(terms) => any(terms, run),
            Self::Step(step) => step(run),
        }
    }

    /// Whether it holds.
    #[inline(never)]
    pub(in crate::cel) fn test(&self, run: &Run<'_>) -> Result<bool, Fault> {
        self.test_here(run)
    }

    /// Whether testing it costs nothing beyond its straight-line code.
    pub(in crate::cel) fn is_straight(&self) -> bool {
        match self {
            Self::Step(_) => false,
            Self::All(terms) | Self::Any(terms) => terms.iter().all(Self::is_straight),
            Self::Constant(_) | Self::Flag(_) | Self::Int(_) | Self::Double(_) | Self::Text(_) | Self::OneOf(_) => true,
        }
    }

    /// `!`
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(!value),
            Self::Flag(leaf) => Self::Flag(Leaf { test: !leaf.test, ..leaf }),
            other => Self::Step(Box::new(move |run| other.test(run).map(|value| !value))),
        }
    }
}

/// `&&`: false if any term is, whatever the others end with; else the first error; else true.
#[inline(never)]
fn all(terms: &[Condition], run: &Run<'_>) -> Result<bool, Fault> {
    for (index, term) in terms.iter().enumerate() {
        match term.test_here(run) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(fault) => return absorb(fault, false, terms.get(index + 1..).unwrap_or_default(), run),
        }
    }
    Ok(true)
}

/// `||`: true if any term is, whatever the others end with; else the first error; else false.
#[inline(never)]
fn any(terms: &[Condition], run: &Run<'_>) -> Result<bool, Fault> {
    for (index, term) in terms.iter().enumerate() {
        match term.test_here(run) {
            Ok(false) => {}
            Ok(true) => return Ok(true),
            Err(fault) => return absorb(fault, true, terms.get(index + 1..).unwrap_or_default(), run),
        }
    }
    Ok(false)
}

/// What remains of a fault once the terms behind it are known: nothing if one of them decides the result.
#[cold]
fn absorb(fault: Fault, decisive: bool, rest: &[Condition], run: &Run<'_>) -> Result<bool, Fault> {
    if fault.is_stop() {
        return Err(fault);
    }
    for term in rest {
        match term.test(run) {
            Ok(value) if value == decisive => return Ok(value),
            Err(other) if other.is_stop() => return Err(other),
            _ => {}
        }
    }
    Err(fault)
}
