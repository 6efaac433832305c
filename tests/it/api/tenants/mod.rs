//! `/api/v1/tenants`.

mod audit;
mod derived_fields;
mod quotas;
mod rules;
mod runtime;
mod schema;
mod trial;

use serde_json::{Value, json};
use tenet::client::Method;

use super::{NOBODY, acme, body, mistakes, problem, send};
use crate::support::TestApp;

#[tokio::test]
async fn a_tenant_is_made_shown_changed_and_deleted() {
    let app = TestApp::start().await;
    let made = app.client.post_json("/api/v1/tenants", &json!({"name": "acme-corp"})).await.unwrap();
    let tenant = body(&made, 201);
    let path = format!("/api/v1/tenants/{}", tenant["id"].as_str().unwrap());
    assert_eq!(made.header("location"), Some(path.as_str()));
    assert_eq!(made.header("etag"), Some("\"1\""));
    let members: Vec<_> = tenant.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "createdAt",
            "id",
            "idleStopSeconds",
            "name",
            "pinned",
            "quotas",
            "revision",
            "status",
            "strictFacts",
            "tier",
            "updatedAt"
        ]
    );
    assert_eq!(
        (&tenant["name"], &tenant["tier"], &tenant["status"], &tenant["revision"]),
        (&json!("acme-corp"), &json!("free"), &json!("active"), &json!(1))
    );
    assert_eq!(body(&app.client.get(&path).await.unwrap(), 200), tenant);

    let changed = app.client.patch_json(&path, &json!({"tier": "pro", "name": "acme"})).await.unwrap();
    let changed = body(&changed, 200);
    assert_eq!((&changed["tier"], &changed["name"], &changed["revision"]), (&json!("pro"), &json!("acme"), &json!(2)));
    assert_eq!(body(&app.client.get(&path).await.unwrap(), 200)["name"], "acme");

    let deleted = app.client.delete(&path).await.unwrap();
    assert_eq!((deleted.status, deleted.body.len(), deleted.header("etag")), (204, 0, Some("\"3\"")));
    assert_eq!(problem(&app.client.get(&path).await.unwrap(), 404)["code"], "tenant_not_found");
    assert_eq!(problem(&app.client.delete(&path).await.unwrap(), 404)["code"], "tenant_not_found");
    app.stop().await;
}

#[tokio::test]
async fn deleting_a_tenant_deletes_everything_of_it_at_once() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    app.evaluate(&tenant, &json!({"age": 25})).await;
    let path = format!("/api/v1/tenants/{tenant}");
    assert_eq!(app.client.delete(&path).await.unwrap().status, 204);
    let facts = json!({"tenantId": tenant, "facts": {"age": 25}});
    problem(&app.client.post_json("/api/v1/evaluate", &facts).await.unwrap(), 404);
    for below in ["/schema", "/rules", &format!("/rules/{rule}"), "/derived-fields", "/schema/changelog"] {
        let answer = app.client.get(&format!("{path}{below}")).await.unwrap();
        assert_eq!(problem(&answer, 404)["code"], "tenant_not_found", "{below}");
    }
    app.stop().await;
}

