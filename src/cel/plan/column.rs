//! Tests of one slot, done together: the value is looked at once.

use super::{
    spans::{Doubles, Ints},
    text::Word,
};
use crate::cel::{activation::Slot, value::Value};

/// A test of a slot, and the result for which a condition asks.
#[derive(Debug)]
pub(in crate::cel) struct Sought {
    pub slot: Slot,
    pub test: Asked,
    pub wanted: bool,
}

/// What is asked of a value, without what is wanted.
#[derive(Debug)]
pub(in crate::cel) enum Asked {
    /// Whether it is true.
    Flag,
    /// Whether it lies within.
    Int(Ints),
    Double(Doubles),
    /// Whether it is this text.
    Text(Word),
}

/// Tests of values of one type. None of them is there twice.
#[derive(Debug)]
pub(in crate::cel) enum Column {
    Flag,
    Ints(Vec<Ints>),
    Doubles(Vec<Doubles>),
    Texts(Vec<Word>),
}

/// The place of a test among others, where it is put unless it is there.
fn place<T: PartialEq>(tests: &mut Vec<T>, test: T) -> usize {
    tests.iter().position(|other| *other == test).unwrap_or_else(|| {
        tests.push(test);
        tests.len() - 1
    })
}

/// The results of tests, the first in the highest bit, below those that are known.
#[inline(always)]
fn shifted<T>(tests: &[T], bits: u64, holds: impl Fn(&T) -> bool) -> u64 {
    tests.iter().fold(bits, |bits, test| bits << 1 | u64::from(holds(test)))
}

impl Column {
    /// No tests yet, of values of the type that `test` is for.
    pub fn for_test(test: &Asked) -> Self {
        match test {
            Asked::Flag => Self::Flag,
            Asked::Int(_) => Self::Ints(Vec::new()),
            Asked::Double(_) => Self::Doubles(Vec::new()),
            Asked::Text(_) => Self::Texts(Vec::new()),
        }
    }

    /// Whether `test` is for values of this type.
    pub fn takes(&self, test: &Asked) -> bool {
        matches!(
            (self, test),
            (Self::Flag, Asked::Flag)
                | (Self::Ints(_), Asked::Int(_))
                | (Self::Doubles(_), Asked::Double(_))
                | (Self::Texts(_), Asked::Text(_))
        )
    }

    /// Where `test` stands among those here; `None` if it is for others.
    pub fn place(&mut self, test: Asked) -> Option<usize> {
        Some(match (self, test) {
            (Self::Flag, Asked::Flag) => 0,
            (Self::Ints(tests), Asked::Int(test)) => place(tests, test),
            (Self::Doubles(tests), Asked::Double(test)) => place(tests, test),
            (Self::Texts(tests), Asked::Text(test)) => place(tests, test),
            _ => return None,
        })
    }

    /// How many tests there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Flag => 1,
            Self::Ints(tests) => tests.len(),
            Self::Doubles(tests) => tests.len(),
            Self::Texts(tests) => tests.len(),
        }
    }

    /// The results for `value`, below `bits`; `None` if it is of another type, or in no order.
    #[inline(always)]
    pub fn results(&self, value: &Value, bits: u64) -> Option<u64> {
        Some(match (self, value) {
            (Self::Flag, Value::Bool(value)) => bits << 1 | u64::from(*value),
            (Self::Ints(tests), Value::Int(value)) => shifted(tests, bits, |test| test.has(*value)),
            (Self::Doubles(tests), Value::Double(value)) if !value.is_nan() => {
                shifted(tests, bits, |test| test.has(*value))
            }
            (Self::Texts(tests), Value::String(text)) => {
                let key = Word::key_of(text);
                shifted(tests, bits, |test| test.has(key, text))
            }
            _ => return None,
        })
    }
}
