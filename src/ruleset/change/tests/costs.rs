//! Changes after which something could cost more than it may.

use serde_json::{Value, json};

use super::*;

/// Within the limit for a hundred items, not for a thousand.
const SQUARE: &str = "facts.l.all(a, facts.l.all(b, a <= b))";

fn of_items(most: u32) -> Value {
    json!({"facts": {"l": {"type": "list<int>", "maxItems": most}, "vip": "bool"}})
}

fn few() -> Snapshot {
    with_schema(&of_items(100))
}

fn many() -> Snapshot {
    with_schema(&of_items(1_000))
}

/// The codes of what is wrong, if it is that.
fn codes(snapshot: &Snapshot, change: &Change) -> Vec<&'static str> {
    let details = match apply(snapshot, None, change, &refusing()) {
        Err(Refusal::Invalid(details)) => details,
        Err(Refusal::Breaks(broken)) => broken.into_iter().flat_map(|broken| broken.details).collect(),
        other => panic!("{other:?}"),
    };
    assert!(details.iter().all(|detail| detail.span.is_some() && detail.text.is_some() && detail.hint.is_some()));
    details.iter().map(|detail| detail.code).collect()
}

#[test]
fn a_rule_that_could_cost_too_much_is_not_written() {
    let create = Change::CreateRule(rule("r", SQUARE));
    let inactive = Change::CreateRule(RuleDraft { active: false, ..rule("r", SQUARE) });
    let expression = RulePatch { expression: Some(SQUARE.to_owned()), ..RulePatch::default() };
    let patch = Change::PatchRule(rule_id(0), expression);
    let activate = Change::PatchRule(rule_id(0), RulePatch { active: Some(true), ..RulePatch::default() });
    let named = RulePatch { name: Some(Name::stored("s".to_owned())), ..RulePatch::default() };
    let refused = "invalid expression";
    check(vec![
        (few(), create.clone(), &refusing(), "+rule r"),
        (many(), create.clone(), &refusing(), refused),
        (many(), create.clone(), &deactivating(), refused),
        (many(), inactive, &refusing(), refused),
        (many().rule("r", "facts.vip"), patch, &refusing(), refused),
        (many().rule("r", SQUARE).inactive(), activate, &refusing(), refused),
        (many(), Change::ReplaceRules(vec![rule("a", "true"), rule("b", SQUARE)]), &refusing(), {
            "invalid rules[1].expression"
        }),
        // One that stands runs within its budget, and can be given another name.
        (many().rule("r", SQUARE), Change::PatchRule(rule_id(0), named), &refusing(), "~rule s"),
    ]);
    assert_eq!(codes(&many(), &create), ["cost_too_high"]);
}

#[test]
fn a_derived_field_counts_for_those_who_read_it() {
    // Each within the limit, and not together.
    let half = "facts.l.all(a, facts.l.all(b, [1, 2, 3, 4, 5, 6, 7, 8].all(c, a + c <= b)))";
    let create = |expression| Change::CreateDerivedField(field("g", expression));
    let with_reader = || few().field("f", half).field("h", "facts.vip").rule("r", "derived.f && derived.h");
    let expression = |text: &str| DerivedFieldPatch { expression: Some(text.to_owned()), ..Default::default() };
    let heavier = Change::PatchDerivedField(field_id(1), expression(&format!("{half} || facts.vip")));
    let on = DerivedFieldPatch { active: Some(true), ..Default::default() };
    check(vec![
        (few(), create(half), &refusing(), "+field g"),
        (many(), create(half), &refusing(), "invalid expression"),
        (few().field("f", half), create(&format!("derived.f && {half}")), &refusing(), "invalid expression"),
        (many().field("f", half).inactive_field(), Change::PatchDerivedField(field_id(0), on), &refusing(), {
            "invalid expression"
        }),
        (with_reader(), heavier.clone(), &refusing(), "breaks r"),
        (with_reader(), heavier.clone(), &deactivating(), "~field f, ~field h, ~rule r off"),
    ]);
    assert_eq!(codes(&with_reader(), &heavier), ["cost_too_high"]);
}

#[test]
fn a_schema_under_which_rules_could_cost_too_much_is_refused_or_deactivates_them() {
    let put = Change::PutSchema(definition(&of_items(1_000)));
    let activate = Change::ActivateSchema(schema(2, &of_items(1_000)));
    let stored = || {
        let snapshot = few().rule("r", SQUARE).rule("s", "facts.vip");
        Snapshot { schema_version_max: Some(SchemaVersion(2)), ..snapshot }
    };
    check(vec![
        (stored(), put.clone(), &refusing(), "breaks r"),
        (stored(), put.clone(), &deactivating(), "+schema 3, ~rule r off, log update 1/2"),
        (stored(), activate.clone(), &refusing(), "breaks r"),
        (stored(), activate.clone(), &deactivating(), "!schema 2, ~rule r off, log activate 1/2"),
        // What could cost too much before is not the change's doing.
        (many().rule("r", SQUARE), Change::PutSchema(definition(&of_items(1_001))), &refusing(), {
            "+schema 2, log update 0/1"
        }),
    ]);
    assert_eq!(codes(&stored(), &put), ["cost_too_high"]);
}
