//! What is too large is refused, by the limits that are set.

use serde_json::{Value, json};
use tenet::config::ByteSize;

use crate::support::TestApp;

#[tokio::test]
async fn a_body_over_the_limit_that_is_set_is_refused() {
    let app = TestApp::builder().settings(|settings| settings.http.body_limit = ByteSize(512)).start().await;
    let answer = app.client.post_json("/api/v1/tenants", &json!({ "name": "a".repeat(200) })).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = app.client.post_json("/api/v1/tenants", &json!({ "name": "b".repeat(600) })).await.unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.json::<Value>().unwrap()["code"].is_string());
}
