//! Reads the objects and fields of a definition from JSON, and collects everything that is wrong with it.
//!
//! A field is the name of a type, or an object. An object with a text under `type` is the long form; any other object
//! holds the fields of a nested one.

use serde_json::{Map, Value};

use super::{
    Bounds, Field, FieldType, ObjectDefinition,
    type_name::{read_type_name, too_deep},
};
use crate::{
    config::{limits, nearest},
    domain::{
        field_name_error, identifier_error,
        quote::{child_path, quoted},
    },
    error::Detail,
};

/// What the long form of a field may say.
const FIELD_KEYS: [&str; 13] = [
    "type",
    "enum",
    "required",
    "maxLength",
    "maxItems",
    "maxDepth",
    "minimum",
    "maximum",
    "sensitive",
    "description",
    "fields",
    "items",
    "values",
];

/// Types that say what they hold under a key of their own.
const INNER_KEYS: [(&str, &str); 3] = [("object", "fields"), ("list", "items"), ("map", "values")];

/// The name under which rules read derived fields.
const DERIVED: &str = "derived";

/// Names that CEL gives to types and to groups of functions: as variables they would hide them, or be hidden.
const TAKEN_BY_CEL: [&str; 27] = [
    "base64",
    "bool",
    "bytes",
    "cel",
    "cidr",
    "double",
    "duration",
    "dyn",
    "google",
    "has",
    "int",
    "ip",
    "list",
    "lists",
    "map",
    "math",
    "net",
    "null_type",
    "optional",
    "optional_type",
    "regex",
    "sets",
    "size",
    "strings",
    "timestamp",
    "type",
    "uint",
];

/// What was meant by a key that a field does not have.
fn key_hint(key: &str, form: &LongForm) -> String {
    if let Some(near) = nearest(key, FIELD_KEYS) {
        return format!("did you mean `{near}`?");
    }
    let is_field = match form.map.get(key) {
        Some(Value::String(text)) => read_type_name(text, form.depth).is_ok(),
        Some(Value::Object(_)) => true,
        _ => false,
    };
    if is_field {
        return "a nested object with a field named `type` is written {\"type\": \"object\", \"fields\": {…}}"
            .to_owned();
    }
    let known = FIELD_KEYS.map(|key| format!("`{key}`")).join(", ");
    match key {
        "pattern" | "regex" | "format" => {
            format!("a rule can ask for it: `facts.name.matches('…')`; the keys are {known}")
        }
        "default" => format!("a rule can name it: `facts.?name.orValue(…)`; the keys are {known}"),
        _ => format!("the keys are {known}"),
    }
}

/// Reads a definition.
pub fn read(json: &Value) -> Result<Vec<ObjectDefinition>, Vec<Detail>> {
    let mut reader = Reader { details: Vec::new() };
    let objects = reader.definition(json);
    if reader.details.is_empty() {
        return Ok(objects);
    }
    reader.details.truncate(limits::DETAILS_MAX);
    Err(reader.details)
}

/// Collects what is wrong while it reads; what it returns counts only if nothing is.
pub(super) struct Reader {
    details: Vec<Detail>,
}

/// One object of JSON in the place of a field, and where it stands.
pub(super) struct LongForm<'a> {
    /// What it says.
    pub map: &'a Map<String, Value>,
    /// Where it stands.
    pub path: &'a str,
    /// How many levels below its object.
    pub depth: usize,
}

impl Reader {
    /// Notes a mistake.
    pub fn note(&mut self, detail: Detail) {
        self.details.push(detail);
    }

    fn definition(&mut self, json: &Value) -> Vec<ObjectDefinition> {
        let Some(map) = json.as_object() else {
            let detail = Detail::new("definition_invalid", "a definition is an object of objects of fields");
            self.note(detail.at("definition").hint("{\"facts\": {\"age\": \"int\"}}"));
            return Vec::new();
        };
        if map.is_empty() || map.len() > limits::SCHEMA_OBJECTS_MAX {
            let message =
                format!("a definition has 1 to {} objects, this one has {}", limits::SCHEMA_OBJECTS_MAX, map.len());
            self.note(Detail::new("objects_count", message).at("definition"));
        }
        let mut objects: Vec<_> = map.iter().map(|(name, fields)| self.object(name, fields)).collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        objects
    }

    fn object(&mut self, name: &str, json: &Value) -> ObjectDefinition {
        let path = child_path("definition", name);
        self.identifier(name, &path);
        if name == DERIVED || TAKEN_BY_CEL.contains(&name) {
            let message = match name {
                DERIVED => "`derived` is where rules read derived fields".to_owned(),
                _ => format!("`{name}` means something in CEL already"),
            };
            self.note(
                Detail::new("name_reserved", message).at(&path).hint("give the object another name, such as `facts`"),
            );
        }
        let Some(map) = json.as_object() else {
            let detail = Detail::new("object_invalid", "an object's fields are written as a JSON object");
            self.note(detail.at(&path).hint("{\"age\": \"int\"}"));
            return ObjectDefinition { name: name.to_owned(), fields: Vec::new() };
        };
        ObjectDefinition { name: name.to_owned(), fields: self.fields(map, &path, 1) }
    }

    fn identifier(&mut self, name: &str, path: &str) {
        if let Some(detail) = identifier_error(name) {
            self.note(detail.at(path));
        }
    }

