//! Reading a document as a JSON value. Not checking what it says.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Malformed, place_of, scalar, without_mark};
use crate::{domain::quote::quoted, error::Detail};

/// Reads a document; `Null` if there is nothing in it.
pub(in crate::cli) fn read(text: &str) -> Result<Value, Malformed> {
    let noted = RefCell::new(None);
    let bare = without_mark(text);
    let read = ValueSeed { noted: &noted }.deserialize(serde_yaml_ng::Deserializer::from_str(bare));
    read.map_err(|error| {
        let begin = place_of(&error, text);
        let detail = noted.take().unwrap_or_else(|| malformed(&error));
        Malformed { detail, place: begin.map(|begin| begin..scalar::word_end(text, begin)) }
    })
    .or_else(|malformed| if is_blank(bare) { Ok(Value::Null) } else { Err(malformed) })
}

/// Whether a text has nothing but comments and space.
fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

fn malformed(error: &serde_yaml_ng::Error) -> Detail {
    let text = error.to_string();
    // The place is shown beside the message.
    let message = text.split(" at line ").next().unwrap_or(&text);
    match message {
        text if text.contains("more than one document") => {
            Detail::new("malformed_yaml", "the file has more than one YAML document").hint("put each into its own file")
        }
        text => Detail::new("malformed_yaml", format!("invalid YAML: {text}")),
    }
}

/// Where a mistake of ours is noted, while the parser's error carries its place.
type Noted<'a> = &'a RefCell<Option<Detail>>;

fn fail<E: Error>(noted: Noted, code: &'static str, message: String, hint: &str) -> E {
    let error = E::custom(&message);
    *noted.borrow_mut() = Some(Detail::new(code, message).hint(hint));
    error
}

struct ValueSeed<'a> {
    noted: Noted<'a>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| {
            fail(self.noted, "value_invalid", "a number must be finite".to_owned(), "quote it if it is a string")
        })
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(ValueSeed { noted: self.noted })? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key_seed(KeySeed { known: &map, noted: self.noted })? {
            let value = access.next_value_seed(ValueSeed { noted: self.noted })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        let message = "tags are not supported".to_owned();
        Err(fail(self.noted, "tag_unknown", message, "quote the value if the `!` belongs to it"))
    }
}

/// A key that has not been there yet.
struct KeySeed<'a> {
    known: &'a Map<String, Value>,
    noted: Noted<'a>,
}

impl KeySeed<'_> {
    fn no_text<E: Error>(&self) -> E {
        fail(self.noted, "key_invalid", "a key must be a string".to_owned(), "quote it")
    }
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        if self.known.contains_key(key) {
            let message = format!("duplicate key `{}`", quoted(key));
            return Err(fail(self.noted, "key_duplicate", message, "remove one"));
        }
        Ok(key.to_owned())
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Err(self.no_text())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<String, E> {
        Err(self.no_text())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<String, E> {
        Err(self.no_text())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<String, E> {
        Err(self.no_text())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<String, E> {
        Err(self.no_text())
    }
}
