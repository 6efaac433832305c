//! PostgreSQL: the truth. Everything a tenant has is stored here, and every change of it counted.
//!
//! Tenant tables are reached through `TenantTx` alone. No other module names `sqlx`. Revisions are counted by the
//! database's triggers, so that a row edited by hand counts as well; nothing here counts.

mod api_keys;
mod audit;
mod change;
mod changelog;
mod changes;
mod compatibility;
mod counts;
mod cursor;
mod decision_log;
mod decisions;
mod derived_fields;
mod error;
mod events;
mod guard;
mod history;
mod listener;
mod metrics;
pub mod migrate;
mod nodes;
mod page;
mod pool;
mod role;
mod rules;
mod schemas;
mod snapshot;
mod statement;
mod tenants;
mod tx;
mod window;

pub use api_keys::{KeyMade, OperatorKeyRow, StoredKey};
pub use audit::{AuditFilter, AuditReport};
pub use change::ChangeTx;
pub use changelog::ChangelogLine;
pub use changes::Reconciler;
pub use compatibility::SchemaMismatch;
pub use counts::{CountBatch, CountFilter, Counted, Flushed, MergeQueue, Merged, Metric, Point, RuleWindows};
pub use cursor::{ChangeCursor, DatabaseHistory, LoggedChange, Moment, Poll};
pub use decision_log::{LeftOut, RecordedDecision};
pub use decisions::{
    DecisionFilter, DecisionLook, DecisionOrder, DecisionOutcome, DecisionsFound, DecisionsKept, StoredDecision,
};
pub use error::Error;
pub use events::{
    Behind, DeadLetter, Duplicate, EventFilter, EventLine, EventStats, Found, HeldQueue, Lease, LetterCounts,
    LetterFilter, LetterStatus, NewEvent, QueueStatus, Received, ReceivedEvent, Redrive, RedriveOrder, SeenQueue,
    Settled, Settlement, StoredEvent, Waiting, WaitingTenant, floor as event_id_floor, redrivable,
};
pub use guard::Guard;
pub use history::PastRevision;
pub use listener::{EventListener, Heard, Listener};
pub use metrics::Metrics;
pub use page::{Page, PageRequest};
pub use pool::{PoolStatus, StoreOptions};
pub use role::is_valid_name as is_valid_role_name;
pub use rules::RuleFilter;
pub use statement::Observer;
pub use tenants::TenantHead;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pool::Pool;
use sqlx::Connection;

use crate::{analytics::Labels, breakers::Breakers, domain::Epoch};

/// How much longer than a statement may run its answer is waited for.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// Connections that record evaluations.
const RECORDER_CONNECTIONS: u32 = 2;

/// Handle on the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    options: StoreOptions,
    role: String,
    guard: Arc<Guard>,
    /// For what requests ask.
    requests: Pool,
    /// For loading rule sets and comparing revisions, so that writers cannot starve them.
    loads: Pool,
    /// For storing and settling events: a flood of them leaves the others alone.
    events: Pool,
    /// The types and projects that are counted apart.
    labels: Arc<Mutex<Labels>>,
    /// For recording evaluations, which no one waits for.
    recorder: Pool,
}

impl Store {
    /// Connects, and makes sure that the service works as a role for which row level security holds. Whether the
    /// tables are the right ones, [`Store::check_schema`] tells.
    pub async fn connect(mut options: StoreOptions) -> Result<Self, Error> {
        if !is_valid_role_name(&options.role) {
            return Err(Error::Role(format!("`{}` is not a role's name: a-z, 0-9 and _ make one", options.role)));
        }
        options.observer = options.observer.giving_up_after(options.statement_timeout + ANSWER_MARGIN);
        // That it can be made is what counts; how it closes changes nothing.
        let _ = options.connect("tenet-pool").await?.close().await;
        let connections = options.connections_max.max(1);
        let guard = Arc::new(Guard::new(connections, options.acquire_timeout, options.breakers.clone()));
        Ok(Self {
            role: options.role.clone(),
            requests: Pool::new("requests", connections, &options)?.guarded(Arc::clone(&guard)),
            guard,
            loads: Pool::new("loads", options.load_connections_max.max(1), &options)?,
            events: Pool::new("events", options.event_connections_max.max(1), &options)?,
            labels: Arc::default(),
            recorder: Pool::new("recorder", RECORDER_CONNECTIONS, &options)?,
            options,
        })
    }

    /// Whether the login is a superuser: the service works as its role all the same, but a login of its own is safer.
    pub async fn login_is_superuser(&self) -> Result<bool, Error> {
        const OPERATION: &str = "check login";
        let mut connection = self.loads.acquire(OPERATION).await?;
        self.loads.observer().timed(OPERATION, role::login_is_superuser(&mut connection)).await
    }

    /// Whether the tables are those that this service works with: neither older, nor left halfway by a migration,
    /// nor so new that they say they need a newer service.
    pub async fn check_schema(&self) -> Result<(), Error> {
        const OPERATION: &str = "check migrations";
        let mut connection = self.loads.acquire(OPERATION).await?;
        let checked = self.loads.observer().timed(OPERATION, compatibility::check(&mut connection)).await?;
        Ok(checked?)
    }

    /// The history of this database.
    pub async fn epoch(&self) -> Result<Epoch, Error> {
        const OPERATION: &str = "get epoch";
        let query = sqlx::query_scalar("select epoch from installation");
        let mut connection = self.loads.acquire(OPERATION).await?;
        self.loads.observer().timed(OPERATION, query.fetch_one(&mut *connection)).await.map(Epoch)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        const OPERATION: &str = "ping";
        let mut connection = self.loads.acquire(OPERATION).await?;
        self.loads.observer().timed(OPERATION, sqlx::query("select 1").execute(&mut *connection)).await.map(drop)
    }

    /// The types and projects that are counted apart.
    fn labels(&self) -> MutexGuard<'_, Labels> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections there are, and how many are in use.
    pub fn pool_status(&self) -> [PoolStatus; 4] {
        [self.requests.status(), self.loads.status(), self.events.status(), self.recorder.status()]
    }

    /// What calls for tenants pass before they have a connection.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The circuit breakers, of whatever is called.
    pub fn breakers(&self) -> &Breakers {
        &self.options.breakers
    }

    /// Closes all connections.
    pub async fn close(&self) {
        let pools = [&self.requests, &self.loads, &self.events, &self.recorder];
        futures_util::future::join_all(pools.map(Pool::close)).await;
    }
}
