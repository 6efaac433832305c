//! The actor that keeps one tenant: it alone loads, compiles and publishes the tenant's rule set.
//!
//! Decisions never pass through it. Loading runs in a task of its own, so that the mailbox is never held up.

mod load;
pub mod publication;
pub mod reload;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::Utc;
use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use self::{
    load::{load, words_of},
    publication::{Publication, Version, handover, publication},
    reload::{Action, Input, ReloadState},
};
use crate::{
    domain::{Revision, TenantId, random_permille},
    engine::{
        message::{self, Committed, CountedMsg, Exit, LoadError, Loaded, Missing, SupervisorMsg, TenantMsg, Waiter},
        registry::Entry,
        resident::{LastLoad, Resident, hints::Want, live_set::LiveSet},
        shared::Shared,
    },
    error::Subject,
    ruleset::RuleSet,
};

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
pub struct TenantState {
    args: Args,
    reload: ReloadState,
    /// What was served when the load under way began.
    before_load: Option<Version>,
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
    type State = TenantState;
    type Arguments = Args;

    async fn pre_start(&self, _myself: ActorRef<CountedMsg>, args: Args) -> Result<TenantState, ActorProcessingErr> {
        Ok(TenantState {
            args,
            reload: ReloadState::Idle,
            before_load: None,
            waiters: Vec::new(),
            reloads: Vec::new(),
            reloading: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<CountedMsg>,
        message: CountedMsg,
        state: &mut TenantState,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            TenantMsg::Ensure(waiter) => state.ensure(&myself, waiter),
            TenantMsg::Hinted => state.hinted(&myself),
            TenantMsg::Loaded(Ok(Some(loaded))) => state.loaded(&myself, loaded),
            TenantMsg::Committed(committed) => state.committed(&myself, *committed),
            TenantMsg::Reload(reply) => {
                state.reloads.push(reply);
                state.advance(&myself, Input::Hint(Want::Fresh));
            }
            TenantMsg::Loaded(Ok(None)) => state.gone(&myself),
            // The same rules would fail again at once: for the supervisor to decide when.
            TenantMsg::Loaded(Err(LoadError::Panic(message))) => {
                state.args.resident.failed(format!("{}: {message}", Exit::LoadPanicked));
                return Err(Exit::LoadPanicked.into());
            }
            TenantMsg::Loaded(Err(error)) => state.failed(&myself, &error),
            TenantMsg::RetryDue => state.advance(&myself, Input::RetryDue),
            TenantMsg::Stop { exit, served } => state.stop(&myself, exit, served.as_ref()),
        }
        Ok(())
    }
}

impl TenantState {
    fn ensure(&mut self, myself: &ActorRef<CountedMsg>, waiter: Waiter) {
        let entry = self.entry();
        let Some(waiter) = waiter.answer_with(entry.as_ref().and_then(Entry::set)) else { return };
        let want = waiter.revision_min.map_or(Want::Fresh, Want::AtLeast);
        self.waiters.push(waiter);
        // Out of the registry, the stop is on its way, and says what becomes of those who wait.
        if entry.is_some() {
            self.advance(myself, Input::Hint(want));
        }
    }

    /// Its place in the registry; `None` once the supervisor has removed it.
    fn entry(&self) -> Option<Entry> {
        self.args.shared.registry.entry_of(self.args.tenant, &self.args.resident)
    }

    fn served(&self) -> Option<Arc<LiveSet>> {
        self.entry()?.set().cloned()
    }

    fn hinted(&mut self, myself: &ActorRef<CountedMsg>) {
        if let Some(want) = self.args.resident.hints.take() {
            self.advance(myself, Input::Hint(want));
        }
    }

    fn loaded(&mut self, myself: &ActorRef<CountedMsg>, loaded: Loaded) {
        let set = loaded.set.clone();
        match self.loaded_publication(&set) {
            Publication::Unordered => self.advance(myself, Input::Hint(Want::Fresh)),
            // What was asked for was everything anew, and a change came between.
            Publication::Overtaken if !self.reloading.is_empty() => {
                self.reloads.append(&mut self.reloading);
                self.advance(myself, Input::Hint(Want::Fresh));
            }
            publication => self.publish(loaded, publication),
        }
        for reply in self.reloading.drain(..) {
            let _ = reply.send(Ok(()));
        }
        if self.args.resident.is_quarantined() {
            let _ = self.args.shared.tell(SupervisorMsg::Loaded { tenant: self.args.tenant, actor: myself.get_id() });
        }
        self.answer(self.served().or(Some(set)).as_ref());
        self.advance(myself, Input::Loaded);
    }

