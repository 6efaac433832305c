//! What `ingest::outside` is in a run.

use chrono::{DateTime, Utc};
use tokio::task::yield_now;
use uuid::Uuid;

pub use super::{
    engine::Engine,
    messages::{Broker, Deliveries},
    store::Store,
};
use crate::{
    domain::{EventId, Tenant},
    engine,
};

/// Few, so that a few events are several batches, of several workers.
pub const BATCH_EVENTS_MAX: usize = 2;
pub const SHARE_MIN: usize = 1;

pub fn now(store: &Store) -> DateTime<Utc> {
    store.0.time()
}

pub fn event_id(broker: &Broker) -> EventId {
    let milliseconds = u128::try_from(broker.0.time().timestamp_millis()).unwrap();
    let place = broker.0.place;
    let last_id = &mut broker.0.state().processes[place].last_id;
    // One after the other, whatever the clock says.
    *last_id = (milliseconds << 80 | 7 << 76 | 2 << 62 | (place as u128) << 40).max(*last_id + 1);
    EventId(Uuid::from_u128(*last_id))
}

pub fn jitter_permille(store: &Store) -> u16 {
    u16::try_from(store.0.state().random.range(0, 1000)).unwrap()
}

/// On the one thread that there is: on others, a run would not follow from its seed.
pub async fn work<T: Send + 'static>(
    _: &Engine,
    _: &Tenant,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, engine::Error> {
    yield_now().await;
    Ok(work())
}
