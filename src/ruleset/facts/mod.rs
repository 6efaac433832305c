//! Facts: read from JSON, checked and coerced by the schema.
//!
//! Every declared field that is present is checked, whether a rule reads it or not, so that a new rule never makes a
//! caller's valid facts invalid.

mod dynamic;
mod kept;
mod keys;
mod layout;
mod marks;
mod notes;
mod place;
mod reader;
mod scalar;
mod scanner;
mod shown;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    cel::{Activation, Frame, Slot, Value},
    error::Detail,
};
use layout::{Inner, Node, Shape};
use notes::Notes;
use place::FactPath;
use reader::Reader;
use scanner::{Read, Scanner};

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
    unknown: Vec<Unknown>,
    depth: usize,
}

/// A fact that the schema does not declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its path.
    pub path: String,
    /// Whether it is under none of the objects of a schema with several.
    pub is_misplaced: bool,
}

impl Facts {
    /// What was given and is not declared.
    pub fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }

    /// The names of the objects that facts are sent under.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        self.layout.objects.nodes.iter().map(|object| object.field.name.as_str())
    }

    /// Levels of JSON that they had, their own object included.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The same facts at this time, which rules read as `now`. It is a fact like the others: all rules of a decision read
    /// the same, and nothing keeps what follows from it longer.
    #[must_use]
    pub fn at(mut self, time: DateTime<Utc>) -> Self {
        if let Some(slot) = self.layout.now() {
            self.activation.set(slot, Value::Timestamp(time));
        }
        self
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
        let notes = Notes::new(policy, self.only().is_none());
        let mut reader = Reader { scanner: Scanner::new(json), notes, depth: 0 };
        let mut activation = Activation::of(frame);
        let read = match reader.scanner.peek() {
            Some(b'{') => self.read_object(&mut reader, &mut activation),
            _ => {
                reader.notes.wrong_as(&FactPath::root(), "type_mismatch", "are an object", "{\"age\": 25}");
                reader.scanner.skip()
            }
        };
        if read.and_then(|()| reader.scanner.end()).is_err() {
            return Err(vec![malformed(&reader.scanner)]);
        }
        let Reader { notes, depth, .. } = reader;
        if !notes.details.is_empty() {
            return Err(notes.details);
        }
        Ok(Facts { activation, layout: Arc::clone(self), unknown: notes.unknown, depth })
    }

    /// Reads the outermost object. In that of a schema with one object its fields are in it, or under its name.
    fn read_object(&self, reader: &mut Reader, activation: &mut Activation) -> Read<()> {
        let place = FactPath::root();
        let ([Node { field, inner: Inner::Object(shape) }], [slots]) = (&*self.objects.nodes, &*self.slots) else {
            return self.read_objects(reader, activation);
        };
        let begin = reader.scanner.clone();
        if reader.begin_object(&place)?
            && reader.scanner.key_may_begin_with(field.name.bytes().next())
            && self.is_wrapped_by(&reader.scanner.string()?)
        {
            reader.scanner.expect(b':')?;
            if reader.scanner.peek() == Some(b'{') {
                let noted = reader.notes.clone();
                read_fields(reader, activation, shape, slots, &place.field(&field.name, false))?;
                if !reader.scanner.more(b'}')? {
                    return Ok(());
                }
                // Another key: this one was no more than a fact of that name.
                reader.notes = noted;
                for slot in slots {
                    activation.clear(*slot);
                }
            }
        }
        reader.scanner = begin;
        read_fields(reader, activation, shape, slots, &place)
    }

    /// Reads the outermost object of a schema with several: each is a field of that name.
    fn read_objects(&self, reader: &mut Reader, activation: &mut Activation) -> Read<()> {
        reader.fields(&self.objects, &FactPath::root(), &mut |reader, position, node, place| match (
            &node.inner,
            self.slots.get(position),
            reader.scanner.peek(),
        ) {
            (Inner::Object(shape), Some(slots), Some(b'{')) => {
                read_fields(reader, activation, shape, slots, place).map(|()| true)
            }
            _ => reader.value(node, place).map(|value| value.is_some()),
        })
    }
}

/// Reads the fields of an object into their slots.
fn read_fields(
    reader: &mut Reader,
    activation: &mut Activation,
    shape: &Shape,
    slots: &[Slot],
    place: &FactPath,
) -> Read<()> {
    reader.fields(shape, place, &mut |reader, position, node, place| {
        let (Some(value), Some(slot)) = (reader.value(node, place)?, slots.get(position)) else { return Ok(false) };
        activation.set(*slot, value);
        Ok(true)
    })
}

#[cold]
fn malformed(scanner: &Scanner) -> Detail {
    let (line, column) = scanner.position();
    let message = format!("this is not JSON, line {line} column {column}");
    Detail::new("malformed_json", message).at(FactPath::root().path())
}

#[cfg(test)]
mod tests;
