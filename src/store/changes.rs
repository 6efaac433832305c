//! The change log, asked again and again: the guarantee that no change is missed. What is asked for and what of the
//! answer is new, [`ChangeCursor`] says.

use std::time::Duration;

use sqlx::{Connection, FromRow, PgConnection};
use tokio::time::timeout;

use super::{
    ChangeCursor, Error, Poll, Store, StoreOptions,
    cursor::{DatabaseHistory, LoggedChange, Moment},
};
use crate::domain::{Epoch, Revision, TenantId};

/// How long connecting may take, with what is asked once on each connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

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
    written_by: String,
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
    /// Connects, if there is no connection. [`Reconciler::poll`] would, too: this one has the time that it takes.
    pub async fn connect(&mut self) -> Result<(), Error> {
        if self.link.is_none() {
            self.link = Some(self.linked().await?);
        }
        Ok(())
    }

    /// What changed since `cursor`, which moves on. Cancelled, it does not, and the next call connects anew.
    pub async fn poll(&mut self, cursor: &mut ChangeCursor) -> Result<Poll, Error> {
        // Kept out of `self` meanwhile: a connection whose answer nobody waited for must not be asked again.
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.linked().await?,
        };
        let since = cursor.since().map(|xid| xid.to_string());
        let rows = self.ask(&mut link, since).await?;
        let moment = moment(&link.system, rows).ok_or_else(|| Error::of("poll changes", sqlx::Error::RowNotFound))?;
        self.link = Some(link);
        Ok(cursor.advance(moment))
    }

    async fn linked(&self) -> Result<Link, Error> {
        let connecting = async {
            let mut connection = self.options.connect("tenet-reconcile").await?;
            let system = system(&mut connection).await.map_err(|error| Error::of("identify database", error))?;
            Ok(Link { connection, system })
        };
        match timeout(CONNECT_MAX, connecting).await {
            Ok(result) => result,
            Err(_) => Err(Error::of("identify database", sqlx::Error::PoolTimedOut)),
        }
    }

    /// One statement sees one moment. Without changes it answers one row that tells only of that moment.
    async fn ask(&self, link: &mut Link, since: Option<String>) -> Result<Vec<PollRow>, Error> {
        let query = sqlx::query_as(
            "select pg_snapshot_xmin(moment)::text as xmin, pg_snapshot_xmax(moment)::text as xmax, epoch, written_by,
                tenant_id, revision, kind
             from (select pg_current_snapshot() as moment, epoch, xmin::text as written_by from installation) as here
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

/// What the rows tell; `None` if they cannot be read.
fn moment(system: &str, rows: Vec<PollRow>) -> Option<Moment> {
    let first = rows.first()?;
    let place =
        DatabaseHistory { system: system.to_owned(), epoch: Epoch(first.epoch), written_by: first.written_by.clone() };
    let (xmin, xmax) = (first.xmin.parse().ok()?, first.xmax.parse().ok()?);
    let change = |row: PollRow| {
        let is_deletion = row.kind.as_deref() == Some("deleted");
        Some(LoggedChange { tenant_id: TenantId(row.tenant_id?), revision: Revision(row.revision?), is_deletion })
    };
    Some(Moment { place, xmin, xmax, changes: rows.into_iter().filter_map(change).collect() })
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
