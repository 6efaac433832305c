//! The circuit breakers of what is called over a connection, one for each dependency and tier, and the failures of them
//! that an operator asks for. Not what a failure is: whoever calls says how that ended.

mod metrics;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    admission::{Breaker, BreakerState, BreakerStatus, Call, Limits, Outcome, SLOW},
    domain::{TenantId, Tier, nanos, random_permille},
};

pub use self::metrics::Metrics;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// The database, to read.
    PostgresRead,
    /// The database, to write.
    PostgresWrite,
    /// The broker, to publish.
    Broker,
    /// Redis.
    Redis,
}

impl Dependency {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PostgresRead, Self::PostgresWrite, Self::Broker, Self::Redis];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::PostgresRead => "postgresRead",
            Self::PostgresWrite => "postgresWrite",
            Self::Broker => "broker",
            Self::Redis => "redis",
        }
    }

    /// The dependency of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dependency| dependency.name() == name)
    }

    /// Those that are called over the same connections.
    fn beside(self) -> &'static [Self] {
        match self {
            Self::PostgresRead | Self::PostgresWrite => &[Self::PostgresRead, Self::PostgresWrite],
            Self::Broker => &[Self::Broker],
            Self::Redis => &[Self::Redis],
        }
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
    /// It is not answered for as long as a call may take.
    Hang,
}

/// A call failed because that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fault that was asked for")]
pub struct Faulty;

/// A dependency has failed too often of late to be called again already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{}` has failed, and is not called now", .dependency.name())]
pub struct BreakerOpen {
    /// Which.
    pub dependency: Dependency,
    /// When it is called again.
    pub wait: Duration,
}

/// How long publishing to the broker is refused before it is tried again.
const BROKER_OPEN_MAX: Duration = Duration::from_secs(1);

/// Says what a tenant may ask for, if that is known.
type LimitsOf = dyn Fn(TenantId) -> Option<Limits> + Send + Sync;

/// The breakers; cheap to clone.
#[derive(Clone, Default)]
pub struct Breakers(Arc<Inner>);

struct Inner {
    began: Instant,
    limits_of: OnceLock<Box<LimitsOf>>,
    /// For each dependency, that of each tier.
    breakers: [[Mutex<Breaker>; 3]; 4],
    faults: Mutex<Vec<Fault>>,
    metrics: Metrics,
}

/// A call that was let through, until it is dropped: then its end is reported.
pub struct Passage {
    breakers: Breakers,
    dependency: Dependency,
    tier: Tier,
    call: Call,
    outcome: Outcome,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            limits_of: OnceLock::new(),
            breakers: Dependency::ALL.map(|dependency| Tier::ALL.map(|_| Mutex::new(breaker(dependency)))),
            faults: Mutex::default(),
            metrics: Metrics::default(),
        }
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").field("breakers", &self.0.breakers).finish_non_exhaustive()
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dependency, tier, call, outcome, .. } = self;
        write!(f, "Passage({dependency:?}, {tier:?}, {call:?}, {outcome:?})")
    }
}

