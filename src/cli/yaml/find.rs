//! Finding a value again in the text that it was read from.
//!
//! The parser reports positions only in its errors. So the text is parsed once more and parsing is made to fail at the
//! value wanted. This is done only for values with an error.

use std::{fmt, ops::Range};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{YamlStep, place_of, scalar, value_at, without_mark};
use crate::domain::quote::{child_path, element_path};

/// A value in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Found {
    /// The bytes to point at: those of a scalar, or of the key of a list or object.
    pub place: Range<usize>,
    /// The byte of each character of a string, and the byte after the last; `None` for other values.
    pub characters: Option<Vec<usize>>,
}

/// Finds the value at `path`, such as `rules[3].expression`, or what is there of the way to it.
pub(in crate::cli) fn find(text: &str, document: &Value, path: &str, wants_key: bool) -> Option<Found> {
    let mut steps = resolve(document, path);
    while !steps.is_empty() {
        let value = value_at(document, &steps)?;
        let points_at_key = matches!(steps.last(), Some(YamlStep::Key(_)))
            && (wants_key || matches!(value, Value::Object(_) | Value::Array(_) | Value::Null));
        if let Some(found) = find_at(text, value, &steps, points_at_key) {
            return Some(found);
        }
        steps.pop();
    }
    None
}

/// The text at `path`.
pub(in crate::cli) fn text_at<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    value_at(document, &resolve(document, path))?.as_str()
}

fn find_at(text: &str, value: &Value, steps: &[YamlStep], points_at_key: bool) -> Option<Found> {
    let seed = Walk { steps, points_at_key };
    let error = seed.deserialize(serde_yaml_ng::Deserializer::from_str(without_mark(text))).err()?;
    let begin = place_of(&error, text)?;
    let word = match (steps.last(), value) {
        (Some(YamlStep::Key(key)), _) if points_at_key => Some(key),
        (_, Value::String(word)) => Some(word),
        _ => None,
    };
    let characters = word.and_then(|word| scalar::characters(text, begin, word));
    let end = match characters.as_deref() {
        Some([first, .., last]) => return Some(Found { place: *first..*last, characters }),
        _ => scalar::word_end(text, begin),
    };
    Some(Found { place: begin..end, characters: None })
}

/// The steps of a path, as far as there are values for them.
fn resolve(document: &Value, path: &str) -> Vec<YamlStep> {
    let rooted = if path.is_empty() || path.starts_with('[') { path.to_owned() } else { format!(".{path}") };
    let (mut rest, mut value, mut steps) = (rooted.as_str(), document, Vec::new());
    while !rest.is_empty() {
        let Some((step, inner, after)) = next_step(value, rest) else { break };
        steps.push(step);
        (rest, value) = (after, inner);
    }
    steps
}

fn next_step<'a, 'p>(value: &'a Value, path: &'p str) -> Option<(YamlStep, &'a Value, &'p str)> {
    let after = |step: &str| path.strip_prefix(step).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    match value {
        Value::Object(map) => map.iter().find_map(|(key, inner)| {
            let rest = after(&child_path("", key))?;
            Some((YamlStep::Key(key.clone()), inner, rest))
        }),
        Value::Array(elements) => {
            let (digits, _) = path.strip_prefix('[')?.split_once(']')?;
            let index: usize = digits.parse().ok()?;
            Some((YamlStep::Element(index), elements.get(index)?, after(&element_path("", index))?))
        }
        _ => None,
    }
}

/// Walks to a value, and fails there.
struct Walk<'a> {
    steps: &'a [YamlStep],
    points_at_key: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    /// What is neither a list nor an object is where the walk ends, and a type that is not expected there.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value wanted")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((YamlStep::Element(index), steps)) = self.steps.split_first() else {
            return Err(A::Error::custom("found"));
        };
        for _ in 0..*index {
            access.next_element::<IgnoredAny>()?;
        }
        access.next_element_seed(Self { steps, ..self })?;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((YamlStep::Key(wanted), steps)) = self.steps.split_first() else {
            return Err(A::Error::custom("found"));
        };
        let fails = self.points_at_key && steps.is_empty();
        while let Some(is_wanted) = access.next_key_seed(Key { wanted, fails })? {
            if is_wanted {
                return access.next_value_seed(Self { steps, ..self });
            }
            access.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Tells whether a key is the one wanted, or fails at it.
struct Key<'a> {
    wanted: &'a str,
    fails: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let is_wanted = key == self.wanted;
        if is_wanted && self.fails { Err(E::custom("found")) } else { Ok(is_wanted) }
    }
}
