//! What one tenant's changes cost the others: the time of a decision of a tenant with ten rules, alone and while a
//! tenant of ten thousand rules on the same node has its schema changed over and over.
//!
//! A private PostgreSQL is started for it, in a temporary directory.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that meets the unexpected must fail, and this is how"
)]

use std::{
    fs,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tenet::{
    auth::{self, Auth, AuthOptions},
    cluster::{self, Cluster, ClusterOptions, Purpose},
    domain::{
        Author, Change, ChangeOptions, Name, Principal, RuleDraft, SchemaDefinition, TenantDraft, TenantId,
        TenantScope, Tier,
    },
    engine::{self, Engine, EngineOptions},
    ruleset::{Query, UnknownFacts},
    store::{
        Store, StoreOptions,
        migrate::{self, MigrateOptions},
    },
    telemetry::MetricRegistry,
};

const FACTS: &str = r#"{"age":42,"country":"US","is_premium":true,"purchase_amount":120.5}"#;
/// Rules of the tenant that is changed.
const NOISY_RULES: usize = 10_000;
/// How long each of the measurements takes.
const MEASURED: Duration = Duration::from_secs(15);
/// What the issue promises.
const RATIO_MAX: f64 = 2.0;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let data_dir = std::env::temp_dir().join(format!("tenet-noise-{}", std::process::id()));
    let options = ClusterOptions { data_dir: data_dir.clone(), purpose: Purpose::Throwaway, binaries: None };
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&options)).await.unwrap().unwrap();
    let url = cluster.url(cluster::NAME);
    migrate::up(MigrateOptions::new(&url)).await.unwrap();
    let store = Store::connect(StoreOptions::new(&url)).await.unwrap();
    let mut registry = MetricRegistry::new();
    let for_auth = auth::Metrics::register(&mut registry);
    let auth = Auth::open(store.clone(), for_auth, AuthOptions::default()).await.unwrap();
    let for_engine = engine::Metrics::register(&mut registry);
    let engine = Engine::start(store.clone(), auth, for_engine, EngineOptions::default()).await.unwrap();

    let workload: Value = serde_json::from_str(include_str!("workloads/ten_rules.json")).unwrap();
    let ten_rules = workload["rules"].as_array().unwrap().iter();
    let ten_rules: Vec<RuleDraft> =
        ten_rules.map(|rule| draft(rule["name"].as_str().unwrap(), rule["expression"].as_str().unwrap())).collect();
    let quiet = tenant(&engine, "quiet", &workload["schema"], ten_rules).await;
    let many = (0..NOISY_RULES)
        .map(|number| {
            let expression = format!("facts.age > {} && facts.country == 'C{}'", number % 90, number % 300);
            draft(&format!("rule {number}"), &expression)
        })
        .collect();
    let noisy = tenant(&engine, "noisy", &schema(0), many).await;
    engine.rule_set(scope(noisy), None).await.unwrap();

    let alone = measure(&engine, quiet).await;
    let (done, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let changing = tokio::spawn({
        let (engine, done, changes) = (engine.clone(), done.clone(), changes.clone());
        async move {
            while !done.load(Ordering::Relaxed) {
                let number = changes.fetch_add(1, Ordering::Relaxed) + 1;
                let change = Change::PutSchema(SchemaDefinition::parse(&schema(number)).unwrap());
                engine.change(scope(noisy), change, ChangeOptions::default()).await.unwrap();
            }
        }
    });
    let beside = measure(&engine, quiet).await;
    done.store(true, Ordering::Relaxed);
    changing.await.unwrap();

    println!("decisions of a tenant with ten rules, microseconds      p50      p99    p99.9      max     decisions");
    for (name, times) in [("alone", &alone), ("beside 10,000 rules whose schema changes", &beside)] {
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
        let max = times.max() as f64 / 1_000.0;
        println!("{name:<50} {:>8.1} {:>8.1} {:>8.1} {max:>8.0} {:>13}", at(0.5), at(0.99), at(0.999), times.len());
    }
    let ratio = beside.value_at_quantile(0.99) as f64 / alone.value_at_quantile(0.99) as f64;
    println!(
        "p99 beside against alone: {ratio:.2} (target: at most {RATIO_MAX}), with {} changes of 10,000 rules",
        changes.load(Ordering::Relaxed)
    );

    engine.stop().await;
    store.close().await;
    tokio::task::spawn_blocking(move || cluster.stop()).await.unwrap().unwrap();
    fs::remove_dir_all(data_dir).unwrap();
}

/// The schema that the many rules are written for, with a field that is another one each time.
fn schema(number: u64) -> Value {
    json!({ "facts": { "age": "int", "country": "string", (format!("extra_{number}")): "int" } })
}

fn draft(name: &str, expression: &str) -> RuleDraft {
    RuleDraft {
        name: Name::parse(name, "name").unwrap(),
        expression: expression.to_owned(),
        description: None,
        tags: Vec::new(),
        active: true,
    }
}

async fn tenant(engine: &Engine, name: &str, schema: &Value, rules: Vec<RuleDraft>) -> TenantId {
    let draft = TenantDraft { name: Name::parse(name, "name").unwrap(), tier: Tier::Free };
    let tenant = engine.create_tenant(&draft, &Author::default()).await.unwrap().id;
    for change in [Change::CreateSchema(SchemaDefinition::parse(schema).unwrap()), Change::ReplaceRules(rules)] {
        engine.change(scope(tenant), change, ChangeOptions::default()).await.unwrap();
    }
    tenant
}

/// The times of decisions, from facts as text to the number of matches, on a thread that requests are answered on.
async fn measure(engine: &Engine, tenant: TenantId) -> Histogram<u64> {
    let engine = engine.clone();
    let measuring = tokio::spawn(async move {
        let mut times = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        let began = Instant::now();
        while began.elapsed() < MEASURED {
            for number in 0..20 {
                let asked = Instant::now();
                if number == 0 {
                    // That it waits for a thread is a part of what is looked for.
                    tokio::task::yield_now().await;
                }
                let served = engine.rule_set(scope(tenant), None).await.unwrap();
                let facts = served.set.read_facts(black_box(FACTS), UnknownFacts::Ignore).unwrap();
                black_box(served.set.decide(&facts, &Query::default()).matched_count);
                times.record(u64::try_from(asked.elapsed().as_nanos()).unwrap()).unwrap();
            }
        }
        times
    });
    measuring.await.unwrap()
}

/// The scope of a tenant, as an operator has it.
pub fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::of_principal(&Principal::Operator { key: None }, tenant).unwrap()
}
