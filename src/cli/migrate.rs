//! `tenet migrate`: migrates the database up or down, and shows its version.

use std::{io, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::{
    config::{Purpose, Settings, Sources},
    store::migrate::{self, Migrate, MigrateOptions, Status},
};

use super::{block_on, output::say};

/// Flags of `tenet migrate`.
#[derive(Args)]
pub(super) struct Flags {
    #[command(subcommand)]
    action: Action,
    /// The database, with a login that may create tables [default: DATABASE_MIGRATION_URL, or DATABASE_URL]
    #[arg(long, value_name = "URL", global = true)]
    database: Option<String>,
    /// Settings file (TOML); docs/configuration.md lists what it may hold
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Apply pending migrations
    Up {
        /// The last migration to apply
        #[arg(long, value_name = "VERSION")]
        to: Option<i64>,
    },
    /// Undo the newest migration, or several
    Down {
        /// The newest migration to keep
        #[arg(long, value_name = "VERSION", conflicts_with = "all")]
        to: Option<i64>,
        /// Undo all, which deletes all data
        #[arg(long)]
        all: bool,
    },
    /// Print the newest migration that is applied
    Version,
    /// List all migrations, and whether they are applied
    Status,
    /// Set the recorded version, after a failed migration was repaired by hand
    Force {
        /// The version; 0 for none
        version: i64,
    },
}

/// Runs `tenet migrate`.
pub(super) fn run(flags: Flags) -> anyhow::Result<()> {
    // A database named on the command line is the one, whatever else is set.
    let keys = ["database.url", "database.migration_url"];
    let urls = flags.database.iter().flat_map(|url| keys.map(|key| (key, url.clone())));
    let sources = Sources::of_process(urls.collect(), flags.config.as_deref())?;
    let settings = Settings::read(&sources, Purpose::Migrate)?;
    block_on(async {
        let mut database = Migrate::open(options(&settings)?).await?;
        let result = act(&mut database, flags.action).await;
        database.close().await;
        result
    })
}

/// Brings the database that `settings` name to the newest version.
pub(super) async fn up(settings: &Settings) -> anyhow::Result<()> {
    migrate::up(options(settings)?).await.context("cannot migrate the database")
}

fn options(settings: &Settings) -> anyhow::Result<MigrateOptions> {
    let database = &settings.database;
    let url = database.migration_url.as_ref().or(database.url.as_ref());
    let url = url.context("`DATABASE_URL` is not set; set it, or use --database")?;
    let mut options = MigrateOptions::new(url.expose());
    options.service_url.clone_from(&database.url);
    options.role.clone_from(&database.role);
    Ok(options)
}

async fn act(database: &mut Migrate, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Up { to } => print_done("applied", &database.up(to).await?)?,
        Action::Down { to: Some(version), .. } => print_done("undid", &database.down(version).await?)?,
        Action::Down { all: true, .. } => print_done("undid", &database.down(0).await?)?,
        Action::Down { .. } => print_done("undid", &database.down_one().await?)?,
        Action::Version => match database.version().await? {
            Some(at) => say!("{}{}", at.version, if at.dirty { " (dirty)" } else { "" })?,
            None => say!("none")?,
        },
        Action::Status => database.status().await?.iter().try_for_each(print_status)?,
        Action::Force { version } => {
            database.force(version).await?;
            say!("the database is recorded as at migration {version}")?;
        }
    }
    Ok(())
}

fn print_done(did: &str, versions: &[i64]) -> io::Result<()> {
    if versions.is_empty() {
        say!("nothing to do")?;
    }
    for version in versions {
        say!("{did} migration {version}")?;
    }
    Ok(())
}

fn print_status(status: &Status) -> io::Result<()> {
    let state = match status.applied_at {
        _ if status.dirty => "failed halfway".to_owned(),
        Some(at) => format!("applied {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
        None => "pending".to_owned(),
    };
    say!("{:06}  {:<24}  {state}", status.version, status.description)
}
