//! What a checked expression reads: slots, and what expressions call them.

use std::collections::BTreeSet;

use super::{
    activation::Slot,
    check::{Checked, CheckedKind},
    env::Env,
    parse::Range,
};

/// A slot that an expression reads, or the variable that begins there, read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotRead {
    /// The slot.
    pub slot: Slot,
    /// Whether all fields of an object are read.
    pub is_whole: bool,
}

pub(super) fn reads(checked: &Checked) -> Vec<SlotRead> {
    fn collect(node: &Checked, found: &mut Vec<SlotRead>) {
        match &node.kind {
            CheckedKind::Slot(slot, _) | CheckedKind::HasSlot(slot) | CheckedKind::OptionalSlot(slot, _) => {
                found.push(SlotRead { slot: *slot, is_whole: false });
            }
            CheckedKind::Object(_, slot) => found.push(SlotRead { slot: *slot, is_whole: true }),
            _ => node.children(&mut |child| collect(child, found)),
        }
    }
    let mut found = Vec::new();
    collect(checked, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

pub(super) fn references(env: &Env, checked: &Checked) -> Vec<String> {
    let mut found = BTreeSet::new();
    collect(env, checked, &mut found);
    found.into_iter().collect()
}

fn collect(env: &Env, node: &Checked, found: &mut BTreeSet<String>) {
    match path(env, node) {
        Some(path) => {
            found.insert(path);
        }
        None => node.children(&mut |child| collect(env, child, found)),
    }
}

/// The first node that reads `wanted`, or all of the object that it is in.
pub(super) fn find(env: &Env, node: &Checked, wanted: &str) -> Option<Range> {
    if path(env, node).is_some_and(|path| wanted.starts_with(&path)) {
        return Some(node.range);
    }
    let mut found = None;
    node.children(&mut |child| found = found.or_else(|| find(env, child, wanted)));
    found
}

/// The path that `node` reads, if it reads one: a variable, a field, a field of that.
fn path(env: &Env, node: &Checked) -> Option<String> {
    match &node.kind {
        CheckedKind::Slot(slot, _) | CheckedKind::HasSlot(slot) | CheckedKind::OptionalSlot(slot, _) => {
            env.path(*slot, false)
        }
        CheckedKind::Object(_, slot) => env.path(*slot, true),
        CheckedKind::Select { operand, field, position: Some(_), .. } => {
            Some(format!("{}.{field}", path(env, operand)?))
        }
        _ => None,
    }
}