/// A breaker for what tries by itself to be connected again, and is refused at once while it is not, waits no longer than
/// the first time: further waits would only begin after it is back.
fn breaker(dependency: Dependency) -> Breaker {
    match dependency {
        Dependency::Broker => Breaker::open_at_most(BROKER_OPEN_MAX),
        Dependency::PostgresRead | Dependency::PostgresWrite | Dependency::Redis => Breaker::default(),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Breakers {
    /// Those that count in these metrics.
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner { metrics, ..Inner::default() }))
    }

    /// From now on tenants' limits are known by this.
    pub fn know_limits(&self, limits_of: impl Fn(TenantId) -> Option<Limits> + Send + Sync + 'static) {
        // Said once, by the engine.
        let _ = self.0.limits_of.set(Box::new(limits_of));
    }

    /// What a tenant may ask for, if that is known.
    pub fn limits_of(&self, tenant: TenantId) -> Option<Limits> {
        self.0.limits_of.get().and_then(|limits_of| limits_of(tenant))
    }

    /// The tier that a tenant's calls count in; one that is not known counts as `free`.
    pub fn tier_of(&self, tenant: TenantId) -> Tier {
        self.limits_of(tenant).map_or(Tier::Free, |limits| limits.tier)
    }

    /// How a tier's breaker stands.
    pub fn status(&self, dependency: Dependency, tier: Tier) -> BreakerStatus {
        let now = self.now();
        let breaker = self.breaker(dependency, tier).map(locked);
        breaker.map_or_else(|| Breaker::default().status(now), |breaker| breaker.status(now))
    }

    /// Sets the gauges of all breakers.
    pub fn measure(&self) {
        for dependency in Dependency::ALL {
            for tier in Tier::ALL {
                self.0.metrics.state(dependency, tier, self.status(dependency, tier).state);
            }
        }
    }

    /// Has calls fail.
    pub fn fault(&self, fault: Fault) {
        locked(&self.0.faults).push(fault);
    }

    /// Ends all faults.
    pub fn end_faults(&self) {
        locked(&self.0.faults).clear();
    }

    /// Asks whether a call may be made.
    pub fn ask(&self, dependency: Dependency, tier: Tier) -> Result<Passage, BreakerOpen> {
        let now = self.now();
        let asked = self.change(dependency, tier, |breaker| breaker.ask(now, random_permille()));
        let call = asked.unwrap_or(Err(Duration::ZERO)).map_err(|wait| BreakerOpen { dependency, wait })?;
        Ok(Passage { breakers: self.clone(), dependency, tier, call, outcome: Outcome::Abandoned })
    }

    /// There is a reason to believe that a dependency is back: the next calls are probes.
    pub fn probe_now(&self, dependency: Dependency) {
        let now = self.now();
        for tier in Tier::ALL {
            self.change(dependency, tier, |breaker| breaker.probe_now(now));
        }
    }

    fn breaker(&self, dependency: Dependency, tier: Tier) -> Option<&Mutex<Breaker>> {
        self.0.breakers.get(dependency as usize)?.get(tier as usize)
    }

    /// Changes a breaker, and tells if its state became another.
    fn change<T>(&self, dependency: Dependency, tier: Tier, change: impl FnOnce(&mut Breaker) -> T) -> Option<T> {
        let mut breaker = locked(self.breaker(dependency, tier)?);
        let before = breaker.state();
        let answer = change(&mut breaker);
        let after = breaker.state();
        drop(breaker);
        if after != before {
            self.0.metrics.transition(dependency, tier, after);
            let (dependency, tier) = (dependency.name(), tier.name());
            match after {
                BreakerState::Open => warn!(dependency, tier, "a circuit breaker is open"),
                BreakerState::HalfOpen => {}
                BreakerState::Closed => info!(dependency, tier, "a circuit breaker is closed again"),
            }
        }
        Some(answer)
    }

    fn next_fault(&self, dependency: Dependency, tier: Tier) -> Option<FaultKind> {
        let mut faults = locked(&self.0.faults);
        let fault = faults.iter_mut().find(|fault| fault.tier == tier && fault.dependency == dependency)?;
        fault.count = fault.count.saturating_sub(1);
        let kind = fault.kind;
        faults.retain(|fault| fault.count > 0);
        Some(kind)
    }

    fn now(&self) -> u64 {
        nanos(self.0.began.elapsed())
    }
}

impl Passage {
    /// Does to the call what was asked for by way of a fault; `hang`: for how long it may take.
    pub async fn suffer(&mut self, hang: Duration) -> Result<(), Faulty> {
        match self.breakers.next_fault(self.dependency, self.tier) {
            None => return Ok(()),
            Some(FaultKind::Delay(time)) => {
                let began = Instant::now();
                sleep(time).await;
                self.answered(began);
                return Ok(());
            }
            Some(FaultKind::Hang) => sleep(hang).await,
            Some(FaultKind::Error) => {}
        }
        self.failed();
        Err(Faulty)
    }

