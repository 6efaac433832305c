//! Conditions as data: the usual ones are tested where they stand, without a call and without a value in between.
//!
//! A test of a place against constants is a [`Leaf`]; `&&` and `||` hold their terms side by side. Whatever else is a
//! condition is a closure.

use super::{
    BoolStep,
    place::{Place, mismatch},
    spans::{Doubles, Ints},
    text::{Word, Words},
};
use crate::cel::{
    activation::{Slot, State},
    parse::Range,
    run::{Fault, Run},
    value::Value,
};

/// What is true or false. Tests of slots are apart from those of other places, since most rules have no others.
#[repr(u8)]
pub(in crate::cel) enum Condition {
    Constant(bool),
    /// Whether a slot has a value.
    Present(Slot, Range),
    /// A bool that must be this one.
    Flag(Leaf<Slot, bool>),
    Int(Leaf<Slot, Ints>),
    Double(Leaf<Slot, Doubles>),
    Text(Leaf<Slot, Word>),
    OneOf(Leaf<Slot, Words>),
    FlagAt(Leaf<Place, bool>),
    IntAt(Leaf<Place, Ints>),
    DoubleAt(Leaf<Place, Doubles>),
    TextAt(Leaf<Place, Word>),
    OneOfAt(Leaf<Place, Words>),
    /// `&&`
    All(Box<[Self]>),
    /// `||`
    Any(Box<[Self]>),
    Step(BoolStep),
}

/// Whether a condition holds, or why that cannot be said; passed in registers, which a `Result` is not.
pub(in crate::cel) enum Truth {
    False,
    True,
    Fault(Fault),
}

impl Truth {
    #[inline(always)]
    fn of(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }

    #[inline(always)]
    pub(in crate::cel) fn result(self) -> Result<bool, Fault> {
        match self {
            Self::False => Ok(false),
            Self::True => Ok(true),
            Self::Fault(fault) => Err(fault),
        }
    }
}

impl From<Result<bool, Fault>> for Truth {
    #[inline(always)]
    fn from(result: Result<bool, Fault>) -> Self {
        match result {
            Ok(holds) => Self::of(holds),
            Err(fault) => Self::Fault(fault),
        }
    }
}

/// A test of what stands somewhere.
#[derive(Debug)]
pub(in crate::cel) struct Leaf<P, T> {
    pub(super) place: P,
    /// Where the place is named.
    range: Range,
    pub(super) test: T,
}

/// Where a value stands.
pub(in crate::cel) trait Origin {
    /// The value, if it is next to hand.
    fn peek<'a>(&self, run: &Run<'a>) -> Option<&'a Value>;

    /// The value, or why there is none.
    fn read<'a>(&self, run: &Run<'a>) -> Result<&'a Value, Fault>;
}

impl Origin for Slot {
    #[inline(always)]
    fn peek<'a>(&self, run: &Run<'a>) -> Option<&'a Value> {
        if let State::Present(value) = run.state(*self) { Some(value) } else { None }
    }

    fn read<'a>(&self, run: &Run<'a>) -> Result<&'a Value, Fault> {
        run.slot(*self)
    }
}

impl Origin for Place {
    #[inline(always)]
    fn peek<'a>(&self, run: &Run<'a>) -> Option<&'a Value> {
        self.peek(run)
    }

    fn read<'a>(&self, run: &Run<'a>) -> Result<&'a Value, Fault> {
        self.read(run)
    }
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

impl<T: Test> Leaf<Slot, T> {
    /// Whether it holds of what stands in the slot, if that is a value of the right type.
    #[inline(always)]
    fn peek(&self, slots: &[State]) -> Option<bool> {
        match slots.get(self.place.index()) {
            Some(State::Present(value)) => self.test.holds(value),
            _ => None,
        }
    }
}

impl<P: Origin, T: Test> Leaf<P, T> {
    #[inline(always)]
    fn truth(&self, run: &Run<'_>) -> Truth {
        if let Some(value) = self.place.peek(run)
            && let Some(holds) = self.test.holds(value)
        {
            return Truth::of(holds);
        }
        self.truth_slowly(run)
    }

    /// The same for a value that is missing, computed, or further away.
    #[cold]
    #[inline(never)]
    fn truth_slowly(&self, run: &Run<'_>) -> Truth {
        let outcome =
            self.place.read(run).and_then(|value| self.test.holds(value).ok_or_else(|| self.test.refusal(value)));
        outcome.map_err(|fault| fault.at(self.range)).into()
    }
}

impl Condition {
    /// A test of what stands at `place`.
    pub(super) fn leaf<T>(
        place: Place,
        range: Range,
        test: T,
        of_slot: fn(Leaf<Slot, T>) -> Self,
        of_place: fn(Leaf<Place, T>) -> Self,
    ) -> Self {
        match place {
            Place::Slot(place) => of_slot(Leaf { place, range, test }),
            place => of_place(Leaf { place, range, test }),
        }
    }

