//! Scalars: what JSON may stand for which type, and whether it is within its bounds.
//!
//! No message repeats a value, which belongs to the caller's customers, but one that is none of an enumeration; and that
//! not where the schema calls it sensitive.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value as Json;

use super::{notes::Notes, place::FactPath};
use crate::{
    cel::Value,
    domain::{self, Field, FieldType, NotADuration, quote::shown_value},
};

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// From here on whole numbers share their `double` with others.
const WHOLE_DOUBLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A number as JSON has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Negative(i64),
    Positive(u64),
    /// Written with a fraction, which a double has exactly if it is whole.
    Fraction(f64),
    /// Written with a fraction or an exponent, and whole: `1e16`, `-3.0`.
    WholePositive(u64),
    /// The same, below zero.
    WholeNegative(i64),
    /// Written with a fraction or an exponent, and not whole, whatever this nearest double is.
    Broken(f64),
    /// Whole, and beyond 64 bits.
    Beyond(f64),
}

impl Number {
    pub fn as_double(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a double takes the nearest number")]
        match self {
            Self::Negative(number) | Self::WholeNegative(number) => number as f64,
            Self::Positive(number) | Self::WholePositive(number) => number as f64,
            Self::Fraction(number) | Self::Broken(number) | Self::Beyond(number) => number,
        }
    }

    /// The number if it has no fraction, exactly as its digits say.
    fn as_whole(self) -> Option<i128> {
        match self {
            Self::Negative(number) | Self::WholeNegative(number) => Some(i128::from(number)),
            Self::Positive(number) | Self::WholePositive(number) => Some(i128::from(number)),
            #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range")]
            Self::Fraction(number) => {
                (number.fract() == 0.0 && number.abs() < WHOLE_DOUBLE_MAX).then_some(number as i128)
            }
            Self::Broken(_) | Self::Beyond(_) => None,
        }
    }
}

/// Notes that `found` stands where the schema wants something else.
#[cold]
pub(super) fn mismatch(field: &Field, place: &FactPath, notes: &mut Notes, found: &str) {
    let expected = match &field.field_type {
        FieldType::Bytes => "bytes, written as a string of base64".to_owned(),
        FieldType::Timestamp => "a timestamp, written as a string".to_owned(),
        FieldType::Duration => "a duration, written as a string".to_owned(),
        FieldType::Int | FieldType::Object(_) => format!("an {}", field.field_type),
        other => format!("a {other}"),
    };
    notes.wrong(place, "type_mismatch", format_args!("must be {expected}, not {found}"));
}

/// A number for a field.
pub(super) fn read_number(field: &Field, place: &FactPath, notes: &mut Notes, number: Number) -> Option<Value> {
    match &field.field_type {
        FieldType::Int | FieldType::Uint => read_whole(field, place, notes, number),
        FieldType::Double => {
            let double = number.as_double();
            let allowed = |value: &Json| value.as_f64() == Some(double);
            let found = || Json::from(double);
            let bounded = number_in_bounds(field, place, notes, double) && in_enum(field, place, notes, allowed, found);
            bounded.then_some(Value::Double(double))
        }
        _ => {
            mismatch(field, place, notes, "a number");
            None
        }
    }
}

fn read_whole(field: &Field, place: &FactPath, notes: &mut Notes, number: Number) -> Option<Value> {
    let whole = number.as_whole();
    if whole.is_none() && !matches!(number, Number::Beyond(_)) {
        mismatch(field, place, notes, "a number with a fraction");
        return None;
    }
    let value = whole.and_then(|whole| match field.field_type {
        FieldType::Int => i64::try_from(whole).ok().map(Value::Int),
        _ => u64::try_from(whole).ok().map(Value::Uint),
    });
    let (Some(whole), Some(value)) = (whole, value) else {
        let message = match field.field_type {
            FieldType::Int => "must be an int, and these are within -2^63 and 2^63 - 1",
            _ => "must be a uint, and these are within 0 and 2^64 - 1",
        };
        notes.wrong(place, "out_of_range", message);
        return None;
    };
    // Bounds of whole numbers are whole and exact; the comparison must be too.
    #[expect(clippy::cast_possible_truncation, reason = "a schema's bounds are within 2^53")]
    let is_below = |bound: f64| whole < bound as i128;
    #[expect(clippy::cast_possible_truncation, reason = "a schema's bounds are within 2^53")]
    let is_above = |bound: f64| whole > bound as i128;
    if field.bounds.minimum.is_some_and(is_below) || field.bounds.maximum.is_some_and(is_above) {
        out_of_bounds(field, place, notes);
        return None;
    }
    let allowed = |value: &Json| value.as_number().and_then(serde_json::Number::as_i128) == Some(whole);
    let found = || i64::try_from(whole).map_or_else(|_| Json::from(u64::try_from(whole).unwrap_or(0)), Json::from);
    in_enum(field, place, notes, allowed, found).then_some(value)
}

