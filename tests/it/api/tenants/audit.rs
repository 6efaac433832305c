//! `/api/v1/tenants/{tenantId}/audit`.

use serde_json::{Value, json};
use tenet::client::{Client, Method};
use tenet::config::Secret;

use crate::{
    api::{NOBODY, acme, body, mistakes, problem, send},
    support::TestApp,
};

async fn log(app: &TestApp, tenant: &str, query: &str) -> Vec<Value> {
    let answer = app.client.get(&format!("/api/v1/tenants/{tenant}/audit?limit=200{query}")).await.unwrap();
    body(&answer, 200)["items"].as_array().unwrap().clone()
}

fn actions(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["action"].as_str().unwrap()).collect()
}

/// What [`every_change_of_a_tenant_is_told_with_what_it_was_and_is`] does, in its order.
const EACH: [&str; 21] = [
    "tenant.create",
    "schema.create",
    "derived_field.create",
    "derived_field.change",
    "rule.create",
    "rule.change",
    "rule.delete",
    "rule.create",
    "derived_field.delete",
    "schema.create",
    "schema.activate",
    "api_key.create",
    "api_key.change",
    "api_key.create",
    "api_key.delete",
    "tenant.change",
    "tenant.change",
    "runtime.load",
    "runtime.reload",
    "runtime.release",
    "runtime.stop",
];

#[tokio::test]
async fn every_change_of_a_tenant_is_told_with_what_it_was_and_is() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let base = format!("/api/v1/tenants/{tenant}");
    let call = async |method: Method, path: &str, value: Value| {
        let answer = send(&app.client, method, &format!("{base}{path}"), &[("x-request-id", "r-7")], &value).await;
        assert!(answer.status < 300, "{path}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json::<Value>().unwrap() }
    };
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();

    let field = call(Method::POST, "/derived-fields", json!({"name": "grown", "expression": "facts.age >= 18"})).await;
    let field = format!("/derived-fields/{}", id(&field));
    call(Method::PATCH, &field, json!({"description": "of age"})).await;
    let rule = call(Method::POST, "/rules", json!({"name": "adult", "expression": "derived.grown"})).await;
    let rule = format!("/rules/{}", id(&rule));
    call(Method::PATCH, &rule, json!({"active": false})).await;
    call(Method::PUT, "/rules", json!({"rules": [{"name": "other", "expression": "true"}]})).await;
    call(Method::DELETE, &field, Value::Null).await;
    let next = json!({"definition": {"facts": {"age": "int"}}});
    call(Method::PUT, "/schema", next).await;
    call(Method::POST, "/schema/versions/1/activate", Value::Null).await;
    let key = call(Method::POST, "/api-keys", json!({"name": "k", "scopes": ["read"]})).await;
    let key = format!("/api-keys/{}", id(&key));
    call(Method::POST, &format!("{key}/rotate"), json!({})).await;
    call(Method::DELETE, &key, Value::Null).await;
    call(Method::PATCH, "", json!({"pinned": true, "tier": "pro"})).await;
    call(Method::PATCH, "", json!({"pinned": false})).await;
    for verb in ["load", "reload", "release", "stop"] {
        call(Method::POST, &format!("/runtime/{verb}"), Value::Null).await;
    }

    let rows = log(&app, &tenant, "").await;
    let mut expected = EACH;
    expected.reverse();
    assert_eq!(actions(&rows), expected);
    for (index, row) in rows.iter().rev().enumerate() {
        assert_eq!(row["sequence"], index + 1);
        assert_eq!(
            (&row["actor"], &row["keyId"], &row["address"]),
            (&json!("operator"), &Value::Null, &json!("127.0.0.1"))
        );
        assert!(index < 2 || row["requestId"] == "r-7", "{row}");
    }
    let row = |sequence: usize| &rows[rows.len() - sequence];
    assert_eq!(row(1)["after"]["name"], "acme-corp");
    assert_eq!(row(2)["after"]["definition"]["facts"]["age"], "int");
    assert_eq!(row(4)["before"], json!({"name": "grown", "description": null}));
    assert_eq!(row(4)["after"], json!({"name": "grown", "description": "of age"}));
    assert_eq!(row(4)["resource"], field[1..]);
    assert_eq!(row(6)["before"], json!({"name": "adult", "active": true}));
    assert_eq!(row(6)["after"], json!({"name": "adult", "active": false}));
    assert_eq!((&row(6)["resource"], &row(6)["revision"]), (&json!(rule[1..]), &json!(6)));
    assert_eq!((&row(7)["before"]["expression"], &row(7)["after"]), (&json!("derived.grown"), &Value::Null));
    assert_eq!((&row(11)["before"], &row(11)["after"]), (&json!({"version": 2}), &json!({"version": 1})));
    assert!(row(13)["before"]["expiresAt"].is_null() && row(13)["after"]["expiresAt"].is_string());
    assert_eq!(row(15)["resource"], key[1..]);
    let (pinned, free) = (json!({"name": "acme-corp", "pinned": true, "tier": "pro"}), json!("free"));
    assert_eq!((&row(16)["after"], &row(16)["before"]["tier"]), (&pinned, &free));
    app.stop().await;
}

