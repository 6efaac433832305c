//! What is wrong with a document that could not be read: the document is read a second time, slower, with an error type
//! that keeps what the first reader only says in words: which mistake it is, and the path to it.
//!
//! Every reader here passes on to serde_json's own; of a mistake found inside it, the note is taken from `found`.

use std::{cell::RefCell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};

use super::PathStep;
use crate::error::Detail;

/// The mistake for which `text`, which is JSON, is not a `T`; `None` if it is one. `path` tells where the text is.
pub(super) fn find<'de, T: Deserialize<'de>>(text: &'de [u8], path: &str) -> Option<Detail> {
    let found = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let Mistake { code, message, steps } = T::deserialize(Reader { inner: &mut deserializer, found: &found }).err()?;
    let mut path = path.to_owned();
    steps.iter().rev().for_each(|step| step.append_to(&mut path));
    let detail = Detail::new(code, message);
    Some(if path.is_empty() { detail } else { detail.at(path) })
}

/// What is wrong, and where: steps from the inside out.
#[derive(Debug)]
struct Mistake {
    code: &'static str,
    message: String,
    steps: Vec<PathStep>,
}

impl Mistake {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message, steps: Vec::new() }
    }

    fn below(mut self, step: PathStep) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("invalid_value", message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (unexpected, expected) = (in_json(unexpected), in_words(expected));
        Self::new("wrong_type", format!("invalid type: {unexpected}, expected {expected}"))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (unexpected, expected) = (in_json(unexpected), in_words(expected));
        Self::new("invalid_value", format!("invalid value: {unexpected}, expected {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new("unknown_value", format!("unknown value `{variant}`, expected {}", one_of(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new("unknown_field", format!("unknown field `{field}`, expected {}", one_of(expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("missing_field", format!("missing field `{field}`")).below(PathStep::Key(field.to_owned()))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("duplicate_key", format!("duplicate field `{field}`")).below(PathStep::Key(field.to_owned()))
    }
}

/// A value in the words of JSON.
fn in_json(value: Unexpected<'_>) -> String {
    match value {
        Unexpected::Map => "object".to_owned(),
        Unexpected::Seq => "list".to_owned(),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        value => value.to_string(),
    }
}

/// What is expected, without the names that Rust has for it.
fn in_words(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        _ => text,
    }
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [only] => only.clone(),
        [one, other] => format!("{one} or {other}"),
        many => format!("one of {}", many.join(", ")),
    }
}

/// Where a mistake is noted while it passes through a reader whose errors are words.
type Found<'f> = &'f RefCell<Option<Mistake>>;

fn note<E: de::Error>(found: Found<'_>, mistake: Mistake) -> E {
    let error = E::custom(&mistake);
    *found.borrow_mut() = Some(mistake);
    error
}

/// The mistake that was noted, or what the reader says by itself.
fn noted<E: fmt::Display>(found: Found<'_>, error: E) -> Mistake {
    found.borrow_mut().take().unwrap_or_else(|| de::Error::custom(error))
}

/// A reader, a visitor or a seed that passes on to another one.
struct Reader<'f, T> {
    inner: T,
    found: Found<'f>,
}

impl<'f, T> Reader<'f, T> {
    fn of<U>(&self, inner: U) -> Reader<'f, U> {
        Reader { inner, found: self.found }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reader<'_, D> {
    type Error = Mistake;

    /// By what is written: a value of another type is then refused by who expects it, with a typed error.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let visitor = self.of(visitor);
        self.inner.deserialize_any(visitor).map_err(|error| noted(self.found, error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let visitor = self.of(visitor);
        self.inner.deserialize_option(visitor).map_err(|error| noted(self.found, error))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        let visitor = self.of(visitor);
        self.inner.deserialize_newtype_struct(name, visitor).map_err(|error| noted(self.found, error))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.deserialize_any(Word { visitor, words })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// Reads one of some words.
struct Word<V> {
    visitor: V,
    words: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Word<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_of(self.words))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
        self.visitor.visit_enum(IntoDeserializer::<E>::into_deserializer(word))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        self.visitor.visit_enum(MapAccessDeserializer::new(entries))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Reader<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<V::Value, E> {
        self.inner.visit_bool(value).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<V::Value, E> {
        self.inner.visit_i64(value).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<V::Value, E> {
        self.inner.visit_u64(value).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<V::Value, E> {
        self.inner.visit_f64(value).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<V::Value, E> {
        self.inner.visit_str(value).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.inner.visit_borrowed_str(value).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit().map_err(|mistake| note(self.found, mistake))
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none().map_err(|mistake| note(self.found, mistake))
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.of(value);
        self.inner.visit_some(value).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.of(value);
        self.inner.visit_newtype_struct(value).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        let items = Items { inner: items, found: self.found, index: 0 };
        self.inner.visit_seq(items).map_err(|mistake| note(self.found, mistake))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        let entries = Entries { inner: entries, found: self.found, key: String::new() };
        self.inner.visit_map(entries).map_err(|mistake| note(self.found, mistake))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Reader<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.of(deserializer);
        self.inner.deserialize(deserializer).map_err(|mistake| note(self.found, mistake))
    }
}

struct Items<'f, A> {
    inner: A,
    found: Found<'f>,
    index: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let step = PathStep::Index(self.index);
        self.index += 1;
        let item = self.inner.next_element_seed(Reader { inner: seed, found: self.found });
        item.map_err(|error| noted(self.found, error).below(step))
    }
}

struct Entries<'f, A> {
    inner: A,
    found: Found<'f>,
    /// The key read last.
    key: String,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = Mistake;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let Some(key) = self.inner.next_key::<String>().map_err(|error| noted(self.found, error))? else {
            return Ok(None);
        };
        self.key.clone_from(&key);
        let key: StrDeserializer<'_, Mistake> = self.key.as_str().into_deserializer();
        match seed.deserialize(key) {
            Ok(value) => Ok(Some(value)),
            Err(mistake) => Err(mistake.below(PathStep::Key(self.key.clone()))),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        let value = self.inner.next_value_seed(Reader { inner: seed, found: self.found });
        value.map_err(|error| noted(self.found, error).below(PathStep::Key(self.key.clone())))
    }
}
