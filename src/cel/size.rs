//! How large a value can be: what the cost of an expression is estimated from.

use std::sync::Arc;

use super::{cost, types::Type, value::Value};
use crate::config::limits::{
    EVALUATION_MEMORY_BYTES_MAX, LIST_ITEMS_DEFAULT_MAX, REQUEST_BYTES, STRING_CHARS_DEFAULT_MAX,
};

/// Bytes of a character at most.
const CHARACTER_BYTES: u64 = 4;
/// Bytes of a value inside of a list.
const ITEM_BYTES: u64 = size_of::<Value>() as u64;
/// Values inside of each other that are looked into: more than an expression or a schema can nest.
const DEPTH_MAX: usize = 80;

/// The largest that a value can be. Of two values in one place it is the larger in every respect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Bytes of a text.
    pub(super) bytes: u64,
    /// Elements of a list, entries of a map, fields of an object.
    pub(super) count: u64,
    /// Values inside of it, itself among them, and one for every sixteen bytes of its texts.
    pub(super) weight: u64,
    /// Values inside of it, itself among them.
    pub(super) values: u64,
    /// A key, if it has some.
    pub(super) key: Option<Arc<Size>>,
    /// An element, if it has some.
    pub(super) item: Option<Arc<Size>>,
    /// Whether comparing it looks at all of it, however large the other side is.
    pub(super) is_compared_whole: bool,
    /// What is known of a value that may be anything, and whose elements may be such values again.
    pub(super) open: Option<Open>,
}

/// What a schema says of a value of type `dyn`, if that is less than all: how much an evaluation takes then shows when it
/// runs, and its estimate is what is expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Open {
    /// Characters of each text.
    characters: Option<u64>,
    /// Elements of each list, entries of each map.
    items: Option<u64>,
}

impl Open {
    /// What holds of values of both kinds.
    fn or(self, other: Self) -> Self {
        let larger = |left: Option<u64>, right: Option<u64>| left.zip(right).map(|(left, right)| left.max(right));
        Self { characters: larger(self.characters, other.characters), items: larger(self.items, other.items) }
    }

    /// A list of texts: as much as a request of the usual size holds.
    fn size(self) -> Size {
        let text = Size::text(self.characters.unwrap_or(STRING_CHARS_DEFAULT_MAX));
        let count = self.items.unwrap_or(LIST_ITEMS_DEFAULT_MAX);
        let values = count.saturating_mul(2).saturating_add(1);
        let list = Size::map(count, text.clone(), text.clone());
        let weight = list.weight.min(cost::of_bytes(REQUEST_BYTES).saturating_add(values));
        Size { bytes: text.bytes, weight, is_compared_whole: true, open: Some(self), ..list }
    }
}

impl Size {
    /// Nothing that grows: a number, a time.
    pub fn scalar() -> Self {
        Self { weight: 1, values: 1, ..Self::default() }
    }

    /// A text of so many characters.
    pub fn text(characters: u64) -> Self {
        Self::bytes(characters.saturating_mul(CHARACTER_BYTES))
    }

