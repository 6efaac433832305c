//! Further requests within one that is in hand: the lines of a stream, each of which counts as a request. A stream waits for
//! its rate, where a request of its own would be refused.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{RateRefused, Refused};
use crate::{
    admission::Grant,
    domain::{Quota, TenantScope},
    engine::Engine,
};

/// How often a stream that waits looks whether the rate has been changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Engine {
    /// Takes up to `wanted` requests, one at least, of the tenant's rate. If there is none, waits until there is one; the
    /// error says that there was none in `wait_max`.
    pub async fn admit_further(&self, scope: TenantScope, wanted: u64, wait_max: Duration) -> Result<u64, RateRefused> {
        let gate = &self.inner.gate;
        let until = Instant::now() + wait_max;
        loop {
            let place = gate.place(scope.id());
            let limits = self.limits(scope, &place).filter(|_| gate.is_limiting());
            let Some((limits, rate)) = limits.and_then(|limits| Some((limits, limits.requests?))) else {
                return Ok(wanted);
            };
            let Grant { granted, wait, .. } = gate.take_requests(&place, scope, rate, gate.now(), wanted);
            if granted > 0 {
                return Ok(granted);
            }
            let now = Instant::now();
            if now >= until {
                let refused = RateRefused { quota: Quota::RequestsPerMinute, limit: rate.quota(), wait };
                gate.refuse(Some(limits.tier), Refused::Rate(refused));
                return Err(refused);
            }
            sleep_until((now + wait.min(LOOK_INTERVAL)).min(until)).await;
        }
    }
}
