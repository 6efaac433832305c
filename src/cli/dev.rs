//! `tenet dev`: everything on this machine, with a private PostgreSQL that starts and stops with the command.
//!
//! If `DATABASE_URL` is set, that server is used and none is started.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use crate::{
    app::App,
    client::Client,
    cluster::{self, Cluster, ClusterOptions},
    config::{Purpose, Secret, Settings, Sources, environment},
    telemetry,
};

use super::{block_on, demo, exit, health, migrate, output::say, own_key};

/// Flags of `tenet dev`.
#[derive(Args)]
pub(super) struct Flags {
    /// Address and port to serve on [default: TENET_LISTEN, or 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where the private PostgreSQL keeps its data
    #[arg(long, value_name = "DIRECTORY", default_value = ".tenet")]
    data_dir: PathBuf,
    /// Settings file (TOML); docs/configuration.md lists what it may hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Play the README's first example against the service, and keep serving
    #[arg(long)]
    demo: bool,
}

/// Serves until a signal ends it; then stops the database, if it was started here.
pub(super) fn run(flags: Flags) -> anyhow::Result<()> {
    let listen = flags.listen.map(|listen| ("http.listen", listen));
    let sources = Sources::of_process(listen.into_iter().collect(), flags.config.as_deref())?;
    let mut settings = Settings::read(&sources, Purpose::Develop)?;
    // There is no balancer to warn, and the person who stops it is waiting.
    settings.http.shutdown_delay = Duration::ZERO;
    // Nobody is to be kept from trying things.
    settings.engine.rate_limits.get_or_insert(false);
    telemetry::start_logging(&settings.telemetry)?;
    // Before there is a runtime: the server must not be the child of a thread that may end before we do.
    let cluster = match settings.database.url {
        Some(_) => None,
        None => Some(start_cluster(flags.data_dir.clone(), &mut settings)?),
    };
    let served = block_on(serve(settings, cluster.as_ref(), &flags.data_dir, flags.demo));
    let stopped = cluster.map_or(Ok(()), Cluster::stop);
    served?;
    Ok(stopped?)
}

fn start_cluster(data_dir: PathBuf, settings: &mut Settings) -> anyhow::Result<Cluster> {
    let options =
        ClusterOptions { data_dir, purpose: cluster::Purpose::Persistent, binaries: environment::postgres_programs() };
    let cluster = Cluster::start(&options)?;
    let directory = cluster.directory().display();
    // The URL holds no secret: access is controlled by who may open the socket.
    let url = cluster.url(cluster::NAME);
    match (cluster.is_owned(), cluster.is_moved()) {
        (true, false) => tracing::info!(%directory, url, "started a private PostgreSQL"),
        (true, true) => tracing::warn!(
            %directory,
            url,
            "started a private PostgreSQL in another directory, because its user cannot enter the one asked for"
        ),
        (false, _) => tracing::info!(%directory, url, "using the private PostgreSQL that another process has started"),
    }
    settings.database.url = Some(Secret::new(url));
    Ok(cluster)
}

async fn serve(mut settings: Settings, cluster: Option<&Cluster>, data_dir: &Path, demo: bool) -> anyhow::Result<()> {
    if settings.http.operator_key.is_none() {
        let (key, file) = own_key::read_or_make(data_dir)?;
        tracing::info!(file = %file.display(), "requests from this machine need no key; the operator's key is in this file");
        settings.http.operator_key = Some(key);
        settings.http.keys_optional = true;
    }
    migrate::up(&settings).await?;
    // Where no key is needed, requests are shown without one, ready to be copied.
    let key = settings.http.operator_key.clone().filter(|_| !settings.http.keys_optional);
    let listen = settings.http.listen;
    let app = App::start(settings).await.map_err(|error| exit::port_in_use(error, listen))?;
    // The private server has one login, ours, so that it need not be checked.
    if cluster.is_none() {
        app.check_login().await;
    }
    let url = health::local_url(app.address());
    let mut serving = Box::pin(app.run_until_signal());
    if demo {
        let client = Client::new(&url)?.with_key(key);
        tokio::select! {
            served = &mut serving => return served,
            played = demo::play(&client) => played?,
        }
    }
    say!("serving on {url} (API {url}/api/v1, documentation {url}/swagger/); Ctrl-C stops it")?;
    serving.await
}
