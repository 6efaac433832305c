//! Keys of tenants: what they open, and that they end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenet::{
    client::{Client, Method},
    config::Secret,
};

use super::{problem, send};
use crate::support::TestApp;

/// A client with a key of its own.
fn holder(app: &TestApp, key: &str) -> Client {
    Client::new(app.client.url()).unwrap().with_key(Some(Secret::new(key)))
}

async fn create(app: &TestApp, tenant: &str, scopes: &[&str]) -> Value {
    let path = format!("/api/v1/tenants/{tenant}/api-keys");
    let answer = app.client.post_json(&path, &json!({"name": "test", "scopes": scopes})).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json().unwrap()
}

async fn status(client: &Client, path: &str) -> u16 {
    client.get(path).await.unwrap().status
}

#[tokio::test]
async fn a_key_is_shown_once_and_stored_as_a_hash() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let made = create(&app, &tenant, &["read", "evaluate", "read"]).await;
    assert_eq!(made["scopes"], json!(["evaluate", "read"]));
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with(&format!("tnt_{}_", made["publicId"].as_str().unwrap())), "{key}");
    let list = app.client.get(&format!("/api/v1/tenants/{tenant}/api-keys")).await.unwrap();
    let listed = list.json::<Value>().unwrap();
    assert_eq!(listed["items"][0]["id"], made["id"]);
    assert_eq!(listed["items"][0]["publicId"], made["publicId"]);
    let secret = key.split('_').nth(2).unwrap();
    assert!(!list.text().contains(secret) && listed["items"][0].get("key").is_none());
    app.stop().await;
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_say_and_only_its_own_tenant() {
    let app = TestApp::start().await;
    let acme = app.create_tenant_with_schema("acme", &json!({"age": "int"})).await;
    let globex = app.create_tenant_with_schema("globex", &json!({"age": "int"})).await;
    let key = |made: Value| made["key"].as_str().unwrap().to_owned();
    let evaluator = holder(&app, &key(create(&app, &acme, &["evaluate"]).await));
    let admin = holder(&app, &key(create(&app, &acme, &["admin"]).await));

    // The key names the tenant; the body may, if it names the same.
    for (body, expected) in [
        (json!({"facts": {"age": 1}}), 200),
        (json!({"tenantId": acme, "facts": {"age": 1}}), 200),
        (json!({"tenantId": globex, "facts": {"age": 1}}), 404),
        (json!({"tenantId": super::NOBODY, "facts": {"age": 1}}), 404),
    ] {
        assert_eq!(evaluator.post_json("/api/v1/evaluate", &body).await.unwrap().status, expected, "{body}");
    }
    for (client, path, expected) in [
        (&evaluator, format!("/api/v1/tenants/{acme}/rules"), 403),
        (&evaluator, format!("/api/v1/tenants/{globex}/rules"), 404),
        (&admin, format!("/api/v1/tenants/{acme}/rules"), 200),
        (&admin, format!("/api/v1/tenants/{acme}/api-keys"), 200),
        (&admin, format!("/api/v1/tenants/{globex}/api-keys"), 404),
        (&admin, "/api/v1/runtime/nodes".to_owned(), 403),
        (&admin, "/api/v1/runtime/tenants".to_owned(), 403),
    ] {
        assert_eq!(status(client, &path).await, expected, "{path}");
    }
    // What the operator alone may: refused in one's own, unknown elsewhere.
    for (tenant, expected) in [(&acme, 403), (&globex, 404)] {
        let path = format!("/api/v1/tenants/{tenant}");
        for (method, path) in [
            (Method::PATCH, path.clone()),
            (Method::DELETE, path.clone()),
            (Method::POST, format!("{path}/runtime/stop")),
        ] {
            problem(&send(&admin, method, &path, &[], &json!({"tier": "pro"})).await, expected);
        }
    }
    assert_eq!(admin.post_json("/api/v1/tenants", &json!({"name": "more"})).await.unwrap().status, 403);
    let list = admin.get("/api/v1/tenants").await.unwrap().json::<Value>().unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["id"], json!(acme));
    app.stop().await;
}

