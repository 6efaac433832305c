//! What people write who come from other languages, and what it is called here.

use super::{Checked, CheckedKind};
use crate::{
    cel::{
        library::{self, Overload},
        types::Type,
        value::Value,
    },
    config::nearest,
    domain::selector,
};

/// Functions of other languages, and how to write them here.
const FOREIGN: [(&str, &str); 38] = [
    ("any", "list.exists(item, condition)"),
    ("some", "list.exists(item, condition)"),
    ("every", "list.all(item, condition)"),
    ("one", "list.exists_one(item, condition)"),
    ("select", "list.filter(item, condition)"),
    ("where", "list.filter(item, condition)"),
    ("length", "value.size()"),
    ("len", "value.size()"),
    ("count", "list.size()` or `list.filter(item, condition).size()"),
    ("isempty", "value.size() == 0"),
    ("empty", "value.size() == 0"),
    ("tolowercase", "text.lowerAscii()"),
    ("tolower", "text.lowerAscii()"),
    ("lower", "text.lowerAscii()"),
    ("lowercase", "text.lowerAscii()"),
    ("touppercase", "text.upperAscii()"),
    ("toupper", "text.upperAscii()"),
    ("upper", "text.upperAscii()"),
    ("uppercase", "text.upperAscii()"),
    ("strip", "text.trim()"),
    ("regex", "text.matches('pattern')"),
    ("test", "text.matches('pattern')"),
    ("match", "text.matches('pattern')"),
    ("like", "text.matches('pattern')"),
    ("substr", "text.substring(start, end)"),
    ("includes", "value in list` or `text.contains(part)"),
    ("in", "value in list"),
    ("not", "!condition"),
    ("and", "a && b"),
    ("or", "a || b"),
    ("isnull", "!has(object.field)"),
    ("exist", "has(object.field)` or `list.exists(item, condition)"),
    ("defined", "has(object.field)"),
    ("coalesce", "object.?field.orValue(other)"),
    ("tostring", "string(value)"),
    ("str", "string(value)"),
    ("float", "double(value)"),
    ("parseint", "int(text)"),
];

/// What a function of another language is called here.
pub(super) fn foreign_function(name: &str) -> Option<&'static str> {
    let name: String = name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect();
    FOREIGN.iter().find(|(foreign, _)| *foreign == name).map(|(_, here)| *here)
}

/// What a name that is not declared was meant to be, if it is a word of another language.
pub(super) fn foreign_word(name: &str) -> Option<&'static str> {
    Some(match name.to_lowercase().as_str() {
        "true" => "did you mean `true`?",
        "false" => "did you mean `false`?",
        "null" | "none" | "nil" | "undefined" => "write `!has(object.field)` to ask whether a field is absent",
        "not" => "write `!condition`",
        _ => return None,
    })
}

/// What was meant by a field of a value that has none: a function without its parentheses.
pub(super) fn field_of_value(text: &str, field: &str) -> Option<String> {
    if let Some(here) = foreign_function(field) {
        return Some(format!("write `{here}`"));
    }
    let is_member = |overload: &Overload| overload.is_member && overload.parameters.len() == 1;
    let function = library::find(field).filter(|function| function.overloads.iter().any(is_member))?;
    Some(format!("write `{text}.{}()`", function.name))
}

/// How to write a number so that it goes with another one: a literal is written otherwise, anything else converted.
pub(super) fn converted(left: (&Checked, &Type), right: (&Checked, &Type)) -> Option<String> {
    for ((literal, _), (_, other)) in [(left, right), (right, left)] {
        let CheckedKind::Constant(value) = &literal.kind else { continue };
        return Some(match (value, other) {
            (Value::Int(number), Type::Double) => format!("write `{number}.0`"),
            (Value::Uint(number), Type::Double) => format!("write `{number}.0`"),
            (Value::Int(number), Type::Uint) if *number >= 0 => format!("write `{number}u`"),
            (Value::Uint(number), Type::Int) => format!("write `{number}`"),
            (Value::Double(number), Type::Int) if number.fract() == 0.0 => format!("write `{number}`"),
            (Value::Double(number), Type::Uint) if number.fract() == 0.0 && *number >= 0.0 => {
                format!("write `{number}u`")
            }
            _ => continue,
        });
    }
    None
}

/// What is meant by a text in brackets behind an object, whose fields are selected by their names.
pub(super) fn field_in_brackets<'a>(text: &str, key: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match names.clone().find(|name| *name == key).or_else(|| nearest(key, names)) {
        Some(name) => format!("write `{text}.{}`", selector(name)),
        None => format!("the fields of an object are selected by name, such as `{text}.name`"),
    }
}
