//! Events that are decided as of when they occurred.

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Events, body, mistakes, problem};

impl Events {
    /// A rule that matches what is decided as of before yesterday; answers its id.
    async fn rule_of_the_past(&self) -> String {
        let yesterday = (Utc::now() - TimeDelta::days(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
        self.app.create_rule(&self.tenant, "past", &format!("now < timestamp('{yesterday}')")).await
    }
}

/// Before yesterday, as precise as the database is.
fn long_ago() -> DateTime<Utc> {
    (Utc::now() - TimeDelta::days(2)).trunc_subsecs(6)
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_event_is_decided_as_of_when_it_occurred_if_it_asks_for_it() {
    let events = Events::start().await;
    let past = events.rule_of_the_past().await;
    let (begun, occurred) = (Utc::now().trunc_subsecs(6), long_ago());
    let asking = json!({"facts": {"age": 1}, "occurredAt": occurred, "at": "occurredAt", "idempotencyKey": "k"});
    let id = events.send(&asking).await;
    let shown = events.is_soon(&id, "decided").await;
    assert_eq!(shown["matchedRules"], json!([past]), "{shown}");
    assert_eq!(shown["at"], "occurredAt");
    let decision = &shown["decision"];
    assert_eq!((time(&decision["evaluatedAt"]), time(&shown["occurredAt"])), (occurred, occurred), "{shown}");
    assert!(time(&decision["decidedAt"]) >= begun, "{shown}");

    let other = events.send(&json!({"facts": {"age": 1}, "occurredAt": occurred})).await;
    let shown = events.is_soon(&other, "decided").await;
    assert_eq!((&shown["matchedRules"], &shown["at"]), (&json!([]), &Value::Null), "{shown}");
    assert!(time(&shown["decision"]["evaluatedAt"]) >= begun, "{shown}");

    assert_eq!(body(&events.post("events", &asking).await, 202)["status"], "duplicate");
    let without = json!({"facts": {"age": 1}, "occurredAt": occurred, "idempotencyKey": "k"});
    let conflict = problem(&events.post("events", &without).await, 409);
    assert_eq!((&conflict["code"], &conflict["eventId"]), (&json!("idempotency_conflict"), &json!(id)));
    events.app.stop().await;
}

#[tokio::test]
async fn an_event_has_the_time_that_it_asks_to_be_decided_as_of() {
    let events = Events::start().await;
    for (event, code) in [
        (json!({"facts": {"age": 1}, "at": "occurredAt"}), "invalid_value"),
        (json!({"facts": {"age": 1}, "occurredAt": null, "at": "occurredAt"}), "invalid_value"),
        (json!({"facts": {"age": 1}, "occurredAt": long_ago(), "at": "receivedAt"}), "unknown_value"),
        (json!({"facts": {"age": 1}, "occurredAt": long_ago(), "at": long_ago()}), "unknown_value"),
    ] {
        let refused = problem(&events.post("events", &event).await, 422);
        assert_eq!(mistakes(&refused), [(code.to_owned(), "at".to_owned())], "{event}");
        let answer = body(&events.post("events/batch", &json!({"events": [event]})).await, 202);
        assert_eq!(answer["items"][0]["error"]["errors"][0]["path"], "events[0].at", "{answer}");
    }
    let refused = problem(&events.post("events", &json!({"facts": {"age": 1}, "at": "occurredAt"})).await, 422);
    assert_eq!(refused["errors"][0]["message"], "the event has no `occurredAt`; send it, or leave out `at`");
    assert_eq!(events.get("events/stats").await["total"], 0);
    events.app.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_redriven_is_decided_as_of_when_its_event_occurred() {
    let events = Events::start().await;
    let past = events.rule_of_the_past().await;
    events.pause().await;
    let occurred = long_ago();
    let event = json!({"facts": {"age": 1, "tax": "x"}, "occurredAt": occurred, "at": "occurredAt"});
    let id = events.send(&event).await;
    events.set_tax("int").await;
    body(&events.post("consumer/resume", &Value::Null).await, 200);
    assert_eq!(events.is_soon(&id, "dead").await["at"], "occurredAt");
    events.set_tax("string").await;
    body(&events.post("dead-letters/redrive", &json!({"eventIds": [id]})).await, 202);
    let shown = events.is_soon(&id, "decided").await;
    assert_eq!(shown["matchedRules"], json!([past]), "{shown}");
    assert_eq!(time(&shown["decision"]["evaluatedAt"]), occurred, "{shown}");
    events.app.stop().await;
}
