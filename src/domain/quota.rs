//! Quotas: how much of each thing a tenant may use. One table for the tiers, from which an operator may depart for a
//! tenant.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::Tier;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Something that a tenant uses, and may use so much of. A tenant's row stores its overrides as JSON, by these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quota {
    /// Rules, active or not.
    Rules,
    /// Derived fields, active or not.
    DerivedFields,
    /// Bytes of the schema's definition, as JSON without spaces.
    SchemaBytes,
    /// Bytes of all expressions together.
    SourceBytes,
    /// Bytes of the compiled rule set, as estimated.
    CompiledBytes,
    /// Bytes of the body of an evaluation, of a JSON batch, or of a line of an NDJSON batch.
    RequestBytes,
    /// Items of a JSON batch.
    BatchItems,
    /// Bytes of an event's facts.
    EventBytes,
    /// Events that are not decided yet.
    EventBacklog,
    /// Days that an event is kept.
    EventRetentionDays,
    /// Workers that decide events at once.
    Workers,
    /// Requests in a minute.
    RequestsPerMinute,
    /// Events in a minute.
    EventsPerMinute,
    /// Requests in hand at once on a node.
    ConcurrentRequests,
    /// Database connections at once on a node.
    DatabaseConnections,
    /// Days that a recorded evaluation is kept.
    DecisionRetentionDays,
    /// Evaluations that are recorded in a day.
    DecisionLogRows,
}

/// Limits that an operator has set for a tenant instead of its tier's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct QuotaOverrides(pub BTreeMap<Quota, u64>);

/// What to set: a limit, or the tier's again.
pub type QuotaPatch = BTreeMap<Quota, Option<u64>>;

/// More than a quota allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// The quota.
    pub quota: Quota,
    /// How much is allowed.
    pub limit: u64,
    /// How much it is, or would be.
    pub used: u64,
}

