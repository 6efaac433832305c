//! What a rule set takes in memory, as an estimate: the allocator is not asked.
//!
//! What sets share with others of the same schema counts in full for each of them, so that many alike take less than
//! their sum. Limits on memory are therefore kept, and sometimes early. The constants are those with which `cargo bench
//! --bench memory` measures what it estimates where no two rules are alike.

use std::mem::size_of;

use super::{RuleEntry, RuleSet, RuleState, compiled::Compiled};
use crate::domain::RuleId;

/// What a byte of an expression becomes: its tree, its plan and what the index keeps of it.
const BYTES_PER_SOURCE_BYTE: usize = 12;
/// A compiled expression without what grows with its source.
const BYTES_PER_PROGRAM: usize = 216;
/// A rule beside its entry and its texts: its places among the others, pointers, and what the allocator rounds up.
const BYTES_PER_PLACE: usize = 40;
/// A set without its rules: the layout of a small schema, the environment, empty tables.
const BYTES_PER_SET: usize = 3_072;

impl RuleSet {
    /// The bytes that this set takes, roughly.
    pub fn memory_bytes(&self) -> u64 {
        let rules: usize = self.contents.rules.iter().map(|rule| rule_bytes(rule)).sum();
        let fields: usize = self.contents.derived.usable().map(|(.., compiled)| program_bytes(compiled)).sum();
        let broken: usize =
            self.broken.iter().flat_map(|broken| &broken.details).map(|detail| detail.message.len()).sum();
        let total = BYTES_PER_SET + self.tenant.name.as_str().len() + rules + fields + broken;
        u64::try_from(total).unwrap_or(u64::MAX)
    }

    /// How many rules are active, broken ones among them.
    pub fn active_rules(&self) -> usize {
        self.contents.active
    }
}

fn rule_bytes(rule: &RuleEntry) -> usize {
    let texts = rule.name.len() + rule.tags.iter().map(|tag| tag.len() + size_of::<String>()).sum::<usize>();
    let state = match &rule.state {
        RuleState::Inactive => 0,
        RuleState::Broken(message) => message.len(),
        RuleState::Ready(compiled) => program_bytes(compiled),
    };
    size_of::<RuleId>() + size_of::<RuleEntry>() + BYTES_PER_PLACE + texts + state
}

fn program_bytes(compiled: &Compiled) -> usize {
    // What grows with an expression is taken from its length: this runs for every rule whenever a set is published.
    size_of::<Compiled>() + BYTES_PER_PROGRAM + compiled.program.source().len() * BYTES_PER_SOURCE_BYTE
}