#[tokio::test]
async fn nothing_that_opens_anything_is_in_the_log() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/api-keys");
    let made = body(&app.client.post_json(&path, &json!({"name": "k", "scopes": ["audit"]})).await.unwrap(), 201);
    let key = made["key"].as_str().unwrap();
    let reader = Client::new(app.client.url()).unwrap().with_key(Some(Secret::new(key)));
    let answer = reader.get(&format!("/api/v1/tenants/{tenant}/audit")).await.unwrap();
    assert_eq!(body(&answer, 200)["items"][0]["action"], "api_key.create");
    let secret = key.split('_').nth(2).unwrap();
    assert!(!answer.text().contains(secret) && !answer.text().contains("digest"), "{}", answer.text());
    // It reads the log, and nothing else.
    problem(&reader.get(&format!("/api/v1/tenants/{tenant}/rules")).await.unwrap(), 403);
    app.stop().await;
}

#[tokio::test]
async fn the_log_names_the_key_and_is_filtered_and_paged() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/api-keys");
    let made = body(&app.client.post_json(&path, &json!({"name": "k", "scopes": ["admin"]})).await.unwrap(), 201);
    let admin = Client::new(app.client.url()).unwrap().with_key(Some(Secret::new(made["key"].as_str().unwrap())));
    for number in 0..5 {
        let rule = json!({"name": format!("rule {number}"), "expression": "true"});
        body(&admin.post_json(&format!("/api/v1/tenants/{tenant}/rules"), &rule).await.unwrap(), 201);
    }
    let actor = format!("key:{}", made["id"].as_str().unwrap());
    let by_key = log(&app, &tenant, &format!("&actor={actor}")).await;
    assert_eq!(actions(&by_key), ["rule.create"; 5]);
    assert!(by_key.iter().all(|row| row["keyId"] == made["id"] && row["requestId"].is_string()));
    assert_eq!(
        actions(&log(&app, &tenant, "&action=schema.create&action=tenant.create").await),
        ["schema.create", "tenant.create"]
    );
    let third = by_key[2]["at"].as_str().unwrap();
    assert_eq!(log(&app, &tenant, &format!("&since={third}")).await, by_key[..3]);
    assert_eq!(log(&app, &tenant, &format!("&until={third}&actor={actor}")).await, by_key[3..]);
    let audit = format!("/api/v1/tenants/{tenant}/audit");
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = body(&admin.get(&format!("{audit}?limit=3&action=rule.create{cursor}")).await.unwrap(), 200);
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, by_key);
    for wrong in ["action=rule.paint", "since=yesterday", "cursor=x", "order=up"] {
        let refused = problem(&admin.get(&format!("{audit}?{wrong}")).await.unwrap(), 422);
        assert_eq!(mistakes(&refused)[0].1, wrong.split('=').next().unwrap());
    }
    app.stop().await;
}

#[tokio::test]
async fn the_log_outlives_its_tenant() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}");
    assert_eq!(send(&app.client, Method::DELETE, &path, &[], &Value::Null).await.status, 204);
    let rows = log(&app, &tenant, "").await;
    assert_eq!(actions(&rows), ["tenant.delete", "schema.create", "tenant.create"]);
    assert_eq!(rows[0]["before"]["name"], "acme-corp");
    let absent = app.client.get(&format!("/api/v1/tenants/{NOBODY}/audit")).await.unwrap();
    assert_eq!(problem(&absent, 404)["code"], "tenant_not_found");
    let refused = app.client.post_json(&format!("/api/v1/tenants/{tenant}/runtime/load"), &json!({})).await.unwrap();
    problem(&refused, 404);
    assert_eq!(log(&app, &tenant, "").await.len(), 3);
    app.stop().await;
}
