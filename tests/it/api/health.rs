//! `/healthz`, `/readyz`, `/metrics` and the documentation: open to everyone.

use std::time::Duration;

use serde_json::json;
use tenet::client::Client;

use super::{NOBODY, acme, body};
use crate::support::{TestApp, within};

#[tokio::test]
async fn a_node_says_that_it_lives_and_that_it_is_ready() {
    let app = TestApp::start().await;
    let open = Client::new(app.client.url()).unwrap();
    assert_eq!(body(&open.get("/healthz").await.unwrap(), 200), json!({"status": "ok"}));
    let ready = async || open.get("/readyz").await.unwrap().status == 200;
    within(Duration::from_secs(5), "ready", ready).await;
    assert_eq!(body(&open.get("/readyz").await.unwrap(), 200), json!({"status": "ready", "missing": []}));
    app.stop().await;
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_tenants_that_exist() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    app.evaluate(&tenant, &json!({"age": 25})).await;
    app.client.get(&format!("/api/v1/tenants/{NOBODY}")).await.unwrap();
    app.client.get("/no/such/path").await.unwrap();
    let text = Client::new(app.client.url()).unwrap().get("/metrics").await.unwrap().text();
    assert!(text.contains(r#"route="/api/v1/evaluate""#), "{text}");
    assert!(text.contains(r#"route="/api/v1/tenants/{tenantId}/rules""#), "{text}");
    assert!(text.contains(&tenant), "{text}");
    assert!(!text.contains(NOBODY) && !text.contains("/no/such/path"), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn the_documentation_is_part_of_the_service() {
    let app = TestApp::start().await;
    let open = Client::new(app.client.url()).unwrap();
    let page = open.get("/swagger/").await.unwrap();
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    let initializer = open.get("/swagger/swagger-initializer.js").await.unwrap().text();
    assert!(initializer.contains("/api-docs/openapi.json"), "{initializer}");
    assert!(!page.text().contains("https://"), "the page loads from elsewhere");
    assert_eq!(open.get("/swagger").await.unwrap().header("location"), Some("/swagger/"));
    assert_eq!(open.get("/swagger/no-such-file").await.unwrap().status, 404);
    assert_eq!(body(&open.get("/api-docs/openapi.json").await.unwrap(), 200)["openapi"], "3.1.0");
    app.stop().await;
}