#[tokio::test]
async fn tenants_are_listed_by_pages_and_by_the_beginning_of_their_names() {
    let app = TestApp::start().await;
    for name in ["b-2", "a_1", "b-1", "a%1", "b-3"] {
        app.create_tenant(name).await;
    }
    let names = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut found = Vec::new();
    let mut path = "/api/v1/tenants?limit=2".to_owned();
    loop {
        let page = body(&app.client.get(&path).await.unwrap(), 200);
        assert!(names(&page).len() <= 2);
        found.extend(names(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/tenants?limit=2&cursor={cursor}");
    }
    found.sort();
    assert_eq!(found, ["a%1", "a_1", "b-1", "b-2", "b-3"]);
    let by_prefix = async |prefix: &str| {
        names(&body(&app.client.get(&format!("/api/v1/tenants?namePrefix={prefix}")).await.unwrap(), 200))
    };
    assert_eq!(by_prefix("b-").await, ["b-1", "b-2", "b-3"]);
    assert_eq!(by_prefix("a%25").await, ["a%1"]);
    assert_eq!(by_prefix("a_").await, ["a_1"]);
    assert_eq!(by_prefix("none").await, Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let app = TestApp::start().await;
    app.create_tenant("acme").await;
    let again = app.client.post_json("/api/v1/tenants", &json!({"name": "acme"})).await.unwrap();
    assert_eq!(problem(&again, 409)["code"], "tenant_name_taken");
    let other = app.create_tenant("other").await;
    let renamed = app.client.patch_json(&format!("/api/v1/tenants/{other}"), &json!({"name": "acme"})).await.unwrap();
    assert_eq!(problem(&renamed, 409)["code"], "tenant_name_taken");
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_tenant_is_refused_with_its_path() {
    let app = TestApp::start().await;
    for (tenant, code, path) in [
        (json!({}), "missing_field", "name"),
        (json!({"name": 7}), "wrong_type", "name"),
        (json!({"name": null}), "wrong_type", "name"),
        (json!({"name": " "}), "name_empty", "name"),
        (json!({"name": "x".repeat(256)}), "name_too_long", "name"),
        (json!({"name": "a\nb"}), "name_control_character", "name"),
        (json!({"name": "a\u{0}b"}), "nul_character", "name"),
        (json!({"name": "a", "tier": "gold"}), "unknown_value", "tier"),
        (json!({"name": "a", "status": "active"}), "unknown_field", "status"),
        (json!({"name": "a", "id": NOBODY}), "unknown_field", "id"),
        (json!(["a"]), "wrong_type", ""),
    ] {
        let answer = app.client.post_json("/api/v1/tenants", &tenant).await.unwrap();
        assert_eq!(mistakes(&problem(&answer, 422)), [(code.to_owned(), path.to_owned())], "{tenant}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_suspended_tenant_is_kept_and_not_decided_for() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    app.evaluate(&tenant, &json!({"age": 25})).await;
    let path = format!("/api/v1/tenants/{tenant}");
    body(&app.client.patch_json(&path, &json!({"status": "suspended"})).await.unwrap(), 200);
    let evaluate = format!("{path}/evaluate");
    let refused = app.client.post_json(&evaluate, &json!({"facts": {"age": 25}})).await.unwrap();
    assert_eq!(problem(&refused, 403)["code"], "tenant_suspended");
    assert_eq!(app.client.get(&format!("{path}/rules")).await.unwrap().status, 200);
    body(&app.client.patch_json(&path, &json!({"status": "active"})).await.unwrap(), 200);
    body(&app.client.post_json(&evaluate, &json!({"facts": {"age": 25}})).await.unwrap(), 200);
    app.stop().await;
}

#[tokio::test]
async fn a_change_is_made_at_the_revision_that_the_caller_saw() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}");
    let rules = format!("{path}/rules");
    let rule = json!({"name": "adult", "expression": "facts.age >= 18"});
    let post =
        async |tag: &str, body: &Value| send(&app.client, Method::POST, &rules, &[("if-match", tag)], body).await;
    let stale = problem(&post("\"1\"", &rule).await, 412);
    assert_eq!((&stale["code"], &stale["currentRevision"]), (&json!("revision_mismatch"), &json!(2)));
    let made = post("\"2\"", &rule).await;
    assert_eq!((made.status, made.header("etag")), (201, Some("\"3\"")));
    for tag in ["3", "\"three", "*, \"3\""] {
        assert_eq!(problem(&post(tag, &rule).await, 400)["code"], "if_match_invalid", "{tag}");
    }
    // A weak tag matches nothing, and neither does one that was never given.
    for tag in ["W/\"3\"", "\"three\"", "\"0\", \"2\""] {
        assert_eq!(problem(&post(tag, &rule).await, 412)["currentRevision"], 3, "{tag}");
    }
    // One of a list is enough: what is refused then is the name.
    assert_eq!(problem(&post("\"0\", \"3\"", &rule).await, 409)["code"], "name_taken");
    let gone = send(&app.client, Method::DELETE, &path, &[("if-match", "\"2\"")], &Value::Null).await;
    assert_eq!(problem(&gone, 412)["currentRevision"], 3);
    let patched = send(&app.client, Method::PATCH, &path, &[("if-match", "*")], &json!({"tier": "pro"})).await;
    assert_eq!(body(&patched, 200)["revision"], 4);
    let gone = send(&app.client, Method::DELETE, &path, &[("if-match", "\"4\"")], &Value::Null).await;
    assert_eq!(gone.status, 204);
    app.stop().await;
}

#[tokio::test]
async fn a_caller_that_has_the_revision_is_not_sent_it_again() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}");
    let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    for below in
        ["", "/schema", "/schema/versions", "/schema/versions/1", "/schema/changelog", "/rules", "/derived-fields"]
            .map(|below| format!("{path}{below}"))
            .into_iter()
            .chain([format!("{path}/rules/{rule}")])
    {
        let answer = app.client.get(&below).await.unwrap();
        assert_eq!((answer.status, answer.header("etag")), (200, Some("\"3\"")), "{below}");
        let again = send(&app.client, Method::GET, &below, &[("if-none-match", "\"3\"")], &Value::Null).await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some("\"3\"")), "{below}");
        let older = send(&app.client, Method::GET, &below, &[("if-none-match", "\"2\"")], &Value::Null).await;
        assert_eq!(older.status, 200, "{below}");
    }
    app.stop().await;
}
