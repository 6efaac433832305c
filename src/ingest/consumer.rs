//! One tenant's consumer: reads the tenant's queue in order, decides, settles, and ends when there is nothing left.
//!
//! Its state is the function that it is in: `take` → `run` → `give_back` or `finish`. What belongs to the database or
//! to this process uses up no event's attempts: then it waits, and does the same again.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{
    Shared, batch,
    progress::{Failure, Progress},
    queue::{Settler, Source, SourceError},
    stop::Stop,
    worker::Worker,
};
use crate::{
    config::limits::{EVENTS_READ_MAX, RETRIES_READ_MAX},
    domain::{EventFailure, EventOutcome, QueuedEvent, TenantScope},
    engine,
    store::{self, Lease, Settlement, Waiting},
};

/// How long a consumer with nothing to do waits before it looks again: doubled from the first to the last.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_LAST: Duration = Duration::from_millis(500);
/// The same for when the database, or the tenant's rules, cannot be had.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// After fewer events than this a consumer waits a little, so that those which come meanwhile are settled in one
/// transaction and not in one each.
const FEW: usize = 50;
const GATHER: Duration = Duration::from_millis(20);
/// How often events to be tried again are looked for at least.
const RETRIES_LOOK: Duration = Duration::from_secs(1);
/// From so many owners in a row that ended without getting on, events are tried one at a time.
const CRASHES_CAREFUL: i16 = 2;

/// Why a consumer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// There was nothing left.
    Idle,
    /// It was told to: the node stops, or the queue is paused or another node's.
    Stopped,
    /// Another node has the queue, or nobody may have it now.
    NotTaken,
    /// The tenant is suspended or gone.
    NoTenant,
}

/// A consumer of one tenant's events.
pub struct Consumer {
    pub shared: Arc<Shared>,
    pub scope: TenantScope,
    progress: Arc<Progress>,
    /// Rung when this node stored an event of the tenant.
    wake: Arc<Notify>,
    /// True once it is to end.
    stop: Stop,
}

/// What is known of the queue while it is held.
pub struct Held {
    lease: Lease,
    source: Source,
    /// Ordering keys of events that wait to be tried again.
    waiting: HashSet<String>,
    /// When waiting events are to be looked at.
    pub retries_at: Option<Instant>,
    /// How many events are still tried one at a time.
    pub careful: usize,
}

/// Why a step could not be done.
pub enum Hindrance {
    /// It may pass.
    Passing(String),
    /// It ends the consumer.
    Final(Ended),
}

impl From<store::Error> for Hindrance {
    fn from(error: store::Error) -> Self {
        warn!(error = &error as &dyn std::error::Error, "events cannot be read or settled now");
        Self::Passing(format!("events cannot be read or settled now: {error}"))
    }
}

impl From<SourceError> for Hindrance {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Store(error) => error.into(),
            error => {
                warn!(error = &error as &dyn std::error::Error, "a queue is opened again");
                Self::Final(Ended::Stopped)
            }
        }
    }
}

impl From<engine::Error> for Hindrance {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::TenantSuspended | engine::Error::TenantNotFound => Self::Final(Ended::NoTenant),
            engine::Error::Stopping => Self::Final(Ended::Stopped),
            error => {
                warn!(error = &error as &dyn std::error::Error, "events cannot be decided now");
                Self::Passing(format!("events cannot be decided now: {error}"))
            }
        }
    }
}

impl Consumer {
    pub fn new(
        shared: Arc<Shared>,
        scope: TenantScope,
        progress: Arc<Progress>,
        wake: Arc<Notify>,
        stop: Stop,
    ) -> Self {
        Self { shared, scope, progress, wake, stop }
    }

