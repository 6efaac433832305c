//! Changes of the schema.

use serde_json::json;

use super::*;

#[test]
fn schemas_are_numbered_and_logged() {
    let first = definition(&json!({"facts": {"age": "int"}}));
    let same = definition(&json!({"facts": {"age": "int64", "country": "string", "vip": {"type": "bool"}}}));
    let more = definition(&json!({"facts": {"age": "int", "country": "string", "vip": "bool", "x": "int"}}));
    check(vec![
        (tenant_alone(), Change::CreateSchema(first.clone()), &refusing(), "+schema 1, log create 0/0"),
        (tenant_alone(), Change::PutSchema(first.clone()), &refusing(), "+schema 1, log create 0/0"),
        (tenant(), Change::CreateSchema(first.clone()), &refusing(), "schema exists"),
        (tenant(), Change::PutSchema(same), &refusing(), ""),
        (tenant().rule("r", "facts.vip"), Change::PutSchema(more.clone()), &refusing(), "+schema 2, log update 0/1"),
    ]);
    let mut newer = tenant();
    newer.schema_version_max = Some(SchemaVersion(5));
    let applied = apply(&newer, None, &Change::PutSchema(more), &refusing()).unwrap();
    assert_eq!(written(&applied.operations[0]), "+schema 6");
    let Some(Operation::Log(entry)) = applied.operations.last() else { panic!("{applied:?}") };
    assert_eq!((entry.from_version, entry.to_version), (Some(SchemaVersion(1)), SchemaVersion(6)));
    assert_eq!((entry.actor.as_str(), applied.outcome), ("operator", ChangeOutcome::Schema));
    assert_eq!(applied.set.unwrap().schema_version(), Some(SchemaVersion(6)));
}

#[test]
fn a_schema_that_breaks_rules_is_refused_or_deactivates_them() {
    let without_vip = Change::PutSchema(definition(&json!({"facts": {"age": "int", "country": "string"}})));
    let with_number = Change::PutSchema(definition(&json!({"facts": {"age": "int", "vip": "int"}})));
    let snapshot = || chain().rule("old", "facts.nope").rule("off", "facts.vip").inactive();
    check(vec![
        (snapshot(), without_vip.clone(), &refusing(), "breaks f g r s"),
        (snapshot(), without_vip.clone(), &deactivating(), {
            "+schema 2, ~field f off, ~field g off, ~rule r off, ~rule s off, log update 4/5"
        }),
        (snapshot(), with_number.clone(), &refusing(), "breaks r s"),
        (snapshot(), with_number, &deactivating(), {
            "+schema 2, ~field f, ~field g, ~rule r off, ~rule s off, log update 2/5"
        }),
    ]);
    let applied = apply(&snapshot(), None, &without_vip, &deactivating()).unwrap();
    let Some(Operation::Log(entry)) = applied.operations.last() else { panic!("{applied:?}") };
    assert_eq!(entry.details["deactivated"][0]["fieldName"], "f");
    assert_eq!(entry.details["deactivated"][2]["ruleName"], "r");
    assert!(entry.details["deactivated"][2]["errors"][0]["message"].is_string());
}

#[test]
fn flat_callers_are_not_broken_by_accident() {
    let two = json!({"facts": {"age": "int", "country": "string", "vip": "bool"}, "order": {"total": "double"}});
    let accepting = ChangeOptions { accept_breaking: true, ..refusing() };
    let put = || Change::PutSchema(definition(&two));
    let activate = || Change::ActivateSchema(schema(2, &two));
    let mut newer = tenant();
    newer.schema_version_max = Some(SchemaVersion(2));
    check(vec![
        (tenant(), put(), &refusing(), "breaks flat callers"),
        (tenant(), put(), &accepting, "+schema 2, log update 0/0"),
        (newer.clone(), activate(), &refusing(), "breaks flat callers"),
        (newer, activate(), &accepting, "!schema 2, log activate 0/0"),
        (with_schema(&two), Change::PutSchema(definition(&json!({"facts": {"age": "int"}}))), &refusing(), {
            "+schema 2, log update 0/0"
        }),
    ]);
}

#[test]
fn an_older_schema_is_activated_like_a_new_one() {
    let older = schema(1, &json!({"facts": {"age": "int"}}));
    let mut snapshot = tenant().rule("r", "facts.vip");
    snapshot.schema.as_mut().unwrap().version = SchemaVersion(3);
    snapshot.schema_version_max = Some(SchemaVersion(4));
    let active = snapshot.schema.clone().unwrap();
    check(vec![
        (snapshot.clone(), Change::ActivateSchema(older.clone()), &refusing(), "breaks r"),
        (snapshot.clone(), Change::ActivateSchema(older.clone()), &deactivating(), {
            "!schema 1, ~rule r off, log activate 1/1"
        }),
        (snapshot.clone(), Change::ActivateSchema(active), &refusing(), ""),
    ]);
    let after = apply(&snapshot, None, &Change::ActivateSchema(older), &deactivating()).unwrap().after;
    assert_eq!(after.schema.unwrap().version, SchemaVersion(1));
    assert_eq!(after.schema_version_max, Some(SchemaVersion(4)));
}

