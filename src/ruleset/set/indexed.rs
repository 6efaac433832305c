//! The index of a set's rules: made from that of the set before where few rules changed.

use std::sync::Arc;

use super::{RuleEntry, RuleState, contents::Contents, shared::SharedSchema};
use crate::ruleset::index::{Asked, Domains, Index};

/// One rule in so many may change before filing all of them again is cheaper.
const CHANGED_PART: usize = 16;

/// The index of `rules`, by their places. Never inlined: a bench counts what it takes.
#[inline(never)]
pub(super) fn index(rules: &[Arc<RuleEntry>], schema: Option<&SharedSchema>, previous: Option<&Contents>) -> Index {
    let nothing = Domains::default();
    let domains = schema.map_or(&nothing, |schema| schema.layout.domains());
    let now = |place: u32| asked(rules, place);
    if let Some(previous) = previous.filter(|contents| has_layout(contents, schema))
        && let Some(index) = previous.index.get()
        && let Some(changed) = changed(rules, &previous.rules)
    {
        let before = |place: u32| asked(&previous.rules, place);
        let mut index = Index::clone(index);
        // All are taken out first: what is divided while one is put in must know the others as they are now.
        for place in changed.iter().filter(|place| is_active(&previous.rules, **place)) {
            index.remove(*place, before(*place), domains);
        }
        for place in changed.iter().filter(|place| is_active(rules, **place)) {
            index.insert(*place, now, domains);
        }
        return index;
    }
    let count = u32::try_from(rules.len()).unwrap_or(u32::MAX);
    let active: Vec<u32> = (0..count).filter(|place| is_active(rules, *place)).collect();
    Index::new(&active, now, domains)
}

fn has_layout(contents: &Contents, schema: Option<&SharedSchema>) -> bool {
    match (&contents.schema, schema) {
        (Some(before), Some(now)) => Arc::ptr_eq(&before.layout, &now.layout),
        _ => false,
    }
}

/// The places whose rules are not filed as they were; `None` if they are too many.
fn changed(rules: &[Arc<RuleEntry>], before: &[Arc<RuleEntry>]) -> Option<Vec<u32>> {
    let most = rules.len() / CHANGED_PART;
    let mut changed = Vec::new();
    for place in 0..rules.len().max(before.len()) {
        let (now, old) = (rules.get(place), before.get(place));
        if now.zip(old).is_some_and(|(now, old)| Arc::ptr_eq(now, old)) {
            continue;
        }
        let is_same = match (now.map(|rule| &rule.state), old.map(|rule| &rule.state)) {
            (Some(RuleState::Ready(now)), Some(RuleState::Ready(before))) => Arc::ptr_eq(now, before),
            (Some(RuleState::Broken(_)), Some(RuleState::Broken(_))) => true,
            (Some(RuleState::Inactive) | None, Some(RuleState::Inactive) | None) => true,
            _ => false,
        };
        if !is_same {
            if changed.len() >= most {
                return None;
            }
            changed.push(u32::try_from(place).ok()?);
        }
    }
    Some(changed)
}

fn is_active(rules: &[Arc<RuleEntry>], place: u32) -> bool {
    rules.get(place as usize).is_some_and(|rule| !matches!(rule.state, RuleState::Inactive))
}

fn asked(rules: &[Arc<RuleEntry>], place: u32) -> Asked<'_> {
    match rules.get(place as usize).map(|rule| &rule.state) {
        Some(RuleState::Ready(compiled)) => {
            Asked { conjuncts: compiled.program.conjuncts(), is_all: compiled.program.is_conjuncts() }
        }
        _ => Asked::default(),
    }
}

#[cfg(test)]
mod tests;
