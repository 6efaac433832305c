//! What definitions mean, and what is wrong with the others.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::limits;

fn parse(json: &Value) -> SchemaDefinition {
    SchemaDefinition::parse(json).unwrap()
}

/// The codes and paths of what is wrong with `{"facts": {"field": <json>}}`.
fn mistakes(field: &Value) -> Vec<(&'static str, String)> {
    let path = |detail: Detail| (detail.code, detail.path.unwrap());
    let json = json!({"facts": {"field": field}});
    SchemaDefinition::parse(&json).map_or_else(|details| details.into_iter().map(path).collect(), |_| Vec::new())
}

#[test]
fn a_field_is_a_type_name_a_long_form_or_a_nested_object() {
    let definition = parse(&json!({"facts": {
        "age": "int",
        "name": {"type": "string", "required": true, "maxLength": 64, "sensitive": true, "description": "whose"},
        "address": {"city": "string", "type": {"type": "string", "enum": ["home", "work"]}},
        "event": {"type": "object", "fields": {"type": "string"}},
        "tags": {"type": "list", "items": "string", "maxItems": 5, "maxLength": 9},
        "scores": {"type": "map", "values": {"type": "list<double>", "maxItems": 2}},
        "orders": {"type": "list", "items": {"price": "double"}},
    }}));
    let fields = &definition.objects()[0].fields;
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["address", "age", "event", "name", "orders", "scores", "tags"]);
    let FieldType::Object(address) = &fields[0].field_type else { panic!("{:?}", fields[0]) };
    assert_eq!(address[1].name, "type");
    assert_eq!(address[1].bounds.allowed, [json!("home"), json!("work")]);
    assert!(matches!(&fields[2].field_type, FieldType::Object(event) if event[0].name == "type"));
    let name = &fields[3];
    assert!(name.required && name.sensitive);
    assert_eq!((name.bounds.max_length, name.description.as_deref()), (Some(64), Some("whose")));
    assert!(matches!(&fields[4].field_type, FieldType::List(items) if items.field_type.to_string() == "object"));
    let FieldType::Map(scores) = &fields[5].field_type else { panic!("{:?}", fields[5]) };
    assert_eq!((scores.items_max(), fields[5].items_max()), (2, limits::LIST_ITEMS_DEFAULT_MAX));
    let FieldType::List(tags) = &fields[6].field_type else { panic!("{:?}", fields[6]) };
    assert_eq!((fields[6].bounds.max_items, tags.bounds.max_length), (Some(5), Some(9)));
}

