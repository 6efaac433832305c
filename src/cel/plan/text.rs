//! Tests of texts against constants, and membership in constant lists: no text is copied.

use std::{cmp::Ordering, sync::Arc};

use super::{
    BoolStep, Checked, CheckedKind, Planner,
    condition::{Condition, Test},
    numbers::Comparison,
    place::{Place, mismatch},
};
use crate::cel::{
    cost,
    library::{Pattern, no_overload},
    parse::Range,
    run::{Fault, Run},
    types::Type,
    value::Value,
};

/// Up to this many constants are compared one by one, which is faster than searching.
const LINEAR_MAX: usize = 8;

/// A constant that a text is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cel) struct Word {
    key: u64,
    text: Arc<str>,
    /// Whether the text must be the constant, or anything else.
    wanted: bool,
}

/// Constants of which a text must be one, sorted by their keys.
#[derive(Debug, Clone)]
pub(in crate::cel) struct Words {
    /// The length of all, if they have one, and so short a one that a key is the whole text; none is as long otherwise.
    length: usize,
    keys: Arc<[u64]>,
    texts: Arc<[Arc<str>]>,
}

/// Up to eight bytes of a text as a number: two texts of one length that is no longer are equal if these are.
#[inline(always)]
fn key(text: &str) -> u64 {
    let bytes = text.as_bytes();
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        if let Some(first) = bytes.first_chunk() {
            return u64::from_le_bytes(*first);
        }
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u64::from(u16::from_le_bytes(*first)) | u64::from(u16::from_le_bytes(*last)) << 16;
    }
    bytes.first().copied().map_or(0, u64::from)
}

/// Bytes of a text that are in its key.
const KEY_BYTES: usize = size_of::<u64>();

impl Word {
    fn new(text: &Arc<str>, wanted: bool) -> Self {
        Self { key: key(text), text: Arc::clone(text), wanted }
    }

    /// The test of whether a text is the constant.
    pub(super) fn asked(&self) -> Self {
        Self { wanted: true, ..self.clone() }
    }

    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// By key, then by text.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        (self.key, &self.text).cmp(&(other.key, &other.text))
    }

    /// Whether it stands before all texts with this key.
    pub(super) fn is_before(&self, key: u64) -> bool {
        self.key < key
    }

    /// What texts are compared by first.
    #[inline(always)]
    pub(super) fn key_of(text: &str) -> u64 {
        key(text)
    }

    /// The key of a text that is no longer than that.
    #[inline(always)]
    pub(super) fn whole_key(text: &str) -> Option<u64> {
        (text.len() <= KEY_BYTES).then(|| key(text))
    }

    /// Whether it is the text of this length that has this key, and is no longer than that.
    #[inline(always)]
    pub(super) fn is_short(&self, key: u64, length: usize) -> bool {
        self.text.len() == length && self.key == key
    }

    /// Whether it is `text`, which has this key.
    #[inline(always)]
    pub(super) fn has(&self, key: u64, text: &str) -> bool {
        self.text.len() == text.len() && self.key == key && self.is(text)
    }

    /// Whether it is `text`, whose key is the same.
    #[inline(always)]
    fn is(&self, text: &str) -> bool {
        self.text.len() == text.len() && (text.len() <= KEY_BYTES || *self.text == *text)
    }
}

impl Test for Word {
    #[inline(always)]
    fn holds(&self, value: &Value) -> Option<bool> {
        let Value::String(text) = value else { return None };
        Some((self.text.len() == text.len() && self.key == key(text) && self.is(text)) == self.wanted)
    }
}

impl Words {
    fn new(texts: impl Iterator<Item = Arc<str>>) -> Self {
        let mut texts: Vec<Arc<str>> = texts.collect();
        texts.sort_unstable_by(|left, right| (key(left), left).cmp(&(key(right), right)));
        let length = texts.first().map_or(usize::MAX, |text| text.len());
        let is_common = length <= KEY_BYTES && texts.iter().all(|text| text.len() == length);
        Self {
            length: if is_common { length } else { usize::MAX },
            keys: texts.iter().map(|text| key(text)).collect(),
            texts: texts.into(),
        }
    }

    /// The test of whether a text is it, for each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Word> {
        self.texts.iter().map(|text| Word::new(text, true))
    }

    /// Whether `text` is among many, or among texts of several lengths.
    #[inline(never)]
    fn search(&self, key: u64, text: &str) -> bool {
        if self.keys.len() > LINEAR_MAX {
            let known = self.keys.partition_point(|known| *known < key);
            let known = self.texts.get(known..).unwrap_or_default();
            return known.binary_search_by(|other| (self::key(other), &**other).cmp(&(key, text))).is_ok();
        }
        self.keys.iter().zip(self.texts.iter()).any(|(known, other)| *known == key && **other == *text)
    }
}

impl Test for Words {
    #[inline(always)]
    fn holds(&self, value: &Value) -> Option<bool> {
        let Value::String(text) = value else { return None };
        if text.len() != self.length {
            return Some(self.length == usize::MAX && self.search(key(text), text));
        }
        let key = key(text);
        if self.keys.len() > LINEAR_MAX {
            return Some(self.keys.binary_search(&key).is_ok());
        }
        for known in &*self.keys {
            if *known == key {
                return Some(true);
            }
        }
        Some(false)
    }
}

