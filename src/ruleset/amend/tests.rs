//! Each change, and each reason to refuse it.

use serde_json::json;

use super::*;
use crate::{
    config::limits,
    domain::{DerivedFieldDraft, DerivedFieldPatch, Name, OnBroken, RuleDraft, RulePatch, TenantStatus, Tier},
    error::Subject,
    ruleset::fixture::{beginning, definition, field_id, rule_id, schema, tenant, tenant_alone, with_schema},
};

fn rule(name: &str, expression: &str) -> RuleDraft {
    RuleDraft {
        name: Name::parse(name, "name").unwrap(),
        expression: expression.to_owned(),
        description: None,
        tags: Vec::new(),
        active: true,
    }
}

fn field(name: &str, expression: &str) -> DerivedFieldDraft {
    DerivedFieldDraft { name: name.to_owned(), expression: expression.to_owned(), description: None }
}

fn expression(text: &str) -> RulePatch {
    RulePatch { expression: Some(text.to_owned()), ..RulePatch::default() }
}

fn field_expression(text: &str) -> DerivedFieldPatch {
    DerivedFieldPatch { expression: Some(text.to_owned()), ..DerivedFieldPatch::default() }
}

fn field_name(name: &str) -> DerivedFieldPatch {
    DerivedFieldPatch { name: Some(name.to_owned()), ..DerivedFieldPatch::default() }
}

const FIELD_OFF: DerivedFieldPatch =
    DerivedFieldPatch { name: None, expression: None, description: None, active: Some(false) };
const FIELD_ON: DerivedFieldPatch = DerivedFieldPatch { active: Some(true), ..FIELD_OFF };

fn refusing() -> ChangeOptions {
    ChangeOptions { actor: "operator".to_owned(), ..ChangeOptions::default() }
}

fn deactivating() -> ChangeOptions {
    ChangeOptions { on_broken: OnBroken::Deactivate, ..refusing() }
}

/// What a change comes to, in a line: its rows, or why it is refused.
fn outcome(snapshot: &Snapshot, change: &Change, options: &ChangeOptions) -> String {
    let result = amend(snapshot, None, change, options);
    if let Ok(amendment) = &result {
        assert_eq!(amendment.operations.is_empty(), amendment.set.is_none());
    }
    match result {
        Ok(amendment) => amendment.operations.iter().map(written).collect::<Vec<_>>().join(", "),
        Err(Refusal::SchemaMissing) => "schema missing".to_owned(),
        Err(Refusal::SchemaExists) => "schema exists".to_owned(),
        Err(Refusal::NotFound(kind)) => format!("no {kind}"),
        Err(Refusal::NameTaken(name)) => format!("taken {name}"),
        Err(Refusal::BreaksFlatCallers) => "breaks flat callers".to_owned(),
        Err(Refusal::TooMany(kind, most)) => format!("more than {most} {kind}"),
        Err(Refusal::Invalid(details)) => {
            let mut paths: Vec<_> = details.iter().map(|detail| detail.path.clone().unwrap()).collect();
            paths.dedup();
            format!("invalid {}", paths.join(" "))
        }
        Err(Refusal::Breaks(broken)) => format!("breaks {}", broken.iter().map(name).collect::<Vec<_>>().join(" ")),
    }
}

fn name(broken: &Broken) -> &str {
    assert!(!broken.details.is_empty());
    match &broken.subject {
        Subject::Rule { rule_name, .. } => rule_name,
        Subject::DerivedField { field_name, .. } => field_name,
    }
}

fn written(operation: &Operation) -> String {
    let off = |active: bool| if active { "" } else { " off" };
    match operation {
        Operation::UpdateTenant(_) => "~tenant".to_owned(),
        Operation::InsertSchema(version, _) => format!("+schema {version}"),
        Operation::ActivateSchema(version) => format!("!schema {version}"),
        Operation::InsertDerivedField(field) => format!("+field {}{}", field.name, off(field.active)),
        Operation::UpdateDerivedField(field) => format!("~field {}{}", field.name, off(field.active)),
        Operation::DeleteDerivedField(id) => format!("-field {}", id.0.as_u128() - 0x200),
        Operation::InsertRule(rule) => format!("+rule {}{}", rule.name, off(rule.active)),
        Operation::UpdateRule(rule) => format!("~rule {}{}", rule.name, off(rule.active)),
        Operation::DeleteRule(id) => format!("-rule {}", id.0.as_u128() - 0x100),
        Operation::Log(entry) => {
            format!("log {} {}/{}", entry.action, entry.rules_failed, entry.rules_recompiled)
        }
    }
}

