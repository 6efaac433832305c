//! The store, against a real PostgreSQL.

mod audit;
mod changes;
mod counts;
mod cursors;
pub mod events;
mod history;
mod isolation;
mod plans;
mod revisions;
mod role;
mod rows;
mod settling;

use chrono::Utc;
use sqlx::{Connection, PgConnection};
use tenet::{
    domain::{Author, Name, Revision, Rule, RuleId, Tenant, TenantDraft, Tier},
    ruleset::Operation,
    store::{Store, StoreOptions},
};

use crate::support::{TestDatabase, scope};

async fn connect(database: &TestDatabase) -> Store {
    Store::connect(StoreOptions::new(database.url())).await.unwrap()
}

/// A connection like one of psql: the owner's, under which row level security holds for nobody.
async fn psql(database: &TestDatabase) -> PgConnection {
    PgConnection::connect(database.url()).await.unwrap()
}

/// A connection that works as the service's role, with no tenant set.
async fn as_role(database: &TestDatabase) -> PgConnection {
    let mut connection = psql(database).await;
    sqlx::raw_sql("set role tenet_app").execute(&mut connection).await.unwrap();
    connection
}

fn name(text: &str) -> Name {
    Name::parse(text, "name").unwrap()
}

async fn tenant(store: &Store, text: &str) -> Tenant {
    store.create_tenant(&TenantDraft { name: name(text), tier: Tier::Free }, &Author::default()).await.unwrap()
}

fn rule(text: &str) -> Rule {
    // As precise as the database is.
    let now = chrono::DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).unwrap();
    Rule {
        id: RuleId::generate(),
        name: name(text),
        expression: "facts.age >= 18".to_owned(),
        description: None,
        tags: Vec::new(),
        active: true,
        created_at: now,
        updated_at: now,
    }
}

async fn change(store: &Store, tenant: &Tenant, operations: &[Operation]) -> Revision {
    let change = store.begin_change(scope(tenant.id)).await.unwrap().unwrap();
    change.commit(operations, &Author::default()).await.unwrap().revision
}
