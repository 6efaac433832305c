//! What is asked of a value, apart from where it stands: for those who ask many values, or many things of one.

use super::{
    condition::{Condition, Test},
    place::Place,
    spans::{Doubles, Ints},
    text::{Word, Words},
};
use crate::cel::{activation::Slot, value::Value};

/// A test of a value.
#[derive(Debug, Clone)]
pub(in crate::cel) enum Asked {
    /// Nothing but that it is there.
    Presence,
    Flag(bool),
    Int(Ints),
    Double(Doubles),
    Text(Word),
    OneOf(Words),
}

impl Asked {
    /// Whether it holds; `None` where the value is of another type, or in no order.
    #[inline(always)]
    pub fn holds(&self, value: &Value) -> Option<bool> {
        match self {
            Self::Presence => Some(true),
            Self::Flag(test) => test.holds(value),
            Self::Int(test) => test.holds(value),
            Self::Double(test) => test.holds(value),
            Self::Text(test) => test.holds(value),
            Self::OneOf(test) => test.holds(value),
        }
    }
}

impl Condition {
    /// What it consists of, and whether all of that must hold, or any.
    pub fn terms(&self) -> (bool, &[Self]) {
        match self {
            Self::Constant(value) => (*value, &[]),
            Self::All(terms) => (true, terms),
            Self::Any(terms) => (false, terms),
            term => (true, std::slice::from_ref(term)),
        }
    }

    /// What it asks of a slot, if that is all.
    pub fn asked_of_slot(&self) -> Option<(Slot, Asked)> {
        Some(match self {
            Self::Present(slot, _) => (*slot, Asked::Presence),
            Self::Flag(leaf) => (leaf.place, Asked::Flag(leaf.test)),
            Self::Int(leaf) => (leaf.place, Asked::Int(leaf.test.clone())),
            Self::Double(leaf) => (leaf.place, Asked::Double(leaf.test.clone())),
            Self::Text(leaf) => (leaf.place, Asked::Text(leaf.test.clone())),
            Self::OneOf(leaf) => (leaf.place, Asked::OneOf(leaf.test.clone())),
            _ => return None,
        })
    }

    /// What it asks of a place that is no slot, if that is all.
    pub(super) fn asked_of_place(&self) -> Option<(&Place, Asked)> {
        Some(match self {
            Self::FlagAt(leaf) => (&leaf.place, Asked::Flag(leaf.test)),
            Self::IntAt(leaf) => (&leaf.place, Asked::Int(leaf.test.clone())),
            Self::DoubleAt(leaf) => (&leaf.place, Asked::Double(leaf.test.clone())),
            Self::TextAt(leaf) => (&leaf.place, Asked::Text(leaf.test.clone())),
            Self::OneOfAt(leaf) => (&leaf.place, Asked::OneOf(leaf.test.clone())),
            _ => return None,
        })
    }
}
