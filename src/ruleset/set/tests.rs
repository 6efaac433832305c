//! What sets are compiled to, and what they decide.

mod alike;
mod answer;
mod budget;
mod doubts;
mod durations;
mod now;
mod selection;
mod shapes;
mod sharing;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    domain::{SchemaVersion, Snapshot},
    ruleset::{
        Decision, Query, Return, RuleReference, RuleResult, UnknownFacts,
        fixture::{rule_id, schema, tenant, tenant_alone, with_schema},
    },
};

pub(super) fn compile(snapshot: &Snapshot) -> RuleSet {
    RuleSet::compile(snapshot, None)
}

/// Each result in a word: the rule's name, or what was asked for, and what became of it.
fn decide(set: &RuleSet, facts: &Value, query: &Query) -> Vec<String> {
    let facts = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
    words(&set.decide(&facts, query))
}

fn words(decision: &Decision) -> Vec<String> {
    decision.results.iter().map(word).collect()
}

fn word(result: RuleResult) -> String {
    let name = match (result.rule_id, result.rule_name) {
        (RuleReference::Known(_), Some(name)) => name,
        (RuleReference::Unknown(text), None) => text,
        other => panic!("{other:?}"),
    };
    match &result.error {
        Some(error) => {
            assert!(!result.matched && !error.message.is_empty(), "{error:?}");
            format!("{name} {}", error.code)
        }
        None => format!("{name} {}", result.matched),
    }
}

pub(super) fn named(rules: &[&str]) -> Query {
    Query { rules: Some(rules.iter().map(|id| (*id).to_owned()).collect()), ..Query::default() }
}

fn tagged(tags: &[&str]) -> Query {
    Query { tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()), ..Query::default() }
}

fn codes(broken: &Broken) -> Vec<&'static str> {
    broken.details.iter().map(|detail| detail.code).collect()
}

/// Rules 0 adult, 1 broken, 2 off, 3 failing, 4 vip.
fn mixed() -> Snapshot {
    tenant()
        .rule("adult", "facts.age >= 18")
        .tagged(&["age", "all"])
        .rule("broken", "facts.nope")
        .tagged(&["all"])
        .rule("off", "true")
        .tagged(&["all"])
        .inactive()
        .rule("failing", "facts.age / 0 > 1")
        .rule("vip", "facts.vip")
        .tagged(&["vip"])
}

#[test]
fn all_active_rules_are_answered_in_creation_order() {
    let facts = json!({"age": 25, "vip": false});
    assert_eq!(
        decide(&compile(&mixed()), &facts, &Query::default()),
        ["adult true", "broken rule_broken", "failing division_by_zero", "vip false"]
    );
    assert_eq!(decide(&compile(&tenant()), &facts, &Query::default()), [""; 0]);
}

#[test]
fn rules_that_are_named_are_answered_as_they_are_named() {
    let set = compile(&mixed());
    let ids: Vec<String> = (0..6).map(|number| rule_id(number).to_string()).collect();
    let query = named(&[&ids[4], "nonsense", &ids[0], &ids[5], &ids[2], &ids[1], &ids[0]]);
    assert_eq!(
        decide(&set, &json!({"age": 25, "vip": true}), &query),
        [
            "vip true".to_owned(),
            "nonsense rule_not_found".to_owned(),
            "adult true".to_owned(),
            format!("{} rule_not_found", ids[5]),
            "off rule_inactive".to_owned(),
            "broken rule_broken".to_owned(),
            "adult true".to_owned(),
        ]
    );
    assert_eq!(decide(&set, &json!({}), &named(&[])), [""; 0]);
}

#[test]
fn tags_select_any_of_them() {
    let set = compile(&mixed());
    let facts = json!({"age": 25, "vip": true});
    assert_eq!(decide(&set, &facts, &tagged(&["all"])), ["adult true", "broken rule_broken"]);
    assert_eq!(decide(&set, &facts, &tagged(&["vip", "age", "unused"])), ["adult true", "vip true"]);
    assert_eq!(decide(&set, &facts, &tagged(&["unused"])), [""; 0]);
    let ids: Vec<String> = (0..5).map(|number| rule_id(number).to_string()).collect();
    let query = Query { rules: named(&[&ids[4], &ids[2], "x", &ids[0], &ids[1]]).rules, ..tagged(&["age"]) };
    assert_eq!(decide(&set, &facts, &query), ["off rule_inactive", "x rule_not_found", "adult true"]);
}

