//! A redrive whose node is killed: another one goes on with it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::client::{Client, Method};

use crate::support::{TestDatabase, TestProcess, proof_size, within};

const SOON: Duration = Duration::from_secs(60);
/// A node whose lease runs out soon, so that a killed one is missed soon.
const SETTINGS: [(&str, &str); 1] = [("TENET_EVENT_LEASE", "3s")];
/// Events a second.
const RATE: usize = 20;

/// A tenant of which nodes know.
struct Tenant(String);

impl Tenant {
    fn path(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}/{rest}", self.0)
    }

    async fn get(&self, client: &Client, rest: &str) -> Value {
        client.get(&self.path(rest)).await.unwrap().json().unwrap()
    }

    async fn post(&self, client: &Client, rest: &str, document: &Value) -> Value {
        let answer = client.post_json(&self.path(rest), document).await.unwrap();
        assert!(answer.status < 300, "{}", answer.text());
        answer.json().unwrap()
    }

    async fn consumer(&self, client: &Client, what: &str) {
        let path = self.path(&format!("consumer/{what}"));
        assert_eq!(client.request(Method::POST, &path, &[], Vec::new()).await.unwrap().status, 200);
    }

    async fn set_schema(&self, client: &Client, tax: &str) {
        let definition = json!({"definition": {"facts": {"n": "int", "tax": tax}}});
        assert!(client.put_json(&self.path("schema"), &definition).await.unwrap().status < 300);
    }

    async fn dead_letters(&self, client: &Client) -> u64 {
        self.get(client, "events/stats").await["deadLetters"].as_u64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_is_carried_on_after_its_node_is_killed() {
    let count = proof_size(120, 600);
    let database = TestDatabase::fresh().await;
    let (mut first, client) = TestProcess::serve_with(database.url(), &SETTINGS).await;
    let made = client.post_json("/api/v1/tenants", &json!({"name": "acme"})).await.unwrap();
    let tenant = Tenant(made.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned());
    tenant.set_schema(&client, "string").await;
    // The queue is there, and is the first node's.
    tenant.post(&client, "events", &json!({"facts": {"n": 0}})).await;
    within(SOON, "running", async || tenant.get(&client, "consumer").await["state"] == "running").await;
    tenant.consumer(&client, "pause").await;
    // Until it has ended it may decide what comes.
    within(SOON, "paused", async || tenant.get(&client, "consumer").await["state"] == "paused").await;
    let events: Vec<_> = (1..=count).map(|n| json!({"facts": {"n": n, "tax": "x"}})).collect();
    tenant.post(&client, "events/batch", &json!({ "events": events })).await;
    tenant.set_schema(&client, "int").await;
    tenant.consumer(&client, "resume").await;
    within(SOON, "all are dead", async || tenant.dead_letters(&client).await == count as u64).await;
    tenant.set_schema(&client, "string").await;

    let (_second, other) = TestProcess::serve_with(database.url(), &SETTINGS).await;
    let began = Instant::now();
    let order = json!({"filter": {}, "ratePerSecond": RATE});
    let begun = tenant.post(&other, "dead-letters/redrive", &order).await;
    assert_eq!(begun["matched"], count);
    let path = format!("redrives/{}", begun["redriveId"].as_str().unwrap());
    let redriven = async || tenant.get(&other, &path).await["redriven"].as_u64().unwrap() as usize;
    within(SOON, "a part is brought back", async || redriven().await >= 2 * RATE).await;
    first.signal(Signal::KILL);
    assert_eq!(first.end().await, None);
    println!("killed after {} of {count}", redriven().await);
    assert!(redriven().await < count);
    let bound = Duration::from_secs(u64::try_from(count / RATE).unwrap()) + SOON;
    within(bound, "done", async || tenant.get(&other, &path).await["state"] == "done").await;
    let took = began.elapsed();
    assert_eq!(redriven().await, count);
    assert!(took >= Duration::from_secs(u64::try_from(count / RATE - 2).unwrap()), "faster than its rate: {took:?}");
    within(SOON, "all are decided", async || {
        let stats = tenant.get(&other, "events/stats").await;
        stats["pending"] == 0 && stats["retrying"] == 0
    })
    .await;
    let mut owner = PgConnection::connect(database.url()).await.unwrap();
    let (decided, once): (i64, i64) = sqlx::query_as(
        "select (select count(*) from decisions),
            (select count(*) from dead_letters where status = 'redriven' and redrives = 1 and attempts = 1)",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    let count = i64::try_from(count).unwrap();
    assert_eq!((decided, once), (count + 1, count), "each is brought back once, and decided");
    println!("{count} events at {RATE} a second, over the death of their node, took {took:?}");
}
