//! Many tenants with one event each: a moment later nothing is left of their consumers.

use std::{fs, time::Duration};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::client::Client;

use super::{send, size};
use crate::support::{TestDatabase, TestProcess, proof_size, within};

/// Requests at once.
const AT_ONCE: usize = 16;
/// How long all their first events may take, on a machine that is busy with other tests.
const DECIDED_MAX: Duration = Duration::from_secs(300);

/// A tenant that has a schema and nothing else.
async fn bare_tenant(client: &Client, number: usize) -> String {
    let made = client.post_json("/api/v1/tenants", &json!({"name": format!("tenant {number}")})).await.unwrap();
    let id = made.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned();
    let schema = json!({"definition": {"facts": {"n": "int"}}});
    let answer = client.post_json(&format!("/api/v1/tenants/{id}/schema"), &schema).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    id
}

/// Bytes of memory that a process has.
fn memory_bytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_after_the_last_event_no_consumer_is_left() {
    let count = size("TENET_PROOF_TENANTS", proof_size(150, 1_000));
    let idle_stop = Duration::from_secs(u64::try_from(proof_size(1, 10)).unwrap());
    let idle_text = format!("{}s", idle_stop.as_secs());
    let settings = [("TENET_CONSUMER_IDLE_STOP", idle_text.as_str()), ("TENET_LOG", "warn")];
    let database = TestDatabase::fresh().await;
    let (process, client) = TestProcess::serve_with(database.url(), &settings).await;
    let tenants: Vec<String> =
        stream::iter(0..count).map(|number| bare_tenant(&client, number)).buffer_unordered(AT_ONCE).collect().await;
    let mut owner = PgConnection::connect(database.url()).await.unwrap();
    let mut grown = Vec::new();
    for round in 1..=3 {
        stream::iter(&tenants)
            .for_each_concurrent(AT_ONCE, |tenant| async {
                send(&client, tenant, 1).await.unwrap();
            })
            .await;
        let sent = i64::try_from(round * count).unwrap();
        within(DECIDED_MAX, "all are decided", async || {
            let mut owner = PgConnection::connect(database.url()).await.unwrap();
            sqlx::query_scalar::<_, i64>("select count(*) from decisions").fetch_one(&mut owner).await.unwrap() == sent
        })
        .await;
        within(2 * idle_stop + Duration::from_secs(10), "no consumer is left", async || {
            let metrics = client.get("/metrics").await.unwrap().text();
            metrics.contains("\ntenet_consumers 0\n") && metrics.contains("\ntenet_consumer_workers 0\n")
        })
        .await;
        let held: i64 = sqlx::query_scalar(
            "select count(*) from event_queues where owner is not null or pending_since is not null",
        )
        .fetch_one(&mut owner)
        .await
        .unwrap();
        assert_eq!(held, 0, "queues are nobody's, and empty");
        grown.push(memory_bytes(process.id()));
    }
    println!("{count} tenants: {grown:?} bytes after each round");
    // The first round may leave what the allocator keeps, and pools that have grown.
    assert!(grown[2] <= grown[1] + grown[1] / 20, "memory grows from round to round: {grown:?}");
}
