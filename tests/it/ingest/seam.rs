//! What holds wherever events wait, tried on both queues.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::{
    client::Method,
    config::{QueueKind, Secret, Settings},
};

use super::{state, tenant};
#[cfg(feature = "rabbitmq")]
use crate::support::broker;
use crate::support::{TestApp, within};

const SOON: Duration = Duration::from_secs(60);
const IDLE_STOP: Duration = Duration::from_millis(1_500);

/// An application, and whether its events wait in the broker.
struct Seam {
    app: TestApp,
    queue: QueueKind,
}

impl Seam {
    async fn start(queue: QueueKind, broker_url: Option<&str>) -> Self {
        let settings = |settings: &mut Settings| {
            settings.events.queue = queue;
            settings.events.rabbitmq_url = broker_url.map(Secret::new);
            settings.events.consumer_idle_stop = IDLE_STOP;
        };
        let app = TestApp::builder().settings(settings).start().await;
        Self { app, queue }
    }

    async fn post(&self, tenant: &str, rest: &str, document: &Value) -> (u16, Value) {
        let path = format!("/api/v1/tenants/{tenant}/{rest}");
        let answer = self.app.client.post_json(&path, document).await.unwrap();
        (answer.status, answer.json().unwrap_or_default())
    }

    async fn get(&self, tenant: &str, rest: &str) -> Value {
        let answer = self.app.client.get(&format!("/api/v1/tenants/{tenant}/{rest}")).await.unwrap();
        answer.json().unwrap_or_default()
    }

    /// Sends an event once it is taken: a broker may still be connecting.
    async fn accepted(&self, tenant: &str, event: &Value) -> Value {
        let mut answer = (0, Value::Null);
        within(SOON, "accepted", async || {
            answer = self.post(tenant, "events", event).await;
            answer.0 == 202
        })
        .await;
        answer.1
    }

    async fn send(&self, tenant: &str, event: &Value) -> String {
        self.accepted(tenant, event).await["id"].as_str().unwrap().to_owned()
    }

    async fn is_soon(&self, tenant: &str, id: &str, expected: &str) {
        within(SOON, expected, async || state(&self.app.client, tenant, id).await == expected).await;
    }

    async fn consumer(&self, tenant: &str, what: &str) {
        let path = format!("/api/v1/tenants/{tenant}/consumer/{what}");
        assert_eq!(self.app.client.request(Method::POST, &path, &[], Vec::new()).await.unwrap().status, 200);
    }

    async fn consumer_is_soon(&self, tenant: &str, expected: &str) {
        within(SOON, expected, async || self.get(tenant, "consumer").await["state"] == expected).await;
    }

    async fn owner(&self) -> PgConnection {
        PgConnection::connect(self.app.database_url()).await.unwrap()
    }

    async fn decides_what_it_accepted(&self) {
        let tenant = tenant(&self.app.client, "decides").await;
        let id = self.send(&tenant, &json!({"facts": {"n": 2}, "type": "t", "project": "p"})).await;
        self.is_soon(&tenant, &id, "decided").await;
        let event = self.get(&tenant, &format!("events/{id}")).await;
        assert_eq!((&event["facts"]["n"], &event["type"], &event["project"]), (&json!(2), &json!("t"), &json!("p")));
        assert_eq!(event["matchedRules"].as_array().unwrap().len(), 1, "{event}");
        assert_eq!(self.get(&tenant, "events/stats").await["total"], 1);
        let (status, wrong) = self.post(&tenant, "events", &json!({"facts": {"n": "x"}})).await;
        assert_eq!((status, &wrong["code"]), (422, &json!("invalid")));
    }

