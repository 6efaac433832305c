//! Notifications that are lost, and never sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenet::{domain::TenantId, engine::EngineOptions};
use tokio::task::JoinHandle;

use super::{BOUND, Ledger, SCHEDULING, Watcher, Writer, caught_up, tenant};
use crate::support::{Node, TestDatabase, kill_listeners, proof_size, scope, within};

/// Two nodes with tenants in memory, and somebody who knows what was committed.
struct Bed {
    database: TestDatabase,
    nodes: [Node; 2],
    tenants: Vec<TenantId>,
    ledger: Arc<Ledger>,
}

impl Bed {
    async fn make(tenants: usize) -> Self {
        let database = TestDatabase::fresh().await;
        let nodes = [Node::start(database.url()).await, Node::start(database.url()).await];
        let ledger = Arc::new(Ledger::default());
        let mut writer = Writer::connect(database.url(), &ledger).await;
        let mut made = Vec::new();
        for number in 0..tenants {
            made.push(tenant(&nodes[0], &mut writer, &format!("tenant {number}")).await);
        }
        for node in &nodes {
            caught_up(node, &made, &ledger, BOUND + SCHEDULING).await;
        }
        Self { database, nodes, tenants: made, ledger }
    }

    /// Commits all over the tenants, on four connections at once.
    async fn commit(&self, commits: usize) {
        let writing: Vec<JoinHandle<()>> = (0..4)
            .map(|share| {
                let (url, ledger) = (self.database.url().to_owned(), self.ledger.clone());
                let own: Vec<TenantId> = self.tenants.iter().copied().skip(share).step_by(4).collect();
                tokio::spawn(async move {
                    let mut writer = Writer::connect(&url, &ledger).await;
                    for number in 0..commits.div_ceil(4) {
                        writer.commit(own[number * 7 % own.len()]).await;
                    }
                })
            })
            .collect();
        for one in writing {
            one.await.unwrap();
        }
    }

    fn watchers(&self) -> [Watcher; 2] {
        [0, 1].map(|node| Watcher::start(&self.nodes[node], &self.tenants, &self.ledger))
    }

    /// What all of these tests end with.
    async fn check(&self, watchers: [Watcher; 2]) {
        for node in &self.nodes {
            caught_up(node, &self.tenants, &self.ledger, BOUND + SCHEDULING).await;
        }
        for watcher in watchers {
            watcher.end().await;
        }
        Writer::connect(self.database.url(), &self.ledger).await.check_log().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_stale_or_torn_while_listeners_are_killed_under_ten_thousand_commits() {
    let bed = Bed::make(proof_size(20, 100)).await;
    let watchers = bed.watchers();
    let done = Arc::new(AtomicBool::new(false));
    let killer = kill_listeners(bed.database.url(), 100..500, &done);
    let commits = proof_size(600, 10_000);
    bed.commit(commits).await;
    done.store(true, Ordering::Relaxed);
    assert!(killer.await.unwrap() >= 2, "no listener was killed");
    assert!(bed.ledger.count() >= commits);
    bed.check(watchers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_notification_every_change_is_served_within_the_bound() {
    let bed = Bed::make(20).await;
    let mut by_hand = PgConnection::connect(bed.database.url()).await.unwrap();
    let definition: String = sqlx::query_scalar("select pg_get_functiondef('tenet_record_tenant'::regproc)")
        .fetch_one(&mut by_hand)
        .await
        .unwrap();
    let silenced = definition.replace("'tenet_changes'", "'nobody_listens'");
    assert_ne!(silenced, definition);
    sqlx::raw_sql(AssertSqlSafe(silenced)).execute(&mut by_hand).await.unwrap();
    let watchers = bed.watchers();
    for _ in 0..proof_size(2, 10) {
        bed.commit(100).await;
        tokio::time::sleep(Duration::from_millis(730)).await;
    }
    bed.check(watchers).await;
    assert!(bed.nodes[1].metric("tenet_reconcile_catches_total") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_transaction_elsewhere_hides_no_change() {
    let bed = Bed::make(4).await;
    let watchers = bed.watchers();
    let mut long = PgConnection::connect(bed.database.url()).await.unwrap();
    sqlx::raw_sql("begin; select pg_current_xact_id()").execute(&mut long).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let killer = kill_listeners(bed.database.url(), 100..500, &done);
    for _ in 0..proof_size(2, 8) {
        bed.commit(50).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    done.store(true, Ordering::Relaxed);
    killer.await.unwrap();
    for node in &bed.nodes {
        caught_up(node, &bed.tenants, &bed.ledger, BOUND + SCHEDULING).await;
    }
    sqlx::raw_sql("rollback").execute(&mut long).await.unwrap();
    bed.check(watchers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cross_idle_stops_are_all_served_and_each_stop_costs_one_load() {
    let database = TestDatabase::fresh().await;
    let options = EngineOptions { idle_stop: Duration::ZERO, ..EngineOptions::default() };
    let node = Arc::new(Node::start_with(database.url(), options).await);
    let ledger = Arc::new(Ledger::default());
    let mut writer = Writer::connect(database.url(), &ledger).await;
    let tenant = tenant(&node, &mut writer, "acme").await;
    let requests = proof_size(20_000, 1_000_000);
    let asking: Vec<JoinHandle<()>> = (0..4)
        .map(|_| {
            let node = node.clone();
            tokio::spawn(async move {
                // More than asked for where these were so quick that hardly a stop crossed them.
                let crossed = || node.metric("tenet_idle_stops_total") > 1;
                for number in (0..).take_while(|number| *number < requests / 4 || number % 1_000 > 0 || !crossed()) {
                    node.engine.rule_set(scope(tenant), None).await.unwrap();
                    // A decision from memory waits for nothing, and would leave the supervisor no thread.
                    if number % 16 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for one in asking {
        one.await.unwrap();
    }
    // A second actor would have loaded without a stop. One that was stopped in the middle of its load has loaded for
    // nobody, and hands its callers on. A stop is counted a moment after the tenant has left.
    within(Duration::from_secs(5), "idle, with a stop for each load", async || {
        let (loads, stops) = (node.metric("tenet_cold_loads_total"), node.metric("tenet_idle_stops_total"));
        node.engine.health().resident_tenants == 0 && loads <= stops
    })
    .await;
}
