//! What happens to events when the broker, or the database behind it, is not there, and to messages that are no events.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use serde_json::{Value, json};
use tenet::{
    breakers::Breakers,
    broker::{Address, Broker, Message, Metrics},
    client::{Client, Method},
    config::{QueueKind, Secret, Settings},
    domain::{EventId, TenantId},
    store::NewEvent,
    telemetry::MetricRegistry,
};

use super::{send, state, tenant};
use crate::{
    store::events::event,
    support::{PrivateBroker, PrivateServer, TestApp, TestDatabase, TestProcess, broker, scope, within},
};

pub const SOON: Duration = Duration::from_secs(60);
/// The two seconds that the broker may take to answer, and what a busy machine adds.
const REFUSED_MAX: Duration = Duration::from_secs(10);
/// Older than any queue that was seen to be lost with a killed broker of one node (RabbitMQ 3.10; `docs/events.md`).
const QUEUE_OLD: Duration = Duration::from_secs(8);

pub async fn app(url: &str) -> TestApp {
    app_with(url, |_| {}).await
}

/// The same with more settings.
pub async fn app_with(url: &str, more: impl FnOnce(&mut Settings)) -> TestApp {
    let settings = |settings: &mut Settings| {
        settings.events.queue = QueueKind::RabbitMq;
        settings.events.rabbitmq_url = Some(Secret::new(url));
        more(settings);
    };
    TestApp::builder().settings(settings).start().await
}

/// Sends an event once it is taken.
pub async fn sent(client: &Client, tenant: &str, n: i64) -> String {
    let mut id = None;
    within(SOON, "accepted", async || {
        id = send(client, tenant, n).await;
        id.is_some()
    })
    .await;
    id.unwrap()
}

pub async fn is_soon(client: &Client, tenant: &str, id: &str, expected: &str) {
    within(SOON, expected, async || state(client, tenant, id).await == expected).await;
}

pub async fn set_paused(client: &Client, tenant: &str, what: &str) {
    let path = format!("/api/v1/tenants/{tenant}/consumer/{what}");
    assert_eq!(client.request(Method::POST, &path, &[], Vec::new()).await.unwrap().status, 200);
}

