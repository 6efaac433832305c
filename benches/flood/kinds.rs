//! The kinds of floods: what the aggressor sends, and how much of it.

use std::{collections::BTreeMap, time::Duration};

use tenet::{
    domain::{Quota, Tier},
    load::Group,
};

use super::service::group;

/// A tenth of what the victim may send, each second: often enough to tell its slowest hundredth.
const VICTIM_RATE: f64 = 100.0;
const VICTIM_CONNECTIONS: usize = 16;

/// A kind of flood.
pub struct Flood {
    pub name: &'static str,
    pub about: &'static str,
    /// The tier of both, where they have the same.
    pub tier: Tier,
    /// The aggressor's tier, where it has another.
    pub other_tier: Tier,
    /// The workload and mix of the aggressor.
    file: &'static str,
    mix: &'static str,
    /// The aggressor's quotas, whatever its tier.
    quotas: &'static [(Quota, u64)],
    /// Requests a second, ten times what the aggressor may send; as many as are answered if `None`.
    rate: Option<f64>,
    connections: usize,
}

/// All of them.
pub fn all() -> [Flood; 6] {
    const PER_MINUTE: u64 = 1_000;
    const REQUESTS: (Quota, u64) = (Quota::RequestsPerMinute, PER_MINUTE);
    let rate = Some(10.0 * PER_MINUTE as f64 / 60.0);
    let flood = Flood {
        name: "heavy",
        about: "decisions near the limit of cost, ten times the quota of 1,000 a minute",
        tier: Tier::Pro,
        other_tier: Tier::Free,
        file: "heavy",
        mix: "evaluate",
        quotas: &[REQUESTS],
        rate,
        connections: 64,
    };
    [
        Flood { ..flood },
        Flood {
            name: "cheap",
            about: "small decisions without a rate, as many as are answered",
            tier: Tier::Enterprise,
            other_tier: Tier::Pro,
            file: "cheap",
            quotas: &[(Quota::RequestsPerMinute, 10_000_000)],
            rate: None,
            connections: 32,
            ..flood
        },
        Flood {
            name: "events",
            about: "batches of 500 events, ten times the quota of 60,000 events a minute",
            file: "cheap",
            mix: "events",
            quotas: &[
                (Quota::RequestsPerMinute, 12_000),
                (Quota::EventsPerMinute, 60_000),
                (Quota::EventBacklog, 100_000),
            ],
            rate: Some(20.0),
            ..flood
        },
        Flood {
            name: "batches",
            about: "batches of 10,000 decisions, ten times the quota of 120 a minute",
            file: "cheap",
            mix: "batches",
            quotas: &[(Quota::RequestsPerMinute, 120), (Quota::BatchItems, 10_000), (Quota::RequestBytes, 8 << 20)],
            rate: Some(20.0),
            ..flood
        },
        Flood {
            name: "writes",
            about: "changes of rules, ten times the quota of 1,000 a minute",
            file: "cheap",
            mix: "writes",
            ..flood
        },
        Flood {
            name: "slow-bodies",
            about: "small decisions whose bodies take two seconds to arrive, over 200 connections",
            file: "cheap",
            mix: "slowBodies",
            rate: None,
            connections: 200,
            ..flood
        },
    ]
}

impl Flood {
    /// The victim alone.
    pub fn victim(&self, duration: Duration) -> Group {
        Group {
            tier: self.tier,
            quotas: BTreeMap::from([(Quota::RequestsPerMinute, (VICTIM_RATE * 60.0 * 10.0) as u64)]),
            rate: Some(VICTIM_RATE),
            connections: VICTIM_CONNECTIONS,
            duration,
            ..group(&format!("victim-{}", self.tier.name()), "cheap", "evaluate")
        }
    }

    /// The aggressor, in this tier.
    pub fn aggressor(&self, tier: Tier, duration: Duration) -> Group {
        Group {
            tier,
            quotas: self.quotas.iter().copied().collect(),
            rate: self.rate,
            connections: self.connections,
            duration,
            ..group(&format!("aggressor-{}-{}", self.name, tier.name()), self.file, self.mix)
        }
    }
}
