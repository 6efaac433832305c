//! Maps: entries in the order they were given, found by key. Numbers that are equal are one key, whatever their type.

use std::{collections::HashMap, sync::Arc};

use super::Value;

/// Up to this many entries a look-up compares one by one: faster than hashing, and needs no index.
const LINEAR_MAX: usize = 8;

/// A map.
#[derive(Debug, Default)]
pub struct MapValue {
    entries: Vec<(Value, Value)>,
    index: Option<HashMap<Key, usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Bool(bool),
    /// Every whole number that fits `int` or `uint`.
    Number(i128),
    String(Arc<str>),
}

fn key_of(value: &Value) -> Option<Key> {
    match value {
        Value::Bool(value) => Some(Key::Bool(*value)),
        Value::Int(value) => Some(Key::Number(i128::from(*value))),
        Value::Uint(value) => Some(Key::Number(i128::from(*value))),
        #[expect(clippy::cast_possible_truncation, reason = "only whole numbers within the range of i128 come here")]
        Value::Double(value) if value.fract() == 0.0 && value.abs() < 2e19 => Some(Key::Number(*value as i128)),
        Value::String(value) => Some(Key::String(Arc::clone(value))),
        _ => None,
    }
}

/// Whether `value` may be a key: a bool, an integer or a string.
pub(in crate::cel) fn key_is_valid(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_))
}

impl MapValue {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The entry at `position`.
    pub(in crate::cel) fn entry(&self, position: usize) -> Option<&(Value, Value)> {
        self.entries.get(position)
    }

    /// The value under `key`.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.position(key).and_then(|position| self.entries.get(position)).map(|(_, value)| value)
    }

    /// The value under a text.
    pub fn get_str(&self, key: &str) -> Option<&Value> {
        if self.index.is_some() {
            return self.get(&Value::from(key));
        }
        self.entries.iter().find(|(candidate, _)| candidate.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// Puts `value` under `key`; whether the key was free.
    pub fn insert(&mut self, key: Value, value: Value) -> bool {
        if let Some(position) = self.position(&key) {
            if let Some(entry) = self.entries.get_mut(position) {
                entry.1 = value;
            }
            return false;
        }
        if let (Some(index), Some(key)) = (&mut self.index, key_of(&key)) {
            index.insert(key, self.entries.len());
        }
        self.entries.push((key, value));
        if self.index.is_none() && self.entries.len() > LINEAR_MAX {
            let keys = self.entries.iter().enumerate();
            self.index = Some(keys.filter_map(|(position, (key, _))| Some((key_of(key)?, position))).collect());
        }
        true
    }

    fn position(&self, key: &Value) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&key_of(key)?).copied(),
            None => self.entries.iter().position(|(candidate, _)| candidate == key),
        }
    }
}

impl FromIterator<(Value, Value)> for MapValue {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl PartialEq for MapValue {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key).is_some_and(|found| found == value))
    }
}
