//! Decisions in a row on one thread, as a batch makes them: each as on a thread of its own.

use proptest::prelude::*;
use serde_json::json;

use super::{
    RuleSet,
    tests::{any_snapshot, compile, named},
};
use crate::ruleset::{Query, Return, UnknownFacts, fixture::rule_id};

/// Facts as they come: fitting, of wrong types, unknown, long, or no JSON at all.
fn any_body() -> impl Strategy<Value = String> {
    let text = proptest::sample::select(vec!["", "US", "a text that is longer than most", "\u{e9}\n\""]);
    let fact = (0..8_i64, any::<bool>(), text, 0..10_usize);
    fact.prop_map(|(age, vip, country, shape)| match shape {
        0 => json!({"age": country, "vip": vip}).to_string(),
        1 => json!({"age": age, "unknown": [country, {"vip": vip}]}).to_string(),
        2 => json!({"age": age, "vip": vip}).to_string().replace('}', ""),
        3 => "{}".to_owned(),
        4 => json!({"vip": vip}).to_string(),
        5 => json!({"country": country.repeat(50)}).to_string(),
        _ => json!({"age": age, "country": country, "vip": vip}).to_string(),
    })
}

/// All that a body is answered, in all ways to ask.
fn answer(set: &RuleSet, body: &str) -> String {
    let facts = match set.read_facts(body, UnknownFacts::Refuse) {
        Ok(facts) => facts,
        Err(details) => return format!("{details:?}"),
    };
    let queries = [
        Query::default(),
        Query { returns: Return::Matched, ..Query::default() },
        Query { trace: true, ..Query::default() },
        named(&[&rule_id(0).to_string(), "nonsense"]),
    ];
    queries.iter().map(|query| format!("{:?}\n", set.decide(&facts, query))).collect()
}

proptest! {
    /// A batch is a loop on one thread, whose buffers are used again.
    #[test]
    fn nothing_is_left_from_one_decision_for_the_next(
        snapshots in proptest::collection::vec(any_snapshot(), 1..3),
        bodies in proptest::collection::vec((any_body(), any::<prop::sample::Index>()), 1..12),
    ) {
        let sets: Vec<_> = snapshots.iter().map(compile).collect();
        for (body, choice) in &bodies {
            let set = choice.get(&sets);
            let fresh = std::thread::scope(|scope| scope.spawn(|| answer(set, body)).join().unwrap());
            prop_assert_eq!(answer(set, body), fresh);
        }
    }
}