#[test]
fn each_mistake_has_its_code_and_place() {
    let at = |place: &str| format!("definition.facts.field{place}");
    for (field, code, place) in [
        (json!("integer"), "type_unknown", ""),
        (json!(7), "field_invalid", ""),
        (json!(null), "field_invalid", ""),
        (json!({}), "fields_count", ""),
        (json!({"type": 7}), "type_invalid", ".type"),
        (json!({"type": "string", "id": "int"}), "key_unknown", ".id"),
        (json!({"type": "strin"}), "type_unknown", ".type"),
        (json!({"type": "int", "required": "yes"}), "value_invalid", ".required"),
        (json!({"type": "int", "sensitive": 1}), "value_invalid", ".sensitive"),
        (json!({"type": "int", "description": 1}), "value_invalid", ".description"),
        (json!({"type": "int", "description": "a\0"}), "value_invalid", ".description"),
        (json!({"type": "int", "description": "x".repeat(4_001)}), "description_too_long", ".description"),
        (json!({"type": "list"}), "type_incomplete", ".items"),
        (json!({"type": "map"}), "type_incomplete", ".values"),
        (json!({"type": "object"}), "type_incomplete", ".fields"),
        (json!({"type": "object", "fields": []}), "type_incomplete", ".fields"),
        (json!({"type": "string", "items": "int"}), "not_applicable", ".items"),
        (json!({"type": "list", "items": {"type": "int", "required": true}}), "not_applicable", ".items.required"),
        (json!({"type": "list", "items": {"a": "nope"}}), "type_unknown", ".items.a"),
        (json!({"a b": "int"}), "identifier_invalid", "[\"a b\"]"),
        (json!({"a\0": "int"}), "identifier_invalid", "[\"a\\0\"]"),
        (json!({"ä": "int"}), "identifier_invalid", "[\"ä\"]"),
        (json!({"": "int"}), "identifier_invalid", "[\"\"]"),
        (json!({"type": "int", "maxLength": 3}), "not_applicable", ".maxLength"),
        (json!({"type": "list<int>", "maxLength": 3}), "not_applicable", ".maxLength"),
        (json!({"type": "string", "maxLength": 0}), "value_invalid", ".maxLength"),
        (json!({"type": "string", "maxLength": 1.5}), "value_invalid", ".maxLength"),
        (json!({"type": "string", "maxItems": 3}), "not_applicable", ".maxItems"),
        (json!({"type": "list<int>", "maxItems": 100_001}), "value_invalid", ".maxItems"),
        (json!({"type": "list<int>", "maxItems": -1}), "value_invalid", ".maxItems"),
        (json!({"type": "map<string, int>", "maxLength": 3}), "not_applicable", ".maxLength"),
        (json!({"type": "string", "maxDepth": 3}), "not_applicable", ".maxDepth"),
        (json!({"type": "list<string>", "maxDepth": 3}), "not_applicable", ".maxDepth"),
        (json!({"type": "dyn", "maxDepth": 33}), "value_invalid", ".maxDepth"),
        (json!({"type": "dyn", "maxDepth": "1"}), "value_invalid", ".maxDepth"),
        (
            json!({"type": "list", "maxDepth": 1, "items": {"type": "dyn", "maxDepth": 2}}),
            "bounds_contradict",
            ".maxDepth",
        ),
        (json!({"type": "string", "minimum": 3}), "not_applicable", ".minimum"),
        (json!({"type": "int", "minimum": 0.5}), "value_invalid", ".minimum"),
        (json!({"type": "int", "maximum": u64::MAX}), "value_invalid", ".maximum"),
        (json!({"type": "double", "maximum": "9"}), "value_invalid", ".maximum"),
        (json!({"type": "int", "minimum": 3, "maximum": 2}), "bounds_contradict", ".minimum"),
        (json!({"type": "int", "enum": []}), "value_invalid", ".enum"),
        (json!({"type": "int", "enum": 1}), "value_invalid", ".enum"),
        (json!({"type": "int", "enum": vec![1; 1_001]}), "value_invalid", ".enum"),
        (json!({"type": "int", "enum": [1, 1.5]}), "enum_type", ".enum[1]"),
        (json!({"type": "int", "enum": [u64::MAX]}), "enum_type", ".enum[0]"),
        (json!({"type": "uint", "enum": [-1]}), "enum_type", ".enum[0]"),
        (json!({"type": "string", "enum": [null]}), "enum_type", ".enum[0]"),
        (json!({"type": "string", "enum": ["a\0"]}), "value_invalid", ".enum[0]"),
        (json!({"type": "int", "enum": [1, 2, 1.0]}), "enum_duplicate", ".enum[2]"),
        (json!({"type": "int", "enum": [1, 9], "maximum": 5}), "bounds_contradict", ".enum[1]"),
        (json!({"type": "string", "enum": ["long"], "maxLength": 3}), "bounds_contradict", ".enum[0]"),
        (json!({"type": "list<int>", "enum": [1]}), "not_applicable", ".enum"),
    ] {
        assert_eq!(mistakes(&field), [(code, at(place))], "{field}");
    }
}

