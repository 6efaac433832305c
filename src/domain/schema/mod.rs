//! Schemas: the shape of a tenant's facts, and how it is written in JSON.
//!
//! A schema says what facts look like; reading facts by it is the rule set's work.

mod bounds;
mod field;
mod reader;
mod type_name;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::SchemaVersion;
use crate::error::Detail;

pub use field::{Bounds, Field, FieldType};

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
#[derive(Debug, Clone)]
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

impl SchemaDefinition {
    /// Reads a definition, or says everything that is wrong with it, each with its path below `definition`.
    pub fn parse(json: &Value) -> Result<Self, Vec<Detail>> {
        let objects = reader::read(json)?;
        Ok(Self { objects, json: json.clone() })
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

/// Two definitions are equal if they say the same, in whatever words.
impl PartialEq for SchemaDefinition {
    fn eq(&self, other: &Self) -> bool {
        self.objects == other.objects
    }
}

#[cfg(test)]
mod tests;
