//! A server in Docker. Without an engine that answers, there is none.

use std::{fs, path::Path, process::Command};

use testcontainers::{
    GenericImage, ImageExt,
    core::{IntoContainerPort, WaitFor},
    runners::AsyncRunner,
};

use super::{run::Run, server::Server};

const READY: &str = "database system is ready to accept connections";

impl Server {
    /// The run's container, started by its first process and removed by its keeper.
    pub(super) fn container() -> Option<Self> {
        let run = Run::join(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("run-container"));
        let known = run.directory().join("container");
        let url = match fs::read_to_string(&known) {
            Ok(url) => url,
            Err(_) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let (url, id) = runtime.block_on(start())?;
                fs::write(&known, &url).unwrap();
                let mut finish = Command::new("docker");
                run.keep(std::process::Stdio::null(), finish.args(["rm", "--force", "--volumes", &id]));
                url
            }
        };
        Some(Self::with_template(&url, &run))
    }
}

/// How to connect to a new container, and its id.
async fn start() -> Option<(String, String)> {
    let image = GenericImage::new("postgres", "17-alpine")
        .with_exposed_port(5432.tcp())
        // Said on the one stream by the server that sets the database up, and on the other by the one that stays.
        .with_wait_for(WaitFor::message_on_stdout(READY))
        .with_wait_for(WaitFor::message_on_stderr(READY))
        .with_env_var("POSTGRES_HOST_AUTH_METHOD", "trust")
        .with_cmd(["postgres", "-c", "fsync=off", "-c", "max_connections=400"]);
    let container = image.start().await.ok()?;
    let port = container.get_host_port_ipv4(5432.tcp()).await.ok()?;
    let host = container.get_host().await.ok()?;
    let id = container.id().to_owned();
    // Other processes of the run use it after this one has ended.
    std::mem::forget(container);
    Some((format!("postgresql://postgres@{host}:{port}/postgres"), id))
}
