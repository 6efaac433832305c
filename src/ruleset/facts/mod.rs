//! Facts: read from JSON, checked and coerced by the schema.
//!
//! Every declared field that is present is checked, whether a rule reads it or not, so that a new rule never makes a
//! caller's valid facts invalid.

mod duration;
mod dynamic;
mod layout;
mod notes;
mod place;
mod reader;
mod scalar;

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    cel::{Activation, Frame, Value},
    error::Detail,
};
use layout::{Inner, Node};
use notes::Notes;
use place::Place;
use reader::{Fields, Key, ObjectReader};

pub(super) use layout::Layout;

/// What becomes of facts that the schema does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownFacts {
    /// Left out; [`Facts::unknown`] names them.
    #[default]
    Ignore,
    /// An error.
    Refuse,
}

/// Facts that fit a rule set's schema.
#[derive(Debug, Clone)]
pub struct Facts {
    activation: Activation,
    layout: Arc<Layout>,
    unknown: Vec<String>,
}

impl Facts {
    /// Paths of what was given and is not declared.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// What is there, as the rules of the set that read it find it.
    pub(super) fn activation(&self) -> &Activation {
        &self.activation
    }

    /// What the slots belong to.
    pub(super) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }
}

impl Layout {
    /// Reads facts for the rules of `frame`, or says everything that is wrong with them.
    pub fn read(self: &Arc<Self>, json: &str, policy: UnknownFacts, frame: &Arc<Frame>) -> Result<Facts, Vec<Detail>> {
        let mut notes = Notes::new(policy);
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let read = if json.trim_start().starts_with('{') {
            let reader = FactsReader { objects: &self.objects, notes: &mut notes };
            deserializer.deserialize_map(reader)
        } else {
            notes.hinted(&Place::root(), "type_mismatch", "facts are an object", "{\"age\": 25}");
            IgnoredAny::deserialize(&mut deserializer).map(|_| Vec::new())
        };
        match read.and_then(|objects| deserializer.end().map(|()| objects)) {
            Ok(objects) if notes.details.is_empty() => {
                let values = self.slots.iter().flatten().copied().zip(objects.into_iter().flatten());
                let mut activation = Activation::of(frame);
                values
                    .filter_map(|(slot, value)| Some((slot, value?)))
                    .for_each(|(slot, value)| activation.set(slot, value));
                Ok(Facts { activation, layout: Arc::clone(self), unknown: notes.unknown })
            }
            Ok(_) => Err(notes.details),
            Err(error) => {
                let message = format!("this is not JSON, line {} column {}", error.line(), error.column());
                notes.details.clear();
                notes.mistake(&Place::root(), "malformed_json", message);
                Err(notes.details)
            }
        }
    }
}

/// Reads the outermost object of facts: for each object of the schema, its fields.
struct FactsReader<'a> {
    objects: &'a [Node],
    notes: &'a mut Notes,
}

impl<'de> Visitor<'de> for FactsReader<'_> {
    type Value = Vec<Fields>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        let Self { objects, notes } = self;
        if let [Node { field, inner: Inner::Object(shape) }] = objects {
            return Ok(vec![read_only_object(&field.name, &shape.nodes, notes, access)?]);
        }
        let read = ObjectReader { nodes: objects, place: Place::root(), notes }.read(None, None, access)?;
        let fields = |(node, value): (&Node, &Option<Value>)| match (&node.inner, value) {
            (Inner::Object(shape), Some(Value::Object(object))) => {
                (0..shape.nodes.len()).map(|position| object.at(position).cloned()).collect()
            }
            (Inner::Object(shape), _) => vec![None; shape.nodes.len()],
            _ => Vec::new(),
        };
        Ok(objects.iter().zip(&read).map(fields).collect())
    }
}

/// Reads the facts of a schema with one object. Nested if its name is the only key, the value is an object, and no
/// field bears that name; otherwise flat.
fn read_only_object<'de, A: MapAccess<'de>>(
    name: &str,
    nodes: &[Node],
    notes: &mut Notes,
    mut access: A,
) -> Result<Fields, A::Error> {
    let place = Place::root();
    let flat = |notes| ObjectReader { nodes, place, notes };
    let first: Option<Key> = access.next_key()?;
    if first.as_ref().is_none_or(|Key(key)| *key != name) || nodes.iter().any(|node| node.field.name == name) {
        return flat(notes).read(None, first, access);
    }
    let value: &'de RawValue = access.next_value()?;
    let second: Option<Key> = access.next_key()?;
    if second.is_none() && value.get().starts_with('{') {
        let reader = ObjectReader { nodes, place: place.field(name, false), notes };
        let nested = reader.deserialize(&mut serde_json::Deserializer::from_str(value.get()));
        return nested.map_err(A::Error::custom);
    }
    notes.unknown(&place.key(name));
    flat(notes).read(Some(name), second, access)
}

#[cfg(test)]
mod tests;
