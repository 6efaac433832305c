//! The actor that keeps one tenant: it alone loads, compiles and publishes the tenant's rule set.
//!
//! Decisions never pass through it. Loading runs in a task of its own, so that the mailbox is never held up.

pub mod publication;
pub mod reload;

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::timeout,
};
use tracing::{debug, error, info, warn};

use self::{
    publication::{Publication, Version, publication},
    reload::{Action, Input, Want},
};
use crate::{
    domain::{Revision, Snapshot, System, TenantId, TenantScope},
    engine::{
        Shared,
        counted_msg::{self, CountedMsg},
        exit::Exit,
        jitter_permille,
        resident::{LastLoad, Resident, live_set::LiveSet},
        supervisor,
    },
    ruleset::RuleSet,
    store,
};

/// How long reading a tenant may take: ten thousand rules take a fiftieth of it. A load that never ended would be one
/// that no hint could follow.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of expressions that are compiled on the thread that read them: it takes less than a decision may, and the way to
/// another thread and back would take longer.
const COMPILED_IN_PLACE_MAX: usize = 1_000;

/// What a tenant's actor is sent.
#[derive(Debug)]
pub enum Msg {
    /// From the supervisor, for a caller that found no set, or one too old. Answered when there is one that will do,
    /// or as soon as it is known that there is none.
    Ensure(Waiter),
    /// From the listener and from reconciling: the hints of the [`Resident`] tell what. At most one is in the mailbox.
    Hinted,
    /// From the load that this actor began.
    Loaded(Result<Option<Loaded>, LoadError>),
    /// From an operator: everything is to be read and compiled anew, also if nothing has changed. Answered when a load
    /// that began after this has ended.
    Reload(oneshot::Sender<Result<(), Missing>>),
    /// From this actor's own timer, when a failed load is to be tried again.
    RetryDue,
    /// From the supervisor, which has taken the tenant out of the registry and sends nothing after this. Callers that
    /// still wait are handed back to it.
    Stop(Exit),
}

/// A caller that waits for a rule set.
#[derive(Debug)]
pub struct Waiter {
    /// The revision it needs at least.
    pub revision_min: Option<Revision>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Arc<LiveSet>, Missing>>,
    /// Its place among all requests that wait; given back with the answer.
    pub _permit: Option<OwnedSemaphorePermit>,
}

/// A load that ended well.
#[derive(Debug)]
pub struct Loaded {
    set: Arc<LiveSet>,
    took: Duration,
    /// How long before `read_at` its last change was begun, both by the database's clock.
    age: Duration,
    read_at: Instant,
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
    /// Loading panicked: a defect of ours, kept to this tenant. What the panic said.
    #[error("loading the rule set panicked: {0}")]
    Panic(String),
}

/// What the actor starts with.
#[derive(Debug)]
pub struct Args {
    /// The tenant.
    pub tenant: TenantId,
    /// Where it publishes.
    pub resident: Arc<Resident>,
    /// What all actors share.
    pub shared: Arc<Shared>,
}

/// What the actor knows.
#[derive(Debug)]
pub struct State {
    args: Args,
    reload: reload::State,
    waiters: Vec<Waiter>,
    /// Operators that asked for a reload which has not begun.
    reloads: Vec<oneshot::Sender<Result<(), Missing>>>,
    /// Those whose reload is under way.
    reloading: Vec<oneshot::Sender<Result<(), Missing>>>,
}

/// The actor.
#[derive(Debug)]
pub struct TenantActor;

impl Actor for TenantActor {
    type Msg = CountedMsg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, _myself: ActorRef<CountedMsg>, args: Args) -> Result<State, ActorProcessingErr> {
        Ok(State { args, reload: reload::State::Idle, waiters: Vec::new(), reloads: Vec::new(), reloading: Vec::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<CountedMsg>,
        message: CountedMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            Msg::Ensure(waiter) => state.ensure(&myself, waiter),
            Msg::Hinted => state.hinted(&myself),
            Msg::Loaded(Ok(Some(loaded))) => state.loaded(&myself, loaded),
            Msg::Reload(reply) => {
                state.reloads.push(reply);
                state.advance(&myself, Input::Hint(Want::Fresh));
            }
            Msg::Loaded(Ok(None)) => state.gone(&myself),
            // The same rules would fail again at once: for the supervisor to decide when.
            Msg::Loaded(Err(LoadError::Panic(message))) => {
                state.args.resident.failed(format!("{}: {message}", Exit::LoadPanicked));
                return Err(Exit::LoadPanicked.into());
            }
            Msg::Loaded(Err(error)) => state.failed(&myself, &error),
            Msg::RetryDue => state.advance(&myself, Input::RetryDue),
            Msg::Stop(exit) => state.stop(&myself, exit),
        }
        Ok(())
    }
}

