//! A rule file: the schema, derived fields, rules and test cases of a tenant, as people keep them beside their code.
//!
//! Reads its structure and reports everything that is wrong with it. It does not compile expressions.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{
    config::{limits, nearest},
    domain::{
        DerivedFieldDraft, Name, RuleDraft, field_name_error,
        quote::{child_path, element_path, quoted},
        read_timestamp,
    },
    error::Detail,
};

const FILE_KEYS: [&str; 4] = ["schema", "derivedFields", "rules", "tests"];
const DERIVED_FIELD_KEYS: [&str; 3] = ["name", "expression", "description"];
const RULE_KEYS: [&str; 5] = ["name", "expression", "description", "tags", "active"];
const TEST_KEYS: [&str; 6] = ["name", "facts", "at", "strictFacts", "matches", "errors"];

/// The content of a file. Each thing comes with its path, such as `rules[3]`.
#[derive(Debug, Default)]
pub(super) struct RuleFile {
    /// The schema's definition.
    pub schema: Option<Value>,
    /// The derived fields that could be read.
    pub derived_fields: Vec<(String, DerivedFieldDraft)>,
    /// The rules that could be read.
    pub rules: Vec<(String, RuleDraft)>,
    /// The test cases that could be read.
    pub tests: Vec<(String, TestCase)>,
}

/// Facts, and what is expected of them.
#[derive(Debug)]
pub(super) struct TestCase {
    /// The time of the decision; the current time if `None`.
    pub at: Option<DateTime<Utc>>,
    /// Its name.
    pub name: String,
    /// The facts.
    pub facts: Value,
    /// Whether facts that the schema does not declare are an error.
    pub strict: bool,
    /// The names of the rules that match; all others do not.
    pub matches: Vec<String>,
    /// The names of the rules that end with an error, if the file lists them.
    pub errors: Option<Vec<String>>,
}

/// Reads a file's structure. Invalid parts are left out and reported.
pub(super) fn read(document: &Value) -> (RuleFile, Vec<Detail>) {
    let mut reader = Reader { details: Vec::new() };
    let mut file = RuleFile::default();
    let Some(map) = document.as_object() else {
        let message = if document.is_null() { "the file is empty" } else { "a rule file must be an object" };
        reader.details.push(Detail::new("file_invalid", message).hint("start it with `schema:`"));
        return (file, reader.details);
    };
    reader.known_keys(map, "", &FILE_KEYS);
    file.schema = map.get("schema").cloned();
    if file.schema.is_none() {
        let detail = Detail::new("schema_missing", "the file has no `schema`");
        reader.details.push(detail.hint("declare the facts: `schema: {facts: {age: int}}`"));
    }
    file.derived_fields = reader.each(map, "derivedFields", &DERIVED_FIELD_KEYS, Reader::derived_field);
    file.rules = reader.each(map, "rules", &RULE_KEYS, Reader::rule);
    file.tests = reader.each(map, "tests", &TEST_KEYS, Reader::test);
    reader.different_names(&mut file.derived_fields, |field| &field.name);
    reader.different_names(&mut file.rules, |rule| rule.name.as_str());
    (file, reader.details)
}

struct Reader {
    details: Vec<Detail>,
}

impl Reader {
    fn note(&mut self, code: &'static str, message: String, path: String) {
        self.details.push(Detail::new(code, message).at(path));
    }

