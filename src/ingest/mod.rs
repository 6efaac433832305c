//! Events: accepted durably, decided once.
//!
//! `appender` stores what is sent to this node. `owner` takes the queues of tenants that have something to decide, and
//! runs a `consumer` for each, which starts with the first event and ends when there is nothing left. `batch` decides
//! events; what comes of them the store settles in one transaction. `queue` is the seam to where they wait meanwhile.
//!
//! Nothing here knows HTTP, and no rule is decided here: the engine decides events exactly as it decides requests.

mod appender;
mod backlog;
mod batch;
#[cfg(feature = "rabbitmq")]
mod brokered;
mod careful;
mod consumer;
mod error;
mod housekeeping;
mod metrics;
mod outside;
mod owner;
mod progress;
mod queue;
mod signals;
mod stop;
#[cfg(all(test, feature = "rabbitmq"))]
mod tests;
mod worker;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use self::{
    appender::Appender,
    backlog::{Backlogs, Reservation},
    careful::Marks,
    outside::{Engine, Store},
    owner::Owner,
    queue::{Queue, Settler},
    stop::Stop,
};
use crate::{
    admission::Standing,
    domain::{Accepted, Author, EventDraft, EventId, EventOutcome, NodeId, Quota, TenantScope},
    engine::Served,
    error::Detail,
    store::{self, HeldQueue, NewEvent, Redrive, RedriveOrder, Settled, Settlement},
};

pub use self::{
    appender::AppendOptions,
    batch::BeforeDeciding,
    error::Error,
    metrics::Metrics,
    progress::{ConsumerState, View as ConsumerView},
};

/// How events are stored and consumed.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// How they are stored.
    pub append: AppendOptions,
    /// How long a queue stays with a node that says nothing.
    pub lease: Duration,
    /// How long a consumer without an event stays.
    pub idle_stop: Duration,
    /// How far the database's clock may be ahead of this node's.
    pub clock_margin: TimeDelta,
    /// What is done before an event is decided.
    pub before_deciding: BeforeDeciding,
}

/// Where events wait until they are decided.
#[derive(Debug, Clone)]
pub enum Place {
    /// In the database.
    Postgres,
    /// In RabbitMQ, with the idempotency keys that nodes share.
    #[cfg(feature = "rabbitmq")]
    RabbitMq(outside::Broker, crate::shared::SharedKeys),
}

impl Place {
    /// In RabbitMQ, with the idempotency keys that nodes share.
    #[cfg(feature = "rabbitmq")]
    pub fn rabbitmq(broker: impl Into<outside::Broker>, keys: crate::shared::SharedKeys) -> Self {
        Self::RabbitMq(broker.into(), keys)
    }
}

/// What all parts share.
#[derive(Debug)]
struct Shared {
    store: Store,
    engine: Engine,
    metrics: Metrics,
    node: NodeId,
    options: IngestOptions,
    queue: Queue,
    owner: Owner,
    backlogs: Backlogs,
    marks: Marks,
    /// Rung when a tenant was deleted.
    tenant_deleted: Notify,
}

/// Handle on the events of this node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ingest {
    shared: Arc<Shared>,
    stop: Stop,
}

/// What an event is counted by if it turns out that it was sent before.
struct DuplicateLabels {
    occurred_at: Option<DateTime<Utc>>,
    project: Option<String>,
    kind: Option<String>,
}

impl DuplicateLabels {
    /// Those of an event that can be a duplicate.
    fn of(draft: &EventDraft) -> Option<Self> {
        let EventDraft { occurred_at, project, kind, idempotency_key, .. } = draft;
        idempotency_key.as_ref()?;
        Some(Self { occurred_at: *occurred_at, project: project.clone(), kind: kind.clone() })
    }
}

/// What runs in the background.
#[derive(Debug)]
pub struct Running(Vec<JoinHandle<()>>);

impl Ingest {
    /// Begins to store and to consume events.
    pub fn start(
        store: impl Into<Store>,
        engine: impl Into<Engine>,
        metrics: Metrics,
        node: NodeId,
        options: IngestOptions,
        place: Place,
    ) -> (Self, Running) {
        let (store, engine) = (store.into(), engine.into());
        let queue = match place {
            Place::Postgres => Queue::Log(Appender::start(store.clone(), metrics.clone(), options.append)),
            #[cfg(feature = "rabbitmq")]
            Place::RabbitMq(broker, keys) => Queue::Brokered(brokered::Brokered::new(broker, keys)),
        };
        let shared = Arc::new(Shared {
            store,
            engine,
            metrics,
            node,
            options,
            queue,
            owner: Owner::default(),
            backlogs: Backlogs::default(),
            marks: Marks::default(),
            tenant_deleted: Notify::new(),
        });
        let stop = Stop::default();
        let mut running = vec![
            owner::start(shared.clone(), stop.clone()),
            tokio::spawn(signals::tell(shared.clone(), stop.clone())),
            tokio::spawn(signals::hear(shared.clone(), stop.clone())),
            tokio::spawn(housekeeping::run(shared.clone(), stop.clone())),
        ];
        running.extend(shared.queue.start(&shared, &stop));
        (Self { shared, stop }, Running(running))
    }

