//! Each change, and each reason to refuse it: what the tables are made of, and changes of the tenant itself.

mod costs;
mod derived_fields;
mod quotas;
mod rules;
mod schemas;

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

fn refusing() -> ChangeOptions {
    ChangeOptions { author: crate::domain::Author::command("operator"), ..ChangeOptions::default() }
}

fn deactivating() -> ChangeOptions {
    ChangeOptions { on_broken: OnBroken::Deactivate, ..refusing() }
}

/// What a change comes to, in a line: its rows, or why it is refused.
fn outcome(snapshot: &Snapshot, change: &Change, options: &ChangeOptions) -> String {
    let result = apply(snapshot, None, change, options);
    if let Ok(applied) = &result {
        assert_eq!(applied.operations.is_empty(), applied.set.is_none());
    }
    match result {
        Ok(applied) => applied.operations.iter().map(written).collect::<Vec<_>>().join(", "),
        Err(Refusal::SchemaMissing) => "schema missing".to_owned(),
        Err(Refusal::SchemaExists) => "schema exists".to_owned(),
        Err(Refusal::NotFound(kind)) => format!("no {kind}"),
        Err(Refusal::NameTaken(name)) => format!("taken {name}"),
        Err(Refusal::BreaksFlatCallers) => "breaks flat callers".to_owned(),
        Err(Refusal::BreaksNamedCallers) => "breaks named callers".to_owned(),
        Err(Refusal::QuotaExceeded(exceeded)) => format!("over {} {}", exceeded.quota.name(), exceeded.limit),
        Err(Refusal::TooMany(kind, most)) => format!("more than {most} {kind}"),
        Err(Refusal::NamesRepeated(details) | Refusal::Invalid(details)) => {
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

/// A chain: rule `r` reads `g`, which reads `f`; rule `s` reads neither.
fn chain() -> Snapshot {
    let mut snapshot =
        tenant().field("f", "facts.vip").field("g", "derived.f").rule("r", "derived.g").rule("s", "facts.vip");
    snapshot.derived_fields[0].dependencies = vec!["facts.vip".to_owned()];
    snapshot.derived_fields[1].dependencies = vec!["derived.f".to_owned()];
    snapshot
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
    let applied = apply(&tenant(), None, &Change::Tenant(off), &refusing()).unwrap();
    assert_eq!(applied.after.tenant.status, TenantStatus::Suspended);
    assert_eq!(applied.after.tenant.updated_at, applied.after.taken_at);
    assert_eq!(applied.set.unwrap().tenant(), &applied.after.tenant);
}

#[test]
fn what_is_compiled_already_is_not_compiled_again() {
    let snapshot = chain();
    let current = RuleSet::compile(&snapshot, None);
    let change = Change::CreateRule(rule("t", "facts.age >= 18"));
    let set = apply(&snapshot, Some(&current), &change, &refusing()).unwrap().set.unwrap();
    assert_eq!((set.report().compiled, set.report().reused), (1, 4));
    let stored = crate::domain::Tenant { revision: crate::domain::Revision(8), ..set.tenant().clone() };
    assert_eq!(std::sync::Arc::unwrap_or_clone(set).for_tenant(stored).revision(), crate::domain::Revision(8));
}
