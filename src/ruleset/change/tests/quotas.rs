//! Changes that go beyond a quota, and those that may be made by somebody who is beyond one already.

use super::*;
use crate::domain::{Quota, QuotaPatch};

/// A tenant with two rules and a derived field, and this limit.
fn limited(quota: Quota, limit: u64) -> Snapshot {
    let mut snapshot = tenant().field("f", "facts.age + 1").rule("a", "facts.vip").rule("b", "facts.vip");
    snapshot.tenant.quotas.0.insert(quota, limit);
    snapshot
}

#[test]
fn a_change_beyond_a_quota_is_refused_and_up_to_it_made() {
    let more = Change::CreateRule(rule("c", "facts.age > 1"));
    let field = Change::CreateDerivedField(super::field("g", "facts.age + 2"));
    let schema = Change::PutSchema(definition(&serde_json::json!({
        "facts": {"age": "int", "country": "string", "vip": "bool", "more": "string"},
    })));
    let used = |quota| crate::ruleset::used(&limited(Quota::Rules, 9), quota).unwrap();
    assert_eq!((used(Quota::Rules), used(Quota::DerivedFields), used(Quota::SourceBytes)), (2, 1, 31));
    let compiled = RuleSet::compile(&limited(Quota::Rules, 9), None).memory_bytes();
    for (quota, used, change) in [
        (Quota::Rules, used(Quota::Rules), &more),
        (Quota::DerivedFields, used(Quota::DerivedFields), &field),
        (Quota::SourceBytes, used(Quota::SourceBytes), &more),
        (Quota::SchemaBytes, used(Quota::SchemaBytes), &schema),
        (Quota::CompiledBytes, compiled, &more),
    ] {
        let refused = outcome(&limited(quota, used), change, &refusing());
        assert_eq!(refused, format!("over {} {used}", quota.name()), "{change:?}");
        let made = outcome(&limited(quota, used + 10_000), change, &refusing());
        assert!(made.contains('+'), "{made}");
        // Beyond it already, and no further.
        for change in [
            Change::DeleteRule(rule_id(1)),
            Change::Tenant(TenantPatch { pinned: Some(true), ..TenantPatch::default() }),
        ] {
            let made = outcome(&limited(quota, 1), &change, &refusing());
            assert!(["-rule 1", "~tenant"].contains(&made.as_str()), "{}: {made}", quota.name());
        }
    }
}

#[test]
fn a_tier_has_its_quotas_and_a_tenant_may_have_others() {
    let mut snapshot = tenant();
    assert_eq!(snapshot.tenant.quota(Quota::Rules), 1_000);
    let rules: Vec<RuleDraft> = (0..1_001).map(|number| rule(&format!("rule {number}"), "facts.vip")).collect();
    let all = Change::ReplaceRules(rules);
    assert_eq!(outcome(&snapshot, &all, &refusing()), "over rules 1000");
    let patch = |limit| {
        let quotas = QuotaPatch::from([(Quota::Rules, limit)]);
        Change::Tenant(TenantPatch { quotas, ..TenantPatch::default() })
    };
    let granted = apply(&snapshot, None, &patch(Some(1_001)), &refusing()).unwrap();
    assert!(outcome(&granted.after, &all, &refusing()).starts_with("+rule rule 0, "));
    let taken = apply(&granted.after, None, &patch(None), &refusing()).unwrap();
    assert_eq!(taken.after.tenant.quota(Quota::Rules), 1_000);
    assert_eq!(outcome(&granted.after, &patch(Some(1_001)), &refusing()), "", "nothing changes");
    snapshot.tenant.tier = Tier::Pro;
    assert!(outcome(&snapshot, &all, &refusing()).starts_with("+rule rule 0, "));
}
