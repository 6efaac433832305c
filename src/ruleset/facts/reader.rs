//! Reads JSON by a schema, without a tree in between: each field is checked as it passes.
//!
//! A mistake is noted and reading goes on, so that all of them are answered at once; only JSON that is broken, or
//! nests too deep, ends it.

use std::{borrow::Cow, collections::HashSet, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    dynamic::Dynamic,
    layout::{Inner, Node},
    notes::Notes,
    place::Place,
    scalar::{Number, mismatch, read_bool, read_number, read_text},
};
use crate::{
    cel::{MapValue, ObjectValue, Value},
    config::limits,
    domain::{Field, FieldType},
};

/// What a field's value was read as; `None` if it counts as missing, or is wrong.
pub(super) struct FieldReader<'a> {
    pub node: &'a Node,
    pub place: Place<'a>,
    pub notes: &'a mut Notes,
}

impl<'de> DeserializeSeed<'de> for FieldReader<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.place.depth > limits::JSON_DEPTH_MAX {
            self.notes.mistake(&self.place, "too_deep", too_deep());
            return IgnoredAny::deserialize(deserializer).map(|_| None);
        }
        match self.node.field.field_type {
            FieldType::Dyn => Dynamic { place: self.place, notes: self.notes }.deserialize(deserializer).map(Some),
            _ => deserializer.deserialize_any(self),
        }
    }
}

/// What is said of JSON that nests deeper than it may.
pub(super) fn too_deep() -> String {
    format!("JSON nests at most {} levels deep", limits::JSON_DEPTH_MAX)
}

impl<'de> Visitor<'de> for FieldReader<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(read_bool(&self.node.field, &self.place, self.notes, value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(read_number(&self.node.field, &self.place, self.notes, Number::Negative(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(read_number(&self.node.field, &self.place, self.notes, Number::Positive(value)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(read_number(&self.node.field, &self.place, self.notes, Number::Fraction(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(read_text(&self.node.field, &self.place, self.notes, value))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        match &self.node.inner {
            Inner::Items(items) => read_list(&self.node.field, items, &self.place, self.notes, access).map(Some),
            _ => {
                mismatch(&self.node.field, &self.place, self.notes, "a list");
                while access.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        match &self.node.inner {
            Inner::Object(shape) => {
                let reader = ObjectReader { nodes: &shape.nodes, place: self.place, notes: self.notes };
                let fields = reader.read(None, None, access)?;
                Ok(Some(Value::Object(Arc::new(ObjectValue::new(Arc::clone(&shape.object_type), fields)))))
            }
            Inner::Values(values) => read_map(&self.node.field, values, &self.place, self.notes, access).map(Some),
            _ => {
                mismatch(&self.node.field, &self.place, self.notes, "an object");
                while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
    }
}

fn read_list<'de, A: SeqAccess<'de>>(
    field: &Field,
    items: &Node,
    place: &Place,
    notes: &mut Notes,
    mut access: A,
) -> Result<Value, A::Error> {
    let most = field.items_max();
    let mut values = Vec::new();
    for index in 0.. {
        if index as u64 >= most {
            if access.next_element::<IgnoredAny>()?.is_some() {
                notes.mistake(place, "too_many_items", format!("this has at most {most} elements"));
                while access.next_element::<IgnoredAny>()?.is_some() {}
            }
            break;
        }
        let place = place.element(index, items.field.sensitive);
        let mistakes = notes.details.len();
        match access.next_element_seed(FieldReader { node: items, place, notes })? {
            None => break,
            Some(Some(value)) => values.push(value),
            Some(None) if notes.details.len() == mistakes => mismatch(&items.field, &place, notes, "null"),
            Some(None) => {}
        }
    }
    Ok(Value::list(values))
}

fn read_map<'de, A: MapAccess<'de>>(
    field: &Field,
    values: &Node,
    place: &Place,
    notes: &mut Notes,
    mut access: A,
) -> Result<Value, A::Error> {
    let most = field.items_max();
    let mut seen: HashSet<String> = HashSet::new();
    let mut map = MapValue::default();
    while let Some(Key(key)) = access.next_key()? {
        if seen.len() as u64 >= most && !seen.contains(&*key) {
            notes.mistake(place, "too_many_items", format!("this has at most {most} entries"));
            access.next_value::<IgnoredAny>()?;
            while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            break;
        }
        let inner = place.key(&key);
        if !seen.insert(key.clone().into_owned()) {
            notes.mistake(&inner, "duplicate_key", "this key stands here twice");
        }
        let inner = inner.marked(values.field.sensitive);
        if let Some(value) = access.next_value_seed(FieldReader { node: values, place: inner, notes })? {
            map.insert(Value::from(&*key), value);
        }
    }
    Ok(Value::Map(Arc::new(map)))
}

/// The fields of an object, in the order of its shape; `None` where one is not there.
pub(super) type Fields = Vec<Option<Value>>;

/// Reads an object whose fields the schema knows.
pub(super) struct ObjectReader<'a> {
    pub nodes: &'a [Node],
    pub place: Place<'a>,
    pub notes: &'a mut Notes,
}

impl<'de> DeserializeSeed<'de> for ObjectReader<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectReader<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        self.read(None, None, access)
    }
}

impl ObjectReader<'_> {
    /// Reads what `access` still holds. `passed` is a key that was read with its value, and that no field bears;
    /// `pending` one that was read and whose value comes next.
    pub fn read<'de, A: MapAccess<'de>>(
        self,
        passed: Option<&str>,
        mut pending: Option<Key<'de>>,
        mut access: A,
    ) -> Result<Fields, A::Error> {
        let Self { nodes, place, notes } = self;
        let mut values = vec![None; nodes.len()];
        let mut seen = vec![false; nodes.len()];
        let mut strange: HashSet<String> = passed.map(str::to_owned).into_iter().collect();
        while let Some(Key(key)) = pending.take().map_or_else(|| access.next_key(), |key| Ok(Some(key)))? {
            let known = nodes.binary_search_by(|node| node.field.name.as_str().cmp(&key)).ok();
            let known = known.and_then(|index| Some((nodes.get(index)?, seen.get_mut(index)?, values.get_mut(index)?)));
            let Some((node, seen, value)) = known else {
                let place = place.key(&key);
                if strange.insert(key.clone().into_owned()) {
                    notes.unknown(&place);
                } else {
                    notes.mistake(&place, "duplicate_key", "this key stands here twice");
                }
                access.next_value_seed(Dynamic { place, notes })?;
                continue;
            };
            let place = place.field(&node.field.name, node.field.sensitive);
            if std::mem::replace(seen, true) {
                notes.mistake(&place, "duplicate_key", "this field stands here twice");
            }
            let mistakes = notes.details.len();
            *value = access.next_value_seed(FieldReader { node, place, notes })?;
            if value.is_none() && node.field.required && notes.details.len() == mistakes {
                require(&place, notes);
            }
        }
        let missing = nodes.iter().zip(&seen).filter(|(node, seen)| node.field.required && !**seen);
        for (node, _) in missing {
            require(&place.field(&node.field.name, false), notes);
        }
        Ok(values)
    }
}

/// Notes that a required field is missing.
fn require(place: &Place, notes: &mut Notes) {
    notes.mistake(place, "required_missing", "this is required");
}

/// A key, borrowed from the input where it needs no unescaping.
#[derive(Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub Cow<'a, str>);
