//! Conditions on the element of a loop that ask nothing else: tested where the element stands, without a scope.

use super::{
    asked::Asked,
    condition::{Condition, Test},
    place::Place,
};
use crate::cel::value::Value;

/// Tests of an element, or of its fields.
pub(super) struct Element {
    tests: Box<[(Part, Asked)]>,
    is_all: bool,
}

/// What of an element is tested: a field by its position, or all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Part(usize);

const WHOLE: Part = Part(usize::MAX);

impl Part {
    #[inline(always)]
    fn of(self, element: &Value) -> Option<&Value> {
        match element {
            Value::Object(object) => object.at(self.0),
            _ if self == WHOLE => Some(element),
            _ => None,
        }
    }
}

impl Element {
    /// The tests of which `condition` consists, if they are all of the variable of a loop.
    pub(super) fn of(condition: &Condition, variable: u32) -> Option<Self> {
        let (is_all, terms) = condition.terms();
        let test = |term: &Condition| match term.asked_of_place()? {
            (Place::Local(local), asked) if *local == variable => Some((WHOLE, asked)),
            (Place::LocalField(local, field), asked) if *local == variable => Some((Part(field.position()), asked)),
            _ => None,
        };
        Some(Self { tests: terms.iter().map(test).collect::<Option<_>>()?, is_all })
    }

    /// Whether the condition holds, if that shows in the element: where something is missing or of another type, the
    /// condition itself has to say what becomes of it.
    #[inline(always)]
    pub(super) fn holds(&self, element: &Value) -> Option<bool> {
        for (part, asked) in &self.tests {
            if asked.holds(part.of(element)?)? != self.is_all {
                return Some(!self.is_all);
            }
        }
        Some(self.is_all)
    }

    /// How many of `elements` there are before one for which it is `decisive` or does not show, and whether that one
    /// shows.
    #[inline(never)]
    pub(super) fn find(&self, elements: &[Value], decisive: bool) -> (usize, bool) {
        let mut rest = elements;
        loop {
            rest = self.not_passed(rest, decisive);
            let Some((element, others)) = rest.split_first() else { return (elements.len(), false) };
            match self.holds(element) {
                Some(holds) if holds != decisive => rest = others,
                found => return (elements.len().saturating_sub(rest.len()), found.is_some()),
            }
        }
    }

    /// What is left of `elements` behind those of which the first test alone tells that they are not `decisive`.
    #[inline]
    fn not_passed<'v>(&self, elements: &'v [Value], decisive: bool) -> &'v [Value] {
        // One test is all of them, and any.
        let is_all = if self.tests.len() == 1 { decisive } else { self.is_all };
        match self.tests.first() {
            Some((part, asked)) if is_all == decisive => match asked {
                Asked::Presence => elements,
                Asked::Flag(test) => behind(elements, *part, test, !decisive),
                Asked::Int(test) => behind(elements, *part, test, !decisive),
                Asked::Double(test) => behind(elements, *part, test, !decisive),
                Asked::Text(test) => behind(elements, *part, test, !decisive),
                Asked::OneOf(test) => behind(elements, *part, test, !decisive),
            },
            _ => elements,
        }
    }
}

/// What is left of `elements` behind those for which `test` gives `result`.
#[inline]
fn behind<'v>(elements: &'v [Value], part: Part, test: &impl Test, result: bool) -> &'v [Value] {
    let gives = |element| part.of(element).and_then(|value| test.holds(value)) == Some(result);
    let mut rest = elements.iter();
    while rest.as_slice().first().is_some_and(gives) {
        rest.next();
    }
    rest.as_slice()
}
