//! `/api/v1/tenants/{tenantId}/events` and what belongs to it, over a socket.

mod concurrency;
mod dead_letters;
mod redrives;
mod stream;
mod times;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenet::{
    client::{Client, Method, Response},
    config::Secret,
};

use super::{NOBODY, body, mistakes, problem, send};
use crate::support::{TestApp, within};

/// How long events may take to be decided, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// A tenant with a rule, and who asks about its events.
struct Events {
    app: TestApp,
    tenant: String,
    rule: String,
}

impl Events {
    async fn start() -> Self {
        Self::on(TestApp::start().await).await
    }

    async fn on(app: TestApp) -> Self {
        let fields = json!({"age": "int", "tax": {"type": "string", "sensitive": true}});
        let tenant = app.create_tenant_with_schema("acme", &fields).await;
        let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
        Self { app, tenant, rule }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}/{rest}", self.tenant)
    }

    async fn get(&self, rest: &str) -> Value {
        body(&self.app.client.get(&self.path(rest)).await.unwrap(), 200)
    }

    async fn post(&self, rest: &str, document: &Value) -> Response {
        send(&self.app.client, Method::POST, &self.path(rest), &[], document).await
    }

    /// Sends an event that is accepted; answers its id.
    async fn send(&self, event: &Value) -> String {
        body(&self.post("events", event).await, 202)["id"].as_str().unwrap().to_owned()
    }

    /// The event once it is in this state.
    async fn is_soon(&self, id: &str, state: &str) -> Value {
        let path = format!("events/{id}");
        within(SOON, state, async || self.get(&path).await["state"] == state).await;
        self.get(&path).await
    }

    /// Pauses the consumer; until it has ended it may decide what comes.
    async fn pause(&self) {
        body(&self.post("consumer/pause", &Value::Null).await, 200);
        self.consumer_is_soon("paused").await;
    }

    /// Changes the type of a fact that no rule reads.
    async fn set_tax(&self, kind: &str) {
        let definition = json!({"facts": {"age": "int", "tax": {"type": kind, "sensitive": true}}});
        let answer = self.app.client.put_json(&self.path("schema"), &json!({"definition": definition})).await.unwrap();
        body(&answer, 200);
    }

    /// So many events of this type that were given up, since a schema refused them; the schema takes them by now.
    async fn dead(&self, kind: &str, count: usize) -> Vec<String> {
        self.pause().await;
        let event = |n| json!({"facts": {"age": n, "tax": "secret-2"}, "type": kind});
        let batch = json!({"events": (0..count).map(event).collect::<Vec<_>>()});
        let answer = body(&self.post("events/batch", &batch).await, 202);
        let ids = answer["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
        self.set_tax("int").await;
        body(&self.post("consumer/resume", &Value::Null).await, 200);
        let ids: Vec<String> = ids.collect();
        for id in &ids {
            self.is_soon(id, "dead").await;
        }
        self.set_tax("string").await;
        ids
    }

    async fn consumer_is_soon(&self, state: &str) {
        within(SOON, state, async || self.get("consumer").await["state"] == state).await;
    }
}

