//! The gate: whether a tenant's request is admitted now. Its state leaves memory by itself once it says nothing any more.
//!
//! What a tenant may ask for is in its rule set. Of a tenant that is not in memory it is read from the database in the
//! background: a request never waits for it, and what was taken meanwhile is counted afterwards.

mod further;
mod sharing;
mod standing;
mod tally;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::DashMap;
use foldhash::quality::RandomState;

pub use self::standing::{RateRefused, Refused, TenantStanding, TierStanding};
use self::{sharing::Rated, tally::Tally};
use super::{
    Engine,
    pressure::{Part, Pressure},
};
use crate::{
    admission::{Grant, Limits, Rate, Shares, Standing},
    domain::{Quota, System, Tenant, TenantId, TenantScope, Tier, nanos},
    engine::{metrics::Metrics, options::GateOptions},
    shared::SharedRates,
    telemetry::Counter,
};

/// How long what was read of a tenant that is not in memory is believed.
const LIMITS_AGE_MAX: Duration = Duration::from_secs(2);
/// From so many places on, those that say nothing any more are looked for.
const PLACES_MIN: usize = 1_024;

/// What is admitted, and what is in hand.
#[derive(Debug)]
pub struct Gate {
    began: Instant,
    options: GateOptions,
    /// What nodes share of tenants' rates.
    shared_rates: SharedRates,
    places: DashMap<TenantId, Arc<Place>, RandomState>,
    /// How many places there are when they are looked through again.
    sweep_at: AtomicUsize,
    in_hand: AtomicUsize,
    /// Requests in hand of the tier `free`, and of both that are below `enterprise`.
    lower: [AtomicUsize; 2],
    tiers: [Counts; 3],
    pub(super) pressure: Pressure,
}

/// What is counted of a tier.
#[derive(Debug)]
struct Counts {
    in_hand: AtomicUsize,
    admitted: Counter,
    /// For the rate, the number in hand, the node's load.
    refused: [Counter; 3],
    /// What its decisions took, in nanoseconds.
    evaluation_ns: AtomicU64,
}

/// What the gate knows of a tenant.
#[derive(Debug, Default)]
pub(super) struct Place {
    requests: Tally,
    events: Tally,
    in_hand: AtomicUsize,
    /// Requests that were admitted before it was known how many may be.
    uncounted: AtomicU64,
    /// What was read of a tenant that is not in memory, `None` if there is no such tenant, and when.
    known: Mutex<Option<(Option<Limits>, Instant)>>,
    is_asking: AtomicBool,
    /// Its part in the pressure on the node.
    pub part: Part,
}

/// A request in hand, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    place: Option<Arc<Place>>,
    tier: Option<Tier>,
    rate: Option<(Rate, Standing)>,
}

impl Gate {
    /// One that has admitted nothing yet.
    pub fn new(options: GateOptions, shared_rates: SharedRates, metrics: &Metrics) -> Self {
        let counts = |tier: Tier| Counts {
            in_hand: AtomicUsize::new(0),
            admitted: metrics.admission(tier.name(), "admitted"),
            evaluation_ns: AtomicU64::new(0),
            refused: ["rate", "concurrency", "pressure"].map(|outcome| metrics.admission(tier.name(), outcome)),
        };
        Self {
            began: Instant::now(),
            options,
            shared_rates,
            places: DashMap::default(),
            sweep_at: AtomicUsize::new(PLACES_MIN),
            in_hand: AtomicUsize::new(0),
            lower: Default::default(),
            tiers: Tier::ALL.map(counts),
            pressure: Pressure::default(),
        }
    }

    /// Whether tenants are limited at all.
    pub(super) fn is_limiting(&self) -> bool {
        self.options.is_limiting
    }

    /// Requests in hand.
    pub(super) fn in_hand(&self) -> usize {
        self.in_hand.load(Ordering::Relaxed)
    }

    /// How many there may be.
    pub(super) fn in_hand_max(&self) -> usize {
        self.options.in_hand_max
    }

    /// The places of all tenants that it knows anything of.
    pub(super) fn parts(&self) -> Vec<(TenantId, Arc<Place>)> {
        self.places.iter().map(|place| (*place.key(), Arc::clone(place.value()))).collect()
    }

    /// How many requests of a tenant are in hand, and how many of a thousand are admitted.
    pub(super) fn load_of(&self, tenant: TenantId) -> (u64, u32) {
        let load = |place: &Place| (place.in_hand.load(Ordering::Relaxed) as u64, place.part.admitted_permille());
        self.places.get(&tenant).map_or_else(|| load(&Place::default()), |place| load(&place))
    }

