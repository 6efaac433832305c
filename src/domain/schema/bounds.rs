//! Reads what values must satisfy: `enum`, `maxLength`, `maxItems`, `maxDepth`, `minimum` and `maximum`.
//!
//! A bound that cannot apply to its field's type is a mistake, as are bounds that no value satisfies.

use serde_json::{Number, Value};

use super::{
    Bounds, Field, FieldType,
    reader::{LongForm, Reader},
};
use crate::{
    config::limits,
    domain::quote::{child_path, element_path, shown_value},
    error::Detail,
};

/// Whole numbers beyond it have no `double` of their own, so that a bound would not mean what it says.
const WHOLE_DOUBLE_MAX: f64 = 9_007_199_254_740_992.0;

impl Reader {
    /// Reads the bounds of `field` from its long form.
    pub(super) fn bounds(&mut self, form: &LongForm, field: &mut Field) {
        field.bounds.max_items = self.max_items(form, &field.field_type);
        field.bounds.minimum = self.number(form, "minimum", &field.field_type);
        field.bounds.maximum = self.number(form, "maximum", &field.field_type);
        self.max_length(form, field);
        self.max_depth(form, field);
        let contradiction = matches!((field.bounds.minimum, field.bounds.maximum), (Some(min), Some(max)) if min > max);
        if contradiction {
            let detail = Detail::new("bounds_contradict", "`minimum` is greater than `maximum`");
            self.note(detail.at(child_path(form.path, "minimum")));
        }
        field.bounds.allowed = self.allowed(form, &field.field_type, &field.bounds);
    }

    fn not_applicable(&mut self, form: &LongForm, key: &str, applies_to: &str) {
        let detail = Detail::new("not_applicable", format!("`{key}` applies to {applies_to}"));
        self.note(detail.at(child_path(form.path, key)));
    }

    /// A whole number from 1 to `most`.
    fn count(&mut self, form: &LongForm, key: &str, value: &Value, most: u64) -> Option<u64> {
        match value.as_u64() {
            Some(count) if (1..=most).contains(&count) => Some(count),
            _ => {
                let detail = Detail::new("value_invalid", format!("`{key}` is a whole number from 1 to {most}"));
                self.note(detail.at(child_path(form.path, key)));
                None
            }
        }
    }

    fn max_items(&mut self, form: &LongForm, field_type: &FieldType) -> Option<u64> {
        let value = form.map.get("maxItems")?;
        if !matches!(field_type, FieldType::List(_) | FieldType::Map(_) | FieldType::Dyn) {
            self.not_applicable(form, "maxItems", "lists, maps and dyn");
            return None;
        }
        self.count(form, "maxItems", value, limits::LIST_ITEMS_MAX)
    }

    /// Puts `maxLength` where it belongs: on a list it speaks of the elements, on a map of the values.
    fn max_length(&mut self, form: &LongForm, field: &mut Field) {
        let Some(value) = form.map.get("maxLength") else { return };
        let target = match &mut field.field_type {
            FieldType::String | FieldType::Bytes | FieldType::Dyn => &mut field.bounds,
            FieldType::List(inner) | FieldType::Map(inner)
                if matches!(inner.field_type, FieldType::String | FieldType::Bytes | FieldType::Dyn) =>
            {
                &mut inner.bounds
            }
            _ => return self.not_applicable(form, "maxLength", "string, bytes, dyn, and lists and maps of them"),
        };
        if target.max_length.is_some() {
            let detail = Detail::new("bounds_contradict", "`maxLength` is given both here and in what the field holds");
            return self.note(detail.at(child_path(form.path, "maxLength")));
        }
        target.max_length = self.count(form, "maxLength", value, limits::STRING_CHARS_MAX);
    }

    /// Puts `maxDepth` where it belongs: on a list or map of `dyn` it speaks of what that holds, and then `maxItems` counts
    /// for the lists and maps in there as well.
    fn max_depth(&mut self, form: &LongForm, field: &mut Field) {
        let Some(value) = form.map.get("maxDepth") else { return };
        let most = limits::JSON_DEPTH_MAX as u64;
        let Some(depth) = value.as_u64().filter(|depth| *depth <= most) else {
            let detail = Detail::new("value_invalid", format!("`maxDepth` is a whole number from 0 to {most}"));
            return self.note(detail.at(child_path(form.path, "maxDepth")));
        };
        let max_items = field.bounds.max_items;
        let bounds = match &mut field.field_type {
            FieldType::Dyn => &mut field.bounds,
            FieldType::List(inner) | FieldType::Map(inner) if inner.field_type == FieldType::Dyn => &mut inner.bounds,
            _ => return self.not_applicable(form, "maxDepth", "dyn, and lists and maps of it"),
        };
        if bounds.max_depth.is_some() {
            let detail = Detail::new("bounds_contradict", "`maxDepth` is given both here and in what the field holds");
            return self.note(detail.at(child_path(form.path, "maxDepth")));
        }
        bounds.max_depth = Some(depth);
        bounds.max_items = bounds.max_items.or(max_items);
    }

