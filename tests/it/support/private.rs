//! A server of one test's own, which it may stop.

use std::path::PathBuf;

use tenet::cluster::{self, Cluster, ClusterOptions, Purpose};

use super::{Directory, database::migrate};

/// A private server with a migrated database; gone when dropped.
pub struct PrivateServer {
    // Dropped in this order: the files go after the server.
    cluster: Option<Cluster>,
    purpose: Purpose,
    directory: Directory,
    url: String,
}

impl PrivateServer {
    pub async fn start() -> Self {
        Self::start_for(Purpose::Throwaway).await
    }

    /// One that loses nothing that it has committed, whatever happens to its processes.
    pub async fn start_durable() -> Self {
        Self::start_for(Purpose::Persistent).await
    }

    async fn start_for(purpose: Purpose) -> Self {
        let directory = Directory::new();
        let cluster = start(&directory, purpose).await;
        let url = cluster.url(cluster::NAME);
        migrate(&url).await;
        Self { cluster: Some(cluster), purpose, directory, url }
    }

    /// How to connect to its database, as the owner.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        let (address, host) = self.url.split_once("?host=").unwrap();
        let port = address.rsplit_once(':').unwrap().1.split('/').next().unwrap();
        PathBuf::from(host.replace("%2F", "/")).join(format!(".s.PGSQL.{port}"))
    }

    /// Stops it; running statements are cancelled, connections closed.
    pub async fn stop(&mut self) {
        let cluster = self.cluster.take().unwrap();
        tokio::task::spawn_blocking(move || cluster.stop()).await.unwrap().unwrap();
    }

    /// Starts it again, where it was.
    pub async fn start_again(&mut self) {
        let cluster = start(&self.directory, self.purpose).await;
        assert_eq!(cluster.url(cluster::NAME), self.url);
        self.cluster = Some(cluster);
    }
}

async fn start(directory: &Directory, purpose: Purpose) -> Cluster {
    let options = ClusterOptions { data_dir: directory.path().to_owned(), purpose, binaries: None };
    tokio::task::spawn_blocking(move || Cluster::start(&options)).await.unwrap().unwrap()
}
