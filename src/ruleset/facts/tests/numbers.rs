//! A number is whole if it is written so: what its nearest double is does not matter.

use super::*;

#[test]
fn a_whole_number_may_be_written_with_a_fraction_or_an_exponent() {
    for (schema, json, value) in [
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
    ] {
        let details = read_x(&json!(schema), json).expect_err(json);
        assert_eq!(details.iter().map(|detail| detail.code).collect::<Vec<_>>(), [code], "{schema} {json}");
    }
}
