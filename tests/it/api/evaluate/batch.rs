//! `/api/v1/tenants/{tenantId}/evaluate/batch`.

use std::time::Duration;

use serde_json::{Value, json};
use tenet::client::{Method, Response};
use tokio::io::AsyncWriteExt;

use crate::{
    api::{acme, body, mistakes, problem},
    support::{OPERATOR_KEY, TestApp, converse, read_until, send_line},
};

async fn stream(app: &TestApp, tenant: &str, query: &str, text: String) -> Response {
    let path = format!("/api/v1/tenants/{tenant}/evaluate/batch{query}");
    app.client.request(Method::POST, &path, &[("content-type", "application/x-ndjson")], text).await.unwrap()
}

fn lines(answer: &Response) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn one_bad_item_does_not_spoil_the_others() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let path = format!("/api/v1/tenants/{tenant}/evaluate/batch");
    let text = r#"{"items":[{"facts":{"age":25}},{"facts":{"age":"x"}},7,{"facts":{"age":1,"age":2}},{"facts":{},"x":1},{"facts":{"age":5}}]}"#;
    let headers = [("content-type", "application/json")];
    let answer = app.client.request(Method::POST, &path, &headers, text).await.unwrap();
    let batch = body(&answer, 200);
    assert_eq!(
        (&batch["tenantId"], &batch["revision"], &batch["schemaVersion"]),
        (&json!(tenant), &json!(3), &json!(1))
    );
    assert!(batch["evaluationTimeMs"].is_number() && batch["stale"] == false, "{batch}");
    let items = batch["items"].as_array().unwrap();
    assert_eq!(items.len(), 6);
    let expected = json!({"results": [{"ruleId": rule, "ruleName": "adult", "matched": true, "error": null}]});
    assert_eq!(items[0], expected);
    assert_eq!(items[5]["results"][0]["matched"], false);
    for (item, at) in [(1, "facts.age"), (2, ""), (3, "facts.age"), (4, "x")] {
        assert_eq!(items[item]["error"]["code"], "invalid", "{}", items[item]);
        assert_eq!(mistakes(&items[item]["error"])[0].1, at, "{}", items[item]);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_batch_answers_what_single_requests_answer() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    app.create_rule(&tenant, "home", "facts.country == 'US' && facts.is_premium").await;
    let mut items = Vec::new();
    let mut singles = Vec::new();
    for age in 0..50 {
        let facts = json!({"age": age, "country": if age % 2 == 0 { "US" } else { "FR" }, "is_premium": age % 3 == 0});
        singles.push(app.evaluate(&tenant, &facts).await["results"].clone());
        items.push(json!({ "facts": facts }));
    }
    let path = format!("/api/v1/tenants/{tenant}/evaluate/batch");
    let batch = body(&app.client.post_json(&path, &json!({ "items": items })).await.unwrap(), 200);
    let together: Vec<_> = batch["items"].as_array().unwrap().iter().map(|item| item["results"].clone()).collect();
    assert_eq!(together, singles);
    let text: String = items.iter().map(|item| format!("{item}\n")).collect();
    let streamed: Vec<_> =
        lines(&stream(&app, &tenant, "", text).await).iter().map(|line| line["results"].clone()).collect();
    assert_eq!(streamed, singles);
    app.stop().await;
}

