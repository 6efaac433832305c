//! What operators see of tenants and nodes, and what they can do.

use std::time::Duration;

use tenet::{
    domain::{Change, NodeId, Revision, TenantId, TenantPatch, Vitals},
    engine::{EngineOptions, Error, RuntimeState},
    store::PageRequest,
};

use crate::support::{Node, TRAP, TestDatabase, cannot_load_traps, scope, within};

async fn state(node: &Node, tenant: TenantId) -> RuntimeState {
    node.engine.runtime(scope(tenant)).await.unwrap().state
}

fn patch(patch: TenantPatch) -> Change {
    Change::Tenant(patch)
}

fn pin() -> Change {
    patch(TenantPatch { pinned: Some(true), ..TenantPatch::default() })
}

#[tokio::test]
async fn a_tenant_is_told_of_from_cold_to_ready_and_back() {
    let database = TestDatabase::fresh().await;
    let (writer, node) = (Node::start(database.url()).await, Node::start(database.url()).await);
    let tenant = writer.tenant("acme").await;
    writer.create_rule(tenant, "adult", "facts.n >= 18").await;
    let cold = node.engine.runtime(scope(tenant)).await.unwrap();
    assert_eq!((cold.state, cold.resident.as_ref(), cold.revision()), (RuntimeState::Cold, None, None));
    assert_eq!(cold.stored.unwrap().revision, Revision(3));

    node.engine.load_tenant(scope(tenant)).await.unwrap();
    let ready = node.engine.runtime(scope(tenant)).await.unwrap();
    assert_eq!((ready.state, ready.revision()), (RuntimeState::Ready, Some(Revision(3))));
    let resident = ready.resident.unwrap();
    assert_eq!((resident.rules_active, resident.rules_broken, resident.lag_ms), (1, 0, 0));
    assert!(resident.memory_bytes > 1_000, "{}", resident.memory_bytes);
    let load = resident.last_load.unwrap();
    assert_eq!((load.revision, load.report.compiled + load.report.reused), (Revision(3), 1));
    assert_eq!((resident.restarts, resident.last_error), (0, None));

    writer.create_rule(tenant, "old", "facts.n >= 65").await;
    within(Duration::from_secs(2), "followed", async || {
        let resident = node.engine.runtime(scope(tenant)).await.unwrap().resident.unwrap();
        resident.last_load.unwrap().report.reused == 1 && resident.rules_active == 2
    })
    .await;

    node.engine.stop_tenant(scope(tenant)).await.unwrap();
    within(Duration::from_secs(2), "ended", async || state(&node, tenant).await == RuntimeState::Cold).await;
    assert_eq!(node.decide(tenant, 20).await, [Some(true), Some(false)], "the next request brings it back");
    let nobody = node.engine.runtime(scope(TenantId::generate())).await;
    assert!(matches!(nobody, Err(Error::TenantNotFound)), "{nobody:?}");
}

