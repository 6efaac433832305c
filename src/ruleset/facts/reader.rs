//! Reads JSON by a schema, without a tree in between: each field is checked as it passes.
//!
//! A mistake is noted and reading goes on, so that all of them are answered at once; only JSON that is broken ends it.

use std::sync::Arc;

use super::{
    keys::SeenKeys,
    layout::{Inner, Node, Shape},
    marks::Marks,
    notes::Notes,
    place::FactPath,
    scalar::{mismatch, read_bool, read_number, read_text},
    scanner::{Malformed, Read, Scanner},
};
use crate::{
    cel::{MapValue, ObjectValue, Value},
    config::limits,
    domain::{Field, FieldType},
};

/// Facts on their way in.
pub(super) struct Reader<'j> {
    pub scanner: Scanner<'j>,
    pub notes: Notes,
    /// Levels of the deepest list or object so far.
    pub depth: usize,
}

impl Reader<'_> {
    /// Takes the `{` that comes next; whether there are entries.
    #[inline]
    pub fn begin_object(&mut self, place: &FactPath) -> Read<bool> {
        self.depth = self.depth.max(place.depth);
        self.scanner.expect(b'{')?;
        Ok(!self.scanner.eat(b'}'))
    }

    /// Takes the `[` that comes next; whether there are elements.
    pub fn begin_list(&mut self, place: &FactPath) -> Read<bool> {
        self.depth = self.depth.max(place.depth);
        self.scanner.expect(b'[')?;
        Ok(!self.scanner.eat(b']'))
    }

    /// Whether JSON nests deeper than it may, which is noted.
    #[inline]
    pub fn is_too_deep(&mut self, place: &FactPath) -> bool {
        let is_too_deep = place.depth > limits::JSON_DEPTH_MAX;
        if is_too_deep {
            self.note_depth(place);
        }
        is_too_deep
    }

    #[cold]
    fn note_depth(&mut self, place: &FactPath) {
        let message = format!("JSON nests at most {} levels deep", limits::JSON_DEPTH_MAX);
        self.notes.mistake(place, "too_deep", message);
    }

    /// The value of a field; `None` if it counts as missing, or is wrong.
    pub fn value(&mut self, node: &Node, place: &FactPath) -> Read<Option<Value>> {
        let field = &node.field;
        if self.is_too_deep(place) {
            return self.scanner.skip().map(|()| None);
        }
        if matches!(field.field_type, FieldType::Dyn) {
            return self.any(&field.bounds, place, 0).map(Some);
        }
        match self.scanner.peek() {
            Some(b'"') => {
                let text = self.scanner.string()?;
                Ok(read_text(field, place, &mut self.notes, &text))
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.scanner.number()?;
                Ok(read_number(field, place, &mut self.notes, number))
            }
            Some(b't') => {
                self.scanner.literal("true")?;
                Ok(read_bool(field, place, &mut self.notes, true))
            }
            Some(b'f') => {
                self.scanner.literal("false")?;
                Ok(read_bool(field, place, &mut self.notes, false))
            }
            Some(b'n') => self.scanner.literal("null").map(|()| None),
            Some(b'[') => match &node.inner {
                Inner::Items(items) => self.list(field, items, place).map(Some),
                _ => self.unfit(field, place, "a list"),
            },
            Some(b'{') => match &node.inner {
                Inner::Object(shape) => self.object(shape, place).map(Some),
                Inner::Values(values) => self.map(field, values, place).map(Some),
                _ => self.unfit(field, place, "an object"),
            },
            _ => Err(Malformed),
        }
    }

    #[cold]
    fn unfit(&mut self, field: &Field, place: &FactPath, found: &str) -> Read<Option<Value>> {
        mismatch(field, place, &mut self.notes, found);
        self.scanner.skip().map(|()| None)
    }

    fn list(&mut self, field: &Field, items: &Node, place: &FactPath) -> Read<Value> {
        let most = field.items_max();
        let mut values = Vec::new();
        if !self.begin_list(place)? {
            return Ok(Value::list(values));
        }
        for index in 0.. {
            if index as u64 >= most {
                self.notes.wrong(place, "too_many_items", format!("has at most {most} elements"));
                self.scanner.skip_elements()?;
                break;
            }
            let place = place.element(index, items.field.sensitive);
            let mistakes = self.notes.details.len();
            match self.value(items, &place)? {
                Some(value) => values.push(value),
                None if self.notes.details.len() == mistakes => {
                    mismatch(&items.field, &place, &mut self.notes, "null");
                }
                None => {}
            }
            if !self.scanner.more(b']')? {
                break;
            }
        }
        Ok(Value::list(values))
    }

    fn map(&mut self, field: &Field, values: &Node, place: &FactPath) -> Read<Value> {
        let most = field.items_max();
        let mut keys = SeenKeys::default();
        let mut map = MapValue::default();
        let mut is_open = self.begin_object(place)?;
        while is_open {
            let key = self.scanner.string()?;
            self.scanner.expect(b':')?;
            let is_known = keys.contains(&key);
            if keys.len() as u64 >= most && !is_known {
                self.notes.wrong(place, "too_many_items", format!("has at most {most} entries"));
                self.scanner.skip_entries()?;
                break;
            }
            let inner = place.key(&key);
            if is_known {
                self.notes.wrong(&inner, "duplicate_key", "is a duplicate key");
            }
            let inner = inner.marked(values.field.sensitive);
            if let Some(value) = self.value(values, &inner)? {
                map.insert(Value::from(&*key), value);
            }
            keys.insert(key);
            is_open = self.scanner.more(b'}')?;
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn object(&mut self, shape: &Shape, place: &FactPath) -> Read<Value> {
        let mut fields = Vec::with_capacity(shape.nodes.len());
        fields.resize_with(shape.nodes.len(), || None);
        self.fields(shape, place, &mut |reader, position, node, place| {
            let value = reader.value(node, place)?;
            let is_there = value.is_some();
            if let Some(field) = fields.get_mut(position) {
                *field = value;
            }
            Ok(is_there)
        })?;
        Ok(Value::Object(Arc::new(ObjectValue::new(Arc::clone(&shape.object_type), fields))))
    }

    /// An object whose fields the schema knows. `fill` reads the value of one and puts it where it belongs; whether it
    /// was there, neither `null` nor wrong.
    pub fn fields(
        &mut self,
        shape: &Shape,
        place: &FactPath,
        fill: &mut impl FnMut(&mut Self, usize, &Node, &FactPath) -> Read<bool>,
    ) -> Read<()> {
        let mut seen = Marks::default();
        let mut strange = SeenKeys::default();
        let mut before = None;
        let mut is_open = self.begin_object(place)?;
        while is_open {
            let expected = shape.order.after(before);
            let found = match shape.nodes.get(expected) {
                Some(node) if self.scanner.eat_key(&node.field.name) => Some((expected, node)),
                _ => {
                    let key = self.scanner.string()?;
                    let found = shape.find(&key);
                    if found.is_none() {
                        self.strange(shape, &place.key(&key), strange.insert(key.clone()))?;
                    }
                    found.inspect(|(position, _)| shape.order.learn(before, *position))
                }
            };
            if let Some((position, node)) = found {
                self.scanner.expect(b':')?;
                let place = place.field(&node.field.name, node.field.sensitive);
                if !seen.mark(position) {
                    self.notes.wrong(&place, "duplicate_key", "is a duplicate key");
                }
                let mistakes = self.notes.details.len();
                if !fill(self, position, node, &place)? && node.field.required && self.notes.details.len() == mistakes {
                    require(&place, &mut self.notes);
                }
                before = Some(position);
            }
            is_open = self.scanner.more(b'}')?;
        }
        if !seen.has_all(&shape.required) {
            self.require_missing(shape, place, &seen);
        }
        Ok(())
    }

    /// A fact that no field is named like; its key was read.
    #[cold]
    fn strange(&mut self, shape: &Shape, place: &FactPath, is_new: bool) -> Read<()> {
        if is_new {
            self.notes.unknown(place, shape.nodes.iter().map(|node| node.field.name.as_str()));
        } else {
            self.notes.wrong(place, "duplicate_key", "is a duplicate key");
        }
        self.scanner.expect(b':')?;
        self.pass(place)
    }

    #[cold]
    fn require_missing(&mut self, shape: &Shape, place: &FactPath, seen: &Marks) {
        for (position, node) in shape.nodes.iter().enumerate() {
            if node.field.required && !seen.has(position) {
                require(&place.field(&node.field.name, false), &mut self.notes);
            }
        }
    }
}

/// Notes that a required field is missing.
fn require(place: &FactPath, notes: &mut Notes) {
    notes.wrong(place, "required_missing", "is required");
}
