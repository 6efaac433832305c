//! How tenants come into memory and leave it.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tenet::{
    domain::{AtRevision, Author, Change, TenantId, TenantPatch, TenantStatus},
    engine::{EngineOptions, Error},
};

use crate::support::{Node, TestDatabase, proof_size, scope, within};

fn stops_when_idle_for(millis: u64) -> EngineOptions {
    EngineOptions { idle_stop: Duration::from_millis(millis), ..EngineOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_users_share_one_load() {
    let database = TestDatabase::fresh().await;
    let writer = Node::start(database.url()).await;
    let tenant = writer.tenant("acme").await;
    writer.create_rule(tenant, "adult", "facts.n >= 18").await;

    let node = Node::start(database.url()).await;
    let decisions = join_all((0..200).map(|n| node.decide(tenant, n))).await;

    for (n, decision) in decisions.into_iter().enumerate() {
        assert_eq!(decision, [Some(n >= 18)]);
    }
    assert_eq!(node.metric("tenet_cold_loads_total"), 1);
}

#[tokio::test]
async fn an_unknown_tenant_is_not_found_and_leaves_nothing_behind() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    for _ in 0..3 {
        let answer = node.engine.rule_set(scope(TenantId::generate()), None).await;
        assert!(matches!(answer, Err(Error::TenantNotFound)), "{answer:?}");
    }
    within(Duration::from_secs(2), "nobody in memory", async || node.engine.health().resident_tenants == 0).await;
}

#[tokio::test]
async fn an_idle_tenant_leaves_memory_and_comes_back_when_used() {
    let database = TestDatabase::fresh().await;
    let node = Node::start_with(database.url(), stops_when_idle_for(150)).await;
    let tenant = node.tenant("acme").await;
    node.create_rule(tenant, "adult", "facts.n >= 18").await;
    assert_eq!(node.decide(tenant, 20).await, [Some(true)]);
    assert_eq!(node.engine.health().resident_tenants, 1);
    within(Duration::from_secs(5), "idle", async || node.engine.health().resident_tenants == 0).await;
    assert_eq!(node.decide(tenant, 20).await, [Some(true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_crosses_a_stop_is_served() {
    let database = TestDatabase::fresh().await;
    let node = Arc::new(Node::start_with(database.url(), stops_when_idle_for(0)).await);
    let tenant = node.tenant("acme").await;
    node.create_rule(tenant, "adult", "facts.n >= 18").await;
    let crossings = u64::try_from(proof_size(50, 500)).unwrap();
    let requests = join_all((0..8).map(|_| {
        let node = node.clone();
        tokio::spawn(async move {
            while node.metric("tenet_idle_stops_total") < crossings {
                for n in 0..36 {
                    assert_eq!(node.decide(tenant, n).await, [Some(n >= 18)]);
                    // A decision from memory waits for nothing, and would leave the supervisor no thread.
                    tokio::task::yield_now().await;
                }
            }
        })
    }));
    for request in requests.await {
        request.unwrap();
    }
}

#[tokio::test]
async fn beyond_the_cap_the_least_recently_used_leaves_first() {
    let database = TestDatabase::fresh().await;
    let options = EngineOptions { residents_max: 2, ..stops_when_idle_for(5_000) };
    let node = Node::start_with(database.url(), options).await;
    let tenants = [node.tenant("a").await, node.tenant("b").await, node.tenant("c").await];
    for tenant in tenants {
        node.revision(tenant).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    within(Duration::from_secs(5), "two left", async || node.engine.health().resident_tenants == 2).await;
    let loads = node.metric("tenet_cold_loads_total");
    node.revision(tenants[1]).await.unwrap();
    node.revision(tenants[2]).await.unwrap();
    assert_eq!(node.metric("tenet_cold_loads_total"), loads, "the two used last are still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_caps_hold_as_soon_as_a_load_has_ended() {
    let database = TestDatabase::fresh().await;
    let measure = Node::start(database.url()).await;
    let mut tenants = Vec::new();
    for number in 0..6 {
        tenants.push(measure.tenant(&format!("tenant {number}")).await);
        measure.revision(tenants[number]).await.unwrap();
    }
    let bytes = measure.engine.runtime(scope(tenants[0])).await.unwrap().resident.unwrap().memory_bytes;
    // With an idle time of a quarter of an hour nobody looks for tenants to stop before ten seconds have passed.
    for options in [
        EngineOptions { residents_max: 2, ..EngineOptions::default() },
        EngineOptions { resident_bytes_max: bytes * 5 / 2, ..EngineOptions::default() },
    ] {
        let node = Node::start_with(database.url(), options).await;
        for tenant in &tenants {
            node.revision(*tenant).await.unwrap();
            within(Duration::from_secs(2), "room", async || node.engine.health().resident_tenants <= 2).await;
        }
        assert_eq!(node.metric("tenet_evictions_total"), 4);
        node.engine.take_census();
        for gauge in ["tenet_supervisor_mailbox_messages", "tenet_tenant_mailbox_messages"] {
            within(Duration::from_secs(2), gauge, async || {
                node.engine.take_census();
                node.metric(gauge) == 0
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_caps_hold_after_loads_where_pins_alone_exceed_them() {
    let database = TestDatabase::fresh().await;
    let writer = Node::start(database.url()).await;
    let mut tenants = Vec::new();
    for number in 0..16 {
        tenants.push(writer.tenant(&format!("tenant {number}")).await);
    }
    let (pinned, others) = tenants.split_at(4);
    for tenant in pinned {
        let pin = TenantPatch { pinned: Some(true), ..TenantPatch::default() };
        writer.change(*tenant, Change::Tenant(pin)).await.unwrap();
    }
    let options = EngineOptions { residents_max: 2, ..EngineOptions::default() };
    let node = Node::start_with(database.url(), options).await;
    node.engine.pinned_loaded().await;
    for round in 0..2 {
        for tenant in others {
            node.revision(*tenant).await.unwrap();
        }
        // They stay, and so does the one used last.
        let room = async || node.engine.health().resident_tenants <= pinned.len() + 1;
        within(Duration::from_secs(2), "room", room).await;
        assert!(node.metric("tenet_evictions_total") >= (round + 1) * (others.len() as u64 - 1));
    }
}

#[tokio::test]
async fn a_deleted_tenant_is_unknown_at_once_here_and_within_the_bound_elsewhere() {
    let database = TestDatabase::fresh().await;
    let (here, elsewhere) = (Node::start(database.url()).await, Node::start(database.url()).await);
    let tenant = here.tenant("acme").await;
    for node in [&here, &elsewhere] {
        node.revision(tenant).await.unwrap();
    }
    here.engine.delete_tenant(scope(tenant), &AtRevision::Any, &Author::default()).await.unwrap();
    assert!(matches!(here.revision(tenant).await, Err(Error::TenantNotFound)));
    within(Duration::from_secs(2), "deleted elsewhere", async || {
        matches!(elsewhere.revision(tenant).await, Err(Error::TenantNotFound))
    })
    .await;
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_until_it_is_active_again() {
    let database = TestDatabase::fresh().await;
    let (here, elsewhere) = (Node::start(database.url()).await, Node::start(database.url()).await);
    let tenant = here.tenant("acme").await;
    elsewhere.revision(tenant).await.unwrap();
    for (status, refused) in [(TenantStatus::Suspended, true), (TenantStatus::Active, false)] {
        let patch = TenantPatch { status: Some(status), ..TenantPatch::default() };
        here.change(tenant, Change::Tenant(patch)).await.unwrap();
        assert_eq!(matches!(here.revision(tenant).await, Err(Error::TenantSuspended)), refused);
        within(Duration::from_secs(2), "followed", async || {
            matches!(elsewhere.revision(tenant).await, Err(Error::TenantSuspended)) == refused
        })
        .await;
    }
}

#[tokio::test]
async fn an_engine_that_was_stopped_answers_so() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    node.revision(tenant).await.unwrap();
    let other = node.tenant("other").await;
    node.engine.stop().await;
    assert!(matches!(node.revision(other).await, Err(Error::Stopping)));
}
