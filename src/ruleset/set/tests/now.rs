//! The time of the decision, which rules read as `now`.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::ruleset::{Query, RuleSet, UnknownFacts, fixture};

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The names of the rules that match.
fn matching(set: &RuleSet, facts: &str, at: &str) -> Vec<String> {
    let facts = set.read_facts(facts, UnknownFacts::Refuse).unwrap().at(time(at));
    let query = Query::default();
    let decision = set.decide(&facts, &query);
    assert_eq!(decision.results.errors().count(), 0);
    let results = serde_json::to_value(&decision.results).unwrap();
    let matched = results.as_array().unwrap().iter().filter(|result| result["matched"] == true);
    matched.map(|result| result["ruleName"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn all_rules_of_a_decision_read_one_time_and_the_next_decision_another() {
    let schema = json!({"facts": {"born": "timestamp", "vip": "bool"}});
    let snapshot = fixture::with_schema(&schema)
        .field("open", "now.getHours('Europe/Berlin') >= 9 && now.getHours('Europe/Berlin') < 17")
        .field("moment", "now")
        .rule("open", "derived.open")
        .rule("closed", "!derived.open")
        .rule("of age", "now - facts.born >= duration('157680h')")
        .rule("this year", "now >= timestamp('2026-01-01T00:00:00Z') && now < timestamp('2027-01-01T00:00:00Z')")
        .rule("same", "now == derived.moment && [1, 2].all(x, now == derived.moment)");
    let set = RuleSet::compile(&snapshot, None);
    assert!(set.broken().is_empty(), "{:?}", set.broken());
    let facts = r#"{"born": "2008-11-30T12:00:00Z"}"#;
    for (at, expected) in [
        ("2026-11-30T12:00:00Z", vec!["open", "of age", "this year", "same"]),
        ("2026-11-30T20:00:00Z", vec!["closed", "of age", "this year", "same"]),
        ("2026-01-01T00:00:00Z", vec!["closed", "this year", "same"]),
        ("2025-12-31T23:59:59.999999999Z", vec!["closed", "same"]),
        ("2027-06-01T10:00:00Z", vec!["open", "of age", "same"]),
    ] {
        assert_eq!(matching(&set, facts, at), expected, "{at}");
    }
    assert_eq!(set.check_rule("now > facts.born").dependencies, ["facts.born", "now"]);
}

#[test]
fn the_index_asks_for_the_time_as_for_a_fact() {
    let mut snapshot = fixture::with_schema(&json!({"facts": {"n": "int"}}));
    for hour in 0..100 {
        let begin = time("2026-01-01T00:00:00Z") + chrono::TimeDelta::hours(hour);
        let (begin, end) = (begin.to_rfc3339(), (begin + chrono::TimeDelta::hours(1)).to_rfc3339());
        let expression = format!("now >= timestamp('{begin}') && now < timestamp('{end}')");
        snapshot = snapshot.rule(&format!("hour {hour}"), &expression);
    }
    let set = RuleSet::compile(&snapshot, None);
    for hour in [0, 1, 50, 99] {
        let at = time("2026-01-01T00:59:59Z") + chrono::TimeDelta::hours(hour);
        assert_eq!(matching(&set, "{}", &at.to_rfc3339()), [format!("hour {hour}")]);
    }
    assert!(matching(&set, "{}", "2026-02-01T00:00:00Z").is_empty());
}

#[test]
fn an_object_called_now_stays_what_it_is() {
    let set =
        RuleSet::compile(&fixture::with_schema(&json!({"now": {"hour": "int"}})).rule("late", "now.hour > 20"), None);
    assert!(set.broken().is_empty(), "{:?}", set.broken());
    assert_eq!(matching(&set, r#"{"hour": 21}"#, "2026-01-01T00:00:00Z"), ["late"]);
}