/// Holds each change to what it comes to.
fn check(cases: Vec<(Snapshot, Change, &ChangeOptions, &str)>) {
    for (snapshot, change, options, expected) in cases {
        assert_eq!(outcome(&snapshot, &change, options), expected, "{change:?}");
    }
}

#[test]
fn the_tenant_is_changed_in_what_is_named() {
    let off = TenantPatch { status: Some(TenantStatus::Suspended), ..TenantPatch::default() };
    let same = TenantPatch { tier: Some(Tier::Free), ..TenantPatch::default() };
    check(vec![
        (tenant(), Change::Tenant(off.clone()), &refusing(), "~tenant"),
        (tenant_alone(), Change::Tenant(off.clone()), &refusing(), "~tenant"),
        (tenant(), Change::Tenant(same), &refusing(), ""),
        (tenant(), Change::Tenant(TenantPatch::default()), &refusing(), ""),
        (tenant().rule("broken", "facts.nope"), Change::Tenant(off.clone()), &refusing(), "~tenant"),
    ]);
    let amendment = amend(&tenant(), None, &Change::Tenant(off), &refusing()).unwrap();
    assert_eq!(amendment.after.tenant.status, TenantStatus::Suspended);
    assert_eq!(amendment.after.tenant.updated_at, amendment.after.taken_at);
    assert_eq!(amendment.set.unwrap().tenant(), &amendment.after.tenant);
}

#[test]
fn rules_are_created_once_they_compile() {
    let bad_texts = RuleDraft {
        description: Some("x".repeat(limits::DESCRIPTION_CHARS_MAX + 1)),
        tags: vec!["a".into(), " ".into()],
        ..rule("r", "facts.nope")
    };
    let inactive = |expression| RuleDraft { active: false, ..rule("r", expression) };
    let mut full = tenant();
    full.rules = vec![tenant().rule("r", "true").rules.remove(0); limits::RULES_MAX];
    check(vec![
        (tenant_alone(), Change::CreateRule(rule("r", "true")), &refusing(), "schema missing"),
        (tenant(), Change::CreateRule(rule("r", "facts.age >= 18")), &refusing(), "+rule r"),
        (tenant(), Change::CreateRule(rule("r", "facts.nope >= 18")), &refusing(), "invalid expression"),
        (tenant(), Change::CreateRule(rule("r", "facts.nope >= 18")), &deactivating(), "invalid expression"),
        (tenant(), Change::CreateRule(rule("r", "facts.age")), &refusing(), "invalid expression"),
        (tenant(), Change::CreateRule(rule("r", "facts.country == 'a\0'")), &refusing(), "invalid expression"),
        (tenant(), Change::CreateRule(inactive("facts.age >= 18")), &refusing(), "+rule r off"),
        (tenant(), Change::CreateRule(inactive("facts.nope")), &refusing(), "invalid expression"),
        (tenant(), Change::CreateRule(bad_texts), &refusing(), "invalid description tags[1] expression"),
        (tenant().rule("r", "true"), Change::CreateRule(rule("r", "true")), &refusing(), "taken r"),
        (tenant().rule("r", "true").inactive(), Change::CreateRule(rule("r", "true")), &refusing(), "taken r"),
        (tenant().rule("old", "facts.nope"), Change::CreateRule(rule("r", "true")), &refusing(), "+rule r"),
        (full, Change::CreateRule(rule("more", "true")), &refusing(), "more than 10000 rules"),
    ]);
}

