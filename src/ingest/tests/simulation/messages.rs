//! The broker: a queue for each tenant whose first consumer gets the messages, a few at a time, and a queue of those that
//! were delivered too often. What a consumer has not acknowledged when its channel ends is delivered again, in its order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use tokio::{sync::Notify, time::Instant};

use super::{
    Mutant,
    tables::number_in,
    world::{Link, State},
};
use crate::{
    broker::{self, Delivered, Error, Message, QueueCounts},
    domain::TenantId,
};

/// Messages that a consumer has in its hands at once.
const PREFETCH: usize = 5;
/// How often a message may be delivered before it goes to the dead.
const DELIVERIES_MAX: u64 = 20;

/// What a process reaches the broker by.
#[derive(Debug, Clone)]
pub struct Broker(pub Link);

/// The messages of a queue.
#[derive(Debug)]
pub struct Deliveries {
    link: Link,
    channel: u64,
    arrived: Arc<Mutex<Vec<Delivered>>>,
}

#[derive(Debug, Clone)]
struct Stored {
    /// Its place in the queue.
    place: u64,
    message: Message,
    deliveries: u64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<u64, Stored>,
    /// Channels, the first of which gets the messages.
    consumers: VecDeque<u64>,
}

#[derive(Debug)]
struct Channel {
    process: usize,
    /// `None`: the dead of all tenants.
    queue: Option<TenantId>,
    in_hand: BTreeMap<u64, Stored>,
    tags: u64,
    is_open: bool,
    arrived: Arc<Mutex<Vec<Delivered>>>,
    wake: Arc<Notify>,
}

/// All that is in the broker.
#[derive(Debug, Default)]
pub struct Messages {
    queues: BTreeMap<Option<TenantId>, Queue>,
    channels: BTreeMap<u64, Channel>,
    places: u64,
    last_channel: u64,
}

impl Messages {
    fn queue(&mut self, queue: Option<TenantId>) -> &mut Queue {
        self.queues.entry(queue).or_default()
    }

    fn put(&mut self, queue: Option<TenantId>, message: Message) {
        self.places += 1;
        let place = self.places;
        self.queue(queue).waiting.insert(place, Stored { place, message, deliveries: 0 });
        self.deliver(queue);
    }

    fn open(
        &mut self,
        process: usize,
        queue: Option<TenantId>,
        wake: Arc<Notify>,
    ) -> (u64, Arc<Mutex<Vec<Delivered>>>) {
        self.last_channel += 1;
        let (id, arrived) = (self.last_channel, Arc::<Mutex<Vec<Delivered>>>::default());
        let channel = Channel {
            process,
            queue,
            in_hand: BTreeMap::new(),
            tags: 0,
            is_open: true,
            arrived: arrived.clone(),
            wake,
        };
        self.channels.insert(id, channel);
        self.queue(queue).consumers.push_back(id);
        self.deliver(queue);
        (id, arrived)
    }

    /// Hands out what there is room for.
    fn deliver(&mut self, name: Option<TenantId>) {
        let queue = self.queues.entry(name).or_default();
        let Some(channel) = queue.consumers.front().and_then(|id| self.channels.get_mut(id)) else { return };
        let mut has_arrived = false;
        while channel.in_hand.len() < PREFETCH
            && let Some((_, stored)) = queue.waiting.pop_first()
        {
            channel.tags += 1;
            has_arrived = true;
            channel.arrived.lock().unwrap().push(Delivered {
                tag: channel.tags,
                redelivered: stored.deliveries,
                tenant: Some(stored.message.scope.id()),
                message: Ok(stored.message.clone()),
            });
            channel.in_hand.insert(channel.tags, stored);
        }
        if has_arrived {
            channel.wake.notify_one();
        }
    }

    /// The next one consumes.
    fn cancel(&mut self, id: u64) {
        let Some(channel) = self.channels.get(&id) else { return };
        let queue = channel.queue;
        self.queue(queue).consumers.retain(|consumer| *consumer != id);
        self.deliver(queue);
    }

    /// What it had in its hands goes back to where it was.
    fn close(&mut self, id: u64) {
        let Some(mut channel) = self.channels.remove(&id) else { return };
        let queue = channel.queue;
        self.put_back(&mut channel);
        self.queue(queue).consumers.retain(|consumer| *consumer != id);
        channel.wake.notify_one();
        self.deliver(queue);
    }

    fn put_back(&mut self, channel: &mut Channel) {
        for (_, mut stored) in std::mem::take(&mut channel.in_hand) {
            stored.deliveries += 1;
            if stored.deliveries > DELIVERIES_MAX && channel.queue.is_some() {
                self.put(None, stored.message);
            } else {
                self.queue(channel.queue).waiting.insert(stored.place, stored);
            }
        }
    }

    /// Channels of a process, as of now.
    fn channels_of(&self, process: usize) -> Vec<u64> {
        self.channels.iter().filter(|(_, channel)| channel.process == process).map(|(id, _)| *id).collect()
    }

    pub fn process_ended(&mut self, process: usize) {
        self.channels_of(process).into_iter().for_each(|id| self.close(id));
    }

