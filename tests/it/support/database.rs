//! A database of a test's own.

use tenet::store::migrate::{self, MigrateOptions};

use super::server::{execute, server};

/// A database that nobody else uses; dropped with everything in it when this is, even if the test fails.
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// A database with all migrations applied.
    pub async fn fresh() -> Self {
        let template = server().await.template();
        Self::create(template).await
    }

    /// A database with nothing in it.
    pub async fn empty() -> Self {
        Self::create("template0").await
    }

    async fn create(template: &str) -> Self {
        let server = server().await;
        let name = server.new_name();
        let mut connection = server.connect().await;
        // Copying the files takes half of the time that writing them through the log does.
        execute(&mut connection, format!("create database {name} template {template} strategy file_copy")).await;
        Self { url: server.url_of(&name), name }
    }

    /// How to connect to it, as the owner.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // The test's runtime may be of one thread, which is here: another one asks the server, and is waited for.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = server().await.connect().await;
                execute(&mut connection, format!("drop database if exists {name} with (force)")).await;
            });
        });
        if dropping.join().is_err() && !std::thread::panicking() {
            panic!("the database of a test could not be dropped");
        }
    }
}

/// Applies all migrations.
pub async fn migrate(url: &str) {
    let options = MigrateOptions::new(url);
    migrate::up(options).await.unwrap_or_else(|error| panic!("{error:?}"));
}
