//! Values that the schema says nothing about: fields of type `dyn`, and facts it does not know.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    notes::Notes,
    place::Place,
    reader::{Key, too_deep},
};
use crate::{
    cel::{MapValue, Value},
    config::limits,
};

/// Reads any JSON. Whole numbers become `int` (`uint` where they are too great), others `double`.
pub(super) struct Dynamic<'a> {
    pub place: Place<'a>,
    pub notes: &'a mut Notes,
}

impl<'de> DeserializeSeed<'de> for Dynamic<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.place.depth > limits::JSON_DEPTH_MAX {
            self.notes.mistake(&self.place, "too_deep", too_deep());
            return IgnoredAny::deserialize(deserializer).map(|_| Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Dynamic<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Uint(value), Value::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        for index in 0.. {
            let place = self.place.element(index, false);
            match access.next_element_seed(Dynamic { place, notes: self.notes })? {
                Some(value) => values.push(value),
                None => break,
            }
        }
        Ok(Value::list(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = MapValue::default();
        while let Some(Key(key)) = access.next_key()? {
            let place = self.place.key(&key);
            let value = access.next_value_seed(Dynamic { place, notes: self.notes })?;
            if !map.insert(Value::from(&*key), value) {
                self.notes.mistake(&place, "duplicate_key", "this key stands here twice");
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }
}
