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

use chrono::Utc;
use serde_json::{json, value::RawValue};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use self::announce::Announced;
use super::{Error, Shared, backlog::full_queue, queue};
use crate::{
    broker::{self, Broker, Message, Undecodable},
    domain::{Accepted, EventDraft, EventFailure, EventId, EventOutcome, Quota, TenantId, TenantScope},
    engine,
    store::{NewEvent, ReceivedEvent},
};

pub use self::source::{Hand, Waiting};

/// The broker as a queue; cheap to clone.
#[derive(Debug, Clone)]
pub struct Brokered {
    broker: Broker,
    announced: Arc<Announced>,
}

impl Brokered {
    pub fn new(broker: Broker) -> Self {
        Self { broker, announced: Arc::default() }
    }

    /// Whether it can be consumed now.
    pub fn is_ready(&self) -> bool {
        self.broker.is_connected()
    }

    /// What goes on in the background.
    pub fn start(&self, shared: &Arc<Shared>, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        vec![
            tokio::spawn(announce::tell(self.clone(), shared.clone(), stop.clone())),
            tokio::spawn(announce::look(self.clone(), shared.clone(), stop.clone())),
            tokio::spawn(dead::drain(self.clone(), shared.clone(), stop.clone())),
        ]
    }

    /// Publishes events of one tenant, whose queue holds `limit` events if it is new.
    pub async fn append(
        &self,
        events: Vec<NewEvent>,
        limit: Option<u64>,
    ) -> Result<Vec<Result<Accepted, Error>>, Error> {
        let Some(tenant) = events.first().map(|event| event.scope.id()) else { return Ok(Vec::new()) };
        let messages: Vec<Message> = events
            .into_iter()
            .map(|NewEvent { scope, draft }| Message { scope, id: EventId::generate(), draft })
            .collect();
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
        Ok(Waiting::new(log, deliveries))
    }

    /// A queue was given back because there was nothing in it. Whatever came since is announced again.
    pub async fn finished(&self, tenant: TenantId) {
        match self.broker.counts(tenant).await {
            Ok(None) => {}
            Ok(Some(counts)) if counts.messages == 0 => {}
            Ok(Some(_)) | Err(_) => self.announced.add(tenant),
        }
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
        broker::Error::OutcomeUnknown(_) => Error::OutcomeUnknown(Arc::new(error)),
        error => Error::Unavailable(Arc::new(error)),
    }
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
