//! The index of a set's rules: made from that of the set before where few rules changed.

use std::sync::Arc;

use super::{RuleEntry, RuleState};
use crate::ruleset::{
    facts::Layout,
    index::{Asked, Domains, Index},
};

/// One rule in so many may change before filing all of them again is cheaper.
const CHANGED_PART: usize = 16;

/// Rules with their index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indexed<'a> {
    pub rules: &'a [Arc<RuleEntry>],
    pub index: &'a Index,
}

/// The index of `rules`, by their places. `previous` are those of an older set with the same layout, if there is one.
/// Never inlined: a bench counts what it takes.
#[inline(never)]
pub(super) fn index(rules: &[Arc<RuleEntry>], layout: Option<&Layout>, previous: Option<Indexed<'_>>) -> Index {
    let nothing = Domains::default();
    let domains = layout.map_or(&nothing, Layout::domains);
    let now = |place: u32| asked(rules, place);
    if let Some(previous) = previous
        && let Some(changed) = changed(rules, previous.rules)
    {
        let before = |place: u32| asked(previous.rules, place);
        let mut index = Index::clone(previous.index);
        // All are taken out first: what is divided while one is put in must know the others as they are now.
        for place in changed.iter().filter(|place| is_active(previous.rules, **place)) {
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
