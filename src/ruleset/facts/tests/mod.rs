//! What facts are read as, and what is wrong with the others.

mod dynamic;
mod json;
mod numbers;
mod unknown;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    cel::{Env, MapValue, Value},
    config::limits,
    domain::SchemaDefinition,
};

/// The layout of `{"facts": <fields>}`.
fn layout(fields: &Json) -> Arc<Layout> {
    of(&json!({ "facts": fields }))
}

fn of(definition: &Json) -> Arc<Layout> {
    Arc::new(Layout::of(&SchemaDefinition::parse(definition).unwrap()))
}

/// Reads facts for a set without derived fields.
fn read(layout: &Arc<Layout>, json: &str, policy: UnknownFacts) -> Result<Facts, Vec<Detail>> {
    layout.read(json, policy, &Arc::new(Frame::new(&Env::new(layout.variables().to_vec()), Vec::new())))
}

/// What stands at `path`.
fn value(facts: &Facts, path: &str) -> Option<Value> {
    let slot = Env::new(facts.layout().variables().to_vec()).slot(path)?;
    facts.activation().read(slot).unwrap().cloned()
}

/// Paths of what was left out.
fn paths(facts: &Facts) -> Vec<String> {
    facts.unknown().iter().map(|unknown| unknown.path.clone()).collect()
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let mut map = MapValue::default();
    for (key, value) in entries {
        map.insert(key.into(), value);
    }
    Value::Map(Arc::new(map))
}

/// The field `x` of `facts`, read from `json`.
fn read_x(schema: &Json, json: &str) -> Result<Option<Value>, Vec<Detail>> {
    let facts = read(&layout(&json!({ "x": schema })), &format!("{{\"x\": {json}}}"), UnknownFacts::Ignore)?;
    Ok(value(&facts, "facts.x"))
}

/// Codes and paths of what is wrong.
fn mistakes(layout: &Arc<Layout>, json: &str) -> Vec<(&'static str, String)> {
    let details = read(layout, json, UnknownFacts::Ignore).expect_err(json);
    details.into_iter().map(|detail| (detail.code, detail.path.unwrap())).collect()
}

#[test]
fn values_are_coerced_to_their_types() {
    let utc = |text: &str| Value::Timestamp(text.parse().unwrap());
    for (schema, json, value) in [
        ("int", "25", Value::Int(25)),
        ("int", "25.0", Value::Int(25)),
        ("int", "2.5e1", Value::Int(25)),
        ("int", "-0.0", Value::Int(0)),
        ("int", "-9223372036854775808", Value::Int(i64::MIN)),
        ("int", "9223372036854775807", Value::Int(i64::MAX)),
        ("uint", "18446744073709551615", Value::Uint(u64::MAX)),
        ("uint", "3.0", Value::Uint(3)),
        ("double", "1", Value::Double(1.0)),
        ("double", "1.38e-23", Value::Double(1.38e-23)),
        ("double", "9007199254740993", Value::Double(9_007_199_254_740_992.0)),
        ("string", "\"h\\u00e9\"", Value::String("hé".into())),
        ("string", "\"\\u0000\"", Value::String("\0".into())),
        ("bool", "true", Value::Bool(true)),
        ("bytes", "\"aGk=\"", Value::Bytes((*b"hi").into())),
        ("bytes", "\"aGk\"", Value::Bytes((*b"hi").into())),
        ("timestamp", "\"2026-01-31T23:59:59.5+01:00\"", utc("2026-01-31T23:59:59.5+01:00")),
        ("timestamp", "\"0001-01-01T00:00:00Z\"", utc("0001-01-01T00:00:00Z")),
        ("timestamp", "\"9999-12-31T23:59:59.999999999Z\"", utc("9999-12-31T23:59:59.999999999Z")),
        ("duration", "\"-1h30m\"", Value::Duration(chrono::TimeDelta::minutes(-90))),
        ("dyn", "null", Value::Null),
        ("dyn", "7", Value::Int(7)),
        ("dyn", "18446744073709551615", Value::Uint(u64::MAX)),
        ("dyn", "7.5", Value::Double(7.5)),
        ("dyn", "[1, \"a\"]", Value::list(vec![Value::Int(1), Value::String("a".into())])),
        ("dyn", "{\"a b\": false}", map([("a b", Value::Bool(false))])),
        ("list<uint>", "[]", Value::list(vec![])),
        ("list<dyn>", "[null]", Value::list(vec![Value::Null])),
        ("list<list<int>>", "[[1], []]", Value::list(vec![Value::list(vec![Value::Int(1)]), Value::list(vec![])])),
        ("map<string, int>", "{\"a\": 1, \"b\": null}", map([("a", Value::Int(1))])),
    ] {
        assert_eq!(read_x(&json!(schema), json), Ok(Some(value)), "{schema} {json}");
    }
}

