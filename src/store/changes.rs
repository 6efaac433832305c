//! The change log, asked again and again: the guarantee that no change is missed.
//!
//! A transaction draws its number early and becomes visible late. Therefore each poll asks again from the oldest
//! transaction on that was still running at the *previous* poll, and drops what it has told already. A cursor on the
//! newest number seen would miss the late ones; one on the oldest running would stand still behind any long one.

use std::collections::{HashMap, HashSet};

use sqlx::{Connection, FromRow, PgConnection};

use super::{Error, Head, Store, StoreOptions};
use crate::domain::{Revision, TenantId};

/// Where reconciling stands: what of the change log has been seen.
#[derive(Debug, Clone, Default)]
pub struct ChangeCursor {
    seen: Option<Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    place: Place,
    /// The oldest transaction still running at the last poll.
    xmin: u64,
    /// The first transaction not begun at the last poll.
    xmax: u64,
    /// What the last poll read, told already.
    told: HashSet<(TenantId, Revision)>,
}

/// A history of a database: in another one, numbers mean something else.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Of the cluster; empty if the role may not ask.
    system: String,
    epoch: uuid::Uuid,
}

/// What a poll of the change log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// These tenants changed since the last poll (possibly named twice, never left out). The first poll of a cursor
    /// finds none: it only says from where on.
    Changes(Vec<Head>),
    /// The database is another one than before, or was restored: everything must be compared.
    Discontinuity,
}

/// The connection on which the change log is polled: one of its own, named `tenet-reconcile`.
#[derive(Debug)]
pub struct Reconciler {
    options: StoreOptions,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    connection: PgConnection,
    system: String,
}

#[derive(FromRow)]
struct PollRow {
    xmin: String,
    xmax: String,
    epoch: uuid::Uuid,
    tenant_id: Option<uuid::Uuid>,
    revision: Option<i64>,
    kind: Option<String>,
}

impl Store {
    /// What polls the change log. It connects when it is first asked.
    pub fn reconciler(&self) -> Reconciler {
        Reconciler { options: self.options.clone(), link: None }
    }

    /// Forgets changes of more than seven days ago, a limited number at a time; answers how many.
    pub async fn purge_changes(&self) -> Result<u64, Error> {
        const OPERATION: &str = "purge changes";
        const ROWS_MAX: i64 = 10_000;
        let query = sqlx::query(
            "delete from tenant_changes where (tenant_id, revision) in
                (select tenant_id, revision from tenant_changes where changed_at < now() - interval '7 days' limit $1)",
        )
        .bind(ROWS_MAX);
        let mut connection = self.requests.acquire(OPERATION).await?;
        let done = self.requests.observer().timed(OPERATION, query.execute(&mut *connection)).await?;
        Ok(done.rows_affected())
    }
}

impl Reconciler {
    /// What changed since `cursor`, which moves on. Cancelled, it does not, and the next call connects anew.
    pub async fn poll(&mut self, cursor: &mut ChangeCursor) -> Result<Poll, Error> {
        // Kept out of `self` meanwhile: a connection whose answer nobody waited for must not be asked again.
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.connect().await?,
        };
        let since = cursor.seen.as_ref().map(|seen| seen.xmin.to_string());
        let rows = self.ask(&mut link, since).await?;
        let poll = cursor.advance(&link.system, rows)?;
        self.link = Some(link);
        Ok(poll)
    }

    async fn connect(&self) -> Result<Link, Error> {
        let mut connection = self.options.connect("tenet-reconcile").await?;
        let system = system(&mut connection).await.map_err(|error| Error::of("identify database", error))?;
        Ok(Link { connection, system })
    }

    /// One statement sees one moment. Without changes it answers one row that tells only of that moment.
    async fn ask(&self, link: &mut Link, since: Option<String>) -> Result<Vec<PollRow>, Error> {
        let query = sqlx::query_as(
            "select pg_snapshot_xmin(moment)::text as xmin, pg_snapshot_xmax(moment)::text as xmax, epoch,
                tenant_id, revision, kind
             from (select pg_current_snapshot() as moment, epoch from installation) as here
             left join tenant_changes on xid >= $1::text::xid8
             order by tenant_id, revision",
        )
        .bind(since);
        self.options.observer.timed("poll changes", query.fetch_all(&mut link.connection)).await
    }

    /// Closes the connection.
    pub async fn close(self) {
        if let Some(link) = self.link {
            // It is going away in any case.
            let _ = link.connection.close().await;
        }
    }
}

impl ChangeCursor {
    fn advance(&mut self, system: &str, rows: Vec<PollRow>) -> Result<Poll, Error> {
        let unreadable = || Error::of("poll changes", sqlx::Error::RowNotFound);
        let first = rows.first().ok_or_else(unreadable)?;
        let place = Place { system: system.to_owned(), epoch: first.epoch };
        let xmin: u64 = first.xmin.parse().map_err(|_| unreadable())?;
        let xmax: u64 = first.xmax.parse().map_err(|_| unreadable())?;
        let mut told = HashSet::new();
        let mut heads: HashMap<TenantId, Head> = HashMap::new();
        let before = self.seen.take();
        for row in rows {
            let (Some(tenant), Some(revision)) = (row.tenant_id, row.revision) else { continue };
            let (tenant_id, revision) = (TenantId(tenant), Revision(revision));
            let known = before.as_ref().is_some_and(|seen| seen.told.contains(&(tenant_id, revision)));
            told.insert((tenant_id, revision));
            if !known {
                // By revision: the last one counts.
                let revision = (row.kind.as_deref() != Some("deleted")).then_some(revision);
                heads.insert(tenant_id, Head { tenant_id, revision });
            }
        }
        let continuous = before.as_ref().is_none_or(|seen| seen.place == place && seen.xmax <= xmax);
        self.seen = Some(Seen { place, xmin, xmax, told });
        Ok(if continuous { Poll::Changes(heads.into_values().collect()) } else { Poll::Discontinuity })
    }
}

/// Names the cluster and its timeline, which a promoted standby changes.
async fn system(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let query = sqlx::query_scalar(
        "select (select system_identifier from pg_control_system())::text || '/'
            || case when pg_is_in_recovery() then 'standby'
                else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end",
    );
    match query.fetch_one(connection).await {
        // Where asking is not permitted, the epoch has to do.
        Err(error) if error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("42501")) => {
            Ok(String::new())
        }
        answer => answer,
    }
}
