//! Which login and which role the service works as, and what it says of those it cannot work as.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, PgConnection};
use tenet::config::Secret;
use tenet::store::{
    Error, SchemaMismatch, Store, StoreOptions,
    migrate::{self, Migrate, MigrateOptions},
};

use super::{connect, psql, tenant};
use crate::support::{TestDatabase, scope};

/// A role of the test's own; dropped, with what it owns in the test's database, by [`Login::drop`].
struct Login {
    name: String,
}

impl Login {
    async fn new(owner: &mut PgConnection, attributes: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tenet_test_login_{}_{number}", std::process::id());
        run(owner, &format!("drop role if exists {name}; create role {name} {attributes}")).await;
        Self { name }
    }

    fn url(&self, database: &TestDatabase) -> String {
        let (scheme, rest) = database.url().split_once("://").unwrap();
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{}@{host}", self.name)
    }

    async fn drop(self, owner: &mut PgConnection) {
        run(owner, &format!("drop owned by {} cascade; drop role {0}", self.name)).await;
    }
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

#[tokio::test]
async fn the_service_works_as_the_role_whatever_its_login() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    tenant(&store, "acme").await;
    let mut owner = psql(&database).await;
    let names: Vec<String> = sqlx::query_scalar(
        "select distinct application_name from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(names, ["tenet-pool"]);
    let login = Login::new(&mut owner, "login").await;
    run(&mut owner, &format!("grant tenet_app to {}", login.name)).await;
    let store = Store::connect(StoreOptions::new(login.url(&database))).await.unwrap();
    store.check_schema().await.unwrap();
    tenant(&store, "globex").await;
    assert!(!store.login_is_superuser().await.unwrap());
    store.close().await;
    login.drop(&mut owner).await;
}

#[tokio::test]
async fn a_superuser_is_known_as_one_though_the_service_works_as_the_role() {
    let database = TestDatabase::fresh().await;
    let mut owner = psql(&database).await;
    let almighty = Login::new(&mut owner, "login superuser").await;
    let store = Store::connect(StoreOptions::new(almighty.url(&database))).await.unwrap();
    assert!(store.login_is_superuser().await.unwrap());
    store.close().await;
    almighty.drop(&mut owner).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_told_in_the_servers_words() {
    let database = TestDatabase::fresh().await;
    let name = database.url().split('?').next().unwrap().rsplit('/').next().unwrap();
    let url = database.url().replacen(name, "no_such_database", 1);
    let refused = Store::connect(StoreOptions::new(url)).await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(cause, "database \"no_such_database\" does not exist");
}

#[tokio::test]
async fn a_login_that_may_not_work_as_the_role_is_told_what_to_do() {
    let database = TestDatabase::fresh().await;
    let mut owner = psql(&database).await;
    let login = Login::new(&mut owner, "login").await;
    let refused = Store::connect(StoreOptions::new(login.url(&database))).await.unwrap_err();
    assert!(matches!(&refused, Error::Role(message) if message.contains("grant tenet_app to")), "{refused}");
    login.drop(&mut owner).await;
}

#[tokio::test]
async fn a_role_that_row_level_security_does_not_hold_for_is_refused() {
    let database = TestDatabase::fresh().await;
    let mut owner = psql(&database).await;
    let bypassing = Login::new(&mut owner, "nologin bypassrls").await;
    let almighty = Login::new(&mut owner, "nologin superuser").await;
    let owning = Login::new(&mut owner, "nologin").await;
    run(&mut owner, &format!("alter table rules owner to {}", owning.name)).await;
    for (role, fault) in [(&bypassing, "has BYPASSRLS"), (&almighty, "is a superuser"), (&owning, "owns the tables")] {
        let mut options = StoreOptions::new(database.url());
        options.role.clone_from(&role.name);
        let refused = Store::connect(options).await.unwrap_err();
        assert!(matches!(&refused, Error::Role(message) if message.contains(fault)), "{refused}");
    }
    for name in ["no_such_role", "x; drop table rules"] {
        let mut options = StoreOptions::new(database.url());
        options.role = name.to_owned();
        let refused = Store::connect(options).await.unwrap_err();
        assert!(matches!(refused, Error::Role(_)), "{refused}");
    }
    for role in [bypassing, almighty, owning] {
        role.drop(&mut owner).await;
    }
}

#[tokio::test]
async fn the_role_is_asserted_again_for_each_transaction() {
    let database = TestDatabase::fresh().await;
    let mut options = StoreOptions::new(database.url());
    options.connections_max = 1;
    let store = Store::connect(options).await.unwrap();
    let acme = tenant(&store, "acme").await;
    // A table that lets anybody see whose work it is.
    let mut owner = psql(&database).await;
    run(&mut owner, "alter table rules alter column description set default current_user::text").await;
    run(
        &mut owner,
        "create function spy() returns trigger language plpgsql as $$ begin
        new.description := current_user::text; return new; end $$;
        create trigger spy before insert on rules for each row execute function spy()",
    )
    .await;
    let rule = super::rule("spied");
    super::change(&store, &acme, &[tenet::ruleset::Operation::InsertRule(rule.clone())]).await;
    let (_, stored) = store.rule(scope(acme.id), rule.id).await.unwrap().unwrap();
    assert_eq!(stored.unwrap().description.as_deref(), Some("tenet_app"));
}

#[tokio::test]
async fn a_login_without_createrole_is_told_what_an_administrator_must_run() {
    let database = TestDatabase::empty().await;
    let mut owner = psql(&database).await;
    let login = Login::new(&mut owner, "login").await;
    run(&mut owner, &format!("grant create on database {} to {}", database.name(), login.name)).await;
    run(&mut owner, &format!("grant create on schema public to {}", login.name)).await;
    let mut options = MigrateOptions::new(login.url(&database));
    // A role of its own, because the usual one exists on this server.
    options.role = format!("{}_app", login.name);
    let refused = migrate::up(options.clone()).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("create role {} nologin;", options.role)), "{refused}");
    assert!(refused.contains(&format!("grant {} to \"{}\"", options.role, login.name)), "{refused}");
    let made: bool =
        sqlx::query_scalar("select to_regclass('tenants') is not null").fetch_one(&mut owner).await.unwrap();
    assert!(!made, "nothing is begun that cannot be finished");
    // What it said is what helps.
    let sql = refused.split_once("must run:\n").unwrap().1;
    run(&mut owner, sql).await;
    migrate::up(options.clone()).await.unwrap();
    let mut store = StoreOptions::new(login.url(&database));
    store.role.clone_from(&options.role);
    let store = Store::connect(store).await.unwrap();
    store.check_schema().await.unwrap();
    tenant(&store, "acme").await;
    store.close().await;
    run(&mut owner, &format!("drop owned by {0}; drop role {0}", options.role)).await;
    login.drop(&mut owner).await;
}

