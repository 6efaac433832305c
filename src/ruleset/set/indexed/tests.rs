//! The index against no index: the same decisions, whatever the schema, the rules and the facts.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value as Json, json};

use super::{super::decide::Guard, *};
use crate::{
    cel::{Activation, Value},
    domain::Snapshot,
    ruleset::{
        Decision, Facts, Pace, Query, Return, RuleResult, RuleSet, UnknownFacts,
        fixture::{tenant, with_schema},
        index::Candidate,
    },
};

const FIELDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TYPES: [&str; 9] = ["int", "uint", "double", "string", "bool", "timestamp", "duration", "dyn", "list<int>"];

/// Constants of a type as expressions have them, its own and others that it may be compared with.
fn constants(field_type: &str) -> &'static [&'static str] {
    match field_type {
        "int" | "dyn" => {
            &["0", "1", "-1", "2", "1.5", "1u", "9223372036854775807", "9007199254740993", "-0.0", "1.9e19"]
        }
        "uint" => &["0u", "1u", "2u", "1", "-1", "0.5", "18446744073709551615u", "9007199254740993u"],
        "double" => &["0.0", "-0.0", "1.0", "1.5", "1", "2u", "-1e300", "9007199254740992.0", "9007199254740993"],
        "string" => &["''", "'a'", "'ab'", "'é'", "'b'"],
        "timestamp" => &["timestamp('2026-01-01T00:00:00Z')", "timestamp('0001-01-01T00:00:00Z')"],
        "duration" => &["duration('0s')", "duration('-1.5s')", "duration('1h')"],
        _ => &["true", "false"],
    }
}

/// A value of a type as facts have it.
fn value(field_type: &str, choice: usize) -> Json {
    let values = match field_type {
        "int" | "dyn" => json!([0, 1, -1, 2, 9_223_372_036_854_775_807_i64, 9_007_199_254_740_992_i64, i64::MIN]),
        "uint" => json!([0, 1, 2, 18_446_744_073_709_551_615_u64, 9_007_199_254_740_993_u64]),
        "double" => json!([0.0, -0.0, 1.0, 1.5, 2.0, -1e300, 9_007_199_254_740_992.0]),
        "string" => json!(["", "a", "ab", "é", "abc", "\u{e8}"]),
        "bool" => json!([true, false]),
        "timestamp" => json!(["2026-01-01T00:00:00Z", "2025-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59Z"]),
        "duration" => json!(["0s", "-1.5s", "1h", "-1ns", "3600.000000001s"]),
        _ => json!([[], [1], [0, 2]]),
    };
    values[choice % values.as_array().unwrap().len()].clone()
}

/// A condition on one field, from four choices.
fn term(types: &[&str], [field, kind, one, other]: [usize; 4]) -> String {
    let field_type = types[field % types.len()];
    let name = format!("facts.{}", FIELDS[field % types.len()]);
    let all = constants(field_type);
    let (one, other) = (all[one % all.len()], all[other % all.len()]);
    let same = |text: &str| text.replace('N', &name).replace("C1", one).replace("C2", other);
    match (kind % 16, field_type) {
        (0, _) => same("has(N)"),
        (1, _) => same("!has(N)"),
        (2, _) => "1 / (size('a') - 1) > 0".to_owned(),
        (3, _) => "derived.p".to_owned(),
        (_, "list<int>") => same("N.exists(i, i > 1)"),
        (4 | 5, "bool") => name,
        (6 | 7, "bool") => same("!N"),
        (4 | 5, "string") => same("N.startsWith(C1)"),
        (4, "timestamp") | (4..=6, _) => same("N == C1"),
        (7, "int") => same("N in [0, 1, 2]"),
        (7, "string") => same("N in [C1, C2, 'x']"),
        (7, "uint") => same("N in [0u, 2u]"),
        (7, "double") => same("N in [0.0, 1.5]"),
        (8, _) => same("N != C1"),
        (9, _) => same("C1 == N"),
        (10, _) => same("N < C1"),
        (11, _) => same("N >= C1"),
        (12, _) => same("C1 < N"),
        (13, _) => same("(N == C1 || N == C2)"),
        (14, _) => same("(N > C1 && N <= C2)"),
        _ => same("N <= C1"),
    }
}