#[tokio::test]
async fn an_event_is_accepted_decided_and_shown_with_its_decision() {
    let events = Events::start().await;
    let key = body(&events.post("api-keys", &json!({"name": "sender", "scopes": ["ingest"]})).await, 201)["key"]
        .as_str()
        .map(Secret::new)
        .unwrap();
    let sender = Client::new(events.app.client.url()).unwrap().with_key(Some(key));
    let event = json!({"facts": {"age": 30, "tax": "secret-1"}, "type": "signup", "project": "eu",
        "occurredAt": chrono::Utc::now(), "orderingKey": "o"});
    let answer = send(&sender, Method::POST, &events.path("events"), &[], &event).await;
    let sent = body(&answer, 202);
    assert_eq!(sent["status"], "accepted");
    let id = sent["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location").unwrap(), events.path(&format!("events/{id}")));
    assert_eq!(problem(&sender.get(&events.path("events")).await.unwrap(), 403)["code"], "forbidden");

    let shown = events.is_soon(&id, "decided").await;
    assert_eq!(shown["facts"], json!({"age": 30, "tax": "(sensitive)"}));
    assert_eq!(shown["matchedRules"], json!([events.rule]));
    assert_eq!(shown["decision"]["matchedRules"], json!([events.rule]));
    assert_eq!(shown["decision"]["schemaVersion"], 1);
    assert!(shown["revision"].as_i64().unwrap() > 2, "{shown}");
    assert_eq!(shown["orderingKey"], "o");
    assert_eq!(shown["receivedAt"], sent["receivedAt"]);

    let other = events.send(&json!({"facts": {"age": 3}})).await;
    events.is_soon(&other, "decided").await;
    let ids = async |query: &str| -> Vec<String> {
        let page = events.get(&format!("events{query}")).await;
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("").await, [other.clone(), id.clone()], "newest first");
    let only = vec![id.clone()];
    for query in ["?type=signup", "?project=eu", &format!("?matched={}", events.rule)] {
        assert_eq!(ids(query).await, only, "{query}");
    }
    for query in ["?type=other", "?state=pending", &format!("?matched={NOBODY}"), "?to=2020-01-01T00:00:00Z"] {
        assert!(ids(query).await.is_empty(), "{query}");
    }
    let first = events.get("events?limit=1").await;
    let next = format!("?limit=1&cursor={}", first["nextCursor"].as_str().unwrap());
    assert_eq!(ids(&next).await, only);
    problem(&events.app.client.get(&events.path("events?matched=x&state=lost")).await.unwrap(), 422);

    let stats = events.get("events/stats").await;
    assert_eq!((&stats["total"], &stats["pending"], &stats["lastHour"]), (&json!(2), &json!(0), &json!(2)));
    assert_eq!(events.get("events/stats?type=signup").await["total"], 1);
    let metrics = events.app.client.get("/metrics").await.unwrap().text();
    for line in [
        "tenet_events_accepted_total{status=\"accepted\"} 2",
        "tenet_events_decided_total{outcome=\"decided\"} 2",
        "tenet_partition_days_ahead 7",
        "tenet_event_age_seconds_count 2",
        "tenet_event_append_batch_count 2",
        "tenet_event_append_batch_bucket{le=\"1.0\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }

    let gone = events.app.client.delete(&events.path(&format!("events/{id}"))).await.unwrap();
    assert_eq!(gone.status, 204);
    assert_eq!(
        problem(&events.app.client.get(&events.path(&format!("events/{id}"))).await.unwrap(), 404)["code"],
        "event_not_found"
    );
    assert_eq!(
        problem(&events.app.client.delete(&events.path(&format!("events/{id}"))).await.unwrap(), 404)["code"],
        "event_not_found"
    );
    assert_eq!(events.get("events/stats").await["total"], 2, "counts stay");
    events.app.stop().await;
}

