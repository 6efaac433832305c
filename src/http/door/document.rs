//! A JSON document into a request: broken JSON is 400; a wrong type, an unknown or a missing field 422 with its path.
//!
//! Requests are typed all through; what a value means is for the resource's own file to say.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::error::Category;

use super::{Error, strict};
use crate::error::Detail;

/// Reads a whole document strictly.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    strict::check(text, "", 0)?;
    envelope(text, "")
}

/// Reads a document whose raw parts are looked at later, each for itself; `path` tells where it stands.
pub fn envelope<'de, T: Deserialize<'de>>(text: &'de [u8], path: &str) -> Result<T, Error> {
    let read = serde_json::from_slice::<Object<T>>(text);
    read.map(|object| object.0).map_err(|error| match error.classify() {
        // What is no JSON at all further on is malformed, whatever came before it; and where one of some words should
        // stand, the reader calls a number malformed.
        Category::Data | Category::Syntax => {
            strict::well_formed(text).err().unwrap_or_else(|| Error::invalid_one(mistake::<T>(text, path, &error)))
        }
        Category::Io | Category::Eof => strict::malformed(&error),
    })
}

/// A value written as an object. Without it the fields of a struct could be written as a list, in their order.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(Object)
    }
}

/// A field that may be left out, and is never `null` unless `T` takes it: `None` means left out.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads once more, slower, to learn where the mistake is.
fn mistake<'de, T: Deserialize<'de>>(text: &'de [u8], path: &str, error: &serde_json::Error) -> Detail {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let located = serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer).err();
    let place = located.map(|located| located.path().to_string()).filter(|place| place != ".").unwrap_or_default();
    describe(&strict::reason(error), join(path, &place))
}

/// `items[3]` and `facts` as `items[3].facts`.
fn join(path: &str, place: &str) -> String {
    match (path.is_empty(), place.is_empty() || place.starts_with('[')) {
        (true, _) => place.to_owned(),
        (false, true) => format!("{path}{place}"),
        (false, false) => format!("{path}.{place}"),
    }
}

/// What the reader says of a value that is no text where one of some words should stand.
const NO_WORD: &str = "expected value";

/// What the reader says, with a stable name. Only the name depends on its words; a test holds them.
fn describe(reason: &str, mut path: String) -> Detail {
    let codes = [
        ("missing field ", "missing_field"),
        ("duplicate field ", "duplicate_key"),
        ("unknown field ", "unknown_field"),
        ("unknown variant ", "unknown_value"),
        ("invalid type", "wrong_type"),
        (NO_WORD, "wrong_type"),
    ];
    let known = codes.iter().find_map(|(words, code)| reason.strip_prefix(words).map(|rest| (*code, rest)));
    let (code, rest) = known.unwrap_or(("invalid_value", ""));
    // These two are found before the reader is at the field, or after it.
    if matches!(code, "missing_field" | "duplicate_key") {
        path = join(&path, rest.trim_matches('`'));
    }
    // Words of our programming language and of the reader, not of the API.
    let message = match reason {
        NO_WORD => "not a text; one of some words is expected".to_owned(),
        _ => reason.replacen("unknown variant ", "unknown value ", 1),
    };
    let detail = Detail::new(code, message);
    if path.is_empty() { detail } else { detail.at(path) }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
    struct Outer {
        #[serde(rename = "items")]
        _items: Vec<Object<Inner>>,
        #[serde(default, deserialize_with = "present")]
        note: Option<Option<String>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
    struct Inner {
        #[serde(rename = "firstName")]
        _first_name: String,
        #[serde(rename = "kind", default)]
        _kind: Kind,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        #[default]
        Small,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, expecting = "an object")]
    struct Raw<'a> {
        #[serde(borrow)]
        facts: &'a RawValue,
        #[serde(rename = "trace")]
        _trace: Option<bool>,
    }

    fn mistake_in(text: &str) -> (&'static str, String, String) {
        let error = read::<Outer>(text.as_bytes()).unwrap_err();
        let detail = error.errors()[0].clone();
        (detail.code, detail.path.unwrap_or_default(), detail.message)
    }

    #[test]
    fn a_mistake_is_named_with_its_path() {
        for (text, code, path) in [
            (r#"{"items":[{"firstName":"a"},{"firstName":1}]}"#, "wrong_type", "items[1].firstName"),
            (r#"{"items":[{"firstName":null}]}"#, "wrong_type", "items[0].firstName"),
            (r#"{"items":[{}]}"#, "missing_field", "items[0].firstName"),
            (r#"{"items":[{"firstName":"a","age":1}]}"#, "unknown_field", "items[0].age"),
            (r#"{"items":[{"firstName":"a","kind":"large"}]}"#, "unknown_value", "items[0].kind"),
            (r#"{"items":[{"firstName":"a","kind":7}]}"#, "wrong_type", "items[0].kind"),
            (r#"{"items":[{"firstName":"a","kind":null}]}"#, "wrong_type", "items[0].kind"),
            (r#"{"items":{}}"#, "wrong_type", "items"),
            (r#"{}"#, "missing_field", "items"),
            (r#"[]"#, "wrong_type", ""),
            (r#"{"items":[["a"]]}"#, "wrong_type", "items[0]"),
            (r#""text""#, "wrong_type", ""),
            (r#"{"items":[],"note":7}"#, "wrong_type", "note"),
        ] {
            let (got, at, message) = mistake_in(text);
            assert_eq!((got, at.as_str()), (code, path), "{text}: {message}");
            assert!(["struct", "line", "variant"].iter().all(|word| !message.contains(word)), "{message}");
        }
    }

    #[test]
    fn a_field_left_out_is_not_a_field_that_is_null() {
        assert_eq!(read::<Outer>(br#"{"items":[]}"#).unwrap().note, None);
        assert_eq!(read::<Outer>(br#"{"items":[],"note":null}"#).unwrap().note, Some(None));
    }

    #[test]
    fn raw_parts_are_borrowed_and_their_neighbours_checked() {
        let raw: Raw = envelope(br#"{"facts": {"a":1} }"#, "").unwrap();
        assert_eq!(raw.facts.get(), r#"{"a":1}"#);
        let error = envelope::<Raw>(br#"{"facts":{},"trace":1}"#, "items[2]").unwrap_err();
        assert_eq!(error.errors()[0].path.as_deref(), Some("items[2].trace"));
        let error = envelope::<Raw>(br#"{"facts":{},"facts":{}}"#, "items[2]").unwrap_err();
        let found = (error.errors()[0].code, error.errors()[0].path.as_deref());
        assert_eq!(found, ("duplicate_key", Some("items[2].facts")));
        assert_eq!(envelope::<Raw>(br#"{"facts":{"#, "").unwrap_err().code(), "malformed_json");
    }
}
