//! What a rule set takes in memory, as an estimate: the allocator is not asked.
//!
//! What sets share with others of the same schema counts in full for each of them, so that many alike take less than
//! their sum. Limits on memory are therefore kept, and sometimes early.

use std::mem::size_of;

use super::{RuleEntry, RuleSet, RuleState, compiled::Compiled};

/// What a byte of an expression becomes: its tree, its plan and what the index keeps of it.
const BYTES_PER_SOURCE_BYTE: usize = 24;
/// A compiled expression without what grows with its source.
const BYTES_PER_PROGRAM: usize = 512;
/// An entry of a map from ids to places, with the room that maps leave empty.
const BYTES_PER_PLACE: usize = 48;
/// A set without its rules: the layout of a small schema, the environment, empty tables.
const BYTES_PER_SET: usize = 2_048;

impl RuleSet {
    /// The bytes that this set takes, roughly.
    pub fn memory_bytes(&self) -> u64 {
        let rules: usize = self.rules.iter().map(|rule| rule_bytes(rule)).sum();
        let fields: usize = self.derived.usable().map(|(.., compiled)| program_bytes(compiled)).sum();
        let broken: usize =
            self.broken.iter().flat_map(|broken| &broken.details).map(|detail| detail.message.len()).sum();
        let total = BYTES_PER_SET + self.tenant.name.as_str().len() + rules + fields + broken;
        u64::try_from(total).unwrap_or(u64::MAX)
    }

    /// How many rules are active, broken ones among them.
    pub fn active_rules(&self) -> usize {
        self.active
    }
}

fn rule_bytes(rule: &RuleEntry) -> usize {
    let texts = rule.name.len() + rule.tags.iter().map(|tag| tag.len() + size_of::<String>()).sum::<usize>();
    let state = match &rule.state {
        RuleState::Inactive => 0,
        RuleState::Broken(message) => message.len(),
        RuleState::Ready(compiled) => program_bytes(compiled),
    };
    size_of::<RuleEntry>() + BYTES_PER_PLACE + texts + state
}

fn program_bytes(compiled: &Compiled) -> usize {
    let references: usize = compiled.dependencies().iter().map(|name| name.len() + size_of::<String>()).sum();
    size_of::<Compiled>() + BYTES_PER_PROGRAM + references + compiled.program.source().len() * BYTES_PER_SOURCE_BYTE
}
