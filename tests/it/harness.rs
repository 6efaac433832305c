//! What the tests rely on: databases that are apart and gone afterwards, and servers that end with their tests.

use std::{
    env, fs,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};

use crate::support::{Directory, PrivateBroker, Run, TestDatabase};

async fn exists(through: &TestDatabase, name: &str) -> bool {
    let mut connection = PgConnection::connect(through.url()).await.unwrap();
    sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = tokio::join!(TestDatabase::fresh(), TestDatabase::fresh());
    assert_ne!(one.name(), other.name());
    let mut connection = PgConnection::connect(one.url()).await.unwrap();
    sqlx::raw_sql("create table mine ()").execute(&mut connection).await.unwrap();
    let mut connection = PgConnection::connect(other.url()).await.unwrap();
    let seen: Option<String> =
        sqlx::query_scalar("select to_regclass('mine')::text").fetch_one(&mut connection).await.unwrap();
    assert_eq!(seen, None);
}

#[tokio::test]
async fn a_fresh_database_has_the_migrations_and_an_empty_one_has_not() {
    for (database, expected) in [(TestDatabase::fresh().await, true), (TestDatabase::empty().await, false)] {
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        let statement = "select to_regclass('rules') is not null and to_regclass('schema_migrations') is not null";
        let migrated: bool = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
        assert_eq!(migrated, expected);
    }
}

#[tokio::test]
async fn the_database_of_a_test_is_dropped_with_it_even_while_somebody_is_connected() {
    let witness = TestDatabase::empty().await;
    let database = TestDatabase::fresh().await;
    let name = database.name().to_owned();
    let _connected = PgConnection::connect(database.url()).await.unwrap();
    assert!(exists(&witness, &name).await);
    drop(database);
    assert!(!exists(&witness, &name).await);
}

#[tokio::test]
async fn the_database_of_a_test_that_panics_is_dropped() {
    let witness = TestDatabase::empty().await;
    let database = TestDatabase::fresh().await;
    let name = database.name().to_owned();
    let test = tokio::spawn(async move {
        let _database = database;
        panic!("a test that fails on purpose");
    });
    assert!(test.await.is_err());
    assert!(!exists(&witness, &name).await);
}

#[tokio::test]
async fn many_databases_can_be_made_at_once() {
    let databases = futures_util::future::join_all((0..8).map(|_| TestDatabase::fresh())).await;
    for database in &databases {
        PgConnection::connect(database.url()).await.unwrap().close().await.unwrap();
    }
}

/// Tells a process that takes part in a run where that run is.
const RUN: &str = "TENET_TEST_RUN";

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_run_is_cleared_up_when_its_last_process_is_killed() {
    if let Some(directory) = env::var_os(RUN) {
        let directory = Path::new(&directory);
        let run = Run::join(&directory.join("run"));
        run.keep(Stdio::null(), Command::new("touch").arg(directory.join("cleared")));
        assert!(run.is_kept());
        thread::sleep(Duration::from_secs(60));
    }
    let directory = Directory::new();
    let mut process = Command::new(env::current_exe().unwrap());
    process.args(["--exact", "harness::a_run_is_cleared_up_when_its_last_process_is_killed"]);
    let mut process = process.env(RUN, directory.path()).stdout(Stdio::null()).spawn().unwrap();
    let run = directory.path().join("run");
    wait_until("the run is kept", || run.join("keeper").exists());
    assert!(run.join("users").join(process.id().to_string()).exists());

    process.kill().unwrap();
    process.wait().unwrap();
    wait_until("the keeper has cleared up", || directory.path().join("cleared").exists());
    wait_until("nothing is left", || !run.exists());
    fs::remove_file(Path::new(env!("CARGO_TARGET_TMPDIR")).join("run.lock")).unwrap();
}

#[tokio::test]
async fn a_private_broker_ends_with_the_process_that_started_it() {
    if let Some(directory) = env::var_os(RUN) {
        let broker = PrivateBroker::start().await;
        let written = Path::new(&directory).join("written");
        fs::write(&written, broker.addresses().join(" ")).unwrap();
        fs::rename(written, Path::new(&directory).join("addresses")).unwrap();
        thread::sleep(Duration::from_secs(300));
    }
    let directory = Directory::new();
    let mut process = Command::new(env::current_exe().unwrap());
    process.args(["--exact", "harness::a_private_broker_ends_with_the_process_that_started_it"]);
    process.env(RUN, directory.path()).env("TMPDIR", directory.path()).stdout(Stdio::null());
    let mut process = process.spawn().unwrap();
    let addresses = directory.path().join("addresses");
    wait_until("the broker runs", || addresses.exists());
    let addresses = fs::read_to_string(addresses).unwrap();
    let answers = |address: &str| TcpStream::connect(address).is_ok();
    assert!(addresses.split(' ').all(answers), "{addresses}");

    process.kill().unwrap();
    process.wait().unwrap();
    wait_until("nobody answers", || !addresses.split(' ').any(answers));
}
