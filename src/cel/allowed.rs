//! Which values are possible where only some are: those of an enumeration, wherever they get to.

use std::{fmt, sync::Arc};

use super::value::Value;
use crate::domain::quote::shown_text;

/// One possible value: a scalar, as its type has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number of type `uint`.
    Uint(u64),
    /// A double, by its bits.
    Double(u64),
    /// A text.
    Text(Arc<str>),
}

/// The possible values of an expression, and of what a list, a map or an optional of it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Allowed {
    words: Option<Arc<[Word]>>,
    item: Option<Arc<Allowed>>,
}

impl Word {
    /// The word for a value, if it is a scalar that can be one.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Int(number) => Self::Int(*number),
            Value::Uint(number) => Self::Uint(*number),
            // Both zeros are one number.
            Value::Double(number) if !number.is_nan() => Self::Double((number + 0.0).to_bits()),
            Value::String(text) => Self::Text(Arc::clone(text)),
            _ => return None,
        })
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Whether a word is of the same type.
    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Uint(number) => write!(f, "{number}u"),
            Self::Double(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Text(text) => shown_text(text).fmt(f),
        }
    }
}

impl Allowed {
    /// These values and no others; anything, if there are none.
    pub fn only(words: impl IntoIterator<Item = Word>) -> Self {
        let words: Arc<[Word]> = words.into_iter().collect();
        Self { words: Some(words).filter(|words| !words.is_empty()), item: None }
    }

    /// A list or a map that holds these.
    #[must_use]
    pub fn holding(item: Self) -> Self {
        Self { words: None, item: Some(Arc::new(item)).filter(|item| !item.is_open()) }
    }

    /// Whether nothing is known.
    pub fn is_open(&self) -> bool {
        self.words.is_none() && self.item.is_none()
    }

    /// The values that are possible, if that is known.
    pub(super) fn words(&self) -> Option<&[Word]> {
        self.words.as_deref()
    }

    /// What a list or a map of it holds.
    pub(super) fn item(&self) -> Self {
        self.item.as_deref().cloned().unwrap_or_default()
    }

    /// What is possible where either is.
    pub(super) fn or(&self, other: &Self) -> Self {
        let words = self.words().zip(other.words()).map(|(left, right)| {
            let more = right.iter().filter(|word| !left.contains(word));
            left.iter().chain(more).cloned().collect()
        });
        let item = self.item.as_deref().zip(other.item.as_deref()).map(|(left, right)| Arc::new(left.or(right)));
        Self { words, item: item.filter(|item| !item.is_open()) }
    }

    /// Whether this word is certainly none of the possible values.
    pub(super) fn excludes(&self, word: &Word) -> bool {
        self.words().is_some_and(|words| words.iter().all(|known| known.is_like(word) && known != word))
    }

    /// Whether no value is possible on both sides.
    pub(super) fn is_disjoint(&self, other: &Self) -> bool {
        other.words().is_some_and(|words| words.iter().all(|word| self.excludes(word)))
    }
}