#[tokio::test]
async fn a_login_with_createrole_makes_the_role_and_lets_the_services_login_use_it() {
    let database = TestDatabase::empty().await;
    let mut owner = psql(&database).await;
    let migrating = Login::new(&mut owner, "login createrole").await;
    let serving = Login::new(&mut owner, "login").await;
    run(&mut owner, &format!("grant create on database {} to {}", database.name(), migrating.name)).await;
    run(&mut owner, &format!("grant create on schema public to {}", migrating.name)).await;
    let mut options = MigrateOptions::new(migrating.url(&database));
    options.role = format!("{}_app", migrating.name);
    options.service_url = Some(Secret::new(serving.url(&database)));
    migrate::up(options.clone()).await.unwrap();
    let mut store_options = StoreOptions::new(serving.url(&database));
    store_options.role.clone_from(&options.role);
    let store = Store::connect(store_options).await.unwrap();
    tenant(&store, "acme").await;
    store.close().await;
    let mut migrate = Migrate::open(options.clone()).await.unwrap();
    assert_eq!(migrate.up(None).await.unwrap(), [0_i64; 0], "again, there is nothing to do");
    migrate.close().await;
    run(&mut owner, &format!("drop owned by {0}; drop role {0}", options.role)).await;
    serving.drop(&mut owner).await;
    migrating.drop(&mut owner).await;
}

#[tokio::test]
async fn a_database_that_does_not_fit_is_refused_with_what_to_do() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    store.check_schema().await.unwrap();
    let mut owner = psql(&database).await;
    run(&mut owner, "update schema_migrations set success = false where version = 3").await;
    let refused = store.check_schema().await.unwrap_err();
    assert!(matches!(refused, Error::Schema(SchemaMismatch::Dirty(3))), "{refused}");
    let newest: i64 = sqlx::query_scalar(
        "update schema_migrations set success = true returning (select max(version) from schema_migrations)",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    run(&mut owner, &format!("delete from schema_migrations where version = {newest}")).await;
    let refused = store.check_schema().await.unwrap_err();
    let Error::Schema(SchemaMismatch::Older { found, needed }) = refused else { panic!("{refused}") };
    assert_eq!((found, needed), (newest - 1, newest));
    run(
        &mut owner,
        &format!(
            "insert into schema_migrations (version, description, success, checksum, execution_time)
             values ({newest}, '', true, '', 0), (99, 'of the future', true, '', 0)"
        ),
    )
    .await;
    store.check_schema().await.unwrap();
    run(&mut owner, "update installation set minimum_version = '99.0.0'").await;
    let refused = store.check_schema().await.unwrap_err();
    assert!(matches!(refused, Error::Schema(SchemaMismatch::TooNew { .. })), "{refused}");
    let database = TestDatabase::empty().await;
    let refused = connect(&database).await.check_schema().await.unwrap_err();
    assert!(matches!(refused, Error::Schema(SchemaMismatch::Missing)), "{refused}");
}
