//! `/healthz`, `/readyz`, `/metrics` and the documentation: open to everyone.

use std::time::Duration;

use serde_json::json;
use tenet::client::{Client, Method};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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
async fn metrics_are_in_the_format_that_is_asked_for() {
    let app = TestApp::start().await;
    let open = Client::new(app.client.url()).unwrap();
    for (accept, content_type, end) in [
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF\n"),
        ("text/plain", "text/plain; version=0.0.4; charset=utf-8", "\n"),
    ] {
        let answer = open.request(Method::GET, "/metrics", &[("accept", accept)], Vec::new()).await.unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        let text = answer.text();
        assert!(text.ends_with(end) && text.contains("\nprocess_cpu_seconds_total "), "{text}");
        assert_eq!(text.contains("# EOF"), accept != "text/plain", "{text}");
        assert!(text.contains("# TYPE tenet_invalid_credentials"), "a family without samples is described: {text}");
    }
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

#[tokio::test]
async fn a_request_on_a_connection_that_was_accepted_is_answered_while_the_service_stops() {
    let app = TestApp::start().await;
    let mut socket = TcpStream::connect(app.client.address()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopping = tokio::spawn(app.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: tenet\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    stopping.await.unwrap();
}