impl State {
    fn ensure(&mut self, myself: &ActorRef<CountedMsg>, waiter: Waiter) {
        let Some(waiter) = answer_if_served(waiter, self.args.resident.set()) else { return };
        let want = waiter.revision_min.map_or(Want::Fresh, Want::AtLeast);
        self.waiters.push(waiter);
        self.advance(myself, Input::Hint(want));
    }

    fn hinted(&mut self, myself: &ActorRef<CountedMsg>) {
        if let Some(want) = self.args.resident.hints.take() {
            self.advance(myself, Input::Hint(want));
        }
    }

    fn loaded(&mut self, myself: &ActorRef<CountedMsg>, loaded: Loaded) {
        self.publish(loaded);
        for reply in self.reloading.drain(..) {
            let _ = reply.send(Ok(()));
        }
        if self.args.resident.is_quarantined() {
            let _ = self.args.shared.tell(supervisor::Msg::Loaded { tenant: self.args.tenant, actor: myself.get_id() });
        }
        let served = self.args.resident.set();
        let waiters = std::mem::take(&mut self.waiters);
        self.waiters = waiters.into_iter().filter_map(|waiter| answer_if_served(waiter, served.clone())).collect();
        self.advance(myself, Input::Loaded);
    }

    /// Publishes a set, if that is what becomes of it. One that an operator asked for replaces its equal.
    fn publish(&mut self, loaded: Loaded) {
        let tenant = self.args.tenant;
        let Loaded { set, took, age, read_at } = loaded;
        let report = set.report();
        let load = LastLoad { at: Utc::now(), took, revision: set.revision(), report };
        self.args.resident.record().last_load = Some(load);
        let current = self.args.resident.set().map(|current| Version::from(&**current));
        let is_newer = current.is_some_and(|current| current.revision < set.revision());
        match publication(current, Version::from(&**set)) {
            Publication::Known if self.reloading.is_empty() => return,
            Publication::Known | Publication::Publish => {}
            Publication::Regression => {
                self.args.shared.metrics.revision_regression();
                error!(%tenant, served = ?current.map(|current| current.revision), stored = %set.revision(),
                    "the database holds an older revision than is served: it was restored without a new epoch");
                return;
            }
        }
        self.args.shared.metrics.programs(report.compiled, report.reused);
        for broken in set.broken() {
            warn!(%tenant, revision = %set.revision(), subject = ?broken.subject, "does not compile, set aside");
        }
        debug!(%tenant, revision = %set.revision(), compiled = report.compiled, reused = report.reused, "published");
        self.args.resident.publish(set.clone());
        self.args.shared.registry.serve(tenant, &self.args.resident, set);
        self.args.shared.make_room();
        if is_newer {
            self.args.shared.metrics.propagation(age + read_at.elapsed());
        }
    }

    fn gone(&mut self, myself: &ActorRef<CountedMsg>) {
        for waiter in self.waiters.drain(..) {
            let _ = waiter.reply.send(Err(Missing::Tenant));
        }
        for reply in self.reloading.drain(..).chain(self.reloads.drain(..)) {
            let _ = reply.send(Err(Missing::Tenant));
        }
        self.reload = reload::State::Idle;
        let gone = supervisor::Msg::Gone { tenant: self.args.tenant, actor: myself.get_id() };
        let _ = self.args.shared.tell(gone);
    }

