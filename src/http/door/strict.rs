//! The JSON that we read: well-formed, at most [`limits::JSON_DEPTH_MAX`] deep, without a key that stands twice in an
//! object and without NUL characters, which PostgreSQL stores neither in `text` nor in `jsonb`.
//!
//! It looks at a document and builds nothing; `document.rs` reads what passed. Lone surrogates, invalid UTF-8 and
//! trailing text are malformed.

use std::{borrow::Cow, cell::RefCell, collections::HashSet, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::Error;
use crate::{
    config::limits,
    error::{Detail, ErrorKind},
};

/// Says what is wrong with `text` as a JSON document whose root is `depth` levels deep already, below `path`.
pub fn check(text: &[u8], path: &str, depth: usize) -> Result<(), Error> {
    check_showing(text, path, depth, &|steps| steps.len())
}

/// The same, in whose paths only as many steps are shown as `shown` says: of keys, and `None` for elements.
pub fn check_showing(
    text: &[u8],
    path: &str,
    depth: usize,
    shown: &dyn Fn(&[Option<&str>]) -> usize,
) -> Result<(), Error> {
    let fault = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let node = Node { fault: &fault, depth };
    let result = node.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let Err(error) = result else { return Ok(()) };
    Err(match fault.into_inner() {
        None => malformed(&error),
        Some(Fault { kind: FaultKind::Depth, .. }) => {
            let message = format!("the document is more than {} levels deep", limits::JSON_DEPTH_MAX);
            Error::new(ErrorKind::Malformed, "json_too_deep", message)
        }
        Some(fault) => Error::invalid_one(fault.detail(path, shown)),
    })
}

/// Says whether `text` is no JSON, or too deep to be read, and nothing else about it.
pub fn well_formed(text: &[u8]) -> Result<(), Error> {
    check(text, "", 0).or_else(|error| if error.is_malformed() { Err(error) } else { Ok(()) })
}

/// The document is no JSON: 400 with the place.
pub fn malformed(error: &serde_json::Error) -> Error {
    let reason = reason(error);
    let message = format!("the body is not JSON: {reason} at line {} column {}", error.line(), error.column());
    Error::new(ErrorKind::Malformed, "malformed_json", message)
}

/// An error's message without the place that ends it.
pub fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => message.get(..end).unwrap_or(&message).to_owned(),
        None => message,
    }
}

/// What is wrong, and where: steps from the inside out.
struct Fault {
    kind: FaultKind,
    steps: Vec<Step>,
}

enum FaultKind {
    Depth,
    Duplicate,
    Nul,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Fault {
    fn detail(&self, path: &str, shown: &dyn Fn(&[Option<&str>]) -> usize) -> Detail {
        let mut path = path.to_owned();
        let key = |step: &'_ Step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Index(_) => None,
        };
        let keys: Vec<Option<String>> = self.steps.iter().rev().map(key).collect();
        let shown = shown(&keys.iter().map(Option::as_deref).collect::<Vec<_>>());
        for (number, step) in self.steps.iter().rev().enumerate() {
            if number == shown {
                path.push_str("[…]");
                break;
            }
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(key) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&key.replace('\0', "\\u0000"));
                }
            }
        }
        match self.kind {
            FaultKind::Duplicate => Detail::new("duplicate_key", "the key stands twice in its object"),
            FaultKind::Depth | FaultKind::Nul => Detail::new("nul_character", "the text has a NUL character"),
        }
        .at(path)
    }
}

/// A value to be looked at.
#[derive(Clone, Copy)]
struct Node<'f> {
    fault: &'f RefCell<Option<Fault>>,
    depth: usize,
}

