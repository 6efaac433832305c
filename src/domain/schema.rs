//! Schemas: the shape of a tenant's facts, and how it is written in JSON.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::SchemaVersion;
use crate::error::Detail;

/// A schema version as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Its number.
    pub version: SchemaVersion,
    /// What it says.
    pub definition: Arc<SchemaDefinition>,
    /// Whether it is the one in use.
    pub active: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The objects that facts consist of.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaDefinition {
    objects: Vec<ObjectDefinition>,
    json: Value,
}

/// One object: in CEL, `<name>.<field>`.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectDefinition {
    /// Its name.
    pub name: String,
    /// Its fields, by name.
    pub fields: Vec<Field>,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub field_type: FieldType,
    /// Whether facts without it are refused.
    pub required: bool,
    /// What its values must satisfy.
    pub bounds: Bounds,
    /// Whether its values are masked wherever facts are shown.
    pub sensitive: bool,
    /// What it is.
    pub description: Option<String>,
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    /// `int`: 64 bits, signed.
    Int,
    /// `uint`: 64 bits, unsigned.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bool`.
    Bool,
    /// `bytes`, in JSON as base64.
    Bytes,
    /// `timestamp`, in JSON as RFC 3339.
    Timestamp,
    /// `duration`, in JSON as CEL writes it: `1h30m`, `2.5s`.
    Duration,
    /// Any JSON value.
    Dyn,
    /// `list<T>`; its elements have bounds of their own.
    List(Box<Field>),
    /// `map<string, T>`; its values have bounds of their own.
    Map(Box<Field>),
    /// An object inside an object.
    Object(Vec<Field>),
}

/// What a value must satisfy beyond its type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bounds {
    /// The only values allowed, if any are named.
    pub allowed: Vec<Value>,
    /// Characters of a string, or bytes of `bytes`, at most.
    pub max_length: Option<u64>,
    /// Elements of a list or entries of a map, at most.
    pub max_items: Option<u64>,
    /// The least number allowed.
    pub minimum: Option<f64>,
    /// The greatest number allowed.
    pub maximum: Option<f64>,
}

impl SchemaDefinition {
    /// Reads a definition, or says everything that is wrong with it, each with its path below `definition`.
    pub fn parse(json: &Value) -> Result<Self, Vec<Detail>> {
        let _ = json;
        todo!("schema helper")
    }

    /// The objects, by name.
    pub fn objects(&self) -> &[ObjectDefinition] {
        &self.objects
    }

    /// The definition as it was written.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Whether callers that send their facts flat under `self` are misread under `next`.
    pub fn breaks_flat_callers(&self, next: &Self) -> bool {
        self.objects.len() == 1 && next.objects.len() > 1
    }
}