#[test]
fn rules_are_changed_in_what_is_named() {
    let one = || tenant().rule("r", "facts.vip");
    let two = || one().rule("s", "true");
    let broken = || tenant().rule("r", "facts.nope");
    let named = |name: &str| RulePatch { name: Some(Name::stored(name.to_owned())), ..RulePatch::default() };
    let active = |active| RulePatch { active: Some(active), ..RulePatch::default() };
    let described = RulePatch { description: Some(Some("why".to_owned())), ..RulePatch::default() };
    let tagged = RulePatch { tags: Some(vec![String::new()]), ..RulePatch::default() };
    let patch = |patch| Change::PatchRule(rule_id(0), patch);
    check(vec![
        (tenant(), patch(named("x")), &refusing(), "no rule"),
        (one(), patch(named("x")), &refusing(), "~rule x"),
        (one(), patch(named("r")), &refusing(), ""),
        (one(), patch(RulePatch::default()), &refusing(), ""),
        (one(), patch(expression("facts.vip")), &refusing(), ""),
        (one(), patch(expression("!facts.vip")), &refusing(), "~rule r"),
        (one(), patch(expression("facts.nope")), &refusing(), "invalid expression"),
        (one(), patch(active(false)), &refusing(), "~rule r off"),
        (one().inactive(), patch(expression("facts.nope")), &refusing(), "invalid expression"),
        (one().inactive(), patch(active(true)), &refusing(), "~rule r"),
        (two(), patch(named("s")), &refusing(), "taken s"),
        (one(), patch(tagged), &refusing(), "invalid tags[0]"),
        (broken(), patch(described), &refusing(), "~rule r"),
        (broken(), patch(active(false)), &refusing(), "~rule r off"),
        (broken().inactive(), patch(active(true)), &refusing(), "invalid expression"),
        (broken().inactive(), patch(active(true)), &deactivating(), "invalid expression"),
        (broken(), patch(expression("true")), &refusing(), "~rule r"),
    ]);
}

#[test]
fn rules_are_replaced_and_deleted() {
    let two = || tenant().rule("r", "facts.vip").rule("s", "true");
    let replace = |name, expression| Change::ReplaceRule(rule_id(0), rule(name, expression));
    check(vec![
        (tenant(), replace("r", "true"), &refusing(), "no rule"),
        (two(), replace("r", "facts.vip"), &refusing(), ""),
        (two(), replace("t", "facts.age > 1"), &refusing(), "~rule t"),
        (two(), replace("s", "true"), &refusing(), "taken s"),
        (two(), replace("r", "1"), &refusing(), "invalid expression"),
        (tenant(), Change::DeleteRule(rule_id(0)), &refusing(), "no rule"),
        (two(), Change::DeleteRule(rule_id(1)), &refusing(), "-rule 1"),
    ]);
    let after = amend(&two(), None, &replace("t", "true"), &refusing()).unwrap().after;
    assert_eq!((after.rules[0].created_at, after.rules[0].updated_at), (beginning(), after.taken_at));
    assert_eq!(after.rules[1], two().rules[1]);
}

#[test]
fn the_list_of_rules_is_replaced_as_a_whole() {
    let stored = || tenant().rule("a", "facts.vip").rule("b", "true").rule("c", "facts.nope");
    let replace = |rules: &[(&str, &str)]| {
        Change::ReplaceRules(rules.iter().map(|(name, expression)| rule(name, expression)).collect())
    };
    check(vec![
        (tenant_alone(), replace(&[]), &refusing(), "schema missing"),
        (stored(), replace(&[]), &refusing(), "-rule 0, -rule 1, -rule 2"),
        (stored(), replace(&[("c", "facts.nope"), ("b", "true"), ("a", "facts.vip")]), &refusing(), ""),
        (stored(), replace(&[("z", "true"), ("b", "facts.vip"), ("y", "true")]), &refusing(), {
            "-rule 0, -rule 2, ~rule b, +rule z, +rule y"
        }),
        (stored(), replace(&[("a", "facts.vip"), ("b", "no"), ("d", "1")]), &refusing(), {
            "invalid rules[1].expression rules[2].expression"
        }),
        (stored(), replace(&[("a", "true"), ("b", "true"), ("a", "true")]), &refusing(), {
            "invalid rules[0].name rules[2].name"
        }),
        (stored(), Change::ReplaceRules(vec![rule("a", "true"); limits::RULES_MAX + 1]), &refusing(), {
            "more than 10000 rules"
        }),
    ]);
    let change = replace(&[("z", "true"), ("b", "facts.vip"), ("y", "true")]);
    let after = amend(&stored(), None, &change, &refusing()).unwrap().after;
    let names: Vec<_> = after.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["b", "z", "y"]);
    assert_eq!((after.rules[0].id, after.rules[0].created_at), (rule_id(1), stored().rules[1].created_at));
    assert_eq!(after.rules[1].created_at, after.rules[2].created_at);
    assert!(after.rules[1].id < after.rules[2].id, "creation order is the order of the list");
}