    /// Has all consumers finish what they have begun, and give their queues back.
    pub async fn stop(&self, running: Running) {
        self.stop.set();
        for task in running.0 {
            let _ = task.await;
        }
    }

    /// Accepts events of one tenant, in their order; answers what became of each. An event that is refused spoils no
    /// other. At most [`crate::config::limits::APPEND_EVENTS_MAX`].
    pub async fn accept(
        &self,
        scope: TenantScope,
        drafts: Vec<EventDraft>,
    ) -> Result<Vec<Result<Accepted, Error>>, Error> {
        let served = self.served(scope).await?;
        let refusals: Vec<_> = drafts.iter().map(|draft| self.refusal(served.as_ref(), draft)).collect();
        let wanted = refusals.iter().filter(|refusal| refusal.is_none()).count();
        let limit = served.as_ref().map(|served| served.set.tenant().quota(Quota::EventBacklog));
        let reserved = match (&self.shared.queue, limit) {
            (Queue::Log(_), Some(limit)) => {
                Some(self.shared.backlogs.reserve(&self.shared, scope, limit, wanted as u64).await)
            }
            // Another queue knows by itself when it is full.
            _ => None,
        };
        let room = reserved.as_ref().map_or(u64::MAX, Reservation::granted);
        let (left, limited) = match &served {
            Some(served) => self.shared.engine.admit_events(served.set.tenant(), room.min(wanted as u64)),
            None => (room, None),
        };
        let mut answers: Vec<Option<Result<Accepted, Error>>> = Vec::with_capacity(drafts.len());
        let mut events = Vec::with_capacity(wanted);
        let mut labels = Vec::with_capacity(wanted);
        for (draft, refusal) in drafts.into_iter().zip(refusals) {
            let is_over = events.len() as u64 >= left;
            let limited = || limited.filter(|_| is_over).map(Error::RateLimited);
            let full = || reserved.as_ref().filter(|_| is_over).map(Reservation::refusal);
            match refusal.or_else(limited).or_else(full) {
                Some(error) => answers.push(Some(Err(error))),
                None => {
                    answers.push(None);
                    labels.push(DuplicateLabels::of(&draft));
                    events.push(NewEvent { scope, draft });
                }
            }
        }
        let mut stored =
            if events.is_empty() { Vec::new() } else { self.shared.queue.append(events, limit).await? }.into_iter();
        for (answer, labels) in stored.as_slice().iter().zip(labels) {
            if let (Ok(Accepted::Duplicate(_)), Some(labels)) = (answer, labels) {
                self.count_duplicate(scope, labels);
            }
        }
        let new = stored.as_slice().iter().filter(|answer| matches!(answer, Ok(Accepted::New(_)))).count();
        if let Some(reserved) = reserved {
            reserved.stored(new as u64);
        }
        // Another queue tells by itself that it has something.
        if new > 0 && matches!(self.shared.queue, Queue::Log(_)) {
            self.shared.owner.stored(scope.id());
        }
        let answer = |answer: Option<_>| match answer.or_else(|| stored.next()) {
            Some(Ok(Accepted::Conflict(first))) => Err(Error::Conflict(first)),
            Some(Ok(Accepted::NoTenant)) | None => Err(crate::engine::Error::TenantNotFound.into()),
            Some(answer) => answer,
        };
        let answers: Vec<_> = answers.into_iter().map(answer).collect();
        for answer in &answers {
            let status = match answer {
                Ok(Accepted::Duplicate(_)) => "duplicate",
                Ok(_) => "accepted",
                Err(error) => error.code(),
            };
            self.shared.metrics.accepted(status);
        }
        Ok(answers)
    }

    fn count_duplicate(&self, scope: TenantScope, labels: DuplicateLabels) {
        let DuplicateLabels { occurred_at, project, kind } = labels;
        let at = occurred_at.unwrap_or_else(|| self.shared.now());
        self.shared.engine.count_duplicate(scope, at, project.as_deref(), kind.as_deref());
    }

    /// Whether the tenant may send events at all.
    pub async fn admits(&self, scope: TenantScope) -> Result<(), Error> {
        self.served(scope).await.map(drop)
    }

    /// How many events the tenant may send now. If that is none, waits until it is one, at most so long.
    pub async fn room(&self, scope: TenantScope, wait_max: Duration) -> Result<u64, Error> {
        let until = Instant::now() + wait_max;
        loop {
            let served = self.served(scope).await?;
            let standing = served.and_then(|served| self.shared.engine.events_left(served.set.tenant()));
            match standing {
                None => return Ok(u64::MAX),
                Some(Standing { left: 0, reset }) if Instant::now() < until => {
                    sleep_until((Instant::now() + reset).min(until)).await;
                }
                Some(Standing { left, .. }) => return Ok(left.max(1)),
            }
        }
    }

