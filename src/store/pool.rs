//! Connections: how they are made, which role they work as, and how many there are. No statement about tenants.

use std::{
    fmt, io,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{
    Connection, PgConnection, PgPool, Postgres, SqlStr, Transaction,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::{Error, Observer, guard::Guard, role};
use crate::{breakers::Breakers, config::Secret};

/// How long an idle connection may take to show that it is one: several fit into the time a connection is waited for.
const PROBE_MAX: Duration = Duration::from_millis(500);
/// A connection that was used a moment ago is taken as it is.
const IDLE_TRUSTED: Duration = Duration::from_millis(100);

/// How to reach the database.
#[derive(Clone)]
pub struct StoreOptions {
    /// The database. TLS as its `sslmode` says.
    pub url: Secret,
    /// The role to work as; made by `tenet migrate up`.
    pub role: String,
    /// Connections for reads and writes that requests ask for.
    pub connections_max: u32,
    /// Connections for loading rule sets, so that writers cannot keep readers from theirs.
    pub load_connections_max: u32,
    /// Connections for storing and settling events.
    pub event_connections_max: u32,
    /// How long a connection is waited for.
    pub acquire_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long a transaction may do nothing.
    pub idle_transaction_timeout: Duration,
    /// Who is told how long statements took.
    pub observer: Observer,
    /// What keeps calls from a database that fails.
    pub breakers: Breakers,
}

impl StoreOptions {
    /// The defaults, for `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            role: role::DEFAULT.to_owned(),
            connections_max: 10,
            load_connections_max: 4,
            event_connections_max: 4,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(2),
            idle_transaction_timeout: Duration::from_secs(15),
            observer: Observer::default(),
            breakers: Breakers::default(),
        }
    }

    /// How a connection named `application` is made.
    pub(super) fn connect_options(&self, application: &str) -> Result<PgConnectOptions, Error> {
        let milliseconds = |time: Duration| time.as_millis().to_string();
        let options = parse_url(self.url.expose())?.application_name(application).options([
            ("statement_timeout", milliseconds(self.statement_timeout)),
            ("lock_timeout", milliseconds(self.lock_timeout)),
            ("idle_in_transaction_session_timeout", milliseconds(self.idle_transaction_timeout)),
        ]);
        Ok(options)
    }

    /// A single connection, outside any pool, that works as the role.
    pub(super) async fn connect(&self, application: &str) -> Result<PgConnection, Error> {
        const OPERATION: &str = "connect";
        let options = self.connect_options(application)?;
        let connecting = async {
            let mut connection = sqlx::ConnectOptions::connect(&options).await?;
            role::assume(&mut connection, &self.role).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match tokio::time::timeout(self.acquire_timeout, connecting).await {
            Ok(result) => result.map_err(|error| role::explain(OPERATION, error, &self.role)),
            Err(_) => Err(Error::of(OPERATION, sqlx::Error::PoolTimedOut)),
        }
    }
}

impl fmt::Debug for StoreOptions {
    /// Without the URL: it holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions").field("role", &self.role).finish_non_exhaustive()
    }
}

/// Reads a URL without repeating it in the error: it holds a password.
pub(super) fn parse_url(url: &str) -> Result<PgConnectOptions, Error> {
    PgConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))
}

/// Makes sure that the server is at the other end. It also awaits what an abandoned statement left behind.
async fn probe(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    match timeout(PROBE_MAX, connection.ping()).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time"))),
    }
}

/// How many connections a pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// The pool's name: `requests` or `loads`.
    pub pool: &'static str,
    /// Connections that exist.
    pub size: u32,
    /// Of these, how many nobody uses.
    pub idle: u32,
    /// Of these, how many somebody uses.
    pub in_use: u32,
}

/// A pool of connections named `tenet-pool`, all working as the role.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    name: &'static str,
    inner: PgPool,
    observer: Observer,
    /// What calls for tenants pass.
    guard: Option<Arc<Guard>>,
}

impl Pool {
    /// A pool that connects when it is first used.
    pub(super) fn new(name: &'static str, connections_max: u32, options: &StoreOptions) -> Result<Self, Error> {
        let role = options.role.clone();
        let inner = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(options.acquire_timeout)
            .after_connect(move |connection, _| {
                let role = role.clone();
                Box::pin(async move { role::assume(connection, &role).await })
            })
            // The driver's own test has no limit. Ours finds connections that became half-open while they were idle; after
            // a short idle time it is left out, so that loads that follow each other do not pay for it.
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                Box::pin(async move {
                    if metadata.idle_for >= IDLE_TRUSTED {
                        probe(connection).await?;
                    }
                    Ok(true)
                })
            })
            // The driver tests each connection that is given back, and waits for that answer without a limit. A caller
            // that was cancelled leaves a statement and a rollback that are not answered yet, and one that gave up
            // leaves a connection that may be half-open: without this test, which has a limit, each would keep its
            // place in the pool for ever. Nothing at hand tells such a connection from a clean one, so all pay for it:
            // two round trips with the driver's, and a sixth of a cold load's CPU, while no caller waits.
            .after_release(|connection, _| Box::pin(async move { probe(connection).await.map(|()| true) }))
            .connect_lazy_with(options.connect_options("tenet-pool")?);
        Ok(Self { name, inner, observer: options.observer.clone(), guard: None })
    }

    /// The same, whose calls for tenants pass a guard.
    pub(super) fn guarded(mut self, guard: Arc<Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// What calls for tenants pass.
    pub(super) fn guard(&self) -> Option<&Arc<Guard>> {
        self.guard.as_ref()
    }

    /// Whether all connections that it may have are in use.
    pub(super) fn is_used_up(&self) -> bool {
        self.status().in_use >= self.inner.options().get_max_connections()
    }

    /// A connection, within the pool's time limit.
    pub(super) async fn acquire(&self, operation: &'static str) -> Result<PoolConnection<Postgres>, Error> {
        let began = Instant::now();
        let connection = self.inner.acquire().await;
        self.observer.waited(self.name, began.elapsed());
        connection.map_err(|error| Error::of(operation, error))
    }

    /// A transaction, begun with `begin`: a statement, or several that need no parameters.
    pub(super) async fn begin(&self, begin: SqlStr) -> Result<Transaction<'static, Postgres>, Error> {
        const OPERATION: &str = "begin";
        let connection = self.acquire(OPERATION).await?;
        // What `PgPool::begin_with` does, with the waiting told apart.
        self.observer.timed(OPERATION, Transaction::begin(connection, Some(begin))).await
    }

    /// Who is told how long statements took.
    pub(super) fn observer(&self) -> &Observer {
        &self.observer
    }

    pub(super) fn status(&self) -> PoolStatus {
        let size = self.inner.size();
        let idle = u32::try_from(self.inner.num_idle()).unwrap_or(size).min(size);
        PoolStatus { pool: self.name, size, idle, in_use: size - idle }
    }

    pub(super) async fn close(&self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_repeated() {
        let url = "postgresql://user:hunter2@host/database";
        assert!(!format!("{:?}", StoreOptions::new(url)).contains("hunter2"));
        for wrong in ["postgresql://user:hunter2@host:port/database", "://hunter2", "hunter2"] {
            let message = parse_url(wrong).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
