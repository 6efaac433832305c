//! The actor that keeps one tenant: it alone loads, compiles and publishes the tenant's rule set.
//!
//! Decisions never pass through it. Loading runs in a task of its own, so that the mailbox is never held up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::timeout,
};
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::{
    Shared,
    publication::{Publication, Version, publication},
    registry::Resident,
    reload::{self, Action, Input, Want},
    supervisor,
};
use crate::{
    domain::{Revision, TenantId},
    ruleset::RuleSet,
    store,
};

/// How long reading a tenant may take: ten thousand rules take a fiftieth of it. A load that never ended would be one
/// that no hint could follow.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(5);

/// What a tenant's actor is sent.
#[derive(Debug)]
pub enum Msg {
    /// From the supervisor, for a caller that found no set, or one too old. Answered when there is one that will do,
    /// or as soon as it is known that there is none.
    Ensure(Waiter),
    /// From the listener and from reconciling: the hints of the [`Resident`] tell what. At most one is in the mailbox.
    Hinted,
    /// From the load that this actor began.
    Loaded(Result<Option<Arc<RuleSet>>, LoadError>),
    /// From this actor's own timer, when a failed load is to be tried again.
    RetryDue,
    /// From the supervisor, which has taken the tenant out of the registry and sends nothing after this. Callers that
    /// still wait are handed back to it.
    Stop,
}

/// A caller that waits for a rule set.
#[derive(Debug)]
pub struct Waiter {
    /// The revision it needs at least.
    pub revision_min: Option<Revision>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Arc<RuleSet>, Missing>>,
    /// Its place among all that wait; given back with the answer.
    pub _permit: OwnedSemaphorePermit,
}

/// Why there is no rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// There is no such tenant.
    Tenant,
    /// It cannot be loaded now.
    Load,
}

/// Why a load failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The answer did not come: nothing in a half-open connection tells that it is one.
    #[error("the database did not answer in time")]
    Deadline(#[from] tokio::time::error::Elapsed),
    /// Loading or compiling panicked: a defect of ours, kept to this tenant.
    #[error("loading the rule set panicked")]
    Panic,
}

/// What the actor starts with.
#[derive(Debug)]
pub struct Args {
    /// The tenant.
    pub tenant: TenantId,
    /// Where it publishes.
    pub resident: Arc<Resident>,
    /// Who started it.
    pub supervisor: ActorRef<supervisor::Msg>,
    /// What all actors share.
    pub shared: Arc<Shared>,
}

/// What the actor knows.
#[derive(Debug)]
pub struct State {
    args: Args,
    reload: reload::State,
    waiters: Vec<Waiter>,
    /// When the first hint came that nothing was published for yet.
    heard_at: Option<Instant>,
}

/// The actor.
#[derive(Debug)]
pub struct TenantActor;

impl Actor for TenantActor {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, _myself: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        Ok(State { args, reload: reload::State::Idle, waiters: Vec::new(), heard_at: None })
    }

    async fn handle(&self, myself: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Ensure(waiter) => state.ensure(&myself, waiter),
            Msg::Hinted => state.hinted(&myself),
            Msg::Loaded(Ok(Some(set))) => state.loaded(&myself, set),
            Msg::Loaded(Ok(None)) => state.gone(&myself),
            Msg::Loaded(Err(error)) => state.failed(&myself, &error),
            Msg::RetryDue => state.advance(&myself, Input::RetryDue),
            Msg::Stop => state.stop(&myself),
        }
        Ok(())
    }
}

impl State {
    fn ensure(&mut self, myself: &ActorRef<Msg>, waiter: Waiter) {
        let Some(waiter) = answer_if_served(waiter, self.args.resident.set()) else { return };
        let want = waiter.revision_min.map_or(Want::Fresh, Want::AtLeast);
        self.waiters.push(waiter);
        self.advance(myself, Input::Hint(want));
    }

    fn hinted(&mut self, myself: &ActorRef<Msg>) {
        if let Some(want) = self.args.resident.hints.take() {
            self.heard_at.get_or_insert_with(Instant::now);
            self.advance(myself, Input::Hint(want));
        }
    }

    fn loaded(&mut self, myself: &ActorRef<Msg>, set: Arc<RuleSet>) {
        self.publish(set);
        let served = self.args.resident.set();
        let waiters = std::mem::take(&mut self.waiters);
        self.waiters = waiters.into_iter().filter_map(|waiter| answer_if_served(waiter, served.clone())).collect();
        self.advance(myself, Input::Loaded);
    }

