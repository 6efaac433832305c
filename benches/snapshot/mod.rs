//! What a tenant has stored, for benches that measure its rule set. No database takes part.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tenet::domain::{
    DecisionLog, Epoch, Name, QuotaOverrides, Revision, Rule, RuleId, Schema, SchemaDefinition, SchemaVersion,
    Snapshot, Tenant, TenantId, TenantStatus, Tier,
};

/// A tenant with this schema and these rules.
pub fn snapshot(schema: &Value, expressions: impl Iterator<Item = String>) -> Snapshot {
    let now = DateTime::<Utc>::UNIX_EPOCH;
    let rule = |(number, expression): (usize, String)| Rule {
        id: RuleId::generate(),
        name: Name::stored(format!("rule {number}")),
        expression,
        description: None,
        tags: Vec::new(),
        active: true,
        created_at: now,
        updated_at: now,
    };
    Snapshot {
        tenant: Tenant {
            id: TenantId::generate(),
            name: Name::stored("bench".to_owned()),
            tier: Tier::Enterprise,
            status: TenantStatus::Active,
            pinned: false,
            idle_stop_seconds: None,
            strict_facts: false,
            quotas: QuotaOverrides::default(),
            workers: None,
            decision_log: DecisionLog::default(),
            revision: Revision(1),
            created_at: now,
            updated_at: now,
        },
        epoch: Epoch::generate(),
        schema: Some(Schema {
            version: SchemaVersion(1),
            definition: Arc::new(SchemaDefinition::parse(schema).unwrap()),
            active: true,
            created_at: now,
        }),
        schema_version_max: Some(SchemaVersion(1)),
        derived_fields: Vec::new(),
        rules: expressions.enumerate().map(rule).collect(),
        taken_at: now,
    }
}

/// A tenant with the ten rules of `workloads/ten_rules.json`, again and again until there are `count`.
pub fn ten_rules(count: usize) -> Snapshot {
    let workload: Value = serde_json::from_str(include_str!("../workloads/ten_rules.json")).unwrap();
    let rules = workload["rules"].as_array().unwrap().iter().cycle().take(count);
    snapshot(&workload["schema"], rules.map(|rule| rule["expression"].as_str().unwrap().to_owned()))
}
