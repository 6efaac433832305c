//! Trying events one at a time, each noted before: one that the process does not survive is known by that.

use std::collections::{HashSet, VecDeque};

use dashmap::DashMap;
use tokio::time::Instant;

use super::{
    batch,
    consumer::{Consumer, Held, Hindrance},
    queue::Settler,
};
use crate::{
    domain::{EVENT_ATTEMPTS_MAX, EventFailure, EventId, QueuedEvent, TenantId},
    engine::Served,
    store::Settlement,
};

/// With how many attempts this process has noted that it tries an event, of those of which it does not know that what
/// came of them is settled.
#[derive(Debug, Default)]
pub struct Marks(DashMap<(TenantId, EventId), u16>);

impl Marks {
    /// How often an event was tried before. What this process has noted itself does not count: it lives.
    fn attempts(&self, tenant: TenantId, event: &QueuedEvent) -> u16 {
        let is_noted = self.0.get(&(tenant, event.id)).is_some_and(|noted| *noted == event.attempts);
        event.attempts.saturating_sub(u16::from(is_noted))
    }
}

impl Consumer {
    /// One event at a time, each noted before it is tried: one that the process does not survive is known by that.
    pub async fn process_carefully(
        &self,
        held: &mut Held,
        settler: &Settler,
        served: &Served,
        events: Vec<QueuedEvent>,
        waiting: &mut HashSet<String>,
    ) -> Result<(), Hindrance> {
        let marks = &self.shared.marks;
        for mut event in events {
            let place = (self.scope.id(), event.id);
            held.careful = held.careful.saturating_sub(1);
            held.retries_at = Some(Instant::now());
            let is_behind = event.ordering_key.as_ref().is_some_and(|key| waiting.contains(key));
            if !is_behind {
                event.attempts = marks.attempts(self.scope.id(), &event);
                marks.0.insert(place, event.attempts + 1);
                if self.mark(settler, &event).await? {
                    marks.0.remove(&place);
                    continue;
                }
            }
            let key = event.ordering_key.clone();
            let share = VecDeque::from([event]);
            let has_retry = self.worker(settler).work(served.clone(), share, waiting.clone()).await?;
            marks.0.remove(&place);
            waiting.extend(key.filter(|_| has_retry));
        }
        Ok(())
    }

    /// Notes that an event is about to be tried; answers whether that was its last attempt, and it is dead.
    async fn mark(&self, settler: &Settler, event: &QueuedEvent) -> Result<bool, Hindrance> {
        // One that was brought back has used up its attempts, and is tried once more all the same.
        let is_dead = event.is_suspect && event.attempts >= EVENT_ATTEMPTS_MAX;
        let attempts = if is_dead { event.attempts } else { event.attempts + 1 };
        // Its last attempt waits as long as the one before.
        let noted = if is_dead { attempts } else { attempts.min(EVENT_ATTEMPTS_MAX - 1) };
        let outcome = batch::failed(EventFailure::Crashed, noted, 0);
        let (id, kind, ordering_key) = (event.id, event.kind.clone(), event.ordering_key.clone());
        let mark = Settlement { id, kind, ordering_key, attempts, outcome };
        if is_dead {
            self.shared.settle(self.scope, settler, vec![mark]).await?;
        } else {
            settler.settle(&self.shared, self.scope, vec![mark]).await?;
        }
        Ok(is_dead)
    }
}