#[tokio::test]
async fn a_key_makes_sending_again_harmless() {
    let events = Events::start().await;
    let event = json!({"facts": {"age": 30}, "idempotencyKey": "k"});
    let id = events.send(&event).await;
    let again = body(&events.post("events", &event).await, 202);
    assert_eq!((again["id"].as_str(), again["status"].as_str()), (Some(id.as_str()), Some("duplicate")));
    let conflict = problem(&events.post("events", &json!({"facts": {"age": 31}, "idempotencyKey": "k"})).await, 409);
    assert_eq!((&conflict["code"], &conflict["eventId"]), (&json!("idempotency_conflict"), &json!(id)));

    let post = async |header: &str, event: &Value| {
        send(&events.app.client, Method::POST, &events.path("events"), &[("idempotency-key", header)], event).await
    };
    assert_eq!(body(&post("k", &json!({"facts": {"age": 30}})).await, 202)["status"], "duplicate");
    assert_eq!(body(&post("k", &event).await, 202)["status"], "duplicate", "both may say the same");
    let both = problem(&post("other", &event).await, 422);
    assert_eq!(mistakes(&both), [("contradiction".to_owned(), "idempotencyKey".to_owned())]);
    problem(&post("", &json!({"facts": {"age": 30}})).await, 422);
    let keys = [("idempotency-key", "k"), ("idempotency-key", "l")];
    let twice = send(&events.app.client, Method::POST, &events.path("events"), &keys, &event).await;
    assert_eq!(mistakes(&problem(&twice, 422)), [("repeated".to_owned(), "Idempotency-Key".to_owned())]);
    let many = json!({"events": [{"facts": {"age": 30}}]});
    let of_many = send(&events.app.client, Method::POST, &events.path("events/batch"), &keys[..1], &many).await;
    assert_eq!(mistakes(&problem(&of_many, 422)), [("not_applicable".to_owned(), "Idempotency-Key".to_owned())]);
    assert_eq!(events.get("events/stats").await["total"], 1);
    events.app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_and_spoils_no_other() {
    let events = Events::start().await;
    for (event, code, path) in [
        (json!({"facts": {"age": "x"}}), "type_mismatch", "facts.age"),
        (json!({"facts": {"age": 1}, "idempotencyKey": ""}), "wrong_length", "idempotencyKey"),
        (json!({"facts": {"age": 1}, "idempotencyKey": "k".repeat(256)}), "wrong_length", "idempotencyKey"),
        (json!({"facts": {"age": 1}, "idempotencyKey": "a\0b"}), "nul_character", "idempotencyKey"),
        (json!({"facts": {"age": 1}, "orderingKey": "a\0b"}), "nul_character", "orderingKey"),
        (json!({"facts": {"age": 1}, "orderingKey": ""}), "wrong_length", "orderingKey"),
        (json!({"facts": {"age": 1}, "orderingKey": "é".repeat(128)}), "wrong_length", "orderingKey"),
        (json!({"facts": {"age": 1}, "type": "a\0b"}), "invalid_character", "type"),
        (json!({"facts": {"age": 1, "tax": "a\0b"}}), "nul_character", "facts.tax"),
        (json!({"facts": {"age": 1}, "type": "a b"}), "invalid_character", "type"),
        (json!({"facts": {"age": 1}, "occurredAt": "2020-01-01T00:00:00Z"}), "too_old", "occurredAt"),
        (json!({"facts": {"age": 1}, "occurredAt": "2999-01-01T00:00:00Z"}), "too_far_ahead", "occurredAt"),
    ] {
        let refused = problem(&events.post("events", &event).await, 422);
        assert_eq!(mistakes(&refused), [(code.to_owned(), path.to_owned())], "{event}");
    }
    let large = json!({"facts": {"age": 1, "tax": "x".repeat(40_000)}});
    assert_eq!(problem(&events.post("events", &large).await, 413)["quota"], "eventBytes");
    events.send(&json!({"facts": {"age": 1}, "idempotencyKey": "k".repeat(255)})).await;

    let batch = json!({"events": [
        {"facts": {"age": 1}, "idempotencyKey": "a"},
        {"facts": {"age": 2}, "idempotencyKey": "a"},
        {"facts": {"age": 1}, "idempotencyKey": "a"},
        {"facts": {"age": true}},
        {"fact": {}},
        7,
        {"facts": {"age": 1, "tax": "a\0b"}},
        {"facts": {"age": 5}},
    ]});
    let answer = body(&events.post("events/batch", &batch).await, 202);
    let counts = [&answer["accepted"], &answer["duplicates"], &answer["refused"]];
    assert_eq!(counts, [&json!(2), &json!(1), &json!(5)], "{answer}");
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items[2]["id"], items[0]["id"]);
    assert_eq!(items[1]["error"]["code"], "idempotency_conflict");
    assert_eq!(items[3]["error"]["errors"][0]["path"], "events[3].facts.age");
    assert_eq!(items[6]["error"]["errors"][0]["path"], "events[6].facts.tax", "{answer}");
    assert_eq!(items[7]["status"], "accepted");

    let many = json!({"events": vec![json!({"facts": {"age": 1}}); 10_001]});
    let refused = problem(&events.post("events/batch", &many).await, 422);
    assert_eq!(mistakes(&refused), [("too_many".to_owned(), "events".to_owned())]);
    assert_eq!(body(&events.post("events/batch", &json!({"events": []})).await, 202)["accepted"], 0);
    events.app.stop().await;
}

#[tokio::test]
async fn only_an_active_tenant_with_a_schema_takes_events() {
    let events = Events::start().await;
    let post = async |tenant: &str| {
        let path = format!("/api/v1/tenants/{tenant}/events");
        send(&events.app.client, Method::POST, &path, &[], &json!({"facts": {"age": 1}})).await
    };
    assert_eq!(problem(&post(NOBODY).await, 404)["code"], "tenant_not_found");
    let bare = events.app.create_tenant("bare").await;
    assert_eq!(problem(&post(&bare).await, 409)["code"], "schema_missing");
    let other = events.app.create_tenant_with_schema("other", &json!({"age": "int"})).await;
    for _ in 0..2 {
        body(&post(&other).await, 202);
    }
    // A cursor says where, and never whose.
    events.send(&json!({"facts": {"age": 1}})).await;
    let page = body(&events.app.client.get(&format!("/api/v1/tenants/{other}/events?limit=1")).await.unwrap(), 200);
    let cursor = page["nextCursor"].as_str().unwrap();
    let foreign = events.get(&format!("events?cursor={cursor}")).await;
    assert!(!foreign.to_string().contains(page["items"][0]["id"].as_str().unwrap()), "{foreign}");

    for wrong in ["x", "e30", "AAAA"] {
        let path = events.path(&format!("events?cursor={wrong}"));
        assert_eq!(problem(&events.app.client.get(&path).await.unwrap(), 422)["errors"][0]["path"], "cursor");
    }
    // A cursor of another list.
    let path = events.path(&format!("dead-letters?cursor={cursor}"));
    assert_eq!(problem(&events.app.client.get(&path).await.unwrap(), 422)["errors"][0]["path"], "cursor");
    let id = page["items"][0]["id"].as_str().unwrap();
    problem(&events.app.client.get(&events.path(&format!("events/{id}"))).await.unwrap(), 404);
    let tenant = format!("/api/v1/tenants/{}", events.tenant);
    body(&events.app.client.patch_json(&tenant, &json!({"status": "suspended"})).await.unwrap(), 200);
    assert_eq!(problem(&post(&events.tenant).await, 403)["code"], "tenant_suspended");
    events.app.stop().await;
}

