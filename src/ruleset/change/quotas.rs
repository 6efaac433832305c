//! What a tenant uses of its quotas, and whether a change goes beyond them.
//!
//! Somebody who is beyond a quota already, because it was lowered or the tier was, may change whatever does not use more
//! of it.

use crate::{
    domain::{DerivedField, Quota, QuotaExceeded, Rule, Snapshot},
    ruleset::RuleSet,
};

/// The quotas that show in what is stored.
const STORED: [Quota; 5] = [Quota::Rules, Quota::DerivedFields, Quota::SchemaBytes, Quota::SourceBytes, Quota::Workers];

/// How much of a quota is used by what is stored; `None` for one that does not show there.
pub fn used(snapshot: &Snapshot, quota: Quota) -> Option<u64> {
    let used = match quota {
        Quota::Rules => snapshot.rules.len(),
        Quota::DerivedFields => snapshot.derived_fields.len(),
        Quota::SchemaBytes => snapshot.schema.as_ref().map_or(0, |schema| schema.definition.json().to_string().len()),
        Quota::SourceBytes => {
            let rules = snapshot.rules.iter().map(|Rule { expression, .. }| expression.len());
            let fields = snapshot.derived_fields.iter().map(|DerivedField { expression, .. }| expression.len());
            rules.chain(fields).sum()
        }
        Quota::Workers => snapshot.tenant.workers.map_or(0, usize::from),
        Quota::CompiledBytes
        | Quota::RequestBytes
        | Quota::BatchItems
        | Quota::EventBytes
        | Quota::EventBacklog
        | Quota::EventRetentionDays
        | Quota::RequestsPerMinute
        | Quota::EventsPerMinute
        | Quota::ConcurrentRequests
        | Quota::DatabaseConnections
        | Quota::DecisionRetentionDays
        | Quota::DecisionLogRows => return None,
    };
    Some(used as u64)
}

/// Whether what would be stored is within the quotas.
pub(super) fn check_stored(before: &Snapshot, after: &Snapshot) -> Result<(), QuotaExceeded> {
    for quota in STORED {
        let used = |snapshot| used(snapshot, quota).unwrap_or_default();
        within(after, quota, used(after), || used(before))?;
    }
    Ok(())
}

/// Whether the set that it compiles to is.
pub(super) fn check_compiled(after: &Snapshot, set: &RuleSet, before: &RuleSet) -> Result<(), QuotaExceeded> {
    within(after, Quota::CompiledBytes, set.memory_bytes(), || before.memory_bytes())
}

fn within(after: &Snapshot, quota: Quota, used: u64, before: impl Fn() -> u64) -> Result<(), QuotaExceeded> {
    quota
        .allows(after.tenant.quota(quota), used)
        .or_else(|exceeded| if used > before() { Err(exceeded) } else { Ok(()) })
}
