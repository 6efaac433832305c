//! Types as text: `int`, `list<string>`, `map<string, list<int>>`.
//!
//! Objects have no text: their fields are written out.

use super::{Field, FieldType};
use crate::{
    config::{limits, nearest},
    domain::quote::quoted,
    error::Detail,
};

/// The types that a name alone says, with their aliases.
const SCALARS: [(&str, FieldType); 12] = [
    ("int", FieldType::Int),
    ("int64", FieldType::Int),
    ("uint", FieldType::Uint),
    ("double", FieldType::Double),
    ("float64", FieldType::Double),
    ("float", FieldType::Double),
    ("string", FieldType::String),
    ("bool", FieldType::Bool),
    ("bytes", FieldType::Bytes),
    ("timestamp", FieldType::Timestamp),
    ("duration", FieldType::Duration),
    ("dyn", FieldType::Dyn),
];

/// What other languages call our types.
const FOREIGN: [(&str, &str); 22] = [
    ("integer", "int"),
    ("int32", "int"),
    ("long", "int"),
    ("bigint", "int"),
    ("number", "double"),
    ("decimal", "double"),
    ("float32", "double"),
    ("real", "double"),
    ("uint64", "uint"),
    ("uint32", "uint"),
    ("unsigned", "uint"),
    ("str", "string"),
    ("text", "string"),
    ("boolean", "bool"),
    ("date", "timestamp"),
    ("datetime", "timestamp"),
    ("time", "timestamp"),
    ("any", "dyn"),
    ("json", "dyn"),
    ("array", "list<T>"),
    ("dict", "map<string, T>"),
    ("hashmap", "map<string, T>"),
];

/// The hint for `list`, `map` and `object` where they stand alone.
const LIST_HINT: &str = "a list says what it holds: `list<string>`, or {\"type\": \"list\", \"items\": …}";
const MAP_HINT: &str = "a map says what it holds: `map<string, int>`, or {\"type\": \"map\", \"values\": …}";
const OBJECT_HINT: &str = "write its fields: {\"city\": \"string\"}, or {\"type\": \"object\", \"fields\": {…}}";

/// Reads a type that stands `depth` levels below its object; the detail has no path yet.
pub fn read_type_name(text: &str, depth: usize) -> Result<FieldType, Detail> {
    let name = text.trim();
    if depth > limits::SCHEMA_DEPTH_MAX {
        return Err(too_deep());
    }
    if let Some((_, scalar)) = SCALARS.iter().find(|(known, _)| *known == name) {
        return Ok(scalar.clone());
    }
    if let Some(items) = inside(name, "list") {
        let items = read_type_name(items, depth + 1)?;
        return Ok(FieldType::List(Box::new(Field::plain("items", items))));
    }
    if let Some(parts) = inside(name, "map") {
        return read_map(parts, depth);
    }
    Err(unknown(name))
}

/// The mistake of nesting deeper than a schema may.
pub fn too_deep() -> Detail {
    let message = format!("types nest at most {} levels deep", limits::SCHEMA_DEPTH_MAX);
    Detail::new("schema_too_deep", message).hint("`dyn` holds any JSON value")
}

/// What stands between the brackets of `<outer><…>`.
fn inside<'a>(name: &'a str, outer: &str) -> Option<&'a str> {
    name.strip_prefix(outer)?.trim_start().strip_prefix('<')?.strip_suffix('>')
}

fn read_map(parts: &str, depth: usize) -> Result<FieldType, Detail> {
    let Some((key, values)) = parts.split_once(',') else {
        return Err(Detail::new("type_unknown", "a map names the types of its keys and values").hint(MAP_HINT));
    };
    if key.trim() != "string" {
        let message = format!("the keys of a map are strings, not `{}`", quoted(key.trim()));
        return Err(Detail::new("map_key_type", message).hint("`map<string, T>`"));
    }
    let values = read_type_name(values, depth + 1)?;
    Ok(FieldType::Map(Box::new(Field::plain("values", values))))
}

fn unknown(name: &str) -> Detail {
    let detail = Detail::new("type_unknown", format!("there is no type `{}`", quoted(name)));
    match name {
        "list" => detail.hint(LIST_HINT),
        "map" => detail.hint(MAP_HINT),
        "object" => detail.hint(OBJECT_HINT),
        _ => match meant(name) {
            Some(known) => detail.hint(format!("did you mean `{known}`?")),
            None => detail.hint(
                "types: int, uint, double, string, bool, bytes, timestamp, duration, list<T>, map<string, T>, dyn",
            ),
        },
    }
}

/// The type that `name` most likely means.
fn meant(name: &str) -> Option<&'static str> {
    let foreign = FOREIGN.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(name)).map(|(_, ours)| *ours);
    foreign.or_else(|| nearest(name, SCALARS.iter().map(|(known, _)| *known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_with_their_aliases_and_arguments() {
        for (text, name) in [
            ("int", "int"),
            ("int64", "int"),
            ("float", "double"),
            ("float64", "double"),
            ("list<int64>", "list<int>"),
            (" list < map<string,list<bool>> > ", "list<map<string, list<bool>>>"),
            ("map<string, map<string, dyn>>", "map<string, map<string, dyn>>"),
        ] {
            assert_eq!(read_type_name(text, 1).map(|t| t.to_string()), Ok(name.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_wrong_type_is_answered_with_the_nearest_one() {
        for (text, hint) in [
            ("integer", "did you mean `int`?"),
            ("Int", "did you mean `int`?"),
            ("STRING", "did you mean `string`?"),
            ("strng", "did you mean `string`?"),
            ("boolean", "did you mean `bool`?"),
            ("timestmap", "did you mean `timestamp`?"),
            ("list<integer>", "did you mean `int`?"),
            ("list", LIST_HINT),
            ("map", MAP_HINT),
            ("map<string>", MAP_HINT),
            ("object", OBJECT_HINT),
        ] {
            assert_eq!(read_type_name(text, 1).unwrap_err().hint.as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn hostile_type_names_are_refused() {
        for (text, code) in [
            ("", "type_unknown"),
            ("\0", "type_unknown"),
            ("list<>", "type_unknown"),
            ("list<int", "type_unknown"),
            ("list<int>>", "type_unknown"),
            ("map<int, string>", "map_key_type"),
            ("map<,>", "map_key_type"),
            ("ïnt", "type_unknown"),
        ] {
            assert_eq!(read_type_name(text, 1).unwrap_err().code, code, "{text}");
        }
        let deep = format!("{}int{}", "list<".repeat(50_000), ">".repeat(50_000));
        assert_eq!(read_type_name(&deep, 1).unwrap_err().code, "schema_too_deep");
    }

    #[test]
    fn types_nest_up_to_the_limit() {
        let nested = |levels: usize| format!("{}int{}", "list<".repeat(levels), ">".repeat(levels));
        assert!(read_type_name(&nested(limits::SCHEMA_DEPTH_MAX - 1), 1).is_ok());
        assert!(read_type_name(&nested(limits::SCHEMA_DEPTH_MAX), 1).is_err());
    }
}
