//! Facts out of descriptions: `integer 18..77 uniform`, `one of US CA uniform`, and so on.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Error, random::Random};

/// Makes facts objects, as JSON text.
#[derive(Debug, Clone)]
pub(super) struct Generator(Vec<(String, Kind)>);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// A whole number between two, both included.
    Integer { least: i64, count: u64 },
    /// A number between two, in steps of a power of ten: the numbers are the steps.
    Decimal { least: i64, count: u64, decimals: u32 },
    /// One of these JSON texts.
    OneOf(Vec<String>),
    /// `true` as often as this, of 1.
    Probably(f64),
    /// Always this JSON text.
    Always(String),
    /// So many of a kind.
    List(u64, Box<Kind>),
    /// An object of such.
    Object(Generator),
}

impl PartialEq for Generator {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Generator {
    /// Reads the descriptions, one for each field; an object describes an object.
    pub fn parse(fields: &Map<String, Value>) -> Result<Self, Error> {
        let field = |(name, value): (&String, &Value)| {
            let kind = match value {
                Value::String(text) => Kind::parse(text).ok_or_else(|| unreadable(name, text))?,
                Value::Object(fields) => Kind::Object(Self::parse(fields)?),
                other => return Err(unreadable(name, &other.to_string())),
            };
            Ok((Value::from(name.as_str()).to_string(), kind))
        };
        fields.iter().map(field).collect::<Result<_, _>>().map(Self)
    }

    /// Appends a facts object to `out`.
    pub fn write(&self, random: &mut Random, out: &mut String) {
        out.push('{');
        for (index, (name, kind)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(name);
            out.push(':');
            kind.write(random, out);
        }
        out.push('}');
    }
}

fn unreadable(name: &str, text: &str) -> Error {
    Error::Invalid(format!(
        "the description of the fact `{name}`, `{text}`, is invalid; write `integer 1..9 uniform`, \
         `0..9 uniform, two decimals`, `one of A B uniform`, `true with probability 0.5`, `always X`, \
         `list of 5 integer 1..9 uniform`, or an object of these"
    ))
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(range) = text.strip_prefix("integer ") {
            let (least, count) = steps(range.strip_suffix(" uniform")?, 0)?;
            return Some(Self::Integer { least, count });
        }
        if let Some(values) = text.strip_prefix("one of ") {
            let values: Vec<String> = values.strip_suffix(" uniform")?.split_whitespace().map(json_text).collect();
            return (!values.is_empty()).then_some(Self::OneOf(values));
        }
        if let Some(probability) = text.strip_prefix("true with probability ") {
            let probability = probability.parse().ok()?;
            return (0.0..=1.0).contains(&probability).then_some(Self::Probably(probability));
        }
        if let Some(rest) = text.strip_prefix("list of ") {
            let (count, kind) = rest.split_once(' ')?;
            return Some(Self::List(count.parse().ok()?, Box::new(Self::parse(kind)?)));
        }
        if let Some(value) = text.strip_prefix("always ") {
            return Some(Self::Always(json_text(value)));
        }
        let (range, decimals) = text.split_once(" uniform, ")?;
        let decimals = match decimals.strip_suffix("decimals").or(decimals.strip_suffix("decimal"))?.trim() {
            "one" => 1,
            "two" => 2,
            "three" => 3,
            number => number.parse().ok().filter(|decimals| (1..=9).contains(decimals))?,
        };
        let (least, count) = steps(range, decimals)?;
        Some(Self::Decimal { least, count, decimals })
    }

    fn write(&self, random: &mut Random, out: &mut String) {
        // Writing to a `String` does not fail.
        let _ = match self {
            Self::Integer { least, count } => write!(out, "{}", pick(*least, *count, random)),
            Self::Decimal { least, count, decimals } => {
                let (steps, scale) = (pick(*least, *count, random), 10_u64.pow(*decimals));
                let (whole, rest) = (steps.unsigned_abs() / scale, steps.unsigned_abs() % scale);
                let sign = if steps < 0 { "-" } else { "" };
                write!(out, "{sign}{whole}.{rest:0width$}", width = usize::try_from(*decimals).unwrap_or(0))
            }
            Self::OneOf(values) => {
                let index = random.below(u64::try_from(values.len()).unwrap_or(0));
                let value = usize::try_from(index).ok().and_then(|index| values.get(index));
                out.write_str(value.map_or("null", String::as_str))
            }
            Self::Probably(probability) => write!(out, "{}", random.fraction() < *probability),
            Self::Always(value) => out.write_str(value),
            Self::List(count, kind) => {
                out.push('[');
                for index in 0..*count {
                    if index > 0 {
                        out.push(',');
                    }
                    kind.write(random, out);
                }
                out.write_char(']')
            }
            Self::Object(generator) => {
                generator.write(random, out);
                Ok(())
            }
        };
    }
}

