//! A tenant's messages in the hands of its consumer: handed out in the order in which they came, stored and settled in
//! one transaction, and only then acknowledged. What could not be settled stays in hand and is handed out again: given
//! back to the broker each time, it would soon have been delivered too often. It is given back once, when the consumer
//! ends.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use tracing::debug;
use uuid::Uuid;

use super::{retry, undecodable};
use crate::{
    broker::{Delivered, Message, Undecodable},
    domain::{EventFailure, EventId, QueuedEvent, TenantScope},
    ingest::{
        Shared,
        outside::Deliveries,
        queue::{Log, SourceError},
    },
    shared::{KeyOwner, SharedKeys},
    store::{self, Duplicate, Found, Received, ReceivedEvent, Settled, Settlement},
};

/// From so many deliveries on, a message may have ended the processes that had it.
const REDELIVERED_SUSPECT: u64 = 2;

/// The events of a tenant: what is left in the database's log, and then what waits in the broker.
#[derive(Debug)]
pub struct Waiting {
    log: Log,
    /// Nothing was left in the log.
    is_log_over: bool,
    hand: Arc<Hand>,
}

/// Messages that are not acknowledged yet.
#[derive(Debug)]
pub struct Hand {
    deliveries: Deliveries,
    keys: SharedKeys,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By what they are acknowledged by, and so in their order.
    messages: BTreeMap<u64, Taken>,
    tags: HashMap<EventId, u64>,
    undecodable: Vec<(u64, Undecodable)>,
    /// Events handed out that turned out to be another's duplicate, to be there already, or to wait behind another.
    void: HashSet<EventId>,
}

#[derive(Debug)]
struct Taken {
    message: Message,
    /// It was delivered before, and more than once.
    is_suspect: bool,
    /// It is being decided.
    is_out: bool,
}

impl Waiting {
    pub fn new(log: Log, deliveries: Deliveries, keys: SharedKeys) -> Self {
        let hand = Hand { deliveries, keys, held: Mutex::default() };
        Self { log, is_log_over: false, hand: Arc::new(hand) }
    }

    /// The next events, and whether they are rows of the log.
    pub async fn next(&mut self, shared: &Shared, scope: TenantScope) -> Result<Found, SourceError> {
        if !self.is_log_over {
            let found = self.log.next(shared, scope).await?;
            if found.seen.is_some() {
                return Ok(found);
            }
            self.is_log_over = true;
        }
        if !self.hand.deliveries.is_open() {
            return Err(SourceError::Closed);
        }
        self.hand.take_in().await;
        self.hand.bury(shared, scope).await?;
        let waiting = self.hand.set_aside(shared, scope).await?;
        let events = self.hand.hand_out();
        let seen = events.iter().map(|event| event.id).max();
        Ok(Found { seen, events, has_retries: waiting.is_some(), waiting: waiting.unwrap_or_default() })
    }

    pub fn reached(&mut self, seen: EventId) {
        if !self.is_log_over {
            self.log.reached(seen);
        }
    }

    pub fn doubt(&mut self, until: EventId) {
        self.log.doubt(until);
        self.hand.held().messages.values_mut().for_each(|taken| taken.is_out = false);
    }

    pub fn hand(&self) -> Arc<Hand> {
        self.hand.clone()
    }

    /// Takes no more, and gives back what is not settled; answers whether it had nothing.
    pub async fn close(&self) -> bool {
        let closed = self.hand.deliveries.close().await;
        if let Err(error) = &closed {
            debug!(error = error as &dyn std::error::Error, "the broker takes messages back by itself");
        }
        closed.is_ok() && self.hand.held().is_empty()
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.undecodable.is_empty()
    }

    /// Takes a message in; answers its tag if it is in hand already.
    fn put(&mut self, delivered: Delivered) -> Option<u64> {
        let Delivered { tag, redelivered, message, .. } = delivered;
        match message {
            Ok(message) if self.tags.contains_key(&message.id) => return Some(tag),
            Ok(message) => {
                self.tags.insert(message.id, tag);
                let is_suspect = redelivered >= REDELIVERED_SUSPECT;
                self.messages.insert(tag, Taken { message, is_suspect, is_out: false });
            }
            Err(undecodable) => self.undecodable.push((tag, undecodable)),
        }
        None
    }

    /// What is in hand of an event.
    fn received(&self, settlement: &Settlement) -> Option<ReceivedEvent> {
        let Taken { message, .. } = self.messages.get(self.tags.get(&settlement.id)?)?;
        let (attempts, outcome) = (settlement.attempts, settlement.outcome.clone());
        Some(ReceivedEvent { id: message.id, draft: message.draft.clone(), attempts, outcome })
    }

    /// Forgets events; answers what they are acknowledged by.
    fn remove(&mut self, ids: &[EventId]) -> Vec<u64> {
        let tags: Vec<u64> = ids.iter().filter_map(|id| self.tags.remove(id)).collect();
        for tag in &tags {
            self.messages.remove(tag);
        }
        tags
    }
}

impl Hand {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what has arrived.
    async fn take_in(&self) {
        let twice: Vec<u64> = {
            let mut held = self.held();
            held.void.clear();
            self.deliveries.take().into_iter().filter_map(|delivered| held.put(delivered)).collect()
        };
        self.acknowledge(&twice).await;
    }

    /// Makes dead letters of what is no event.
    async fn bury(&self, shared: &Shared, scope: TenantScope) -> Result<(), store::Error> {
        let (tags, events): (Vec<u64>, Vec<ReceivedEvent>) =
            self.held().undecodable.iter().map(|(tag, why)| (*tag, undecodable(why))).unzip();
        if tags.is_empty() {
            return Ok(());
        }
        let count = events.len();
        super::receive(shared, scope, &events).await?;
        (0..count).for_each(|_| shared.metrics.dead_letter(EventFailure::Undecodable.name()));
        self.held().undecodable.clear();
        self.acknowledge(&tags).await;
        Ok(())
    }

