//! `/api/v1/tenants/{tenantId}/dead-letters/redrive` and `/redrives/{redriveId}`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Events, NOBODY, SOON, body, problem};
use crate::support::within;

impl Events {
    /// Begins a redrive; answers its path.
    async fn redrive(&self, order: &Value, matched: usize) -> String {
        let answer = self.post("dead-letters/redrive", order).await;
        let begun = body(&answer, 202);
        assert_eq!(begun["matched"], matched, "{begun}");
        let path = format!("redrives/{}", begun["redriveId"].as_str().unwrap());
        assert_eq!(answer.header("location").unwrap(), self.path(&path));
        path
    }

    async fn states(&self, state: &str) -> usize {
        self.get(&format!("events?limit=200&state={state}")).await["items"].as_array().unwrap().len()
    }
}

#[tokio::test]
async fn a_redrive_keeps_its_rate_until_all_that_matched_is_brought_back() {
    let events = Events::start().await;
    let ids = events.dead("t", 12).await;
    events.dead("other", 1).await;
    let asked = Instant::now();
    let path = events.redrive(&json!({"filter": {"type": "t"}, "max": 11, "ratePerSecond": 4}), 11).await;
    let begun = events.get(&path).await;
    assert_eq!((&begun["state"], &begun["endedAt"]), (&json!("running"), &Value::Null), "{begun}");
    assert_eq!((&begun["matched"], &begun["ratePerSecond"]), (&json!(11), &json!(4)));
    assert!(begun["redriven"].as_u64().unwrap() <= 4, "a second's worth at once: {begun}");
    assert_eq!(begun["createdBy"], "operator");
    within(SOON, "done", async || events.get(&path).await["state"] == "done").await;
    assert!(asked.elapsed() > Duration::from_millis(1_900), "11 at 4 a second took {:?}", asked.elapsed());
    let done = events.get(&path).await;
    assert_eq!(done["redriven"], 11);
    assert!(done["endedAt"].as_str() > done["createdAt"].as_str(), "{done}");
    within(SOON, "all are decided", async || events.states("decided").await == 11).await;
    assert_eq!(events.states("dead").await, 2, "the twelfth, and that of the other type");
    let letter = events.get(&format!("dead-letters/{}", ids[0])).await;
    assert_eq!((&letter["status"], &letter["redrives"]), (&json!("redriven"), &json!(1)));
    let metrics = events.app.client.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("tenet_redriven_total 11\n"), "{metrics}");
    events.app.stop().await;
}

#[tokio::test]
async fn a_redrive_that_is_stopped_brings_back_no_more() {
    let events = Events::start().await;
    events.dead("t", 6).await;
    let path = events.redrive(&json!({"filter": {}, "ratePerSecond": 1}), 6).await;
    assert_eq!(events.app.client.delete(&events.path(&path)).await.unwrap().status, 204);
    let stopped = events.get(&path).await;
    assert_eq!(stopped["state"], "stopped");
    assert!(stopped["endedAt"].is_string(), "{stopped}");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let later = events.get(&path).await;
    assert_eq!(later["redriven"], stopped["redriven"], "{later}");
    assert_eq!(events.states("dead").await, 6 - later["redriven"].as_u64().unwrap() as usize);
    assert_eq!(events.app.client.delete(&events.path(&path)).await.unwrap().status, 204, "stopped it is");
    let audit = events.get("audit?limit=2").await["items"].clone();
    assert_eq!((&audit[0]["action"], &audit[1]["action"]), (&json!("redrive.stop"), &json!("dead_letters.redrive")));
    assert_eq!(audit[0]["resource"], path.as_str());

    let nobody = format!("redrives/{NOBODY}");
    assert_eq!(problem(&events.app.client.get(&events.path(&nobody)).await.unwrap(), 404)["code"], "redrive_not_found");
    assert_eq!(
        problem(&events.app.client.delete(&events.path(&nobody)).await.unwrap(), 404)["code"],
        "redrive_not_found"
    );
    let other = events.app.create_tenant_with_schema("other", &json!({"age": "int"})).await;
    let foreign = format!("/api/v1/tenants/{other}/{path}");
    assert_eq!(problem(&events.app.client.get(&foreign).await.unwrap(), 404)["code"], "redrive_not_found");
    events.app.stop().await;
}

#[tokio::test]
async fn an_event_keeps_its_attempts_and_is_brought_back_ten_times_at_most() {
    let events = Events::start().await;
    let ids = events.dead("t", 2).await;
    events.set_tax("int").await;
    let one = json!({"eventIds": [ids[0]]});
    for time in 1..=10 {
        events.redrive(&one, 1).await;
        let path = format!("dead-letters/{}", ids[0]);
        within(SOON, "dead again", async || {
            let letter = events.get(&path).await;
            letter["redrives"] == time && letter["status"] == "open"
        })
        .await;
        assert_eq!(events.get(&path).await["attempts"], time + 1);
    }
    let path = events.redrive(&one, 0).await;
    assert_eq!(events.get(&path).await["state"], "done");
    let dry = body(&events.post("dead-letters/redrive", &json!({"filter": {}, "dryRun": true})).await, 200);
    assert_eq!((&dry["matched"], &dry["sample"]), (&json!(1), &json!([ids[1]])), "what could be brought back");
    let discard = body(&events.post("dead-letters/discard", &json!({"filter": {}, "dryRun": true})).await, 200);
    assert_eq!(discard["matched"], 2, "what could be put aside");
    events.app.stop().await;
}
