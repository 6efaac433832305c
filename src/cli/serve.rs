//! `tenet serve`: the production command. It needs a database and starts nothing but the service.

use std::path::PathBuf;

use clap::Args;

use crate::{
    app::App,
    config::{Purpose, Settings, Sources},
    telemetry,
};

use super::{block_on, exit, migrate};

/// Flags of `tenet serve`.
#[derive(Args)]
pub(super) struct Flags {
    /// Address and port to serve on [default: TENET_LISTEN, or 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Settings file (TOML); docs/configuration.md lists what it may hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Apply the migrations that the database lacks, then serve
    #[arg(long)]
    migrate: bool,
    /// After TENET_QUEUE was changed: decide the events that wait where it was before, then serve
    #[arg(long)]
    drain: bool,
}

/// Serves until a signal ends it.
pub(super) fn run(flags: Flags) -> anyhow::Result<()> {
    let listen = flags.listen.map(|listen| ("http.listen", listen));
    let sources = Sources::of_process(listen.into_iter().collect(), flags.config.as_deref())?;
    let mut settings = Settings::read(&sources, Purpose::Serve)?;
    settings.http.keys_stored = true;
    settings.events.drain = flags.drain;
    telemetry::start_logging(&settings.telemetry)?;
    block_on(async {
        if flags.migrate {
            migrate::up(&settings).await?;
        }
        let listen = settings.http.listen;
        let app = App::start(settings).await.map_err(|error| exit::port_in_use(error, listen))?;
        app.check_login().await;
        tracing::info!(address = %app.address(), version = env!("CARGO_PKG_VERSION"), "serving");
        app.run_until_signal().await
    })
}