/// A rule: terms put together by `&&`, `||` and `!`.
fn rule(types: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    let types = types.to_vec();
    let leaf = any::<[u8; 4]>().prop_map(move |choices| term(&types, choices.map(usize::from)));
    leaf.prop_recursive(3, 8, 4, |inner| {
        prop_oneof![
            6 => vec(inner.clone(), 2..5).prop_map(|terms| terms.join(" && ")),
            2 => vec(inner.clone(), 2..4).prop_map(|terms| format!("({})", terms.join(" || "))),
            1 => inner.prop_map(|term| format!("!({term})")),
        ]
    })
}

/// Types of the fields; rules before and after a change of one in `FEW_CHANGED`; facts.
type Case = (Vec<&'static str>, Vec<String>, Vec<(usize, Option<String>)>, Vec<Json>);

fn case() -> impl Strategy<Value = Case> {
    vec(select(TYPES.as_slice()), FIELDS.len()).prop_flat_map(|types| {
        // Absent, `null`, or a value.
        let given = prop_oneof![1 => Just(None), 7 => any::<u8>().prop_map(Some)];
        let choices = vec(proptest::option::weighted(0.85, given), types.len());
        let of_types = types.clone();
        let facts = choices.prop_map(move |choices| {
            let field = |(place, choice): (usize, Option<Option<u8>>)| {
                let value = choice?.map_or(Json::Null, |choice| value(of_types[place], usize::from(choice)));
                Some((FIELDS[place].to_owned(), value))
            };
            Json::Object(choices.into_iter().enumerate().filter_map(field).collect::<Map<_, _>>())
        });
        let rules = vec(rule(&types), 1..32);
        let changes = vec((any::<usize>(), proptest::option::of(rule(&types))), 0..3);
        (Just(types), rules, changes, vec(facts, 8))
    })
}

fn snapshot(types: &[&str], rules: &[String]) -> Snapshot {
    let fields: Map<_, _> =
        FIELDS.iter().zip(types).map(|(name, field_type)| ((*name).to_owned(), json!(field_type))).collect();
    let mut snapshot = with_schema(&json!({ "facts": fields }));
    snapshot = snapshot.field("p", "has(facts.a) || 1 / (size('a') - 1) > 0");
    for (number, expression) in rules.iter().enumerate() {
        snapshot = snapshot.rule(&format!("r{number}"), expression);
        let tag = if number % 3 == 0 { "third" } else { "other" };
        snapshot = snapshot.tagged(&[tag]);
    }
    snapshot
}

/// Fails unless both say the same, at whatever cost.
fn assert_same(decision: &Decision, other: &Decision) {
    assert_eq!(decision.results, other.results);
    assert_eq!((decision.evaluated, decision.matched_count), (other.evaluated, other.matched_count));
}

/// Fails unless a decision that is cut off where it has taken so much is the whole one or none, and one that gives way is
/// the whole one.
fn assert_cut_alike(set: &RuleSet, facts: &Facts, query: &Query) {
    let whole = set.decide(facts, query);
    let paused = set.decide_paced(facts, query, Pace::GivingWay(&|| ()));
    assert_same(&paused, &whole);
    assert_eq!((paused.cost, paused.is_cut, whole.is_cut), (whole.cost, false, false));
    for most in [0, 1, whole.cost / 2, whole.cost.saturating_sub(1), whole.cost, whole.cost + 1, 1_000_000] {
        let decision = set.decide_paced(facts, query, Pace::Within(most));
        if decision.is_cut {
            assert!(most <= whole.cost, "{most} of {}", whole.cost);
        } else {
            assert_same(&decision, &whole);
            assert_eq!(decision.cost, whole.cost);
        }
    }
}

/// Fails unless the index answers as evaluating each rule does.
fn assert_index_is_sound(set: &RuleSet, facts: &Json) {
    let facts = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
    let activation = set.activation(&facts);
    for tags in [None, Some(vec!["third".to_owned()])] {
        for returns in [Return::All, Return::Matched] {
            let query = Query { tags: tags.clone(), returns, ..Query::default() };
            let each = set.decide_each(activation.as_deref(), &query, Guard::None, Pace::AtOnce);
            assert_same(&set.decide(&facts, &query), &each);
            // A small set does without its index.
            let candidates =
                set.decide_candidates(activation.as_deref().unwrap(), &query, Guard::EachRule, Pace::AtOnce);
            assert_same(&candidates, &each);
            assert_cut_alike(set, &facts, &query);
        }
    }
}

/// Fails unless every rule that is not false is a candidate, and every one that is certain to be true is, whatever the slots hold; JSON has neither NaN nor infinity.
fn assert_nothing_is_left_out(set: &RuleSet, activation: &Activation) {
    let mut found = Vec::new();
    set.contents.index().candidates(activation, &mut found);
    assert!(found.is_sorted_by(|one, next| one.rule() < next.rule()), "{found:?}");
    for (place, rule) in (0..).zip(&set.contents.rules) {
        let RuleState::Ready(compiled) = &rule.state else { continue };
        let value = compiled.program.evaluate(activation);
        let candidate = found.binary_search_by_key(&place, |candidate| candidate.rule()).map(|at| found[at]);
        let is_certain = candidate.is_ok_and(Candidate::is_true);
        assert!(!is_certain || value == Ok(Value::Bool(true)), "{}: {value:?}", compiled.program.source());
        assert!(candidate.is_ok() || value == Ok(Value::Bool(false)), "{}: {value:?}", compiled.program.source());
    }
}

proptest! {
    #[test]
    fn no_rule_that_may_match_or_fail_is_left_out(
        (types, rules, _, facts) in case(),
        doubles in vec(select([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0].as_slice()), FIELDS.len()),
    ) {
        let set = RuleSet::compile(&snapshot(&types, &rules), None);
        for facts in &facts {
            let facts = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
            let mut activation = set.activation(&facts).unwrap().into_owned();
            assert_nothing_is_left_out(&set, &activation);
            for ((field, field_type), double) in FIELDS.iter().zip(&types).zip(&doubles) {
                if *field_type == "double" {
                    let path = format!("facts.{field}");
                    prop_assert!(activation.set_path(&path, Value::Double(*double)));
                }
            }
            assert_nothing_is_left_out(&set, &activation);
        }
    }

    #[test]
    fn an_index_changes_no_decision((types, rules, changes, facts) in case()) {
        let mut snapshot = snapshot(&types, &rules);
        let mut set = RuleSet::compile(&snapshot, None);
        for facts in &facts {
            assert_index_is_sound(&set, facts);
        }
        for (place, change) in changes {
            let rule = place % rules.len();
            match change {
                Some(expression) => snapshot.rules[rule].expression = expression,
                None => snapshot.rules[rule].active ^= true,
            }
            set = RuleSet::compile(&snapshot, Some(&set));
            for facts in &facts {
                assert_index_is_sound(&set, facts);
            }
        }
    }

    #[test]
    fn a_changed_index_decides_as_one_made_afresh(
        first in vec(0..40_usize, 64..80),
        changes in vec((0..80_usize, 0..40_usize, any::<bool>()), 1..5),
        age in 0..8_i64,
        country in select(vec!["US", "CA", "UK"]),
    ) {
        let expression = |choice: usize| match choice % 5 {
            0 => format!("facts.country == 'US' && facts.age == {}", choice / 5),
            1 => format!("facts.country in ['US', 'CA'] && facts.age > {}", choice / 5),
            2 => format!("facts.age >= {} && facts.age < 5 && facts.vip", choice / 5),
            3 => format!("facts.country.startsWith('U') && facts.age == {} || facts.vip", choice / 5),
            _ => format!("has(facts.age) && facts.age <= {}", choice / 5),
        };
        let mut snapshot = tenant();
        for (number, choice) in first.iter().enumerate() {
            snapshot = snapshot.rule(&format!("r{number}"), &expression(*choice));
        }
        let mut set = RuleSet::compile(&snapshot, None);
        for (place, choice, off) in changes {
            let place = place % first.len();
            snapshot.rules[place].expression = expression(choice);
            snapshot.rules[place].active = !off;
            set = RuleSet::compile(&snapshot, Some(&set));
            let fresh = RuleSet::compile(&snapshot, None);
            for facts in [json!({"age": age, "country": country, "vip": false}), json!({"age": age}), json!({})] {
                assert_index_is_sound(&set, &facts);
                // What was divided stays divided, so there may be fewer candidates, never more.
                let among = candidates(&fresh, &facts);
                prop_assert!(candidates(&set, &facts).iter().all(|rule| among.contains(rule)));
                let query = Query::default();
                prop_assert_eq!(decide(&set, &facts, &query), decide(&fresh, &facts, &query));
            }
        }
    }
}

/// Which rules match, and which end with an error.
fn decide(set: &RuleSet, facts: &Json, query: &Query) -> Vec<(bool, Option<String>)> {
    let facts = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
    let word = |result: RuleResult| (result.matched, result.error.map(|error| error.message.clone()));
    set.decide(&facts, query).results.iter().map(word).collect()
}

fn candidates(set: &RuleSet, facts: &Json) -> Vec<u32> {
    let facts = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
    let mut found = Vec::new();
    set.contents.index().candidates(&set.activation(&facts).unwrap(), &mut found);
    found.into_iter().map(Candidate::rule).collect()
}

/// Which of these rules a tenant's facts can match.
fn candidates_among(rules: &[&str], facts: &Json) -> Vec<u32> {
    let snapshot = rules.iter().fold(tenant(), |snapshot, rule| snapshot.rule(rule, rule));
    let set = RuleSet::compile(&snapshot, None);
    assert!(set.broken().is_empty(), "{:?}", set.broken());
    assert_index_is_sound(&set, facts);
    candidates(&set, facts)
}

#[test]
fn only_rules_that_can_match_are_evaluated() {
    let rules = [
        "facts.country == 'US'",
        "facts.country == 'CA' && facts.age > 18",
        "facts.age > 18",
        "facts.age >= 10 && facts.age < 20",
        "facts.country in ['CA', 'UK']",
        "facts.country.startsWith('U')",
        "facts.vip",
        "!facts.vip && facts.age + 1 > 0",
        "has(facts.vip) && facts.vip",
        "!has(facts.vip)",
        "facts.age + 1 > 100",
        "facts.age == 7 || facts.country == 'US'",
    ];
    assert_eq!(candidates_among(&rules, &json!({"age": 19, "country": "US", "vip": true})), [0, 2, 3, 5, 6, 8, 10, 11]);
    assert_eq!(candidates_among(&rules, &json!({"age": 7, "country": "CA", "vip": false})), [1, 4, 7, 10, 11]);
}

#[test]
fn rules_of_an_absent_fact_are_evaluated_unless_they_ask_for_it() {
    let rules = ["facts.vip", "facts.vip && facts.age > 5", "has(facts.vip) && facts.vip", "facts.age > 5"];
    assert_eq!(candidates_among(&rules, &json!({"age": 5})), [0, 1]);
    assert_eq!(candidates_among(&rules, &json!({})), [0, 1, 3]);
}

#[test]
fn many_rules_of_one_value_are_divided_further() {
    let rules: Vec<String> =
        (0..100).map(|age| format!("facts.country == 'US' && facts.age == {age} && facts.vip")).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    assert_eq!(candidates_among(&rules, &json!({"age": 42, "country": "US", "vip": true})), [42]);
    assert_eq!(candidates_among(&rules, &json!({"age": 42, "vip": true})), [42]);
    assert_eq!(candidates_among(&rules, &json!({"country": "US", "vip": true})).len(), 100);
}

#[test]
fn a_budget_that_ends_before_a_false_term_is_still_answered() {
    let cubed = "facts.l.all(i, facts.l.all(j, facts.l.all(k, i + j + k > 0)))";
    let snapshot = with_schema(&json!({"facts": {"l": "list<int>", "vip": "bool"}}))
        .field("cubed", cubed)
        .rule("own", &format!("{cubed} && facts.vip"))
        .rule("derived", "derived.cubed && facts.vip");
    let set = RuleSet::compile(&snapshot, None);
    let facts = json!({"l": vec![1; 100], "vip": false});
    assert_index_is_sound(&set, &facts);
    let facts = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
    let query = Query::default();
    let Decision { results, .. } = set.decide(&facts, &query);
    assert!(results.iter().all(|result| result.error.unwrap().code == "cost_exceeded"), "{results:?}");
}
