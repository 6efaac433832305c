//! Our values as the interpreter's, and back.

use std::{collections::HashMap, sync::Arc};

use cel::{
    Value as Raw,
    objects::{Key, Map, OptionalValue},
};
use chrono::Utc;

use crate::cel::Value;

/// The interpreter's value. An object is a map of the fields it has; what no fact can be is `null`.
pub(super) fn from_value(value: &Value) -> Raw {
    match value {
        Value::Null | Value::Type(_) | Value::Network(_) | Value::Optional(None) => Raw::Null,
        Value::Bool(value) => Raw::Bool(*value),
        Value::Int(value) => Raw::Int(*value),
        Value::Uint(value) => Raw::UInt(*value),
        Value::Double(value) => Raw::Float(*value),
        Value::String(value) => Raw::String(Arc::new(value.to_string())),
        Value::Bytes(value) => Raw::Bytes(Arc::new(value.to_vec())),
        Value::Timestamp(value) => Raw::Timestamp(value.fixed_offset()),
        Value::Duration(value) => Raw::Duration(*value),
        Value::List(items) => Raw::List(Arc::new(items.iter().map(from_value).collect())),
        Value::Map(entries) => map(entries.iter().filter_map(|(name, value)| Some((key(name)?, from_value(value))))),
        Value::Object(object) => map(object.iter().map(|(name, value)| (Key::from(name), from_value(value)))),
        Value::Optional(Some(value)) => from_value(value),
    }
}

/// A map of the interpreter.
pub(super) fn map(entries: impl Iterator<Item = (Key, Raw)>) -> Raw {
    Raw::Map(Map { map: Arc::new(entries.collect::<HashMap<_, _>>()) })
}

fn key(value: &Value) -> Option<Key> {
    Some(match value {
        Value::Bool(value) => Key::Bool(*value),
        Value::Int(value) => Key::Int(*value),
        Value::Uint(value) => Key::Uint(*value),
        Value::String(value) => Key::from(value.as_ref()),
        _ => return None,
    })
}

/// Our value; `None` for a kind that no expression may end with. An optional is its value, or `null`.
pub(super) fn to_value(raw: &Raw) -> Option<Value> {
    Some(match raw {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(*value),
        Raw::Int(value) => Value::Int(*value),
        Raw::UInt(value) => Value::Uint(*value),
        Raw::Float(value) => Value::Double(*value),
        Raw::String(value) => Value::from(value.as_str()),
        Raw::Bytes(value) => Value::Bytes(value.as_slice().into()),
        Raw::Timestamp(value) => Value::Timestamp(value.with_timezone(&Utc)),
        Raw::Duration(value) => Value::Duration(*value),
        Raw::List(items) => Value::List(items.iter().map(to_value).collect::<Option<_>>()?),
        Raw::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| Some((key_value(key), to_value(value)?)));
            Value::Map(Arc::new(entries.collect::<Option<_>>()?))
        }
        Raw::Opaque(_) => match <&OptionalValue>::try_from(raw).ok()?.value() {
            Some(value) => to_value(value)?,
            None => Value::Null,
        },
        _ => return None,
    })
}

fn key_value(key: &Key) -> Value {
    match key {
        Key::Bool(value) => Value::Bool(*value),
        Key::Int(value) => Value::Int(*value),
        Key::Uint(value) => Value::Uint(*value),
        Key::String(value) => Value::from(value.as_str()),
    }
}