#[tokio::test]
async fn a_paused_consumer_decides_nothing_until_it_goes_on() {
    let events = Events::start().await;
    let first = events.send(&json!({"facts": {"age": 1}})).await;
    events.is_soon(&first, "decided").await;
    events.consumer_is_soon("running").await;
    let asked = Instant::now();
    assert_eq!(body(&events.post("consumer/pause", &Value::Null).await, 200)["pausedReason"], "operator");
    events.consumer_is_soon("paused").await;
    println!("paused after {:?}", asked.elapsed());
    let [second, third] =
        [events.send(&json!({"facts": {"age": 2}})).await, events.send(&json!({"facts": {"age": 3}})).await];
    assert_eq!(events.get("events/stats").await["pending"], 2);
    // The one that is deleted is never decided.
    let deleted = events.app.client.delete(&events.path(&format!("events/{second}"))).await.unwrap();
    assert_eq!(deleted.status, 204);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(events.get(&format!("events/{third}")).await["state"], "pending");
    body(&events.post("consumer/resume", &Value::Null).await, 200);
    events.is_soon(&third, "decided").await;
    let metrics = events.app.client.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("tenet_events_decided_total{outcome=\"decided\"} 2"), "{metrics}");
    events.app.stop().await;
}

#[tokio::test]
async fn a_consumer_ends_when_it_is_idle_and_starts_with_the_next_event() {
    let app = TestApp::builder()
        .settings(|settings| settings.events.consumer_idle_stop = Duration::from_millis(300))
        .start()
        .await;
    let tenant = app.create_tenant_with_schema("acme", &json!({"age": "int"})).await;
    let events = Events { app, tenant, rule: String::new() };
    assert_eq!(events.get("consumer").await["state"], "absent");
    for _ in 0..2 {
        let id = events.send(&json!({"facts": {"age": 1}})).await;
        events.is_soon(&id, "decided").await;
        events.consumer_is_soon("absent").await;
        assert_eq!(events.get("consumer").await["lagSeconds"], 0);
    }
    events.app.stop().await;
}

