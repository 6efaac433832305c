//! What a tenant may ask for, by its tier and what an operator has granted it; what the tiers may have of a node.

use super::Rate;
use crate::domain::{Quota, Tenant, Tier};

/// Of a node's capacity, the percentage that each tier may have at most with those below it: the higher ones find the rest
/// free.
const TIER_PERCENT: [usize; 3] = [40, 70, 100];

/// What one tenant may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Its tier.
    pub tier: Tier,
    /// Requests; `None`: as many as it likes.
    pub requests: Option<Rate>,
    /// Events; `None`: as many as it likes.
    pub events: Option<Rate>,
    /// Requests that are in hand at once.
    pub in_hand: u64,
    /// Database connections at once.
    pub connections: u64,
}

/// What the tiers may have of a node's capacity.
#[derive(Debug, Clone, Copy)]
pub struct Shares(pub usize);

impl Limits {
    /// Those of a tenant.
    #[inline]
    pub fn of(tenant: &Tenant) -> Self {
        let rate =
            |quota: Quota| Some(tenant.quota(quota)).filter(|limit| !quota.is_unlimited(*limit)).map(Rate::per_minute);
        Self {
            tier: tenant.tier,
            requests: rate(Quota::RequestsPerMinute),
            events: rate(Quota::EventsPerMinute),
            in_hand: tenant.quota(Quota::ConcurrentRequests),
            connections: tenant.quota(Quota::DatabaseConnections),
        }
    }

    /// Their part for one of so many nodes. What is in hand is each node's own.
    #[must_use]
    pub fn shared_by(self, nodes: u64) -> Self {
        let part = |rate: Option<Rate>| rate.map(|rate| rate.shared_by(nodes));
        Self { requests: part(self.requests), events: part(self.events), ..self }
    }
}

impl Shares {
    /// What a tier may have of it, at least one.
    pub fn of_tier(self, tier: Tier) -> usize {
        let [free, pro, enterprise] = TIER_PERCENT;
        let percent = match tier {
            Tier::Free => free,
            Tier::Pro => pro,
            Tier::Enterprise => enterprise,
        };
        (self.0 * percent / 100).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_tier_has_some_that_no_other_can_take() {
        let of = |all| [Tier::Free, Tier::Pro, Tier::Enterprise].map(|tier| Shares(all).of_tier(tier));
        assert_eq!(of(10), [4, 7, 10]);
        assert_eq!(of(1), [1, 1, 1]);
        assert_eq!(of(2_000), [800, 1_400, 2_000]);
    }
}
