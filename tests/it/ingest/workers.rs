//! Workers of a consumer that are changed while it works, on whichever node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::client::Client;

use super::{send, state, tenant};
use crate::support::{TestApp, TestDatabase, TestProcess, proof_size, within};

/// Who send, each with an ordering key of its own.
const SENDERS: usize = 6;
/// Events of a batch.
const BATCH: usize = 25;

async fn set_workers(client: &Client, tenant: &str, workers: usize) {
    let path = format!("/api/v1/tenants/{tenant}/config/concurrency");
    let answer = client.put_json(&path, &json!({ "workers": workers })).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn effective_workers(client: &Client, tenant: &str) -> u64 {
    let answer = client.get(&format!("/api/v1/tenants/{tenant}/consumer")).await.unwrap();
    answer.json::<Value>().unwrap()["effectiveWorkers"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_of_workers_reaches_the_owner_on_another_node() {
    let database = TestDatabase::fresh().await;
    let (_owner, owner) = TestProcess::serve(database.url()).await;
    let tenant = tenant(&owner, "acme").await;
    let id = send(&owner, &tenant, 1).await.unwrap();
    within(Duration::from_secs(60), "decided", async || state(&owner, &tenant, &id).await == "decided").await;
    let (_other, other) = TestProcess::serve(database.url()).await;
    for workers in [7, 1] {
        set_workers(&other, &tenant, workers).await;
        let asked = Instant::now();
        within(Duration::from_secs(3), "the owner has them", async || {
            send(&owner, &tenant, 2).await.unwrap();
            effective_workers(&owner, &tenant).await == workers as u64
        })
        .await;
        println!("{workers} workers after {:?}", asked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_ordering_key_stay_in_order_while_workers_change() {
    let each = proof_size(500, 5_000);
    let app = TestApp::start().await;
    let tenant = tenant(&app.client, "acme").await;
    let path = format!("/api/v1/tenants/{tenant}/events/batch");
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (client, path) = (app.client.clone(), path.clone());
            tokio::spawn(async move {
                for from in (0..each).step_by(BATCH) {
                    let event = |n: usize| json!({"facts": {"n": n}, "orderingKey": format!("sender {sender}")});
                    let batch = json!({"events": (from..from + BATCH).map(event).collect::<Vec<_>>()});
                    let answer = client.post_json(&path, &batch).await.unwrap();
                    assert_eq!(answer.json::<Value>().unwrap()["accepted"], BATCH, "{}", answer.text());
                }
            })
        })
        .collect();
    let is_sent = Arc::new(AtomicBool::new(false));
    let changing = {
        let (client, tenant, is_sent) = (app.client.clone(), tenant.clone(), is_sent.clone());
        tokio::spawn(async move {
            let mut changes = 0;
            while !is_sent.load(Ordering::SeqCst) {
                set_workers(&client, &tenant, [8, 1, 5, 2, 7, 3][changes % 6]).await;
                changes += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            changes
        })
    };
    for sender in senders {
        sender.await.unwrap();
    }
    is_sent.store(true, Ordering::SeqCst);
    let changes = changing.await.unwrap();
    let mut owner = PgConnection::connect(app.database_url()).await.unwrap();
    let all = i64::try_from(SENDERS * each).unwrap();
    let asked = Instant::now();
    loop {
        let decided: i64 = sqlx::query_scalar("select count(*) from decisions").fetch_one(&mut owner).await.unwrap();
        if decided == all {
            break;
        }
        assert!(asked.elapsed() < Duration::from_secs(60), "{decided} of {all} are decided");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (transactions, disordered): (i64, i64) = sqlx::query_as(
        "select count(distinct decided_at), count(*) filter (where decided_at < before)
         from (select decided_at, lag(decided_at) over (partition by ordering_key order by id) as before
            from events join decisions using (tenant_id, id)) d",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    println!("{all} events in {transactions} batches, {changes} changes of workers");
    assert!(changes > 3, "{changes}");
    assert_eq!(disordered, 0, "events of one ordering key take effect in their order");
    app.stop().await;
}
