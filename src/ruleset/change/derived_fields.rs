//! Changes of derived fields.

use super::{ChangeOutcome, Draft, Refusal, draft::Target, text::description_error};
use crate::{
    config::limits,
    domain::{DerivedField, DerivedFieldDraft, DerivedFieldId, DerivedFieldPatch, field_name_error},
};

const KIND: &str = "derived field";

/// A new derived field.
pub(super) fn create(draft: &mut Draft, new: &DerivedFieldDraft) -> Result<(), Refusal> {
    if draft.after.schema.is_none() {
        return Err(Refusal::SchemaMissing);
    }
    if draft.after.derived_fields.len() >= limits::DERIVED_FIELDS_MAX {
        return Err(Refusal::TooMany("derived fields", limits::DERIVED_FIELDS_MAX));
    }
    let id = DerivedFieldId::generate();
    check_name(draft, id, &new.name)?;
    draft.details.extend(description_error(new.description.as_deref(), "description"));
    draft.outcome = ChangeOutcome::DerivedField(id);
    let now = draft.after.taken_at;
    draft.after.derived_fields.push(DerivedField {
        id,
        name: new.name.clone(),
        expression: new.expression.clone(),
        description: new.description.clone(),
        // The program tells them, once it is compiled.
        value_type: String::new(),
        dependencies: Vec::new(),
        active: true,
        created_at: now,
        updated_at: now,
    });
    draft.writes(Target::DerivedField(id), &new.expression, "expression".to_owned());
    Ok(())
}

/// Parts of a derived field.
pub(super) fn patch(draft: &mut Draft, id: DerivedFieldId, patch: &DerivedFieldPatch) -> Result<(), Refusal> {
    let before = draft.derived_field(id).ok_or(Refusal::NotFound(KIND))?.clone();
    if let Some(name) = patch.name.as_ref().filter(|name| **name != before.name) {
        check_name(draft, id, name)?;
    }
    if let Some(description) = &patch.description {
        draft.details.extend(description_error(description.as_deref(), "description"));
    }
    draft.outcome = ChangeOutcome::DerivedField(id);
    let field = draft.derived_field(id).ok_or(Refusal::NotFound(KIND))?;
    if let Some(name) = &patch.name {
        field.name.clone_from(name);
    }
    if let Some(expression) = &patch.expression {
        field.expression.clone_from(expression);
    }
    if let Some(description) = &patch.description {
        field.description.clone_from(description);
    }
    field.active = patch.active.unwrap_or(field.active);
    let after = field.clone();
    let activated = after.active && !before.active;
    if activated || after.expression != before.expression {
        draft.writes(Target::DerivedField(id), &after.expression, "expression".to_owned());
    }
    Ok(())
}

/// A derived field gone.
pub(super) fn delete(draft: &mut Draft, id: DerivedFieldId) -> Result<(), Refusal> {
    draft.derived_field(id).ok_or(Refusal::NotFound(KIND))?;
    draft.after.derived_fields.retain(|field| field.id != id);
    draft.outcome = ChangeOutcome::Deleted;
    Ok(())
}

fn check_name(draft: &mut Draft, id: DerivedFieldId, name: &str) -> Result<(), Refusal> {
    if let Some(detail) = field_name_error(name) {
        draft.details.push(detail.at("name"));
    } else if draft.after.derived_fields.iter().any(|field| field.id != id && field.name == name) {
        return Err(Refusal::NameTaken(name.to_owned()));
    }
    Ok(())
}
