//! Rules that a query names.

use serde_json::json;

use super::{compile, decide, mixed, named};
use crate::ruleset::fixture::{rule_id, tenant};

#[test]
fn rules_are_named_by_id_or_by_name_and_an_id_comes_first() {
    let other = rule_id(0).to_string();
    let set = compile(&mixed().rule(&other, "false"));
    let facts = json!({"age": 25, "vip": true});
    assert_eq!(
        decide(&set, &facts, &named(&["vip", &rule_id(1).to_string(), "Vip", "adult", "off", "vip", &other])),
        [
            "vip true".to_owned(),
            "broken rule_broken".to_owned(),
            "Vip rule_not_found".to_owned(),
            "adult true".to_owned(),
            "off rule_inactive".to_owned(),
            "vip true".to_owned(),
            // The sixth rule is named like the first one's id.
            "adult true".to_owned(),
        ]
    );
    // Among many, too, and whatever the order of creation.
    let many =
        (0..100).rev().fold(tenant(), |tenant, n| tenant.rule(&format!("rule {n}"), &format!("facts.age > {n}")));
    let set = compile(&many);
    for n in 0..100 {
        let expected = format!("rule {n} {}", 25 > n);
        assert_eq!(decide(&set, &facts, &named(&[&format!("rule {n}")])), [expected]);
    }
}