    /// Publishes a set, if that is what becomes of it.
    fn publish(&mut self, set: Arc<RuleSet>) {
        let tenant = self.args.tenant;
        let served = self.args.resident.set().map(|served| Version::from(&*served));
        match publication(served, Version::from(&*set)) {
            Publication::Publish => {}
            Publication::Known => return,
            Publication::Regression => {
                self.args.shared.metrics.revision_regression();
                error!(%tenant, served = ?served.map(|served| served.revision), stored = %set.revision(),
                    "the database holds an older revision than is served: it was restored without a new epoch");
                return;
            }
        }
        let report = set.report();
        self.args.shared.metrics.programs(report.compiled, report.reused);
        for broken in set.broken() {
            warn!(%tenant, revision = %set.revision(), subject = ?broken.subject, "does not compile, set aside");
        }
        debug!(%tenant, revision = %set.revision(), compiled = report.compiled, reused = report.reused, "published");
        self.args.resident.publish(set);
        if let Some(heard_at) = self.heard_at.take() {
            self.args.shared.metrics.propagation(heard_at.elapsed());
        }
    }

    fn gone(&mut self, myself: &ActorRef<Msg>) {
        for waiter in self.waiters.drain(..) {
            let _ = waiter.reply.send(Err(Missing::Tenant));
        }
        self.reload = reload::State::Idle;
        let gone = supervisor::Msg::Gone { tenant: self.args.tenant, actor: myself.get_id() };
        let _ = self.args.supervisor.cast(gone);
    }

    fn failed(&mut self, myself: &ActorRef<Msg>, error: &LoadError) {
        self.args.shared.metrics.load_failure();
        warn!(tenant = %self.args.tenant, error = error as &dyn std::error::Error, "loading the rule set failed");
        // Whoever waits for a first set is told at once; whoever has one and wants a newer waits on, up to its own
        // deadline.
        for waiter in std::mem::take(&mut self.waiters) {
            if waiter.revision_min.is_some() && self.args.resident.set().is_some() {
                self.waiters.push(waiter);
            } else {
                let _ = waiter.reply.send(Err(Missing::Load));
            }
        }
        self.advance(myself, Input::Failed { jitter_permille: jitter_permille() });
    }

    fn stop(&mut self, myself: &ActorRef<Msg>) {
        for waiter in self.waiters.drain(..) {
            let ensure = supervisor::Msg::Ensure { tenant: self.args.tenant, waiter };
            let _ = self.args.supervisor.cast(ensure);
        }
        info!(tenant = %self.args.tenant, "left memory");
        myself.stop(None);
    }

    fn advance(&mut self, myself: &ActorRef<Msg>, input: Input) {
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        let (next, action) = reload::step(self.reload, self.args.resident.revision(), input);
        self.reload = next;
        if next == reload::State::Idle {
            self.heard_at = None;
            self.args.resident.hints.settle();
        }
        match action {
            Some(Action::Load) => self.begin_load(myself.clone()),
            Some(Action::RetryAfter(wait)) => {
                myself.send_after(wait, || Msg::RetryDue);
            }
            None => {}
        }
    }

    fn begin_load(&self, myself: ActorRef<Msg>) {
        let shared = self.args.shared.clone();
        let tenant = self.args.tenant;
        let previous = self.args.resident.set();
        tokio::spawn(async move {
            // In a task of its own: a load that panicked must end like any other, or the tenant never loaded again.
            let loading = tokio::spawn(async move { load(&shared, tenant, previous).await });
            let result = loading.await.unwrap_or(Err(LoadError::Panic));
            // An actor that has stopped meanwhile has handed its callers on.
            let _ = myself.cast(Msg::Loaded(result));
        });
    }
}

/// Answers a caller if `served` will do, and gives it back otherwise.
fn answer_if_served(waiter: Waiter, served: Option<Arc<RuleSet>>) -> Option<Waiter> {
    match served {
        Some(set) if waiter.revision_min.is_none_or(|revision| set.revision() >= revision) => {
            let _ = waiter.reply.send(Ok(set));
            None
        }
        _ => Some(waiter),
    }
}

/// Reads a tenant in one snapshot and compiles it, off the threads that answer requests.
async fn load(
    shared: &Shared,
    tenant: TenantId,
    previous: Option<Arc<RuleSet>>,
) -> Result<Option<Arc<RuleSet>>, LoadError> {
    // Never closed.
    let _permit = shared.loads.acquire().await;
    let began = Instant::now();
    let is_reload = previous.is_some();
    let Some(snapshot) = timeout(SNAPSHOT_DEADLINE, shared.store.snapshot(tenant)).await?? else { return Ok(None) };
    let compile = move || Arc::new(RuleSet::compile(&snapshot, previous.as_deref()));
    let set = tokio::task::spawn_blocking(compile).await.map_err(|_| LoadError::Panic)?;
    if is_reload {
        shared.metrics.reload(began.elapsed());
    } else {
        shared.metrics.cold_load(began.elapsed());
    }
    Ok(Some(set))
}

/// A number from 0 to 1000 that differs from actor to actor.
fn jitter_permille() -> u16 {
    // The low bits of a version 7 id are random.
    u16::try_from(Uuid::now_v7().as_u128() % 1001).unwrap_or(500)
}

/// How long the supervisor waits before it starts a failed actor again.
pub fn restart_delay(failures: u32) -> Duration {
    Duration::from_millis(10).saturating_mul(1 << failures.min(12)).min(Duration::from_secs(30))
}