#[test]
fn derived_fields_are_created_once_they_compile() {
    let create = |name, expression| Change::CreateDerivedField(field(name, expression));
    let mut full = tenant();
    full.derived_fields = vec![tenant().field("f", "true").derived_fields.remove(0); limits::DERIVED_FIELDS_MAX];
    check(vec![
        (tenant_alone(), create("f", "true"), &refusing(), "schema missing"),
        (tenant(), create("f", "facts.age >= 18"), &refusing(), "+field f"),
        (tenant(), create("f", "facts.nope"), &refusing(), "invalid expression"),
        (tenant(), create("9f", "facts.nope"), &refusing(), "invalid name expression"),
        (tenant(), create("in", "true"), &refusing(), "invalid name"),
        (tenant(), create("f", "derived.f"), &refusing(), "invalid expression"),
        (tenant().field("g", "derived.f"), create("f", "derived.g"), &refusing(), "invalid expression"),
        (tenant().field("f", "true"), create("f", "true"), &refusing(), "taken f"),
        (tenant().field("g", "true").inactive_field(), create("f", "derived.g"), &refusing(), "invalid expression"),
        (full, create("g", "true"), &refusing(), "more than 500 derived fields"),
    ]);
    let snapshot = tenant().field("adult", "facts.age >= 18");
    let change = create("f", "derived.adult && facts.vip");
    let amendment = amend(&snapshot, None, &change, &refusing()).unwrap();
    let Operation::InsertDerivedField(row) = &amendment.operations[1] else { panic!("{amendment:?}") };
    assert_eq!(
        (row.value_type.as_str(), &*row.dependencies),
        ("bool", &["derived.adult", "facts.vip"].map(String::from)[..])
    );
    assert_eq!(amendment.outcome, Outcome::DerivedField(row.id));
    assert_eq!(amendment.after.derived_fields[1], *row);
    assert_eq!(written(&amendment.operations[0]), "~field adult", "its dependencies were not known yet");
}

/// A chain: rule `r` reads `g`, which reads `f`; rule `s` reads neither.
fn chain() -> Snapshot {
    let mut snapshot =
        tenant().field("f", "facts.vip").field("g", "derived.f").rule("r", "derived.g").rule("s", "facts.vip");
    snapshot.derived_fields[0].dependencies = vec!["facts.vip".to_owned()];
    snapshot.derived_fields[1].dependencies = vec!["derived.f".to_owned()];
    snapshot
}

