//! Quotas: what goes beyond one is refused with its name, its limit and the use.

use serde_json::{Value, json};
use tenet::client::{Client, Method};
use tenet::config::Secret;

use crate::{
    api::{acme, body, mistakes, problem, send},
    support::TestApp,
};

async fn set(app: &TestApp, tenant: &str, quotas: &Value) -> Value {
    let path = format!("/api/v1/tenants/{tenant}");
    body(&app.client.patch_json(&path, &json!({"quotas": quotas})).await.unwrap(), 200)
}

#[track_caller]
fn exceeded(answer: &tenet::client::Response, status: u16, quota: &str, limit: u64, used: u64) {
    let problem = problem(answer, status);
    assert_eq!(problem["code"], "quota_exceeded", "{problem}");
    assert_eq!((&problem["quota"], &problem["limit"], &problem["used"]), (&json!(quota), &json!(limit), &json!(used)));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(quota) && detail.contains(&limit.to_string()), "{detail}");
}

#[tokio::test]
async fn what_goes_beyond_a_quota_is_refused_with_its_name_limit_and_use() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = |rest: &str| format!("/api/v1/tenants/{tenant}{rest}");
    let post = async |rest: &str, value: Value| app.client.post_json(&path(rest), &value).await.unwrap();
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let rule = || json!({"name": "rich", "expression": "facts.age >= 99"});
    let field = || json!({"name": "grown", "expression": "facts.age >= 18"});
    let schema =
        json!({"definition": {"facts": {"age": "int", "country": "string", "is_premium": "bool", "more": "int"}}});

    set(&app, &tenant, &json!({"rules": 1})).await;
    exceeded(&post("/rules", rule()).await, 422, "rules", 1, 2);
    let all = json!({"rules": [rule(), {"name": "adult", "expression": "true"}, {"name": "x", "expression": "true"}]});
    exceeded(&send(&app.client, Method::PUT, &path("/rules"), &[], &all).await, 422, "rules", 1, 3);
    set(&app, &tenant, &json!({"rules": null, "sourceBytes": 20})).await;
    exceeded(&post("/rules", rule()).await, 422, "sourceBytes", 20, 30);
    exceeded(&post("/derived-fields", field()).await, 422, "sourceBytes", 20, 30);
    set(&app, &tenant, &json!({"sourceBytes": null, "compiledBytes": 1})).await;
    let refused = problem(&post("/rules", rule()).await, 422);
    assert_eq!((&refused["quota"], &refused["limit"]), (&json!("compiledBytes"), &json!(1)));
    assert!(refused["used"].as_u64().unwrap() > 1_000, "{refused}");
    set(&app, &tenant, &json!({"compiledBytes": null, "schemaBytes": 70})).await;
    let used = schema["definition"].to_string().len() as u64;
    exceeded(&send(&app.client, Method::PUT, &path("/schema"), &[], &schema).await, 422, "schemaBytes", 70, used);
    set(&app, &tenant, &json!({"schemaBytes": null, "derivedFields": 1})).await;
    body(&post("/derived-fields", field()).await, 201);
    let another = json!({"name": "other", "expression": "1"});
    exceeded(&post("/derived-fields", another).await, 422, "derivedFields", 1, 2);

    set(&app, &tenant, &json!({"requestBytes": 100, "batchItems": 2})).await;
    let facts = |length: usize| json!({"facts": {"age": 20, "country": "x".repeat(length)}});
    body(&post("/evaluate", facts(10)).await, 200);
    let used = facts(200).to_string().len() as u64;
    exceeded(&post("/evaluate", facts(200)).await, 413, "requestBytes", 100, used);
    let mut by_body = facts(200);
    by_body["tenantId"] = json!(tenant);
    let answer = app.client.post_json("/api/v1/evaluate", &by_body).await.unwrap();
    exceeded(&answer, 413, "requestBytes", 100, by_body.to_string().len() as u64);
    let items = |count: usize| json!({"items": vec![json!({"facts": {}}); count]});
    exceeded(&post("/evaluate/batch", items(3)).await, 422, "batchItems", 2, 3);
    exceeded(&post("/evaluate/batch", items(30)).await, 413, "requestBytes", 100, items(30).to_string().len() as u64);
    body(&post("/evaluate/batch", items(2)).await, 200);
    let lines = format!("{}\n{}\n", facts(200), facts(1));
    let headers = [("content-type", "application/x-ndjson")];
    let answer =
        app.client.request(Method::POST, &path("/evaluate/batch"), &headers, lines.into_bytes()).await.unwrap();
    let text = answer.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["error"]["code"], "quota_exceeded", "{text}");
    assert!(lines[1]["results"].is_array(), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn quotas_are_the_operators_to_set_and_hold_at_once() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}");
    let changed = set(&app, &tenant, &json!({"rules": 7, "batchItems": 9})).await;
    assert_eq!(changed["quotas"], json!({"rules": 7, "batchItems": 9}));
    let changed = set(&app, &tenant, &json!({"rules": null})).await;
    assert_eq!(changed["quotas"], json!({"batchItems": 9}));
    assert_eq!(body(&app.client.get(&path).await.unwrap(), 200)["quotas"], json!({"batchItems": 9}));
    for wrong in [json!({"rules": 0}), json!({"rules": 10_001}), json!({"rules": -1}), json!({"rules": "9"})] {
        let refused = problem(&app.client.patch_json(&path, &json!({"quotas": wrong})).await.unwrap(), 422);
        assert_eq!(mistakes(&refused)[0].1, "quotas.rules", "{wrong}");
    }
    problem(&app.client.patch_json(&path, &json!({"quotas": {"ruls": 1}})).await.unwrap(), 422);
    problem(&app.client.patch_json(&path, &json!({"quotas": null})).await.unwrap(), 422);
    let key = json!({"name": "k", "scopes": ["admin"]});
    let key = body(&app.client.post_json(&format!("{path}/api-keys"), &key).await.unwrap(), 201);
    let admin = Client::new(app.client.url()).unwrap().with_key(Some(Secret::new(key["key"].as_str().unwrap())));
    problem(&admin.patch_json(&path, &json!({"quotas": {"rules": 9}})).await.unwrap(), 403);
    let shown = body(&admin.get(&format!("{path}/quotas")).await.unwrap(), 200);
    let items = shown["items"].as_array().unwrap();
    assert_eq!(items.len(), 17);
    let item = |name: &str| items.iter().find(|item| item["quota"] == name).unwrap();
    assert_eq!(*item("batchItems"), json!({"quota": "batchItems", "limit": 9, "tierLimit": 1_000, "used": null}));
    assert_eq!(*item("rules"), json!({"quota": "rules", "limit": 1_000, "tierLimit": 1_000, "used": 0}));
    assert!(item("schemaBytes")["used"].as_u64().unwrap() > 10);
    // Of the audit log, too.
    let log = body(&app.client.get(&format!("{path}/audit?action=tenant.change")).await.unwrap(), 200);
    assert_eq!(log["items"][0]["before"]["quotas"], json!({"rules": 7, "batchItems": 9}));
    assert_eq!(log["items"][0]["after"]["quotas"], json!({"batchItems": 9}));
    app.stop().await;
}
