//! Changes of rules.

use super::*;

fn expression(text: &str) -> RulePatch {
    RulePatch { expression: Some(text.to_owned()), ..RulePatch::default() }
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
    let after = apply(&two(), None, &replace("t", "true"), &refusing()).unwrap().after;
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
    let after = apply(&stored(), None, &change, &refusing()).unwrap().after;
    let names: Vec<_> = after.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["b", "z", "y"]);
    assert_eq!((after.rules[0].id, after.rules[0].created_at), (rule_id(1), stored().rules[1].created_at));
    assert_eq!(after.rules[1].created_at, after.rules[2].created_at);
    assert!(after.rules[1].id < after.rules[2].id, "creation order is the order of the list");
}