    fn known_keys(&mut self, map: &Map<String, Value>, path: &str, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let key_path = child_path(path, key);
            let detail = Detail::new("key_unknown", format!("unknown key `{}`", quoted(key)));
            let hint = match nearest(key, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys here are `{}`", known.join("`, `")),
            };
            self.details.push(detail.at(key_path.trim_start_matches('.')).hint(hint));
        }
    }

    /// Reads each object of the list under `key`.
    fn each<T>(
        &mut self,
        map: &Map<String, Value>,
        key: &str,
        known: &[&str],
        read: impl Fn(&mut Self, &Map<String, Value>, &str) -> Option<T>,
    ) -> Vec<(String, T)> {
        let elements = match map.get(key) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(elements)) => elements,
            Some(_) => {
                self.note("wrong_type", format!("`{key}` must be a list"), key.to_owned());
                return Vec::new();
            }
        };
        let mut found = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let path = element_path(key, index);
            let Some(map) = element.as_object() else {
                self.note("wrong_type", format!("each element of `{key}` must be an object"), path);
                continue;
            };
            self.known_keys(map, &path, known);
            found.extend(read(self, map, &path).map(|read| (path, read)));
        }
        found
    }

    fn derived_field(&mut self, map: &Map<String, Value>, path: &str) -> Option<DerivedFieldDraft> {
        let name = self.text(map, path, "name")?;
        if let Some(detail) = field_name_error(&name) {
            self.details.push(detail.at(child_path(path, "name")));
            return None;
        }
        let expression = self.text(map, path, "expression")?;
        if expression.contains('\0') {
            let message = "an expression must not contain a NUL character".to_owned();
            self.note("nul_character", message, child_path(path, "expression"));
        }
        let description = self.optional_text(map, path, "description");
        let length = description.as_ref().map_or(0, |text| text.chars().count());
        if length > limits::DESCRIPTION_CHARS_MAX {
            let message = format!("a description may have at most {} characters", limits::DESCRIPTION_CHARS_MAX);
            self.note("description_too_long", message, child_path(path, "description"));
        }
        Some(DerivedFieldDraft { name, expression, description })
    }

    fn rule(&mut self, map: &Map<String, Value>, path: &str) -> Option<RuleDraft> {
        let name = self.text(map, path, "name");
        let name = name.map(|name| Name::parse(&name, &child_path(path, "name")));
        let expression = self.text(map, path, "expression");
        let description = self.optional_text(map, path, "description");
        let tags = self.texts(map, path, "tags").unwrap_or_default();
        let active = self.flag(map, path, "active").unwrap_or(true);
        let name = name?.map_err(|detail| self.details.push(detail)).ok()?;
        Some(RuleDraft { name, expression: expression?, description, tags, active })
    }

    fn test(&mut self, map: &Map<String, Value>, path: &str) -> Option<TestCase> {
        let name = self.text(map, path, "name");
        let matches = self.texts(map, path, "matches");
        if !map.contains_key("matches") {
            let detail = Detail::new("missing", "a test needs `matches`: the names of the rules that match");
            self.details.push(detail.at(path).hint("write `matches: []` if none matches"));
        }
        let facts = map.get("facts").cloned();
        if facts.is_none() {
            self.note("missing", "a test needs `facts`".to_owned(), path.to_owned());
        }
        let strict = self.flag(map, path, "strictFacts").unwrap_or(true);
        let errors = self.texts(map, path, "errors");
        let at = self.optional_text(map, path, "at").and_then(|text| match read_timestamp(&text) {
            Ok(at) => Some(at),
            Err(reason) => {
                self.note("invalid_timestamp", format!("it {reason}"), child_path(path, "at"));
                None
            }
        });
        Some(TestCase { name: name?, facts: facts?, at, strict, matches: matches?, errors })
    }

    fn text(&mut self, map: &Map<String, Value>, path: &str, key: &str) -> Option<String> {
        if map.get(key).is_none_or(Value::is_null) {
            self.note("missing", format!("`{key}` is missing"), path.to_owned());
        }
        self.optional_text(map, path, key)
    }

    fn optional_text(&mut self, map: &Map<String, Value>, path: &str, key: &str) -> Option<String> {
        match map.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => {
                let detail = Detail::new("wrong_type", format!("`{key}` must be a string")).at(child_path(path, key));
                let is_scalar = matches!(other, Value::Bool(_) | Value::Number(_));
                self.details.push(if is_scalar { detail.hint("quote it") } else { detail });
                None
            }
        }
    }

    fn texts(&mut self, map: &Map<String, Value>, path: &str, key: &str) -> Option<Vec<String>> {
        let value = map.get(key).filter(|value| !value.is_null())?;
        let texts = value
            .as_array()
            .and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        if texts.is_none() {
            self.note("wrong_type", format!("`{key}` must be a list of strings"), child_path(path, key));
        }
        texts
    }

    fn flag(&mut self, map: &Map<String, Value>, path: &str, key: &str) -> Option<bool> {
        let value = map.get(key)?;
        if !value.is_boolean() {
            self.note("wrong_type", format!("`{key}` must be `true` or `false`"), child_path(path, key));
        }
        value.as_bool()
    }

    /// Removes later things with the name of an earlier one, and reports them.
    fn different_names<T>(&mut self, things: &mut Vec<(String, T)>, name: impl Fn(&T) -> &str) {
        let mut first: HashMap<String, String> = HashMap::new();
        things.retain(|(path, thing)| match first.get(name(thing)) {
            Some(other) => {
                let message = format!("the name `{}` is already used by `{other}`", quoted(name(thing)));
                self.note("name_duplicate", message, child_path(path, "name"));
                false
            }
            None => {
                first.insert(name(thing).to_owned(), path.clone());
                true
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mistakes(document: &Value) -> Vec<(&'static str, String)> {
        read(document).1.into_iter().map(|detail| (detail.code, detail.path.unwrap_or_default())).collect()
    }

    #[test]
    fn everything_wrong_with_the_shape_is_told_with_its_path() {
        let found = mistakes(&json!({
            "schema": {},
            "rule": [],
            "derivedFields": [{"name": "9a", "expression": "1"}, 7],
            "rules": [
                {"name": "a", "expression": "true", "tag": []},
                {"name": " ", "expression": 1, "tags": "x", "active": "yes"},
                {"name": "a", "expression": "true"},
            ],
            "tests": [{"name": "t", "facts": {}}, {"facts": {}, "matches": [1]}],
        }));
        let expected = [
            ("key_unknown", "rule"),
            ("identifier_invalid", "derivedFields[0].name"),
            ("wrong_type", "derivedFields[1]"),
            ("key_unknown", "rules[0].tag"),
            ("wrong_type", "rules[1].expression"),
            ("wrong_type", "rules[1].tags"),
            ("wrong_type", "rules[1].active"),
            ("name_empty", "rules[1].name"),
            ("missing", "tests[0]"),
            ("missing", "tests[1]"),
            ("wrong_type", "tests[1].matches"),
            ("name_duplicate", "rules[2].name"),
        ];
        assert_eq!(found, expected.map(|(code, path)| (code, path.to_owned())));
    }

    #[test]
    fn a_file_without_anything_says_how_to_begin() {
        assert_eq!(mistakes(&Value::Null), [("file_invalid", String::new())]);
        assert_eq!(mistakes(&json!([])), [("file_invalid", String::new())]);
        assert_eq!(mistakes(&json!({})), [("schema_missing", String::new())]);
    }
}
