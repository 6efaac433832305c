//! Messages to the supervisor.

use ractor::ActorId;
use tokio::sync::oneshot;

use super::tenant::Waiter;
use crate::domain::TenantId;

/// A message to the supervisor.
#[derive(Debug)]
pub enum SupervisorMsg {
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
    /// From the supervisor's own timer: a failed actor may be due to be started again.
    RestartDue {
        /// The tenant.
        tenant: TenantId,
    },
    /// From the listener and from reconciling: the database holds something that a tenant in quarantine has not been
    /// tried with yet.
    Changed {
        /// The tenant.
        tenant: TenantId,
    },
    /// From the actor of a tenant in quarantine: it has loaded a rule set.
    Loaded {
        /// The tenant.
        tenant: TenantId,
        /// The actor that says so.
        actor: ActorId,
    },
    /// From an operator: the tenant leaves memory, unless it is pinned. The next request loads it again.
    Stop {
        /// The tenant.
        tenant: TenantId,
        /// Sent when it is out of the registry; false if it is pinned.
        reply: oneshot::Sender<bool>,
    },
    /// From an operator: a tenant in quarantine is tried again, with a clean record.
    Release {
        /// The tenant.
        tenant: TenantId,
        /// Sent when an actor has been started, if one had to be.
        reply: oneshot::Sender<()>,
    },
    /// From the engine's timer, and from a load after which a limit on memory is exceeded: stop tenants that are idle, and
    /// those beyond the limits.
    Sweep,
}
