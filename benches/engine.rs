//! What the engine adds to a decision: the way through the published rule set, against the way through a mailbox; and
//! what it costs to bring a tenant into memory.
//!
//! A private PostgreSQL is started for it, in a temporary directory. `ruleset` is measured alone in `ruleset.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that meets the unexpected must fail, and this is how"
)]
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::{
    fs,
    hint::black_box,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use serde_json::Value;
use tenet::{
    cluster::{self, Cluster, ClusterOptions, Purpose},
    domain::{Change, ChangeOptions, Name, RuleDraft, SchemaDefinition, TenantDraft, TenantId, Tier},
    engine::{Engine, EngineOptions},
    ruleset::{Query, RuleSet, UnknownFacts},
    store::{
        Store, StoreOptions,
        migrate::{self, MigrateOptions},
    },
    telemetry::Metrics,
};
use tokio::runtime::Runtime;

const FACTS: &str = r#"{"age":42,"country":"US","is_premium":true,"purchase_amount":120.5}"#;
/// Tenants that are brought into memory one after the other, before the engine is started anew.
const COLD_TENANTS: usize = 100;

/// The decision of one request, from facts as text to the number of matches.
fn decide(set: &RuleSet, facts: &str) -> usize {
    let facts = set.read_facts(facts, UnknownFacts::Ignore).unwrap();
    set.decide(&facts, &Query::default()).matched_count
}

/// What the engine does not do: an actor that decides in its turn, for comparison.
struct Mailbox;

struct Ask(String, RpcReplyPort<usize>);

impl Actor for Mailbox {
    type Msg = Ask;
    type State = Arc<RuleSet>;
    type Arguments = Arc<RuleSet>;

    async fn pre_start(&self, _: ActorRef<Ask>, set: Arc<RuleSet>) -> Result<Arc<RuleSet>, ActorProcessingErr> {
        Ok(set)
    }

    async fn handle(&self, _: ActorRef<Ask>, ask: Ask, set: &mut Arc<RuleSet>) -> Result<(), ActorProcessingErr> {
        let Ask(facts, reply) = ask;
        reply.send(decide(set, &facts))?;
        Ok(())
    }
}

/// A database with tenants of ten rules each.
struct Bed {
    runtime: Runtime,
    store: Store,
    tenants: Vec<TenantId>,
    // Dropped in this order: the server goes after its clients, and its files after the server.
    _cluster: Cluster,
    _directory: Directory,
}

/// A directory that is gone when the bench is.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Bed {
    fn make() -> Self {
        let data_dir = std::env::temp_dir().join(format!("tenet-bench-{}", std::process::id()));
        let directory = Directory(data_dir.clone());
        let options = ClusterOptions { data_dir, purpose: Purpose::Throwaway, binaries: None };
        let cluster = Cluster::start(&options).unwrap();
        let runtime = Runtime::new().unwrap();
        let url = cluster.url(cluster::NAME);
        let (store, tenants) = runtime.block_on(async {
            migrate::up(MigrateOptions::new(&url)).await.unwrap();
            let store = Store::connect(StoreOptions::new(&url)).await.unwrap();
            let engine = start(&store).await;
            let mut tenants = Vec::new();
            for number in 0..COLD_TENANTS {
                tenants.push(tenant(&engine, number).await);
            }
            engine.stop().await;
            (store, tenants)
        });
        Self { runtime, store, tenants, _cluster: cluster, _directory: directory }
    }
}

async fn start(store: &Store) -> Engine {
    Engine::start(store.clone(), Metrics::new(0), EngineOptions::default()).await.unwrap()
}

async fn tenant(engine: &Engine, number: usize) -> TenantId {
    let workload: Value = serde_json::from_str(include_str!("workloads/ten_rules.json")).unwrap();
    let draft = TenantDraft { name: Name::parse(&format!("bench {number}"), "name").unwrap(), tier: Tier::Free };
    let tenant = engine.create_tenant(&draft).await.unwrap().id;
    let rule = |rule: &Value| RuleDraft {
        name: Name::parse(rule["name"].as_str().unwrap(), "name").unwrap(),
        expression: rule["expression"].as_str().unwrap().to_owned(),
        description: None,
        tags: Vec::new(),
        active: true,
    };
    let schema = SchemaDefinition::parse(&workload["schema"]).unwrap();
    let rules = workload["rules"].as_array().unwrap().iter().map(rule).collect();
    for change in [Change::CreateSchema(schema), Change::ReplaceRules(rules)] {
        engine.change(tenant, change, ChangeOptions::default()).await.unwrap();
    }
    tenant
}

fn engine(criterion: &mut Criterion) {
    let bed = Bed::make();
    let Bed { runtime, store, tenants, .. } = &bed;
    let engine = runtime.block_on(start(store));
    let tenant = tenants[0];
    let set = runtime.block_on(engine.rule_set(tenant, None)).unwrap().set;

    criterion.bench_function("round trip/published set", |bencher| {
        bencher.to_async(runtime).iter(|| async {
            let served = engine.rule_set(tenant, None).await.unwrap();
            decide(&served.set, black_box(FACTS))
        });
    });
    let (mailbox, _) = runtime.block_on(Actor::spawn(None, Mailbox, Arc::clone(&set))).unwrap();
    criterion.bench_function("round trip/mailbox", |bencher| {
        bencher.to_async(runtime).iter(|| async { call!(mailbox, Ask, black_box(FACTS).to_owned()).unwrap() });
    });
    criterion.bench_function("spawn and stop an actor", |bencher| {
        bencher.to_async(runtime).iter(|| async {
            let (actor, ended) = Actor::spawn(None, Mailbox, Arc::clone(&set)).await.unwrap();
            actor.stop(None);
            ended.await.unwrap();
        });
    });
    mailbox.stop(None);
    runtime.block_on(engine.stop());

    let mut group = criterion.benchmark_group("bring a tenant into memory");
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    group.bench_function("spawn, load, compile", |bencher| {
        bencher.to_async(runtime).iter_custom(|times| cold(store, tenants, times));
    });
    group.finish();
    runtime.block_on(store.close());
}

/// The time of `times` first uses of a tenant. Starting the engine anew, which forgets them, is not counted.
async fn cold(store: &Store, tenants: &[TenantId], times: u64) -> Duration {
    let mut spent = Duration::ZERO;
    let mut left = usize::try_from(times).unwrap();
    while left > 0 {
        let engine = start(store).await;
        let count = left.min(tenants.len());
        for tenant in &tenants[..count] {
            let began = Instant::now();
            black_box(engine.rule_set(*tenant, None).await.unwrap());
            spent += began.elapsed();
        }
        left -= count;
        engine.stop().await;
    }
    spent
}

criterion_group!(benches, engine);
criterion_main!(benches);
