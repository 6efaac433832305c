//! `/api/v1/tenants/{tenantId}/analytics`, over a socket.

mod rules;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use serde_json::{Value, json};
use tenet::{
    app::App,
    client::{Client, Method},
    config::{Secret, Settings},
};

use super::{NOBODY, body, problem, send};
use crate::support::{TestApp, within};

/// How long counts may take, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// A tenant with a rule, and who asks for its counts.
struct Analytics {
    app: TestApp,
    tenant: String,
    rule: String,
}

impl Analytics {
    async fn start() -> Self {
        let app = TestApp::builder()
            .settings(|settings| settings.engine.analytics_flush = Duration::from_millis(100))
            .start()
            .await;
        let tenant = app.create_tenant_with_schema("acme", &json!({"age": "int"})).await;
        let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
        Self { app, tenant, rule }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}/{rest}", self.tenant)
    }

    async fn get(&self, rest: &str) -> Value {
        body(&self.app.client.get(&self.path(rest)).await.unwrap(), 200)
    }

    async fn summary(&self) -> Value {
        self.get("analytics/summary").await
    }

    /// Sends an event and waits until it is decided.
    async fn decide_event(&self, event: &Value) {
        let sent = send(&self.app.client, Method::POST, &self.path("events"), &[], event).await;
        let path = format!("events/{}", body(&sent, 202)["id"].as_str().unwrap());
        within(SOON, "decided", async || self.get(&path).await["state"] == "decided").await;
    }

    /// Another node on the same database.
    async fn other_node(&self) -> (App, Client) {
        let mut settings = Settings::default();
        settings.http.listen = ([127, 0, 0, 1], 0).into();
        settings.http.operator_key = Some(Secret::new(crate::support::OPERATOR_KEY));
        settings.http.shutdown_delay = Duration::ZERO;
        settings.engine.rate_limits = Some(false);
        settings.database.url = Some(Secret::new(self.app.database_url()));
        let app = App::start(settings).await.unwrap();
        let client = Client::new(&format!("http://{}", app.address())).unwrap();
        (app, client.with_key(Some(Secret::new(crate::support::OPERATOR_KEY))))
    }
}

fn sum(series: &Value) -> i64 {
    series["points"].as_array().unwrap().iter().map(|point| point["value"].as_i64().unwrap()).sum()
}

#[tokio::test]
async fn an_event_that_is_decided_is_counted_at_once_on_every_node() {
    let analytics = Analytics::start().await;
    let (other, client) = analytics.other_node().await;
    for (number, age) in (1..).zip([20, 7, 30]) {
        analytics.decide_event(&json!({"facts": {"age": age}, "type": "visit", "project": "shop"})).await;
        let summary = body(&client.get(&analytics.path("analytics/summary")).await.unwrap(), 200);
        assert_eq!((&summary["events"], &summary["decisions"]), (&json!(number), &json!(number)), "{summary}");
    }
    let summary = analytics.summary().await;
    assert_eq!(
        (&summary["matched"], &summary["duplicates"], &summary["ruleErrors"]),
        (&json!(2), &json!(0), &json!(0))
    );
    let hour = |at: &Value| at.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert!(hour(&summary["from"]) <= Utc::now() - TimeDelta::hours(24), "{summary}");
    assert_eq!(hour(&summary["to"]).minute(), 0);
    for (query, expected) in [
        ("metric=events&type=visit&project=shop", 3),
        ("metric=events&type=visit&project=other", 0),
        ("metric=matched&interval=day", 2),
        (&*format!("metric=matched&rule={}", analytics.rule), 2),
        (&*format!("metric=errors&rule={}&interval=day", analytics.rule), 0),
    ] {
        let series = analytics.get(&format!("analytics/series?{query}")).await;
        assert_eq!(sum(&series), expected, "{query}: {series}");
        let points = series["points"].as_array().unwrap().len();
        let expected = if series["interval"] == "day" { 2 } else { 25 };
        assert!(points == expected || points == expected - 1, "a point for each: {series}");
    }
    other.stop().await;
    analytics.app.stop().await;
}

