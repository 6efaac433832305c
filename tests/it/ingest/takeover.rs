//! Two nodes on one database: when one is gone, the other takes its queues over.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{send, state, tenant};
use crate::support::{TestDatabase, TestProcess, proof_size, within};

/// What a busy machine may add to a bound.
const SCHEDULING: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_nodes_queues_are_taken_over_when_its_leases_run_out() {
    let lease = Duration::from_secs(u64::try_from(proof_size(4, 15)).unwrap());
    let lease_text = format!("{}s", lease.as_secs());
    let settings = [("TENET_EVENT_LEASE", lease_text.as_str())];
    let database = TestDatabase::fresh().await;
    let (mut first, first_client) = TestProcess::serve_with(database.url(), &settings).await;
    let mut tenants = Vec::new();
    for number in 0..4 {
        let tenant = tenant(&first_client, &format!("tenant {number}")).await;
        let id = send(&first_client, &tenant, 1).await.unwrap();
        within(Duration::from_secs(60), "decided", async || state(&first_client, &tenant, &id).await == "decided")
            .await;
        tenants.push(tenant);
    }
    let (_second, client) = TestProcess::serve_with(database.url(), &settings).await;
    first.signal(Signal::KILL);
    assert_eq!(first.end().await, None);
    let killed = Instant::now();
    for tenant in &tenants {
        let id = send(&client, tenant, 2).await.unwrap();
        let left = (lease + Duration::from_secs(1) + SCHEDULING).saturating_sub(killed.elapsed());
        within(left, "taken over", async || state(&client, tenant, &id).await == "decided").await;
    }
    println!("taken over after {:?}, with a lease of {lease:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_in_order_gives_its_queues_back_at_once() {
    let database = TestDatabase::fresh().await;
    let (mut first, first_client) = TestProcess::serve_with(database.url(), &[("TENET_EVENT_LEASE", "600s")]).await;
    let tenant = tenant(&first_client, "acme").await;
    let id = send(&first_client, &tenant, 1).await.unwrap();
    within(Duration::from_secs(60), "decided", async || state(&first_client, &tenant, &id).await == "decided").await;
    let (_second, client) = TestProcess::serve(database.url()).await;
    first.signal(Signal::TERM);
    assert_eq!(first.end().await, Some(0));
    let id = send(&client, &tenant, 2).await.unwrap();
    within(Duration::from_secs(5), "taken over", async || state(&client, &tenant, &id).await == "decided").await;
}
