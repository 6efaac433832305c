//! `/api/v1/tenants/{tenantId}/events/batch` as a stream of lines.

use serde_json::{Value, json};
use tenet::client::{Method, Response};

use super::{Events, NOBODY, body, mistakes, problem};
use crate::support::{OPERATOR_KEY, TestApp, converse, read_until, send_line};

async fn stream(app: &TestApp, tenant: &str, text: String) -> Response {
    let path = format!("/api/v1/tenants/{tenant}/events/batch");
    let headers = [("content-type", "application/x-ndjson")];
    app.client.request(Method::POST, &path, &headers, text.into_bytes()).await.unwrap()
}

fn lines(answer: &Response) -> Vec<Value> {
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn each_line_is_answered_and_a_bad_one_spoils_no_other() {
    let app = TestApp::builder().settings(|settings| settings.http.ndjson_line_limit.0 = 60_000).start().await;
    let events = Events::on(app).await;
    let long = json!({"facts": {"age": 1, "tax": "x".repeat(60_000)}}).to_string();
    let large = json!({"facts": {"age": 1, "tax": "x".repeat(40_000)}}).to_string();
    let text = [
        r#"{"facts":{"age":1},"idempotencyKey":"a"}"#,
        "",
        "not json",
        "  ",
        &long,
        r#"{"facts":{"age":2},"idempotencyKey":"a"}"#,
        r#"{"facts":{"age":"x"}}"#,
        &large,
        r#"{"fact":{}}"#,
        r#"{"facts":{"age":1},"orderingKey":"a\u0000b"}"#,
        "{\"facts\":{\"age\":1},\"idempotencyKey\":\"a\"}\r",
        r#"{"facts":{"age":5}}"#,
    ];
    let lines = lines(&stream(&events.app, &events.tenant, text.join("\n")).await);
    let indexes: Vec<_> = lines.iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (0..10).collect::<Vec<_>>());
    let told: Vec<_> = lines.iter().map(|line| line["status"].as_str().or(line["error"]["code"].as_str())).collect();
    let expected = [
        "accepted",
        "malformed_json",
        "line_too_long",
        "idempotency_conflict",
        "invalid",
        "quota_exceeded",
        "invalid",
        "invalid",
        "duplicate",
        "accepted",
    ];
    assert_eq!(told, expected.map(Some), "{lines:?}");
    assert_eq!(lines[8]["id"], lines[0]["id"]);
    assert_eq!(mistakes(&lines[4]["error"]), [("type_mismatch".to_owned(), "facts.age".to_owned())]);
    assert_eq!(mistakes(&lines[7]["error"]), [("nul_character".to_owned(), "orderingKey".to_owned())]);
    for line in [&lines[0], &lines[9]] {
        let members: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["id", "index", "status"]);
        events.is_soon(line["id"].as_str().unwrap(), "decided").await;
    }
    assert_eq!(events.get("events/stats").await["total"], 2);
    events.app.stop().await;
}

#[tokio::test]
async fn many_lines_are_stored_in_their_order() {
    const COUNT: usize = 3_000;
    let events = Events::start().await;
    let line = |n: usize| json!({"facts": {"age": n}, "orderingKey": "o"}).to_string();
    let text: Vec<_> = (0..COUNT).map(line).collect();
    let lines = lines(&stream(&events.app, &events.tenant, text.join("\n")).await);
    let ids: Vec<_> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), COUNT);
    assert!(ids.is_sorted());
    assert_eq!(events.get("events/stats").await["total"], COUNT);
    events.app.stop().await;
}

#[tokio::test]
async fn a_line_is_answered_once_its_event_is_stored_while_more_is_sent_and_ends_with_its_key() {
    let events = Events::start().await;
    let key = body(&events.post("api-keys", &json!({"name": "sender", "scopes": ["ingest"]})).await, 201);
    let mut socket = converse(&events.app, &events.tenant, "events/batch", key["key"].as_str().unwrap()).await;
    let mut read = String::new();
    for index in 0..3 {
        send_line(&mut socket, r#"{"facts":{"age":25}}"#).await;
        read_until(&mut socket, &mut read, &format!(r#"{{"index":{index},"id":""#)).await;
        read_until(&mut socket, &mut read, "accepted\"}\n").await;
        assert_eq!(events.get("events/stats").await["total"], index + 1);
    }
    let revoked = events.app.client.delete(&events.path(&format!("api-keys/{}", key["id"].as_str().unwrap()))).await;
    assert_eq!(revoked.unwrap().status, 204);
    send_line(&mut socket, r#"{"facts":{"age":25}}"#).await;
    read_until(&mut socket, &mut read, r#"{"index":3,"error":{"code":"unauthenticated""#).await;
    read_until(&mut socket, &mut read, "\r\n0\r\n").await;
    assert_eq!(events.get("events/stats").await["total"], 3);
    events.app.stop().await;
}

#[tokio::test]
async fn a_tenant_that_may_send_nothing_is_told_before_the_first_line_and_in_the_place_of_a_later_one() {
    let events = Events::start().await;
    let line = r#"{"facts":{"age":25}}"#;
    let bare = events.app.create_tenant("bare").await;
    assert_eq!(problem(&stream(&events.app, &bare, line.to_owned()).await, 409)["code"], "schema_missing");
    assert_eq!(problem(&stream(&events.app, NOBODY, line.to_owned()).await, 404)["code"], "tenant_not_found");
    let text = [("content-type", "text/plain")];
    let other =
        events.app.client.request(Method::POST, &events.path("events/batch"), &text, line.as_bytes().to_vec()).await;
    assert_eq!(problem(&other.unwrap(), 415)["code"], "unsupported_media_type");

    let mut socket = converse(&events.app, &events.tenant, "events/batch", OPERATOR_KEY).await;
    let mut read = String::new();
    send_line(&mut socket, line).await;
    read_until(&mut socket, &mut read, "accepted").await;
    let tenant = format!("/api/v1/tenants/{}", events.tenant);
    body(&events.app.client.patch_json(&tenant, &json!({"status": "suspended"})).await.unwrap(), 200);
    send_line(&mut socket, line).await;
    read_until(&mut socket, &mut read, r#"{"index":1,"error":{"code":"tenant_suspended""#).await;
    read_until(&mut socket, &mut read, "\r\n0\r\n").await;
    assert_eq!(problem(&stream(&events.app, &events.tenant, line.to_owned()).await, 403)["code"], "tenant_suspended");
    events.app.stop().await;
}