impl Planner {
    /// `text == 'constant'`.
    pub(super) fn compare_text(self, comparison: Comparison, left: &Checked, right: &Checked) -> Option<Condition> {
        let (text, constant) = match (&left.kind, &right.kind) {
            (_, CheckedKind::Constant(Value::String(constant))) => (left, constant),
            (CheckedKind::Constant(Value::String(constant)), _) => (right, constant),
            _ => return None,
        };
        let wanted = match comparison {
            Comparison::Equal => true,
            Comparison::NotEqual => false,
            _ => return None,
        };
        let (place, range) = (text_place(text)?, text.range);
        Some(Condition::leaf(place, range, Word::new(constant, wanted), Condition::Text, Condition::TextAt))
    }

    /// A call of a method on a text, with a constant.
    pub(super) fn test_text(self, name: &str, arguments: &[Checked]) -> Option<BoolStep> {
        let [text, constant] = arguments else { return None };
        let CheckedKind::Constant(Value::String(constant)) = &constant.kind else { return None };
        let (range, constant) = (text.range, Arc::clone(constant));
        let Some(place) = text_place(text) else { return self.matches_computed(name, text, &constant) };
        Some(match name {
            "startsWith" => Box::new(move |run| Ok(read(&place, run, range)?.starts_with(&*constant))),
            "endsWith" => Box::new(move |run| Ok(read(&place, run, range)?.ends_with(&*constant))),
            "contains" => Box::new(move |run| {
                let text = read(&place, run, range)?;
                run.charge(cost::of_bytes(text.len() as u64))?;
                Ok(text.contains(&*constant))
            }),
            "matches" => match Pattern::new(&constant) {
                Ok(pattern) => Box::new(move |run| {
                    let text = read(&place, run, range)?;
                    run.charge(pattern.search(text.len()))?;
                    Ok(pattern.is_match(text))
                }),
                // One that was computed while the expression was folded: the checker has not seen it.
                Err(_) => return self.matches_computed(name, text, &constant),
            },
            _ => return None,
        })
    }

    /// `matches` on a text that is computed, with a constant pattern: that is compiled here all the same.
    fn matches_computed(self, name: &str, text: &Checked, constant: &str) -> Option<BoolStep> {
        if name != "matches" || self.is_traced {
            return None;
        }
        let (step, range, pattern) = (self.value(text), text.range, Pattern::new(constant));
        Some(Box::new(move |run| match (step(run)?, &pattern) {
            (Value::String(text), Ok(pattern)) => {
                run.charge(pattern.search(text.len()))?;
                Ok(pattern.is_match(&text))
            }
            (Value::String(_), Err(reason)) => Err(Fault::new("invalid_argument", reason.clone()).at(range)),
            (other, _) => Err(no_overload("matches", &[other]).at(range)),
        }))
    }

    /// `value in [constants]`.
    pub(super) fn contained(self, item: &Checked, list: &Checked) -> Option<Condition> {
        let CheckedKind::Constant(Value::List(constants)) = &list.kind else { return None };
        let range = item.range;
        match item.value_type {
            Type::String => {
                let place = text_place(item)?;
                let texts: Option<Vec<Arc<str>>> = constants
                    .iter()
                    .map(|constant| if let Value::String(text) = constant { Some(Arc::clone(text)) } else { None })
                    .collect();
                let words = Words::new(texts?.into_iter());
                Some(Condition::leaf(place, range, words, Condition::OneOf, Condition::OneOfAt))
            }
            Type::Int => {
                let numbers: Option<Vec<i64>> = constants
                    .iter()
                    .map(|constant| if let Value::Int(number) = constant { Some(*number) } else { None })
                    .collect();
                let mut numbers = numbers?;
                numbers.sort_unstable();
                let item = self.int(item);
                Some(Condition::Step(Box::new(move |run| Ok(numbers.binary_search(&item(run)?).is_ok()))))
            }
            _ => None,
        }
    }
}

fn text_place(node: &Checked) -> Option<Place> {
    (node.value_type == Type::String).then(|| Place::of(node)).flatten()
}

#[inline]
fn read<'a>(place: &Place, run: &Run<'a>, range: Range) -> Result<&'a str, Fault> {
    match place.peek(run) {
        Some(Value::String(text)) => Ok(text),
        _ => read_slowly(place, run, range),
    }
}

#[cold]
fn read_slowly<'a>(place: &Place, run: &Run<'a>, range: Range) -> Result<&'a str, Fault> {
    match place.read(run) {
        Ok(Value::String(text)) => Ok(text),
        Ok(_) => Err(mismatch().at(range)),
        Err(fault) => Err(fault.at(range)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_found_among_constants_if_it_is_one(
            texts in proptest::collection::vec("[ab]{0,10}", 0..20),
            wanted in "[ab]{0,10}",
        ) {
            let value = Value::from(wanted.as_str());
            for text in &texts {
                let is = Word::new(&text.as_str().into(), true).holds(&value);
                prop_assert_eq!(is, Some(*text == wanted));
                prop_assert_eq!(Word::new(&text.as_str().into(), false).holds(&value), is.map(|is| !is));
            }
            let words = Words::new(texts.iter().map(|text| text.as_str().into()));
            prop_assert_eq!(words.holds(&value), Some(texts.contains(&wanted)));
        }
    }
}