    /// Takes the queue, works, and gives it back.
    pub async fn run(mut self) -> Ended {
        let Shared { store, node, options, queue, .. } = &*self.shared;
        let taken_at = self.shared.now();
        let lease = match store.take_queue(self.scope, *node, options.lease).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return Ended::NotTaken,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "a queue cannot be taken now");
                return Ended::NotTaken;
            }
        };
        self.progress.begin(lease);
        let ended = match queue.open(&self.shared, self.scope, lease, taken_at, &self.wake).await {
            Ok(source) => {
                info!(tenant = %self.scope, crashes = lease.crashes, "consuming events");
                let careful = if lease.crashes >= CRASHES_CAREFUL { EVENTS_READ_MAX } else { 0 };
                let (waiting, retries_at) = (HashSet::new(), Some(Instant::now()));
                let mut held = Held { lease, source, waiting, retries_at, careful };
                let ended = self.consume(&mut held).await;
                if ended != Ended::Idle {
                    held.source.close().await;
                }
                ended
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "a queue cannot be opened now");
                Ended::Stopped
            }
        };
        if ended != Ended::Idle {
            let queue = self.progress.held(self.scope.id());
            if let Some(queue) = queue
                && let Err(error) = self.shared.store.give_back_queue(self.shared.node, queue).await
            {
                // Then the lease runs out by itself.
                warn!(error = &error as &dyn std::error::Error, "a queue could not be given back");
            }
        }
        self.progress.end();
        ended
    }

    async fn consume(&mut self, held: &mut Held) -> Ended {
        let (mut idle_since, mut look, mut retry) = (Instant::now(), LOOK_FIRST, RETRY_FIRST);
        let mut hindered_since = None;
        loop {
            if self.stop.is_set() || self.progress.is_over() {
                return Ended::Stopped;
            }
            match self.step(held).await {
                Ok(worked) if worked > 0 => {
                    (idle_since, look, retry, hindered_since) = (Instant::now(), LOOK_FIRST, RETRY_FIRST, None);
                    if worked < FEW {
                        self.pause_for_good(GATHER).await;
                    }
                }
                Ok(_) => {
                    (retry, hindered_since) = (RETRY_FIRST, None);
                    if idle_since.elapsed() >= self.shared.options.idle_stop {
                        if held.source.close().await && self.finish(held).await {
                            return Ended::Idle;
                        }
                        if held.source.keeps_events() {
                            return Ended::Stopped;
                        }
                    }
                    let due_in = held.retries_at.map_or(look, |at| at.saturating_duration_since(Instant::now()));
                    self.pause(look.min(due_in.max(LOOK_FIRST))).await;
                    look = (look * 2).min(LOOK_LAST);
                }
                Err(Hindrance::Final(ended)) => return ended,
                Err(Hindrance::Passing(message)) => {
                    self.progress.failed(Failure { at: self.shared.now(), message });
                    let since = *hindered_since.get_or_insert_with(Instant::now);
                    // By now the lease may be that of a node which is not hindered.
                    if held.source.keeps_events() && since.elapsed() >= self.shared.options.lease {
                        return Ended::Stopped;
                    }
                    held.source.doubt(&self.shared);
                    self.pause_for_good(retry).await;
                    retry = (retry * 2).min(RETRY_LAST);
                }
            }
        }
    }

    /// Waits for the next event that is stored here, at most so long.
    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            biased;
            () = self.wake.notified() => {}
            () = self.stop.wait() => {}
            () = sleep(time) => {}
        }
    }

    /// Waits whatever is stored.
    async fn pause_for_good(&mut self, time: Duration) {
        let _ = timeout(time, self.stop.wait()).await;
    }

    /// Gives back a queue with nothing left in it.
    async fn finish(&self, held: &Held) -> bool {
        let Some(queue) = self.progress.held(self.scope.id()) else { return false };
        debug_assert_eq!(queue.token, held.lease.token);
        let finished = self.shared.store.finish_queue(self.scope, self.shared.node, queue, self.shared.now()).await;
        let is_finished = finished.unwrap_or(false);
        if is_finished {
            self.shared.queue.finished(self.scope.id()).await;
        }
        is_finished
    }

    /// Decides and settles what there is; answers how many events that was.
    async fn step(&mut self, held: &mut Held) -> Result<usize, Hindrance> {
        let mut worked = 0;
        let store = &self.shared.store;
        if held.retries_at.is_some_and(|at| at <= Instant::now()) {
            let due = store.due_events(self.scope, RETRIES_READ_MAX).await?;
            if !due.is_empty() {
                worked = due.len();
                // Those behind them are among them only if they are due, too.
                self.process(held, &Settler::Rows, due, HashSet::new()).await?;
            }
            let Waiting { keys, next_at, has_redrive_due } = store.waiting(self.scope).await?;
            held.waiting = keys.into_iter().collect();
            if has_redrive_due {
                let redriven = store.continue_redrive(self.scope).await?;
                self.shared.metrics.redriven(redriven);
                worked += usize::try_from(redriven).unwrap_or_default();
            }
            // Dead letters may be brought back at any time, on any node.
            let due_in = next_at.map_or(RETRIES_LOOK, |at| (at - self.shared.now()).to_std().unwrap_or_default());
            held.retries_at = Some(Instant::now() + due_in.min(RETRIES_LOOK));
        }
        let found = held.source.next(&self.shared, self.scope).await?;
        if found.has_retries {
            worked += 1;
            held.retries_at = Some(Instant::now());
        }
        let Some(seen) = found.seen else { return Ok(worked) };
        // Since it was asked what waits, an earlier owner may have settled something, or this one without hearing of it.
        held.waiting.extend(found.waiting);
        let (settler, waiting) = (held.source.settler(), held.waiting.clone());
        // What was found was decided already, if it is none.
        worked += found.events.len().max(1);
        self.process(held, &settler, found.events, waiting).await?;
        held.source.reached(seen);
        self.progress.reached(seen);
        Ok(worked)
    }

    /// Decides and settles events, by as many workers as the tenant may have.
    async fn process(
        &self,
        held: &mut Held,
        settler: &Settler,
        events: Vec<QueuedEvent>,
        waiting: HashSet<String>,
    ) -> Result<(), Hindrance> {
        self.progress.in_flight(events.len());
        let result = self.process_in_flight(held, settler, events, waiting).await;
        self.progress.in_flight(0);
        result
    }

    async fn process_in_flight(
        &self,
        held: &mut Held,
        settler: &Settler,
        events: Vec<QueuedEvent>,
        mut waiting: HashSet<String>,
    ) -> Result<(), Hindrance> {
        let served = match self.shared.engine.deciding(self.scope, None).await {
            Ok(served) => served,
            Err(engine::Error::SchemaMissing) => {
                return self.refuse_all(settler, events, EventFailure::SchemaMissing).await;
            }
            Err(error) => return Err(error.into()),
        };
        let is_careful = held.careful > 0 || events.iter().any(|event| event.is_suspect);
        if is_careful {
            return self.process_carefully(held, settler, &served, events, &mut waiting).await;
        }
        // Whatever was read before is settled by now: a number that has changed mixes up no order.
        let workers = usize::from(served.set.tenant().effective_workers());
        self.progress.workers(workers);
        let mut working = JoinSet::new();
        for share in batch::split(events, workers) {
            let (worker, served, waiting) = (self.worker(settler), served.clone(), waiting.clone());
            working.spawn(worker.work(served, share, waiting));
        }
        let mut hindrance = None;
        while let Some(done) = working.join_next().await {
            match done {
                Ok(Ok(has_retries)) => {
                    if has_retries {
                        held.retries_at = Some(Instant::now());
                    }
                }
                Ok(Err(found)) => hindrance = Some(found),
                Err(error) => hindrance = Some(Hindrance::Passing(format!("a worker ended: {error}"))),
            }
        }
        hindrance.map_or(Ok(()), Err)
    }

    async fn refuse_all(
        &self,
        settler: &Settler,
        events: Vec<QueuedEvent>,
        failure: EventFailure,
    ) -> Result<(), Hindrance> {
        let dead = |event: QueuedEvent| Settlement {
            id: event.id,
            kind: event.kind,
            ordering_key: event.ordering_key,
            attempts: event.attempts + 1,
            outcome: EventOutcome::Dead {
                failure,
                detail: serde_json::json!({ "message": "the tenant has no schema" }),
                revision: None,
            },
        };
        self.shared.settle(self.scope, settler, events.into_iter().map(dead).collect()).await?;
        Ok(())
    }

    pub fn worker(&self, settler: &Settler) -> Worker {
        Worker { shared: self.shared.clone(), scope: self.scope, settler: settler.clone() }
    }
}
