//! The scanner agrees with `serde_json`: what is JSON, and what it says.

use std::collections::BTreeMap;

use super::*;

/// JSON as callers may write it: odd numbers, escapes, white space, and what is not JSON at all.
fn odd_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,4})?",
        "-?[0-9]{1,24}(\\.[0-9]{0,24})?([eE][+-]?[0-9]{0,3})?",
        any::<f64>().prop_map(|number| format!("{number:?}")),
        any::<f64>().prop_map(|number| format!("{number}")),
        (any::<i32>(), 0..24_u32)
            .prop_map(|(number, power)| format!("{}", f64::from(number) / 10_f64.powi(power as i32))),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
    ];
    let text = prop_oneof![
        "\"([a-zé€𝄞 ]|\\\\[\"\\\\/bfnrt]|\\\\u00[0-9a-f]{2}){0,12}\"",
        "\"(\\\\u[dD][89a-fA-F][0-9a-f]{2}|\\\\u[0-9a-g]{3,4}|a){0,3}\"",
        "\"[\\x00-\\x7f]{0,20}\"",
    ];
    let leaf = prop_oneof![3 => number, 3 => text, 1 => "true|false|null|nul|truefalse|NaN|"];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let space = "[ \n\t\r]{0,2}";
        let list = prop::collection::vec((space, inner.clone()), 0..4).prop_map(|items| {
            format!(
                "[{}]",
                items.iter().map(|(space, item)| format!("{space}{item}{space}")).collect::<Vec<_>>().join(",")
            )
        });
        let key = prop_oneof![4 => "[a-d]", 1 => "[a-c]\\\\u006[1-3]", 1 => "\\\\u00"];
        let entries = prop::collection::vec((key, inner), 0..4).prop_map(|entries| {
            format!(
                "{{{}}}",
                entries.iter().map(|(key, value)| format!("\"{key}\" : {value}")).collect::<Vec<_>>().join(" ,")
            )
        });
        prop_oneof![list, entries]
    })
}

/// What `serde_json` makes of a fact, as a field of type `dyn` takes it; `None` if it refuses.
fn as_serde_reads(json: &str) -> Option<Value> {
    serde_json::from_str::<Json>(json).ok().map(|json| Value::from(&json))
}

/// A value in which `-0.0` is not `0.0`, and `1` not `1.0`; entries by their keys.
fn shown(value: &Value) -> String {
    match value {
        Value::List(items) => format!("{:?}", items.iter().map(shown).collect::<Vec<_>>()),
        Value::Map(map) => {
            let entries: BTreeMap<_, _> = map.iter().map(|(key, value)| (shown(key), shown(value))).collect();
            format!("{entries:?}")
        }
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn json_is_read_as_serde_json_reads_it(
        json in odd_json(), cut in any::<prop::sample::Index>(), put in "[\\x00-\\x7fé]?", is_mutated in any::<bool>()
    ) {
        let mut json = json;
        if is_mutated {
            let mut characters: Vec<String> = json.chars().map(String::from).collect();
            if !characters.is_empty() {
                let at = cut.index(characters.len());
                characters[at] = put;
                json = characters.concat();
            }
        }
        let (known, unknown) = (layout(&json!({"x": "dyn"})), layout(&json!({"y": "dyn"})));
        let text = format!("{{\"x\": {json}}}");
        let expected = serde_json::from_str::<Json>(&text).ok();
        match read(&known, &text, UnknownFacts::Ignore) {
            Ok(facts) => {
                prop_assert!(expected.is_some(), "{} is not JSON, and was read", text);
                prop_assert_eq!(value(&facts, "facts.x").as_ref().map(shown), as_serde_reads(&json).as_ref().map(shown));
            }
            // `serde_json` takes the last of two entries with one key.
            Err(details) if details[0].code == "duplicate_key" => prop_assert!(expected.is_some(), "{}", text),
            Err(_) => prop_assert!(expected.is_none(), "{} is JSON, and was refused", text),
        }
        let codes = |layout| read(layout, &text, UnknownFacts::Ignore).map(drop).map_err(|details| details[0].code);
        prop_assert_eq!(codes(&known), codes(&unknown), "built or passed, the same is wrong with it");
    }
}