    /// Connections break. They come back with tags that begin anew, if they come back at all.
    pub fn connection_lost(&mut self, process: usize, comes_back: bool) {
        for id in self.channels_of(process) {
            if !comes_back {
                self.close(id);
                continue;
            }
            let Some(mut channel) = self.channels.remove(&id) else { continue };
            self.put_back(&mut channel);
            channel.tags = 0;
            let queue = channel.queue;
            self.channels.insert(id, channel);
            self.deliver(queue);
        }
    }

    fn acknowledge(&mut self, id: u64, tag: u64) -> bool {
        let Some(channel) = self.channels.get_mut(&id) else { return false };
        channel.in_hand.remove(&tag);
        let queue = channel.queue;
        self.deliver(queue);
        true
    }

    fn counts(&self, tenant: TenantId) -> Option<QueueCounts> {
        let queue = self.queues.get(&Some(tenant))?;
        let (messages, consumers) = (queue.waiting.len() as u32, queue.consumers.len() as u32);
        Some(QueueCounts { messages, consumers })
    }

    /// Tenants with a message that is not done.
    pub fn unfinished(&self) -> impl Iterator<Item = TenantId> {
        let waiting = self.queues.values().flat_map(|queue| queue.waiting.values());
        let in_hand = self.channels.values().flat_map(|channel| channel.in_hand.values());
        waiting.chain(in_hand).map(|stored| stored.message.scope.id())
    }
}

impl State {
    fn is_linked(&self, link: &Link) -> bool {
        Self::is_past(self.broker_away_until) && Self::is_past(self.processes[link.place].unlinked_until)
    }

    /// A process loses its connections to the broker, until then.
    pub fn unlink(&mut self, process: usize, until: Instant) {
        self.note("loses the broker", process as u64);
        self.processes[process].unlinked_until = Some(until);
        let comes_back = self.mutant == Mutant::OldAcknowledgements;
        self.messages.connection_lost(process, comes_back);
    }
}

impl From<broker::Broker> for Broker {
    fn from(_: broker::Broker) -> Self {
        unreachable!("the service is not started in tests of the library")
    }
}

impl Broker {
    async fn ask<T>(&self, operation: &'static str, act: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        self.0.pass(operation).await;
        if !self.is_connected() {
            return Err(Error::NotConnected);
        }
        let answer = act(&mut self.0.state());
        self.0.pass(operation).await;
        // It has had its effect, and nobody says so.
        let fails = {
            let mut state = self.0.state();
            let permille = state.errors_permille;
            !state.is_linked(&self.0) || state.random.permille(permille)
        };
        if fails { Err(Error::NoAnswer) } else { Ok(answer) }
    }

    pub fn is_connected(&self) -> bool {
        self.0.state().is_linked(&self.0)
    }

    pub async fn publish(&self, messages: Vec<Message>, _: Option<u64>) -> Result<Vec<Result<(), Error>>, Error> {
        let publish = |state: &mut State| {
            let mut answers = Vec::new();
            for message in messages {
                let (tenant, draft) = (message.scope.id(), &message.draft);
                let number = number_in(draft.facts.get());
                state.ledger.accepted(tenant, draft.ordering_key.clone(), number);
                state.tell(|| format!("event {number} of {tenant} is in the queue as {}", message.id));
                state.messages.put(Some(tenant), message);
                answers.push(Ok(()));
            }
            answers
        };
        self.ask("publish", publish).await
    }

    pub async fn consume(&self, tenant: TenantId, _: Option<u64>, wake: Arc<Notify>) -> Result<Deliveries, Error> {
        self.consume_queue(Some(tenant), wake).await
    }

    pub async fn consume_dead(&self, wake: Arc<Notify>) -> Result<Deliveries, Error> {
        self.consume_queue(None, wake).await
    }

    async fn consume_queue(&self, queue: Option<TenantId>, wake: Arc<Notify>) -> Result<Deliveries, Error> {
        let place = self.0.place;
        let open = |state: &mut State| {
            let (channel, arrived) = state.messages.open(place, queue, wake);
            // Closed again if nobody hears of it.
            Deliveries { link: self.0.clone(), channel, arrived }
        };
        self.ask("consume", open).await
    }

    pub async fn counts(&self, tenant: TenantId) -> Result<Option<QueueCounts>, Error> {
        self.ask("count messages", |state| state.messages.counts(tenant)).await
    }

    pub async fn delete(&self, _: TenantId) -> Result<(), Error> {
        std::future::pending().await
    }
}

impl Deliveries {
    pub fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut *self.arrived.lock().unwrap())
    }

    pub fn is_open(&self) -> bool {
        self.link.state().messages.channels.get(&self.channel).is_some_and(|channel| channel.is_open)
    }

    pub async fn close(&self) -> Result<(), Error> {
        let channel = self.channel;
        let close = |state: &mut State| {
            if state.mutant == Mutant::LetsGoInTwoSteps {
                state.messages.cancel(channel);
            }
            state.messages.close(channel);
        };
        Broker(self.link.clone()).ask("close", close).await
    }

    pub async fn acknowledge(&self, tags: &[u64]) -> Result<(), Error> {
        for &tag in tags {
            self.link.pass("acknowledge").await;
            let mut state = self.link.state();
            if !state.messages.acknowledge(self.channel, tag) {
                return Err(Error::NotConnected);
            }
        }
        Ok(())
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        let mut state = self.link.state();
        if state.mutant == Mutant::LetsGoInTwoSteps {
            state.messages.cancel(self.channel);
        }
        state.messages.close(self.channel);
    }
}
