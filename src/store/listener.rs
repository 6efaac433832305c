//! The listener: notifications, which are quick and may be lost, and the word that some may have been.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::time::timeout;

use super::{Error, Store, StoreOptions, role};
use crate::domain::{Revision, TenantId};

/// Where the triggers notify.
const CHANGES: Channel = Channel { name: "tenet_changes", connection: "tenet-listener" };
/// Where nodes tell each other of events.
const EVENTS: Channel = Channel { name: "tenet_events", connection: "tenet-event-listener" };
/// Tenants that one notification names: it may have 8,000 bytes.
const TENANTS_NAMED: usize = 200;
/// How long silence is believed. Nothing in a half-open connection tells that it is one.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long an answer may take before the connection counts as lost.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// What some versions of PostgreSQL answer to LISTEN once old notifications outlive the log of their transactions.
const QUEUE_STUCK: &str = "could not access status of transaction";

/// What the listener heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A tenant changed, or was deleted.
    Change(TenantId, Revision),
    /// Changes may have been missed: compare everything.
    Gap,
}

/// A channel, and the name of the connection that listens to it.
#[derive(Debug, Clone, Copy)]
struct Channel {
    name: &'static str,
    connection: &'static str,
}

/// What listens for changes, on a connection named `tenet-listener`.
#[derive(Debug)]
pub struct Listener(Ear);

/// What listens for events that other nodes accepted, on a connection named `tenet-event-listener`.
#[derive(Debug)]
pub struct EventListener(Ear);

/// A connection that listens.
#[derive(Debug)]
struct Ear {
    channel: Channel,
    options: StoreOptions,
    listening: Option<PgListener>,
}

impl Store {
    /// What listens for changes. It connects when it is first asked.
    pub fn listener(&self) -> Listener {
        Listener(Ear { channel: CHANGES, options: self.options.clone(), listening: None })
    }

    /// What listens for events. It connects when it is first asked.
    pub fn event_listener(&self) -> EventListener {
        EventListener(Ear { channel: EVENTS, options: self.options.clone(), listening: None })
    }

    /// Tells all nodes that there is something to decide of these tenants, in a transaction of its own: notifications
    /// have commits wait for each other.
    pub async fn signal_events(&self, tenants: &[TenantId]) -> Result<(), Error> {
        const OPERATION: &str = "signal events";
        let named = |tenants: &[TenantId]| tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let payloads: Vec<String> = tenants.chunks(TENANTS_NAMED).map(named).collect();
        let query = sqlx::query("select pg_notify($1, payload) from unnest($2::text[]) payload")
            .bind(EVENTS.name)
            .bind(payloads);
        let mut connection = self.events.acquire(OPERATION).await?;
        self.events.observer().timed(OPERATION, query.execute(&mut *connection)).await.map(drop)
    }
}

impl Listener {
    /// The next thing heard. After an error the connection is made anew by the next call, which answers
    /// [`Heard::Gap`] first; the caller backs off between.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        Ok(self.0.next().await?.map_or(Heard::Gap, |text| parse(&text)))
    }
}

impl EventListener {
    /// The tenants that are named next; none where notifications may have been lost. After an error as
    /// [`Listener::next`].
    pub async fn next(&mut self) -> Result<Vec<TenantId>, Error> {
        let text = self.0.next().await?.unwrap_or_default();
        Ok(text.split(',').filter_map(|tenant| tenant.parse().ok()).collect())
    }
}

impl Ear {
    /// The next text heard; `None` on a new connection, since some may have been lost.
    async fn next(&mut self) -> Result<Option<String>, Error> {
        // Kept out of `self` meanwhile, so that whatever ends this early ends the connection.
        let Some(mut listening) = self.listening.take() else {
            self.listening = Some(self.listen().await?);
            return Ok(None);
        };
        let heard = hear(&mut listening).await?;
        self.listening = Some(listening);
        Ok(Some(heard))
    }

    async fn listen(&self) -> Result<PgListener, Error> {
        const OPERATION: &str = "listen";
        let pool = self.pool()?;
        let connecting = async {
            let mut listening = PgListener::connect_with(&pool).await?;
            // A lost connection is ours to notice and to make anew.
            listening.eager_reconnect(false);
            listening.listen(self.channel.name).await?;
            Ok(listening)
        };
        let result = match timeout(self.options.acquire_timeout + ANSWER_MAX, connecting).await {
            Ok(result) => result,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        };
        if let Err(sqlx::Error::Database(error)) = &result
            && error.message().contains(QUEUE_STUCK)
        {
            // Asking moves the queue's tail over the entries that cannot be read; the next attempt works.
            let _ = sqlx::query("select pg_notification_queue_usage()").execute(&pool).await;
        }
        result.map_err(|error| role::explain(OPERATION, error, &self.options.role))
    }

    /// A pool of one, because the listener takes nothing else.
    fn pool(&self) -> Result<PgPool, Error> {
        let role = self.options.role.clone();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(self.options.acquire_timeout)
            .after_connect(move |connection, _| {
                let role = role.clone();
                Box::pin(async move { role::assume(connection, &role).await })
            })
            .connect_lazy_with(self.options.connect_options(self.channel.connection)?);
        Ok(pool)
    }
}

async fn hear(listening: &mut PgListener) -> Result<String, Error> {
    const OPERATION: &str = "listen";
    loop {
        match timeout(SILENCE_MAX, listening.try_recv()).await {
            Ok(Ok(Some(notification))) => return Ok(notification.payload().to_owned()),
            // Both mean that the connection is lost, and notifications with it.
            Ok(Ok(None)) => {
                let lost = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the connection was closed");
                return Err(Error::of(OPERATION, lost.into()));
            }
            Ok(Err(error)) => return Err(Error::of(OPERATION, error)),
            Err(_) => probe(listening).await.map_err(|error| Error::of(OPERATION, error))?,
        }
    }
}

/// Makes sure that the silence is not that of a connection that is no more.
async fn probe(listening: &mut PgListener) -> Result<(), sqlx::Error> {
    match timeout(ANSWER_MAX, sqlx::query("select 1").execute(listening)).await {
        Ok(answer) => answer.map(drop),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// `<tenant>:<revision>`. Anything else was sent by somebody who does not know what to say.
fn parse(payload: &str) -> Heard {
    let change = payload.split_once(':').and_then(|(tenant, revision)| {
        Some(Heard::Change(tenant.parse().ok()?, Revision(revision.parse().ok().filter(|revision| *revision > 0)?)))
    });
    change.unwrap_or(Heard::Gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_change_counts_as_a_gap() {
        let tenant = TenantId::generate();
        assert_eq!(parse(&format!("{tenant}:7")), Heard::Change(tenant, Revision(7)));
        for payload in ["", ":", "x:1", &format!("{tenant}"), &format!("{tenant}:"), &format!("{tenant}:-1")] {
            assert_eq!(parse(payload), Heard::Gap, "{payload}");
        }
    }
}