    /// What was asked then was answered, with an error of the caller's or without.
    pub fn answered(&mut self, began: Instant) {
        self.note(if began.elapsed() >= SLOW { Outcome::Slow } else { Outcome::Answered });
    }

    /// The dependency failed.
    pub fn failed(&mut self) {
        self.note(Outcome::Failed);
    }

    /// The same because there is no connection, which is so for all tiers.
    pub fn unconnected(&mut self) {
        self.failed();
        for dependency in self.dependency.beside() {
            for tier in Tier::ALL {
                if (*dependency, tier) == (self.dependency, self.tier) {
                    continue;
                }
                let now = self.breakers.now();
                self.breakers.change(*dependency, tier, |breaker| {
                    if let Ok(call) = breaker.ask(now, random_permille()) {
                        breaker.report(call, Outcome::Failed, now, random_permille());
                    }
                });
            }
        }
    }

    /// The worst counts of all that a call asked.
    fn note(&mut self, outcome: Outcome) {
        self.outcome = self.outcome.max(outcome);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let (now, call, outcome) = (self.breakers.now(), self.call, self.outcome);
        let report = |breaker: &mut Breaker| breaker.report(call, outcome, now, random_permille());
        self.breakers.change(self.dependency, self.tier, report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(breakers: &Breakers, dependency: Dependency) -> [BreakerState; 3] {
        Tier::ALL.map(|tier| breakers.status(dependency, tier).state)
    }

    #[test]
    fn a_failure_is_its_tiers_and_a_connection_that_is_gone_everybodys() {
        use BreakerState::{Closed, HalfOpen, Open};
        let breakers = Breakers::default();
        for _ in 0..5 {
            breakers.ask(Dependency::Redis, Tier::Free).unwrap().failed();
        }
        assert_eq!(states(&breakers, Dependency::Redis), [Open, Closed, Closed]);
        let refused = breakers.ask(Dependency::Redis, Tier::Free).unwrap_err();
        assert!(refused.dependency == Dependency::Redis && refused.wait > Duration::ZERO, "{refused:?}");
        for _ in 0..5 {
            breakers.ask(Dependency::PostgresRead, Tier::Pro).unwrap().unconnected();
        }
        assert_eq!(states(&breakers, Dependency::PostgresRead), [Open; 3]);
        assert_eq!(states(&breakers, Dependency::PostgresWrite), [Open; 3]);
        assert_eq!(states(&breakers, Dependency::Broker), [Closed; 3]);
        breakers.probe_now(Dependency::PostgresRead);
        assert_eq!(states(&breakers, Dependency::PostgresRead), [HalfOpen; 3]);
        assert!(breakers.ask(Dependency::PostgresRead, Tier::Pro).is_ok());
    }

    #[tokio::test]
    async fn a_fault_hits_as_many_calls_as_were_asked_for() {
        let breakers = Breakers::default();
        let fault = Fault { tier: Tier::Pro, dependency: Dependency::Broker, kind: FaultKind::Error, count: 2 };
        breakers.fault(fault);
        let mut hit = Vec::new();
        for tier in [Tier::Free, Tier::Pro, Tier::Pro, Tier::Pro] {
            let mut passage = breakers.ask(Dependency::Broker, tier).unwrap();
            hit.push(passage.suffer(Duration::ZERO).await.is_err());
        }
        assert_eq!(hit, [false, true, true, false]);
        assert_eq!(breakers.status(Dependency::Broker, Tier::Pro).failures, 2);
        breakers.fault(fault);
        breakers.end_faults();
        assert!(breakers.ask(Dependency::Broker, Tier::Pro).unwrap().suffer(Duration::ZERO).await.is_ok());
    }
}
