//! The supervisor: it alone starts and stops tenants' actors, and adds them to and removes them from the registry.
//!
//! Because all of that happens in its turn, a tenant never has two actors, and a request that crosses a stop is either
//! forwarded before it or starts another actor after it.

use std::{collections::HashMap, sync::Arc, time::Instant};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, MessagingErr, SupervisionEvent};
use tokio::sync::oneshot;
use tracing::{debug, error};

use super::{
    Shared,
    registry::{Entry, Resident},
    reload::Want,
    tenant::{self, Missing, TenantActor, Waiter, restart_delay},
};
use crate::{domain::TenantId, telemetry::Departure};

/// What the supervisor is sent.
#[derive(Debug)]
pub enum Msg {
    /// From a request that found no set, or one too old; and from a stopping actor for callers that still wait. It is
    /// forwarded to the tenant's actor, which is started if there is none.
    Ensure {
        /// The tenant.
        tenant: TenantId,
        /// The caller.
        waiter: Waiter,
    },
    /// From a tenant's actor that found no such tenant.
    Gone {
        /// The tenant.
        tenant: TenantId,
        /// The actor that says so.
        actor: ActorId,
    },
    /// From a deletion: the tenant leaves memory before the reply.
    Forget {
        /// The tenant.
        tenant: TenantId,
        /// Sent when it is out of the registry.
        reply: oneshot::Sender<()>,
    },
    /// From the supervisor's own timer: a failed actor is to be started again.
    Restart {
        /// The tenant.
        tenant: TenantId,
    },
    /// From the engine's timer: let go of tenants that nobody uses, and of those beyond the cap.
    Sweep,
}

/// What the supervisor knows.
#[derive(Debug)]
pub struct State {
    shared: Arc<Shared>,
    /// Actors that run or are stopping.
    tenants: HashMap<ActorId, TenantId>,
    /// Tenants whose actor failed since it was last stopped on purpose, and how often.
    failures: HashMap<TenantId, u32>,
}

/// The actor.
#[derive(Debug)]
pub struct Supervisor;

impl Actor for Supervisor {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, _myself: ActorRef<Msg>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        Ok(State { shared, tenants: HashMap::new(), failures: HashMap::new() })
    }

    async fn handle(&self, myself: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Ensure { tenant, waiter } => state.ensure(&myself, tenant, waiter).await,
            Msg::Gone { tenant, actor } => {
                let entry = state.shared.registry.remove_of(tenant, actor);
                state.stop(tenant, entry);
            }
            Msg::Forget { tenant, reply } => {
                let entry = state.shared.registry.remove(tenant);
                state.stop(tenant, entry);
                let _ = reply.send(());
            }
            Msg::Restart { tenant } => state.restart(&myself, tenant).await,
            Msg::Sweep => state.sweep(),
        }
        state.shared.metrics.resident_tenants(state.shared.registry.len());
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, reason) => state.child_failed(&myself, actor.get_id(), &reason),
            SupervisionEvent::ActorTerminated(actor, _, _) => {
                state.tenants.remove(&actor.get_id());
            }
            _ => {}
        }
        Ok(())
    }
}

impl State {
    async fn ensure(&mut self, myself: &ActorRef<Msg>, tenant: TenantId, waiter: Waiter) {
        let entry = match self.shared.registry.entry(tenant) {
            Some(entry) => entry,
            None => match self.start(myself, tenant, self.shared.registry.vacancy()).await {
                Some(entry) => entry,
                None => return refuse(waiter),
            },
        };
        // A failed actor takes nothing; it waits to be started again.
        if let Err(MessagingErr::SendErr(tenant::Msg::Ensure(waiter))) = entry.actor.cast(tenant::Msg::Ensure(waiter)) {
            refuse(waiter);
        }
    }

    async fn start(&mut self, myself: &ActorRef<Msg>, tenant: TenantId, resident: Arc<Resident>) -> Option<Entry> {
        let args = tenant::Args {
            tenant,
            resident: resident.clone(),
            supervisor: myself.clone(),
            shared: self.shared.clone(),
        };
        // Without a name: ractor's names are global to the process, and several engines may live in one.
        match TenantActor::spawn_linked(None, TenantActor, args, myself.get_cell()).await {
            Ok((actor, _)) => {
                self.tenants.insert(actor.get_id(), tenant);
                let entry = Entry { resident, actor };
                // In the registry before its first load begins, so that no hint about it is missed.
                self.shared.registry.insert(tenant, entry.clone());
                Some(entry)
            }
            Err(error) => {
                error!(%tenant, %error, "a tenant's actor could not be started");
                None
            }
        }
    }

    /// `entry` is out of the registry: no request and no hint can reach its actor any more, except those already in
    /// its mailbox, which it handles before the stop.
    fn stop(&mut self, tenant: TenantId, entry: Option<Entry>) {
        if let Some(entry) = entry {
            self.failures.remove(&tenant);
            let _ = entry.actor.cast(tenant::Msg::Stop);
        }
    }

    fn child_failed(&mut self, myself: &ActorRef<Msg>, actor: ActorId, reason: &ActorProcessingErr) {
        let Some(tenant) = self.tenants.remove(&actor) else { return };
        let is_current = self.shared.registry.entry(tenant).is_some_and(|entry| entry.actor.get_id() == actor);
        if !is_current {
            return;
        }
        let failures = self.failures.entry(tenant).or_insert(0);
        *failures = failures.saturating_add(1);
        error!(%tenant, %reason, failures = *failures, "a tenant's actor failed; its last good rule set stays");
        self.shared.metrics.actor_restart();
        myself.send_after(restart_delay(*failures), move || Msg::Restart { tenant });
    }

    async fn restart(&mut self, myself: &ActorRef<Msg>, tenant: TenantId) {
        // It may have been deleted or let go of since.
        let Some(failed) = self.shared.registry.entry(tenant) else { return };
        if let Some(entry) = self.start(myself, tenant, failed.resident).await {
            entry.resident.hints.take();
            self.shared.hint(tenant, Want::Fresh);
        }
    }

    fn sweep(&mut self) {
        // While the database is away, a tenant let go of could not come back.
        if self.shared.freshness.is_stale(Instant::now()) {
            return;
        }
        let idle_stop = self.shared.options.idle_stop;
        let evictable = self.shared.registry.evictable(idle_stop, self.shared.options.residents_max);
        for tenant in evictable.surplus {
            let entry = self.shared.registry.remove(tenant);
            self.stop(tenant, entry);
            self.shared.metrics.departure(Departure::Evicted);
        }
        for tenant in evictable.idle {
            // Looked at again under the registry's lock: it may have been used since the list was made.
            let entry = self.shared.registry.remove_idle(tenant, idle_stop);
            if entry.is_some() {
                debug!(%tenant, "idle");
                self.shared.metrics.departure(Departure::Idle);
            }
            self.stop(tenant, entry);
        }
    }
}

fn refuse(waiter: Waiter) {
    let _ = waiter.reply.send(Err(Missing::Load));
}