    fn failed(&mut self, myself: &ActorRef<CountedMsg>, error: &LoadError) {
        self.args.shared.metrics.load_failure();
        self.args.resident.failed(format!("loading the rule set failed: {error}"));
        warn!(tenant = %self.args.tenant, error = error as &dyn std::error::Error, "loading the rule set failed");
        for reply in self.reloading.drain(..) {
            let _ = reply.send(Err(Missing::Load));
        }
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

    fn stop(&mut self, myself: &ActorRef<CountedMsg>, exit: Exit) {
        for waiter in self.waiters.drain(..) {
            let ensure = supervisor::Msg::Ensure { tenant: self.args.tenant, waiter };
            let _ = self.args.shared.tell(ensure);
        }
        info!(tenant = %self.args.tenant, reason = %exit, "left memory");
        myself.stop(None);
    }

    fn advance(&mut self, myself: &ActorRef<CountedMsg>, input: Input) {
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        let (next, action) = reload::step(self.reload, self.args.resident.revision(), input);
        self.reload = next;
        if next == reload::State::Idle {
            self.args.resident.hints.settle();
            // Most tenants have nobody waiting, for as long as they are in memory.
            self.waiters.shrink_to_fit();
        }
        match action {
            Some(Action::Load) => self.begin_load(myself.clone()),
            Some(Action::RetryAfter(wait)) => {
                let resident = self.args.resident.clone();
                myself.send_after(wait, move || CountedMsg::new(Msg::RetryDue, &resident));
            }
            None => {}
        }
    }

    fn begin_load(&mut self, myself: ActorRef<CountedMsg>) {
        self.reloading.append(&mut self.reloads);
        let anew = !self.reloading.is_empty();
        let shared = self.args.shared.clone();
        let tenant = self.args.tenant;
        let resident = self.args.resident.clone();
        tokio::spawn(async move {
            let loaded = AssertUnwindSafe(load(&shared, tenant, &resident, anew)).catch_unwind().await;
            let result = loaded.unwrap_or_else(|panic| Err(LoadError::Panic(words_of(&*panic))));
            // An actor that has stopped meanwhile has handed its callers on.
            let _ = counted_msg::send(&myself, &resident, Msg::Loaded(result));
        });
    }
}

/// Answers a caller if `served` will do, and gives it back otherwise.
fn answer_if_served(waiter: Waiter, served: Option<Arc<LiveSet>>) -> Option<Waiter> {
    match served {
        Some(set) if waiter.revision_min.is_none_or(|revision| set.revision() >= revision) => {
            let _ = waiter.reply.send(Ok(set));
            None
        }
        _ => Some(waiter),
    }
}

/// Reads a tenant in one snapshot and compiles it: what has changed, or all of it `anew`.
async fn load(shared: &Shared, tenant: TenantId, resident: &Resident, anew: bool) -> Result<Option<Loaded>, LoadError> {
    // Never closed.
    let _permit = shared.loads.acquire().await;
    let began = Instant::now();
    let previous = resident.set();
    let is_reload = previous.is_some();
    let previous = previous.filter(|_| !anew);
    let read_at = Instant::now();
    let scope = TenantScope::of_system(System::Loader, tenant);
    let Some(snapshot) = timeout(SNAPSHOT_DEADLINE, shared.store.snapshot(scope)).await?? else { return Ok(None) };
    let age = (snapshot.taken_at - snapshot.tenant.updated_at).to_std().unwrap_or_default();
    resident.trying(snapshot.revision(), shared.clock.now_ms());
    let rules = compile(shared, snapshot, previous).await?;
    let set = Arc::new(LiveSet::new(rules, resident.usage().clone()));
    if is_reload {
        shared.metrics.reload(began.elapsed());
    } else {
        shared.metrics.cold_load(began.elapsed());
    }
    Ok(Some(Loaded { set, took: began.elapsed(), age, read_at }))
}

/// Compiles, off the threads that answer requests unless there is little to compile.
async fn compile(shared: &Shared, snapshot: Snapshot, previous: Option<Arc<LiveSet>>) -> Result<RuleSet, LoadError> {
    let rules = snapshot.rules.iter().map(|rule| rule.expression.len());
    let derived_fields = snapshot.derived_fields.iter().map(|field| field.expression.len());
    let is_little = rules.chain(derived_fields).sum::<usize>() <= COMPILED_IN_PLACE_MAX;
    let compiler = shared.options.compiler.clone();
    let compile = move || compiler.compile(&snapshot, previous.as_deref().map(|previous| &**previous));
    if is_little {
        // A panic ends the load, and is caught where that was begun.
        return Ok(compile());
    }
    tokio::task::spawn_blocking(compile).await.map_err(|error| {
        LoadError::Panic(error.try_into_panic().map_or_else(|error| error.to_string(), |panic| words_of(&*panic)))
    })
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
