//! `/api/v1/tenants/{tenantId}/decisions`, what is recorded and what is decided again, over a socket.

mod export;
mod recording;
mod replay;
mod search;

use std::time::Duration;

use serde_json::{Value, json};
use tenet::client::{Method, Response};

use super::{NOBODY, body, mistakes, problem, send};
use crate::support::{TestApp, within};

/// How long things may take on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// A tenant with a rule, and who asks about its decisions.
struct Decisions {
    app: TestApp,
    tenant: String,
    rule: String,
}

impl Decisions {
    async fn start() -> Self {
        Self::on(TestApp::start().await).await
    }

    async fn on(app: TestApp) -> Self {
        let fields = json!({"age": "int", "country": "string", "tax": {"type": "string", "sensitive": true},
            "notes": {"type": "list", "items": "string"}});
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

    async fn refused(&self, rest: &str, status: u16) -> Value {
        problem(&self.app.client.get(&self.path(rest)).await.unwrap(), status)
    }

    async fn post(&self, rest: &str, document: &Value) -> Response {
        send(&self.app.client, Method::POST, &self.path(rest), &[], document).await
    }

    async fn put(&self, rest: &str, document: &Value) -> Response {
        send(&self.app.client, Method::PUT, &self.path(rest), &[], document).await
    }

    async fn configure(&self, log: &Value) {
        body(&self.put("config/decision-log", log).await, 200);
    }

    /// Decides facts; answers the whole answer.
    async fn evaluate(&self, facts: &Value) -> Value {
        body(&self.post("evaluate", &json!({ "facts": facts })).await, 200)
    }

    /// Decides facts and waits until that is stored; answers the decision's id.
    async fn durable(&self, facts: &Value) -> String {
        let answer = body(&self.post("evaluate", &json!({"facts": facts, "record": "durable"})).await, 200);
        answer["decisionId"].as_str().unwrap().to_owned()
    }

    /// Sends an event; answers its id once it is decided.
    async fn event(&self, event: &Value) -> String {
        let id = body(&self.post("events", event).await, 202)["id"].as_str().unwrap().to_owned();
        within(SOON, "decided", async || self.get(&format!("events/{id}")).await["state"] == "decided").await;
        id
    }

    async fn items(&self, query: &str) -> Vec<Value> {
        self.get(&format!("decisions{query}")).await["items"].as_array().unwrap().clone()
    }

    /// The ids of all decisions that a query finds, page by page.
    async fn ids(&self, query: &str) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("decisions?limit=2{query}{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }
}

#[tokio::test]
async fn decisions_of_events_and_of_evaluations_are_in_one_list() {
    let of = Decisions::start().await;
    let event = of.event(&json!({"facts": {"age": 20, "tax": "canary"}, "type": "signup"})).await;
    let evaluation = of.durable(&json!({"age": 7})).await;
    let items = of.items("").await;
    assert_eq!(items.len(), 2, "{items:?}");
    let [second, first] = [&items[0], &items[1]];
    assert_eq!((&first["id"], &first["source"], &first["type"]), (&json!(event), &json!("event"), &json!("signup")));
    assert_eq!(
        (&first["matchedRules"], &first["errors"], &first["revision"]),
        (&json!([of.rule]), &json!(0), &json!(3))
    );
    assert_eq!(
        (&second["id"], &second["source"], &second["type"]),
        (&json!(evaluation), &json!("evaluate"), &json!(null))
    );
    assert_eq!(second["matchedRules"], json!([]));
    let shown = of.get(&format!("decisions/{event}")).await;
    assert_eq!((&shown["eventId"], &shown["facts"]["tax"]), (&json!(event), &json!("(sensitive)")));
    assert_eq!(shown["results"], json!([{"ruleId": of.rule, "ruleName": "adult", "matched": true, "error": null}]));
    let evaluated = of.get(&format!("decisions/{evaluation}")).await;
    assert_eq!(
        (&evaluated["eventId"], &evaluated["facts"], &evaluated["schemaVersion"]),
        (&json!(null), &json!({"age": 7}), &json!(1))
    );
    assert_eq!(evaluated["ruleSetHash"], shown["ruleSetHash"], "the same rules decided");
    assert_eq!(shown["ruleSetHash"].as_str().unwrap().len(), 64);
    assert!(!evaluated["requestId"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_is_that_of_then_and_is_known_when_the_rule_is_gone() {
    let of = Decisions::start().await;
    let failing = of.app.create_rule(&of.tenant, "failing", "1 / facts.age > 0").await;
    let id = of.durable(&json!({"age": 0})).await;
    let renamed = json!({"name": "grown up"});
    body(&send(&of.app.client, Method::PATCH, &of.path(&format!("rules/{}", of.rule)), &[], &renamed).await, 200);
    let gone = send(&of.app.client, Method::DELETE, &of.path(&format!("rules/{failing}")), &[], &Value::Null).await;
    assert_eq!(gone.status, 204);
    let results = of.get(&format!("decisions/{id}")).await["results"].clone();
    assert_eq!((&results[0]["ruleId"], &results[0]["ruleName"]), (&json!(failing), &json!("failing")), "{results}");
    assert_eq!((&results[0]["matched"], &results[0]["error"]["code"]), (&json!(false), &json!("division_by_zero")));
}

#[tokio::test]
async fn what_nobody_has_and_what_another_tenant_has_is_not_found() {
    let of = Decisions::start().await;
    let id = of.durable(&json!({"age": 7})).await;
    let other = of.app.create_tenant_with_schema("globex", &json!({"age": "int"})).await;
    for (tenant, id) in [(&of.tenant, NOBODY), (&of.tenant, "x"), (&other, &id)] {
        let path = format!("/api/v1/tenants/{tenant}/decisions/{id}");
        let problem_of = problem(&of.app.client.get(&path).await.unwrap(), 404);
        assert_eq!(problem_of["code"], "decision_not_found");
        let replay = send(&of.app.client, Method::POST, &format!("{path}/replay"), &[], &json!({})).await;
        assert_eq!(problem(&replay, 404)["code"], "decision_not_found");
    }
    let theirs = of.app.client.get(&format!("/api/v1/tenants/{other}/decisions?rule={}", of.rule)).await.unwrap();
    assert_eq!(body(&theirs, 200)["items"], json!([]));
}

#[tokio::test]
async fn a_recorded_evaluation_is_no_event_and_is_not_deleted_as_one() {
    let of = Decisions::start().await;
    let id = of.durable(&json!({"age": 7})).await;
    let deleted = send(&of.app.client, Method::DELETE, &of.path(&format!("events/{id}")), &[], &Value::Null).await;
    assert_eq!(problem(&deleted, 404)["code"], "event_not_found");
    assert_eq!(of.items("").await.len(), 1);
}
