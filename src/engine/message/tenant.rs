//! Messages to a tenant's actor.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::exit::Exit;
use crate::{
    domain::Revision,
    engine::resident::{Resident, live_set::LiveSet},
    ruleset::RuleSet,
    store,
};

/// A message to a tenant's actor.
#[derive(Debug)]
pub enum TenantMsg {
    /// From the supervisor, for a caller that found no set, or one too old. Answered when there is one that will do,
    /// or as soon as it is known that there is none.
    Ensure(Waiter),
    /// From the listener and from reconciling: the resident's hints say what. At most one is in the mailbox.
    Hinted,
    /// From the load that this actor began; `None` if there is no such tenant.
    Loaded(Result<Option<Loaded>, LoadError>),
    /// From a writer on this node, after its commit. Answered when the set is published, or known not to be.
    Committed(Box<Committed>),
    /// From an operator: read and compile everything anew, even if nothing has changed. Answered when a load that began
    /// after this has ended.
    Reload(oneshot::Sender<Result<(), Missing>>),
    /// From this actor's own timer: a failed load is due to be tried again.
    RetryDue,
    /// From the supervisor, which has removed the tenant from the registry and sends nothing after this.
    Stop {
        /// Why.
        exit: Exit,
        /// What was served until then. Callers that it will do for are answered with it, the others are handed back to
        /// the supervisor.
        served: Option<Arc<LiveSet>>,
    },
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

impl Waiter {
    /// Answers with `served` if it is new enough, and gives the caller back otherwise.
    pub fn answer_with(self, served: Option<&Arc<LiveSet>>) -> Option<Self> {
        match served {
            Some(set) if self.revision_min.is_none_or(|revision| set.revision() >= revision) => {
                let _ = self.reply.send(Ok(set.clone()));
                None
            }
            _ => Some(self),
        }
    }

    /// Answers that there is no rule set.
    pub fn refuse(self, missing: Missing) {
        let _ = self.reply.send(Err(missing));
    }
}

/// A load that ended well.
#[derive(Debug)]
pub struct Loaded {
    /// The set.
    pub set: Arc<LiveSet>,
    /// How long reading and compiling took.
    pub took: Duration,
    /// How long before `read_at` its last change was begun, both by the database's clock.
    pub age: Duration,
    /// When it was read.
    pub read_at: Instant,
}

/// What a change on this node has made, once it is committed.
#[derive(Debug)]
pub struct Committed {
    /// The set that the change compiled, at the revision that the database counted.
    pub rules: RuleSet,
    /// When the change began.
    pub began: Instant,
    /// Ends when the actor has looked at the set, or is lost with it.
    pub hold: Option<HintHold>,
    /// Sent after that.
    pub reply: oneshot::Sender<()>,
}

/// Keeps hints about revisions from the actor while a commit of this node's is under way, so that it does not load what it
/// is about to be handed. When dropped, the actor is told of those that came meanwhile.
pub struct HintHold {
    resident: Arc<Resident>,
    tell: Box<dyn Fn() + Send + Sync>,
}

impl HintHold {
    /// Begins to hold the hints of `resident`; `tell` has its actor look at them.
    pub fn new(resident: Arc<Resident>, tell: impl Fn() + Send + Sync + 'static) -> Self {
        resident.hints.hold();
        Self { resident, tell: Box::new(tell) }
    }
}

impl Drop for HintHold {
    fn drop(&mut self) {
        if self.resident.hints.release() {
            (self.tell)();
        }
    }
}

impl fmt::Debug for HintHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HintHold")
    }
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
    /// No answer in time: a half-open connection does not say that it is one.
    #[error("the database did not answer in time")]
    Deadline(#[from] tokio::time::error::Elapsed),
    /// Loading panicked: a defect of ours, kept to this tenant. What the panic said.
    #[error("loading the rule set panicked: {0}")]
    Panic(String),
}
