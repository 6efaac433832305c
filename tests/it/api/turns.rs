//! Costly decisions: made in the evaluation pool, the same as they would be elsewhere, in turn, and refused when they wait for
//! too long.

use std::{fmt::Write as _, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tenet::client::{Client, Method, Response};

use crate::{
    api::{body, problem},
    support::{TestApp, within},
};

/// Costs over half a million units on a list of 40.
const COSTLY: &str = "facts.list.all(x, facts.list.all(y, facts.list.all(z, x + y + z >= 0)))";

struct Service {
    app: TestApp,
    tenant: String,
}

impl Service {
    /// One that evaluates so many costly decisions at once, with a tenant of a few rules.
    async fn start(threads: usize) -> Self {
        let app = TestApp::builder()
            .settings(|settings| {
                settings.engine.evaluation_threads = Some(threads);
                settings.engine.rate_limits = Some(true);
            })
            .start()
            .await;
        let tenant = app
            .create_tenant_with_schema("acme", &json!({"list": {"type": "list<int>", "maxItems": 45}, "n": "int"}))
            .await;
        for (name, expression) in [("costly", COSTLY), ("cheap", "facts.n > 1"), ("fails", "1 / facts.n > 0")] {
            app.create_rule(&tenant, name, expression).await;
        }
        app.create_rule(&tenant, "costly, too", &COSTLY.replace(">= 0", "> 0")).await;
        Self { app, tenant }
    }

    fn client(&self) -> &Client {
        &self.app.client
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        self.client().post_json(&format!("/api/v1/tenants/{}/{path}", self.tenant), body).await.unwrap()
    }

    async fn admission(&self) -> Value {
        body(&self.client().get("/api/v1/runtime/admission").await.unwrap(), 200)
    }

    /// Waits until nothing is evaluated, nothing waits, and no request but the one that asks is in hand.
    async fn has_no_work_left(&self) {
        within(Duration::from_secs(60), "no work is left", async || {
            let load = self.admission().await;
            load["waiting"] == 0 && load["evaluating"] == 0 && load["inHand"] == 1
        })
        .await;
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = self.client().get("/metrics").await.unwrap().text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

fn facts(length: usize, n: i64) -> Value {
    json!({"list": (0..length).collect::<Vec<usize>>(), "n": n})
}

/// An answer without what differs from one to the next.
fn results(answer: &Response) -> Value {
    body(answer, 200)["results"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_costly_decision_is_the_same_in_the_pool_and_on_the_thread_of_its_request() {
    let (pooled, alone) = (Service::start(1).await, Service::start(0).await);
    let matched = |results: &Value| -> Vec<(Value, Value, Value)> {
        let of = |item: &Value| (item["ruleName"].clone(), item["matched"].clone(), item["error"]["code"].clone());
        results.as_array().unwrap().iter().map(of).collect()
    };
    let asks = [
        json!({}),
        json!({"return": "matched"}),
        json!({"trace": true}),
        json!({"rules": ["costly", "fails", "nobody", "costly"]}),
    ];
    for (length, n) in [(40, 0), (40, 2), (2, 2), (0, 0), (45, 1)] {
        for ask in &asks {
            let mut ask = ask.clone();
            ask["facts"] = facts(length, n);
            let [here, there] = [&pooled, &alone].map(|service| service.post("evaluate", &ask));
            assert_eq!(matched(&results(&here.await)), matched(&results(&there.await)), "{length} {n}");
        }
    }
    assert!(pooled.metric("tenet_inline_exceeded_total").await > 0.0);
    assert!(pooled.metric("tenet_admission_wait_seconds_count{tier=\"free\"}").await > 0.0);
    assert_eq!(alone.metric("tenet_inline_exceeded_total").await, 0.0);
    pooled.has_no_work_left().await;
    let load = pooled.admission().await;
    assert_eq!(load["evaluationThreads"], 1);
    assert_eq!(load["tenants"][0]["tenantId"], pooled.tenant.as_str());
    assert!(load["tenants"][0]["evaluationMicros"].as_u64().unwrap() > 1_000, "{load}");
    let shown = body(&pooled.client().get("/metrics/bulkheads").await.unwrap(), 200);
    assert!(shown["free"]["admission"]["evaluationMicros"].as_u64().unwrap() > 1_000, "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_streams_of_costly_and_cheap_items_keep_their_order() {
    let (pooled, alone) = (Service::start(1).await, Service::start(0).await);
    let lengths: Vec<usize> = (0..60).map(|number| if number % 7 == 3 { 40 } else { number % 5 }).collect();
    let items: Vec<Value> = lengths.iter().map(|length| json!({"facts": facts(*length, 2)})).collect();
    let batch = json!({"items": items});
    let matched =
        |items: &Value| items.as_array().unwrap().iter().map(|item| item["results"].clone()).collect::<Vec<_>>();
    let [here, there] = [&pooled, &alone].map(|service| service.post("evaluate/batch", &batch));
    let (here, there) = (body(&here.await, 200), body(&there.await, 200));
    let names = |items: &[Value]| items.iter().map(|of| of[0]["matched"].clone()).collect::<Vec<_>>();
    assert_eq!(matched(&here["items"]).len(), 60);
    assert_eq!(names(&matched(&here["items"])), names(&matched(&there["items"])));
    let mut lines = String::new();
    items.iter().for_each(|item| writeln!(lines, "{item}").unwrap());
    lines.push_str("not json\n");
    let path = format!("/api/v1/tenants/{}/evaluate/batch", pooled.tenant);
    let headers = [("content-type", "application/x-ndjson")];
    let answer = pooled.client().request(Method::POST, &path, &headers, lines).await.unwrap();
    let answers: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 61);
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(answer["index"], index);
    }
    assert_eq!(answers[60]["error"]["code"], "malformed_json");
    assert_eq!(
        answers[..60].iter().map(|answer| answer["results"][0]["matched"].clone()).collect::<Vec<_>>(),
        names(&matched(&here["items"]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_more_costly_requests_than_its_turns_allow_is_told_so_and_nobody_else_is() {
    let service = Service::start(1).await;
    let other = service.app.create_tenant_with_schema("other", &json!({"n": "int"})).await;
    service.app.create_rule(&other, "cheap", "facts.n > 1").await;
    service.app.evaluate(&other, &json!({"n": 2})).await;
    let ask = json!({"facts": facts(40, 2)});
    let flood = join_all((0..60).map(|_| service.post("evaluate", &ask)));
    let victim = async {
        let mut answered = 0;
        for _ in 0..50 {
            assert!(service.app.evaluate(&other, &json!({"n": 2})).await["results"][0]["matched"].as_bool().unwrap());
            answered += 1;
        }
        answered
    };
    let (answers, answered) = tokio::join!(flood, victim);
    assert_eq!(answered, 50);
    let (good, late): (Vec<&Response>, Vec<&Response>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!good.is_empty());
    for answer in &late {
        let problem = problem(answer, 429);
        assert_eq!(
            (&problem["code"], &problem["quota"]),
            (&json!("too_many_requests_in_hand"), &json!("concurrentRequests"))
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(!late.is_empty(), "{} were answered", good.len());
    service.has_no_work_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_leave_no_work_behind() {
    let service = Service::start(1).await;
    let ask = json!({"facts": facts(40, 2)});
    let path = format!("/api/v1/tenants/{}/evaluate", service.tenant);
    for _ in 0..3 {
        let gone = join_all((0..20).map(|_| service.client().post_json(&path, &ask)));
        let _ = tokio::time::timeout(Duration::from_millis(30), gone).await;
    }
    service.has_no_work_left().await;
    assert_eq!(results(&service.post("evaluate", &json!({"facts": facts(1, 2)})).await)[1]["matched"], true);
}