#[tokio::test]
async fn a_large_batch_is_answered_whole() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let path = format!("/api/v1/tenants/{tenant}/evaluate/batch");
    let pro = app.client.patch_json(&format!("/api/v1/tenants/{tenant}"), &json!({"tier": "pro"})).await.unwrap();
    assert_eq!(pro.status, 200);
    let items: Vec<_> = (0..10_000).map(|age| json!({"facts": {"age": age}})).collect();
    let batch = body(&app.client.post_json(&path, &json!({ "items": items })).await.unwrap(), 200);
    let matched = batch["items"].as_array().unwrap().iter().filter(|item| item["results"][0]["matched"] == true);
    assert_eq!((batch["items"].as_array().unwrap().len(), matched.count()), (10_000, 9_982));
    let items: Vec<_> = (0..10_001).map(|_| json!({"facts": {}})).collect();
    let refused = problem(&app.client.post_json(&path, &json!({ "items": items })).await.unwrap(), 422);
    assert_eq!(mistakes(&refused)[0].1, "items");
    let empty = body(&app.client.post_json(&path, &json!({"items": []})).await.unwrap(), 200);
    assert_eq!(empty["items"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn a_stream_answers_each_line_with_its_index() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let text = "{\"facts\":{\"age\":25}}\n\n  \nnot json\n{\"facts\":{\"age\":\"x\"}}\r\n{\"facts\":{\"age\":5}}";
    let answer = stream(&app, &tenant, "", text.to_owned()).await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let lines = lines(&answer);
    let indexes: Vec<_> = lines.iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 1, 2, 3]);
    assert_eq!((&lines[0]["results"][0]["matched"], &lines[0]["revision"]), (&json!(true), &json!(3)));
    assert_eq!(lines[1]["error"]["code"], "malformed_json");
    assert_eq!(mistakes(&lines[2]["error"])[0].1, "facts.age");
    assert_eq!(lines[3]["results"][0]["matched"], false);
    let matched = stream(&app, &tenant, "?return=matched", text.to_owned()).await;
    let last = self::lines(&matched).pop().unwrap();
    assert_eq!((&last["results"], &last["evaluated"], &last["matchedCount"]), (&json!([]), &json!(1), &json!(0)));
    let refused = stream(&app, &tenant, "?return=some", text.to_owned()).await;
    assert_eq!(mistakes(&problem(&refused, 422))[0].1, "return");
    app.stop().await;
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_stream_with_a_line_that_says_so() {
    let app = TestApp::builder().settings(|settings| settings.http.ndjson_line_limit.0 = 1_024).start().await;
    let tenant = acme(&app).await;
    let good = "{\"facts\":{\"age\":25}}\n";
    let long = format!("{good}{{\"facts\":{{\"country\":\"{}\"}}}}\n{good}", "x".repeat(2_000));
    let answer = stream(&app, &tenant, "", long).await;
    let lines = lines(&answer);
    assert_eq!((lines.len(), &lines[1]["error"]["code"], &lines[1]["index"]), (2, &json!("line_too_long"), &json!(1)));
    app.stop().await;
}

#[tokio::test]
async fn a_stream_is_answered_while_it_is_sent_and_follows_changes() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let mut socket = converse(&app, &tenant, "evaluate/batch", OPERATOR_KEY).await;
    let mut read = String::new();
    send_line(&mut socket, r#"{"facts":{"age":25}}"#).await;
    read_until(&mut socket, &mut read, r#""index":0,"revision":3"#).await;
    let path = format!("/api/v1/tenants/{tenant}/rules/{rule}");
    body(&app.client.patch_json(&path, &json!({"expression": "facts.age >= 30"})).await.unwrap(), 200);
    send_line(&mut socket, r#"{"facts":{"age":25}}"#).await;
    read_until(&mut socket, &mut read, r#""index":1,"revision":4"#).await;
    assert_eq!(app.client.delete(&format!("/api/v1/tenants/{tenant}")).await.unwrap().status, 204);
    send_line(&mut socket, r#"{"facts":{"age":25}}"#).await;
    read_until(&mut socket, &mut read, "tenant_not_found").await;
    read_until(&mut socket, &mut read, "\r\n0\r\n").await;
    app.stop().await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_ended() {
    let idle = Duration::from_millis(200);
    let app = TestApp::builder().settings(|settings| settings.http.ndjson_idle_deadline = idle).start().await;
    let tenant = acme(&app).await;
    let mut socket = converse(&app, &tenant, "evaluate/batch", OPERATOR_KEY).await;
    let mut read = String::new();
    send_line(&mut socket, r#"{"facts":{"age":25}}"#).await;
    read_until(&mut socket, &mut read, "read_timeout").await;
    read_until(&mut socket, &mut read, "\r\n0\r\n").await;
    app.stop().await;
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_not_read_from() {
    /// Far above what the sockets of both sides hold, far below what would fill a memory.
    const BYTES_MAX: usize = 64 << 20;
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    for rule in 0..20 {
        app.create_rule(&tenant, &format!("rule {rule}"), "facts.age >= 18").await;
    }
    let mut socket = converse(&app, &tenant, "evaluate/batch", OPERATOR_KEY).await;
    let line = "{\"facts\":{\"age\":25}}\n".repeat(1_000);
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_secs(1), socket.write_all(chunk.as_bytes())).await.is_ok() {
        sent += chunk.len();
        assert!(sent < BYTES_MAX, "{sent} bytes were taken, and none of their answers read");
    }
    drop(socket);
    app.stop().await;
}
