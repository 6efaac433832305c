//! Results as JSON: written in two ways that must agree.

use super::*;

#[test]
fn results_are_written_as_they_are_serialized() {
    let names = ["plain", "über 日本", "a \"quoted\" \\ name", "line\nbreak", "\u{1}", "", "null"];
    let mut snapshot = tenant();
    for (number, name) in names.iter().enumerate() {
        snapshot = snapshot.rule(name, if number % 2 == 0 { "facts.vip" } else { "facts.age >= 18" });
    }
    let set = compile(&snapshot.rule("off", "true").inactive().rule("broken", "facts.nope"));
    let everything = (0..names.len() + 2).map(|number| rule_id(number).to_string()).chain(["no rule".to_owned()]);
    let asked = Some(everything.collect::<Vec<_>>());
    for facts in [json!({"age": 20, "vip": true}), json!({"age": 2, "vip": false}), json!({})] {
        let facts = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
        for rules in [None, asked.clone()] {
            for (returns, trace) in [(Return::All, false), (Return::Matched, false), (Return::All, true)] {
                let query = Query { rules: rules.clone(), returns, trace, ..Query::default() };
                let decision = set.decide(&facts, &query);
                let mut written = Vec::new();
                decision.results.write_json(&mut written);
                let serialized = serde_json::to_string(&decision.results).unwrap();
                assert_eq!(String::from_utf8(written).unwrap(), serialized, "{query:?}");
            }
        }
    }
}
