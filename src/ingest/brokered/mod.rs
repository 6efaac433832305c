//! Events that wait in the broker: accepted once it has confirmed them, stored once they are decided.
//!
//! Who consumes a tenant's queue is decided by the same lease as ever, and what is to be tried again is a row as ever.
//! So the database has to hear that a queue has something in it: `announce` tells it, at once for what this node has
//! published, and by looking for what nobody told. `source` hands a tenant's messages out and settles them; `dead` takes
//! in what the broker has delivered too often.

mod announce;
mod dead;
mod source;

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use serde_json::{json, value::RawValue};
use tokio::{sync::Notify, task::JoinHandle};
use uuid::Uuid;

use self::announce::Announced;
use super::{
    Error, Shared,
    backlog::full_queue,
    outside::{self, Broker},
    queue,
    stop::Stop,
};
use crate::{
    broker::{self, Message, Undecodable},
    domain::{Accepted, EventDraft, EventFailure, EventId, EventOutcome, Quota, TenantId, TenantScope},
    engine,
    shared::{KeyOwner, SharedKeys},
    store::{self, NewEvent, Received, ReceivedEvent},
};

pub use self::source::{Hand, Waiting};

/// The broker as a queue; cheap to clone.
#[derive(Debug, Clone)]
pub struct Brokered {
    broker: Broker,
    /// Keys of events that are stored, as far as nodes know at once.
    keys: SharedKeys,
    announced: Arc<Announced>,
}

impl Brokered {
    pub fn new(broker: Broker, keys: SharedKeys) -> Self {
        Self { broker, keys, announced: Arc::default() }
    }

    /// Whether it can be consumed now.
    pub fn is_ready(&self) -> bool {
        self.broker.is_connected()
    }

    /// What goes on in the background.
    pub fn start(&self, shared: &Arc<Shared>, stop: &Stop) -> Vec<JoinHandle<()>> {
        vec![
            tokio::spawn(announce::tell(self.clone(), shared.clone(), stop.clone())),
            tokio::spawn(announce::look(self.clone(), shared.clone(), stop.clone())),
            tokio::spawn(dead::drain(self.clone(), shared.clone(), stop.clone())),
        ]
    }

    /// Publishes events of one tenant, whose queue holds `limit` events if it is new; but for those whose idempotency key
    /// is known.
    pub async fn append(
        &self,
        events: Vec<NewEvent>,
        limit: Option<u64>,
    ) -> Result<Vec<Result<Accepted, Error>>, Error> {
        let known = self.known(&events).await;
        let unknown = events.into_iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(event, _)| event);
        let messages: Vec<Message> = unknown
            .map(|NewEvent { scope, draft }| Message { scope, id: outside::event_id(&self.broker), draft })
            .collect();
        let mut published = self.publish(messages, limit).await?.into_iter();
        Ok(known.into_iter().filter_map(|known| known.map(Ok).or_else(|| published.next())).collect())
    }

    /// What is known of each event by its idempotency key.
    async fn known(&self, events: &[NewEvent]) -> Vec<Option<Accepted>> {
        let nothing = || events.iter().map(|_| None).collect();
        let Some(scope) = events.first().map(|event| event.scope).filter(|_| self.keys.are_used()) else {
            return nothing();
        };
        let keys: Vec<Option<Uuid>> = events.iter().map(|event| event.draft.key()).collect();
        let asked: Vec<Uuid> = keys.iter().flatten().copied().collect();
        let owners = self.keys.look_up(scope, &asked).await;
        if owners.is_empty() {
            return nothing();
        }
        let of_event = |(event, key): (&NewEvent, Option<Uuid>)| {
            let KeyOwner { id, digest } = *owners.get(&key?)?;
            let is_same = digest == event.draft.digest();
            Some(if is_same { Accepted::Duplicate(id) } else { Accepted::Conflict(id) })
        };
        events.iter().zip(keys).map(of_event).collect()
    }

    async fn publish(&self, messages: Vec<Message>, limit: Option<u64>) -> Result<Vec<Result<Accepted, Error>>, Error> {
        let Some(tenant) = messages.first().map(|message| message.scope.id()) else { return Ok(Vec::new()) };
        let ids: Vec<EventId> = messages.iter().map(|message| message.id).collect();
        let answers = self.broker.publish(messages, limit).await.map_err(|error| refusal(error, limit))?;
        if answers.iter().any(Result::is_ok) {
            self.announced.add(tenant);
        }
        let answer = |(id, answer): (EventId, Result<(), broker::Error>)| {
            answer.map(|()| Accepted::New(id)).map_err(|error| refusal(error, limit))
        };
        Ok(ids.into_iter().zip(answers).map(answer).collect())
    }

    /// Opens a tenant's queue.
    pub async fn open(
        &self,
        shared: &Shared,
        scope: TenantScope,
        log: queue::Log,
        wake: Arc<Notify>,
    ) -> Result<Waiting, OpenError> {
        let served = match shared.engine.deciding(scope, None).await {
            Ok(served) => served,
            // Its events become dead letters, in whatever order.
            Err(engine::Error::SchemaMissing) => return self.consume(scope, None, log, wake).await,
            Err(error) => return Err(OpenError::Engine(error)),
        };
        let limit = served.set.tenant().quota(Quota::EventBacklog);
        self.consume(scope, Some(limit), log, wake).await
    }

    async fn consume(
        &self,
        scope: TenantScope,
        limit: Option<u64>,
        log: queue::Log,
        wake: Arc<Notify>,
    ) -> Result<Waiting, OpenError> {
        let deliveries = self.broker.consume(scope.id(), limit, wake).await.map_err(OpenError::Broker)?;
        Ok(Waiting::new(log, deliveries, self.keys.clone()))
    }

    /// A queue was given back because there was nothing in it. Whatever came since is announced again.
    pub async fn finished(&self, tenant: TenantId) {
        match self.broker.counts(tenant).await {
            Ok(None) => {}
            Ok(Some(counts)) if counts.messages == 0 => {}
            Ok(Some(_)) | Err(_) => self.announced.add(tenant),
        }
    }

    /// How many messages a tenant's queue holds; `None` while the broker does not say.
    pub async fn waiting(&self, tenant: TenantId) -> Option<u64> {
        Some(self.broker.counts(tenant).await.ok()?.map_or(0, |counts| u64::from(counts.messages)))
    }

    /// Deletes a tenant's queue.
    pub async fn delete(&self, tenant: TenantId) -> Result<(), broker::Error> {
        self.broker.delete(tenant).await
    }
}

