//! The values of a slot, told apart by its tests: a value is looked at once, and the results of all tests are known.
//!
//! Constants divide the values of a type into classes, within which every test has one result.

use super::{asked::Asked, text::Word};
use crate::cel::{activation::State, value::Value};

/// Up to this many constants are compared one by one, which is faster than searching.
const LINEAR_MAX: usize = 16;

/// What values of one type are told apart by.
#[derive(Debug)]
pub(in crate::cel) enum Column {
    /// Nothing: values of any type.
    Presence,
    Flag,
    /// The least int of each class but the first, ascending.
    Ints(Box<[i64]>),
    /// The least double of each class but the first, ascending.
    Doubles(Box<[f64]>),
    /// Texts of which each is a class, sorted by their keys; all others are the last.
    Texts(Box<[Word]>),
}

impl Column {
    /// The column for `test` and others like it.
    pub fn new<'a>(test: &'a Asked, others: impl Iterator<Item = &'a Asked>) -> Self {
        let tests = std::iter::once(test).chain(others);
        match test {
            Asked::Presence => Self::Presence,
            Asked::Flag(_) => Self::Flag,
            Asked::Int(_) => {
                let spans = tests.filter_map(|test| if let Asked::Int(span) = test { Some(span) } else { None });
                let mut borders: Vec<i64> = spans.flat_map(|span| span.borders()).collect();
                borders.sort_unstable();
                borders.dedup();
                Self::Ints(borders.into())
            }
            Asked::Double(_) => {
                let spans = tests.filter_map(|test| if let Asked::Double(span) = test { Some(span) } else { None });
                let mut borders: Vec<f64> = spans.flat_map(|span| span.borders()).collect();
                borders.sort_unstable_by(f64::total_cmp);
                // By value, so that the two zeros are one.
                borders.dedup();
                Self::Doubles(borders.into())
            }
            Asked::Text(_) | Asked::OneOf(_) => {
                let mut words: Vec<Word> = tests.flat_map(words).collect();
                words.sort_unstable_by(Word::order);
                words.dedup();
                Self::Texts(words.into())
            }
        }
    }

    /// Whether `test` is of the values that this column is for.
    pub fn takes(&self, test: &Asked) -> bool {
        matches!(
            (self, test),
            (Self::Presence, Asked::Presence)
                | (Self::Flag, Asked::Flag(_))
                | (Self::Ints(_), Asked::Int(_))
                | (Self::Doubles(_), Asked::Double(_))
                | (Self::Texts(_), Asked::Text(_) | Asked::OneOf(_))
        )
    }

    /// A value of each class, in their order.
    pub fn examples(&self) -> Vec<Value> {
        // Which text is none of the others does not matter: it is not compared.
        match self {
            Self::Presence => vec![Value::Null],
            Self::Flag => vec![Value::Bool(false), Value::Bool(true)],
            Self::Ints(borders) => std::iter::once(&i64::MIN).chain(borders).copied().map(Value::Int).collect(),
            Self::Doubles(borders) => {
                std::iter::once(&f64::NEG_INFINITY).chain(borders).copied().map(Value::Double).collect()
            }
            Self::Texts(words) => {
                let longest = words.iter().map(|word| word.text().len()).max().unwrap_or_default();
                let other = Value::from("-".repeat(longest + 1));
                words.iter().map(|word| Value::String(word.text().clone())).chain([other]).collect()
            }
        }
    }

    /// The class of what stands in a slot, if it is told sooner than searched for; `None` says no more than that it is
    /// to be searched for.
    #[inline(always)]
    pub fn class_here(&self, state: &State) -> Option<usize> {
        Some(match (self, state) {
            (Self::Flag, State::Present(Value::Bool(value))) => usize::from(*value),
            (Self::Ints(borders), State::Present(Value::Int(value))) => rank(borders, *value)?,
            (Self::Doubles(borders), State::Present(Value::Double(value))) if !value.is_nan() => rank(borders, *value)?,
            (Self::Texts(words), State::Present(Value::String(text))) => place(words, text)?,
            (Self::Presence, State::Present(_)) => 0,
            _ => return None,
        })
    }

    /// The class of what stands in a slot; `None` if that is no value, or one of another type or in no order.
    pub fn class(&self, state: &State) -> Option<usize> {
        Some(match (self, state) {
            (Self::Ints(borders), State::Present(Value::Int(value))) => {
                borders.partition_point(|border| border <= value)
            }
            (Self::Doubles(borders), State::Present(Value::Double(value))) if !value.is_nan() => {
                borders.partition_point(|border| border <= value)
            }
            (Self::Texts(words), State::Present(Value::String(text))) => search(words, text),
            _ => return self.class_here(state),
        })
    }
}

/// How many of `borders` are not above `value`, if they are few.
#[inline(always)]
fn rank<T: PartialOrd>(borders: &[T], value: T) -> Option<usize> {
    if borders.len() > LINEAR_MAX {
        return None;
    }
    // Not by `position`, which would count twice.
    let mut below = 0;
    while borders.get(below).is_some_and(|border| *border <= value) {
        below += 1;
    }
    Some(below)
}

/// Where `text` stands in `words`, or behind them if it is none: if they are few, and it is short.
#[inline(always)]
fn place(words: &[Word], text: &str) -> Option<usize> {
    if words.len() > LINEAR_MAX {
        return None;
    }
    let key = Word::whole_key(text)?;
    let mut before = 0;
    while words.get(before).is_some_and(|word| !word.is_short(key, text.len())) {
        before += 1;
    }
    Some(before)
}

/// Where `text` stands in `words`, or behind them if it is none.
fn search(words: &[Word], text: &str) -> usize {
    let key = Word::key_of(text);
    let before = words.partition_point(|word| word.is_before(key));
    let rest = words.get(before..).unwrap_or_default();
    rest.iter().position(|word| word.has(key, text)).map_or(words.len(), |place| before + place)
}

fn words(test: &Asked) -> Vec<Word> {
    match test {
        Asked::Text(word) => vec![word.asked()],
        Asked::OneOf(words) => words.iter().collect(),
        _ => Vec::new(),
    }
}