/// A string for a field: itself, or what its type reads from it.
pub(super) fn read_text(field: &Field, place: &FactPath, notes: &mut Notes, text: &str) -> Option<Value> {
    match &field.field_type {
        FieldType::String => {
            let most = field.length_max();
            if text.len() as u64 > most && text.chars().count() as u64 > most {
                notes.wrong(place, "too_long", format_args!("has at most {most} characters"));
                return None;
            }
            let found = || Json::from(crate::error::shortened(text));
            in_enum(field, place, notes, |value| value.as_str() == Some(text), found)
                .then(|| Value::String(text.into()))
        }
        FieldType::Bytes => read_bytes(field, place, notes, text),
        FieldType::Timestamp => read_timestamp(place, notes, text),
        FieldType::Duration => {
            let duration = domain::read_duration(text);
            if let Err(reason) = duration {
                // What was written in the place of a unit is part of the value.
                let reason = if let NotADuration::Unit(_) = reason { NotADuration::Form } else { reason };
                let hint = "`1h30m`, `2.5s`, `-15ms`; `h` is the largest unit";
                notes.wrong_as(place, "invalid_duration", reason, hint);
            }
            duration.ok().map(Value::Duration)
        }
        _ => {
            mismatch(field, place, notes, "a string");
            None
        }
    }
}

fn read_bytes(field: &Field, place: &FactPath, notes: &mut Notes, text: &str) -> Option<Value> {
    let Ok(bytes) = BASE64.decode(text) else {
        notes.wrong(place, "invalid_base64", "is not base64");
        return None;
    };
    let most = field.length_max();
    if bytes.len() as u64 > most {
        notes.wrong(place, "too_long", format_args!("has at most {most} bytes"));
        return None;
    }
    Some(Value::Bytes(bytes.into()))
}

fn read_timestamp(place: &FactPath, notes: &mut Notes, text: &str) -> Option<Value> {
    match domain::read_timestamp(text) {
        Ok(time) => Some(Value::Timestamp(time)),
        Err(reason) => {
            notes.wrong_as(place, "invalid_timestamp", reason, "`2026-01-31T23:59:59Z`");
            None
        }
    }
}

/// A truth value for a field.
pub(super) fn read_bool(field: &Field, place: &FactPath, notes: &mut Notes, truth: bool) -> Option<Value> {
    if !matches!(field.field_type, FieldType::Bool) {
        mismatch(field, place, notes, "a bool");
        return None;
    }
    in_enum(field, place, notes, |value| value.as_bool() == Some(truth), || truth.into()).then_some(Value::Bool(truth))
}

fn number_in_bounds(field: &Field, place: &FactPath, notes: &mut Notes, number: f64) -> bool {
    let too_small = field.bounds.minimum.is_some_and(|minimum| number < minimum);
    let too_great = field.bounds.maximum.is_some_and(|maximum| number > maximum);
    if too_small || too_great {
        out_of_bounds(field, place, notes);
    }
    !(too_small || too_great)
}

fn out_of_bounds(field: &Field, place: &FactPath, notes: &mut Notes) {
    let message = match (field.bounds.minimum, field.bounds.maximum) {
        (Some(minimum), Some(maximum)) => format!("must be within {minimum} and {maximum}"),
        (Some(minimum), None) => format!("must be at least {minimum}"),
        (None, Some(maximum)) => format!("must be at most {maximum}"),
        (None, None) => return,
    };
    notes.wrong(place, "out_of_bounds", message);
}

fn in_enum(
    field: &Field,
    place: &FactPath,
    notes: &mut Notes,
    is: impl Fn(&Json) -> bool,
    found: impl FnOnce() -> Json,
) -> bool {
    let allowed = &field.bounds.allowed;
    let fits = allowed.is_empty() || allowed.iter().any(is);
    if !fits {
        let got = if place.sensitive { String::new() } else { format!("; got `{}`", shown_value(&found())) };
        let one_of = if allowed.len() > 1 { "one of " } else { "" };
        notes.wrong(place, "not_in_enum", format_args!("must be {one_of}{}{got}", Listed(allowed)));
    }
    fits
}

/// The values of an enumeration as a message shows them; not all of a long one.
struct Listed<'a>(&'a [Json]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for (index, value) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{}`", shown_value(value))?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}
