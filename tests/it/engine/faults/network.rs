//! A network that falls silent: nothing is closed, and nothing arrives.

use std::{sync::Arc, time::Duration};

use super::{BOUND, Ledger, SCHEDULING, Watcher, Writer, caught_up, tenant};
use crate::support::{Flow, Node, PrivateServer, Proxy, proof_size, scope, within};

/// What we promise for the time after the network is back.
const RECOVERY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_for_ever_are_replaced_and_nothing_is_lost() {
    let server = PrivateServer::start().await;
    let proxy = Proxy::before(server.socket()).await;
    let ledger = Arc::new(Ledger::default());
    let mut writer = Writer::connect(server.url(), &ledger).await;
    let node = Node::start(&proxy.url(tenet::cluster::NAME)).await;
    let mut tenants = Vec::new();
    for number in 0..8 {
        tenants.push(tenant(&node, &mut writer, &format!("tenant {number}")).await);
    }
    caught_up(&node, &tenants, &ledger, BOUND + SCHEDULING).await;
    let watcher = Watcher::start(&node, &tenants, &ledger);
    for _ in 0..proof_size(1, 3) {
        // Loads are under way on some of the connections.
        for tenant in &tenants {
            writer.commit(*tenant).await;
        }
        proxy.set(Flow::OldSilent);
        for tenant in &tenants {
            writer.commit(*tenant).await;
        }
        caught_up(&node, &tenants, &ledger, RECOVERY).await;
    }
    watcher.end().await;
    writer.check_log().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_network_is_silent_decisions_go_on_marked_and_afterwards_all_is_followed() {
    let server = PrivateServer::start().await;
    let proxy = Proxy::before(server.socket()).await;
    let ledger = Arc::new(Ledger::default());
    let mut writer = Writer::connect(server.url(), &ledger).await;
    let node = Node::start(&proxy.url(tenet::cluster::NAME)).await;
    let mut tenants = Vec::new();
    for number in 0..4 {
        tenants.push(tenant(&node, &mut writer, &format!("tenant {number}")).await);
    }
    caught_up(&node, &tenants, &ledger, BOUND + SCHEDULING).await;
    let watcher = Watcher::start(&node, &tenants, &ledger);
    proxy.set(Flow::Silent);
    for tenant in &tenants {
        writer.commit(*tenant).await;
    }
    within(BOUND + SCHEDULING + Duration::from_secs(1), "marked stale", async || {
        node.engine.rule_set(scope(tenants[0]), None).await.unwrap().stale
    })
    .await;
    tokio::time::sleep(Duration::from_secs(proof_size(1, 10).try_into().unwrap())).await;
    proxy.set(Flow::OldSilent);
    caught_up(&node, &tenants, &ledger, RECOVERY).await;
    let (_, stale) = watcher.end().await;
    assert!(stale > 0, "no decision was marked");
}
