//! One of the workloads that are sent at once, and how it is sent.

use std::{collections::BTreeMap, time::Duration};

use crate::domain::{Quota, Tier};

use super::Workload;

/// Connections, if nothing else is said.
const CONNECTIONS: usize = 8;
/// How long a load is, if nothing else is said.
const DURATION: Duration = Duration::from_secs(10);
/// The mix that every workload has.
const MIX: &str = "evaluate";
/// How long after the last request was due the backlog is still sent.
const GRACE: Duration = Duration::from_secs(10);

/// A group: tenants with a workload, a load of their own, and a report of their own.
#[derive(Debug, Clone)]
pub struct Group {
    /// What it is called. The names of its tenants have it, so that no two groups share any.
    pub name: String,
    /// Schema, rules and facts of its tenants.
    pub workload: Workload,
    /// Which mix of the workload.
    pub mix: String,
    /// How many tenants.
    pub tenants: usize,
    /// Their tier.
    pub tier: Tier,
    /// Their own quotas, by which they depart from the tier's.
    pub quotas: BTreeMap<Quota, u64>,
    /// Whether each tenant asks with a key of its own, and not with the operator's, which no rate counts.
    pub has_tenant_keys: bool,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Requests a second, all connections together; as many as there are answers if `None`.
    pub rate: Option<f64>,
    /// How long after the begin of the whole load this one begins.
    pub starts_after: Duration,
    /// How long it is.
    pub duration: Duration,
    /// Whether it sends more than may be: what is refused, or is not sent in time, is counted and is no failure.
    pub expects_refusals: bool,
}

impl Group {
    /// A workload in a closed loop, whose tenants are enterprise's and ask with the operator's key.
    pub fn new(workload: Workload) -> Self {
        Self {
            name: workload.name.clone(),
            mix: MIX.to_owned(),
            tenants: workload.tenants,
            tier: Tier::Enterprise,
            quotas: BTreeMap::new(),
            has_tenant_keys: false,
            connections: CONNECTIONS,
            rate: None,
            starts_after: Duration::ZERO,
            duration: DURATION,
            expects_refusals: false,
            workload,
        }
    }

    /// How long after its end what was due before is still sent. What is too much by intention is not sent later.
    pub(super) fn grace(&self) -> Duration {
        if self.expects_refusals { Duration::ZERO } else { GRACE }
    }

    /// When it ends, from the begin of the whole load on.
    pub fn ends_after(&self) -> Duration {
        self.starts_after + self.duration
    }
}
