//! Changing where events wait: only once nothing is left where they waited before, because nobody would decide it there.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};
use tracing::info;

#[cfg(feature = "rabbitmq")]
use crate::{
    broker::{self, Address, Broker, Keeping},
    shared::SharedKeys,
};
use crate::{
    config::{QueueKind, Settings},
    domain::{System, TenantId, TenantScope},
    engine::Engine,
    ingest::{self, Ingest, Place},
    store::Store,
};

/// How long a broker may take to be connected.
#[cfg(feature = "rabbitmq")]
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// How often it is looked how much is left, and how often that is told.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// What it takes to look at where events waited, and to decide them.
pub(super) struct Change<'a> {
    pub settings: &'a Settings,
    pub store: &'a Store,
    pub engine: &'a Engine,
    pub ingest: &'a ingest::Metrics,
    #[cfg(feature = "rabbitmq")]
    pub broker: &'a broker::Metrics,
    /// The broker, if the settings name one.
    #[cfg(feature = "rabbitmq")]
    pub address: Option<&'a Address>,
}

/// How many events are left.
#[derive(Debug, Default)]
struct Left {
    events: u64,
    /// Those among them that are not decided now: their tenants are suspended, or their consumers paused.
    held: u64,
    /// Whose they are.
    tenants: Vec<TenantId>,
}

/// Where events waited.
struct Old {
    place: Place,
    #[cfg(feature = "rabbitmq")]
    connected: Option<(Broker, Keeping)>,
}

impl Change<'_> {
    /// Sees to it that nothing is left where events waited, if the settings name another place; notes that place.
    pub async fn make(&self) -> anyhow::Result<()> {
        let (old, new) = (self.store.event_place().await?, self.settings.events.queue);
        let old = QueueKind::of_name(&old).with_context(|| format!("events wait in `{old}`, which is not known"))?;
        if old == new {
            return Ok(());
        }
        let waited = self.open(old).await?;
        let cleared = self.clear(&waited, old).await;
        waited.close().await;
        cleared?;
        self.store.set_event_place(new.name()).await?;
        info!(from = old.name(), to = new.name(), "events wait elsewhere from now on");
        Ok(())
    }

    async fn clear(&self, waited: &Old, old: QueueKind) -> anyhow::Result<()> {
        let left = self.left(waited).await?;
        if left.events == 0 {
            return Ok(());
        }
        let (events, held) = (left.events, left.held);
        let (from, to) = (old.name(), self.settings.events.queue.name());
        if !self.settings.events.drain {
            bail!(
                "{events} events wait in `{from}`, and `TENET_QUEUE` is `{to}`: stop all nodes, then run \
                 `tenet serve --drain` once, which decides these events before it serves; or set `TENET_QUEUE={from}` again"
            );
        }
        if held > 0 {
            bail!(
                "{events} events wait in `{from}`, and {held} of them cannot be decided, because their tenants are \
                 suspended or their consumers are paused; set `TENET_QUEUE={from}` again, let these go on, and stop all \
                 nodes before the next try"
            );
        }
        info!(events, from, "deciding the events that wait, before any is accepted");
        self.drain(waited).await
    }

    /// Decides all that is left.
    async fn drain(&self, waited: &Old) -> anyhow::Result<()> {
        let mut told = Instant::now();
        loop {
            // Whoever stored the last of them may have ended before it could tell.
            self.store.mark_queues(&self.left(waited).await?.tenants).await?;
            let (ingest, running) = Ingest::start(
                self.store.clone(),
                self.engine.clone(),
                self.ingest.clone(),
                self.engine.node(),
                super::ingest_options(self.settings),
                waited.place.clone(),
            );
            loop {
                let events = self.left(waited).await?.events;
                if events == 0 {
                    break;
                }
                if told.elapsed() >= TELL_INTERVAL {
                    told = Instant::now();
                    info!(events, "events that wait are still being decided");
                }
                sleep(LOOK_INTERVAL).await;
            }
            // What a consumer has in its hands is counted by nobody; it gives back what it does not finish.
            ingest.stop(running).await;
            if self.left(waited).await?.events == 0 {
                return Ok(());
            }
        }
    }

    /// Counts what is left.
    async fn left(&self, waited: &Old) -> anyhow::Result<Left> {
        let mut left = Left::default();
        for tenant in self.store.waiting_tenants().await? {
            let events = waited.count(self.store, TenantScope::of_system(System::Consumer, tenant.id)).await?;
            left.events += events;
            if events > 0 {
                left.tenants.push(tenant.id);
            }
            if !tenant.is_decided {
                left.held += events;
            }
        }
        #[cfg(feature = "rabbitmq")]
        if let Some((broker, _)) = &waited.connected {
            left.events += broker.count_dead().await.context("cannot look at what was delivered too often")?;
        }
        Ok(left)
    }

    #[cfg(feature = "rabbitmq")]
    async fn open(&self, kind: QueueKind) -> anyhow::Result<Old> {
        if kind == QueueKind::Postgres {
            return Ok(Old { place: Place::Postgres, connected: None });
        }
        let Some(address) = self.address else {
            bail!(
                "events waited in `rabbitmq` until now, and `TENET_RABBITMQ_URL` is not set; set it, so that it can be seen \
                 whether any are left there"
            );
        };
        let (broker, keeping) = Broker::start(address.clone(), self.store.breakers().clone(), self.broker.clone());
        let began = Instant::now();
        while !broker.is_connected() {
            if began.elapsed() > CONNECT_MAX {
                keeping.stop().await;
                bail!(
                    "events waited in RabbitMQ until now, and it does not answer; nobody can tell whether any are left"
                );
            }
            sleep(LOOK_INTERVAL).await;
        }
        let place = Place::rabbitmq(broker.clone(), SharedKeys::default());
        Ok(Old { place, connected: Some((broker, keeping)) })
    }

    #[cfg(not(feature = "rabbitmq"))]
    async fn open(&self, kind: QueueKind) -> anyhow::Result<Old> {
        if kind == QueueKind::RabbitMq {
            bail!("events waited in RabbitMQ until now, and this program was built without the feature `rabbitmq`");
        }
        Ok(Old { place: Place::Postgres })
    }
}

impl Old {
    /// Counts what is left of a tenant's events.
    async fn count(&self, store: &Store, scope: TenantScope) -> anyhow::Result<u64> {
        #[cfg(feature = "rabbitmq")]
        if let Some((broker, _)) = &self.connected {
            let counts = broker.counts(scope.id()).await.context("cannot look at a queue")?;
            return Ok(counts.map_or(0, |counts| u64::from(counts.messages)));
        }
        Ok(store.count_waiting(scope).await?)
    }

    async fn close(self) {
        #[cfg(feature = "rabbitmq")]
        if let Some((_, keeping)) = self.connected {
            keeping.stop().await;
        }
    }
}