/// Sends an event that is refused; answers the code and how long that took.
async fn refused(client: &Client, tenant: &str) -> (u16, String, Duration) {
    let began = Instant::now();
    let path = format!("/api/v1/tenants/{tenant}/events");
    let answer = client.post_json(&path, &json!({"facts": {"n": 1}})).await.unwrap();
    let code = answer.json::<Value>().unwrap()["code"].as_str().unwrap_or_default().to_owned();
    (answer.status, code, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_broker_events_are_refused_at_once_and_taken_again_when_it_is_back() {
    let mut broker = PrivateBroker::start().await;
    let app = app(&broker.url()).await;
    let tenant = tenant(&app.client, "acme").await;
    let mut ids = vec![sent(&app.client, &tenant, 0).await];
    set_paused(&app.client, &tenant, "pause").await;
    for n in 1..20 {
        ids.push(sent(&app.client, &tenant, n).await);
    }
    // Hanging, then gone, then back with what it had confirmed.
    broker.freeze(true);
    let (status, code, took) = refused(&app.client, &tenant).await;
    assert_eq!((status, &*code), (503, "queue_unavailable"));
    assert!(took < REFUSED_MAX, "{took:?}");
    broker.freeze(false);
    ids.push(sent(&app.client, &tenant, 20).await);
    tokio::time::sleep(QUEUE_OLD).await;
    broker.kill();
    let (status, code, took) = refused(&app.client, &tenant).await;
    assert_eq!(status, 503, "{code}");
    assert!(took < REFUSED_MAX, "{took:?}");
    // Asked again and again, it is not asked any more, and says when it is.
    within(SOON, "left alone", async || refused(&app.client, &tenant).await.1 == "dependency_unavailable").await;
    let path = format!("/api/v1/tenants/{tenant}/events");
    let answer = app.client.post_json(&path, &json!({"facts": {"n": 1}})).await.unwrap();
    assert_eq!(answer.json::<Value>().unwrap()["dependency"], "broker", "{}", answer.text());
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    let shown: Value = app.client.get("/metrics/bulkheads").await.unwrap().json().unwrap();
    for tier in ["free", "pro", "enterprise"] {
        let of = |dependency: &str| shown[tier]["breakers"][dependency]["state"].clone();
        assert!(of("broker") != "CLOSED" && of("redis") == "CLOSED" && of("postgresRead") == "CLOSED", "{shown}");
    }
    let decided =
        app.client.post_json("/api/v1/evaluate", &json!({"tenantId": tenant, "facts": {"n": 2}})).await.unwrap();
    assert_eq!(decided.status, 200, "decisions need no broker");
    assert_eq!(app.client.get("/readyz").await.unwrap().status, 200);
    set_paused(&app.client, &tenant, "resume").await;
    broker.start_again().await;
    ids.push(sent(&app.client, &tenant, 21).await);
    for id in &ids {
        is_soon(&app.client, &tenant, id, "decided").await;
    }
    let letters = app.client.get(&format!("/api/v1/tenants/{tenant}/dead-letters")).await.unwrap();
    assert_eq!(letters.json::<Value>().unwrap()["items"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_events_are_taken_and_decided_once_it_is_back() {
    let (url, _broker) = broker().await;
    let mut server = PrivateServer::start_durable().await;
    let settings = [("TENET_QUEUE", "rabbitmq"), ("TENET_RABBITMQ_URL", &url), ("TENET_EVENT_LEASE", "3s")];
    let (_process, client) = TestProcess::serve_with(server.url(), &settings).await;
    let tenant = tenant(&client, "acme").await;
    let mut ids = vec![sent(&client, &tenant, 0).await];
    is_soon(&client, &tenant, &ids[0], "decided").await;
    server.stop().await;
    for n in 1..50 {
        ids.push(sent(&client, &tenant, n).await);
    }
    // Longer than the lease: the messages are let go of, and no attempt is used up.
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.start_again().await;
    for id in &ids {
        is_soon(&client, &tenant, id, "decided").await;
    }
    let listed = client.get(&format!("/api/v1/tenants/{tenant}/events?limit=200")).await.unwrap();
    let listed: Value = listed.json().unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), ids.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_takes_no_more_until_it_is_worked_off() {
    let (url, _broker) = broker().await;
    let app = app(&url).await;
    let tenant = tenant(&app.client, "acme").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let quotas = json!({"quotas": {"eventBacklog": 20}});
    assert_eq!(app.client.patch_json(&path, &quotas).await.unwrap().status, 200);
    sent(&app.client, &tenant, 0).await;
    set_paused(&app.client, &tenant, "pause").await;
    let mut full = None;
    for _ in 0..200 {
        let answer = app.client.post_json(&format!("{path}/events"), &json!({"facts": {"n": 1}})).await.unwrap();
        if answer.status == 429 {
            full = Some(answer);
            break;
        }
    }
    let full = full.expect("a queue of 20 is full before 200");
    assert_eq!(full.json::<Value>().unwrap()["code"], "backlog_full");
    assert!((1..=300).contains(&full.header("retry-after").unwrap().parse::<u64>().unwrap()));
    set_paused(&app.client, &tenant, "resume").await;
    let id = sent(&app.client, &tenant, 2).await;
    is_soon(&app.client, &tenant, &id, "decided").await;
    app.stop().await;
}

/// Who writes to the broker beside Tenet.
async fn stranger(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_no_event_of_the_tenant_becomes_a_dead_letter() {
    let (url, _broker) = broker().await;
    let app = app(&url).await;
    let [tenant, other] = [tenant(&app.client, "acme").await, tenant(&app.client, "other").await];
    sent(&app.client, &tenant, 0).await;
    let (_connection, channel) = stranger(&url).await;
    let foreign = json!({"tenant": other, "id": uuid::Uuid::now_v7(), "facts": {"n": 2}});
    // Of a day before this database was made.
    let old = uuid::Uuid::from_u128(uuid::Uuid::now_v7().as_u128() - ((5 * 86_400_000) << 80));
    let old = json!({"tenant": tenant, "id": old, "facts": {"n": 2}});
    let event = json!({"tenant": tenant, "id": uuid::Uuid::now_v7(), "facts": {"n": 2}});
    let json = |document: &Value| serde_json::to_vec(document).unwrap();
    for body in [b"\xff\x00".to_vec(), b"{}".to_vec(), json(&foreign), json(&old), json(&event)] {
        let queue = format!("tenet.events.{tenant}");
        let (options, none) = (BasicPublishOptions::default(), BasicProperties::default());
        channel.basic_publish("".into(), queue.into(), options, &body, none).await.unwrap().await.unwrap();
    }
    let letters = async || {
        let path = format!("/api/v1/tenants/{tenant}/dead-letters?reason=undecodable");
        app.client.get(&path).await.unwrap().json::<Value>().unwrap()["items"].as_array().unwrap().clone()
    };
    within(SOON, "four dead letters", async || letters().await.len() == 4).await;
    let told = serde_json::to_string(&letters().await).unwrap();
    for reason in ["another tenant", "not an event", "cannot be stored"] {
        assert!(told.contains(reason), "{reason}: {told}");
    }
    is_soon(&app.client, &tenant, event["id"].as_str().unwrap(), "decided").await;
    let of_old = letters().await.into_iter().find(|letter| letter.to_string().contains("cannot be stored")).unwrap();
    let redrive = json!({"eventIds": [of_old["eventId"]]});
    let path = format!("/api/v1/tenants/{tenant}/dead-letters/redrive");
    assert_eq!(app.client.post_json(&path, &redrive).await.unwrap().status, 202);
    is_soon(&app.client, &tenant, of_old["eventId"].as_str().unwrap(), "decided").await;
    let id = sent(&app.client, &tenant, 1).await;
    is_soon(&app.client, &tenant, &id, "decided").await;
    let of_other = app.client.get(&format!("/api/v1/tenants/{other}/events")).await.unwrap();
    assert_eq!(of_other.json::<Value>().unwrap()["items"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_delivered_too_often_is_tried_by_itself_and_decided() {
    let broker = PrivateBroker::start().await;
    let app = app(&broker.url()).await;
    let tenant = tenant(&app.client, "acme").await;
    let first = sent(&app.client, &tenant, 0).await;
    is_soon(&app.client, &tenant, &first, "decided").await;
    set_paused(&app.client, &tenant, "pause").await;
    within(SOON, "paused", async || {
        let consumer = app.client.get(&format!("/api/v1/tenants/{tenant}/consumer")).await.unwrap();
        consumer.json::<Value>().unwrap()["state"] == "paused"
    })
    .await;
    let ids = [sent(&app.client, &tenant, 1).await, sent(&app.client, &tenant, 2).await];
    let (_connection, channel) = stranger(&broker.url()).await;
    // The first comes back until the broker gives it up, the second once less than that would take.
    let queue = format!("tenet.events.{tenant}");
    channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut messages = channel.basic_consume(queue.into(), "stranger".into(), options, none).await.unwrap();
    let mut returned = 0;
    while returned < 5 {
        let message = messages.next().await.unwrap().unwrap();
        returned += usize::from(message.data.windows(36).any(|bytes| bytes == ids[1].as_bytes()));
        message.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await.unwrap();
    }
    channel.close(200, "done".into()).await.unwrap();
    set_paused(&app.client, &tenant, "resume").await;
    for id in &ids {
        is_soon(&app.client, &tenant, id, "decided").await;
    }
    let letters = app.client.get(&format!("/api/v1/tenants/{tenant}/dead-letters")).await.unwrap();
    assert_eq!(letters.json::<Value>().unwrap()["items"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_nobody_was_told_of_is_found() {
    let (url, _broker) = broker().await;
    let database = TestDatabase::fresh().await;
    let settings = [("TENET_QUEUE", "rabbitmq"), ("TENET_RABBITMQ_URL", &*url), ("TENET_CONSUMER_IDLE_STOP", "200ms")];
    let (_process, client) = TestProcess::serve_with(database.url(), &settings).await;
    let tenant = tenant(&client, "acme").await;
    let first = sent(&client, &tenant, 0).await;
    is_soon(&client, &tenant, &first, "decided").await;
    within(SOON, "no consumer", async || {
        let consumer = client.get(&format!("/api/v1/tenants/{tenant}/consumer")).await.unwrap();
        consumer.json::<Value>().unwrap()["state"] == "absent"
    })
    .await;
    // As a node does that is killed before it tells.
    let (_connection, channel) = stranger(&url).await;
    let id = uuid::Uuid::now_v7().to_string();
    let body = serde_json::to_vec(&json!({"tenant": tenant, "id": id, "facts": {"n": 2}})).unwrap();
    let queue = format!("tenet.events.{tenant}");
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.clone().into(), passive, FieldTable::default()).await.unwrap();
    let (options, none) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish("".into(), queue.into(), options, &body, none).await.unwrap().await.unwrap();
    within(Duration::from_secs(120), "found", async || state(&client, &tenant, &id).await == "decided").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_consumer_lets_go_of_comes_to_the_next_one_before_what_is_behind_it() {
    const MESSAGES: usize = 500;
    let (url, _broker) = broker().await;
    let connect = || {
        let metrics = Metrics::register(&mut MetricRegistry::new());
        Broker::start(Address { url: Secret::new(&*url), authorities: None }, Breakers::default(), metrics)
    };
    let ((first, first_keeping), (second, second_keeping)) = (connect(), connect());
    within(SOON, "connected", async || first.is_connected() && second.is_connected()).await;
    for is_closed_in_order in [true, false] {
        let scope = scope(TenantId::generate());
        let message = |_| {
            let NewEvent { scope, draft } = event(scope.id(), &json!({}), None);
            Message { scope, id: EventId::generate(), draft }
        };
        let messages: Vec<Message> = (0..MESSAGES).map(message).collect();
        let ids: Vec<EventId> = messages.iter().map(|message| message.id).collect();
        let published = first.publish(messages, Some(1_000)).await.unwrap();
        assert!(published.iter().all(Result::is_ok), "{published:?}");
        let one = first.consume(scope.id(), None, Arc::default()).await.unwrap();
        let other = second.consume(scope.id(), None, Arc::default()).await.unwrap();
        let mut in_hand = 0;
        within(SOON, "a window is full", async || {
            in_hand += one.take().len();
            in_hand == 200
        })
        .await;
        assert!(other.take().is_empty(), "it waits");
        if is_closed_in_order {
            one.close().await.unwrap();
        }
        drop(one);
        let mut found: Vec<EventId> = Vec::new();
        within(SOON, "all have come", async || {
            let delivered = other.take();
            let tags: Vec<u64> = delivered.iter().map(|delivered| delivered.tag).collect();
            found.extend(delivered.into_iter().map(|delivered| delivered.message.unwrap().id));
            other.acknowledge(&tags).await.unwrap();
            found.len() == MESSAGES
        })
        .await;
        assert_eq!(found, ids, "closed in order: {is_closed_in_order}");
    }
    first_keeping.stop().await;
    second_keeping.stop().await;
}
