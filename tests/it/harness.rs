//! What the tests rely on: databases that are apart, and gone afterwards.

use sqlx::{Connection, PgConnection};

use crate::support::TestDatabase;

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