    async fn decides_as_of_when_an_event_occurred(&self) {
        let tenant = tenant(&self.app.client, "times").await;
        let occurred = (Utc::now() - TimeDelta::days(2)).trunc_subsecs(6);
        let begun = Utc::now().trunc_subsecs(6);
        for at in [json!("occurredAt"), Value::Null] {
            let id = self.send(&tenant, &json!({"facts": {"n": 2}, "occurredAt": occurred, "at": at})).await;
            self.is_soon(&tenant, &id, "decided").await;
            let event = self.get(&tenant, &format!("events/{id}")).await;
            let time = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
            assert_eq!((&event["at"], time(&event["occurredAt"])), (&at, occurred), "{event}");
            let evaluated = time(&event["decision"]["evaluatedAt"]);
            assert!(if at.is_null() { evaluated >= begun } else { evaluated == occurred }, "{event}");
        }
    }

    async fn makes_an_effect_once_for_each_key(&self) {
        let tenant = tenant(&self.app.client, "keys").await;
        let event = json!({"facts": {"n": 1}, "idempotencyKey": "k"});
        let first = self.send(&tenant, &event).await;
        self.is_soon(&tenant, &first, "decided").await;
        let again = self.accepted(&tenant, &event).await;
        let other = json!({"facts": {"n": 2}, "idempotencyKey": "k"});
        match self.queue {
            QueueKind::Postgres => {
                assert_eq!((&again["status"], &again["id"]), (&json!("duplicate"), &json!(first)));
                let (status, conflict) = self.post(&tenant, "events", &other).await;
                assert_eq!((status, &conflict["eventId"]), (409, &json!(first)));
            }
            QueueKind::RabbitMq => {
                assert_eq!(again["status"], "accepted");
                let id = &self.send(&tenant, &other).await;
                self.is_soon(&tenant, id, "dead").await;
                let letter = self.get(&tenant, &format!("dead-letters/{id}")).await;
                assert_eq!((&letter["reason"], &letter["detail"]["eventId"]), (&json!("key_conflict"), &json!(first)));
            }
        }
        // What is decided after them shows that they are done.
        let last = self.send(&tenant, &json!({"facts": {"n": 3}})).await;
        self.is_soon(&tenant, &last, "decided").await;
        let decided = self.get(&tenant, "events?state=decided").await;
        let ids: Vec<&str> = decided["items"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [&last, &first]);
    }

    async fn keeps_the_order_of_each_key(&self) {
        let tenant = tenant(&self.app.client, "order").await;
        let mut ids: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        self.send(&tenant, &json!({"facts": {"n": 0}})).await;
        for round in 0..5 {
            let mut left: Vec<usize> = (round * 100..(round + 1) * 100).collect();
            // A broker that is slow for a moment refuses some, which are then accepted after the others.
            within(SOON, "all are accepted", async || {
                let event = |n: &usize| json!({"facts": {"n": n}, "orderingKey": format!("key {}", n % 3)});
                let batch = json!({"events": left.iter().map(event).collect::<Vec<_>>()});
                let (_, answer) = self.post(&tenant, "events/batch", &batch).await;
                let items = answer["items"].as_array().cloned().unwrap_or_default();
                let mut items = items.iter().map(|item| item["id"].as_str().map(str::to_owned));
                left.retain(|n| match items.next().flatten() {
                    Some(id) => {
                        ids.entry(n % 3).or_default().push(id);
                        false
                    }
                    None => true,
                });
                left.is_empty()
            })
            .await;
        }
        let mut owner = self.owner().await;
        let decided = "select id::text from decisions where tenant_id = $1::uuid order by decided_at, id";
        let mut order: Vec<String> = Vec::new();
        within(SOON, "all are decided", async || {
            order = sqlx::query_scalar(decided).bind(&tenant).fetch_all(&mut owner).await.unwrap();
            ids.values().flatten().all(|id| order.contains(id))
        })
        .await;
        for ids in ids.values() {
            let of_key: Vec<&String> = order.iter().filter(|id| ids.contains(id)).collect();
            assert_eq!(of_key, ids.iter().collect::<Vec<_>>());
        }
    }

