//! Values of any type, and the bounds that a schema may give them.

use super::*;

#[test]
fn what_is_of_any_type_keeps_to_its_bounds_however_deep() {
    let bounded = json!({"type": "dyn", "maxItems": 2, "maxLength": 3, "maxDepth": 2});
    for json in ["7", "null", "\"äöü\"", "[1, [2, 3]]", "{\"a\": {\"b\": \"abc\"}, \"c\": []}", "[[], {}]"] {
        assert!(read_x(&bounded, json).is_ok(), "{json}");
    }
    let layout = layout(&json!({"x": bounded}));
    for (json, code, path) in [
        ("\"abcd\"", "too_long", "facts.x"),
        ("[\"a\", [\"abcd\"]]", "too_long", "facts.x[1][0]"),
        ("{\"abcd\": 1}", "too_long", "facts.x.abcd"),
        ("[1, 2, 3, 4]", "too_many_items", "facts.x"),
        ("[[1, 2, 3], 4]", "too_many_items", "facts.x[0]"),
        ("{\"a\": {\"b\": 1, \"c\": 2, \"d\": 3}}", "too_many_items", "facts.x.a"),
        ("[[[]]]", "too_deep", "facts.x[0][0]"),
        ("{\"a\": [{\"b\": [1]}]}", "too_deep", "facts.x.a[0]"),
    ] {
        assert_eq!(mistakes(&layout, &format!("{{\"x\": {json}}}")), [(code, path.to_owned())], "{json}");
    }
}

#[test]
fn a_list_or_map_of_any_type_gives_its_bounds_to_what_it_holds() {
    let list = layout(&json!({"x": {"type": "list<dyn>", "maxItems": 2, "maxLength": 2, "maxDepth": 1}}));
    let map = layout(&json!({"x": {"type": "map<string, dyn>", "maxItems": 2, "maxLength": 2, "maxDepth": 0}}));
    for (layout, json, mistake) in [
        (&list, "[\"ab\", [1, 2]]", None),
        (&list, "[\"abc\"]", Some(("too_long", "facts.x[0]"))),
        (&list, "[[1, 2, 3]]", Some(("too_many_items", "facts.x[0]"))),
        (&list, "[[[]]]", Some(("too_deep", "facts.x[0][0]"))),
        (&map, "{\"a\": 1, \"b\": \"ab\"}", None),
        (&map, "{\"a\": \"abc\"}", Some(("too_long", "facts.x.a"))),
        (&map, "{\"a\": []}", Some(("too_deep", "facts.x.a"))),
    ] {
        let json = format!("{{\"x\": {json}}}");
        match mistake {
            None => assert!(read(layout, &json, UnknownFacts::Refuse).is_ok(), "{json}"),
            Some((code, path)) => assert_eq!(mistakes(layout, &json), [(code, path.to_owned())], "{json}"),
        }
    }
}

#[test]
fn without_bounds_any_value_is_taken() {
    let long = "x".repeat(5_000);
    let many = vec!["1"; 500].join(",");
    assert!(read_x(&json!("dyn"), &format!("[\"{long}\", [{many}], {{\"{long}\": [[[[]]]]}}]")).is_ok());
}
