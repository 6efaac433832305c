//! An engine of its own on a test's database, as one process of several would have.

use std::time::{Duration, Instant};

use serde_json::json;
use tenet::{
    auth::{self, Auth, AuthOptions},
    domain::{
        Author, Change, ChangeOptions, Name, Principal, Revision, RuleDraft, SchemaDefinition, TenantDraft, TenantId,
        TenantScope, Tier,
    },
    engine::{self, Changed, Engine, EngineOptions, Error},
    ruleset::{Query, UnknownFacts},
    store::{Store, StoreOptions},
    telemetry::{MetricRegistry, MetricsFormat},
};

/// An engine with what it stands on.
pub struct Node {
    pub engine: Engine,
    pub store: Store,
    pub registry: MetricRegistry,
}

impl Node {
    pub async fn start(url: &str) -> Self {
        Self::start_with(url, EngineOptions::default()).await
    }

    pub async fn start_with(url: &str, options: EngineOptions) -> Self {
        let store = Store::connect(StoreOptions::new(url)).await.unwrap();
        let mut registry = MetricRegistry::new();
        let for_auth = auth::Metrics::register(&mut registry);
        let for_engine = engine::Metrics::register(&mut registry);
        let auth = Auth::open(store.clone(), for_auth, AuthOptions::default()).await.unwrap();
        let engine = Engine::start(store.clone(), auth, for_engine, options).await.unwrap();
        Self { engine, store, registry }
    }

    /// A tenant with a schema of one whole number, `facts.n`; it stands at revision 2.
    pub async fn tenant(&self, name: &str) -> TenantId {
        let draft = TenantDraft { name: Name::parse(name, "name").unwrap(), tier: Tier::Free };
        let tenant = self.engine.create_tenant(&draft, &Author::default()).await.unwrap().id;
        let schema = SchemaDefinition::parse(&json!({"facts": {"n": "int"}})).unwrap();
        self.change(tenant, Change::CreateSchema(schema)).await.unwrap();
        tenant
    }

    pub async fn change(&self, tenant: TenantId, change: Change) -> Result<Changed, Error> {
        self.engine.change(scope(tenant), change, ChangeOptions::default()).await
    }

    pub async fn create_rule(&self, tenant: TenantId, name: &str, expression: &str) -> Changed {
        self.change(tenant, Change::CreateRule(rule(name, expression))).await.unwrap()
    }

    pub async fn revision(&self, tenant: TenantId) -> Result<Revision, Error> {
        Ok(self.engine.rule_set(scope(tenant), None).await?.set.revision())
    }

    /// What each active rule answers for `n`, in order; `None` for one that ends with an error.
    pub async fn decide(&self, tenant: TenantId, n: i64) -> Vec<Option<bool>> {
        let served = self.engine.rule_set(scope(tenant), None).await.unwrap();
        let facts = served.set.read_facts(&json!({ "n": n }).to_string(), UnknownFacts::Ignore).unwrap();
        let query = Query::default();
        let decision = served.set.decide(&facts, &query);
        decision.results.iter().map(|result| result.error.is_none().then_some(result.matched)).collect()
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.registry.encode(MetricsFormat::OpenMetrics).unwrap();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no metric {name} in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// The scope of a tenant, as an operator has it.
pub fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::of_principal(&Principal::Operator { key: None }, tenant).unwrap()
}

/// An active rule to be made.
pub fn rule(name: &str, expression: &str) -> RuleDraft {
    RuleDraft {
        name: Name::parse(name, "name").unwrap(),
        expression: expression.to_owned(),
        description: None,
        tags: Vec::new(),
        active: true,
    }
}

/// Waits until `condition` holds; fails after `bound`.
pub async fn within(bound: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < bound, "{what}: not within {bound:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How much of a proof over volumes to run: all of it where `TENET_PROOFS` is `full`, as in CI, and little otherwise.
pub fn proof_size(little: usize, full: usize) -> usize {
    if std::env::var_os("TENET_PROOFS").is_some_and(|size| size == "full") { full } else { little }
}