impl Node<'_> {
    fn fail<E: de::Error>(self, kind: FaultKind, steps: Vec<Step>) -> E {
        *self.fault.borrow_mut() = Some(Fault { kind, steps });
        E::custom("refused")
    }

    fn descend<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= limits::JSON_DEPTH_MAX {
            return Err(self.fail(FaultKind::Depth, Vec::new()));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// Notes that the fault, if there is one, is below `step`.
    fn below(self, step: impl FnOnce() -> Step) {
        if let Some(fault) = self.fault.borrow_mut().as_mut() {
            fault.steps.push(step());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if text.as_bytes().contains(&0) {
            return Err(self.fail(FaultKind::Nul, Vec::new()));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.descend()?;
        for index in 0.. {
            match items.next_element_seed(inner) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) => {
                    self.below(|| Step::Index(index));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.descend()?;
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key_seed(Key)? {
            if key.as_bytes().contains(&0) {
                return Err(self.fail(FaultKind::Nul, vec![Step::Key(key.into_owned())]));
            }
            if keys.contains(&key) {
                return Err(self.fail(FaultKind::Duplicate, vec![Step::Key(key.into_owned())]));
            }
            if let Err(error) = entries.next_value_seed(inner) {
                self.below(|| Step::Key(key.into_owned()));
                return Err(error);
            }
            keys.insert(key);
        }
        Ok(())
    }
}

/// The keys of one object: a list while they are few, a set when they are many.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

/// Keys up to which comparing with each one costs less than hashing.
const KEYS_FEW: usize = 16;

impl<'de> Keys<'de> {
    fn contains(&self, key: &str) -> bool {
        self.few.iter().any(|known| known == key) || (!self.many.is_empty() && self.many.contains(key))
    }

    fn insert(&mut self, key: Cow<'de, str>) {
        if self.few.len() < KEYS_FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
    }
}

/// A key, borrowed from the document unless it is written with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    fn refusal(text: &str) -> (u16, &'static str, Option<String>) {
        let error = check(text.as_bytes(), "", 0).unwrap_err();
        let first = error.errors().first();
        let code = first.map_or(error.code(), |detail| detail.code);
        (error.status_code().as_u16(), code, first.and_then(|detail| detail.path.clone()))
    }

    #[test]
    fn a_key_that_stands_twice_is_named_with_its_path() {
        let text = r#"{"rules":[{"a":1},{"b":{"age":1,"\u0061ge":2}}]}"#;
        assert_eq!(refusal(text), (422, "duplicate_key", Some("rules[1].b.age".to_owned())));
        assert!(check(br#"{"a":{"a":1},"b":{"a":2}}"#, "", 0).is_ok());
    }

    #[test]
    fn a_key_is_found_again_among_many() {
        let keys: Vec<String> = (0..500).map(|key| format!("\"k{key}\":0")).collect();
        assert!(check(format!("{{{}}}", keys.join(",")).as_bytes(), "", 0).is_ok());
        for again in [3, 450] {
            let text = format!("{{{},\"k{again}\":0}}", keys.join(","));
            assert_eq!(refusal(&text), (422, "duplicate_key", Some(format!("k{again}"))));
        }
    }

    #[test]
    fn nul_characters_are_refused_in_values_and_keys() {
        assert_eq!(refusal(r#"{"a":["\u0000"]}"#), (422, "nul_character", Some("a[0]".to_owned())));
        assert_eq!(refusal(r#"{"a\u0000b":1}"#), (422, "nul_character", Some("a\\u0000b".to_owned())));
        assert_eq!(refusal("{\"a\":\"\0\"}").0, 400);
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for text in ["", "{", "{\"a\":}", "nul", "{} {}", r#""\ud800""#, r#"{"\udc00":1}"#, "01", "1e999", "{'a':1}"] {
            assert_eq!(refusal(text), (400, "malformed_json", None), "{text}");
        }
        assert!(check(b"\"\xff\"", "", 0).is_err());
    }

    #[test]
    fn depth_is_counted_in_arrays_and_objects() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(nested(32).as_bytes(), "", 0).is_ok());
        assert_eq!(refusal(&nested(33)), (400, "json_too_deep", None));
        assert_eq!(refusal(&nested(100_000)).1, "json_too_deep");
        assert!(check(nested(32).as_bytes(), "facts", 1).is_err());
        assert_eq!(refusal(&"{\"a\":".repeat(1_000)).1, "json_too_deep");
    }
}