#[test]
fn a_derived_field_in_use_is_not_changed_under_its_users() {
    let patch = |patch| Change::PatchDerivedField(field_id(0), patch);
    let delete = Change::DeleteDerivedField(field_id(0));
    let off = "~field f off, ~field g off, ~rule r off";
    check(vec![
        (tenant(), patch(FIELD_OFF), &refusing(), "no derived field"),
        (tenant(), delete.clone(), &refusing(), "no derived field"),
        (chain(), patch(DerivedFieldPatch::default()), &refusing(), ""),
        (chain(), patch(field_expression("facts.vip")), &refusing(), ""),
        (chain(), patch(field_expression("!facts.vip")), &refusing(), "~field f"),
        (chain(), patch(field_expression("facts.nope")), &refusing(), "invalid expression"),
        (chain(), patch(field_expression("derived.g")), &refusing(), "invalid expression"),
        (chain(), patch(field_expression("facts.age")), &refusing(), "breaks r"),
        (chain(), patch(field_expression("facts.age")), &deactivating(), "~field f, ~field g, ~rule r off"),
        (chain(), patch(field_name("h")), &refusing(), "breaks g r"),
        (chain(), patch(field_name("h")), &deactivating(), "~field h, ~field g off, ~rule r off"),
        (chain(), patch(field_name("g")), &refusing(), "taken g"),
        (chain(), patch(field_name("a b")), &refusing(), "invalid name"),
        (chain(), patch(FIELD_OFF), &refusing(), "breaks g r"),
        (chain(), patch(FIELD_OFF), &deactivating(), off),
        (chain(), delete.clone(), &refusing(), "breaks g r"),
        (chain(), delete, &deactivating(), "-field 0, ~field g off, ~rule r off"),
        (
            tenant().field("f", "true").inactive_field(),
            patch(field_expression("no")),
            &refusing(),
            "invalid expression",
        ),
        (tenant().field("f", "facts.no").inactive_field(), patch(FIELD_ON), &refusing(), "invalid expression"),
        (tenant().field("f", "true").inactive_field().rule("r", "derived.f"), patch(FIELD_ON), &refusing(), "~field f"),
    ]);
    let amendment = amend(&chain(), None, &patch(FIELD_OFF), &deactivating()).unwrap();
    assert_eq!(amendment.deactivated.iter().map(name).collect::<Vec<_>>(), ["g", "r"]);
    assert!(amendment.set.unwrap().broken().is_empty());
}

#[test]
fn the_types_of_derived_fields_follow_what_they_read() {
    let snapshot = tenant().field("f", "facts.vip").field("g", "derived.f");
    let change = Change::PatchDerivedField(field_id(0), field_expression("facts.age"));
    let after = amend(&snapshot, None, &change, &refusing()).unwrap().after;
    let seen: Vec<_> = after.derived_fields.iter().map(|f| (&*f.value_type, f.dependencies.join(" "))).collect();
    assert_eq!(seen, [("int", "facts.age".to_owned()), ("int", "derived.f".to_owned())]);
    let off = DerivedFieldPatch { expression: Some("facts.country".to_owned()), ..FIELD_OFF };
    let after = amend(&snapshot, None, &Change::PatchDerivedField(field_id(1), off), &refusing()).unwrap().after;
    assert_eq!((&*after.derived_fields[1].value_type, after.derived_fields[1].active), ("string", false));
}

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
    let amendment = amend(&newer, None, &Change::PutSchema(more), &refusing()).unwrap();
    assert_eq!(written(&amendment.operations[0]), "+schema 6");
    let Some(Operation::Log(entry)) = amendment.operations.last() else { panic!("{amendment:?}") };
    assert_eq!((entry.from_version, entry.to_version), (Some(SchemaVersion(1)), SchemaVersion(6)));
    assert_eq!((entry.actor.as_str(), amendment.outcome), ("operator", Outcome::Schema));
    assert_eq!(amendment.set.unwrap().schema_version(), Some(SchemaVersion(6)));
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
    let amendment = amend(&snapshot(), None, &without_vip, &deactivating()).unwrap();
    let Some(Operation::Log(entry)) = amendment.operations.last() else { panic!("{amendment:?}") };
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
    let after = amend(&snapshot, None, &Change::ActivateSchema(older), &deactivating()).unwrap().after;
    assert_eq!(after.schema.unwrap().version, SchemaVersion(1));
    assert_eq!(after.schema_version_max, Some(SchemaVersion(4)));
}

#[test]
fn what_is_compiled_already_is_not_compiled_again() {
    let snapshot = chain();
    let current = RuleSet::compile(&snapshot, None);
    let change = Change::CreateRule(rule("t", "facts.age >= 18"));
    let set = amend(&snapshot, Some(&current), &change, &refusing()).unwrap().set.unwrap();
    assert_eq!((set.report().compiled, set.report().reused), (1, 4));
    assert_eq!(set.at_revision(crate::domain::Revision(8)).revision(), crate::domain::Revision(8));
}