#[tokio::test]
async fn decisions_of_requests_are_counted_soon_and_at_the_latest_when_the_node_stops() {
    let analytics = Analytics::start().await;
    let (other, client) = analytics.other_node().await;
    let evaluate = async |client: &Client, facts: Value, more: Value| {
        let mut ask = json!({"facts": facts});
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body(&send(client, Method::POST, &analytics.path("evaluate"), &[], &ask).await, 200);
    };
    evaluate(&analytics.app.client, json!({"age": 20}), json!({})).await;
    evaluate(&analytics.app.client, json!({"age": 3}), json!({})).await;
    evaluate(&analytics.app.client, json!({}), json!({"rules": [analytics.rule], "return": "matched"})).await;
    let read = async || body(&client.get(&analytics.path("analytics/summary")).await.unwrap(), 200);
    within(SOON, "counted on the other node", async || read().await["decisions"] == 3).await;
    let summary = read().await;
    assert_eq!((&summary["matched"], &summary["ruleErrors"], &summary["events"]), (&json!(1), &json!(1), &json!(0)));
    assert!(summary["microsTotal"].as_i64().is_some_and(|micros| micros >= 0), "{summary}");
    // The other node writes every five seconds, and when it stops.
    evaluate(&client, json!({"age": 20}), json!({})).await;
    other.stop().await;
    assert_eq!(analytics.summary().await["decisions"], 4);
    analytics.app.stop().await;
}

#[tokio::test]
async fn an_event_that_is_sent_again_is_counted_as_a_duplicate() {
    let analytics = Analytics::start().await;
    let event = json!({"facts": {"age": 20}, "idempotencyKey": "k", "type": "visit"});
    analytics.decide_event(&event).await;
    body(&send(&analytics.app.client, Method::POST, &analytics.path("events"), &[], &event).await, 202);
    within(SOON, "counted", async || analytics.summary().await["duplicates"] == 1).await;
    assert_eq!(analytics.summary().await["events"], 1);
    analytics.app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_its_parameter() {
    let analytics = Analytics::start().await;
    let other = analytics.app.create_tenant_with_schema("globex", &json!({"age": "int"})).await;
    let others_rule = analytics.app.create_rule(&other, "adult", "facts.age >= 18").await;
    for (query, path) in [
        ("summary?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("summary?from=yesterday", "from"),
        ("summary?since=2026-01-02T00:00:00Z", "since"),
        ("series?metric=hits", "metric"),
        ("series?interval=minute", "interval"),
        ("series?rule=x", "rule"),
        ("series?from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z", "from"),
        (&*format!("series?metric=events&rule={}", analytics.rule), "metric"),
    ] {
        let refused =
            problem(&analytics.app.client.get(&analytics.path(&format!("analytics/{query}"))).await.unwrap(), 422);
        assert_eq!(refused["errors"][0]["path"], path, "{query}: {refused}");
    }
    for rule in [NOBODY, &others_rule] {
        let path = analytics.path(&format!("analytics/series?metric=matched&rule={rule}"));
        let refused = problem(&analytics.app.client.get(&path).await.unwrap(), 404);
        assert_eq!(refused["code"], "rule_not_found");
    }
    let path = format!("/api/v1/tenants/{NOBODY}/analytics/summary");
    problem(&analytics.app.client.get(&path).await.unwrap(), 404);
    // What is kept no longer is left out, and the answer says so.
    let long = analytics.get("analytics/series?interval=day&from=2021-06-01T00:00:00Z&to=2026-06-01T00:00:00Z").await;
    let points = long["points"].as_array().unwrap().len();
    assert!(points < 400 && long["from"].as_str().unwrap() > "2025-01-01", "{points} {}", long["from"]);
    let summary = analytics.get("analytics/summary?from=0001-01-01T00:00:00Z&to=9999-01-01T00:00:00Z").await;
    assert!(summary["to"].as_str().unwrap() < "9999", "{summary}");
    analytics.app.stop().await;
}
