//! Snapshots for the tests of this module and of those that hold rule sets, built in one line each.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{
    DecisionLog, DerivedField, DerivedFieldId, Epoch, Name, QuotaOverrides, Revision, Rule, RuleId, Schema,
    SchemaDefinition, SchemaVersion, Snapshot, Tenant, TenantId, TenantStatus, Tier,
};

/// When the tenant of the fixtures was made.
pub fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// A tenant at revision 7, without a schema.
pub fn tenant_alone() -> Snapshot {
    Snapshot {
        tenant: Tenant {
            id: TenantId(Uuid::from_u128(1)),
            name: Name::stored("acme".to_owned()),
            tier: Tier::Free,
            status: TenantStatus::Active,
            pinned: false,
            idle_stop_seconds: None,
            strict_facts: false,
            quotas: QuotaOverrides::default(),
            workers: None,
            decision_log: DecisionLog::default(),
            revision: Revision(7),
            created_at: beginning(),
            updated_at: beginning(),
        },
        epoch: Epoch(Uuid::from_u128(2)),
        schema: None,
        schema_version_max: None,
        derived_fields: Vec::new(),
        rules: Vec::new(),
        taken_at: beginning() + TimeDelta::days(1),
    }
}

/// A tenant with `facts`: `age` an int, `country` a string, `vip` a bool.
pub fn tenant() -> Snapshot {
    with_schema(&json!({"facts": {"age": "int", "country": "string", "vip": "bool"}}))
}

/// A tenant with this schema.
pub fn with_schema(definition: &Value) -> Snapshot {
    Snapshot { schema: Some(schema(1, definition)), schema_version_max: Some(SchemaVersion(1)), ..tenant_alone() }
}

/// A definition.
pub fn definition(json: &Value) -> SchemaDefinition {
    SchemaDefinition::parse(json).unwrap()
}

/// A schema version.
pub fn schema(version: i32, json: &Value) -> Schema {
    let definition = Arc::new(definition(json));
    Schema { version: SchemaVersion(version), definition, active: true, created_at: beginning() }
}

/// The id of the fixtures' rule number `number`.
pub fn rule_id(number: usize) -> RuleId {
    RuleId(Uuid::from_u128(0x100 + number as u128))
}

/// The id of the fixtures' derived field number `number`.
pub fn field_id(number: usize) -> DerivedFieldId {
    DerivedFieldId(Uuid::from_u128(0x200 + number as u128))
}

impl Snapshot {
    /// With an active rule more, whose id is [`rule_id`] of the number of rules before.
    pub fn rule(mut self, name: &str, expression: &str) -> Self {
        let at = beginning() + TimeDelta::seconds(self.rules.len() as i64);
        self.rules.push(Rule {
            id: rule_id(self.rules.len()),
            name: Name::stored(name.to_owned()),
            expression: expression.to_owned(),
            description: None,
            tags: Vec::new(),
            active: true,
            created_at: at,
            updated_at: at,
        });
        self
    }

    /// With a derived field more, whose id is [`field_id`] of the number of fields before.
    pub fn field(mut self, name: &str, expression: &str) -> Self {
        let at = beginning() + TimeDelta::seconds(self.derived_fields.len() as i64);
        self.derived_fields.push(DerivedField {
            id: field_id(self.derived_fields.len()),
            name: name.to_owned(),
            expression: expression.to_owned(),
            description: None,
            value_type: "bool".to_owned(),
            dependencies: Vec::new(),
            active: true,
            created_at: at,
            updated_at: at,
        });
        self
    }

    /// With the last rule inactive.
    pub fn inactive(mut self) -> Self {
        self.rules.last_mut().unwrap().active = false;
        self
    }

    /// With the last derived field inactive.
    pub fn inactive_field(mut self) -> Self {
        self.derived_fields.last_mut().unwrap().active = false;
        self
    }

    /// With tags on the last rule.
    pub fn tagged(mut self, tags: &[&str]) -> Self {
        self.rules.last_mut().unwrap().tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self
    }
}