    fn number(&mut self, form: &LongForm, key: &str, field_type: &FieldType) -> Option<f64> {
        let value = form.map.get(key)?;
        let whole = match field_type {
            FieldType::Int | FieldType::Uint => true,
            FieldType::Double => false,
            _ => {
                self.not_applicable(form, key, "int, uint and double");
                return None;
            }
        };
        let number = value.as_number().and_then(Number::as_f64);
        match number {
            Some(number) if !whole || (number.fract() == 0.0 && number.abs() <= WHOLE_DOUBLE_MAX) => Some(number),
            _ => {
                let message = match whole {
                    true => format!("`{key}` of an {field_type} is a whole number within ±2^53"),
                    false => format!("`{key}` is a number"),
                };
                self.note(Detail::new("value_invalid", message).at(child_path(form.path, key)));
                None
            }
        }
    }

    fn allowed(&mut self, form: &LongForm, field_type: &FieldType, bounds: &Bounds) -> Vec<Value> {
        let Some(value) = form.map.get("enum") else { return Vec::new() };
        let path = child_path(form.path, "enum");
        if !matches!(
            field_type,
            FieldType::Int | FieldType::Uint | FieldType::Double | FieldType::String | FieldType::Bool
        ) {
            self.not_applicable(form, "enum", "int, uint, double, string and bool; for a list it is given in `items`");
            return Vec::new();
        }
        let values = match value {
            Value::Array(values) if !values.is_empty() && values.len() <= limits::ENUM_VALUES_MAX => values,
            _ => {
                let message = format!("`enum` is a list of 1 to {} values", limits::ENUM_VALUES_MAX);
                self.note(Detail::new("value_invalid", message).at(path));
                return Vec::new();
            }
        };
        let mut allowed: Vec<Value> = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let (code, problem) = match typed(value, field_type) {
                None => ("enum_type", format!("is no {field_type}")),
                // PostgreSQL cannot store it, neither as text nor in JSON.
                Some(value) if value.as_str().is_some_and(|text| text.contains('\0')) => {
                    ("value_invalid", "has a NUL character".to_owned())
                }
                Some(value) if outside(&value, bounds) => ("bounds_contradict", "is out of bounds".to_owned()),
                Some(value) if allowed.contains(&value) => ("enum_duplicate", "is listed twice".to_owned()),
                Some(value) => {
                    allowed.push(value);
                    continue;
                }
            };
            self.note(Detail::new(code, format!("`{}` {problem}", shown_value(value))).at(element_path(&path, index)));
        }
        allowed
    }
}

/// `value` as a field of this type has it; `None` if it cannot have it.
fn typed(value: &Value, field_type: &FieldType) -> Option<Value> {
    match (field_type, value) {
        (FieldType::Int, Value::Number(number)) => {
            whole_number(number).and_then(|n| i64::try_from(n).ok()).map(Value::from)
        }
        (FieldType::Uint, Value::Number(number)) => {
            whole_number(number).and_then(|n| u64::try_from(n).ok()).map(Value::from)
        }
        (FieldType::Double, Value::Number(number)) => number.as_f64().map(Value::from),
        (FieldType::String, Value::String(_)) | (FieldType::Bool, Value::Bool(_)) => Some(value.clone()),
        _ => None,
    }
}

/// A number without a fraction: `25` and `25.0` alike.
fn whole_number(number: &Number) -> Option<i128> {
    if let Some(number) = number.as_i128() {
        return Some(number);
    }
    let number = number.as_f64()?;
    // The range keeps the conversion exact; beyond it a double says nothing about the last digits anyway.
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range")]
    (number.fract() == 0.0 && number.abs() <= WHOLE_DOUBLE_MAX).then_some(number as i128)
}

fn outside(value: &Value, bounds: &Bounds) -> bool {
    let too_long = |text: &str| bounds.max_length.is_some_and(|most| text.chars().count() as u64 > most);
    let too_small = |number: f64| bounds.minimum.is_some_and(|minimum| number < minimum);
    let too_great = |number: f64| bounds.maximum.is_some_and(|maximum| number > maximum);
    value.as_str().is_some_and(too_long) || value.as_f64().is_some_and(|number| too_small(number) || too_great(number))
}
