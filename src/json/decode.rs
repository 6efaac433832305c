//! A JSON document into a request: broken JSON is malformed; a wrong type, an unknown or a missing field is invalid, and
//! named with its path.
//!
//! Requests are typed throughout; what a value means is for the resource's own file to say.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::error::Category;

use super::{Error, check, mistake, reason};
use crate::error::{Detail, ErrorKind};

/// Reads a whole document strictly.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    check(text, "", 0)?;
    envelope(text, "")
}

/// Reads a document whose raw parts are looked at later, each for itself; `path` tells where it is.
pub fn envelope<'de, T: Deserialize<'de>>(text: &'de [u8], path: &str) -> Result<T, Error> {
    let read = serde_json::from_slice::<Object<T>>(text);
    read.map(|object| object.0).map_err(|error| match error.classify() {
        // What is not JSON further on is malformed, whatever came before it; and where a word from a list is expected,
        // the reader calls a number a syntax error.
        Category::Data | Category::Syntax => match check(text, "", 0) {
            Err(malformed) if malformed.kind() == ErrorKind::Malformed => malformed,
            _ => {
                let detail = mistake::find::<Object<T>>(text, path);
                Error::invalid(detail.unwrap_or_else(|| Detail::new("invalid_value", reason(&error))))
            }
        },
        Category::Io | Category::Eof => Error::malformed(&error),
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

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, expecting = "an object")]
    struct Numbers {
        #[serde(rename = "count")]
        _count: Option<u8>,
        #[serde(rename = "change")]
        _change: Option<i64>,
        #[serde(rename = "share")]
        _share: Option<f64>,
        #[serde(rename = "parts")]
        _parts: Option<Vec<u8>>,
        #[serde(rename = "on")]
        _on: Option<bool>,
    }

    #[test]
    fn what_is_expected_is_said_without_the_names_of_rust() {
        for (text, code, message) in [
            (r#"{"count":"5"}"#, "wrong_type", "invalid type: string \"5\", expected a whole number from 0 on"),
            (r#"{"parts":"5"}"#, "wrong_type", "invalid type: string \"5\", expected a list"),
            (r#"{"on":"yes"}"#, "wrong_type", "invalid type: string \"yes\", expected `true` or `false`"),
            (r#"{"count":1.5}"#, "wrong_type", "invalid type: floating point `1.5`, expected a whole number from 0 on"),
            (r#"{"count":-1}"#, "invalid_value", "invalid value: integer `-1`, expected a whole number from 0 on"),
            (r#"{"count":256}"#, "invalid_value", "invalid value: integer `256`, expected a whole number from 0 on"),
            (r#"{"change":true}"#, "wrong_type", "invalid type: boolean `true`, expected a whole number"),
            (r#"{"share":"1"}"#, "wrong_type", "invalid type: string \"1\", expected a number"),
        ] {
            let detail = detail_of(read::<Numbers>(text.as_bytes()).unwrap_err());
            assert_eq!((detail.code, detail.message.as_str()), (code, message), "{text}");
        }
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
        let detail = detail_of(read::<Outer>(text.as_bytes()).unwrap_err());
        (detail.code, detail.path.unwrap_or_default(), detail.message)
    }

    fn detail_of(error: Error) -> Detail {
        match error {
            Error::Invalid(detail) => *detail,
            error => panic!("{error:?} is not about one value"),
        }
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
        let found = |text: &'static str| {
            let detail = detail_of(envelope::<Raw>(text.as_bytes(), "items[2]").unwrap_err());
            (detail.code, detail.path.unwrap_or_default())
        };
        assert_eq!(found(r#"{"facts":{},"trace":1}"#), ("wrong_type", "items[2].trace".to_owned()));
        assert_eq!(found(r#"{"facts":{},"facts":{}}"#), ("duplicate_key", "items[2].facts".to_owned()));
        assert_eq!(found(r#"{"facts":{},"x":{}}"#), ("unknown_field", "items[2].x".to_owned()));
        assert_eq!(found(r#"{"trace":true}"#), ("missing_field", "items[2].facts".to_owned()));
        assert_eq!(envelope::<Raw>(br#"{"facts":{"#, "").unwrap_err().code(), "malformed_json");
    }
}
