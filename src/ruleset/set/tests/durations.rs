//! Durations, which facts and expressions read alike.

use proptest::prelude::*;
use serde_json::json;

use crate::ruleset::{RuleSet, UnknownFacts, fixture};

proptest! {
    #[test]
    fn facts_and_expressions_read_a_duration_alike(
        text in prop_oneof![
            "[-+]?([0-9]{1,3}(\\.[0-9]{0,12})?(h|m|s|ms|us|µs|ns|d|)){0,3}",
            "-?(87659999|87660000|2562047|2562048)h[0-9]{1,2}m0?s?",
            "[-+.0-9hmsunµd]{0,12}",
        ],
    ) {
        let set = RuleSet::compile(&fixture::with_schema(&json!({"facts": {"d": "duration", "text": "string"}})), None);
        let read = set.read_facts(&json!({"text": text, "d": text}).to_string(), UnknownFacts::Refuse);
        let facts = read.clone().or_else(|_| set.read_facts(&json!({"text": text}).to_string(), UnknownFacts::Refuse));
        let facts = facts.unwrap();
        let evaluated = |source: &str| set.evaluate_expression(source, &facts).unwrap().value;
        match read {
            Ok(_) => {
                prop_assert_eq!(evaluated("facts.d == duration(facts.text)"), Ok(json!(true)), "{}", text);
                prop_assert_eq!(evaluated("facts.d == duration(string(facts.d))"), Ok(json!(true)), "{}", text);
            }
            Err(details) => {
                prop_assert_eq!(details[0].code, "invalid_duration");
                prop_assert_eq!(evaluated("duration(facts.text)").unwrap_err().code, "invalid_conversion", "{}", text);
            }
        }
    }
}
