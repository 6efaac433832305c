//! Migrations: numbered pairs of files, applied one by one under a lock, on a connection of their own.
//!
//! The files and their checksums are `sqlx`'s; running them is not: its runner leaves its lock behind after an error,
//! and never marks a migration that ended halfway.

mod script;
mod table;

use std::time::Duration;

use sqlx::{
    ConnectOptions, Connection, PgConnection,
    migrate::{Migration, Migrator},
};

use super::{
    pool,
    role::{self, EnsureError, RoleRefused},
};
use crate::config::Secret;
use table::Applied;

/// The migrations that this service was built with.
static EMBEDDED: Migrator = sqlx::migrate!("./migrations");

/// Held while migrations run: an arbitrary number that nobody else locks.
pub(super) const LOCK: i64 = 0x7465_6e65_7400;

/// The numbers of the migrations that this service was built with.
pub(super) fn embedded_versions() -> Vec<i64> {
    let ups = EMBEDDED.iter().filter(|migration| migration.migration_type.is_up_migration());
    ups.map(|migration| migration.version).collect()
}

/// What to migrate, and how.
#[derive(Clone)]
pub struct MigrateOptions {
    /// The database, with a login that may make tables.
    pub url: Secret,
    /// The service's URL, if it is another one: its login must be able to work as the role.
    pub service_url: Option<Secret>,
    /// The role that the service works as.
    pub role: String,
    /// How long another process's migrations are waited for.
    pub lock_timeout: Duration,
}

impl MigrateOptions {
    /// The defaults, for `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            service_url: None,
            role: role::DEFAULT.to_owned(),
            lock_timeout: Duration::from_secs(60),
        }
    }
}

/// Why migrating failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached or used.
    #[error(transparent)]
    Store(#[from] super::Error),
    /// The role cannot be made or given.
    #[error(transparent)]
    Role(#[from] RoleRefused),
    /// Somebody else migrates for longer than we wait.
    #[error("another process holds the lock of the migrations; wait for it to end, then run this again")]
    Locked,
    /// An earlier migration ended halfway.
    #[error(
        "migration {0} ended halfway; repair what it left, \
         then run `tenet migrate force` with the version that the tables really have"
    )]
    Dirty(i64),
    /// A migration file is not what it was when it was applied.
    #[error("migration {0} was changed after it was applied; undo that, and add another migration instead")]
    Changed(i64),
    /// The database has a migration that this service does not know.
    #[error("migration {0} was applied by a newer tenet; use that one")]
    Unknown(i64),
    /// There is no such migration.
    #[error("there is no migration {0}; `tenet migrate status` lists them")]
    NoSuchVersion(i64),
    /// A migration cannot be undone.
    #[error("migration {0} has no down file")]
    NoWayDown(i64),
    /// A statement of a migration failed.
    #[error("migration {file} failed at line {line}: {reason}\n  statement: {statement}\n  {aftermath}")]
    Failed {
        /// The file.
        file: String,
        /// The line that the statement begins at.
        line: usize,
        /// The statement, or its beginning.
        statement: String,
        /// What PostgreSQL says.
        reason: String,
        /// How the database was left.
        aftermath: String,
    },
    /// Reading or writing the table of migrations failed.
    #[error("cannot {operation}")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: sqlx::Error,
    },
}

fn failed(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Database { operation, source }
}

/// A migration, and whether it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub version: i64,
    /// What it is called.
    pub description: String,
    /// Whether it is applied, and when.
    pub applied_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Whether it ended halfway.
    pub dirty: bool,
}

/// The last migration of a database, and whether it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The newest migration applied.
    pub version: i64,
    /// Whether one ended halfway.
    pub dirty: bool,
}

/// A database being migrated: one connection, which holds its locks until it is closed.
pub struct Migrate {
    connection: PgConnection,
    options: MigrateOptions,
    migrations: Vec<Migration>,
}

/// Applies all migrations: what `serve --migrate` and tests want.
pub async fn up(options: MigrateOptions) -> Result<(), Error> {
    let mut migrate = Migrate::open(options).await?;
    let result = migrate.up(None).await;
    migrate.close().await;
    result.map(drop)
}

impl Migrate {
    /// Connects, to run the migrations that this service was built with.
    pub async fn open(options: MigrateOptions) -> Result<Self, Error> {
        Self::open_with(options, &EMBEDDED).await
    }

    /// Connects, to run the migrations of `migrator`.
    pub async fn open_with(options: MigrateOptions, migrator: &Migrator) -> Result<Self, Error> {
        if !role::is_valid_name(&options.role) {
            let message = format!("`{}` is not a role's name: a-z, 0-9 and _ make one", options.role);
            return Err(super::Error::Role(message).into());
        }
        let connect = pool::parse_url(options.url.expose())?.application_name("tenet-migrate").options([
            ("statement_timeout", "0".to_owned()),
            // What `if exists` says is no news.
            ("client_min_messages", "warning".to_owned()),
            ("lock_timeout", options.lock_timeout.as_millis().to_string()),
        ]);
        let connection = connect.connect().await.map_err(|error| super::Error::of("connect to migrate", error))?;
        Ok(Self { connection, options, migrations: migrator.iter().cloned().collect() })
    }

    /// Closes the connection, and with it the lock.
    pub async fn close(self) {
        // It is going away in any case.
        let _ = self.connection.close().await;
    }

