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
const CHANNEL: &str = "tenet_changes";
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

/// The connection that listens for changes, named `tenet-listener`.
#[derive(Debug)]
pub struct Listener {
    options: StoreOptions,
    listening: Option<PgListener>,
}

impl Store {
    /// What listens for changes. It connects when it is first asked.
    pub fn listener(&self) -> Listener {
        Listener { options: self.options.clone(), listening: None }
    }
}

impl Listener {
    /// The next thing heard. After an error the connection is made anew by the next call, which answers
    /// [`Heard::Gap`] first; the caller backs off between.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        // Kept out of `self` meanwhile, so that whatever ends this early ends the connection.
        let Some(mut listening) = self.listening.take() else {
            self.listening = Some(self.listen().await?);
            return Ok(Heard::Gap);
        };
        let heard = hear(&mut listening).await?;
        self.listening = Some(listening);
        Ok(heard)
    }

    async fn listen(&self) -> Result<PgListener, Error> {
        const OPERATION: &str = "listen";
        let pool = self.pool()?;
        let connecting = async {
            let mut listening = PgListener::connect_with(&pool).await?;
            // A lost connection is ours to notice and to make anew.
            listening.eager_reconnect(false);
            listening.listen(CHANNEL).await?;
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
            .connect_lazy_with(self.options.connect_options("tenet-listener")?);
        Ok(pool)
    }
}

async fn hear(listening: &mut PgListener) -> Result<Heard, Error> {
    const OPERATION: &str = "listen";
    loop {
        match timeout(SILENCE_MAX, listening.try_recv()).await {
            Ok(Ok(Some(notification))) => return Ok(parse(notification.payload())),
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
