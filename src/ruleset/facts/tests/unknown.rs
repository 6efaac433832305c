//! Facts that the schema does not declare, and those that none of its objects holds.

use serde_json::{Value as Json, json};

use super::{layout, mistakes, of, paths, read, value};
use crate::{
    cel::Value,
    config::limits,
    ruleset::facts::{Unknown, UnknownFacts},
};

#[test]
fn facts_of_several_objects_stand_under_their_names() {
    let layout = of(&json!({"user": {"age": "int"}, "order": {"total": {"type": "double", "required": true}}}));
    let facts = read(&layout, r#"{"order": {"total": 3}, "age": 1}"#, UnknownFacts::Ignore).unwrap();
    assert_eq!(value(&facts, "order.total"), Some(Value::Double(3.0)));
    assert_eq!(facts.activation().filled().count(), 1);
    assert_eq!(facts.unknown(), [Unknown { path: "facts.age".to_owned(), is_misplaced: true }]);
    let inside = read(&layout, r#"{"order": {"total": 3, "age": 1}}"#, UnknownFacts::Ignore).unwrap();
    assert_eq!(inside.unknown(), [Unknown { path: "facts.order.age".to_owned(), is_misplaced: false }]);
    assert_eq!(mistakes(&layout, "{}"), [("required_missing", "facts.order".to_owned())]);
    assert_eq!(mistakes(&layout, r#"{"order": 1}"#), [("type_mismatch", "facts.order".to_owned())]);
    assert_eq!(mistakes(&layout, r#"{"order": null}"#), [("required_missing", "facts.order".to_owned())]);
}

#[test]
fn unknown_facts_are_listed_or_refused() {
    let layout = layout(&json!({"a": {"b": "int"}}));
    let json = r#"{"x": 1, "a": {"c": {"d": [1]}}}"#;
    let facts = read(&layout, json, UnknownFacts::Ignore).unwrap();
    assert_eq!(paths(&facts), ["facts.x", "facts.a.c"]);
    let details = read(&layout, json, UnknownFacts::Refuse).unwrap_err();
    let codes: Vec<_> = details.iter().map(|detail| (detail.code, detail.path.as_deref().unwrap())).collect();
    assert_eq!(codes, [("unknown_fact", "facts.x"), ("unknown_fact", "facts.a.c")]);
    let many: Json = (0..1_000).map(|n| (format!("k{n}"), json!(n))).collect();
    assert_eq!(read(&layout, &many.to_string(), UnknownFacts::Ignore).unwrap().unknown().len(), 100);
    assert_eq!(read(&layout, &many.to_string(), UnknownFacts::Refuse).unwrap_err().len(), limits::DETAILS_MAX);
}
