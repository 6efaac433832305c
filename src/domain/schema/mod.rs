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
    /// When it was created.
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

    /// Whether callers that name the object are misread under `next`: they mean the object, and a field bears its name
    /// there; or they mean such a field, and there is none any more.
    pub fn breaks_named_callers(&self, next: &Self) -> bool {
        let Some(after) = next.only() else { return false };
        match self.only() {
            Some(before) if before.bears_its_name() => after.name == before.name && !after.bears_its_name(),
            _ => self.objects.iter().any(|object| after.bears(&object.name)),
        }
    }

    /// What is accepted and may surprise.
    pub fn warnings(&self) -> Vec<Detail> {
        let Some(object) = self.only().filter(|object| object.bears_its_name()) else { return Vec::new() };
        let name = &object.name;
        let message =
            format!("`{name}` has a field `{name}`: `{{\"{name}\": …}}` is that field, and facts are sent flat alone");
        let hint = "call one of them otherwise, so that facts may be sent under the name of the object as well";
        vec![Detail::new("object_name_as_field", message).at(format!("definition.{name}.{name}")).hint(hint)]
    }

    fn only(&self) -> Option<&ObjectDefinition> {
        if let [only] = self.objects.as_slice() { Some(only) } else { None }
    }

    /// Whether callers that send their facts flat under `self` are misread under `next`.
    pub fn breaks_flat_callers(&self, next: &Self) -> bool {
        self.objects.len() == 1 && next.objects.len() > 1
    }
}

impl ObjectDefinition {
    fn bears(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// Whether a field has the object's own name, so that facts are never looked for under it.
    fn bears_its_name(&self) -> bool {
        self.bears(&self.name)
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