#[tokio::test]
async fn a_reload_compiles_everything_anew_though_nothing_has_changed() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    for number in 0..3 {
        node.create_rule(tenant, &format!("rule {number}"), &format!("facts.n > {number}")).await;
    }
    assert_eq!(node.decide(tenant, 1).await.len(), 3);
    let loaded_at = node.engine.runtime(scope(tenant)).await.unwrap().resident.unwrap().last_load.unwrap().at;
    node.engine.reload_tenant(scope(tenant)).await.unwrap();
    let runtime = node.engine.runtime(scope(tenant)).await.unwrap();
    let load = runtime.resident.unwrap().last_load.unwrap();
    assert!(load.at > loaded_at);
    assert_eq!((load.revision, load.report.compiled + load.report.reused), (Revision(5), 3));
    assert_eq!(node.decide(tenant, 1).await, [Some(true), Some(false), Some(false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_a_quarantine_with_its_reason_and_can_end_it() {
    let database = TestDatabase::fresh().await;
    let node = Node::start_with(database.url(), cannot_load_traps(EngineOptions::default())).await;
    let tenant = node.tenant("acme").await;
    node.create_rule(tenant, "positive", "facts.n > 0").await;
    assert_eq!(node.decide(tenant, 1).await, [Some(true)]);
    let elsewhere = Node::start(database.url()).await;
    elsewhere.create_rule(tenant, TRAP, "facts.n > 0").await;
    let quarantined = async || state(&node, tenant).await == RuntimeState::Quarantined;
    within(Duration::from_secs(5), "in quarantine", quarantined).await;
    let runtime = node.engine.runtime(scope(tenant)).await.unwrap();
    assert_eq!((runtime.revision(), runtime.stored.unwrap().revision), (Some(Revision(3)), Revision(4)));
    let resident = runtime.resident.unwrap();
    assert_eq!(resident.restarts, 4);
    assert!(resident.lag_ms > 0);
    let error = resident.last_error.unwrap().message;
    assert!(error.contains("stepped into the trap"), "{error}");
    let refused = node.engine.reload_tenant(scope(tenant)).await;
    assert!(matches!(refused, Err(Error::TenantQuarantined)), "{refused:?}");

    // Released, it has a clean record: five failures more until it is back.
    node.engine.release_tenant(scope(tenant)).await.unwrap();
    assert_ne!(state(&node, tenant).await, RuntimeState::Quarantined);
    within(Duration::from_secs(5), "in quarantine again", quarantined).await;
    assert_eq!(node.metric("tenet_quarantines_total"), 2);
    assert_eq!(node.engine.runtime(scope(tenant)).await.unwrap().resident.unwrap().restarts, 9);
}

#[tokio::test]
async fn decisions_are_counted_with_their_cost() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    node.create_rule(tenant, "sum", "facts.n + 1 > 1").await;
    let served = node.engine.rule_set(scope(tenant), None).await.unwrap();
    let facts = served.set.read_facts(r#"{"n": 1}"#, tenet::ruleset::UnknownFacts::Ignore).unwrap();
    let query = tenet::ruleset::Query::default();
    let decision = served.set.decide(&facts, &query);
    assert!(decision.cost > 0);
    for _ in 0..3 {
        served.decided(&decision, Duration::from_micros(7));
    }
    let used = node.engine.runtime(scope(tenant)).await.unwrap().resident.unwrap().used;
    assert_eq!((used.decisions, used.rules_evaluated, used.cost), (3, 3, 3 * decision.cost));
    assert_eq!(used.time, Duration::from_micros(21));
}

#[tokio::test]
async fn the_list_walks_through_all_tenants_and_through_those_in_a_state() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let mut tenants = Vec::new();
    for number in 0..7 {
        tenants.push(node.tenant(&format!("tenant {number}")).await);
    }
    for tenant in tenants.iter().step_by(2) {
        node.revision(*tenant).await.unwrap();
    }
    let walk = async |states: &[RuntimeState]| {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = node.engine.runtimes(states, &PageRequest { cursor, limit: 2 }).await.unwrap();
            found.extend(page.items.iter().map(|runtime| runtime.tenant_id));
            assert!(page.items.iter().all(|runtime| runtime.stored.as_ref().unwrap().revision == Revision(2)));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let every = |start| tenants.iter().skip(start).step_by(2).copied().collect::<Vec<TenantId>>();
    assert_eq!(walk(&[]).await, tenants);
    assert_eq!(walk(&[RuntimeState::Ready, RuntimeState::Stale]).await, every(0));
    assert_eq!(walk(&[RuntimeState::Cold]).await, every(1));
    assert_eq!(walk(&[RuntimeState::Cold, RuntimeState::Ready]).await, tenants);
    assert_eq!(walk(&[RuntimeState::Quarantined]).await, []);
}

#[tokio::test]
async fn a_pinned_tenant_is_in_the_memory_of_every_node_and_never_leaves() {
    let database = TestDatabase::fresh().await;
    let options =
        || EngineOptions { idle_stop: Duration::from_millis(50), residents_max: 1, ..EngineOptions::default() };
    let here = Node::start_with(database.url(), options()).await;
    let (pinned, other) = (here.tenant("pinned").await, here.tenant("other").await);
    here.change(pinned, pin()).await.unwrap();
    assert_eq!(state(&here, pinned).await, RuntimeState::Ready, "from the answer on");

    let late = Node::start_with(database.url(), options()).await;
    late.engine.pinned_loaded().await;
    for node in [&here, &late] {
        assert_eq!(state(node, pinned).await, RuntimeState::Ready);
        node.revision(other).await.unwrap();
        within(Duration::from_secs(5), "idle", async || state(node, other).await == RuntimeState::Cold).await;
        assert_eq!(state(node, pinned).await, RuntimeState::Ready);
        let refused = node.engine.stop_tenant(scope(pinned)).await;
        assert!(matches!(refused, Err(Error::TenantPinned)), "{refused:?}");
    }

    // Pinned there, loaded here.
    late.change(other, pin()).await.unwrap();
    within(Duration::from_secs(5), "loaded", async || state(&here, other).await == RuntimeState::Ready).await;
    let unpin = patch(TenantPatch { pinned: Some(false), ..TenantPatch::default() });
    here.change(other, unpin).await.unwrap();
    within(Duration::from_secs(5), "idle", async || state(&here, other).await == RuntimeState::Cold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_tenant_that_cannot_be_loaded_does_not_keep_a_node_from_serving() {
    let database = TestDatabase::fresh().await;
    let writer = Node::start(database.url()).await;
    let tenant = writer.tenant("acme").await;
    writer.change(tenant, pin()).await.unwrap();
    writer.create_rule(tenant, TRAP, "facts.n > 0").await;
    let node = Node::start_with(database.url(), cannot_load_traps(EngineOptions::default())).await;
    tokio::time::timeout(Duration::from_secs(5), node.engine.pinned_loaded()).await.unwrap();
}

#[tokio::test]
async fn a_tenant_has_an_idle_time_of_its_own() {
    let database = TestDatabase::fresh().await;
    let options = EngineOptions { idle_stop: Duration::from_millis(50), ..EngineOptions::default() };
    let node = Node::start_with(database.url(), options).await;
    let (patient, hasty) = (node.tenant("patient").await, node.tenant("hasty").await);
    let longer = patch(TenantPatch { idle_stop_seconds: Some(Some(3_600)), ..TenantPatch::default() });
    node.change(patient, longer).await.unwrap();
    node.revision(patient).await.unwrap();
    node.revision(hasty).await.unwrap();
    within(Duration::from_secs(5), "idle", async || state(&node, hasty).await == RuntimeState::Cold).await;
    assert_eq!(state(&node, patient).await, RuntimeState::Ready);
}

#[tokio::test]
async fn beyond_the_memory_that_is_set_the_least_recently_used_leaves() {
    let database = TestDatabase::fresh().await;
    let measure = Node::start(database.url()).await;
    let mut tenants = Vec::new();
    for number in 0..3 {
        tenants.push(measure.tenant(&format!("tenant {number}")).await);
        measure.revision(tenants[number]).await.unwrap();
    }
    let bytes = measure.engine.runtime(scope(tenants[0])).await.unwrap().resident.unwrap().memory_bytes;
    let options = EngineOptions {
        resident_bytes_max: bytes * 5 / 2,
        idle_stop: Duration::from_secs(5),
        ..EngineOptions::default()
    };
    let node = Node::start_with(database.url(), options).await;
    for tenant in &tenants {
        node.revision(*tenant).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    within(Duration::from_secs(4), "evicted", async || state(&node, tenants[0]).await == RuntimeState::Cold).await;
    assert_eq!(state(&node, tenants[1]).await, RuntimeState::Ready);
    assert_eq!(state(&node, tenants[2]).await, RuntimeState::Ready);
    assert_eq!(node.metric("tenet_evictions_total"), 1);
}

#[tokio::test]
async fn nodes_see_each_other_until_they_stop_or_fall_silent() {
    let database = TestDatabase::fresh().await;
    let (one, other) = (Node::start(database.url()).await, Node::start(database.url()).await);
    let count = async |node: &Node| node.engine.nodes().await.unwrap().len();
    within(Duration::from_secs(2), "both", async || count(&one).await == 2).await;
    let nodes = other.engine.nodes().await.unwrap();
    assert!(nodes.iter().all(|node| node.version == env!("CARGO_PKG_VERSION") && !node.host.is_empty()), "{nodes:?}");
    other.engine.stop().await;
    assert_eq!(count(&one).await, 1);

    // One that was killed: its row stays as it was.
    one.store.heartbeat(NodeId::generate(), "elsewhere", "0.0.1", Vitals::default()).await.unwrap();
    assert_eq!(count(&one).await, 2);
    let mut owner = <sqlx::PgConnection as sqlx::Connection>::connect(database.url()).await.unwrap();
    let silence = "update nodes set heartbeat_at = now() - interval '16 seconds' where host = 'elsewhere'";
    sqlx::raw_sql(silence).execute(&mut owner).await.unwrap();
    assert_eq!(count(&one).await, 1);
    one.store.heartbeat(NodeId::generate(), "here", "0.0.1", Vitals::default()).await.unwrap();
    let rows: i64 = sqlx::query_scalar("select count(*) from nodes").fetch_one(&mut owner).await.unwrap();
    assert_eq!(rows, 2, "the row of the silent one is removed");
}
