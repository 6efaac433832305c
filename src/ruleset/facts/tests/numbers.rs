//! A number is whole if it is written so: what its nearest double is does not matter.

use super::*;

#[test]
fn a_whole_number_may_be_written_with_a_fraction_or_an_exponent() {
    for (schema, json, value) in [
        ("int", "1e16", Value::Int(10_000_000_000_000_000)),
        ("int", "1E18", Value::Int(1_000_000_000_000_000_000)),
        ("int", "9007199254740993.0", Value::Int(9_007_199_254_740_993)),
        ("int", "-9007199254740993.00", Value::Int(-9_007_199_254_740_993)),
        ("int", "9223372036854775807.0", Value::Int(i64::MAX)),
        ("int", "-92233720368547758080e-1", Value::Int(i64::MIN)),
        ("int", "0.9007199254740993e16", Value::Int(9_007_199_254_740_993)),
        ("uint", "1e19", Value::Uint(10_000_000_000_000_000_000)),
        ("uint", "18446744073709551615.000", Value::Uint(u64::MAX)),
        ("double", "1e16", Value::Double(1e16)),
        ("double", "9007199254740993.0", Value::Double(9_007_199_254_740_992.0)),
        ("double", "-0e5", Value::Double(-0.0)),
        ("dyn", "1e16", Value::Double(1e16)),
        ("dyn", "9007199254740993.0", Value::Double(9_007_199_254_740_992.0)),
        ("int", "0e-400", Value::Int(0)),
        ("int", "250e-1", Value::Int(25)),
        ("int", "0.25E+2", Value::Int(25)),
        ("int", "-25.00000000000000000000000000", Value::Int(-25)),
        ("double", "1e-400", Value::Double(0.0)),
        ("double", "123456789012345678901234567890", Value::Double(123_456_789_012_345_678_901_234_567_890.0)),
    ] {
        assert_eq!(read_x(&json!(schema), json), Ok(Some(value)), "{schema} {json}");
    }
}

#[test]
fn a_number_is_not_whole_by_rounding_and_of_digits_alone_it_is_too_great_at_most() {
    for (schema, json, code) in [
        ("int", "1e-400", "type_mismatch"),
        ("uint", "1e-99999999999999999999", "type_mismatch"),
        ("int", "1.00000000000000000000001", "type_mismatch"),
        ("int", "-0.99999999999999999999999", "type_mismatch"),
        ("int", "2500000000000000000000000001e-26", "type_mismatch"),
        ("int", "123456789012345678901234567890", "out_of_range"),
        ("uint", "123456789012345678901234567890", "out_of_range"),
        ("int", "-123456789012345678901234567890", "out_of_range"),
        ("uint", "1.0e300", "out_of_range"),
        ("int", "9007199254740993.5", "type_mismatch"),
        ("int", "1e300", "out_of_range"),
        ("int", "9223372036854775808.0", "out_of_range"),
        ("int", "1e19", "out_of_range"),
        ("uint", "2e19", "out_of_range"),
        ("uint", "-1e3", "out_of_range"),
        ("int", "-12345678901234567890123456789012345678901234567890.0", "out_of_range"),
    ] {
        let details = read_x(&json!(schema), json).expect_err(json);
        assert_eq!(details.iter().map(|detail| detail.code).collect::<Vec<_>>(), [code], "{schema} {json}");
    }
}

#[test]
fn what_is_not_taken_says_why_and_an_enumeration_what_it_got() {
    for (schema, json, message) in [
        (json!("int"), "9007199254740993.5", "`facts.x` must be an int, not a number with a fraction"),
        (json!("int"), "1e19", "`facts.x` must be an int, and these are within -2^63 and 2^63 - 1"),
        (
            json!({"type": "string", "enum": ["USD", "EUR"]}),
            "\"JPY\"",
            "`facts.x` must be one of `USD`, `EUR`; got `JPY`",
        ),
        (json!({"type": "string", "enum": ["say \"hi\""]}), "\"it's\"", "`facts.x` must be `say \"hi\"`; got `it's`"),
        (json!({"type": "string", "enum": ["a"]}), "\"a\\u200b\"", "`facts.x` must be `a`; got `a\\u{200b}`"),
        (json!({"type": "int", "enum": [1, 2]}), "3.0", "`facts.x` must be one of `1`, `2`; got `3`"),
        (
            json!({"type": "uint", "enum": [1]}),
            "18446744073709551615",
            "`facts.x` must be `1`; got `18446744073709551615`",
        ),
        (json!({"type": "double", "enum": [1.5]}), "1e2", "`facts.x` must be `1.5`; got `100.0`"),
        (json!({"type": "bool", "enum": [true]}), "false", "`facts.x` must be `true`; got `false`"),
        (
            json!({"type": "string", "enum": ["USD", "EUR"], "sensitive": true}),
            "\"JPY\"",
            "`facts.x` must be one of `USD`, `EUR`",
        ),
        (
            json!({"type": "list", "sensitive": true, "items": {"type": "string", "enum": ["USD"]}}),
            "[\"JPY\"]",
            "`facts.x[0]` must be `USD`",
        ),
        (json!({"type": "int", "minimum": 18}), "17", "`facts.x` must be at least 18"),
    ] {
        let details = read_x(&schema, json).expect_err(json);
        assert_eq!(details.iter().map(|detail| detail.message.as_str()).collect::<Vec<_>>(), [message], "{json}");
    }
    let long = format!("\"{}\"", "x".repeat(3_000));
    let details = read_x(&json!({"type": "string", "enum": ["USD"]}), &long).expect_err("too long a word");
    assert!(details[0].message.len() < 300, "{details:?}");
}