#[test]
fn a_word_that_rules_name_is_not_removed_from_an_enumeration() {
    let words = |words: &[&str]| json!({"facts": {"plan": {"type": "string", "enum": words}}});
    let snapshot = || {
        with_schema(&words(&["free", "pro", "old"]))
            .field("plan", "facts.plan")
            .rule("r", "facts.plan == 'old'")
            .rule("d", "derived.plan in ['old', 'pro']")
            .rule("other", "facts.plan == 'pro'")
            .rule("off", "facts.plan == 'old'")
            .inactive()
    };
    let without = Change::PutSchema(definition(&words(&["free", "pro"])));
    let more = Change::PutSchema(definition(&words(&["free", "pro", "old", "new"])));
    let typo = || snapshot().rule("typo", "facts.plan == 'odl'");
    let again = RuleDraft { tags: vec!["t".to_owned()], ..rule("typo", "facts.plan == 'odl'") };
    let known = |rule: RuleDraft| Change::CreateRule(rule);
    check(vec![
        (snapshot(), without.clone(), &refusing(), "breaks r d"),
        (snapshot(), without.clone(), &deactivating(), {
            "+schema 2, ~field plan, ~rule r off, ~rule d off, log update 2/4"
        }),
        (snapshot(), more.clone(), &refusing(), "+schema 2, ~field plan, log update 0/4"),
        (snapshot(), known(rule("x", "facts.plan == 'odl'")), &refusing(), "invalid expression"),
        // What was stored before it was looked at is not the change's doing.
        (typo(), known(rule("x", "true")), &refusing(), "+rule x"),
        (typo(), more, &refusing(), "+schema 2, ~field plan, log update 0/5"),
        (typo(), without.clone(), &refusing(), "breaks r d"),
        // Where the whole rule is written, it is, even if the expression stays the same.
        (typo(), Change::ReplaceRule(rule_id(4), again), &refusing(), "invalid expression"),
    ]);
    let Err(Refusal::Breaks(broken)) = apply(&snapshot(), None, &without, &refusing()) else { panic!() };
    assert_eq!(broken[0].details[0].code, "not_in_enum");
    assert_eq!(broken[0].details[0].hint.as_deref(), Some("it is one of `free`, `pro`"));
}

#[test]
fn callers_that_name_the_object_are_not_broken_by_accident() {
    let bearing = json!({"facts": {"age": "int", "facts": {"age": "int"}}});
    let plain = json!({"facts": {"age": "int"}});
    let accepting = ChangeOptions { accept_breaking: true, ..refusing() };
    check(vec![
        (with_schema(&plain), Change::PutSchema(definition(&bearing)), &refusing(), "breaks named callers"),
        (with_schema(&plain), Change::PutSchema(definition(&bearing)), &accepting, "+schema 2, log update 0/0"),
        (with_schema(&plain), Change::ActivateSchema(schema(2, &bearing)), &refusing(), "breaks named callers"),
        (with_schema(&bearing), Change::PutSchema(definition(&plain)), &refusing(), "breaks named callers"),
        (tenant_alone(), Change::PutSchema(definition(&bearing)), &refusing(), "+schema 1, log create 0/0"),
    ]);
}

#[test]
fn reserved_words_are_selected_as_fields() {
    let fields = json!({"namespace": "string", "package": "string", "loop": "int", "in": "bool", "null": "string"});
    let snapshot = || with_schema(&json!({"facts": {"meta": fields.clone(), "namespace": "string", "in": "int"}}));
    let rules = [
        "facts.namespace == 'x' && has(facts.namespace)",
        "facts.meta.package == 'x' || facts.meta.loop > 3",
        "facts.`in` > 3 && facts.meta.`in`",
        "has(facts.meta.`null`) && facts.?meta.?`null`.orValue('') == 'x'",
        "derived.loop",
    ];
    for expression in rules {
        let with_field = snapshot().field("loop", "facts.`in` > 1");
        let made = Change::CreateRule(rule("r", expression));
        assert_eq!(outcome(&with_field, &made, &refusing()), "+rule r", "{expression}");
    }
    let set = RuleSet::compile(&snapshot(), None);
    for (expression, hint) in [
        ("facts.in > 3", "a field of this name is written in backticks: .`in`"),
        ("facts.im > 3", "did you mean `facts.`in``?"),
        ("facts['in'] > 3", "write `facts.`in``"),
        ("namespace == 'x'", "use another name"),
    ] {
        assert_eq!(set.check_rule(expression).details[0].hint.as_deref(), Some(hint), "{expression}");
    }
    let created = Change::CreateDerivedField(field("package", "facts.`in` + 1"));
    assert_eq!(outcome(&snapshot(), &created, &refusing()), "+field package");
}