    /// What the tenant's events are checked with. A tenant whose rules cannot be loaded now is known to exist, or not, when
    /// its events are stored.
    async fn served(&self, scope: TenantScope) -> Result<Option<Served>, Error> {
        match self.shared.engine.deciding(scope, None).await {
            Ok(served) => Ok(Some(served)),
            Err(crate::engine::Error::LoadFailed | crate::engine::Error::Overloaded) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Why an event is not accepted, as far as that can be known before it is stored.
    fn refusal(&self, served: Option<&Served>, draft: &EventDraft) -> Option<Error> {
        let retention = served.map_or(90, |served| served.set.tenant().quota(Quota::EventRetentionDays));
        let retention = TimeDelta::days(i64::try_from(retention).unwrap_or(90));
        let details: Vec<Detail> = draft.faults(self.shared.now(), retention);
        if !details.is_empty() {
            return Some(Error::Invalid(details));
        }
        let served = served?;
        let bytes = draft.facts.get().len();
        let limit = served.set.tenant().quota(Quota::EventBytes);
        if let Err(exceeded) = Quota::EventBytes.allows(limit, bytes as u64) {
            return Some(Error::QuotaExceeded(exceeded));
        }
        self.shared.engine.check_facts(served, draft.facts.get(), 1).err().map(Error::from)
    }

    /// Begins to bring dead letters back; whoever consumes the tenant's queue goes on with it. `None`: there is no such
    /// tenant.
    pub async fn redrive(
        &self,
        scope: TenantScope,
        order: &RedriveOrder,
        author: &Author,
    ) -> Result<Option<Redrive>, store::Error> {
        let redrive = self.shared.store.create_redrive(scope, order, author).await?;
        self.shared.metrics.redriven(redrive.as_ref().map_or(0, |redrive| redrive.redriven));
        self.wake(scope);
        Ok(redrive)
    }

    /// How many events of a tenant are not decided, counted no further than one beyond `limit`; `None` while that is not
    /// known.
    pub async fn backlog(&self, scope: TenantScope, limit: u64) -> Result<Option<u64>, store::Error> {
        let Some(elsewhere) = self.shared.queue.waiting(scope.id()).await else { return Ok(None) };
        let (position, now) = (self.position(scope), self.shared.now());
        let rows = self.shared.store.count_pending(scope, position, limit.saturating_add(1), now).await?;
        Ok(Some(rows + elsewhere))
    }

    /// What is with a tenant's consumer on this node.
    pub fn consumer(&self, scope: TenantScope) -> Option<ConsumerView> {
        self.shared.owner.view(scope.id())
    }

    /// How far a tenant's consumer on this node is.
    pub fn position(&self, scope: TenantScope) -> Option<EventId> {
        self.shared.owner.position(scope.id())
    }

    /// The tenant's queue was paused: its consumer here begins nothing more.
    pub fn pause(&self, scope: TenantScope) {
        self.shared.owner.pause(scope.id());
    }

    /// Looks at the tenant's queue at once: something may have come back to it, or it may go on.
    pub fn wake(&self, scope: TenantScope) {
        self.shared.owner.stored(scope.id());
        self.shared.owner.look();
    }

    /// A tenant was deleted: its events go, too.
    pub fn tenant_deleted(&self) {
        self.shared.tenant_deleted.notify_one();
    }
}

impl Shared {
    /// This node's time.
    fn now(&self) -> DateTime<Utc> {
        outside::now(&self.store)
    }

    /// Writes what came of events, and counts it.
    async fn settle(
        &self,
        scope: TenantScope,
        settler: &Settler,
        settlements: Vec<Settlement>,
    ) -> Result<Settled, store::Error> {
        let (now, events) = (self.now(), &self.metrics);
        let is_decided = |s: &&Settlement| matches!(s.outcome, EventOutcome::Decided { .. });
        let age = |s: &Settlement| (now - s.id.received_at()).to_std().unwrap_or_default();
        let ages: Vec<Duration> = settlements.iter().filter(is_decided).map(age).collect();
        let dead: Vec<_> = settlements.iter().filter_map(|s| s.outcome.death()).collect();
        let settled = settler.settle(self, scope, settlements).await?;
        ages.into_iter().for_each(|age| events.decided_after(age));
        dead.into_iter().for_each(|failure| events.dead_letter(failure.name()));
        for (outcome, count) in [("decided", settled.decided), ("retried", settled.retried), ("dead", settled.dead)] {
            events.settled(outcome, u64::try_from(count).unwrap_or_default());
        }
        Ok(settled)
    }

    /// Whether a queue whose lease was not renewed is another's by now; then its consumer ends.
    async fn check_lost(&self, queue: &HeldQueue) {
        match self.store.is_queue_held(self.node, queue).await {
            Ok(true) | Err(_) => {}
            Ok(false) => self.owner.lose(queue.tenant),
        }
    }
}
