//! A PostgreSQL of a bench's own, whose files are gone when the bench is.

use std::{fs, path::PathBuf};

use tenet::cluster::{Cluster, ClusterOptions, Purpose};

/// A server with its files.
pub struct PrivateServer {
    // Dropped in this order: the files go after the server.
    cluster: Cluster,
    _directory: Directory,
}

/// A directory that is gone when the bench is.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl PrivateServer {
    pub fn start(name: &str, purpose: Purpose) -> Self {
        let data_dir = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let directory = Directory(data_dir.clone());
        let options = ClusterOptions { data_dir, purpose, binaries: None };
        Self { cluster: Cluster::start(&options).unwrap(), _directory: directory }
    }

    /// The URL of a database on it.
    pub fn url(&self, database: &str) -> String {
        self.cluster.url(database)
    }
}