    /// Stores what may have ended the processes that had it, and all before it, to be tried one event at a time: the broker
    /// counts deliveries no further then, and what comes later with the same ordering key waits behind. Answers the
    /// ordering keys, if there was any.
    async fn set_aside(&self, shared: &Shared, scope: TenantScope) -> Result<Option<Vec<String>>, store::Error> {
        let events: Vec<ReceivedEvent> = {
            let held = self.held();
            let suspect = held.messages.iter().rev().find(|(_, taken)| taken.is_suspect).map(|(tag, _)| *tag);
            let Some(suspect) = suspect else { return Ok(None) };
            let up_to = held.messages.range(..=suspect);
            up_to.map(|(_, taken)| retry(&taken.message, "it was delivered before, and not settled")).collect()
        };
        let received = super::receive(shared, scope, &events).await?;
        count(shared, &received);
        let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
        let tags = self.held().remove(&ids);
        self.acknowledge(&tags).await;
        Ok(Some(events.into_iter().filter_map(|event| event.draft.ordering_key).collect()))
    }

    /// The events that nobody has. Of those with one idempotency key the first is settled before others are handed out:
    /// workers would settle them in whatever order.
    fn hand_out(&self) -> Vec<QueuedEvent> {
        let mut held = self.held();
        let (mut keys, mut events) = (HashSet::new(), Vec::new());
        for Taken { message: Message { id, draft, .. }, is_out, .. } in held.messages.values_mut() {
            let is_first = draft.idempotency_key.as_deref().is_none_or(|key| keys.insert(key));
            if *is_out || !is_first {
                continue;
            }
            *is_out = true;
            events.push(QueuedEvent {
                id: *id,
                kind: draft.kind.clone(),
                ordering_key: draft.ordering_key.clone(),
                at: draft.occurred_at.filter(|_| draft.at_occurrence),
                facts: draft.facts.get().to_owned(),
                attempts: 0,
                is_suspect: false,
            });
        }
        events
    }

    /// Stores what is in hand with what came of it, and settles the rest where it is.
    pub async fn settle(
        &self,
        shared: &Shared,
        scope: TenantScope,
        settlements: Vec<Settlement>,
    ) -> Result<Settled, store::Error> {
        let (mut events, mut rows) = (Vec::new(), Vec::new());
        {
            let held = self.held();
            for settlement in settlements {
                match held.received(&settlement) {
                    Some(event) => events.push(event),
                    None if held.void.contains(&settlement.id) => {}
                    None => rows.push(settlement),
                }
            }
        }
        let mut settled = shared.store.settle_events(scope, rows).await?;
        if events.is_empty() {
            return Ok(settled);
        }
        let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
        let (keys, began) = (self.keys_of(&events), Instant::now());
        let received = super::receive(shared, scope, &events).await?;
        self.keys.remember(scope, &learnt(keys, &received, shared.options.append.key_window, began)).await;
        count(shared, &received);
        let tags = {
            let mut held = self.held();
            let stored: HashSet<&EventId> = received.stored.iter().collect();
            held.void.extend(ids.iter().filter(|id| !stored.contains(id)));
            held.remove(&ids)
        };
        self.acknowledge(&tags).await;
        settled.decided += received.settled.decided;
        settled.retried += received.settled.retried;
        settled.dead += received.settled.dead;
        Ok(settled)
    }

    /// The idempotency keys of events, if nodes share them.
    fn keys_of(&self, events: &[ReceivedEvent]) -> HashMap<EventId, (Uuid, [u8; 32])> {
        if !self.keys.are_used() {
            return HashMap::new();
        }
        let key = |event: &ReceivedEvent| Some((event.id, (event.draft.key()?, event.draft.digest())));
        events.iter().filter_map(key).collect()
    }

    /// What is not acknowledged is delivered again, and is then found to be there.
    async fn acknowledge(&self, tags: &[u64]) {
        if let Err(error) = self.deliveries.acknowledge(tags).await {
            debug!(error = &error as &dyn std::error::Error, "messages could not be acknowledged");
        }
    }
}

/// Counts what had no effect of its own.
fn count(shared: &Shared, received: &Received) {
    shared.metrics.settled("duplicate", received.duplicates.len() as u64);
    for _ in 0..received.conflicts {
        shared.metrics.dead_letter(EventFailure::KeyConflict.name());
    }
}

/// Which events keys belong to by now, and for how long: counted from when they began to be stored, so that nobody knows
/// them for longer than the database does.
fn learnt(
    keys: HashMap<EventId, (Uuid, [u8; 32])>,
    received: &Received,
    window: TimeDelta,
    began: Instant,
) -> Vec<(Uuid, KeyOwner, Duration)> {
    let window = window.to_std().unwrap_or_default();
    let stored = received.stored.iter().map(|id| (*id, *id, window));
    let of_duplicate = |duplicate: &Duplicate| duplicate.first.map(|(first, time)| (duplicate.id, first, time));
    let known = received.duplicates.iter().filter_map(of_duplicate);
    let owner = |(id, first, time): (EventId, EventId, Duration)| {
        let (key, digest) = *keys.get(&id)?;
        let time = time.checked_sub(began.elapsed()).filter(|time| !time.is_zero())?;
        Some((key, KeyOwner { id: first, digest }, time))
    };
    stored.chain(known).filter_map(owner).collect()
}