#[tokio::test]
async fn another_tenants_thing_is_answered_like_one_that_is_not() {
    let app = TestApp::start().await;
    let (acme, globex) = (app.create_tenant("acme").await, app.create_tenant("globex").await);
    let key = create(&app, &acme, &["admin"]).await["key"].as_str().unwrap().to_owned();
    let client = holder(&app, &key);
    let mut bodies = Vec::new();
    for tenant in [globex.as_str(), super::NOBODY, "no-id"] {
        let mut body = client.get(&format!("/api/v1/tenants/{tenant}")).await.unwrap().json::<Value>().unwrap();
        body.as_object_mut().unwrap().remove("requestId");
        bodies.push(body);
    }
    assert_eq!(bodies[0]["code"], "tenant_not_found");
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    app.stop().await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_a_deleted_tenants_too() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let (first, second) = (create(&app, &tenant, &["read"]).await, create(&app, &tenant, &["read"]).await);
    let clients = [&first, &second].map(|made| holder(&app, made["key"].as_str().unwrap()));
    for client in &clients {
        assert_eq!(status(client, &path).await, 200);
    }
    let key_path = format!("{path}/api-keys/{}", first["id"].as_str().unwrap());
    let gone = send(&app.client, Method::DELETE, &key_path, &[], &Value::Null).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    assert_eq!(status(&clients[0], &path).await, 401);
    assert_eq!(status(&clients[1], &path).await, 200);
    problem(&send(&app.client, Method::DELETE, &key_path, &[], &Value::Null).await, 404);
    assert_eq!(send(&app.client, Method::DELETE, &path, &[], &Value::Null).await.status, 204);
    assert_eq!(status(&clients[1], &path).await, 401);
    app.stop().await;
}

#[tokio::test]
async fn a_key_deleted_by_hand_is_refused_within_two_seconds() {
    use sqlx::Connection;
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let made = create(&app, &tenant, &["read"]).await;
    let client = holder(&app, made["key"].as_str().unwrap());
    assert_eq!(status(&client, &path).await, 200);
    let mut owner = sqlx::PgConnection::connect(app.database_url()).await.unwrap();
    sqlx::query("delete from api_keys where id = $1::uuid")
        .bind(made["id"].as_str().unwrap())
        .execute(&mut owner)
        .await
        .unwrap();
    let began = Instant::now();
    while status(&client, &path).await != 401 {
        assert!(began.elapsed() < Duration::from_secs(2), "the key is still good");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_rotated_key_is_good_for_as_long_as_the_overlap() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let made = create(&app, &tenant, &["read"]).await;
    let old = holder(&app, made["key"].as_str().unwrap());
    let rotate = format!("{path}/api-keys/{}/rotate", made["id"].as_str().unwrap());
    let answer = app.client.post_json(&rotate, &json!({"overlapSeconds": 60})).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let next = answer.json::<Value>().unwrap();
    let new = holder(&app, next["key"].as_str().unwrap());
    assert_eq!((status(&old, &path).await, status(&new, &path).await), (200, 200));
    let answer = app.client.post_json(&rotate, &json!({"overlapSeconds": 0})).await.unwrap();
    assert_eq!(answer.status, 201);
    assert_eq!((status(&old, &path).await, status(&new, &path).await), (401, 200));
    app.stop().await;
}

#[tokio::test]
async fn a_key_of_another_secret_or_none_is_refused() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let [one, other] = [create(&app, &tenant, &["admin"]).await, create(&app, &tenant, &["admin"]).await];
    let (one, other) = (one["key"].as_str().unwrap(), other["key"].as_str().unwrap());
    let parts: Vec<&str> = one.split('_').collect();
    let secret = other.split('_').nth(2).unwrap();
    let forged = format!("{}_{}_{secret}_{}", parts[0], parts[1], parts[3]);
    for wrong in [forged.as_str(), &one[..one.len() - 1], "tnt_x_y_z", "x"] {
        assert_eq!(status(&holder(&app, wrong), &path).await, 401, "{wrong}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_key_has_a_name_and_scopes_and_an_end_to_come() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}/api-keys");
    for body in [
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": ["everything"]}),
        json!({"name": "x", "scopes": ["read"], "expiresAt": "2020-01-01T00:00:00Z"}),
        json!({"name": "x", "scopes": ["read"], "id": "mine"}),
    ] {
        problem(&app.client.post_json(&path, &body).await.unwrap(), 422);
    }
    app.stop().await;
}