    /// The fields of an object, each standing `depth` levels below the object at the top.
    fn fields(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Vec<Field> {
        if map.is_empty() || map.len() > limits::OBJECT_FIELDS_MAX {
            let message =
                format!("an object has 1 to {} fields, this one has {}", limits::OBJECT_FIELDS_MAX, map.len());
            self.note(Detail::new("fields_count", message).at(path));
        }
        let mut fields = Vec::with_capacity(map.len().min(limits::OBJECT_FIELDS_MAX));
        for (name, json) in map.iter().take(limits::OBJECT_FIELDS_MAX) {
            let path = child_path(path, name);
            if let Some(detail) = field_name_error(name) {
                self.note(detail.at(&path));
            }
            fields.extend(self.field(name, json, &path, depth));
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        fields
    }

    /// A field in any of its forms; `None` if it has no type that could be read.
    fn field(&mut self, name: &str, json: &Value, path: &str, depth: usize) -> Option<Field> {
        if depth > limits::SCHEMA_DEPTH_MAX {
            self.note(too_deep().at(path));
            return None;
        }
        match json {
            Value::String(text) => Some(Field::plain(name, self.type_name(text, path, depth)?)),
            Value::Object(map) => match map.get("type") {
                Some(Value::String(text)) => self.long_form(name, text, &LongForm { map, path, depth }),
                Some(Value::Object(_)) | None => {
                    Some(Field::plain(name, FieldType::Object(self.fields(map, path, depth + 1))))
                }
                Some(_) => {
                    let detail = Detail::new("type_invalid", "`type` is the name of a type");
                    self.note(detail.at(child_path(path, "type")).hint("\"int\""));
                    None
                }
            },
            _ => {
                let detail = Detail::new("field_invalid", "a field is the name of a type, or an object");
                self.note(detail.at(path).hint("\"int\", or {\"type\": \"int\", \"required\": true}"));
                None
            }
        }
    }

    fn type_name(&mut self, text: &str, path: &str, depth: usize) -> Option<FieldType> {
        read_type_name(text, depth).map_err(|detail| self.note(detail.at(path))).ok()
    }

    fn long_form(&mut self, name: &str, type_text: &str, form: &LongForm) -> Option<Field> {
        for key in form.map.keys().filter(|key| !FIELD_KEYS.contains(&key.as_str())) {
            let detail = Detail::new("key_unknown", format!("a field has no `{}`", quoted(key)));
            self.note(detail.at(child_path(form.path, key)).hint(key_hint(key, form)));
        }
        let required = self.flag(form, "required");
        let sensitive = self.flag(form, "sensitive");
        let description = self.description(form);
        let field_type = self.long_type(type_text, form)?;
        let mut field =
            Field { name: name.to_owned(), field_type, required, bounds: Bounds::default(), sensitive, description };
        self.bounds(form, &mut field);
        Some(field)
    }

    /// The type of a long form, with what it holds written beside it.
    fn long_type(&mut self, text: &str, form: &LongForm) -> Option<FieldType> {
        let inner = INNER_KEYS.iter().find(|(outer, _)| *outer == text.trim()).map(|(_, key)| *key);
        for (outer, key) in INNER_KEYS.iter().filter(|(_, key)| form.map.contains_key(*key) && inner != Some(*key)) {
            let message = format!("`{key}` goes with the type `{outer}`");
            self.note(Detail::new("not_applicable", message).at(child_path(form.path, key)));
        }
        let Some(key) = inner else {
            return self.type_name(text, &child_path(form.path, "type"), form.depth);
        };
        let path = child_path(form.path, key);
        match (key, form.map.get(key)) {
            ("fields", Some(Value::Object(fields))) => {
                Some(FieldType::Object(self.fields(fields, &path, form.depth + 1)))
            }
            ("items", Some(items)) => self.inner_field(key, items, &path, form.depth).map(FieldType::List),
            ("values", Some(values)) => self.inner_field(key, values, &path, form.depth).map(FieldType::Map),
            (_, found) => {
                let message = match found {
                    None => format!("`{}` needs `{key}`: what it holds", text.trim()),
                    Some(_) => format!("`{key}` is an object of fields"),
                };
                self.note(Detail::new("type_incomplete", message).at(path));
                None
            }
        }
    }

    /// What a list or a map holds: a field that is always there.
    fn inner_field(&mut self, key: &str, json: &Value, path: &str, depth: usize) -> Option<Box<Field>> {
        let field = self.field(key, json, path, depth + 1)?;
        if field.required {
            let detail = Detail::new("not_applicable", "what a list or a map holds cannot be `required`");
            self.note(detail.at(child_path(path, "required")));
        }
        Some(Box::new(field))
    }

    fn flag(&mut self, form: &LongForm, key: &str) -> bool {
        match form.map.get(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                let detail = Detail::new("value_invalid", format!("`{key}` is true or false"));
                self.note(detail.at(child_path(form.path, key)));
                false
            }
        }
    }

    fn description(&mut self, form: &LongForm) -> Option<String> {
        let value = form.map.get("description")?;
        let path = child_path(form.path, "description");
        let Some(text) = value.as_str() else {
            self.note(Detail::new("value_invalid", "a description is a text").at(path));
            return None;
        };
        if text.chars().count() > limits::DESCRIPTION_CHARS_MAX {
            let message = format!("a description has at most {} characters", limits::DESCRIPTION_CHARS_MAX);
            self.note(Detail::new("description_too_long", message).at(path));
        } else if text.contains('\0') {
            self.note(Detail::new("value_invalid", "a description may not contain a NUL character").at(path));
        }
        Some(text.to_owned())
    }
}