    /// A decision of a tenant of the tier took so long.
    #[inline]
    pub(super) fn evaluated(&self, tier: Tier, took: Duration) {
        if let Some(counts) = self.counts(tier) {
            counts.evaluation_ns.fetch_add(nanos(took), Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    pub(super) fn place(&self, tenant: TenantId) -> Arc<Place> {
        if let Some(place) = self.places.get(&tenant) {
            return Arc::clone(&place);
        }
        let place = Arc::clone(&self.places.entry(tenant).or_default());
        if self.places.len() >= self.sweep_at.load(Ordering::Relaxed) {
            let now = self.now();
            self.places.retain(|_, place| Arc::strong_count(place) > 1 || !place.is_idle(now));
            self.sweep_at.store((self.places.len() * 2).max(PLACES_MIN), Ordering::Relaxed);
        }
        place
    }

    /// Forgets what it knows of a tenant: that there is none, say, which was asked while it was made.
    pub(super) fn forget(&self, tenant: TenantId) {
        self.places.remove(&tenant);
    }

    fn refuse(&self, tier: Option<Tier>, refused: Refused) -> Refused {
        let kind = match refused {
            Refused::Rate(_) => 0,
            Refused::InHand { .. } => 1,
            Refused::Overloaded => 2,
        };
        let counts = tier.and_then(|tier| self.counts(tier));
        if let Some(count) = counts.and_then(|counts| counts.refused.get(kind)) {
            count.inc();
        }
        refused
    }

    /// Counts one more of a tier, if it and those below it, and those of the next one, have room for it.
    fn enter_tier(&self, tier: Tier) -> bool {
        let shares = Shares(self.options.in_hand_max);
        let lower = || self.lower.iter().zip(Tier::ALL).skip(tier as usize);
        for (entered, (count, level)) in lower().enumerate() {
            if !enter(count, shares.of_tier(level)) {
                for (count, _) in lower().take(entered) {
                    count.fetch_sub(1, Ordering::Relaxed);
                }
                return false;
            }
        }
        if let Some(counts) = self.counts(tier) {
            counts.in_hand.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    fn leave_tier(&self, tier: Tier) {
        for count in self.lower.iter().skip(tier as usize) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(counts) = self.counts(tier) {
            counts.in_hand.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn counts(&self, tier: Tier) -> Option<&Counts> {
        self.tiers.get(tier as usize)
    }
}

impl Place {
    fn known(&self) -> MutexGuard<'_, Option<(Option<Limits>, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was given out of one of its rates.
    fn tally(&self, quota: Quota) -> &Tally {
        if quota == Quota::EventsPerMinute { &self.events } else { &self.requests }
    }

    /// Whether forgetting it changes nothing.
    fn is_idle(&self, now: u64) -> bool {
        let has_none = self.in_hand.load(Ordering::Relaxed) == 0 && self.part.is_idle();
        has_none && self.requests.is_past(now) && self.events.is_past(now)
    }
}

/// Counts one more, if there are not `most` already.
fn enter(count: &AtomicUsize, most: usize) -> bool {
    let one_more = |count: usize| (count < most).then_some(count + 1);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
}

impl Permit {
    /// How the tenant's rate stands after this request, if it has one.
    pub fn rate(&self) -> Option<(Rate, Standing)> {
        self.rate
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.in_hand.fetch_sub(1, Ordering::Relaxed);
        if let Some(tier) = self.tier {
            self.gate.leave_tier(tier);
        }
        if let Some(place) = &self.place {
            place.in_hand.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Engine {
    /// Admits a request: of a tenant within its rate and number in hand, and of anybody within the node's.
    pub fn admit(&self, tenant: Option<TenantScope>) -> Result<Permit, Refused> {
        let gate = &self.inner.gate;
        if !enter(&gate.in_hand, gate.options.in_hand_max) {
            return Err(gate.refuse(None, Refused::Overloaded));
        }
        let mut permit = Permit { gate: Arc::clone(gate), place: None, tier: None, rate: None };
        if let Some(scope) = tenant.filter(|_| gate.options.is_limiting) {
            self.admit_tenant(scope, &mut permit)?;
        }
        Ok(permit)
    }

    /// Counts a tenant's request in `permit`, which gives back what it counts.
    fn admit_tenant(&self, scope: TenantScope, permit: &mut Permit) -> Result<(), Refused> {
        let gate = &self.inner.gate;
        let place = gate.place(scope.id());
        let limits = self.limits(scope, &place);
        let most = limits.map_or(usize::MAX, |limits| usize::try_from(limits.in_hand).unwrap_or(usize::MAX));
        if !enter(&place.in_hand, most) {
            let limit = most as u64;
            return Err(gate.refuse(limits.map(|limits| limits.tier), Refused::InHand { limit }));
        }
        permit.place = Some(Arc::clone(&place));
        let Some(limits) = limits else {
            place.uncounted.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        if !place.part.admits() || !gate.enter_tier(limits.tier) {
            return Err(gate.refuse(Some(limits.tier), Refused::Overloaded));
        }
        permit.tier = Some(limits.tier);
        let Some(rate) = limits.requests else {
            self.admitted(limits.tier);
            return Ok(());
        };
        let now = gate.now();
        let Grant { granted, wait, .. } = gate.take_requests(&place, scope, rate, now, 1);
        if granted == 0 {
            let refused = RateRefused { quota: Quota::RequestsPerMinute, limit: rate.quota(), wait };
            return Err(gate.refuse(Some(limits.tier), Refused::Rate(refused)));
        }
        permit.rate = Some(gate.stands(&place.requests, rate, now));
        self.admitted(limits.tier);
        Ok(())
    }

    fn admitted(&self, tier: Tier) {
        if let Some(counts) = self.inner.gate.counts(tier) {
            counts.admitted.inc();
        }
    }

    /// Takes up to `wanted` events of the tenant's rate; answers how many, and why not all.
    pub fn admit_events(&self, tenant: &Tenant, wanted: u64) -> (u64, Option<RateRefused>) {
        let gate = &self.inner.gate;
        let Some(rate) = self.part(tenant).events.filter(|_| gate.options.is_limiting) else { return (wanted, None) };
        let Grant { granted, wait, .. } =
            gate.take(&gate.place(tenant.id), Rated::of(tenant.id, Quota::EventsPerMinute, rate), gate.now(), wanted);
        let refused = || RateRefused { quota: Quota::EventsPerMinute, limit: rate.quota(), wait };
        (granted, (granted < wanted).then(refused))
    }

    /// How many events the tenant may send now; `None`: as many as it likes.
    pub fn events_left(&self, tenant: &Tenant) -> Option<Standing> {
        let gate = &self.inner.gate;
        let rate = self.part(tenant).events.filter(|_| gate.options.is_limiting)?;
        Some(gate.left(&gate.place(tenant.id), Rated::of(tenant.id, Quota::EventsPerMinute, rate), gate.now()))
    }

    /// What a tenant uses on this node.
    pub fn standing(&self, tenant: &Tenant) -> TenantStanding {
        let gate = &self.inner.gate;
        let Some(place) = gate.places.get(&tenant.id) else { return TenantStanding::default() };
        let (limits, now) = (self.part(tenant), gate.now());
        let used = |rate: Option<Rate>, tally: &Tally| {
            let (rate, standing) = gate.stands(tally, rate.filter(|_| gate.options.is_limiting)?, now);
            Some(rate.limit().saturating_sub(standing.left))
        };
        TenantStanding {
            requests: used(limits.requests, &place.requests),
            events: used(limits.events, &place.events),
            in_hand: place.in_hand.load(Ordering::Relaxed) as u64,
        }
    }

    /// What the tiers use on this node.
    pub fn tier_standing(&self, tier: Tier) -> TierStanding {
        let gate = &self.inner.gate;
        let counts = gate.counts(tier);
        TierStanding {
            in_hand: counts.map_or(0, |counts| counts.in_hand.load(Ordering::Relaxed)),
            in_hand_max: Shares(gate.options.in_hand_max).of_tier(tier),
            refused: counts
                .map_or([0; 3], |counts| [0, 1, 2].map(|kind| counts.refused.get(kind).map_or(0, Counter::get))),
            evaluation: counts
                .map_or(Duration::ZERO, |counts| Duration::from_nanos(counts.evaluation_ns.load(Ordering::Relaxed))),
        }
    }

    /// What a tenant may ask for, if that is known.
    pub(super) fn known_limits(&self, tenant: TenantId) -> Option<Limits> {
        let place = self.inner.gate.place(tenant);
        self.limits(TenantScope::of_system(System::Loader, tenant), &place)
    }

    /// This node's part of what a tenant may ask for.
    fn part(&self, tenant: &Tenant) -> Limits {
        Limits::of(tenant).shared_by(self.inner.shared.live_nodes.load(Ordering::Relaxed))
    }

    /// What a tenant may ask for: as its rule set says, or as was last read. `None`: that is not known yet.
    fn limits(&self, scope: TenantScope, place: &Arc<Place>) -> Option<Limits> {
        if let Some(limits) = self.inner.shared.registry.settings(scope.id(), |tenant| self.part(tenant)) {
            return Some(limits);
        }
        let known = *place.known();
        if known.is_none_or(|(_, at)| at.elapsed() > LIMITS_AGE_MAX) && !place.is_asking.swap(true, Ordering::Relaxed) {
            let (engine, place) = (self.clone(), Arc::clone(place));
            tokio::spawn(async move {
                // That there is no such tenant is remembered, too: the request itself answers for it, and for a database
                // that does not answer.
                if let Ok(tenant) = engine.inner.shared.store.tenant(scope).await {
                    *place.known() = Some((tenant.map(|tenant| engine.part(&tenant)), Instant::now()));
                }
                place.is_asking.store(false, Ordering::Relaxed);
            });
        }
        known.and_then(|(limits, _)| limits)
    }
}