fn pick(least: i64, count: u64, random: &mut Random) -> i64 {
    least.saturating_add_unsigned(random.below(count))
}

/// What `range` names, in steps of a power of ten: the least step, and how many there are.
fn steps(range: &str, decimals: u32) -> Option<(i64, u64)> {
    let (least, most) = range.split_once("..")?;
    let scale = 10_i64.checked_pow(decimals)?;
    let least = least.trim().parse::<i64>().ok()?.checked_mul(scale)?;
    let most = most.trim().parse::<i64>().ok()?.checked_mul(scale)?;
    let count = u64::try_from(most.checked_sub(least)?).ok()?.checked_add(1)?;
    Some((least, count))
}

/// The word as JSON: numbers and constants as they are, all else a string.
fn json_text(word: &str) -> String {
    match serde_json::from_str::<Value>(word) {
        Ok(value) => value.to_string(),
        Err(_) => Value::from(word).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(description: &Value, count: usize) -> Vec<Value> {
        let generator = Generator::parse(serde_json::json!({ "x": description }).as_object().unwrap()).unwrap();
        let mut random = Random::new(7);
        let sample = |_| {
            let mut text = String::new();
            generator.write(&mut random, &mut text);
            serde_json::from_str::<Value>(&text).unwrap()["x"].clone()
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn integers_reach_both_ends_and_go_no_further() {
        let found = samples(&"integer -2..3 uniform".into(), 1_000);
        let numbers: std::collections::BTreeSet<i64> = found.iter().map(|value| value.as_i64().unwrap()).collect();
        assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2, 3]);
    }

    #[test]
    fn decimals_have_as_many_places_as_described() {
        let generator = serde_json::json!({"x": "-1..1 uniform, two decimals"});
        let generator = Generator::parse(generator.as_object().unwrap()).unwrap();
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            let mut text = String::new();
            generator.write(&mut random, &mut text);
            let number = text.strip_prefix("{\"x\":").unwrap().strip_suffix('}').unwrap();
            assert_eq!(number.split_once('.').unwrap().1.len(), 2, "{number}");
            assert!((-1.0..=1.0).contains(&number.parse::<f64>().unwrap()), "{number}");
        }
    }

    #[test]
    fn choices_and_probabilities_come_out_as_often_as_described() {
        let countries = samples(&"one of US CA UK AU uniform".into(), 4_000);
        for country in ["US", "CA", "UK", "AU"] {
            let count = countries.iter().filter(|value| **value == country).count();
            assert!((850..1_150).contains(&count), "{country} {count}");
        }
        let truths = samples(&"true with probability 0.3".into(), 4_000);
        let count = truths.iter().filter(|value| **value == true).count();
        assert!((1_050..1_350).contains(&count), "{count}");
    }

    #[test]
    fn objects_and_constants_are_written_as_they_stand() {
        let found = samples(&serde_json::json!({"a": "always gold", "b": "always 3"}), 1);
        assert_eq!(found[0], serde_json::json!({"a": "gold", "b": 3}));
    }

    #[test]
    fn lists_have_as_many_items_as_described() {
        for list in samples(&"list of 20 integer -3..5 uniform".into(), 50) {
            let items: Vec<i64> = list.as_array().unwrap().iter().map(|item| item.as_i64().unwrap()).collect();
            assert!(items.len() == 20 && items.iter().all(|item| (-3..=5).contains(item)), "{items:?}");
        }
        assert_eq!(samples(&"list of 0 always 1".into(), 1)[0], serde_json::json!([]));
    }

    #[test]
    fn a_description_that_is_not_understood_is_named() {
        for text in [
            "integer 5..1 uniform",
            "integer 1..5",
            "one of uniform",
            "true with probability 2",
            "1..2",
            "",
            "5",
            "list of always 1",
        ] {
            let fields = serde_json::json!({ "age": text });
            let error = Generator::parse(fields.as_object().unwrap()).unwrap_err().to_string();
            assert!(error.contains(&format!("the description of the fact `age`, `{text}`, is invalid")), "{error}");
        }
    }
}