    /// Answers those for whom `served` is new enough.
    fn answer(&mut self, served: Option<&Arc<LiveSet>>) {
        let waiters = std::mem::take(&mut self.waiters);
        self.waiters = waiters.into_iter().filter_map(|waiter| waiter.answer_with(served)).collect();
    }

    fn version(&self) -> Option<Version> {
        self.served().map(|served| Version::from(&**served))
    }

    fn loaded_publication(&self, set: &LiveSet) -> Publication {
        publication(self.version(), self.before_load, Version::from(&**set))
    }

    /// Publishes a set that was loaded, if that is what becomes of it. One that an operator asked for replaces its
    /// equal.
    fn publish(&mut self, loaded: Loaded, publication: Publication) {
        let Loaded { set, took, age, read_at } = loaded;
        self.note_load(&set, took);
        match publication {
            Publication::Publish => self.serve(set, age + read_at.elapsed()),
            Publication::Known if !self.reloading.is_empty() => self.serve(set, age + read_at.elapsed()),
            Publication::Known | Publication::Overtaken | Publication::Unordered => {}
            Publication::Regression => {
                self.args.shared.metrics.revision_regression();
                let served = self.version().map(|served| served.revision.0);
                error!(tenant = %self.args.tenant, served, stored = set.revision().0,
                    "the database holds an older revision than is served: it was restored without a new epoch");
            }
        }
    }

    /// A change on this node is committed: what it compiled is served, unless something newer is.
    fn committed(&mut self, myself: &ActorRef<CountedMsg>, committed: Committed) {
        let Committed { rules, began, hold, reply } = committed;
        match handover(self.version(), Version::from(&rules)) {
            Publication::Publish => {
                let set = Arc::new(LiveSet::new(rules, self.args.resident.usage().clone()));
                self.note_load(&set, began.elapsed());
                self.serve(set, began.elapsed());
                self.answer(self.served().as_ref());
            }
            Publication::Unordered => self.advance(myself, Input::Hint(Want::Fresh)),
            Publication::Known | Publication::Overtaken | Publication::Regression => {}
        }
        drop(hold);
        let _ = reply.send(());
    }

    fn note_load(&self, set: &LiveSet, took: Duration) {
        let load = LastLoad { at: Utc::now(), took, revision: set.revision(), report: set.report() };
        self.args.resident.record().last_load = Some(load);
    }

    /// Serves a set from now on, whose last change began `age` ago.
    fn serve(&self, set: Arc<LiveSet>, age: Duration) {
        let tenant = self.args.tenant;
        let report = set.report();
        let is_newer = self.version().is_some_and(|served| served.revision < set.revision());
        self.args.shared.metrics.programs(report.compiled, report.reused);
        for broken in set.broken() {
            warn_of_broken(tenant, set.revision(), &broken.subject);
        }
        if self.version().is_none() {
            tell_of_patterns(tenant, &set);
        }
        debug!(%tenant, revision = set.revision().0, compiled = report.compiled, reused = report.reused, "published");
        self.args.shared.registry.publish(tenant, &self.args.resident, set);
        self.args.shared.make_room();
        if is_newer {
            self.args.shared.metrics.propagation(age);
        }
    }

    fn gone(&mut self, myself: &ActorRef<CountedMsg>) {
        for waiter in self.waiters.drain(..) {
            waiter.refuse(Missing::Tenant);
        }
        for reply in self.reloading.drain(..).chain(self.reloads.drain(..)) {
            let _ = reply.send(Err(Missing::Tenant));
        }
        self.reload = ReloadState::Idle;
        let gone = SupervisorMsg::Gone { tenant: self.args.tenant, actor: myself.get_id() };
        let _ = self.args.shared.tell(gone);
    }