    /// So many bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self { bytes, weight: 1 + cost::of_bytes(bytes), values: 1, ..Self::default() }
    }

    /// A list.
    pub fn list(count: u64, item: Self) -> Self {
        Self {
            count,
            weight: count.saturating_mul(item.weight).saturating_add(1),
            values: count.saturating_mul(item.values).saturating_add(1),
            item: Some(Arc::new(item)),
            ..Self::default()
        }
    }

    /// A map.
    pub fn map(count: u64, key: Self, item: Self) -> Self {
        let weight = count.saturating_mul(key.weight.saturating_add(item.weight));
        let values = count.saturating_mul(key.values.saturating_add(item.values));
        Self {
            count,
            weight: weight.saturating_add(1),
            values: values.saturating_add(1),
            key: Some(Arc::new(key)),
            item: Some(Arc::new(item)),
            ..Self::default()
        }
    }

    /// An object with fields of these sizes.
    pub fn object<'a>(fields: impl Iterator<Item = &'a Self>) -> Self {
        let mut object = Self { is_compared_whole: true, ..Self::scalar() };
        let mut item = Self::scalar();
        for field in fields {
            object.count += 1;
            object.weight = object.weight.saturating_add(field.weight);
            object.values = object.values.saturating_add(field.values);
            item = item.or(field);
        }
        object.item = Some(Arc::new(item));
        object
    }

    /// A value of which the schema says nothing: taken for a list of texts, whose elements may be such values again.
    pub(super) fn anything() -> Self {
        Open::default().size()
    }

    /// A value of any type: its texts and keys have so many characters at most, its lists and maps so many elements, and
    /// these nest so deep. Only one of which all is said has a size; any other is taken for a list of texts.
    pub fn dynamic(characters: Option<u64>, items: Option<u64>, depth: Option<u64>) -> Self {
        let (Some(characters), Some(items), Some(depth)) = (characters, items, depth) else {
            return Open { characters, items }.size();
        };
        let text = Self::text(characters);
        (0..depth).fold(text.clone(), |inner, _| {
            let map = Self::map(items, text.clone(), inner);
            Self { bytes: text.bytes, is_compared_whole: true, ..map }
        })
    }

    /// Whether it depends on a value of which the schema does not say how large it may be.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some() || [&self.key, &self.item].into_iter().flatten().any(|inner| inner.is_open())
    }

    /// The same as in a request of the usual size: all texts together are no longer than its body. Each value that is open
    /// is the least there is to look into, a list of one short text.
    pub(super) fn usual(&self) -> Self {
        const LEAST: u64 = cost::BYTES_PER_UNIT;
        if self.open.is_some() {
            let least = Self::map(1, Self::bytes(LEAST), Self::bytes(LEAST));
            return Self { bytes: LEAST, is_compared_whole: true, ..least };
        }
        let inner = |size: &Option<Arc<Self>>| size.as_ref().map(|size| Arc::new(size.usual()));
        let (key, item) = (inner(&self.key), inner(&self.item));
        let parts = || [&key, &item].into_iter().flatten();
        let all = |each: u64| self.count.saturating_mul(each).saturating_add(1);
        let values = if !self.has_items() {
            self.values
        } else {
            self.values.min(all(parts().map(|part| part.values).fold(0, u64::saturating_add)))
        };
        let mut weight = self.weight.min(values.saturating_add(cost::of_bytes(REQUEST_BYTES)));
        if self.has_items() {
            weight = weight.min(all(parts().map(|part| part.weight).fold(0, u64::saturating_add)));
        }
        Self { weight, values, key, item, ..self.clone() }
    }

    /// A value of this type, where nothing else is said of it.
    pub fn of_type(value_type: &Type) -> Self {
        match value_type {
            Type::String => Self::text(STRING_CHARS_DEFAULT_MAX),
            Type::Bytes => Self::bytes(STRING_CHARS_DEFAULT_MAX),
            Type::List(element) => Self::list(LIST_ITEMS_DEFAULT_MAX, Self::of_type(element)),
            Type::Map(key, value) => Self::map(LIST_ITEMS_DEFAULT_MAX, Self::of_type(key), Self::of_type(value)),
            Type::Object(object) => Self::object(object.fields.iter().map(|field| &field.size)),
            Type::Optional(inner) => Self::of_type(inner).optional(),
            Type::Dyn => Self::anything(),
            _ => Self::scalar(),
        }
    }

    pub(super) fn of_value(value: &Value) -> Self {
        Self::of_nested_value(value, 0)
    }

    fn of_nested_value(value: &Value, depth: usize) -> Self {
        if depth > DEPTH_MAX {
            return Self::anything();
        }
        let largest = |items: &mut dyn Iterator<Item = &Value>| {
            items.map(|item| Self::of_nested_value(item, depth + 1)).fold(Self::default(), |all, item| all.or(&item))
        };
        match value {
            Value::String(text) => Self::bytes(text.len() as u64),
            Value::Bytes(bytes) => Self::bytes(bytes.len() as u64),
            Value::Opaque(opaque) => Self::bytes(opaque.bytes() as u64),
            Value::List(items) => Self::list(items.len() as u64, largest(&mut items.iter())),
            Value::Map(map) => Self::map(
                map.len() as u64,
                largest(&mut map.iter().map(|(key, _)| key)),
                largest(&mut map.iter().map(|(_, value)| value)),
            ),
            Value::Optional(Some(value)) => Self::of_nested_value(value, depth + 1).optional(),
            Value::Optional(None) => Self::scalar().optional(),
            _ => Self::scalar(),
        }
    }

    /// The size of an optional that holds it.
    pub(super) fn optional(self) -> Self {
        Self {
            weight: self.weight.saturating_add(1),
            values: self.values.saturating_add(1),
            is_compared_whole: true,
            ..self
        }
    }

    /// The larger of both, in every respect.
    pub(super) fn or(self, other: &Self) -> Self {
        fn larger(left: Option<Arc<Size>>, right: Option<&Arc<Size>>) -> Option<Arc<Size>> {
            match (left, right) {
                (Some(left), Some(right)) if left == *right => Some(left),
                (Some(left), Some(right)) => Some(Arc::new(Size::clone(&left).or(right))),
                (left, right) => left.or_else(|| right.cloned()),
            }
        }
        Self {
            bytes: self.bytes.max(other.bytes),
            count: self.count.max(other.count),
            weight: self.weight.max(other.weight),
            values: self.values.max(other.values),
            key: larger(self.key, other.key.as_ref()),
            item: larger(self.item, other.item.as_ref()),
            is_compared_whole: self.is_compared_whole || other.is_compared_whole,
            open: match (self.open, other.open) {
                (Some(one), Some(other)) => Some(one.or(other)),
                (one, other) => one.or(other),
            },
        }
    }

    /// A value that an evaluation has made: it holds no more than it may make.
    pub(super) fn made(self) -> Self {
        Self {
            bytes: self.bytes.min(EVALUATION_MEMORY_BYTES_MAX),
            count: self.count.min(EVALUATION_MEMORY_BYTES_MAX / ITEM_BYTES),
            ..self
        }
    }

    /// An element, or a value of a map.
    pub(super) fn item(&self) -> Self {
        let item = self.item.as_deref().cloned().unwrap_or_else(Self::scalar);
        match self.open {
            Some(open) => open.size().or(&item),
            None => item,
        }
    }

    /// A key of a map.
    pub(super) fn key(&self) -> Self {
        self.key.as_deref().cloned().unwrap_or_else(Self::scalar)
    }

    /// Whether it may hold maps.
    pub(super) fn has_keys(&self) -> bool {
        self.open.is_some() || self.key.is_some() || self.item.as_deref().is_some_and(Self::has_keys)
    }

    /// Whether it may have elements.
    pub(super) fn has_items(&self) -> bool {
        self.item.is_some()
    }

    /// What comparing it with a value of another size costs.
    pub(super) fn comparing(&self, other: &Self) -> u64 {
        let texts = cost::of_bytes(self.bytes.min(other.bytes));
        let lesser = self.weight.min(other.weight);
        if self.is_compared_whole && other.is_compared_whole {
            return lesser.max(texts);
        }
        if !self.has_items() {
            return texts;
        }
        // Only lists and maps of one length are looked into.
        let count = self.count.min(other.count);
        let entry = self.item().weight.saturating_add(self.key.as_deref().map_or(0, |key| key.weight));
        texts.saturating_add(count.saturating_mul(entry).saturating_add(1).min(lesser))
    }
}

/// The cost of making a list or a map of so many values.
pub(super) fn of_items(count: u64) -> u64 {
    cost::of_bytes(count.saturating_mul(ITEM_BYTES))
}
