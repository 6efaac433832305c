//! Why events are given up before their facts are looked at.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{Events, SOON, body};
use crate::support::within;

impl Events {
    async fn set_quota(&self, quota: &str, limit: u64) {
        let quotas = json!({"quotas": {quota: limit}});
        let path = format!("/api/v1/tenants/{}", self.tenant);
        body(&self.app.client.patch_json(&path, &quotas).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_by_now_is_given_up_and_decided_once_it_may_be() {
    let events = Events::start().await;
    events.pause().await;
    let id = events.send(&json!({"facts": {"age": 30, "tax": "x".repeat(2_000)}})).await;
    let small = events.send(&json!({"facts": {"age": 30}})).await;
    events.set_quota("eventBytes", 1_000).await;
    body(&events.post("consumer/resume", &Value::Null).await, 200);
    events.is_soon(&id, "dead").await;
    events.is_soon(&small, "decided").await;
    let letter = events.get(&format!("dead-letters/{id}")).await;
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!("too_large"), &json!(1)), "{letter}");
    let detail = &letter["detail"];
    assert_eq!((&detail["quota"], &detail["limit"]), (&json!("eventBytes"), &json!(1_000)), "{letter}");
    assert!(detail["used"].as_u64().unwrap() > 2_000, "{letter}");
    events.set_quota("eventBytes", 3_000).await;
    body(&events.post("dead-letters/redrive", &json!({"filter": {"reason": "too_large"}})).await, 202);
    events.is_soon(&id, "decided").await;
    events.app.stop().await;
}

#[tokio::test]
async fn an_event_that_waited_for_longer_than_events_are_kept_is_given_up() {
    let events = Events::start().await;
    events.set_quota("eventRetentionDays", 1).await;
    let recent = events.send(&json!({"facts": {"age": 30}})).await;
    events.is_soon(&recent, "decided").await;
    events.pause().await;
    // As if it had been accepted a day ago and never decided.
    let mut owner = PgConnection::connect(events.app.database_url()).await.unwrap();
    let id: String = sqlx::query_scalar(
        "insert into events (tenant_id, id, facts) values ($1::uuid, (left(tenet_event_floor(now()
            - interval '24 hours 1 second')::text, 14) || '7fff-bfff-aaaaaaaaaaaa')::uuid, '{\"age\": 30}')
         returning id::text",
    )
    .bind(&events.tenant)
    .fetch_one(&mut owner)
    .await
    .unwrap();
    sqlx::query(
        "update event_queues set position = tenet_event_floor(now() - interval '2 days'), pending_since = now()",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    body(&events.post("consumer/resume", &Value::Null).await, 200);
    let path = events.path(&format!("dead-letters/{id}"));
    within(SOON, "dead", async || events.app.client.get(&path).await.unwrap().status == 200).await;
    let letter = events.get(&format!("dead-letters/{id}")).await;
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!("expired"), &json!(1)), "{letter}");
    assert_eq!(events.app.client.get(&events.path(&format!("events/{id}"))).await.unwrap().status, 404);
    let metrics = events.app.client.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("tenet_dead_letters_total{reason=\"expired\"} 1\n"), "{metrics}");
    events.app.stop().await;
}
