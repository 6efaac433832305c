//! Objects of the same fields at different places of a schema: what takes one takes the other.

use serde_json::{Value, json};

use crate::ruleset::{Evaluated, RuleSet, UnknownFacts, fixture};

const CANARY: &str = "canary";

fn set() -> RuleSet {
    let container = |chars: u32, sensitive: bool| {
        json!({"type": "list", "maxItems": 5, "items": {
            "name": {"type": "string", "maxLength": chars},
            "token": {"type": "string", "maxLength": 10, "sensitive": sensitive},
            "ports": {"type": "list", "maxItems": 3, "items": {"number": "int"}},
        }})
    };
    let address = json!({"city": "string", "zip": {"type": "string", "maxLength": 5}});
    RuleSet::compile(
        &fixture::with_schema(&json!({"facts": {
            "billing": address, "shipping": address, "place": {"city": "string"}, "code": {"city": "string", "zip": "int"},
            "containers": container(10, false), "initContainers": container(1_000, true),
            "express": "bool",
        }})),
        None,
    )
}

fn evaluated(expression: &str) -> Evaluated {
    let set = set();
    let facts = json!({
        "billing": {"city": "Bonn", "zip": "53111"}, "shipping": {"city": "Bonn", "zip": "53111"},
        "containers": [{"name": "web", "token": CANARY, "ports": [{"number": 80}]}],
        "initContainers": [{"name": "init", "token": CANARY, "ports": [{"number": 81}]}],
        "express": true,
    });
    let facts = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
    set.evaluate_expression(expression, &facts).unwrap()
}

#[test]
fn objects_of_the_same_fields_compare_and_meet_in_lists() {
    for (expression, value) in [
        ("facts.billing == facts.shipping", json!(true)),
        ("facts.billing != facts.shipping", json!(false)),
        ("dyn(facts.billing) == dyn(facts.shipping)", json!(true)),
        ("facts.billing in [facts.shipping]", json!(true)),
        ("[facts.billing, facts.shipping].map(a, a.zip)", json!(["53111", "53111"])),
        ("[facts.billing, facts.shipping].unique()", json!(false)),
        ("(facts.express ? facts.billing : facts.shipping).city", json!("Bonn")),
        ("facts.?billing.orValue(facts.shipping).city", json!("Bonn")),
        ("{'a': facts.billing, 'b': facts.shipping}.b.zip", json!("53111")),
        ("(facts.containers + facts.initContainers).map(c, c.name)", json!(["web", "init"])),
        ("(facts.initContainers + facts.containers).all(c, c.name.size() < 5)", json!(true)),
        ("(facts.containers + facts.initContainers).map(c, c.ports[0].number)", json!([80, 81])),
        ("facts.containers == facts.initContainers", json!(false)),
        ("facts.containers[0].ports + facts.initContainers[0].ports == []", json!(false)),
    ] {
        assert_eq!(evaluated(expression).value, Ok(value), "{expression}");
    }
}

#[test]
fn objects_of_other_fields_stay_apart() {
    for expression in [
        "facts.billing == facts.place",
        "facts.billing == facts.code",
        "facts.containers + [facts.billing]",
        "(facts.express ? facts.billing : facts.code).city",
    ] {
        let report = set().check_rule(expression);
        assert_eq!(report.details.first().map(|detail| detail.code), Some("no_such_overload"), "{expression}");
    }
}

#[test]
fn what_is_sensitive_in_one_of_them_is_shown_of_none() {
    for expression in [
        "(facts.containers + facts.initContainers).exists(c, c.token == 'x')",
        "(facts.initContainers + facts.containers).exists(c, c.token == 'x')",
        "[facts.containers[0], facts.initContainers[0]].exists(c, c.token == 'x')",
        "(facts.express ? facts.containers : facts.initContainers).exists(c, c.token == 'x')",
        "(facts.express ? facts.initContainers : facts.containers).exists(c, c.token == 'x')",
    ] {
        let trace = evaluated(expression).trace;
        let tokens: Vec<&Value> =
            trace.iter().filter(|entry| entry.text == "c.token").map(|entry| &entry.value).collect();
        assert!(!tokens.is_empty() && tokens.iter().all(|value| **value == "(sensitive)"), "{expression}: {trace:?}");
    }
}

#[test]
fn a_bound_to_set_is_named_for_each_of_them() {
    let loops = "l.all(a, l.all(b, l.all(c, l.all(d, a.name + b.name == c.name + d.name))))";
    for (lists, paths) in [
        ("facts.containers + facts.initContainers", "`facts.containers.name` and `facts.initContainers.name`"),
        ("facts.initContainers + facts.containers", "`facts.containers.name` and `facts.initContainers.name`"),
        (
            "facts.containers + facts.initContainers + facts.containers",
            "`facts.containers.name` and `facts.initContainers.name` (",
        ),
    ] {
        let report = set().check_rule(&format!("cel.bind(l, {lists}, {loops})"));
        let hint = report.details[0].hint.as_deref().unwrap();
        assert!(hint.contains(paths), "{lists}: {hint}");
    }
}

#[test]
fn the_larger_of_them_is_what_costs() {
    let units =
        |list: &str| set().check_rule(&format!("({list}).all(c, c.name.contains('x'))")).cost.map(|cost| cost.units);
    let large = units("facts.initContainers + facts.initContainers");
    assert!(units("facts.containers + facts.containers") < large);
    assert_eq!(units("facts.containers + facts.initContainers"), large);
    assert_eq!(units("facts.initContainers + facts.containers"), large);
    let chosen = |list: &str| units(&format!("facts.express ? {list}"));
    let large = chosen("facts.initContainers : facts.initContainers");
    assert!(chosen("facts.containers : facts.containers") < large);
    assert_eq!(chosen("facts.containers : facts.initContainers"), large);
    assert_eq!(chosen("facts.initContainers : facts.containers"), large);
}
