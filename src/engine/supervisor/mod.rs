//! The supervisor: it alone starts and stops tenants' actors, and adds them to and removes them from the registry.
//!
//! Because all of that happens in its turn, a tenant never has two actors, and a request that crosses a stop is either
//! forwarded before it or starts another actor after it.

pub mod eviction;
pub mod restart;

use std::{collections::HashMap, sync::Arc, time::Instant};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tracing::{error, info, warn};

use self::restart::{Action, Input, RestartState};
use crate::{
    domain::{TenantId, random_permille},
    engine::{
        message::{Exit, Missing, SupervisorMsg, TenantMsg, Waiter},
        metrics::Departure,
        registry::Entry,
        resident::{Resident, hints::Want},
        shared::Shared,
        tenant::{Args, TenantActor},
    },
};

/// What the supervisor knows.
#[derive(Debug)]
pub struct SupervisorState {
    shared: Arc<Shared>,
    /// Actors that run or are stopping.
    tenants: HashMap<ActorId, TenantId>,
    /// Tenants in memory whose actor has failed.
    restarts: HashMap<TenantId, RestartState>,
}

/// The actor.
#[derive(Debug)]
pub struct Supervisor;

impl Actor for Supervisor {
    type Msg = SupervisorMsg;
    type State = SupervisorState;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMsg>,
        shared: Arc<Shared>,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        // The only one there is: an engine starts one supervisor.
        let _ = shared.supervisor.set(myself);
        Ok(SupervisorState { shared, tenants: HashMap::new(), restarts: HashMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        state.shared.metrics.mailbox_taken();
        match message {
            SupervisorMsg::Ensure { tenant, waiter } => state.ensure(&myself, tenant, waiter).await,
            SupervisorMsg::Gone { tenant, actor } => {
                let entry = state.shared.registry.remove_of(tenant, actor);
                state.stop(tenant, entry, Exit::Deleted);
            }
            SupervisorMsg::Forget { tenant, reply } => {
                let entry = state.shared.registry.remove(tenant);
                state.stop(tenant, entry, Exit::Deleted);
                let _ = reply.send(());
            }
            SupervisorMsg::RestartDue { tenant } => state.advance(&myself, tenant, Input::Due).await,
            SupervisorMsg::Changed { tenant } => state.advance(&myself, tenant, Input::Changed).await,
            SupervisorMsg::Loaded { tenant, actor } if state.keeps(tenant, actor) => {
                state.advance(&myself, tenant, Input::Loaded).await;
            }
            SupervisorMsg::Loaded { .. } => {}
            SupervisorMsg::Stop { tenant, reply } => {
                let _ = reply.send(state.stop_unless_pinned(tenant));
            }
            SupervisorMsg::Release { tenant, reply } => {
                state.advance(&myself, tenant, Input::Released).await;
                let _ = reply.send(());
            }
            SupervisorMsg::Sweep => state.sweep(),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMsg>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, reason) => state.child_failed(&myself, actor.get_id(), &reason).await,
            SupervisionEvent::ActorTerminated(actor, _, _) => {
                if let Some(tenant) = state.tenants.remove(&actor.get_id()) {
                    state.shared.registry.has_left(tenant);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl SupervisorState {
    async fn ensure(&mut self, myself: &ActorRef<SupervisorMsg>, tenant: TenantId, waiter: Waiter) {
        let entry = match self.shared.registry.entry(tenant) {
            Some(entry) => entry,
            None => match self.start(myself, tenant, self.shared.registry.vacancy()).await {
                Some(entry) => entry,
                None => return waiter.refuse(Missing::Load),
            },
        };
        // A failed actor takes nothing; it waits to be started again.
        if let Err(Some(TenantMsg::Ensure(waiter))) = entry.send(TenantMsg::Ensure(waiter)) {
            waiter.refuse(Missing::Load);
        }
    }

    async fn start(
        &mut self,
        myself: &ActorRef<SupervisorMsg>,
        tenant: TenantId,
        resident: Arc<Resident>,
    ) -> Option<Entry> {
        let args = Args { tenant, resident: resident.clone(), shared: self.shared.clone() };
        // Without a name: ractor's names are global to the process, and several engines may live in one.
        match TenantActor::spawn_linked(None, TenantActor, args, myself.get_cell()).await {
            Ok((actor, _)) => {
                self.tenants.insert(actor.get_id(), tenant);
                // In the registry before its first load begins, so that no hint about it is missed.
                Some(self.shared.registry.insert(tenant, resident, actor))
            }
            Err(error) => {
                error!(%tenant, %error, "a tenant's actor could not be started");
                None
            }
        }
    }

    /// `entry` is out of the registry: no request and no hint can reach its actor any more, except those already in
    /// its mailbox, which it handles before the stop.
    fn stop(&mut self, tenant: TenantId, entry: Option<Entry>, exit: Exit) {
        if let Some(entry) = entry {
            let failed = self.restarts.remove(&tenant).is_some_and(|state| state.is_waiting());
            if !failed {
                self.shared.registry.begin_leaving(tenant);
            }
            let served = entry.set().cloned();
            let _ = entry.send(TenantMsg::Stop { exit, served });
        }
    }

    fn stop_unless_pinned(&mut self, tenant: TenantId) -> bool {
        let Some(entry) = self.shared.registry.entry(tenant) else { return true };
        if entry.set().is_some_and(|set| set.tenant().pinned) {
            return false;
        }
        let entry = self.shared.registry.remove(tenant);
        self.stop(tenant, entry, Exit::Stopped);
        true
    }

    /// Whether `actor` is the one that keeps `tenant` now.
    fn keeps(&self, tenant: TenantId, actor: ActorId) -> bool {
        self.shared.registry.entry(tenant).is_some_and(|entry| entry.actor.get_id() == actor)
    }

    async fn child_failed(&mut self, myself: &ActorRef<SupervisorMsg>, actor: ActorId, reason: &ActorProcessingErr) {
        let Some(tenant) = self.tenants.remove(&actor) else { return };
        if !self.keeps(tenant, actor) {
            return self.shared.registry.has_left(tenant);
        }
        let exit = reason.downcast_ref::<Exit>().copied().unwrap_or(Exit::Panicked);
        // Without the reason: what a panic says may quote a rule.
        error!(%tenant, %exit, "a tenant's actor failed; its last good rule set stays");
        if let (Exit::Panicked, Some(entry)) = (exit, self.shared.registry.entry(tenant)) {
            entry.resident.failed(format!("{exit}: {reason}"));
        }
        self.advance(myself, tenant, Input::Failed { jitter_permille: random_permille() }).await;
    }

    /// One step of a tenant's restarts. It may have been deleted or let go of since whatever `input` tells.
    async fn advance(&mut self, myself: &ActorRef<SupervisorMsg>, tenant: TenantId, input: Input) {
        let Some(entry) = self.shared.registry.entry(tenant) else { return };
        let before = self.restarts.remove(&tenant).unwrap_or_default();
        let was_quarantined = before.is_quarantined();
        let (state, action) = restart::step(before, Instant::now(), input);
        let quarantined = state.is_quarantined();
        if state != RestartState::default() {
            self.restarts.insert(tenant, state);
        }
        entry.resident.set_quarantined(quarantined);
        match (was_quarantined, quarantined) {
            (false, true) => {
                error!(%tenant, "failed too often: in quarantine, tried again seldom and when it is changed");
                self.shared.metrics.quarantine();
            }
            (true, false) => info!(%tenant, "out of quarantine"),
            _ => {}
        }
        match action {
            Some(Action::Start) => self.restart(myself, tenant, entry.resident.clone()).await,
            Some(Action::DueAfter(wait)) => {
                let shared = self.shared.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = shared.tell(SupervisorMsg::RestartDue { tenant });
                });
            }
            None => {}
        }
        // A change that came while it failed was told to the actor that is no more.
        if !was_quarantined && quarantined && entry.resident.take_untried() {
            let _ = self.shared.tell(SupervisorMsg::Changed { tenant });
        }
    }

    async fn restart(&mut self, myself: &ActorRef<SupervisorMsg>, tenant: TenantId, resident: Arc<Resident>) {
        if let Some(entry) = self.start(myself, tenant, resident).await {
            warn!(%tenant, "a failed tenant's actor is started again");
            self.shared.metrics.actor_restart();
            let mut record = entry.resident.record();
            record.restarts = record.restarts.saturating_add(1);
            drop(record);
            entry.resident.hints.take();
            self.shared.hint(tenant, Want::Fresh);
        }
    }

    fn sweep(&mut self) {
        let Shared { options, registry, metrics, sweep_throttle, clock, .. } = &*self.shared.clone();
        sweep_throttle.begin();
        // While the database is away, a tenant let go of could not come back.
        let now_ms = clock.now_ms();
        if self.shared.freshness.is_stale(now_ms) {
            return sweep_throttle.insufficient(now_ms);
        }
        let room = self.shared.room();
        let leaving = eviction::choose(registry.seats(options.idle_stop, room), now_ms, room);
        if leaving.is_crowded_still {
            sweep_throttle.insufficient(now_ms);
        }
        for tenant in leaving.surplus {
            self.stop(tenant, registry.remove(tenant), Exit::Evicted);
            metrics.departure(Departure::Evicted);
        }
        for tenant in leaving.idle {
            // Looked at again under the registry's lock: it may have been used since the list was made.
            let entry = registry.remove_idle(tenant, options.idle_stop);
            if entry.is_some() {
                metrics.departure(Departure::Idle);
            }
            self.stop(tenant, entry, Exit::Idle);
        }
    }
}