/// Why a queue cannot be consumed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Engine(engine::Error),
    #[error(transparent)]
    Broker(broker::Error),
}

/// What a sender is told.
fn refusal(error: broker::Error, limit: Option<u64>) -> Error {
    match error {
        broker::Error::Full => full_queue(limit.unwrap_or_default()),
        broker::Error::BreakerOpen(open) => Error::BreakerOpen(open),
        broker::Error::OutcomeUnknown(_) => Error::OutcomeUnknown(Arc::new(error)),
        error => Error::Unavailable(Arc::new(error)),
    }
}

/// Stores events with what came of them. Where the database refuses them for what one of them is, half by half, until that
/// one stands alone and becomes a dead letter: it would be refused for ever, and hold up all that come after it.
async fn receive(shared: &Shared, scope: TenantScope, events: &[ReceivedEvent]) -> Result<Received, store::Error> {
    let window = shared.options.append.key_window;
    let mut received = Received::default();
    let mut left = vec![events];
    while let Some(events) = left.pop() {
        match shared.store.receive_events(scope, events, window).await {
            Ok(part) => received.add(part),
            Err(store::Error::ValueRefused { .. } | store::Error::NoPartition { .. }) if events.len() > 1 => {
                let (first, second) = events.split_at(events.len() / 2);
                left.extend([second, first]);
            }
            Err(error @ (store::Error::ValueRefused { .. } | store::Error::NoPartition { .. })) => {
                let mut letter = undecodable(&Undecodable(format!("the event cannot be stored: {error}")));
                // Its day is not there, and what it says can be kept all the same.
                if let (store::Error::NoPartition { .. }, [event]) = (error, events) {
                    letter.draft = event.draft.clone();
                }
                received.add(shared.store.receive_events(scope, &[letter], window).await?);
                shared.metrics.dead_letter(EventFailure::Undecodable.name());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(received)
}

/// What is stored of a message that is to be tried by itself, since it may have ended the processes that had it.
fn retry(message: &Message, why: &str) -> ReceivedEvent {
    let (failure, detail) = (EventFailure::Crashed, why.to_owned());
    let outcome = EventOutcome::Retry { failure, detail, after: TimeDelta::zero() };
    ReceivedEvent { id: message.id, draft: message.draft.clone(), attempts: 0, outcome }
}

/// What is stored of a message that is no event: a dead letter.
fn undecodable(Undecodable(why): &Undecodable) -> ReceivedEvent {
    let draft = EventDraft {
        facts: RawValue::NULL.to_owned(),
        kind: None,
        project: None,
        idempotency_key: None,
        occurred_at: None,
        at_occurrence: false,
        ordering_key: None,
    };
    let outcome = EventOutcome::Dead {
        failure: EventFailure::Undecodable,
        detail: json!({ "message": why, "receivedAt": Utc::now() }),
        revision: None,
    };
    ReceivedEvent { id: EventId::generate(), draft, attempts: 1, outcome }
}
