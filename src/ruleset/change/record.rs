//! What the audit log says of the rows that a change writes: each with what it was and what it is.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Operation;
use crate::domain::{
    AuditAction, AuditDraft, DerivedField, DerivedFieldId, Rule, RuleId, SchemaDefinition, SchemaVersion, Snapshot,
    Tenant, TenantPatch,
};

/// Told of a thing that is changed though it stays: it says which thing it is.
const ALWAYS_TOLD: &str = "name";

/// One draft for each row, in the order of the rows. The lines of the schema's changelog are a log of their own.
pub fn record(before: &Snapshot, operations: &[Operation]) -> Vec<AuditDraft> {
    let rules: HashMap<RuleId, &Rule> = before.rules.iter().map(|rule| (rule.id, rule)).collect();
    let fields: HashMap<DerivedFieldId, &DerivedField> =
        before.derived_fields.iter().map(|field| (field.id, field)).collect();
    let version = before.schema.as_ref().map(|schema| schema.version);
    let draft = |operation: &Operation| match operation {
        Operation::UpdateTenant(patch) => {
            let after = patched(&before.tenant, patch);
            Some(changed(AuditAction::TenantChange, "tenant".to_owned(), &before.tenant.settings(), &after))
        }
        Operation::InsertSchema(next, definition) => Some(of_schema(version, *next, Some(definition))),
        Operation::ActivateSchema(next) => Some(of_schema(version, *next, None)),
        Operation::InsertDerivedField(field) => Some(AuditDraft {
            action: AuditAction::DerivedFieldCreate,
            resource: field_path(field.id),
            before: None,
            after: Some(of_field(field)),
        }),
        Operation::UpdateDerivedField(field) => {
            let old = fields.get(&field.id).map_or(Value::Null, |old| of_field(old));
            Some(changed(AuditAction::DerivedFieldChange, field_path(field.id), &old, &of_field(field)))
        }
        Operation::DeleteDerivedField(id) => Some(AuditDraft {
            action: AuditAction::DerivedFieldDelete,
            resource: field_path(*id),
            before: fields.get(id).map(|old| of_field(old)),
            after: None,
        }),
        Operation::InsertRule(rule) => Some(AuditDraft {
            action: AuditAction::RuleCreate,
            resource: rule_path(rule.id),
            before: None,
            after: Some(of_rule(rule)),
        }),
        Operation::UpdateRule(rule) => {
            let old = rules.get(&rule.id).map_or(Value::Null, |old| of_rule(old));
            Some(changed(AuditAction::RuleChange, rule_path(rule.id), &old, &of_rule(rule)))
        }
        Operation::DeleteRule(id) => Some(AuditDraft {
            action: AuditAction::RuleDelete,
            resource: rule_path(*id),
            before: rules.get(id).map(|old| of_rule(old)),
            after: None,
        }),
        Operation::Log(_) => None,
    };
    operations.iter().filter_map(draft).collect()
}

fn rule_path(id: RuleId) -> String {
    format!("rules/{id}")
}

fn field_path(id: DerivedFieldId) -> String {
    format!("derived-fields/{id}")
}

fn of_rule(rule: &Rule) -> Value {
    let Rule { name, expression, description, tags, active, .. } = rule;
    json!({"name": name, "expression": expression, "description": description, "tags": tags, "active": active})
}

fn of_field(field: &DerivedField) -> Value {
    let DerivedField { name, expression, description, value_type, active, .. } = field;
    json!({
        "name": name, "expression": expression, "description": description, "valueType": value_type, "active": active,
    })
}

fn patched(tenant: &Tenant, patch: &TenantPatch) -> Value {
    let mut after = tenant.clone();
    patch.apply(&mut after);
    after.settings()
}

/// A version that was in use before has a row of its own, with its definition.
fn of_schema(
    before: Option<SchemaVersion>,
    version: SchemaVersion,
    definition: Option<&SchemaDefinition>,
) -> AuditDraft {
    let after = match definition {
        Some(definition) => json!({"version": version, "definition": definition.json()}),
        None => json!({"version": version}),
    };
    AuditDraft {
        action: if definition.is_some() { AuditAction::SchemaCreate } else { AuditAction::SchemaActivate },
        resource: format!("schema/versions/{version}"),
        before: before.map(|version| json!({"version": version})),
        after: Some(after),
    }
}

/// A change, with the members that differ.
fn changed(action: AuditAction, resource: String, before: &Value, after: &Value) -> AuditDraft {
    let differing = |one: &Value, other: &Value| {
        let members = one.as_object()?.iter();
        let told = members.filter(|(name, value)| *name == ALWAYS_TOLD || other.get(name.as_str()) != Some(*value));
        Some(Value::Object(told.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()))
    };
    AuditDraft { action, resource, before: differing(before, after), after: differing(after, before) }
}
