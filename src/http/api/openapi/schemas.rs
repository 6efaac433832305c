//! What generated clients need of the schemas of the document, and the macros do not say: which objects are open, what a
//! definition is made of, references in place of copies, titles and examples.

use serde_json::{Map, Value, json};

/// Where a schema is found by its name.
const PLACE: &str = "#/components/schemas/";
/// How deep an example goes.
const EXAMPLE_DEPTH_MAX: usize = 8;

/// Examples for members of this name that say nothing themselves. The rest follows from types and formats.
const EXAMPLES: [(&str, &str); 14] = [
    ("action", "update"),
    ("actor", "operator"),
    ("code", "wrong_type"),
    ("description", "Grown up"),
    ("detail", "1 error"),
    ("expression", "facts.age >= 18"),
    ("fieldName", "adult"),
    ("message", "`facts.age` is an int, not a string"),
    ("name", "adult"),
    ("path", "facts.age"),
    ("ruleName", "adult"),
    ("tags", "pricing"),
    ("text", "facts.age >= 18"),
    ("type", "int"),
];

/// Completes the document.
pub fn complete(document: &mut Value) {
    open_objects(document);
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    define_definitions(schemas);
    let copies: Vec<(Value, String)> = schemas
        .iter()
        .filter(|(_, schema)| schema.get("properties").is_some() || schema.get("allOf").is_some())
        .map(|(name, schema)| (schema.clone(), format!("{PLACE}{name}")))
        .collect();
    for schema in schemas.values_mut() {
        members(schema).for_each(|member| refer(member, &copies));
    }
    let examples: Vec<Value> = schemas.values().map(|schema| example("", schema, schemas, 0)).collect();
    for ((name, schema), example) in schemas.iter_mut().zip(examples) {
        let Some(schema) = schema.as_object_mut() else { continue };
        schema.insert("title".to_owned(), title(name).into());
        schema.remove("example");
        schema.insert("examples".to_owned(), json!([example]));
    }
}

/// An object of which nothing is said may have any members. Some generators take it for one without members otherwise.
fn open_objects(value: &mut Value) {
    if let Value::Object(map) = &mut *value {
        let says_more = ["properties", "additionalProperties", "allOf", "oneOf", "anyOf", "$ref"];
        if map.get("type").is_some_and(|name| name == "object") && !says_more.iter().any(|key| map.contains_key(*key)) {
            map.insert("additionalProperties".to_owned(), true.into());
        }
    }
    members(value).for_each(open_objects);
}

/// Says what a schema's definition is: objects of fields, each a type's name, a field with more to say, or an object.
fn define_definitions(schemas: &mut Map<String, Value>) {
    schemas.values_mut().for_each(refer_to_definition);
    let field = json!({"$ref": format!("{PLACE}FieldDefinition")});
    // Generators fail on a union that holds itself, so that what is inside of a field is open.
    let object = json!({"type": "object", "additionalProperties": true});
    let inner = json!({"anyOf": [{"type": "string"}, object]});
    let count = json!({"type": "integer", "minimum": 0});
    let additions = [
        (
            "SchemaDefinition",
            json!({
                "type": "object", "description": "The objects of a schema, by name, and the fields of each.",
                "additionalProperties": {"type": "object", "additionalProperties": field},
                "example": {"facts": {"age": "int", "country": {"type": "string", "maxLength": 2}}},
            }),
        ),
        (
            "FieldDefinition",
            json!({
                "description": "A field: the name of its type, its type with more to say, or an object's fields.",
                "anyOf": [{"type": "string"}, {"$ref": format!("{PLACE}TypedField")}, object],
                "example": "int",
            }),
        ),
        (
            "TypedField",
            json!({
                "type": "object", "description": "The type of a field, with further keys.", "required": ["type"],
                "properties": {
                    "type": {"type": "string", "description": "The name of its type."},
                    "required": {"type": "boolean", "description": "Whether facts must have it."},
                    "sensitive": {"type": "boolean", "description": "Whether its values are never shown."},
                    "description": {"type": "string", "description": "What it is for."},
                    "enum": {"type": "array", "items": {}, "description": "The values that it may have."},
                    "minimum": {"type": "number", "description": "The least value that it may have."},
                    "maximum": {"type": "number", "description": "The greatest value that it may have."},
                    "maxLength": count, "maxItems": count, "maxDepth": count,
                    "fields": object,
                    "items": inner, "values": inner,
                },
                "additionalProperties": false,
                "example": {"type": "string", "maxLength": 2},
            }),
        ),
    ];
    schemas.extend(additions.map(|(name, schema)| (name.to_owned(), schema)));
}

/// Refers to what a definition is, wherever a member has this name.
fn refer_to_definition(value: &mut Value) {
    if let Some(definition) = value.pointer_mut("/properties/definition") {
        let description = definition.get("description").cloned().unwrap_or_default();
        *definition = json!({"$ref": format!("{PLACE}SchemaDefinition"), "description": description});
    }
    members(value).for_each(refer_to_definition);
}