#[test]
fn what_does_not_fit_its_type_has_a_code() {
    for (schema, json, code) in [
        (json!("int"), "25.5", "type_mismatch"),
        (json!("int"), "\"25\"", "type_mismatch"),
        (json!("int"), "true", "type_mismatch"),
        (json!("int"), "[]", "type_mismatch"),
        (json!("int"), "{\"a\": [1]}", "type_mismatch"),
        (json!("int"), "9223372036854775808", "out_of_range"),
        (json!("uint"), "-1", "out_of_range"),
        (json!("double"), "\"1.0\"", "type_mismatch"),
        (json!("string"), "1", "type_mismatch"),
        (json!("bool"), "1", "type_mismatch"),
        (json!("bytes"), "\"a*\"", "invalid_base64"),
        (json!("bytes"), "1", "type_mismatch"),
        (json!("timestamp"), "\"2026-01-31\"", "invalid_timestamp"),
        (json!("timestamp"), "\"2026-02-30T00:00:00Z\"", "invalid_timestamp"),
        (json!("timestamp"), "\"2016-12-31T23:59:60Z\"", "invalid_timestamp"),
        (json!("timestamp"), "\"9999-12-31T23:59:59-01:00\"", "invalid_timestamp"),
        (json!("timestamp"), "\"0000-12-31T23:59:59Z\"", "invalid_timestamp"),
        (json!("timestamp"), "\"2026-01-31 12:00:00Z\"", "invalid_timestamp"),
        (json!("timestamp"), "\"2026-01-31t12:00:00z\"", "invalid_timestamp"),
        (json!("timestamp"), "\"2026-01-31T12:00:00\u{2212}02:00\"", "invalid_timestamp"),
        (json!("timestamp"), "\"2026-01-31T12:34:60Z\"", "invalid_timestamp"),
        (json!("timestamp"), "1700000000", "type_mismatch"),
        (json!("duration"), "\"1 day\"", "invalid_duration"),
        (json!("duration"), "\"87660000h1ns\"", "invalid_duration"),
        (json!("duration"), "60", "type_mismatch"),
        (json!("list<int>"), "{}", "type_mismatch"),
        (json!("map<string, int>"), "[]", "type_mismatch"),
        (json!({"a": "int"}), "[]", "type_mismatch"),
        (json!({"type": "int", "minimum": 18}), "17", "out_of_bounds"),
        (json!({"type": "int", "maximum": 9}), "10.0", "out_of_bounds"),
        (json!({"type": "int", "maximum": 9_007_199_254_740_992_i64}), "9007199254740993", "out_of_bounds"),
        (json!({"type": "double", "minimum": 0.5}), "0.4", "out_of_bounds"),
        (json!({"type": "int", "enum": [1, 2]}), "3", "not_in_enum"),
        (json!({"type": "string", "enum": ["a"]}), "\"A\"", "not_in_enum"),
        (json!({"type": "bool", "enum": [true]}), "false", "not_in_enum"),
        (json!({"type": "double", "enum": [1]}), "1.5", "not_in_enum"),
        (json!({"type": "string", "maxLength": 2}), "\"ééé\"", "too_long"),
        (json!({"type": "bytes", "maxLength": 1}), "\"aGk=\"", "too_long"),
        (json!({"type": "list<int>", "maxItems": 2}), "[1, 2, \"x\", \"y\"]", "too_many_items"),
        (json!({"type": "map", "values": "int", "maxItems": 1}), "{\"a\": 1, \"b\": 2}", "too_many_items"),
        (json!({"type": "int", "required": true}), "null", "required_missing"),
    ] {
        assert_eq!(
            mistakes(&layout(&json!({ "x": schema })), &format!("{{\"x\": {json}}}")),
            [(code, "facts.x".to_owned())]
        );
    }
}