#[test]
fn only_what_matched_or_failed_is_kept_if_that_is_asked_for() {
    let set = compile(&mixed());
    let facts = set.read_facts(r#"{"age": 25, "vip": false}"#, UnknownFacts::Refuse).unwrap();
    let query = Query { returns: Return::Matched, ..Query::default() };
    let decision = set.decide(&facts, &query);
    assert_eq!((decision.evaluated, decision.matched_count), (4, 1));
    assert_eq!(words(&decision), ["adult true", "broken rule_broken", "failing division_by_zero"]);
}

#[test]
fn an_error_says_where_in_the_rule_it_happened() {
    let set = compile(&tenant().rule("r", "facts.age > 1 &&\n  10 / facts.age > 100 / 0"));
    let facts = set.read_facts(r#"{"age": 25}"#, UnknownFacts::Refuse).unwrap();
    let query = Query::default();
    let decision = set.decide(&facts, &query);
    assert_eq!(decision.results.iter().next().unwrap().error.unwrap().line, Some(2));
}

#[test]
fn a_missing_fact_fails_only_the_rules_that_need_it() {
    let set = compile(
        &tenant()
            .rule("age", "facts.age > 1")
            .rule("vip", "facts.vip")
            .rule("has", "has(facts.age)")
            .rule("absorbed", "facts.age > 1 || facts.vip"),
    );
    let words = decide(&set, &json!({"vip": true}), &Query::default());
    assert!(words[0].starts_with("age ") && words[0] != "age true" && words[0] != "age false", "{words:?}");
    assert_eq!(words[1..], ["vip true", "has false", "absorbed true"]);
}

#[test]
fn derived_fields_are_computed_when_they_are_read() {
    let set = compile(
        &tenant()
            .field("z", "facts.age / 0")
            .field("adult", "facts.age >= 18")
            .field("a", "derived.adult && facts.vip")
            .rule("a", "derived.a")
            .rule("not", "!derived.adult")
            .rule("z", "derived.z > 1")
            .rule("untouched", "true || derived.z > 1"),
    );
    let facts = json!({"age": 25, "vip": true});
    assert_eq!(
        decide(&set, &facts, &Query::default()),
        ["a true", "not false", "z division_by_zero", "untouched true"]
    );
}

#[test]
fn a_broken_derived_field_breaks_those_that_read_it_and_says_so() {
    let set = compile(
        &tenant()
            .field("bad", "facts.nope")
            .field("user", "derived.bad == 1")
            .field("off", "true")
            .inactive_field()
            .field("fine", "true")
            .rule("r", "derived.user")
            .rule("o", "derived.off")
            .rule("f", "derived.fine"),
    );
    let named = |broken: &Broken| match &broken.subject {
        Subject::Rule { rule_name, .. } => rule_name.clone(),
        Subject::DerivedField { field_name, .. } => field_name.clone(),
    };
    let broken: Vec<_> = set.broken().iter().map(|broken| (named(broken), codes(broken))).collect();
    assert_eq!(broken[0].0, "bad");
    assert_eq!(
        broken[1..],
        [
            ("user".to_owned(), vec!["derived_field_broken"]),
            ("r".to_owned(), vec!["derived_field_broken"]),
            ("o".to_owned(), vec!["derived_field_inactive"]),
        ]
    );
    assert_eq!(set.broken()[2].details[0].message, "`derived.user` does not compile");
    assert_eq!(decide(&set, &json!({}), &Query::default()), ["r rule_broken", "o rule_broken", "f true"]);
}

#[test]
fn a_circle_is_named_with_its_way() {
    let set = compile(&tenant().field("a", "derived.b").field("b", "derived.c").field("c", "derived.a || facts.vip"));
    let messages: Vec<_> = set.broken().iter().map(|broken| broken.details[0].message.as_str()).collect();
    assert_eq!(messages[0], {
        "derived fields read one another in a circle: `derived.a` → `derived.b` → `derived.c` → `derived.a`"
    });
    assert_eq!(messages.len(), 3);
    assert!(set.broken().iter().all(|broken| codes(broken) == ["derived_field_circle"]));
}

#[test]
fn derived_fields_have_the_type_of_their_expression() {
    let set = compile(
        &tenant().field("b", "derived.a + 1").field("a", "facts.age").field("c", "[derived.b]").rule("r", "derived.b"),
    );
    let broken: Vec<_> = set.broken().iter().map(|broken| broken.subject.id()).collect();
    assert_eq!(broken, [rule_id(0).0], "an int is no rule");
    assert_eq!(set.derived_type(crate::ruleset::fixture::field_id(0)).unwrap().0, "int");
    assert_eq!(set.derived_type(crate::ruleset::fixture::field_id(2)).unwrap().0, "list(int)");
}

#[test]
fn without_a_schema_nothing_is_read_or_compiled() {
    let set = compile(&tenant_alone().rule("r", "true").field("f", "true"));
    assert_eq!(set.schema_version(), None);
    assert!(set.broken().iter().all(|broken| codes(broken) == ["schema_missing"]));
    assert_eq!(set.broken().len(), 2);
    assert_eq!(set.read_facts("{}", UnknownFacts::Ignore).unwrap_err()[0].code, "schema_missing");
    assert_eq!(set.check_rule("true").details[0].code, "schema_missing");
}

#[test]
fn an_expression_is_checked_without_being_stored() {
    let set = compile(&tenant().field("adult", "facts.age >= 18").field("off", "true").inactive_field());
    let report = set.check_rule("derived.adult && facts.vip");
    assert_eq!((report.value_type.as_deref(), report.details.len()), (Some("bool"), 0));
    assert_eq!(report.dependencies, ["derived.adult", "facts.vip"]);
    assert_eq!(set.check_rule("derived.off").details[0].code, "derived_field_inactive");
    let report = set.check_rule("facts.nope && facts.nada");
    assert_eq!((report.value_type, report.details.len()), (None, 2));
    assert!(report.details.iter().all(|detail| detail.span.is_some()));
    assert_eq!(set.check_rule("facts.age").details.len(), 1, "an int is no rule");
}

#[test]
fn rules_are_carried_over_wherever_they_stand() {
    // Few are looked for one by one, many by their hashes.
    for moved in [3, 60] {
        let rules = |snapshot: Snapshot, from: usize| {
            (from..moved).fold(snapshot, |snapshot, n| snapshot.rule(&format!("r{n}"), &format!("facts.age > {n}")))
        };
        let first = compile(&rules(tenant(), 0));
        let report = RuleSet::compile(&rules(tenant().rule("new", "facts.vip"), 0), Some(&first)).report();
        assert_eq!((report.compiled, report.reused), (1, moved));
        let report = RuleSet::compile(&rules(tenant(), 1), Some(&first)).report();
        assert_eq!((report.compiled, report.reused), (0, moved - 1));
    }
}

#[test]
fn only_what_changed_is_compiled_again() {
    let snapshot = tenant().field("m", "facts.vip").rule("a", "facts.age > 1").rule("b", "derived.m");
    let first = compile(&snapshot);
    let report = |snapshot: &Snapshot| {
        let report = RuleSet::compile(snapshot, Some(&first)).report();
        (report.compiled, report.reused)
    };
    assert_eq!((first.report().compiled, first.report().reused), (3, 0));
    assert_eq!(report(&snapshot), (0, 3));
    assert_eq!(report(&snapshot.clone().rule("c", "facts.age > 2")), (1, 3));
    assert_eq!(report(&snapshot.clone().rule("c", "facts.age > 1")), (0, 4), "the same expression");
    assert_eq!(report(&snapshot.clone().field("z", "true")), (1, 3));
    let mut retyped = snapshot.clone();
    retyped.derived_fields[0].expression = "facts.vip ? [1] : [2]".to_owned();
    assert_eq!(report(&retyped), (2, 1), "what reads it is checked under its new type");
    let mut reworded = snapshot.clone();
    reworded.schema = Some(schema(2, &json!({"facts": {"age": "int64", "country": "string", "vip": "bool"}})));
    assert_eq!(report(&reworded), (0, 3));
    reworded.schema = Some(schema(2, &json!({"facts": {"age": "int", "vip": "bool", "a": "int"}})));
    assert_eq!(report(&reworded), (3, 0));
    assert_eq!(RuleSet::compile(&reworded, Some(&first)).schema_version(), Some(SchemaVersion(2)));
}

#[test]
fn equal_expressions_of_equal_schemas_are_compiled_once() {
    let compiled = |set: &RuleSet, place: usize| match &set.contents.rules[place].state {
        RuleState::Ready(compiled) => Arc::clone(compiled),
        other => panic!("{other:?}"),
    };
    let snapshot = || tenant().field("m", "facts.vip");
    let one = compile(&snapshot().rule("a", "facts.age > 777").rule("b", "facts.age > 777").rule("c", "derived.m"));
    let other = compile(&snapshot().rule("x", "facts.age > 777").rule("y", "derived.m"));
    assert!(Arc::ptr_eq(&compiled(&one, 0), &compiled(&one, 1)));
    assert!(Arc::ptr_eq(&compiled(&one, 0), &compiled(&other, 0)));
    assert!(Arc::ptr_eq(&compiled(&one, 2), &compiled(&other, 1)));
    // The same text under other types, of a fact or of a derived field, is another expression.
    let retyped = compile(&tenant().field("m", "facts.age").rule("x", "facts.age > 777").rule("y", "derived.m == 1"));
    assert!(Arc::ptr_eq(&compiled(&one, 0), &compiled(&retyped, 0)));
    let other_schema = json!({"facts": {"age": "double", "country": "string", "vip": "bool"}});
    let other = compile(&with_schema(&other_schema).rule("x", "facts.age > 777"));
    assert!(!Arc::ptr_eq(&compiled(&one, 0), &compiled(&other, 0)));
}

#[test]
fn facts_read_by_another_schema_are_not_misread() {
    let facts =
        compile(&with_schema(&json!({"facts": {"vip": "int"}}))).read_facts("{\"vip\": 1}", UnknownFacts::Refuse);
    let set = compile(&mixed());
    let query = Query::default();
    let words = words(&set.decide(&facts.unwrap(), &query));
    assert_eq!(words, ["adult schema_changed", "broken rule_broken", "failing schema_changed", "vip schema_changed"]);
}

#[test]
fn facts_read_by_a_set_of_the_same_schema_meet_the_derived_fields_of_their_own() {
    let times = |factor| compile(&tenant().field("n", &format!("facts.age * {factor}")).rule("r", "derived.n == 50"));
    let (two, three) = (times(2), times(3));
    let facts = two.read_facts(r#"{"age": 25}"#, UnknownFacts::Refuse).unwrap();
    let query = Query::default();
    for _ in 0..2 {
        assert_eq!(two.decide(&facts, &query).matched_count, 1);
        assert_eq!(three.decide(&facts, &query).matched_count, 0);
    }
    let more = compile(&tenant().field("a", "1").field("n", "facts.age * 2").rule("r", "derived.n == 50"));
    assert_eq!(more.decide(&facts, &query).matched_count, 1);
    assert_eq!(two.decide(&facts.clone(), &query).matched_count, 1);
}

#[test]
fn every_rule_is_traced_if_that_is_asked_for() {
    let set = compile(&tenant().rule("r", "facts.age >= 18 && facts.vip"));
    let facts = set.read_facts(r#"{"age": 25, "vip": true}"#, UnknownFacts::Refuse).unwrap();
    let traced = Query { trace: true, ..Query::default() };
    let decision = set.decide(&facts, &traced);
    let trace = decision.results.iter().next().unwrap().trace.unwrap();
    assert!(trace.iter().any(|entry| entry.text == "facts.age" && entry.value == json!(25)), "{trace:?}");
    let query = Query::default();
    assert_eq!(set.decide(&facts, &query).results.iter().next().unwrap().trace, None);
}

/// A tenant with some derived fields and rules that read them.
pub(super) fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let expression = proptest::sample::select(vec![
        "facts.vip",
        "facts.age",
        "facts.age + 1",
        "derived.a",
        "derived.b",
        "derived.c",
        "derived.d",
        "derived.b == 2",
        "derived.a && facts.vip",
        "derived.c > derived.d",
        "[derived.a]",
        "facts.nope",
        "size(derived.b) == 1",
    ]);
    let fields = proptest::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4).prop_shuffle();
    let rules = proptest::collection::vec((expression.clone(), any::<bool>()), 0..6);
    (fields, proptest::collection::vec((expression, any::<bool>()), 4), rules).prop_map(
        |(names, expressions, rules)| {
            let mut snapshot = tenant();
            for (name, (expression, off)) in names.into_iter().zip(expressions) {
                snapshot = snapshot.field(name, expression);
                snapshot = if off { snapshot.inactive_field() } else { snapshot };
            }
            for (number, (expression, _)) in rules.into_iter().enumerate() {
                snapshot = snapshot.rule(&format!("r{number}"), expression);
            }
            snapshot
        },
    )
}

proptest! {
    #[test]
    fn a_set_made_from_another_decides_as_one_made_afresh(before in any_snapshot(), after in any_snapshot()) {
        let (fresh, carried) = (compile(&after), RuleSet::compile(&after, Some(&compile(&before))));
        prop_assert_eq!(fresh.broken(), carried.broken());
        for facts in [json!({"age": 2, "vip": true}), json!({"age": 1, "vip": false}), json!({})] {
            let query = Query::default();
            prop_assert_eq!(decide(&fresh, &facts, &query), decide(&carried, &facts, &query));
        }
    }
}

#[test]
fn a_derived_field_is_not_looked_for_where_there_are_none() {
    let report = compile(&tenant()).check_rule("derived.nope");
    let [detail] = report.details.as_slice() else { panic!("{report:?}") };
    assert_eq!((detail.code, detail.hint.as_deref()), ("no_such_field", Some("it has no fields: `derived` is empty")));
}
