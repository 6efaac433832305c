//! `/api/v1/tenants/{tenantId}/config/concurrency`.

use serde_json::{Value, json};

use super::{Events, NOBODY, body, mistakes, problem};
use crate::support::within;

const PATH: &str = "config/concurrency";

impl Events {
    async fn set_workers(&self, workers: Value) -> tenet::client::Response {
        self.app.client.put_json(&self.path(PATH), &json!({ "workers": workers })).await.unwrap()
    }
}

#[tokio::test]
async fn workers_are_set_within_the_quota_shown_and_audited() {
    let events = Events::start().await;
    assert_eq!(events.get(PATH).await, json!({"workers": null, "effectiveWorkers": 2}), "3, cut to the quota");
    let tenant = format!("/api/v1/tenants/{}", events.tenant);
    let set_tier = async |tier: &str| {
        body(&events.app.client.patch_json(&tenant, &json!({ "tier": tier })).await.unwrap(), 200);
    };
    set_tier("enterprise").await;
    assert_eq!(events.get(PATH).await, json!({"workers": null, "effectiveWorkers": 3}));
    let before = events.app.client.get(&events.path(PATH)).await.unwrap();
    let answer = events.set_workers(json!(5)).await;
    assert_eq!(body(&answer, 200), json!({"workers": 5, "effectiveWorkers": 5}));
    let after = events.app.client.get(&events.path(PATH)).await.unwrap();
    assert_eq!(after.json::<Value>().unwrap(), json!({"workers": 5, "effectiveWorkers": 5}));
    assert_eq!(answer.header("etag"), after.header("etag"));
    assert_ne!(before.header("etag"), after.header("etag"), "it is a revision of the tenant");
    let id = events.send(&json!({"facts": {"age": 1}})).await;
    events.is_soon(&id, "decided").await;
    let consumer = events.get("consumer").await;
    assert_eq!((&consumer["workers"], &consumer["effectiveWorkers"]), (&json!(5), &json!(5)), "{consumer}");
    assert_eq!(consumer["lastError"], Value::Null);
    within(super::SOON, "the gauge", async || {
        let metrics = events.app.client.get("/metrics").await.unwrap().text();
        metrics.contains("\ntenet_consumer_workers 5\n")
    })
    .await;

    let entry = events.get("audit?limit=1").await["items"][0].clone();
    assert_eq!(entry["action"], "tenant.change", "{entry}");
    assert_eq!((&entry["before"]["workers"], &entry["after"]["workers"]), (&Value::Null, &json!(5)), "{entry}");

    // Lowered by an operator, the quota cuts what was set; and what was set may be lowered towards it.
    set_tier("free").await;
    assert_eq!(events.get(PATH).await, json!({"workers": 5, "effectiveWorkers": 2}));
    assert_eq!(body(&events.set_workers(json!(4)).await, 200), json!({"workers": 4, "effectiveWorkers": 2}));
    let above = problem(&events.set_workers(json!(5)).await, 422);
    assert_eq!(above["code"], "quota_exceeded");
    assert_eq!((&above["quota"], &above["limit"], &above["used"]), (&json!("workers"), &json!(2), &json!(5)));
    let quotas = events.get("quotas").await;
    let used = quotas["items"].as_array().unwrap().iter().find(|item| item["quota"] == "workers").unwrap().clone();
    assert_eq!((&used["used"], &used["limit"]), (&json!(4), &json!(2)), "{used}");
    let default = json!({"workers": null, "effectiveWorkers": 2});
    assert_eq!(body(&events.set_workers(Value::Null).await, 200), default);
    assert_eq!(events.get(PATH).await, default);
    events.app.stop().await;
}

#[tokio::test]
async fn a_number_of_workers_that_is_none_is_refused() {
    let events = Events::start().await;
    for (wrong, code) in [
        (json!(0), "invalid_value"),
        (json!(101), "invalid_value"),
        (json!("5"), "wrong_type"),
        (json!(-1), "invalid_value"),
        (json!(1.5), "wrong_type"),
        (json!(u64::MAX), "invalid_value"),
    ] {
        let refused = problem(&events.set_workers(wrong.clone()).await, 422);
        assert_eq!(mistakes(&refused), [(code.to_owned(), "workers".to_owned())], "{wrong}: {refused}");
        assert!(!refused["errors"][0]["message"].to_string().contains("u64"), "{refused}");
    }
    let refused = problem(&events.app.client.put_json(&events.path(PATH), &json!({})).await.unwrap(), 422);
    assert_eq!(mistakes(&refused), [("missing_field".to_owned(), "workers".to_owned())], "{refused}");
    let nobody = format!("/api/v1/tenants/{NOBODY}/{PATH}");
    assert_eq!(problem(&events.app.client.get(&nobody).await.unwrap(), 404)["code"], "tenant_not_found");
    let put = events.app.client.put_json(&nobody, &json!({"workers": 1})).await.unwrap();
    assert_eq!(problem(&put, 404)["code"], "tenant_not_found");
    assert_eq!(events.get(PATH).await["workers"], Value::Null);
    events.app.stop().await;
}
