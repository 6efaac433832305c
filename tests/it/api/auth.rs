//! Who is let in.

use serde_json::Value;
use tenet::{
    client::{Client, Method},
    config::Secret,
};

use super::{NOBODY, problem, send};
use crate::support::TestApp;

#[tokio::test]
async fn every_route_of_the_api_asks_for_the_key() {
    let app = TestApp::start().await;
    let open = Client::new(app.client.url()).unwrap();
    let wrong = open.clone().with_key(Some(Secret::new("test-operator-key-of-somebody-else")));
    let document = open.get("/api-docs/openapi.json").await.unwrap().json::<Value>().unwrap();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/v1")) {
        let path = path.replace("{version}", "1").replace(['{', '}'], "");
        let path = path
            .replace("tenantId", NOBODY)
            .replace("ruleId", NOBODY)
            .replace("fieldId", NOBODY)
            .replace("keyId", NOBODY)
            .replace("eventId", NOBODY);
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            for client in [&open, &wrong] {
                let answer = send(client, method.clone(), &path, &[], &Value::Null).await;
                assert_eq!(problem(&answer, 401)["code"], "unauthenticated", "{method} {path}");
                assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
                asked += 1;
            }
        }
    }
    assert!(asked >= 50, "{asked}");
    app.stop().await;
}

#[tokio::test]
async fn a_credential_is_one_bearer_token() {
    let app = TestApp::start().await;
    let open = Client::new(app.client.url()).unwrap();
    let right = format!("bearer {}", crate::support::OPERATOR_KEY);
    let get = async |headers: &[(&str, &str)]| send(&open, Method::GET, "/api/v1/tenants", headers, &Value::Null).await;
    assert_eq!(get(&[("authorization", &right)]).await.status, 200);
    for headers in [
        &[("authorization", "Basic dGVuZXQ6dGVuZXQ=")][..],
        &[("authorization", "Bearer")],
        &[("authorization", crate::support::OPERATOR_KEY)],
        &[("authorization", right.as_str()), ("authorization", right.as_str())],
        &[("x-api-key", crate::support::OPERATOR_KEY)],
    ] {
        problem(&get(headers).await, 401);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_document_promises_to_ask_for_a_key_only_where_one_is_asked_for() {
    let closed = TestApp::start().await;
    let open = TestApp::builder().settings(|settings| settings.http.operator_key = None).start().await;
    for (app, status, promises) in [(&closed, 401, true), (&open, 200, false)] {
        let nobody = Client::new(app.client.url()).unwrap();
        assert_eq!(nobody.get("/api/v1/tenants").await.unwrap().status, status);
        let document = nobody.get("/api-docs/openapi.json").await.unwrap().json::<Value>().unwrap();
        assert_eq!(document.get("security").is_some(), promises);
    }
    closed.stop().await;
    open.stop().await;
}
