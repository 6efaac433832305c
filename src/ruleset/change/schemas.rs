//! Changes of the schema.

use std::{collections::HashSet, sync::Arc};

use uuid::Uuid;

use super::{ChangeOutcome, Draft, Refusal};
use crate::{
    domain::{ChangeOptions, Schema, SchemaDefinition, SchemaVersion, Snapshot},
    error::Subject,
};

/// The rules and derived fields of these ids that are not active.
pub fn inactive(snapshot: &Snapshot, ids: &[Uuid]) -> Vec<Subject> {
    subjects(snapshot, ids, false)
}

/// The rules and derived fields of these ids that are.
pub(super) fn active(snapshot: &Snapshot, ids: &[Uuid]) -> Vec<Subject> {
    subjects(snapshot, ids, true)
}

fn subjects(snapshot: &Snapshot, ids: &[Uuid], active: bool) -> Vec<Subject> {
    let ids: HashSet<&Uuid> = ids.iter().collect();
    let fields = snapshot.derived_fields.iter().filter(|field| field.active == active && ids.contains(&field.id.0));
    let fields = fields.map(|field| Subject::DerivedField { field_id: field.id.0, field_name: field.name.clone() });
    let rules = snapshot.rules.iter().filter(|rule| rule.active == active && ids.contains(&rule.id.0));
    let rules = rules.map(|rule| Subject::Rule { rule_id: rule.id.0, rule_name: rule.name.as_str().to_owned() });
    fields.chain(rules).collect()
}

/// Activates what earlier changes of the schema deactivated, if that is asked for. What does not compile breaks, as
/// anything else that is active.
fn reactivate(draft: &mut Draft, options: &ChangeOptions) {
    if !options.reactivate {
        return;
    }
    let ids: HashSet<&Uuid> = options.deactivated.iter().collect();
    for field in draft.after.derived_fields.iter_mut().filter(|field| ids.contains(&field.id.0)) {
        field.active = true;
    }
    for rule in draft.after.rules.iter_mut().filter(|rule| ids.contains(&rule.id.0)) {
        rule.active = true;
    }
}

/// The first schema.
pub(super) fn create(draft: &mut Draft, definition: &SchemaDefinition) -> Result<(), Refusal> {
    if draft.after.schema.is_some() {
        return Err(Refusal::SchemaExists);
    }
    install_next(draft, definition);
    Ok(())
}

/// The next schema, or the first.
pub(super) fn put(draft: &mut Draft, definition: &SchemaDefinition, options: &ChangeOptions) -> Result<(), Refusal> {
    draft.outcome = ChangeOutcome::Schema;
    reactivate(draft, options);
    if draft.after.schema.as_ref().is_some_and(|schema| *schema.definition == *definition) {
        return Ok(());
    }
    refuse_breaking_callers(draft, definition, options)?;
    install_next(draft, definition);
    Ok(())
}

/// An older schema again.
pub(super) fn activate(draft: &mut Draft, schema: &Schema, options: &ChangeOptions) -> Result<(), Refusal> {
    draft.outcome = ChangeOutcome::Schema;
    reactivate(draft, options);
    if draft.after.schema.as_ref().is_some_and(|active| active.version == schema.version) {
        return Ok(());
    }
    refuse_breaking_callers(draft, &schema.definition, options)?;
    draft.schema_action = Some("activate");
    draft.after.schema = Some(Schema { active: true, ..schema.clone() });
    Ok(())
}

fn refuse_breaking_callers(draft: &Draft, next: &SchemaDefinition, options: &ChangeOptions) -> Result<(), Refusal> {
    let Some(schema) = draft.after.schema.as_ref().filter(|_| !options.accept_breaking) else { return Ok(()) };
    if schema.definition.breaks_flat_callers(next) {
        return Err(Refusal::BreaksFlatCallers);
    }
    if schema.definition.breaks_named_callers(next) { Err(Refusal::BreaksNamedCallers) } else { Ok(()) }
}

fn install_next(draft: &mut Draft, definition: &SchemaDefinition) {
    let version = SchemaVersion(draft.after.schema_version_max.map_or(1, |newest| newest.0.saturating_add(1)));
    draft.outcome = ChangeOutcome::Schema;
    draft.schema_action = Some(if draft.after.schema.is_some() { "update" } else { "create" });
    draft.after.schema_version_max = Some(version);
    draft.after.schema = Some(Schema {
        version,
        definition: Arc::new(definition.clone()),
        active: true,
        created_at: draft.after.taken_at,
    });
}
