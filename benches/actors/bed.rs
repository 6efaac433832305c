//! A private PostgreSQL with databases of tenants, made by SQL: writing 100,000 tenants through the engine would take
//! longer than measuring them.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};
use tenet::{
    auth::{self, Auth, AuthOptions},
    cluster::{self, Purpose},
    domain::{Principal, TenantId, TenantScope},
    engine::{self, Engine, EngineOptions},
    store::{
        Observer, Store, StoreOptions,
        migrate::{self, MigrateOptions},
    },
    telemetry::{MetricRegistry, MetricsFormat},
};
use tokio::runtime::Runtime;

use super::private_server::PrivateServer;

/// Facts of the reference workload.
pub const FACTS: &str = r#"{"age":42,"country":"US","is_premium":true,"purchase_amount":120.5}"#;
/// The schema of the reference workload.
pub const SCHEMA: &str = r#"{"facts":{"age":"int","country":"string","is_premium":"bool","purchase_amount":"double"}}"#;

/// Which rules tenants have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// The ten of the reference workload, alike for all.
    Alike,
    /// The same ten with other constants for each tenant, so that no two tenants have an expression in common.
    Distinct,
    /// So many rules of one shape, which no two tenants have in common.
    Many(usize),
}

/// How much there is of what takes long.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Tenants of the figures about many in memory.
    pub residents: usize,
    /// Events that wait while a snapshot is held open.
    pub backlog: u64,
    /// For how long it is.
    pub held_seconds: u64,
}

/// A server for databases.
pub struct Bed {
    pub runtime: Runtime,
    pub sizes: Sizes,
    made: AtomicUsize,
    server: PrivateServer,
}

/// A migrated database with tenants.
pub struct Database {
    pub url: String,
    pub tenants: Vec<TenantId>,
}

impl Bed {
    pub fn make(sizes: Sizes) -> Self {
        Self::start("tenet-bench", Purpose::Throwaway, sizes)
    }

    /// A server that writes to disk what it commits, as one in production.
    pub fn durable(&self) -> Self {
        Self::start("tenet-bench-durable", Purpose::Persistent, self.sizes)
    }

    fn start(name: &str, purpose: Purpose, sizes: Sizes) -> Self {
        let (server, runtime) = (PrivateServer::start(name, purpose), Runtime::new().unwrap());
        Self { runtime, sizes, made: AtomicUsize::new(0), server }
    }

    /// A new database with so many tenants.
    pub fn database(&self, tenants: usize, rules: Rules) -> Database {
        let name = format!("bench_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let url = self.server.url(&name);
        let tenants = self.runtime.block_on(async {
            let mut admin = PgConnection::connect(&self.server.url(cluster::NAME)).await.unwrap();
            admin.execute(sqlx::AssertSqlSafe(format!("create database {name}"))).await.unwrap();
            migrate::up(MigrateOptions::new(&url)).await.unwrap();
            let mut connection = PgConnection::connect(&url).await.unwrap();
            fill(&mut connection, tenants, rules).await
        });
        Database { url, tenants }
    }
}

async fn fill(connection: &mut PgConnection, tenants: usize, rules: Rules) -> Vec<TenantId> {
    let expressions = expressions(rules);
    // Rows are put past the triggers: nobody follows this database yet, and 1 is the revision that they would count.
    for statement in [
        "set session_replication_role = replica".to_owned(),
        format!("insert into tenants (name) select 'bench ' || n from generate_series(1, {tenants}) n"),
        format!(
            "insert into schemas (tenant_id, version, definition, active) select id, 1, '{SCHEMA}', true from tenants"
        ),
        format!(
            "insert into rules (tenant_id, name, expression, created_at)
             select t.id, e.name, replace(e.expression, '#', substr(t.name, 7)), now() + e.n * interval '1 us'
             from tenants t, jsonb_to_recordset('{}') as e(n int, name text, expression text)",
            serde_json::to_string(&expressions).unwrap().replace('\'', "''")
        ),
        "set session_replication_role = origin".to_owned(),
        "analyze".to_owned(),
    ] {
        connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    let ids: Vec<sqlx::types::Uuid> =
        sqlx::query_scalar("select id from tenants order by id").fetch_all(connection).await.unwrap();
    ids.into_iter().map(TenantId).collect()
}

/// The rules; `#` stands for a tenant's number.
fn expressions(rules: Rules) -> Vec<Value> {
    let ten = [
        "facts.age >= 18",
        "facts.age >= 65",
        "facts.is_premium == true",
        "facts.country == \"US\"",
        "facts.purchase_amount > 100.0",
        "facts.country == \"US\" && facts.is_premium",
        "facts.age >= 18 && facts.age < 25",
        "facts.purchase_amount > 200.0 && !facts.is_premium",
        "facts.country != \"US\" && facts.is_premium",
        "facts.purchase_amount >= 50.0 && facts.purchase_amount <= 200.0",
    ];
    let distinct = |expression: &str| match expression {
        "facts.is_premium == true" => "facts.is_premium == (# > 0)".to_owned(),
        other => other.replace("18", "18#").replace("65", "65#").replace("US", "US#").replace(".0", ".0#"),
    };
    let texts: Vec<String> = match rules {
        Rules::Alike => ten.map(str::to_owned).to_vec(),
        Rules::Distinct => ten.map(distinct).to_vec(),
        Rules::Many(count) => (0..count).map(|n| format!("facts.age >= {n} && facts.country == \"C{n}-#\"")).collect(),
    };
    let rule =
        |(n, text): (usize, String)| serde_json::json!({"n": n, "name": format!("rule {n}"), "expression": text});
    texts.into_iter().enumerate().map(rule).collect()
}

/// The scope of a tenant, as an operator has it.
pub fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::of_principal(&Principal::Operator { key: None }, tenant).unwrap()
}

/// An engine on a database, with what it stands on.
pub struct Node {
    pub engine: Engine,
    pub store: Store,
    registry: MetricRegistry,
}

impl Node {
    /// An engine with room for everything.
    pub async fn start(url: &str) -> Self {
        Self::start_observed(url, Observer::default()).await
    }

    /// The same, whose statements are observed.
    pub async fn start_observed(url: &str, observer: Observer) -> Self {
        let options = StoreOptions { observer, ..StoreOptions::new(url) };
        let store = Store::connect(options).await.unwrap();
        let options = EngineOptions { residents_max: 1_000_000, ..EngineOptions::default() };
        let mut registry = MetricRegistry::new();
        let for_auth = auth::Metrics::register(&mut registry);
        let for_engine = engine::Metrics::register(&mut registry);
        let auth = Auth::open(store.clone(), for_auth, AuthOptions::default()).await.unwrap();
        let engine = Engine::start(store.clone(), auth, for_engine, options).await.unwrap();
        Self { engine, store, registry }
    }

    /// Rule sets that it has loaded.
    pub fn loads(&self) -> f64 {
        self.metric("tenet_load_seconds_count")
    }

    /// How long these took, one after the other.
    pub fn load_seconds(&self) -> f64 {
        self.metric("tenet_load_seconds_sum")
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.registry.encode(MetricsFormat::OpenMetrics).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    }

    pub async fn stop(self) {
        self.engine.stop().await;
        self.store.close().await;
    }
}