/// Puts references in place of what is a copy of a schema with a name.
fn refer(value: &mut Value, copies: &[(Value, String)]) {
    let copy = copies.iter().find(|(schema, _)| schema == value);
    match copy {
        Some((_, reference)) => *value = json!({ "$ref": reference }),
        None => members(value).for_each(|member| refer(member, copies)),
    }
}

/// The values right inside of one.
fn members(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Object(map) => Box::new(map.values_mut()),
        Value::Array(items) => Box::new(items.iter_mut()),
        _ => Box::new(std::iter::empty()),
    }
}

/// `Revised_RuleBody` in words.
fn title(name: &str) -> String {
    let (name, suffix) = if let Some(name) = name.strip_prefix("RevisedList_") {
        (name, " list with revision")
    } else if let Some(name) = name.strip_prefix("Revised_") {
        (name, " with revision")
    } else if let Some(name) = name.strip_prefix("List_") {
        (name, " list")
    } else {
        (name, "")
    };
    let mut title = String::with_capacity(name.len() + suffix.len());
    for character in name.chars() {
        if character.is_ascii_uppercase() && !title.is_empty() {
            title.push(' ');
            title.push(character.to_ascii_lowercase());
        } else {
            title.push(character);
        }
    }
    title + suffix
}

/// A value that fits a schema: the one that it names itself, or one made of its parts.
fn example(name: &str, schema: &Value, schemas: &Map<String, Value>, depth: usize) -> Value {
    if let Some(example) = schema.get("example").or_else(|| schema.pointer("/examples/0")) {
        return example.clone();
    }
    if let Some(first) = schema.pointer("/enum/0") {
        return first.clone();
    }
    if depth > EXAMPLE_DEPTH_MAX {
        return Value::Null;
    }
    let of = |name: &str, schema: &Value| example(name, schema, schemas, depth + 1);
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix(PLACE)) {
        return schemas.get(target).map(|schema| of(name, schema)).unwrap_or_default();
    }
    let parts = |key: &str| schema.get(key).and_then(Value::as_array);
    if let Some(choices) = parts("oneOf").or_else(|| parts("anyOf")) {
        let first = choices.iter().find(|choice| choice.get("type").is_none_or(|name| name != "null"));
        return first.map(|schema| of(name, schema)).unwrap_or_default();
    }
    if let Some(parts) = parts("allOf") {
        let objects = parts.iter().filter_map(|part| of(name, part).as_object().cloned());
        return Value::Object(objects.flatten().collect());
    }
    let kind = schema.get("type");
    let kind = kind.and_then(Value::as_str).or_else(|| kind?.get(0)?.as_str()).unwrap_or_default();
    match kind {
        "object" if name == "facts" => json!({"age": 25, "country": "US"}),
        "object" => {
            let required = parts("required");
            let is_shown = |(key, member): &(&String, &Value)| {
                required.is_some_and(|keys| keys.iter().any(|required| required == *key))
                    || member.get("example").is_some()
            };
            let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten().filter(is_shown);
            Value::Object(members.map(|(key, member)| (key.clone(), of(key, member))).collect())
        }
        "array" => schema.get("items").map(|items| json!([of(name, items)])).unwrap_or_default(),
        "string" => match schema.get("format").and_then(Value::as_str) {
            Some("uuid") => "01938f5e-7c1a-7b52-9d3e-2f4a6b8c0d1e".into(),
            Some("date-time") => "2026-01-31T12:00:00Z".into(),
            _ => EXAMPLES.iter().find(|(of, _)| *of == name).map_or("text", |(_, example)| *example).into(),
        },
        "integer" => schema.get("minimum").and_then(Value::as_i64).unwrap_or_default().max(1).into(),
        "number" => 0.25.into(),
        "boolean" => true.into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_becomes_a_reference_and_an_open_object_says_so() {
        let rule =
            json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "format": "uuid"}}});
        let list = json!({"type": "object", "properties": {"items": {"type": "array", "items": rule}}});
        let facts = json!({"type": "object", "properties": {"facts": {"type": "object"}}});
        let mut document = json!({"components": {"schemas": {"List_Rule": list, "Rule": rule, "TrialBody": facts}}});
        complete(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["List_Rule"]["properties"]["items"]["items"], json!({"$ref": "#/components/schemas/Rule"}));
        assert_eq!(schemas["List_Rule"]["title"], "Rule list");
        assert_eq!(schemas["TrialBody"]["title"], "Trial body");
        assert_eq!(schemas["TrialBody"]["properties"]["facts"]["additionalProperties"], true);
        assert_eq!(schemas["Rule"]["examples"], json!([{"id": "01938f5e-7c1a-7b52-9d3e-2f4a6b8c0d1e"}]));
    }
}
