//! Tenants with the same rules: what they have in common, and what stays their own.

use uuid::Uuid;

use super::*;
use crate::domain::{DerivedFieldId, RuleId, TenantId};

/// As another tenant would have it: with ids of its own.
fn of_another(mut snapshot: Snapshot) -> Snapshot {
    let other = |id: Uuid| Uuid::from_u128(id.as_u128() + 0x1_0000);
    snapshot.tenant.id = TenantId(other(snapshot.tenant.id.0));
    snapshot.rules.iter_mut().for_each(|rule| rule.id = RuleId(other(rule.id.0)));
    snapshot.derived_fields.iter_mut().for_each(|field| field.id = DerivedFieldId(other(field.id.0)));
    snapshot
}

fn have_one(one: &RuleSet, other: &RuleSet) -> bool {
    Arc::ptr_eq(&one.contents, &other.contents)
}

fn template() -> Snapshot {
    tenant()
        .field("m", "facts.vip")
        .field("unused", "facts.age")
        .inactive_field()
        .rule("a", "facts.age > 4321")
        .tagged(&["t"])
        .rule("b", "derived.m || facts.country == 'US'")
        .rule("off", "facts.vip")
        .inactive()
}

#[test]
fn tenants_with_the_same_rules_have_them_in_common_and_ids_of_their_own() {
    let (one, other) = (compile(&template()), compile(&of_another(template())));
    assert!(have_one(&one, &other));
    assert_eq!((other.report(), other.tenant().id), (one.report(), of_another(template()).tenant.id));
    let facts = json!({"age": 5000, "country": "CA", "vip": false}).to_string();
    for (set, snapshot) in [(&one, template()), (&other, of_another(template()))] {
        let facts = set.read_facts(&facts, UnknownFacts::Refuse).unwrap();
        let ids: Vec<_> = snapshot.rules.iter().map(|rule| rule.id).collect();
        let query = Query::default();
        let decision = set.decide(&facts, &query);
        let answered: Vec<_> = decision.results.iter().map(|result| (result.rule_id, result.matched)).collect();
        assert_eq!(answered, [(RuleReference::Known(ids[0]), true), (RuleReference::Known(ids[1]), false)]);
        let mut json = Vec::new();
        decision.results.write_json(&mut json);
        assert!(String::from_utf8(json).unwrap().contains(&ids[1].to_string()));
        let query = named(&[&ids[0].to_string(), &rule_id(77).to_string()]);
        assert_eq!(
            words(&set.decide(&facts, &query)),
            ["a true".to_owned(), format!("{} rule_not_found", rule_id(77))]
        );
        assert_eq!(set.derived_type(snapshot.derived_fields[0].id).unwrap().0, "bool");
        let named: Vec<_> = set.costs().map(|(subject, _)| subject).collect();
        let rule = |place: usize, name: &str| Subject::Rule { rule_id: ids[place].0, rule_name: name.to_owned() };
        let field = Subject::DerivedField { field_id: snapshot.derived_fields[0].id.0, field_name: "m".to_owned() };
        assert_eq!(named, [field, rule(0, "a"), rule(1, "b")]);
    }
    let found = |set: &RuleSet, id: RuleId| {
        words(&set.decide(&set.read_facts(&facts, UnknownFacts::Refuse).unwrap(), &named(&[&id.to_string()])))
    };
    assert_eq!(found(&other, template().rules[0].id), [format!("{} rule_not_found", template().rules[0].id)]);
}

