//! Group commit: what is sent to this node within a moment is stored by one statement, whoever's it is.
//!
//! A submission is stored whole and in its order, or not at all. One that the database refuses for what is in it is
//! told apart from its neighbours by halving.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{Error, Metrics, outside::Store};
use crate::{
    config::limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, APPEND_TENANTS_MAX, APPENDER_QUEUE_MAX, APPENDS_IN_FLIGHT},
    domain::{Accepted, TenantScope},
    store::{self, NewEvent},
};

/// A group of fewer events waits until no other is being stored: what each tenant of a group costs is more than what its
/// events do.
const SECOND_MIN: usize = 250;

/// How events are stored.
#[derive(Debug, Clone, Copy)]
pub struct AppendOptions {
    /// How long the first event of a statement waits for others.
    pub flush_interval: Duration,
    /// How long an idempotency key counts.
    pub key_window: TimeDelta,
}

/// Events of one tenant that are stored together, and who waits for that.
struct Submission {
    events: Vec<NewEvent>,
    reply: oneshot::Sender<Vec<Result<Accepted, Error>>>,
}

impl Submission {
    fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.draft.facts.get().len()).sum()
    }

    fn tenant(&self) -> Option<TenantScope> {
        self.events.first().map(|event| event.scope)
    }
}

/// Handle on the appender; cheap to clone.
#[derive(Debug, Clone)]
pub struct Appender {
    submissions: mpsc::Sender<Submission>,
    /// Places for events that are on their way: a channel counts submissions, whatever is in them.
    room: Arc<Semaphore>,
}

impl Appender {
    /// Begins to store events. It ends with its last handle, after the last statement.
    pub fn start(store: Store, metrics: Metrics, options: AppendOptions) -> Self {
        let (submissions, received) = mpsc::channel(APPENDER_QUEUE_MAX);
        let room = Arc::new(Semaphore::new(APPENDER_QUEUE_MAX));
        tokio::spawn(run(store, metrics, options, received));
        Self { submissions, room }
    }

    /// Stores events of one tenant, at most [`APPEND_EVENTS_MAX`], and answers what became of each.
    pub async fn append(&self, events: Vec<NewEvent>) -> Result<Vec<Result<Accepted, Error>>, Error> {
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        // Never closed. Full: the database takes less than comes, and whoever waits here holds one request.
        let _room = self.room.acquire_many(count).await.map_err(|_| Error::Stopping)?;
        let (reply, answer) = oneshot::channel();
        self.submissions.send(Submission { events, reply }).await.map_err(|_| Error::Stopping)?;
        answer.await.map_err(|_| Error::Stopping)
    }
}

async fn run(store: Store, metrics: Metrics, options: AppendOptions, mut received: mpsc::Receiver<Submission>) {
    let in_flight = Arc::new(Semaphore::new(APPENDS_IN_FLIGHT as usize));
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(submission) => Some(submission),
            None => received.recv().await,
        }) else {
            break;
        };
        let mut group = Group::new(first);
        let flush_at = Instant::now() + options.flush_interval;
        // What comes while others are stored is stored with this: the slower the database, the larger the groups.
        let mut is_last = false;
        let place = loop {
            let is_ready = is_last || next.is_some() || group.is_full();
            let place = place(&in_flight, flush_at, is_ready, group.events >= SECOND_MIN);
            if is_ready {
                break place.await;
            }
            tokio::select! {
                biased;
                place = place => break place,
                submission = received.recv() => match submission {
                    Some(submission) => next = group.take(submission),
                    None => is_last = true,
                },
            }
        };
        let Some(permit) = place else { break };
        let (store, metrics) = (store.clone(), metrics.clone());
        tokio::spawn(async move {
            group.store(&store, &metrics, options.key_window).await;
            drop(permit);
        });
    }
    // What is in flight is finished before the task ends.
    let _ = in_flight.acquire_many(APPENDS_IN_FLIGHT).await;
}

/// Waits until a group may be stored: not before its time unless it is ready, and beside another one only if it is large.
/// `None` does not happen: the semaphore is never closed.
async fn place(
    in_flight: &Arc<Semaphore>,
    flush_at: Instant,
    is_ready: bool,
    is_large: bool,
) -> Option<OwnedSemaphorePermit> {
    if !is_ready {
        sleep_until(flush_at).await;
    }
    let all = if is_large { 1 } else { APPENDS_IN_FLIGHT };
    in_flight.clone().acquire_many_owned(all).await.ok()?.split(1)
}

/// Submissions that go into one statement.
struct Group {
    submissions: Vec<Submission>,
    events: usize,
    bytes: usize,
    tenants: std::collections::HashSet<crate::domain::TenantId>,
}

impl Group {
    fn new(first: Submission) -> Self {
        let mut group =
            Self { submissions: Vec::new(), events: 0, bytes: 0, tenants: std::collections::HashSet::new() };
        group.push(first);
        group
    }

    fn push(&mut self, submission: Submission) {
        self.events += submission.events.len();
        self.bytes += submission.bytes();
        self.tenants.extend(submission.tenant().map(|scope| scope.id()));
        self.submissions.push(submission);
    }

    fn is_full(&self) -> bool {
        self.events >= APPEND_EVENTS_MAX
            || self.bytes >= APPEND_BYTES_MAX
            // Each tenant is a lock.
            || self.tenants.len() >= APPEND_TENANTS_MAX
    }

    /// Adds a submission, or gives it back if it does not fit.
    fn take(&mut self, submission: Submission) -> Option<Submission> {
        let fits = self.events + submission.events.len() <= APPEND_EVENTS_MAX
            && self.bytes + submission.bytes() <= APPEND_BYTES_MAX;
        if !fits {
            return Some(submission);
        }
        self.push(submission);
        None
    }

    async fn store(self, store: &Store, metrics: &Metrics, key_window: TimeDelta) {
        let (events, replies): (Vec<_>, Vec<_>) =
            self.submissions.into_iter().map(|submission| (submission.events, submission.reply)).unzip();
        let counts: Vec<usize> = events.iter().map(Vec::len).collect();
        let events: Vec<NewEvent> = events.into_iter().flatten().collect();
        let mut answers = store_all(store, metrics, key_window, &events).await.into_iter();
        for (reply, count) in replies.into_iter().zip(counts) {
            // Whoever gave up waiting has no answer; its events are stored all the same.
            let _ = reply.send(answers.by_ref().take(count).collect());
        }
    }
}

/// Stores events; where the database refuses them for what is in them, half by half, until the one that it refuses
/// stands alone.
async fn store_all(
    store: &Store,
    metrics: &Metrics,
    key_window: TimeDelta,
    events: &[NewEvent],
) -> Vec<Result<Accepted, Error>> {
    let mut answers = Vec::with_capacity(events.len());
    let mut left = vec![events];
    while let Some(events) = left.pop() {
        let began = Instant::now();
        let result = store.append_events(events, key_window).await;
        metrics.appended(events.len() as u64, began.elapsed());
        match result {
            Ok(accepted) => answers.extend(accepted.into_iter().map(Ok)),
            Err(store::Error::ValueRefused { .. }) if events.len() > 1 => {
                let (first, second) = events.split_at(events.len() / 2);
                left.extend([second, first]);
            }
            Err(error) => {
                let error = Error::from(Arc::new(error));
                answers.extend(events.iter().map(|_| Err(error.clone())));
            }
        }
    }
    answers
}
