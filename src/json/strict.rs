//! The JSON that we read: well-formed, at most [`limits::JSON_DEPTH_MAX`] deep, without duplicate keys in an object and
//! without NUL characters, which PostgreSQL stores neither in `text` nor in `jsonb`.
//!
//! It looks at a document and builds nothing; `decode.rs` reads what passed. Lone surrogates, invalid UTF-8 and trailing
//! text are malformed.

use std::{borrow::Cow, cell::RefCell, collections::HashSet, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::{Error, PathStep};
use crate::{config::limits, error::Detail};

/// Says what is wrong with `text` as a JSON document whose root is `depth` levels deep already, below `path`.
pub fn check(text: &[u8], path: &str, depth: usize) -> Result<(), Error> {
    check_showing(text, path, depth, &|steps| steps.len())
}

/// The same, showing only as many steps of a path as `shown` says, which is given the path's keys, and `None` for each
/// index.
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
        None => Error::malformed(&error),
        Some(Fault { kind: FaultKind::Depth, .. }) => Error::TooDeep,
        Some(fault) => Error::invalid(fault.detail(path, shown)),
    })
}

/// What is wrong, and where: steps from the inside out.
struct Fault {
    kind: FaultKind,
    steps: Vec<PathStep>,
}

enum FaultKind {
    Depth,
    Duplicate,
    Nul,
}

impl Fault {
    fn detail(&self, path: &str, shown: &dyn Fn(&[Option<&str>]) -> usize) -> Detail {
        let mut path = path.to_owned();
        let key = |step: &'_ PathStep| match step {
            PathStep::Key(key) => Some(key.clone()),
            PathStep::Index(_) => None,
        };
        let keys: Vec<Option<String>> = self.steps.iter().rev().map(key).collect();
        let shown = shown(&keys.iter().map(Option::as_deref).collect::<Vec<_>>());
        for (number, step) in self.steps.iter().rev().enumerate() {
            if number == shown {
                path.push_str("[…]");
                break;
            }
            step.append_to(&mut path);
        }
        match self.kind {
            FaultKind::Duplicate => Detail::new("duplicate_key", "duplicate key in object"),
            FaultKind::Depth | FaultKind::Nul => Detail::new("nul_character", "the text contains a NUL character"),
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
    fn fail<E: de::Error>(self, kind: FaultKind, steps: Vec<PathStep>) -> E {
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
    fn below(self, step: impl FnOnce() -> PathStep) {
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
                    self.below(|| PathStep::Index(index));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.descend()?;
        let mut keys = ObjectKeys::default();
        while let Some(key) = entries.next_key_seed(Key)? {
            if key.as_bytes().contains(&0) {
                return Err(self.fail(FaultKind::Nul, vec![PathStep::Key(key.into_owned())]));
            }
            if keys.contains(&key) {
                return Err(self.fail(FaultKind::Duplicate, vec![PathStep::Key(key.into_owned())]));
            }
            if let Err(error) = entries.next_value_seed(inner) {
                self.below(|| PathStep::Key(key.into_owned()));
                return Err(error);
            }
            keys.insert(key);
        }
        Ok(())
    }
}

/// The keys of one object: a list while they are few, a set when they are many.
#[derive(Default)]
struct ObjectKeys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

/// Keys up to which comparing with each one costs less than hashing.
const KEYS_FEW: usize = 16;

impl<'de> ObjectKeys<'de> {
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
    use super::*;

    fn refusal(text: &str) -> (&'static str, Option<String>) {
        match check(text.as_bytes(), "", 0).unwrap_err() {
            Error::Invalid(detail) => (detail.code, detail.path),
            error => (error.code(), None),
        }
    }

    #[test]
    fn a_duplicate_key_is_named_with_its_path() {
        let text = r#"{"rules":[{"a":1},{"b":{"age":1,"\u0061ge":2}}]}"#;
        assert_eq!(refusal(text), ("duplicate_key", Some("rules[1].b.age".to_owned())));
        assert!(check(br#"{"a":{"a":1},"b":{"a":2}}"#, "", 0).is_ok());
    }

    #[test]
    fn a_duplicate_is_found_among_many_keys() {
        let keys: Vec<String> = (0..500).map(|key| format!("\"k{key}\":0")).collect();
        assert!(check(format!("{{{}}}", keys.join(",")).as_bytes(), "", 0).is_ok());
        for again in [3, 450] {
            let text = format!("{{{},\"k{again}\":0}}", keys.join(","));
            assert_eq!(refusal(&text), ("duplicate_key", Some(format!("k{again}"))));
        }
    }

    #[test]
    fn nul_characters_are_refused_in_values_and_keys() {
        assert_eq!(refusal(r#"{"a":["\u0000"]}"#), ("nul_character", Some("a[0]".to_owned())));
        assert_eq!(refusal(r#"{"a\u0000b":1}"#), ("nul_character", Some("a\\u0000b".to_owned())));
        assert_eq!(refusal("{\"a\":\"\0\"}").0, "malformed_json");
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for text in ["", "{", "{\"a\":}", "nul", "{} {}", r#""\ud800""#, r#"{"\udc00":1}"#, "01", "1e999", "{'a':1}"] {
            assert_eq!(refusal(text), ("malformed_json", None), "{text}");
        }
        assert!(check(b"\"\xff\"", "", 0).is_err());
    }

    #[test]
    fn depth_is_counted_in_arrays_and_objects() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(nested(32).as_bytes(), "", 0).is_ok());
        assert_eq!(refusal(&nested(33)), ("json_too_deep", None));
        assert_eq!(refusal(&nested(100_000)).0, "json_too_deep");
        assert!(check(nested(32).as_bytes(), "facts", 1).is_err());
        assert_eq!(refusal(&"{\"a\":".repeat(1_000)).0, "json_too_deep");
    }
}
