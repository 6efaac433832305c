//! Changes of the schema.

use std::sync::Arc;

use super::{Draft, Outcome, Refusal};
use crate::domain::{ChangeOptions, Schema, SchemaDefinition, SchemaVersion};

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
    draft.outcome = Outcome::Schema;
    if draft.after.schema.as_ref().is_some_and(|schema| *schema.definition == *definition) {
        return Ok(());
    }
    refuse_breaking_callers(draft, definition, options)?;
    install_next(draft, definition);
    Ok(())
}

/// An older schema again.
pub(super) fn activate(draft: &mut Draft, schema: &Schema, options: &ChangeOptions) -> Result<(), Refusal> {
    draft.outcome = Outcome::Schema;
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
    draft.outcome = Outcome::Schema;
    draft.schema_action = Some(if draft.after.schema.is_some() { "update" } else { "create" });
    draft.after.schema_version_max = Some(version);
    draft.after.schema = Some(Schema {
        version,
        definition: Arc::new(definition.clone()),
        active: true,
        created_at: draft.after.taken_at,
    });
}
