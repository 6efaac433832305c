//! Processes that are killed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tenet::client::Client;

use super::{BOUND, Ledger, SCHEDULING, Watcher, Writer, caught_up, tenant};
use crate::support::{Node, TestDatabase, TestProcess, proof_size};

/// The revision a process serves, if its decision is that of a whole set.
async fn served(client: &Client, tenant: &str, n: i64) -> Option<i64> {
    let body = json!({ "tenantId": tenant, "facts": { "n": n } });
    let answer: Value = client.post_json("/api/v1/evaluate", &body).await.ok()?.json().ok()?;
    let results = answer["results"].as_array()?;
    let whole = results.len() == 2 && results.iter().all(|result| result["matched"] == json!(true));
    whole.then(|| answer["revision"].as_i64()).flatten()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_while_it_reloads_harms_no_other_and_comes_back_with_the_newest() {
    let database = TestDatabase::fresh().await;
    let ledger = Arc::new(Ledger::default());
    let mut writer = Writer::connect(database.url(), &ledger).await;
    let survivor = Node::start(database.url()).await;
    let mut tenants = Vec::new();
    for number in 0..4 {
        tenants.push(tenant(&survivor, &mut writer, &format!("tenant {number}")).await);
    }
    let watcher = Watcher::start(&survivor, &tenants, &ledger);
    for _ in 0..proof_size(1, 4) {
        let (mut process, client) = TestProcess::serve(database.url()).await;
        for tenant in &tenants {
            let newest = ledger.newest(*tenant, Instant::now());
            assert_eq!(served(&client, &tenant.to_string(), newest).await, Some(newest));
        }
        // It reloads all the time until it is gone.
        for round in 0..20 {
            writer.commit(tenants[round % tenants.len()]).await;
        }
        process.signal(Signal::KILL);
        for tenant in &tenants {
            writer.commit(*tenant).await;
        }
        assert_eq!(process.end().await, None);
    }
    caught_up(&survivor, &tenants, &ledger, BOUND + SCHEDULING).await;
    watcher.end().await;
    writer.check_log().await;
    // What the killed ones held is given back.
    let asked = Instant::now();
    loop {
        let held: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'
             and pid <> pg_backend_pid()",
        )
        .fetch_one(&mut writer.connection)
        .await
        .unwrap();
        if held == 0 {
            break;
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "{held} transactions are still open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