#[test]
fn a_definition_is_objects_of_fields() {
    for (json, code, path) in [
        (json!(null), "definition_invalid", "definition"),
        (json!([]), "definition_invalid", "definition"),
        (json!({}), "objects_count", "definition"),
        (json!({"facts": "int"}), "object_invalid", "definition.facts"),
        (json!({"facts": {}}), "fields_count", "definition.facts"),
        (json!({"derived": {"a": "int"}}), "name_reserved", "definition.derived"),
        (json!({"int": {"a": "int"}}), "name_reserved", "definition.int"),
        (json!({"type": {"a": "int"}}), "name_reserved", "definition.type"),
        (json!({"for": {"a": "int"}}), "identifier_reserved", "definition.for"),
        (json!({"Ünïcode": {"a": "int"}}), "identifier_invalid", "definition[\"Ünïcode\"]"),
    ] {
        let details = SchemaDefinition::parse(&json).unwrap_err();
        assert_eq!((details[0].code, details[0].path.as_deref()), (code, Some(path)), "{json}");
        assert_eq!(details.len(), 1, "{json}");
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let json = json!({"a b": {"age": "integer"}, "facts": {"x": {"type": "int", "enum": [], "minimum": "low"}}});
    let codes: Vec<_> = SchemaDefinition::parse(&json).unwrap_err().iter().map(|detail| detail.code).collect();
    assert_eq!(codes, ["identifier_invalid", "type_unknown", "value_invalid", "value_invalid"]);
}

#[test]
fn the_hint_tells_how_a_field_named_type_is_written() {
    let json = json!({"facts": {"event": {"type": "string", "id": "int"}}});
    let details = SchemaDefinition::parse(&json).unwrap_err();
    assert!(details[0].hint.as_deref().unwrap().contains("{\"type\": \"object\", \"fields\": {…}}"));
}

#[test]
fn counts_are_limited() {
    let fields = |count: usize| (0..count).map(|n| (format!("f{n}"), json!("int"))).collect::<Value>();
    let objects = |count: usize| (0..count).map(|n| (format!("o{n}"), fields(1))).collect::<Value>();
    assert!(SchemaDefinition::parse(&objects(100)).is_ok());
    assert_eq!(SchemaDefinition::parse(&objects(101)).unwrap_err()[0].code, "objects_count");
    assert!(SchemaDefinition::parse(&json!({"facts": fields(200)})).is_ok());
    assert_eq!(SchemaDefinition::parse(&json!({"facts": fields(201)})).unwrap_err()[0].code, "fields_count");
    let wrong: Value = (0..200).map(|n| (format!("f{n}"), json!("nope nope"))).collect();
    assert_eq!(SchemaDefinition::parse(&json!({"facts": wrong})).unwrap_err().len(), limits::DETAILS_MAX);
}

#[test]
fn objects_nest_up_to_the_limit() {
    let nested = |levels: usize| (0..levels).fold(json!("int"), |inner, _| json!({ "a": inner }));
    assert!(SchemaDefinition::parse(&json!({"facts": nested(limits::SCHEMA_DEPTH_MAX)})).is_ok());
    for levels in [limits::SCHEMA_DEPTH_MAX + 1, 100] {
        let details = SchemaDefinition::parse(&json!({"facts": nested(levels)})).unwrap_err();
        assert_eq!(details[0].code, "schema_too_deep");
    }
}

#[test]
fn definitions_that_say_the_same_are_equal() {
    for (left, right) in [
        (json!("int"), json!("int64")),
        (json!("double"), json!({"type": "float"})),
        (json!("list<int>"), json!({"type": "list", "items": {"type": "int64"}})),
        (json!("map<string,bool>"), json!({"type": "map", "values": "bool"})),
        (json!({"a": "int"}), json!({"type": "object", "fields": {"a": "int"}})),
        (json!({"type": "int", "enum": [1, 2]}), json!({"type": "int", "enum": [2.0, 1]})),
        (json!({"type": "list<string>", "maxLength": 3}), {
            json!({"type": "list", "items": {"type": "string", "maxLength": 3}})
        }),
    ] {
        let (left, right) = (json!({"facts": {"f": left}}), json!({"facts": {"f": right}}));
        assert_eq!(parse(&left), parse(&right));
        assert_eq!(parse(&left).json(), &left, "what was written is kept");
    }
    for (left, right) in [
        (json!("int"), json!("uint")),
        (json!("int"), json!({"type": "int", "required": true})),
        (json!("int"), json!({"type": "int", "description": "years"})),
        (json!({"type": "int", "enum": [1, 2]}), json!({"type": "int", "enum": [1]})),
    ] {
        assert_ne!(parse(&json!({"facts": {"f": left}})), parse(&json!({"facts": {"f": right}})));
    }
}

#[test]
fn several_objects_after_one_break_flat_callers() {
    let (one, two) = (json!({"a": {"x": "int"}}), json!({"a": {"x": "int"}, "b": {"x": "int"}}));
    assert!(parse(&one).breaks_flat_callers(&parse(&two)));
    assert!(!parse(&two).breaks_flat_callers(&parse(&one)));
    assert!(!parse(&one).breaks_flat_callers(&parse(&one)));
}

/// Any JSON, with the words of the schema language in it often enough to reach its corners.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("type".to_owned()),
        Just("fields".to_owned()),
        Just("items".to_owned()),
        Just("enum".to_owned()),
        Just("maxLength".to_owned()),
        Just("minimum".to_owned()),
        "\\PC{0,8}",
    ];
    let text =
        prop_oneof![Just("int".to_owned()), Just("list<string>".to_owned()), Just("object".to_owned()), "\\PC{0,20}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(10, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic_and_every_mistake_has_a_place(json in any_json()) {
        if let Err(details) = SchemaDefinition::parse(&json!({"facts": json})) {
            prop_assert!(!details.is_empty());
            for detail in details {
                prop_assert!(detail.path.as_deref().is_some_and(|path| path.starts_with("definition")));
            }
        }
    }

    #[test]
    fn what_was_accepted_is_accepted_again(json in any_json()) {
        if let Ok(definition) = SchemaDefinition::parse(&json!({"facts": {"field": json}})) {
            prop_assert_eq!(SchemaDefinition::parse(definition.json()), Ok(definition));
        }
    }
}