impl Quota {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Rules,
        Self::DerivedFields,
        Self::SchemaBytes,
        Self::SourceBytes,
        Self::CompiledBytes,
        Self::RequestBytes,
        Self::BatchItems,
        Self::EventBytes,
        Self::EventBacklog,
        Self::EventRetentionDays,
        Self::Workers,
        Self::RequestsPerMinute,
        Self::EventsPerMinute,
        Self::ConcurrentRequests,
        Self::DatabaseConnections,
        Self::DecisionRetentionDays,
        Self::DecisionLogRows,
    ];

    /// The table: what each tier may use, and what an operator can grant at most.
    #[rustfmt::skip]
    fn row(self) -> [u64; 4] {
        match self {
            //                      free       pro        enterprise  at most
            Self::Rules =>         [1_000,     5_000,     10_000,     10_000],
            Self::DerivedFields => [100,       250,       500,        500],
            Self::SchemaBytes =>   [64 * KIB,  256 * KIB, MIB,        16 * MIB],
            Self::SourceBytes =>   [MIB,       8 * MIB,   41 * MIB,   64 * MIB],
            Self::CompiledBytes => [32 * MIB,  128 * MIB, 1_024 * MIB, 16_384 * MIB],
            Self::RequestBytes =>  [MIB,       8 * MIB,   16 * MIB,   1_024 * MIB],
            Self::BatchItems =>    [1_000,     10_000,    10_000,     1_000_000],
            Self::EventBytes =>    [32 * KIB,  64 * KIB,  256 * KIB,  MIB],
            Self::EventBacklog =>  [10_000,    100_000,   1_000_000,  10_000_000],
            Self::EventRetentionDays => [7,    30,        90,         90],
            Self::Workers =>       [2,         4,         8,          100],
            Self::RequestsPerMinute => [100,   1_000,     10_000_000, 10_000_000],
            Self::EventsPerMinute => [6_000,   60_000,    100_000_000, 100_000_000],
            Self::ConcurrentRequests => [10,   30,        60,         1_000],
            Self::DatabaseConnections => [5,   20,        50,         100],
            Self::DecisionRetentionDays => [7, 30,        90,         90],
            Self::DecisionLogRows => [100_000, 1_000_000, 10_000_000, 1_000_000_000],
        }
    }

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::DerivedFields => "derivedFields",
            Self::SchemaBytes => "schemaBytes",
            Self::SourceBytes => "sourceBytes",
            Self::CompiledBytes => "compiledBytes",
            Self::RequestBytes => "requestBytes",
            Self::BatchItems => "batchItems",
            Self::EventBytes => "eventBytes",
            Self::EventBacklog => "eventBacklog",
            Self::EventRetentionDays => "eventRetentionDays",
            Self::Workers => "workers",
            Self::RequestsPerMinute => "requestsPerMinute",
            Self::EventsPerMinute => "eventsPerMinute",
            Self::ConcurrentRequests => "concurrentRequests",
            Self::DatabaseConnections => "databaseConnections",
            Self::DecisionRetentionDays => "decisionRetentionDays",
            Self::DecisionLogRows => "decisionLogRows",
        }
    }

    /// The quota of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quota| quota.name() == name)
    }

    /// What a tier may use.
    pub fn of_tier(self, tier: Tier) -> u64 {
        let [free, pro, enterprise, _] = self.row();
        match tier {
            Tier::Free => free,
            Tier::Pro => pro,
            Tier::Enterprise => enterprise,
        }
    }

    /// The most that an operator can grant.
    pub fn grant_max(self) -> u64 {
        let [.., most] = self.row();
        most
    }

    /// Whether a limit is none: the largest grant of a rate is not looked at.
    pub fn is_unlimited(self, limit: u64) -> bool {
        matches!(self, Self::RequestsPerMinute | Self::EventsPerMinute) && limit >= self.grant_max()
    }

    /// Whether `used` is within `limit`.
    pub fn allows(self, limit: u64, used: u64) -> Result<(), QuotaExceeded> {
        if used > limit { Err(QuotaExceeded { quota: self, limit, used }) } else { Ok(()) }
    }
}

impl QuotaOverrides {
    /// Sets what `patch` names.
    pub fn apply(&mut self, patch: &QuotaPatch) {
        for (quota, limit) in patch {
            match limit {
                Some(limit) => drop(self.0.insert(*quota, *limit)),
                None => drop(self.0.remove(quota)),
            }
        }
    }

    /// What makes `self` into `next`.
    pub fn difference(&self, next: &Self) -> QuotaPatch {
        let changed = |quota: &Quota| self.0.get(quota) != next.0.get(quota);
        Quota::ALL.into_iter().filter(changed).map(|quota| (quota, next.0.get(&quota).copied())).collect()
    }
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quota, limit, used } = self;
        write!(f, "the tenant's quota `{}` is {limit}, and this is {used}", quota.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_tier_may_use_no_less_and_nobody_more_than_can_be_granted() {
        for quota in Quota::ALL {
            let row = quota.row();
            assert!(row.is_sorted() && row[0] > 0, "{}", quota.name());
            assert_eq!(Quota::named(quota.name()), Some(quota));
            assert_eq!(serde_json::to_value(quota).unwrap(), quota.name());
        }
    }

    #[test]
    fn what_is_set_stays_until_it_is_set_otherwise() {
        let mut own = QuotaOverrides::default();
        own.apply(&QuotaPatch::from([(Quota::Rules, Some(5)), (Quota::BatchItems, Some(7))]));
        let before = own.clone();
        own.apply(&QuotaPatch::from([(Quota::Rules, None), (Quota::BatchItems, Some(8))]));
        assert_eq!(own.0, BTreeMap::from([(Quota::BatchItems, 8)]));
        let mut again = before.clone();
        again.apply(&before.difference(&own));
        assert_eq!(again, own);
        assert!(own.difference(&own).is_empty());
    }
}
