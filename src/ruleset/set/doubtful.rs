//! Rules and derived fields that run and cannot mean what they say: what is written is refused for it, what is stored is
//! told.

use super::{RuleSet, compiled_rules::CompiledRules, cost::usable};
use crate::{
    domain::{DerivedFieldId, RuleId},
    ruleset::Broken,
};

/// The rules and derived fields that can be used, and of which something is doubtful.
pub(super) fn doubtful(contents: &CompiledRules, ids: &[RuleId], field_ids: &[DerivedFieldId]) -> Box<[Broken]> {
    usable(contents, ids, field_ids)
        .filter(|(_, compiled)| !compiled.program.doubts().is_empty())
        .map(|(named, compiled)| Broken { subject: named.subject(), details: compiled.program.doubts().to_vec() })
        .collect()
}

impl RuleSet {
    /// What compares with values that are not possible, or has literals that always fail. It runs all the same: only
    /// writing it is refused, or a change that makes it so.
    pub fn doubtful(&self) -> &[Broken] {
        &self.doubtful
    }
}