#[test]
fn values_within_their_bounds_are_taken() {
    for (schema, json) in [
        (json!({"type": "int", "minimum": 18, "maximum": 18}), "18"),
        (json!({"type": "double", "enum": [1]}), "1"),
        (json!({"type": "uint", "enum": [1.0]}), "1"),
        (json!({"type": "string", "maxLength": 2}), "\"éé\""),
        (json!({"type": "list<int>", "maxItems": 2}), "[1, 2]"),
    ] {
        assert!(read_x(&schema, json).unwrap().is_some(), "{schema} {json}");
    }
}

#[test]
fn silent_schemas_have_default_bounds() {
    let text = |chars: u64| format!("\"{}\"", "x".repeat(usize::try_from(chars).unwrap()));
    assert!(read_x(&json!("string"), &text(limits::STRING_CHARS_DEFAULT_MAX)).is_ok());
    let details = read_x(&json!("string"), &text(limits::STRING_CHARS_DEFAULT_MAX + 1)).unwrap_err();
    assert_eq!(details[0].code, "too_long");
    let list = format!("{:?}", vec![1; 101]);
    assert_eq!(read_x(&json!("list<int>"), &list).unwrap_err()[0].code, "too_many_items");
}

#[test]
fn null_counts_as_missing() {
    assert_eq!(read_x(&json!("int"), "null"), Ok(None));
    assert_eq!(read_x(&json!({"a": {"type": "int", "required": true}}), "null"), Ok(None));
    assert_eq!(
        mistakes(&layout(&json!({"x": "list<int>"})), "{\"x\": [1, null]}"),
        [("type_mismatch", "facts.x[1]".to_owned())]
    );
}

#[test]
fn everything_wrong_is_said_at_once_with_its_path() {
    let layout = layout(&json!({
        "age": {"type": "int", "required": true},
        "address": {"city": {"type": "string", "required": true}, "zip": "int"},
        "tags": "list<string>",
        "scores": "map<string, list<int>>",
    }));
    let facts = r#"{"age": "x", "age": 1, "address": {"zip": "a", "other": 1}, "tags": ["a", 2],
                    "scores": {"a b": [1, "x"], "c": {}}, "y": {"z": 1}, "y": 2}"#;
    let place = |code, path: &str| (code, path.to_owned());
    assert_eq!(
        mistakes(&layout, facts),
        [
            place("type_mismatch", "facts.age"),
            place("duplicate_key", "facts.age"),
            place("type_mismatch", "facts.address.zip"),
            place("required_missing", "facts.address.city"),
            place("type_mismatch", "facts.tags[1]"),
            place("type_mismatch", "facts.scores[\"a b\"][1]"),
            place("type_mismatch", "facts.scores.c"),
            place("duplicate_key", "facts.y"),
        ]
    );
}

