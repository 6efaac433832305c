//! Changes of rules.

use std::collections::HashMap;

use super::{
    ChangeOutcome, Draft, Refusal,
    draft::Target,
    text::{description_error, tag_errors},
};
use crate::{
    config::limits,
    domain::{
        Rule, RuleDraft, RuleId, RulePatch,
        quote::{child_path, element_path, quoted},
    },
    error::Detail,
};

const KIND: &str = "rule";

/// A new rule.
pub(super) fn create(draft: &mut Draft, new: &RuleDraft) -> Result<(), Refusal> {
    refuse_without_schema(draft)?;
    if draft.after.rules.len() >= limits::RULES_MAX {
        return Err(too_many());
    }
    let id = RuleId::generate();
    refuse_taken_name(draft, id, new.name.as_str())?;
    draft.outcome = ChangeOutcome::Rule(id);
    insert(draft, id, new, "");
    Ok(())
}

/// Another rule in an existing one's place.
pub(super) fn replace(draft: &mut Draft, id: RuleId, new: &RuleDraft) -> Result<(), Refusal> {
    draft.rule(id).ok_or(Refusal::NotFound(KIND))?;
    refuse_taken_name(draft, id, new.name.as_str())?;
    draft.outcome = ChangeOutcome::Rule(id);
    overwrite(draft, id, new, "");
    Ok(())
}

/// Parts of a rule.
pub(super) fn patch(draft: &mut Draft, id: RuleId, patch: &RulePatch) -> Result<(), Refusal> {
    let before = draft.rule(id).ok_or(Refusal::NotFound(KIND))?.clone();
    if let Some(name) = &patch.name {
        refuse_taken_name(draft, id, name.as_str())?;
    }
    if let Some(description) = &patch.description {
        draft.details.extend(description_error(description.as_deref(), "description"));
    }
    if let Some(tags) = &patch.tags {
        draft.details.extend(tag_errors(tags, "tags"));
    }
    draft.outcome = ChangeOutcome::Rule(id);
    let after = Rule {
        name: patch.name.clone().unwrap_or(before.name),
        expression: patch.expression.clone().unwrap_or_else(|| before.expression.clone()),
        description: patch.description.clone().unwrap_or(before.description),
        tags: patch.tags.clone().unwrap_or(before.tags),
        active: patch.active.unwrap_or(before.active),
        ..before
    };
    let activated = after.active && !before.active;
    if activated || after.expression != before.expression {
        draft.writes(Target::Rule(id), &after.expression, "expression".to_owned());
    }
    *draft.rule(id).ok_or(Refusal::NotFound(KIND))? = after;
    Ok(())
}

/// A rule gone.
pub(super) fn delete(draft: &mut Draft, id: RuleId) -> Result<(), Refusal> {
    draft.rule(id).ok_or(Refusal::NotFound(KIND))?;
    draft.after.rules.retain(|rule| rule.id != id);
    draft.outcome = ChangeOutcome::Deleted;
    Ok(())
}

/// The whole list. Rules of the same name keep their id and their place.
pub(super) fn replace_all(draft: &mut Draft, new: &[RuleDraft]) -> Result<(), Refusal> {
    refuse_without_schema(draft)?;
    if new.len() > limits::RULES_MAX {
        return Err(too_many());
    }
    let repeated = duplicate_names(new);
    if !repeated.is_empty() {
        return Err(Refusal::NamesRepeated(repeated));
    }
    draft.outcome = ChangeOutcome::Rules;
    let named: HashMap<&str, usize> = new.iter().enumerate().map(|(index, rule)| (rule.name.as_str(), index)).collect();
    draft.after.rules.retain(|rule| named.contains_key(rule.name.as_str()));
    let kept: HashMap<String, RuleId> =
        draft.after.rules.iter().map(|rule| (rule.name.as_str().to_owned(), rule.id)).collect();
    let mut places: HashMap<RuleId, usize> =
        draft.after.rules.iter().enumerate().map(|(place, rule)| (rule.id, place)).collect();
    for (index, rule) in new.iter().enumerate() {
        let prefix = element_path("rules", index);
        match kept.get(rule.name.as_str()).and_then(|id| places.remove(id)) {
            Some(place) => overwrite_at(draft, place, rule, &prefix),
            None => insert(draft, RuleId::generate(), rule, &prefix),
        }
    }
    Ok(())
}

fn refuse_without_schema(draft: &Draft) -> Result<(), Refusal> {
    if draft.after.schema.is_some() { Ok(()) } else { Err(Refusal::SchemaMissing) }
}

fn refuse_taken_name(draft: &Draft, id: RuleId, name: &str) -> Result<(), Refusal> {
    let taken = draft.after.rules.iter().any(|rule| rule.id != id && rule.name.as_str() == name);
    if taken { Err(Refusal::NameTaken(name.to_owned())) } else { Ok(()) }
}

fn too_many() -> Refusal {
    Refusal::TooMany("rules", limits::RULES_MAX)
}

/// The path of `key` in the rule that stands at `prefix`; an empty prefix is the body itself.
fn path(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { child_path(prefix, key) }
}

/// Each rule of the list whose name another one has too.
fn duplicate_names(rules: &[RuleDraft]) -> Vec<Detail> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        places.entry(rule.name.as_str()).or_default().push(index);
    }
    let mut details = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let other = places.get(rule.name.as_str()).and_then(|places| places.iter().find(|place| **place != index));
        if let Some(other) = other.filter(|_| details.len() < limits::DETAILS_MAX) {
            let message = format!("the name `{}` is used at `rules[{other}].name` too", quoted(rule.name.as_str()));
            details.push(Detail::new("name_duplicate", message).at(path(&element_path("rules", index), "name")));
        }
    }
    details
}

fn check_texts(draft: &mut Draft, rule: &RuleDraft, prefix: &str) {
    draft.details.extend(description_error(rule.description.as_deref(), &path(prefix, "description")));
    draft.details.extend(tag_errors(&rule.tags, &path(prefix, "tags")));
}

fn insert(draft: &mut Draft, id: RuleId, new: &RuleDraft, prefix: &str) {
    check_texts(draft, new, prefix);
    let now = draft.after.taken_at;
    draft.after.rules.push(Rule {
        id,
        name: new.name.clone(),
        expression: new.expression.clone(),
        description: new.description.clone(),
        tags: new.tags.clone(),
        active: new.active,
        created_at: now,
        updated_at: now,
    });
    draft.writes(Target::Rule(id), &new.expression, path(prefix, "expression"));
}

fn overwrite(draft: &mut Draft, id: RuleId, new: &RuleDraft, prefix: &str) {
    if let Some(place) = draft.after.rules.iter().position(|rule| rule.id == id) {
        overwrite_at(draft, place, new, prefix);
    }
}

/// Puts `new` in the place of a rule. What is the same already is not looked at: it may have been broken for long.
fn overwrite_at(draft: &mut Draft, place: usize, new: &RuleDraft, prefix: &str) {
    let Some(rule) = draft.after.rules.get_mut(place) else { return };
    let after = Rule {
        name: new.name.clone(),
        expression: new.expression.clone(),
        description: new.description.clone(),
        tags: new.tags.clone(),
        active: new.active,
        ..*rule
    };
    if after == *rule {
        return;
    }
    let id = rule.id;
    *rule = after;
    check_texts(draft, new, prefix);
    draft.writes(Target::Rule(id), &new.expression, path(prefix, "expression"));
}