    fn failed(&mut self, myself: &ActorRef<CountedMsg>, error: &LoadError) {
        self.args.shared.metrics.load_failure();
        self.args.resident.failed(format!("loading the rule set failed: {error}"));
        warn!(tenant = %self.args.tenant, error = error as &dyn std::error::Error, "loading the rule set failed");
        for reply in self.reloading.drain(..) {
            let _ = reply.send(Err(Missing::Load));
        }
        let has_set = self.served().is_some();
        // Whoever waits for a first set is told at once; whoever has one and wants a newer waits on, up to its own
        // deadline.
        for waiter in std::mem::take(&mut self.waiters) {
            if waiter.revision_min.is_some() && has_set {
                self.waiters.push(waiter);
            } else {
                waiter.refuse(Missing::Load);
            }
        }
        self.advance(myself, Input::Failed { jitter_permille: random_permille() });
    }

    fn stop(&mut self, myself: &ActorRef<CountedMsg>, exit: Exit, served: Option<&Arc<LiveSet>>) {
        self.answer(served);
        for waiter in self.waiters.drain(..) {
            let ensure = SupervisorMsg::Ensure { tenant: self.args.tenant, waiter };
            let _ = self.args.shared.tell(ensure);
        }
        info!(tenant = %self.args.tenant, reason = %exit, "left memory");
        myself.stop(None);
    }

    fn advance(&mut self, myself: &ActorRef<CountedMsg>, input: Input) {
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        let installed: Option<Revision> = self.served().map(|set| set.revision());
        let (next, action) = reload::step(self.reload, installed, input);
        self.reload = next;
        if next == ReloadState::Idle {
            self.args.resident.hints.settle();
            // Most tenants have nobody waiting, for as long as they are in memory.
            self.waiters.shrink_to_fit();
        }
        match action {
            Some(Action::Load) => self.begin_load(myself.clone()),
            Some(Action::RetryAfter(wait)) => {
                let resident = self.args.resident.clone();
                myself.send_after(wait, move || CountedMsg::new(TenantMsg::RetryDue, &resident));
            }
            None => {}
        }
    }

    fn begin_load(&mut self, myself: ActorRef<CountedMsg>) {
        // Out of the registry, the stop is on its way: a load would be for nobody, and compile everything anew.
        let Some(entry) = self.entry() else { return };
        self.reloading.append(&mut self.reloads);
        let anew = !self.reloading.is_empty();
        let shared = self.args.shared.clone();
        let tenant = self.args.tenant;
        let resident = self.args.resident.clone();
        let previous = entry.set().cloned();
        self.before_load = previous.as_ref().map(|served| Version::from(&***served));
        tokio::spawn(async move {
            let loaded = AssertUnwindSafe(load(&shared, tenant, &resident, previous, anew)).catch_unwind().await;
            let result = loaded.unwrap_or_else(|panic| Err(LoadError::Panic(words_of(&*panic))));
            // An actor that has stopped meanwhile has handed its callers on.
            let _ = message::send(&myself, &resident, TenantMsg::Loaded(result));
        });
    }
}

/// Tells once of stored patterns that a dialect other than RE2's reads otherwise: they may have been written for one.
fn tell_of_patterns(tenant: TenantId, set: &RuleSet) {
    let mut ids = set.with_pattern_notes().map(|subject| subject.id());
    if let Some(first) = ids.next() {
        let expressions = 1 + ids.count();
        info!(%tenant, revision = set.revision().0, expressions, %first,
            "stored patterns have parts that only RE2 reads like this; a check of their rules says which");
    }
}

/// Tells of what is set aside by its id: no name of a tenant's is logged.
fn warn_of_broken(tenant: TenantId, revision: Revision, subject: &Subject) {
    let revision = revision.0;
    match subject {
        Subject::Rule { rule_id, .. } => {
            warn!(%tenant, revision, rule = %rule_id, "a stored rule does not compile; it is set aside");
        }
        Subject::DerivedField { field_id, .. } => {
            warn!(%tenant, revision, derived_field = %field_id, "a stored derived field does not compile; it is set aside");
        }
    }
}