#[test]
fn facts_of_one_object_are_flat_or_nested() {
    let plain = layout(&json!({"age": "int"}));
    let bearing = layout(&json!({"age": "int", "facts": {"age": "int"}}));
    let age = |layout: &Arc<Layout>, json: &str| {
        let facts = read(layout, json, UnknownFacts::Ignore).unwrap();
        (value(&facts, "facts.age"), paths(&facts))
    };
    let found =
        |age, unknown: &[&str]| (Some(Value::Int(age)), unknown.iter().map(|path| (*path).to_owned()).collect());
    let missed = |unknown: &[&str]| (None, unknown.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
    assert_eq!(age(&plain, r#"{"age": 1}"#), found(1, &[]));
    assert_eq!(age(&plain, r#"{"facts": {"age": 1}}"#), found(1, &[]));
    assert_eq!(age(&plain, r#"{"facts": {"age": 1, "b": 2}}"#), found(1, &["facts.facts.b"]));
    assert_eq!(age(&plain, r#"{"facts": {"age": 1}, "age": 2}"#), found(2, &["facts.facts"]));
    assert_eq!(age(&plain, r#"{"age": 2, "facts": {"age": 1}}"#), found(2, &["facts.facts"]));
    assert_eq!(age(&plain, r#"{"facts": 3}"#), missed(&["facts.facts"]));
    assert_eq!(age(&plain, "{}"), missed(&[]));
    assert_eq!(age(&bearing, r#"{"facts": {"age": 1}}"#), missed(&[]));
    assert_eq!(mistakes(&plain, r#"{"facts": {"age": "x"}}"#), [("type_mismatch", "facts.facts.age".to_owned())]);
    assert_eq!(mistakes(&plain, r#"{"facts": {}, "facts": {}}"#), [("duplicate_key", "facts.facts".to_owned())]);
}

#[test]
fn no_message_shows_a_value_and_no_path_a_sensitive_key() {
    let layout = layout(&json!({
        "x": {"type": "map", "values": "int", "sensitive": true},
        "y": {"type": "list", "items": {"type": "map", "values": "int", "sensitive": true}},
        "z": "int",
    }));
    let facts = r#"{"x": {"SECRET": "SECRET", "SECRET": 1}, "y": [{"SECRET": "SECRET"}], "z": "SECRET"}"#;
    let details = read(&layout, facts, UnknownFacts::Refuse).unwrap_err();
    assert_eq!(details.len(), 4);
    assert!(!format!("{details:?}").contains("SECRET"), "{details:?}");
}

#[test]
fn json_nests_up_to_the_limit() {
    let nested = |levels: usize| format!("{{\"x\": {}1{}}}", "[".repeat(levels), "]".repeat(levels));
    let known = layout(&json!({"x": "dyn"}));
    let unknown = layout(&json!({"y": "dyn"}));
    for layout in [&known, &unknown] {
        assert!(read(layout, &nested(limits::JSON_DEPTH_MAX - 2), UnknownFacts::Ignore).is_ok());
        for levels in [limits::JSON_DEPTH_MAX - 1, 1_000] {
            assert_eq!(mistakes(layout, &nested(levels))[0].0, "too_deep");
        }
    }
}

#[test]
fn what_is_no_object_or_no_json_is_said_so() {
    let layout = layout(&json!({"age": "int"}));
    for json in ["null", "1", "[]", "\"{}\"", " true "] {
        assert_eq!(mistakes(&layout, json), [("type_mismatch", "facts".to_owned())], "{json}");
    }
    for json in ["", "{", "{\"age\"}", "{\"age\": 1,}", "{\"age\": 01}", "{} {}", "{\"age\": NaN}", "{\"age\": 1e999}"]
    {
        assert_eq!(mistakes(&layout, json), [("malformed_json", "facts".to_owned())], "{json}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(json in "\\PC{0,60}|[\\[\\]{}:,\"a0-9.eE+-]{0,40}") {
        let layout = layout(&json!({"a": {"a": "list<int>"}, "facts": "dyn"}));
        let _ = read(&layout, &json, UnknownFacts::Refuse);
    }

    #[test]
    fn numbers_are_read_as_they_were_written(int in any::<i64>(), uint in any::<u64>(), double in any::<f64>()) {
        prop_assume!(double.is_finite());
        prop_assert_eq!(read_x(&json!("int"), &int.to_string()), Ok(Some(Value::Int(int))));
        prop_assert_eq!(read_x(&json!("uint"), &uint.to_string()), Ok(Some(Value::Uint(uint))));
        prop_assert_eq!(read_x(&json!("double"), &format!("{double:?}")), Ok(Some(Value::Double(double))));
    }
}

#[test]
fn nested_objects_have_the_type_that_the_schema_gives_them() {
    let address = json!({"city": "string", "zip": "int"});
    let read = read_x(&address, r#"{"zip": 1}"#).unwrap().unwrap();
    let Value::Object(object) = read else { panic!("{read:?}") };
    assert_eq!(object.object_type().name, "facts.x");
    assert_eq!((object.get("city"), object.get("zip")), (None, Some(&Value::Int(1))));
    let list = read_x(&json!({"type": "list", "items": address}), r#"[{"zip": 1}]"#).unwrap().unwrap();
    assert!(matches!(list, Value::List(items) if matches!(&items[0], Value::Object(_))));
}

#[test]
fn a_mistake_names_its_field_and_a_misspelt_fact_the_one_that_was_meant() {
    let layout = layout(&json!({"age": "int", "address": {"city": "string"}, "at": "timestamp"}));
    let said = |json: &str| {
        let details = read(&layout, json, UnknownFacts::Refuse).unwrap_err();
        details.into_iter().map(|detail| (detail.message, detail.hint)).collect::<Vec<_>>()
    };
    let message = |text: &str| (text.to_owned(), None);
    assert_eq!(
        said(r#"{"age": "25", "address": {"city": 1}, "at": ""}"#)[..2],
        [
            message("`facts.age` must be an int, not a string"),
            message("`facts.address.city` must be a string, not a number")
        ]
    );
    let hinted = |text: &str, hint: &str| (text.to_owned(), Some(format!("did you mean `{hint}`?")));
    assert_eq!(
        said(r#"{"agee": 25, "address": {"sity": ""}, "zebra": 1}"#),
        [
            hinted("the schema has no field `facts.agee`", "facts.age"),
            hinted("the schema has no field `facts.address.sity`", "facts.address.city"),
            message("the schema has no field `facts.zebra`"),
        ]
    );
    let many: Json = (0..50).map(|n| (format!("agee{n}"), json!(n))).collect();
    let hints = read(&layout, &many.to_string(), UnknownFacts::Refuse).unwrap_err();
    assert_eq!(hints.len(), 50);
    assert!(hints.iter().filter(|detail| detail.hint.is_some()).count() <= 10);
}

#[test]
fn fields_are_found_in_whatever_order_callers_name_them() {
    let layout = layout(&json!({"a": "int", "b": "int", "c": "int", "d": {"x": "int", "y": "int"}}));
    for json in [
        r#"{"a": 1, "b": 2, "c": 3, "d": {"x": 4, "y": 5}}"#,
        r#"{"d": {"y": 5, "x": 4}, "c": 3, "b": 2, "a": 1}"#,
        r#"{"d": {"\u0079": 5, "x": 4}, "z": 0, "c": 3, "b": 2, "\u0061": 1}"#,
        r#" { "b" : 2 , "a" : 1 , "d" : { "x" : 4 , "y" : 5 } , "c" : 3 } "#,
    ] {
        for _ in 0..2 {
            let facts = read(&layout, json, UnknownFacts::Ignore).unwrap();
            let found: Vec<_> = ["a", "b", "c"].iter().map(|name| value(&facts, &format!("facts.{name}"))).collect();
            assert_eq!(found, [1, 2, 3].map(|n| Some(Value::Int(n))), "{json}");
            let Some(Value::Object(object)) = value(&facts, "facts.d") else { panic!("{json}") };
            assert_eq!((object.get("x"), object.get("y")), (Some(&Value::Int(4)), Some(&Value::Int(5))), "{json}");
        }
    }
}

#[test]
fn objects_of_many_fields_are_checked_whole() {
    let schema: Json = (0..200).map(|n| (format!("f{n}"), json!({"type": "int", "required": n % 3 == 0}))).collect();
    let layout = layout(&schema);
    let facts: Json = (0..200).map(|n| (format!("f{n}"), json!(n))).collect();
    let found = read(&layout, &facts.to_string(), UnknownFacts::Refuse).unwrap();
    assert_eq!(found.activation().filled().count(), 200);
    let mut fewer = facts.clone();
    for name in ["f0", "f99", "f198", "f7"] {
        fewer.as_object_mut().unwrap().remove(name);
    }
    let mut missing = mistakes(&layout, &fewer.to_string());
    missing.sort();
    assert_eq!(missing, ["f0", "f198", "f99"].map(|name| ("required_missing", format!("facts.{name}"))));
}

#[test]
fn facts_know_how_deep_they_were() {
    let layout = layout(&json!({"a": "list<int>", "b": "dyn"}));
    for (json, depth) in [("{}", 1), (r#"{"a": []}"#, 2), (r#"{"b": {"c": [[1]]}}"#, 4), (r#"{"z": [{}]}"#, 3)] {
        assert_eq!(read(&layout, json, UnknownFacts::Ignore).unwrap().depth(), depth, "{json}");
    }
}

#[test]
fn broken_json_is_shown_where_it_breaks() {
    let details = read(&layout(&json!({"a": "int"})), "{\"a\": 1,\n \"é\": tru}", UnknownFacts::Ignore).unwrap_err();
    assert_eq!(details[0].message, "this is not JSON, line 2 column 7");
}
