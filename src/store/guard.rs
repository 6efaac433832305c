//! What a call for a tenant passes before it has a connection: the breaker of its tier, which keeps calls from a database
//! that fails, and its tier's lane, which bounds how many connections the tier has at once.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use super::Error;
use crate::{
    admission::{Breaker, BreakerStatus, Call, Entry, LaneStatus, Lanes, Outcome, SLOW, Shares, Ticket},
    domain::{Quota, TenantId, Tier, random_permille},
};

/// What a call asks of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// To read.
    PostgresRead,
    /// To write.
    PostgresWrite,
}

impl Dependency {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::PostgresRead, Self::PostgresWrite];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::PostgresRead => "postgresRead",
            Self::PostgresWrite => "postgresWrite",
        }
    }

    /// The dependency of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dependency| dependency.name() == name)
    }
}

/// A failure that is made on purpose, to try what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Of the calls of this tier.
    pub tier: Tier,
    /// To this dependency.
    pub dependency: Dependency,
    /// What happens to them.
    pub kind: FaultKind,
    /// To how many.
    pub count: u32,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It fails at once.
    Error,
    /// It takes longer.
    Delay(Duration),
    /// It is not answered until a connection has been waited for long enough.
    Hang,
}

/// Says a tenant's tier, and how many connections it may have, if that is known.
type TierOf = dyn Fn(TenantId) -> Option<(Tier, u64)> + Send + Sync;

/// Breakers and lanes.
pub struct Guard {
    began: Instant,
    wait_max: Duration,
    tier_of: OnceLock<Box<TierOf>>,
    lanes: Mutex<Waiting>,
    /// For each dependency, that of each tier.
    breakers: [[Mutex<Breaker>; 3]; 2],
    faults: Mutex<Vec<Fault>>,
}

#[derive(Debug)]
struct Waiting {
    lanes: Lanes,
    awaited: HashMap<Ticket, oneshot::Sender<()>>,
}

/// A call that has passed, until it is dropped.
pub(super) struct Passage {
    dependency: Dependency,
    call: Call,
    outcome: Outcome,
    place: Place,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage").field("tier", &self.place.tier).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guard {
    /// That of a pool of so many connections, which are waited for at most so long.
    pub(super) fn new(connections: u32, wait_max: Duration) -> Self {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let most = |tier: Tier| {
            let cap = usize::try_from(Quota::DatabaseConnections.of_tier(tier)).unwrap_or(usize::MAX);
            Shares(connections).of_tier(tier).min(cap)
        };
        Self {
            began: Instant::now(),
            wait_max,
            tier_of: OnceLock::new(),
            lanes: Mutex::new(Waiting { lanes: Lanes::new(Tier::ALL.map(most)), awaited: HashMap::new() }),
            breakers: Default::default(),
            faults: Mutex::default(),
        }
    }

    /// From now on tiers are known by this; tenants without one are `free`.
    pub fn know_tiers(&self, tier_of: impl Fn(TenantId) -> Option<(Tier, u64)> + Send + Sync + 'static) {
        // Said once, by the engine of this store.
        let _ = self.tier_of.set(Box::new(tier_of));
    }

    /// How a tier's connections stand.
    pub fn lane(&self, tier: Tier) -> LaneStatus {
        locked(&self.lanes).lanes.status(tier)
    }

    /// How a tier's breaker stands.
    pub fn breaker(&self, dependency: Dependency, tier: Tier) -> BreakerStatus {
        let now = self.now();
        self.breaker_of(dependency, tier).map_or_else(|| Breaker::default().status(now), |breaker| breaker.status(now))
    }

    /// Has calls fail.
    pub fn fault(&self, fault: Fault) {
        locked(&self.faults).push(fault);
    }

    /// Ends all faults.
    pub fn end_faults(&self) {
        locked(&self.faults).clear();
    }

    /// Passes a call, if the breaker lets it through and there is room in time.
    pub(super) async fn pass(
        self: &Arc<Self>,
        operation: &'static str,
        tenant: TenantId,
        dependency: Dependency,
    ) -> Result<Passage, Error> {
        let known = self.tier_of.get().and_then(|tier_of| tier_of(tenant));
        let (tier, cap) = known.unwrap_or_else(|| (Tier::Free, Quota::DatabaseConnections.of_tier(Tier::Free)));
        let asked = self.breaker_of(dependency, tier).map(|mut breaker| breaker.ask(self.now(), random_permille()));
        let call = match asked {
            Some(Ok(call)) => call,
            Some(Err(wait)) => return Err(Error::BreakerOpen { operation, dependency, wait }),
            None => return Err(Error::Busy { operation }),
        };
        let place = Place { guard: Arc::clone(self), tenant, tier, ticket: None, is_given: false };
        let mut passage = Passage { dependency, call, outcome: Outcome::Abandoned, place };
        if let Err(is_late) = passage.place.take(usize::try_from(cap).unwrap_or(usize::MAX)).await {
            // A tier whose connections are all in use for so long is not served: calls that come later need not wait.
            passage.outcome = if is_late { Outcome::Failed } else { Outcome::Abandoned };
            return Err(Error::Busy { operation });
        }
        self.suffer(operation, &mut passage).await?;
        Ok(passage)
    }

