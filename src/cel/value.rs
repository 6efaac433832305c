//! The values of CEL: what they are, how they are made and shown. How they compare is `value/compare.rs`.

mod compare;
mod map;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::{
    network::Network,
    opaque::Opaque,
    types::{ObjectType, Type},
};

pub use map::MapValue;
pub(super) use map::key_is_valid;

/// A value. Cloning never copies its content.
#[derive(Debug, Clone)]
pub enum Value {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// A text.
    String(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A point in time.
    Timestamp(DateTime<Utc>),
    /// A length of time.
    Duration(TimeDelta),
    /// A list.
    List(Arc<[Value]>),
    /// A map.
    Map(Arc<MapValue>),
    /// An object with known fields.
    Object(Arc<ObjectValue>),
    /// A type, by its name at run time.
    Type(Arc<str>),
    /// A value that may be absent.
    Optional(Option<Arc<Value>>),
    /// An address or a range of addresses.
    Network(Arc<Network>),
    /// A web address, a quantity or a version.
    Opaque(Arc<Opaque>),
}

/// An object: a value, or none, for each field of its type.
#[derive(Debug)]
pub struct ObjectValue {
    object_type: Arc<ObjectType>,
    fields: Box<[Option<Value>]>,
}

impl ObjectValue {
    /// An object of `object_type`, whose fields are in the type's order; missing ones at the end are absent.
    pub fn new(object_type: Arc<ObjectType>, mut fields: Vec<Option<Value>>) -> Self {
        fields.resize_with(object_type.fields.len(), || None);
        Self { object_type, fields: fields.into_boxed_slice() }
    }

    /// Its type.
    pub fn object_type(&self) -> &Arc<ObjectType> {
        &self.object_type
    }

    /// The field at `position` of the type's fields, if it is present.
    pub fn at(&self, position: usize) -> Option<&Value> {
        self.fields.get(position).and_then(Option::as_ref)
    }

    /// The field called `name`, if it is present.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.object_type.position(name).and_then(|position| self.at(position))
    }

    /// The fields that are present, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.object_type
            .fields
            .iter()
            .zip(self.fields.iter())
            .filter_map(|(field, value)| value.as_ref().map(|value| (field.name.as_str(), value)))
    }
}

impl Value {
    /// A list.
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(items.into())
    }

    /// An optional with a value.
    pub fn some(value: Self) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(value) = self { Some(value) } else { None }
    }

    /// The name of its type, as `type()` gives it.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Object(object) => &object.object_type.name,
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Network(network) => network.type_name(),
            Self::Opaque(opaque) => opaque.type_name(),
        }
    }

    /// The static type of this one value, where its content says it.
    pub fn static_type(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Duration(_) => Type::Duration,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(_) => Type::map(Type::Dyn, Type::Dyn),
            Self::Object(object) => Type::Object(Arc::clone(&object.object_type)),
            Self::Type(_) => Type::Type(Arc::new(Type::Dyn)),
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Network(network) => Type::named(network.type_name()),
            Self::Opaque(opaque) => Type::named(opaque.type_name()),
        }
    }

    /// The value in JSON, for people to read: numbers that JSON lacks, times, bytes and types become texts.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null | Self::Optional(None) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => (*value).into(),
            Self::Uint(value) => (*value).into(),
            Self::Double(value) => {
                serde_json::Number::from_f64(*value).map_or_else(|| Json::String(value.to_string()), Json::Number)
            }
            Self::String(value) => Json::String(value.to_string()),
            Self::Bytes(value) => Json::String(STANDARD.encode(value)),
            Self::Timestamp(value) => Json::String(timestamp_text(*value)),
            Self::Duration(value) => Json::String(duration_text(*value)),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(map) => Json::Object(map.iter().map(|(key, value)| (key.key_text(), value.to_json())).collect()),
            Self::Object(object) => {
                Json::Object(object.iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect())
            }
            Self::Type(name) => Json::String(name.to_string()),
            Self::Optional(Some(value)) => value.to_json(),
            Self::Network(network) => Json::String(network.to_string()),
            Self::Opaque(opaque) => Json::String(opaque.to_string()),
        }
    }

    fn key_text(&self) -> String {
        match self {
            Self::String(text) => text.to_string(),
            other => other.to_json().to_string(),
        }
    }
}

/// The text of a timestamp: RFC 3339 in UTC, with as many digits after the second as it has.
pub(super) fn timestamp_text(value: DateTime<Utc>) -> String {
    let text = value.to_rfc3339_opts(SecondsFormat::Nanos, true);
    match text.strip_suffix('Z').map(|text| text.trim_end_matches('0').trim_end_matches('.')) {
        Some(trimmed) => format!("{trimmed}Z"),
        None => text,
    }
}

/// The text of a duration: seconds, with as many digits after the point as it has.
pub(super) fn duration_text(value: TimeDelta) -> String {
    let (seconds, nanos) = (value.num_seconds(), value.subsec_nanos());
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let fraction = format!("{:09}", nanos.unsigned_abs());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}s", seconds.unsigned_abs())
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::list(items)
    }
}

/// Any JSON value, as a field of type `dyn` takes it: whole numbers are `int`, or `uint` where they do not fit.
impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .or_else(|| number.as_u64().map(Self::Uint))
                .unwrap_or_else(|| Self::Double(number.as_f64().unwrap_or(f64::NAN))),
            Json::String(text) => Self::String(text.as_str().into()),
            Json::Array(items) => Self::list(items.iter().map(Self::from).collect()),
            Json::Object(entries) => Self::Map(Arc::new(
                entries.iter().map(|(key, value)| (Self::from(key.as_str()), Self::from(value))).collect(),
            )),
        }
    }
}
