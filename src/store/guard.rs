//! What a call for a tenant passes before it has a connection: the breaker of its tier, which keeps calls from a database
//! that fails, and its tier's lane, which bounds how many connections the tier has at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use super::Error;
use crate::{
    admission::{Entry, LaneStatus, Lanes, Shares, Ticket},
    breakers::{self, BreakerOpen, Breakers, Dependency},
    domain::{Quota, TenantId, Tier},
};

/// Breakers and lanes.
#[derive(Debug)]
pub struct Guard {
    wait_max: Duration,
    breakers: Breakers,
    lanes: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    lanes: Lanes,
    awaited: HashMap<Ticket, oneshot::Sender<()>>,
}

/// A call that has passed, until it is dropped. What it says to the breaker comes before its place is given back.
#[derive(Debug)]
pub(super) struct Passage {
    call: breakers::Passage,
    _place: Place,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guard {
    /// That of a pool of so many connections, which are waited for at most so long.
    pub(super) fn new(connections: u32, wait_max: Duration, breakers: Breakers) -> Self {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let most = |tier: Tier| {
            let cap = usize::try_from(Quota::DatabaseConnections.of_tier(tier)).unwrap_or(usize::MAX);
            Shares(connections).of_tier(tier).min(cap)
        };
        let lanes = Lanes::new(Tier::ALL.map(most));
        Self { wait_max, breakers, lanes: Mutex::new(Waiting { lanes, awaited: HashMap::new() }) }
    }

    /// How a tier's connections stand.
    pub fn lane(&self, tier: Tier) -> LaneStatus {
        locked(&self.lanes).lanes.status(tier)
    }

    /// Passes a call, if the breaker lets it through and there is room in time.
    pub(super) async fn pass(
        self: &Arc<Self>,
        operation: &'static str,
        tenant: TenantId,
        dependency: Dependency,
    ) -> Result<Passage, Error> {
        let known = self.breakers.limits_of(tenant).map(|limits| (limits.tier, limits.connections));
        let (tier, cap) = known.unwrap_or_else(|| (Tier::Free, Quota::DatabaseConnections.of_tier(Tier::Free)));
        let open = |BreakerOpen { dependency, wait }| Error::BreakerOpen { operation, dependency, wait };
        let mut call = self.breakers.ask(dependency, tier).map_err(open)?;
        let mut place = Place { guard: Arc::clone(self), tenant, tier, ticket: None, is_given: false };
        if let Err(is_late) = place.take(usize::try_from(cap).unwrap_or(usize::MAX)).await {
            if is_late {
                // A tier whose connections are all in use for so long is not served: calls that come later need not wait.
                call.failed();
            }
            return Err(Error::Busy { operation });
        }
        let faulty = |faulty| Error::of(operation, sqlx::Error::Io(std::io::Error::other(faulty)));
        call.suffer(self.wait_max).await.map_err(faulty)?;
        Ok(Passage { call, _place: place })
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
#[derive(Debug)]
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
        match error {
            Some(error) if error.is_failure() => self.call.failed(),
            _ => self.call.answered(began),
        }
    }

    /// No connection could be made.
    pub(super) fn note_unconnected(&mut self, error: &Error) {
        if error.is_failure() {
            self.call.unconnected();
        }
    }
}