#[test]
fn a_key_that_a_field_does_not_have_is_answered_with_those_that_it_has() {
    for (field, hint) in [
        (json!({"type": "string", "requird": true}), "did you mean `required`?"),
        (json!({"type": "string", "max_length": 3}), "did you mean `maxLength`?"),
        (
            json!({"type": "string", "pattern": "^a"}),
            "a rule can ask for it: `facts.name.matches('…')`; the keys are `type`",
        ),
        (
            json!({"type": "int", "default": 3}),
            "a rule can name it: `facts.?name.orValue(…)`; the keys are `type`, `enum`",
        ),
        (json!({"type": "int", "whatever": 3}), "the keys are `type`, `enum`, `required`, `maxLength`"),
        (json!({"type": "string", "street": "string"}), "a nested object with a field named `type` is written"),
    ] {
        let details = SchemaDefinition::parse(&json!({"facts": {"x": field}})).unwrap_err();
        let [detail] = details.as_slice() else { panic!("{details:?}") };
        assert_eq!(detail.code, "key_unknown");
        assert!(detail.hint.as_ref().unwrap().starts_with(hint), "{detail:?}");
    }
}

#[test]
fn a_reserved_word_is_a_field_and_no_object() {
    let words = ["namespace", "package", "loop", "in", "true", "null", "function", "as"];
    let fields: serde_json::Map<_, _> = words.iter().map(|word| ((*word).to_owned(), json!("int"))).collect();
    let definition = SchemaDefinition::parse(&json!({"facts": {"nested": fields.clone(), "for": "int"}})).unwrap();
    assert_eq!(definition.objects()[0].fields.len(), 2);
    for word in words {
        let details = SchemaDefinition::parse(&json!({ (word): {"a": "int"} })).unwrap_err();
        assert_eq!(details[0].code, "identifier_reserved", "{word}");
    }
}

#[test]
fn a_field_of_its_objects_own_name_breaks_callers_that_name_the_object() {
    let plain = json!({"facts": {"age": "int"}});
    let bearing = json!({"facts": {"age": "int", "facts": {"age": "int"}}});
    let other = json!({"user": {"age": "int", "facts": {"age": "int"}}});
    let two = json!({"facts": {"age": "int"}, "user": {"age": "int"}});
    for (before, after, is_broken) in [
        (&plain, &bearing, true),
        (&bearing, &plain, true),
        (&two, &bearing, true),
        (&plain, &other, true),
        (&plain, &plain, false),
        (&bearing, &bearing, false),
        (&two, &plain, false),
        (&plain, &two, false),
        (&bearing, &two, false),
    ] {
        assert_eq!(parse(before).breaks_named_callers(&parse(after)), is_broken, "{before} {after}");
    }
    let warnings =
        |json| parse(json).warnings().into_iter().map(|detail| (detail.code, detail.path.unwrap())).collect::<Vec<_>>();
    assert_eq!(warnings(&bearing), [("object_name_as_field", "definition.facts.facts".to_owned())]);
    assert_eq!((warnings(&plain), warnings(&two), warnings(&other)), (vec![], vec![], vec![]));
}