#[test]
fn what_differs_in_anything_is_not_taken_for_the_same() {
    let set = compile(&template());
    let changes: [fn(&mut Snapshot); 10] = [
        |snapshot| snapshot.rules[0].expression.push(' '),
        |snapshot| snapshot.rules[0].name = crate::domain::Name::stored("c".to_owned()),
        |snapshot| snapshot.rules[0].tags.clear(),
        |snapshot| snapshot.rules[1].active = false,
        |snapshot| snapshot.rules.swap(0, 1),
        |snapshot| drop(snapshot.rules.pop()),
        |snapshot| snapshot.derived_fields[0].expression = "facts.age == 1".to_owned(),
        |snapshot| snapshot.derived_fields[1].name.push('d'),
        |snapshot| snapshot.derived_fields[1].active = true,
        |snapshot| drop(snapshot.derived_fields.pop()),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut other = of_another(template());
        change(&mut other);
        assert!(!have_one(&set, &compile(&other)), "{number}");
    }
    let mut other = of_another(template());
    other.schema = Some(schema(3, &json!({"facts": {"age": "uint", "country": "string", "vip": "bool"}})));
    assert!(!have_one(&set, &compile(&other)));
    // What is not active is its name alone.
    let mut other = of_another(template());
    other.rules[2].expression = "nonsense".to_owned();
    other.derived_fields[1].expression = "nonsense".to_owned();
    assert!(have_one(&set, &compile(&other)));
}

#[test]
fn a_set_that_was_changed_to_what_another_has_shares_it() {
    let one = compile(&template());
    let before = compile(&of_another(template().rule("more", "facts.age > 1")));
    let after = RuleSet::compile(&of_another(template()), Some(&before));
    assert!(have_one(&one, &after));
    assert_eq!((after.report().compiled, after.report().reused), (0, 3));
}

#[test]
fn what_is_broken_or_too_costly_is_told_by_the_ids_of_its_own_tenant() {
    let broken = |snapshot: Snapshot| snapshot.rule("broken", "facts.nope");
    let greedy = |snapshot: Snapshot| snapshot.rule("greedy", "lists.range(200000).all(x, x + 1 > 0)");
    for (other, wanted) in
        [(broken(template()), [3].as_slice()), (greedy(template()), &[]), (broken(greedy(template())), &[4])]
    {
        for snapshot in [other.clone(), of_another(other)] {
            let set = compile(&snapshot);
            let rule = |place: usize| Subject::Rule {
                rule_id: snapshot.rules[place].id.0,
                rule_name: snapshot.rules[place].name.as_str().to_owned(),
            };
            let told: Vec<_> = set.broken().iter().map(|broken| broken.subject.clone()).collect();
            assert_eq!(told, wanted.iter().map(|place| rule(*place)).collect::<Vec<_>>());
            let costly: Vec<_> = set.costly().iter().map(|broken| broken.subject.clone()).collect();
            let expected = snapshot.rules.iter().position(|rule| rule.name.as_str() == "greedy").map(rule);
            assert_eq!(costly, Vec::from_iter(expected));
        }
    }
}

#[test]
fn nothing_is_kept_that_no_set_has() {
    let set = compile(&template().rule("own", "facts.age > 98765"));
    let contents = Arc::downgrade(&set.contents);
    assert!(contents.upgrade().is_some());
    drop(set);
    assert!(contents.upgrade().is_none());
}

proptest! {
    /// Of any two tenants: in common is what says the same, and whoever compiles it decides alike.
    #[test]
    fn in_common_is_what_is_the_same(one in any_snapshot(), other in any_snapshot(), age in 0..4_i64) {
        let (first, second) = (compile(&one), compile(&of_another(other.clone())));
        let say = |snapshot: &Snapshot| {
            let fields = snapshot.derived_fields.iter().map(|field| (&field.name, field.active.then_some(&field.expression)));
            let rules = snapshot.rules.iter().map(|rule| (&rule.name, rule.active.then_some(&rule.expression)));
            format!("{:?} {:?} {:?}", snapshot.schema, fields.collect::<Vec<_>>(), rules.collect::<Vec<_>>())
        };
        if have_one(&first, &second) {
            prop_assert_eq!(say(&one), say(&other));
        }
        let facts = json!({"age": age, "country": "US", "vip": age > 1});
        let query = Query::default();
        prop_assert_eq!(decide(&compile(&of_another(one)), &facts, &query), decide(&first, &facts, &query));
        // Compiled after another set, nothing is taken as a whole.
        prop_assert_eq!(decide(&RuleSet::compile(&other, Some(&first)), &facts, &query), decide(&second, &facts, &query));
    }
}