    /// Applies what is not applied yet, up to and with `to`; then lets the role use the tables. Answers what it
    /// applied.
    pub async fn up(&mut self, to: Option<i64>) -> Result<Vec<i64>, Error> {
        self.known(to)?;
        self.begin().await?;
        let logins = self.service_login()?;
        role::ensure(&mut self.connection, &self.options.role, &logins).await.map_err(|error| match error {
            EnsureError::Refused(refused) => Error::Role(refused),
            EnsureError::Database(source) => Error::Database { operation: "make the role", source },
        })?;
        let applied = self.applied().await?;
        let pending: Vec<Migration> = self
            .ups()
            .filter(|migration| to.is_none_or(|to| migration.version <= to))
            .filter(|migration| applied.iter().all(|row| row.version != migration.version))
            .cloned()
            .collect();
        for migration in &pending {
            script::run(&mut self.connection, migration).await?;
        }
        role::grant(&mut self.connection, &self.options.role).await.map_err(failed("grant to the role"))?;
        Ok(pending.iter().map(|migration| migration.version).collect())
    }

    /// Undoes what is applied beyond `to`, newest first. Answers what it undid.
    pub async fn down(&mut self, to: i64) -> Result<Vec<i64>, Error> {
        self.known(Some(to))?;
        self.begin().await?;
        let applied = self.applied().await?;
        let mut undone = Vec::new();
        for row in applied.iter().rev().filter(|row| row.version > to) {
            let migration = self
                .migrations
                .iter()
                .find(|migration| migration.version == row.version && migration.migration_type.is_down_migration())
                .cloned()
                .ok_or(Error::NoWayDown(row.version))?;
            script::run(&mut self.connection, &migration).await?;
            undone.push(row.version);
        }
        if to == 0 {
            role::revoke(&mut self.connection, &self.options.role).await.map_err(failed("revoke from the role"))?;
        }
        Ok(undone)
    }

    /// Undoes the newest migration that is applied.
    pub async fn down_one(&mut self) -> Result<Vec<i64>, Error> {
        let applied = table::read(&mut self.connection).await.map_err(failed("read the migrations"))?;
        let to = applied.iter().rev().nth(1).map_or(0, |row| row.version);
        self.down(to).await
    }

    /// The last migration of the database; `None` if nothing is applied.
    pub async fn version(&mut self) -> Result<Option<Version>, Error> {
        let applied = table::read(&mut self.connection).await.map_err(failed("read the migrations"))?;
        let dirty = applied.iter().any(|row| !row.success);
        Ok(applied.last().map(|row| Version { version: row.version, dirty }))
    }

    /// Every migration, known or applied, and whether it is applied.
    pub async fn status(&mut self) -> Result<Vec<Status>, Error> {
        let applied = table::read(&mut self.connection).await.map_err(failed("read the migrations"))?;
        let mut statuses: Vec<Status> = applied.iter().map(Applied::status).collect();
        let pending = self.ups().filter(|migration| applied.iter().all(|row| row.version != migration.version));
        statuses.extend(pending.map(|migration| Status {
            version: migration.version,
            description: migration.description.to_string(),
            applied_at: None,
            dirty: false,
        }));
        statuses.sort_by_key(|status| status.version);
        Ok(statuses)
    }

    /// Says that the tables are as migration `version` leaves them; changes nothing but that record. 0: nothing is
    /// applied.
    pub async fn force(&mut self, version: i64) -> Result<(), Error> {
        self.known(Some(version))?;
        self.lock().await?;
        let below: Vec<Migration> = self.ups().filter(|migration| migration.version <= version).cloned().collect();
        table::force(&mut self.connection, version, &below).await.map_err(failed("write the migrations"))
    }

    fn ups(&self) -> impl Iterator<Item = &Migration> {
        self.migrations.iter().filter(|migration| migration.migration_type.is_up_migration())
    }

    fn known(&self, version: Option<i64>) -> Result<(), Error> {
        match version {
            Some(version) if version != 0 && self.ups().all(|migration| migration.version != version) => {
                Err(Error::NoSuchVersion(version))
            }
            _ => Ok(()),
        }
    }

    /// The login of the service's own URL, which must be able to work as the role too.
    fn service_login(&self) -> Result<Vec<String>, Error> {
        let Some(url) = &self.options.service_url else { return Ok(Vec::new()) };
        Ok(vec![pool::parse_url(url.expose())?.get_username().to_owned()])
    }

    /// Takes the lock and refuses to go on where an earlier migration ended halfway.
    async fn begin(&mut self) -> Result<(), Error> {
        self.lock().await?;
        match self.applied().await?.iter().find(|row| !row.success) {
            Some(dirty) => Err(Error::Dirty(dirty.version)),
            None => Ok(()),
        }
    }

    /// Held until the connection is closed: whatever happens, nobody has to give it back.
    async fn lock(&mut self) -> Result<(), Error> {
        const LOCK_TIMEOUT: &str = "55P03";
        let locked = sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut self.connection).await;
        locked.map_err(|error| match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some(LOCK_TIMEOUT) => Error::Locked,
            _ => failed("lock the migrations")(error),
        })?;
        table::ensure(&mut self.connection).await.map_err(failed("make the table of migrations"))
    }

    /// What is applied, oldest first; every row must be one of ours, as it was.
    async fn applied(&mut self) -> Result<Vec<Applied>, Error> {
        let applied = table::read(&mut self.connection).await.map_err(failed("read the migrations"))?;
        for row in applied.iter().filter(|row| row.success) {
            match self.ups().find(|migration| migration.version == row.version) {
                None => return Err(Error::Unknown(row.version)),
                Some(migration) if *migration.checksum != *row.checksum => return Err(Error::Changed(row.version)),
                Some(_) => {}
            }
        }
        Ok(applied)
    }
}
