//! The server of a run, and the template that its databases are copied from.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use tenet::cluster::{Cluster, ClusterOptions, Purpose};

use super::run::Run;

/// All databases of tests are named so; no other is ever touched.
const PREFIX: &str = "tenet_test_";

/// The role that migrations make. It is the server's, not a database's; a run that found none leaves none.
const ROLE: &str = "tenet_app";

/// A server that tests may make databases on.
pub struct Server {
    admin: PgConnectOptions,
    url: String,
    run: String,
    template: String,
}

/// The server, started by the first who asks.
pub async fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    // Starting blocks: on a thread of its own, so that the test's runtime goes on.
    tokio::task::spawn_blocking(|| SERVER.get_or_init(Server::start)).await.unwrap()
}

impl Server {
    fn start() -> Self {
        match env::var("TEST_DATABASE_URL") {
            Ok(url) if !url.is_empty() => Self::external(url),
            _ => Self::own(),
        }
    }

    /// A server that runs already. It is left as it was found.
    fn external(url: String) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{}", hash([url.as_bytes()])));
        let run = Run::join(&directory);
        if !run.is_kept() {
            let mut finish = Command::new(env::current_exe().unwrap());
            finish.args(["--ignored", "--exact", "support::server::the_databases_of_a_finished_run_are_dropped"]);
            run.keep(Stdio::null(), &finish);
        }
        Self::with_template(&url, &run)
    }

    #[cfg(feature = "containers")]
    fn own() -> Self {
        Self::container().unwrap_or_else(Self::private)
    }

    #[cfg(not(feature = "containers"))]
    fn own() -> Self {
        Self::private()
    }

    /// A private cluster, in memory if there is room.
    fn private() -> Self {
        let directory = private_directory();
        let run = Run::join(&directory);
        let data_dir = directory.join("server");
        let options = ClusterOptions { data_dir, purpose: Purpose::Throwaway, binaries: None };
        let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
        let url = cluster.url("postgres");
        let sockets = url.split_once("?host=").unwrap().1.to_owned();
        // Elsewhere than `directory`, if that is below root's closed home.
        let place = cluster.directory().parent().unwrap().to_owned();
        if let Some(lifeline) = cluster.into_lifeline() {
            // At most ten seconds; the server has nothing to write.
            const FINISH: &str = r#"n=0
                while [ -e "$1/cluster/data/postmaster.pid" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
                rm -rf "$1" "$2"
                rmdir "$3""#;
            let mut finish = Command::new("/bin/sh");
            finish.args(["-c", FINISH, "sh"]).arg(&place).arg(&options.data_dir).arg(&sockets);
            run.keep(lifeline, &finish);
        }
        Self::with_template(&url, &run)
    }

    /// The template of this run: made once, while `run` keeps the others waiting.
    pub(super) fn with_template(url: &str, run: &Run) -> Self {
        let admin: PgConnectOptions = url.parse().unwrap();
        let template = format!("{PREFIX}{}_template_{}", run.name(), migrations_hash());
        let server = Self { admin, url: url.to_owned(), run: run.name().to_owned(), template };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(server.make_template(run));
        server
    }

    async fn make_template(&self, run: &Run) {
        let mut connection = self.connect().await;
        let found: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&self.template)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if found {
            return;
        }
        let role: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(ROLE)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if !role {
            fs::write(run.directory().join("role"), "").unwrap();
        }
        let unfinished = format!("{PREFIX}{}_unfinished", self.run);
        execute(&mut connection, format!("drop database if exists {unfinished} with (force)")).await;
        execute(&mut connection, format!("create database {unfinished} template template0")).await;
        super::database::migrate(&self.url_of(&unfinished)).await;
        execute(&mut connection, format!("alter database {unfinished} rename to {}", self.template)).await;
        // Nothing may be connected to a database that is copied.
        execute(&mut connection, format!("alter database {} with allow_connections false", self.template)).await;
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.admin).await.unwrap()
    }

    /// The migrated database that others are copies of.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// A name for a database of this run.
    pub fn new_name(&self) -> String {
        format!("{PREFIX}{}_{}", self.run, &uuid::Uuid::now_v7().simple().to_string()[8..])
    }

    /// How to connect to another database of the server.
    pub fn url_of(&self, database: &str) -> String {
        let (address, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let scheme = address.find("://").unwrap() + "://".len();
        let end = address[scheme..].find('/').map_or(address.len(), |slash| scheme + slash);
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("{}/{database}{query}", &address[..end])
    }
}

/// Runs a statement with names in it, which cannot be parameters; all of them are made in this folder.
pub async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement.clone()))
        .execute(connection)
        .await
        .unwrap_or_else(|e| panic!("{statement}: {e}"));
}

/// In memory, where making a database takes 11 ms and not up to 300, if there is a gibibyte to spare.
fn private_directory() -> PathBuf {
    let user = rustix::process::geteuid().as_raw().to_string();
    let name = format!("tenet-test-{}", hash([env!("CARGO_TARGET_TMPDIR").as_bytes(), user.as_bytes()]));
    let shared_memory = Path::new("/dev/shm");
    let free = Command::new("df").args(["-Pk", "/dev/shm"]).output().ok().and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()
    });
    let writable = fs::create_dir_all(shared_memory.join(&name)).is_ok();
    if writable && free.is_some_and(|kibibytes| kibibytes >= 1024 * 1024) {
        return shared_memory.join(name);
    }
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("test-pg")
}

/// A template is good for one set of migrations only.
fn migrations_hash() -> String {
    let mut files: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    hash(files.iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>().iter().map(Vec::as_slice))
}

fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let digest = parts.into_iter().fold(Sha256::new(), |digest, part| digest.chain_update(part)).finalize();
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Not a test: what the keeper of a run on somebody else's server does at its end.
#[tokio::test]
#[ignore = "run by the keeper of a run, after the last test"]
async fn the_databases_of_a_finished_run_are_dropped() {
    let Ok(url) = env::var("TEST_DATABASE_URL") else { return };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{}", hash([url.as_bytes()])));
    if !directory.join("closing").exists() {
        return;
    }
    let run = fs::read_to_string(directory.join("name")).unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let names: Vec<String> = sqlx::query_scalar("select datname from pg_database where starts_with(datname, $1)")
        .bind(format!("{PREFIX}{run}_"))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for name in names {
        execute(&mut connection, format!("drop database if exists {name} with (force)")).await;
    }
    if directory.join("role").exists() {
        // Fails if somebody else's database has come to use it in the meantime, and then it must stay.
        let _ = sqlx::raw_sql(AssertSqlSafe(format!("drop role if exists {ROLE}"))).execute(&mut connection).await;
    }
}
