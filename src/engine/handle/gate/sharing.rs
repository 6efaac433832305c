//! Giving out a tenant's rates: of what nodes share in Redis where there is one, or else of this node's part. Redis is
//! asked in the background, before what is held is used up.

use std::sync::{Arc, atomic::Ordering};

use super::{Gate, Place, tally::Tally};
use crate::{
    admission::{Grant, Rate, Standing},
    domain::{Quota, System, TenantId, TenantScope},
};

/// Which rate of which tenant.
#[derive(Clone, Copy)]
pub struct Rated {
    pub scope: TenantScope,
    pub quota: Quota,
    /// This node's part of it.
    pub rate: Rate,
}

impl Rated {
    /// A rate of a tenant.
    pub fn of(tenant: TenantId, quota: Quota, rate: Rate) -> Self {
        Self { scope: TenantScope::of_system(System::Loader, tenant), quota, rate }
    }
}

impl Gate {
    /// Gives out up to `wanted` requests, once those are counted that were admitted before the rate was known.
    pub(super) fn take_requests(
        self: &Arc<Self>,
        place: &Arc<Place>,
        scope: TenantScope,
        rate: Rate,
        now: u64,
        wanted: u64,
    ) -> Grant {
        let uncounted = place.uncounted.swap(0, Ordering::Relaxed);
        if uncounted > 0 {
            place.requests.charge(rate, now, uncounted);
        }
        self.take(place, Rated { scope, quota: Quota::RequestsPerMinute, rate }, now, wanted)
    }

    /// Gives out up to `wanted` of a rate.
    pub(super) fn take(self: &Arc<Self>, place: &Arc<Place>, rated: Rated, now: u64, wanted: u64) -> Grant {
        let tally = place.tally(rated.quota);
        if !self.shared_rates.are_used() {
            return tally.take(rated.rate, now, wanted);
        }
        let grant = tally.take_shared(rated.rate, now, wanted);
        self.order(place, rated, now);
        grant
    }

    /// How a rate stands, and how much of it there is in a minute: of all nodes where they share it.
    pub(super) fn stands(&self, tally: &Tally, rate: Rate, now: u64) -> (Rate, Standing) {
        if self.shared_rates.are_used() { tally.standing_shared(rate, now) } else { (rate, tally.standing(rate, now)) }
    }

    /// How many would be given out of a rate now.
    pub(super) fn left(self: &Arc<Self>, place: &Arc<Place>, rated: Rated, now: u64) -> Standing {
        let tally = place.tally(rated.quota);
        if !self.shared_rates.are_used() {
            return tally.standing(rated.rate, now);
        }
        self.order(place, rated, now);
        tally.left_shared(rated.rate, now)
    }

    /// Asks for a block, if one is wanted.
    fn order(self: &Arc<Self>, place: &Arc<Place>, Rated { scope, quota, rate }: Rated, now: u64) {
        let Some(order) = place.tally(quota).order(rate, now) else { return };
        let (gate, place) = (Arc::clone(self), Arc::clone(place));
        tokio::spawn(async move {
            let block = gate.shared_rates.take(scope, quota, order).await;
            place.tally(quota).answered(rate, order, block, gate.now());
        });
    }
}
