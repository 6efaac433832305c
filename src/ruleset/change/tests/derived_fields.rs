//! Changes of derived fields.

use super::*;

fn field_expression(text: &str) -> DerivedFieldPatch {
    DerivedFieldPatch { expression: Some(text.to_owned()), ..DerivedFieldPatch::default() }
}

fn field_name(name: &str) -> DerivedFieldPatch {
    DerivedFieldPatch { name: Some(name.to_owned()), ..DerivedFieldPatch::default() }
}

const FIELD_OFF: DerivedFieldPatch =
    DerivedFieldPatch { name: None, expression: None, description: None, active: Some(false) };
const FIELD_ON: DerivedFieldPatch = DerivedFieldPatch { active: Some(true), ..FIELD_OFF };

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
        (tenant(), create("9in", "true"), &refusing(), "invalid name"),
        (tenant(), create("f", "derived.f"), &refusing(), "invalid expression"),
        (tenant().field("g", "derived.f"), create("f", "derived.g"), &refusing(), "invalid expression"),
        (tenant().field("f", "true"), create("f", "true"), &refusing(), "taken f"),
        (tenant().field("g", "true").inactive_field(), create("f", "derived.g"), &refusing(), "invalid expression"),
        (full, create("g", "true"), &refusing(), "more than 500 derived fields"),
    ]);
    let snapshot = tenant().field("adult", "facts.age >= 18");
    let change = create("f", "derived.adult && facts.vip");
    let applied = apply(&snapshot, None, &change, &refusing()).unwrap();
    let Operation::InsertDerivedField(row) = &applied.operations[1] else { panic!("{applied:?}") };
    assert_eq!(
        (row.value_type.as_str(), &*row.dependencies),
        ("bool", &["derived.adult", "facts.vip"].map(String::from)[..])
    );
    assert_eq!(applied.outcome, ChangeOutcome::DerivedField(row.id));
    assert_eq!(applied.after.derived_fields[1], *row);
    assert_eq!(written(&applied.operations[0]), "~field adult", "its dependencies were not known yet");
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
    let applied = apply(&chain(), None, &patch(FIELD_OFF), &deactivating()).unwrap();
    assert_eq!(applied.deactivated.iter().map(name).collect::<Vec<_>>(), ["g", "r"]);
    assert!(applied.set.unwrap().broken().is_empty());
}

#[test]
fn the_types_of_derived_fields_follow_what_they_read() {
    let snapshot = tenant().field("f", "facts.vip").field("g", "derived.f");
    let change = Change::PatchDerivedField(field_id(0), field_expression("facts.age"));
    let after = apply(&snapshot, None, &change, &refusing()).unwrap().after;
    let seen: Vec<_> = after.derived_fields.iter().map(|f| (&*f.value_type, f.dependencies.join(" "))).collect();
    assert_eq!(seen, [("int", "facts.age".to_owned()), ("int", "derived.f".to_owned())]);
    let off = DerivedFieldPatch { expression: Some("facts.country".to_owned()), ..FIELD_OFF };
    let after = apply(&snapshot, None, &Change::PatchDerivedField(field_id(1), off), &refusing()).unwrap().after;
    assert_eq!((&*after.derived_fields[1].value_type, after.derived_fields[1].active), ("string", false));
}