#[tokio::test]
async fn dead_letters_are_listed_redriven_and_discarded() {
    let events = Events::start().await;
    let ids = events.dead("t", 3).await;
    let letters = events.get("dead-letters?reason=facts_invalid&type=t&status=open").await;
    assert_eq!(letters["items"].as_array().unwrap().len(), 3, "{letters}");
    let letter = events.get(&format!("dead-letters/{}", ids[0])).await;
    assert_eq!(letter["reason"], "facts_invalid");
    assert_eq!(letter["detail"]["errors"][0]["path"], "facts.tax", "{letter}");
    assert!(!letter.to_string().contains("secret-2"), "{letter}");
    assert_eq!(events.get("events/stats").await["deadLetters"], 3);
    assert_eq!(events.get("events?state=dead").await["items"].as_array().unwrap().len(), 3);

    let dry = body(&events.post("dead-letters/redrive", &json!({"filter": {}, "dryRun": true})).await, 200);
    assert_eq!((&dry["matched"], &dry["byReason"]["facts_invalid"]), (&json!(3), &json!(3)));
    assert_eq!(dry["sample"].as_array().unwrap().len(), 3);
    let redriven = body(&events.post("dead-letters/redrive", &json!({"eventIds": [ids[0]]})).await, 202);
    assert_eq!(redriven["matched"], 1);
    events.is_soon(&ids[0], "decided").await;
    let letter = events.get(&format!("dead-letters/{}", ids[0])).await;
    assert_eq!((&letter["status"], &letter["redrives"]), (&json!("redriven"), &json!(1)));

    for dry in [false, true] {
        let document = json!({"filter": {}, "expected": 3, "dryRun": dry});
        let wrong = problem(&events.post("dead-letters/discard", &document).await, 409);
        assert_eq!(wrong["matched"], 2);
    }
    assert_eq!(events.get("events/stats").await["deadLetters"], 2, "nothing was done");
    let done = body(&events.post("dead-letters/discard", &json!({"filter": {}, "expected": 2})).await, 200);
    assert_eq!(done["discarded"], 2);
    assert_eq!(events.get(&format!("events/{}", ids[1])).await["state"], "discarded");
    for wrong in [
        json!({}),
        json!({"eventIds": [], "filter": {}}),
        json!({"filter": {"reason": "x"}}),
        json!({"filter": {}, "max": 0}),
        json!({"filter": {}, "ratePerSecond": 0}),
    ] {
        problem(&events.post("dead-letters/redrive", &wrong).await, 422);
    }
    let wrong = json!({"eventIds": [ids[0], "x"]});
    let wrong = problem(&events.post("dead-letters/redrive", &wrong).await, 422);
    assert_eq!(mistakes(&wrong), [("invalid_value".to_owned(), "eventIds[1]".to_owned())], "{wrong}");
    let wrong = problem(&events.post("dead-letters/discard", &json!({"filter": {"reason": "x"}})).await, 422);
    assert!(wrong["errors"][0]["message"].as_str().unwrap().contains("`facts_invalid`, `schema_missing`"), "{wrong}");
    problem(&events.app.client.get(&events.path(&format!("dead-letters/{NOBODY}"))).await.unwrap(), 404);
    let audit = events.get("audit?limit=50").await.to_string();
    for action in ["consumer.pause", "consumer.resume", "dead_letters.redrive", "dead_letters.discard"] {
        assert!(audit.contains(action), "{action} in {audit}");
    }
    events.app.stop().await;
}

#[tokio::test]
async fn a_tenant_has_no_more_undecided_events_than_its_quota() {
    let events = Events::start().await;
    let quotas = json!({"quotas": {"eventBacklog": 5}});
    let tenant = format!("/api/v1/tenants/{}", events.tenant);
    body(&events.app.client.patch_json(&tenant, &quotas).await.unwrap(), 200);
    events.pause().await;
    let batch = json!({"events": vec![json!({"facts": {"age": 1}}); 7]});
    let answer = body(&events.post("events/batch", &batch).await, 202);
    assert_eq!((&answer["accepted"], &answer["refused"]), (&json!(5), &json!(2)), "{answer}");
    assert_eq!(answer["items"][6]["error"]["code"], "backlog_full");
    let quotas = events.get("quotas").await;
    let of_backlog = quotas["items"].as_array().unwrap().iter().find(|item| item["quota"] == "eventBacklog").unwrap();
    assert_eq!((&of_backlog["used"], &of_backlog["limit"]), (&json!(5), &json!(5)), "{of_backlog}");
    let full = events.post("events", &json!({"facts": {"age": 1}})).await;
    assert_eq!(problem(&full, 429)["code"], "backlog_full");
    let wait: u64 = full.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    body(&events.post("consumer/resume", &Value::Null).await, 200);
    within(SOON, "there is room again", async || {
        events.post("events", &json!({"facts": {"age": 1}})).await.status == 202
    })
    .await;
    events.app.stop().await;
}

#[tokio::test]
async fn the_events_of_a_deleted_tenant_go_with_it() {
    let events = Events::start().await;
    let id = events.send(&json!({"facts": {"age": 30}, "idempotencyKey": "k"})).await;
    events.is_soon(&id, "decided").await;
    let gone = events.app.client.delete(&format!("/api/v1/tenants/{}", events.tenant)).await.unwrap();
    assert_eq!(gone.status, 204, "{}", gone.text());
    let mut owner = <sqlx::PgConnection as sqlx::Connection>::connect(events.app.database_url()).await.unwrap();
    let mut left = i64::MAX;
    let asked = Instant::now();
    while left > 0 {
        assert!(asked.elapsed() < SOON, "{left} rows are left");
        left = sqlx::query_scalar(
            "select (select count(*) from events) + (select count(*) from decisions)
                + (select count(*) from event_keys) + (select count(*) from event_queues)",
        )
        .fetch_one(&mut owner)
        .await
        .unwrap();
    }
    events.app.stop().await;
}
