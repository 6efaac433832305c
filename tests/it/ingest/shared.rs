//! A Redis beside the broker: duplicates are known when they are sent, and nothing is wrong without it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenet::{client::Client, config::Secret};

use super::{
    broker::{SOON, app_with, is_soon, set_paused},
    tenant,
};
use crate::support::{PrivateRedis, TestApp, broker, free_address, redis, within};

/// Many times what Redis may take, and little to wait for.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn app(broker: &str, redis: &str) -> TestApp {
    app_with(broker, |settings| settings.events.redis_url = Some(Secret::new(redis))).await
}

/// Sends an event with an idempotency key until it is answered for good; answers the status and the document.
async fn sent(client: &Client, tenant: &str, key: &str, n: i64) -> (u16, Value) {
    let event = json!({"facts": {"n": n}, "idempotencyKey": key});
    let mut answer = (0, Value::Null);
    within(SOON, "answered", async || {
        let answered = client.post_json(&format!("/api/v1/tenants/{tenant}/events"), &event).await.unwrap();
        answer = (answered.status, answered.json().unwrap());
        answer.0 != 503
    })
    .await;
    answer
}

/// Sends an event that is accepted; answers its id.
async fn accepted(client: &Client, tenant: &str, key: &str, n: i64) -> String {
    let (status, answer) = sent(client, tenant, key, n).await;
    assert_eq!((status, &answer["status"]), (202, &json!("accepted")), "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

/// Sends and decides events until one is known when it is sent again: a busy machine may be too slow for Redis now and
/// then. Answers its key and its id. Each copy that is not known has no effect.
async fn known(client: &Client, tenant: &str) -> (String, String) {
    let (mut key, mut id) = (String::new(), String::new());
    within(SOON, "known", async || {
        key = uuid::Uuid::now_v7().to_string();
        id = accepted(client, tenant, &key, 1).await;
        is_soon(client, tenant, &id, "decided").await;
        is_known(client, tenant, &key, &id).await
    })
    .await;
    (key, id)
}

/// Whether an event that is sent again is known as a duplicate of `id`.
async fn is_known(client: &Client, tenant: &str, key: &str, id: &str) -> bool {
    let (status, answer) = sent(client, tenant, key, 1).await;
    assert_eq!(status, 202, "{answer}");
    assert!(answer["status"] == "accepted" || answer["id"] == *id, "{answer}");
    answer["status"] == "duplicate"
}

/// The ids of all events that are decided.
async fn decided(client: &Client, tenant: &str) -> Vec<String> {
    let listed = client.get(&format!("/api/v1/tenants/{tenant}/events?state=decided&limit=200")).await.unwrap();
    let listed: Value = listed.json().unwrap();
    listed["items"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_and_a_conflict_are_known_when_they_are_sent() {
    let ((broker, _broker), (redis, _redis)) = (broker().await, redis().await);
    let app = app(&broker, &redis).await;
    let client = &app.client;
    let [tenant, other] = [tenant(client, "acme").await, tenant(client, "other").await];
    let (key, id) = known(client, &tenant).await;
    within(SOON, "a conflict", async || {
        let (status, answer) = sent(client, &tenant, &key, 2).await;
        assert!(status == 202 || answer["eventId"] == id, "{answer}");
        (status, &answer["code"]) == (409, &json!("idempotency_conflict"))
    })
    .await;
    let event = |key: &str, n: i64| json!({"facts": {"n": n}, "idempotencyKey": key});
    let batch = json!({"events": [event("new", 1), event(&key, 1), event(&key, 2), event("newer", 1)]});
    let mut items = Vec::new();
    within(SOON, "a batch", async || {
        let answer = client.post_json(&format!("/api/v1/tenants/{tenant}/events/batch"), &batch).await.unwrap();
        items = answer.json::<Value>().unwrap()["items"].as_array().cloned().unwrap_or_default();
        items.len() == 4 && items[1]["status"] == "duplicate"
    })
    .await;
    assert_eq!(
        (&items[1]["id"], &items[2]["error"]["code"]),
        (&json!(id), &json!("idempotency_conflict")),
        "{items:?}"
    );
    let of_other = accepted(client, &other, &key, 1).await;
    is_soon(client, &other, &of_other, "decided").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_stored_is_known_and_of_two_the_first_is_stored() {
    let ((broker, _broker), (redis, _redis)) = (broker().await, redis().await);
    let app = app(&broker, &redis).await;
    let client = &app.client;
    let tenant = tenant(client, "acme").await;
    let (_, first) = known(client, &tenant).await;
    let before = decided(client, &tenant).await;
    assert_eq!(before[0], first);
    set_paused(client, &tenant, "pause").await;
    within(SOON, "paused", async || {
        let consumer = client.get(&format!("/api/v1/tenants/{tenant}/consumer")).await.unwrap();
        consumer.json::<Value>().unwrap()["state"] == "paused"
    })
    .await;
    let [one, again] = [accepted(client, &tenant, "k", 1).await, accepted(client, &tenant, "k", 1).await];
    let other = accepted(client, &tenant, "k", 2).await;
    assert_ne!(one, again);
    set_paused(client, &tenant, "resume").await;
    is_soon(client, &tenant, &one, "decided").await;
    is_soon(client, &tenant, &other, "dead").await;
    let after = decided(client, &tenant).await;
    assert_eq!((after[0].as_str(), &after[1..]), (one.as_str(), &before[..]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_redis_events_are_taken_and_decided_once() {
    let (broker, _broker) = broker().await;
    let mut redis = PrivateRedis::start().await;
    let app = app(&broker, &redis.url()).await;
    let client = &app.client;
    let tenant = tenant(client, "acme").await;
    let (key, id) = known(client, &tenant).await;
    let mut ids = decided(client, &tenant).await;
    // Hanging, gone, and back with nothing of what it had.
    for fault in ["hangs", "is gone", "is empty"] {
        match fault {
            "hangs" => redis.freeze(true),
            "is gone" => redis.kill(),
            _ => redis.start_again().await,
        }
        let began = Instant::now();
        let next = accepted(client, &tenant, fault, 1).await;
        assert!(began.elapsed() < AT_ONCE, "{fault}: {:?}", began.elapsed());
        is_soon(client, &tenant, &next, "decided").await;
        ids.insert(0, next);
        assert!(!is_known(client, &tenant, &key, &id).await, "{fault}");
    }
    // Sent after its copies, and so decided after them.
    let last = accepted(client, &tenant, "last", 1).await;
    is_soon(client, &tenant, &last, "decided").await;
    ids.insert(0, last);
    assert_eq!(decided(client, &tenant).await, ids);
    within(SOON, "known again", async || is_known(client, &tenant, &key, &id).await).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_never_there_is_not_missed() {
    let (broker, _broker) = broker().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    for redis in [format!("redis://{}", free_address()), format!("rediss://{silent}"), format!("redis://{silent}")] {
        let app = app(&broker, &redis).await;
        let tenant = tenant(&app.client, "acme").await;
        let id = accepted(&app.client, &tenant, "k", 1).await;
        is_soon(&app.client, &tenant, &id, "decided").await;
        accepted(&app.client, &tenant, "k", 1).await;
        app.stop().await;
    }
}