    /// Does to a call what was asked for by way of a fault.
    async fn suffer(&self, operation: &'static str, passage: &mut Passage) -> Result<(), Error> {
        let Some(kind) = self.next_fault(passage.place.tier, passage.dependency) else { return Ok(()) };
        match kind {
            FaultKind::Delay(time) => {
                let began = Instant::now();
                tokio::time::sleep(time).await;
                passage.note(None, began);
                return Ok(());
            }
            FaultKind::Hang => tokio::time::sleep(self.wait_max).await,
            FaultKind::Error => {}
        }
        let error = Error::of(operation, sqlx::Error::Io(std::io::Error::other("a fault that was asked for")));
        passage.note(Some(&error), Instant::now());
        Err(error)
    }

    fn next_fault(&self, tier: Tier, dependency: Dependency) -> Option<FaultKind> {
        let mut faults = locked(&self.faults);
        let fault = faults.iter_mut().find(|fault| fault.tier == tier && fault.dependency == dependency)?;
        fault.count = fault.count.saturating_sub(1);
        let kind = fault.kind;
        faults.retain(|fault| fault.count > 0);
        Some(kind)
    }

    /// No connection could be made: that is so for all tiers.
    fn unreachable(&self, passage: &Passage) {
        for dependency in Dependency::ALL {
            for tier in Tier::ALL {
                if tier == passage.place.tier && dependency == passage.dependency {
                    continue;
                }
                let now = self.now();
                if let Some(mut breaker) = self.breaker_of(dependency, tier)
                    && let Ok(call) = breaker.ask(now, random_permille())
                {
                    breaker.report(call, Outcome::Failed, now, random_permille());
                }
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn breaker_of(&self, dependency: Dependency, tier: Tier) -> Option<MutexGuard<'_, Breaker>> {
        self.breakers.get(dependency as usize)?.get(tier as usize).map(locked)
    }

    fn wake(waiting: &mut Waiting, served: Vec<Ticket>) {
        for ticket in served {
            // Whoever has gone meanwhile gives the place back by itself.
            if let Some(awaited) = waiting.awaited.remove(&ticket) {
                let _ = awaited.send(());
            }
        }
    }
}

/// A place in a lane that is asked for, or had; given back if it is dropped while it is.
struct Place {
    guard: Arc<Guard>,
    tenant: TenantId,
    tier: Tier,
    ticket: Option<Ticket>,
    is_given: bool,
}

impl Place {
    /// Waits for the place. `Err`: there is none, and whether that was waited for.
    async fn take(&mut self, cap: usize) -> Result<(), bool> {
        let (ticket, given) = {
            let mut waiting = locked(&self.guard.lanes);
            match waiting.lanes.enter(self.tenant, self.tier, cap) {
                Entry::Given => {
                    self.is_given = true;
                    return Ok(());
                }
                Entry::Full => return Err(false),
                Entry::Queued(ticket) => {
                    let (sender, given) = oneshot::channel();
                    waiting.awaited.insert(ticket, sender);
                    (ticket, given)
                }
            }
        };
        self.ticket = Some(ticket);
        match timeout(self.guard.wait_max, given).await {
            Ok(Ok(())) => {
                (self.ticket, self.is_given) = (None, true);
                Ok(())
            }
            _ => Err(true),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = locked(&self.guard.lanes);
        let mut is_given = self.is_given;
        if let Some(ticket) = self.ticket {
            waiting.awaited.remove(&ticket);
            let (was_waiting, served) = waiting.lanes.give_up(ticket);
            // It was given at the last moment.
            is_given = !was_waiting;
            Guard::wake(&mut waiting, served);
        }
        if is_given {
            let served = waiting.lanes.leave(self.tenant, self.tier);
            Guard::wake(&mut waiting, served);
        }
    }
}

impl Passage {
    /// Notes how a statement of the call, begun then, has ended.
    pub(super) fn note(&mut self, error: Option<&Error>, began: Instant) {
        let outcome = match error {
            Some(error) if error.is_failure() => Outcome::Failed,
            _ if began.elapsed() >= SLOW => Outcome::Slow,
            _ => Outcome::Answered,
        };
        // The worst of a transaction's statements.
        let rank = |outcome| match outcome {
            Outcome::Abandoned => 0,
            Outcome::Answered => 1,
            Outcome::Slow => 2,
            Outcome::Failed => 3,
        };
        if rank(outcome) > rank(self.outcome) {
            self.outcome = outcome;
        }
    }

    /// No connection could be had; `is_unreachable`: since none can be made.
    pub(super) fn note_unconnected(&mut self, error: &Error, began: Instant, is_unreachable: bool) {
        self.note(Some(error), began);
        if is_unreachable {
            self.place.guard.unreachable(self);
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let guard = &self.place.guard;
        if let Some(mut breaker) = guard.breaker_of(self.dependency, self.place.tier) {
            breaker.report(self.call, self.outcome, guard.now(), random_permille());
        }
    }
}