    /// Whether it holds, if that shows in what stands in the slots: nothing is missing, computed or spent for it. `None`
    /// says no more than that it is to be asked in full.
    #[inline(always)]
    pub(in crate::cel) fn peek_here(&self, slots: &[State]) -> Option<bool> {
        match self {
            Self::Flag(leaf) => leaf.peek(slots),
            Self::Int(leaf) => leaf.peek(slots),
            Self::Double(leaf) => leaf.peek(slots),
            Self::Text(leaf) => leaf.peek(slots),
            Self::OneOf(leaf) => leaf.peek(slots),
            Self::All(terms) => peek_all(terms, slots),
            _ => None,
        }
    }

    /// Whether it holds. Inlined: for where conditions are tested again and again.
    #[inline(always)]
    pub(in crate::cel) fn truth_here(&self, run: &Run<'_>) -> Truth {
        match self {
            Self::Constant(value) => Truth::of(*value),
            Self::Present(slot, range) => match run.state(*slot) {
                State::Present(_) => Truth::True,
                State::Absent => Truth::False,
                State::Deferred(_) => deferred_is_present(run, *slot, *range),
            },
            Self::Flag(leaf) => leaf.truth(run),
            Self::Int(leaf) => leaf.truth(run),
            Self::Double(leaf) => leaf.truth(run),
            Self::Text(leaf) => leaf.truth(run),
            Self::OneOf(leaf) => leaf.truth(run),
            Self::FlagAt(leaf) => leaf.truth(run),
            Self::IntAt(leaf) => leaf.truth(run),
            Self::DoubleAt(leaf) => leaf.truth(run),
            Self::TextAt(leaf) => leaf.truth(run),
            Self::OneOfAt(leaf) => leaf.truth(run),
            Self::All(terms) => all(terms, run),
            Self::Any(terms) => any(terms, run),
            Self::Step(step) => step(run).into(),
        }
    }

    /// Whether it holds.
    #[inline(never)]
    pub(in crate::cel) fn truth(&self, run: &Run<'_>) -> Truth {
        self.truth_here(run)
    }

    /// Whether it holds.
    #[inline]
    pub(in crate::cel) fn test(&self, run: &Run<'_>) -> Result<bool, Fault> {
        self.truth(run).result()
    }

    /// Whether testing it costs nothing beyond its straight-line code.
    pub(in crate::cel) fn is_straight(&self) -> bool {
        match self {
            Self::Step(_) => false,
            Self::All(terms) | Self::Any(terms) => terms.iter().all(Self::is_straight),
            _ => true,
        }
    }

    /// `!`
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(!value),
            Self::Flag(leaf) => Self::Flag(Leaf { test: !leaf.test, ..leaf }),
            Self::FlagAt(leaf) => Self::FlagAt(Leaf { test: !leaf.test, ..leaf }),
            other => Self::Step(Box::new(move |run| other.test(run).map(|value| !value))),
        }
    }
}

/// `&&` of what shows in the slots. A term that does not show leaves all of it open: the others are asked again, once.
#[inline(never)]
fn peek_all(terms: &[Condition], slots: &[State]) -> Option<bool> {
    for term in terms {
        // No deeper: a term that holds others is asked in full, so that nothing is asked more than twice.
        let holds = match term {
            Condition::Flag(leaf) => leaf.peek(slots),
            Condition::Int(leaf) => leaf.peek(slots),
            Condition::Double(leaf) => leaf.peek(slots),
            Condition::Text(leaf) => leaf.peek(slots),
            Condition::OneOf(leaf) => leaf.peek(slots),
            _ => None,
        };
        if holds != Some(true) {
            return holds;
        }
    }
    Some(true)
}

#[cold]
fn deferred_is_present(run: &Run<'_>, slot: Slot, range: Range) -> Truth {
    run.read(slot).map(|value| value.is_some()).map_err(|fault| fault.at(range)).into()
}

/// `&&`: false if any term is, whatever the others end with; else the first error; else true.
#[inline(never)]
fn all(terms: &[Condition], run: &Run<'_>) -> Truth {
    let mut rest = terms.iter();
    while let Some(term) = rest.next() {
        match term.truth_here(run) {
            Truth::True => {}
            Truth::False => return Truth::False,
            Truth::Fault(fault) => return absorb(fault, false, rest.as_slice(), run),
        }
    }
    Truth::True
}

/// `||`: true if any term is, whatever the others end with; else the first error; else false.
#[inline(never)]
fn any(terms: &[Condition], run: &Run<'_>) -> Truth {
    let mut rest = terms.iter();
    while let Some(term) = rest.next() {
        match term.truth_here(run) {
            Truth::False => {}
            Truth::True => return Truth::True,
            Truth::Fault(fault) => return absorb(fault, true, rest.as_slice(), run),
        }
    }
    Truth::False
}

/// What remains of a fault once the terms behind it are known: nothing if one of them decides the result.
#[cold]
fn absorb(fault: Fault, decisive: bool, rest: &[Condition], run: &Run<'_>) -> Truth {
    if fault.is_stop() {
        return Truth::Fault(fault);
    }
    for term in rest {
        match term.test(run) {
            Ok(value) if value == decisive => return Truth::of(value),
            Err(other) if other.is_stop() => return Truth::Fault(other),
            _ => {}
        }
    }
    Truth::Fault(fault)
}