    async fn pauses_and_brings_dead_letters_back(&self) {
        let tenant = tenant(&self.app.client, "pause").await;
        let first = self.send(&tenant, &json!({"facts": {"n": 1}})).await;
        self.is_soon(&tenant, &first, "decided").await;
        self.consumer(&tenant, "pause").await;
        self.consumer_is_soon(&tenant, "paused").await;
        let event = json!({"facts": {"n": 1}, "orderingKey": "o"});
        let id = self.send(&tenant, &event).await;
        let schema = async |kind: &str| {
            let path = format!("/api/v1/tenants/{tenant}/schema");
            let definition =
                json!({"definition": {"facts": {"n": "int", "m": {"type": kind, "required": kind == "int"}}}});
            let answer = self.app.client.put_json(&path, &definition).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        };
        schema("int").await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(["", "pending"].contains(&&*state(&self.app.client, &tenant, &id).await));
        self.consumer(&tenant, "resume").await;
        self.is_soon(&tenant, &id, "dead").await;
        assert_eq!(self.get(&tenant, &format!("dead-letters/{id}")).await["reason"], "facts_invalid");
        schema("string").await;
        let (status, answer) = self.post(&tenant, "dead-letters/redrive", &json!({"eventIds": [id]})).await;
        assert_eq!((status, &answer["matched"]), (202, &json!(1)));
        self.is_soon(&tenant, &id, "decided").await;
    }

    async fn starts_and_stops_consumers(&self) {
        let tenant = tenant(&self.app.client, "idle").await;
        for n in 0..3 {
            let id = self.send(&tenant, &json!({"facts": {"n": n}})).await;
            self.is_soon(&tenant, &id, "decided").await;
            self.consumer_is_soon(&tenant, "absent").await;
        }
        let mut owner = self.owner().await;
        let pending: i64 = sqlx::query_scalar(
            "select count(*) from event_queues where pending_since is not null and tenant_id = $1::uuid",
        )
        .bind(&tenant)
        .fetch_one(&mut owner)
        .await
        .unwrap();
        assert_eq!(pending, 0);
    }

    async fn forgets_a_deleted_tenant(&self) {
        let tenant = tenant(&self.app.client, "deleted").await;
        let id = self.send(&tenant, &json!({"facts": {"n": 1}, "idempotencyKey": "k"})).await;
        self.is_soon(&tenant, &id, "decided").await;
        self.send(&tenant, &json!({"facts": {"n": 2}})).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.send(&tenant, &json!({"facts": {"n": 3}})).await;
        let gone = self.app.client.delete(&format!("/api/v1/tenants/{tenant}")).await.unwrap();
        assert_eq!(gone.status, 204, "{}", gone.text());
        let mut owner = self.owner().await;
        self.nothing_is_left(&mut owner, &tenant).await;
        // Whoever accepted the last event may tell of it only now.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.nothing_is_left(&mut owner, &tenant).await;
    }

    async fn nothing_is_left(&self, owner: &mut PgConnection, tenant: &str) {
        within(SOON, "no row is left", async || {
            let left: i64 = sqlx::query_scalar(
                "select (select count(*) from events where tenant_id = $1::uuid)
                    + (select count(*) from decisions where tenant_id = $1::uuid)
                    + (select count(*) from event_keys where tenant_id = $1::uuid)
                    + (select count(*) from event_queues where tenant_id = $1::uuid)",
            )
            .bind(tenant)
            .fetch_one(&mut *owner)
            .await
            .unwrap();
            left == 0
        })
        .await;
    }

    async fn holds(self) {
        self.decides_what_it_accepted().await;
        self.decides_as_of_when_an_event_occurred().await;
        self.makes_an_effect_once_for_each_key().await;
        self.keeps_the_order_of_each_key().await;
        self.pauses_and_brings_dead_letters_back().await;
        self.starts_and_stops_consumers().await;
        self.forgets_a_deleted_tenant().await;
        self.app.stop().await;
    }
}

#[tokio::test]
async fn events_that_wait_in_the_database_are_decided_once_in_order_and_can_be_found() {
    Seam::start(QueueKind::Postgres, None).await.holds().await;
}

#[cfg(feature = "rabbitmq")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_in_the_broker_are_decided_once_in_order_and_can_be_found() {
    let (url, _broker) = broker().await;
    Seam::start(QueueKind::RabbitMq, Some(&url)).await.holds().await;
}
