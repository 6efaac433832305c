//! What the broker has delivered too often, as when a process crashes again and again. Most of it is innocent: it was
//! only in the same hands. So it is stored, to be tried one event at a time, and only what fails then is given up.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{error, warn};

use super::{Brokered, retry, undecodable};
use crate::{
    broker::{self, Delivered},
    domain::{System, TenantScope},
    ingest::{Shared, outside::Deliveries, stop::Stop},
    store,
};

/// How long it waits for a message before it looks whether it is still connected.
const WAIT: Duration = Duration::from_secs(1);
/// How long it waits after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Takes in dead messages until it is stopped. Of all nodes the broker chooses one at a time.
pub async fn drain(queue: Brokered, shared: Arc<Shared>, stop: Stop) {
    while !stop.is_set() {
        let drained = tokio::select! {
            biased;
            drained = drain_connected(&queue, &shared) => drained,
            () = stop.wait() => return,
        };
        let wait = match drained {
            Ok(()) | Err(broker::Error::NotConnected) => WAIT,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "dead messages cannot be taken in now");
                RETRY
            }
        };
        tokio::select! {
            biased;
            () = sleep(wait) => {}
            () = stop.wait() => {}
        }
    }
}

async fn drain_connected(queue: &Brokered, shared: &Shared) -> Result<(), broker::Error> {
    let wake = Arc::<Notify>::default();
    let deliveries = queue.broker.consume_dead(wake.clone()).await?;
    while deliveries.is_open() {
        for delivered in deliveries.take() {
            store(queue, shared, &deliveries, delivered).await?;
        }
        let _ = timeout(WAIT, wake.notified()).await;
    }
    Ok(())
}

/// Stores a dead message, however long that takes.
async fn store(
    queue: &Brokered,
    shared: &Shared,
    deliveries: &Deliveries,
    delivered: Delivered,
) -> Result<(), broker::Error> {
    match delivered.tenant {
        Some(tenant) => {
            let scope = TenantScope::of_system(System::Consumer, tenant);
            while let Err(error) = receive(shared, scope, &delivered).await {
                warn!(error = &error as &dyn std::error::Error, "a dead message cannot be stored now");
                sleep(RETRY).await;
            }
            warn!(%tenant, "a message was delivered too often; its event is tried by itself");
            queue.announced.add(tenant);
        }
        None => error!("a dead message does not tell which tenant it belongs to, and is dropped"),
    }
    deliveries.acknowledge(&[delivered.tag]).await
}

async fn receive(shared: &Shared, scope: TenantScope, delivered: &Delivered) -> Result<(), store::Error> {
    let event = match &delivered.message {
        Ok(message) => retry(message, "the broker delivered it too often"),
        Err(why) => undecodable(why),
    };
    super::receive(shared, scope, &[event]).await.map(drop)
}
