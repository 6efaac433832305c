//! `/api/v1/tenants/{tenantId}/runtime`, `/api/v1/runtime/tenants` and `/api/v1/runtime/nodes`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    api::{NOBODY, acme, body, mistakes, problem},
    support::{TestApp, within},
};

async fn verb(app: &TestApp, tenant: &str, verb: &str) -> tenet::client::Response {
    app.client.post_json(&format!("/api/v1/tenants/{tenant}/runtime/{verb}"), &json!({})).await.unwrap()
}

#[tokio::test]
async fn a_tenant_is_warmed_up_reloaded_and_stopped() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let runtime = format!("/api/v1/tenants/{tenant}/runtime");
    let cold = body(&app.client.get(&runtime).await.unwrap(), 200);
    let expected = json!({
        "tenantId": tenant, "name": "acme-corp", "state": "cold", "pinned": false,
        "revision": null, "storedRevision": 3, "resident": null,
    });
    assert_eq!(cold, expected);

    let loaded = body(&verb(&app, &tenant, "load").await, 200);
    assert_eq!((&loaded["state"], &loaded["revision"]), (&json!("ready"), &json!(3)));
    app.evaluate(&tenant, &json!({"age": 20, "country": "US", "is_premium": true})).await;
    let ready = body(&app.client.get(&runtime).await.unwrap(), 200);
    let resident = &ready["resident"];
    for (member, value) in
        [("activeRules", 1), ("brokenRules", 0), ("decisions", 1), ("rulesEvaluated", 1), ("restarts", 0)]
    {
        assert_eq!(resident[member], value, "{member} in {resident}");
    }
    assert!(resident["cost"].as_u64().unwrap() > 0 && resident["memoryBytes"].as_u64().unwrap() > 0, "{resident}");
    assert!(resident["lastError"].is_null() && resident["lastLoad"]["revision"] == 3, "{resident}");

    let reloaded = body(&verb(&app, &tenant, "reload").await, 200);
    assert_ne!(reloaded["resident"]["lastLoad"]["at"], resident["lastLoad"]["at"]);
    assert_eq!(body(&verb(&app, &tenant, "release").await, 200)["state"], "ready");

    let stopped = body(&verb(&app, &tenant, "stop").await, 200);
    assert!(["stopping", "cold"].contains(&stopped["state"].as_str().unwrap()), "{stopped}");
    for verb_name in ["load", "stop", "reload", "release"] {
        assert_eq!(problem(&verb(&app, NOBODY, verb_name).await, 404)["code"], "tenant_not_found", "{verb_name}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_pinned_tenant_is_in_memory_and_cannot_be_stopped() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}");
    let pinned = body(&app.client.patch_json(&path, &json!({"pinned": true})).await.unwrap(), 200);
    assert_eq!((&pinned["pinned"], &pinned["idleStopSeconds"]), (&json!(true), &Value::Null));
    let runtime = body(&app.client.get(&format!("{path}/runtime")).await.unwrap(), 200);
    assert_eq!((&runtime["state"], &runtime["pinned"]), (&json!("ready"), &json!(true)));
    assert_eq!(problem(&verb(&app, &tenant, "stop").await, 409)["code"], "tenant_pinned");
    app.stop().await;
}

#[tokio::test]
async fn a_tenant_is_given_an_idle_time_and_loses_it() {
    let app = TestApp::start().await;
    let path = format!("/api/v1/tenants/{}", acme(&app).await);
    for (given, kept) in [(json!(60), json!(60)), (json!(null), json!(null))] {
        let change = json!({ "idleStopSeconds": given });
        assert_eq!(body(&app.client.patch_json(&path, &change).await.unwrap(), 200)["idleStopSeconds"], kept);
    }
    for wrong in [json!(0), json!(31_536_001)] {
        let refused = app.client.patch_json(&path, &json!({ "idleStopSeconds": wrong })).await.unwrap();
        let expected = [("invalid_value".to_owned(), "idleStopSeconds".to_owned())];
        assert_eq!(mistakes(&problem(&refused, 422)), expected);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_decisions_until_it_is_active_again() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}");
    let evaluation = json!({ "tenantId": tenant, "facts": {} });
    for (status, answer) in [("suspended", 403), ("active", 200)] {
        body(&app.client.patch_json(&path, &json!({ "status": status })).await.unwrap(), 200);
        let decided = app.client.post_json("/api/v1/evaluate", &evaluation).await.unwrap();
        assert_eq!(decided.status, answer, "{}", decided.text());
        if answer == 403 {
            assert_eq!(problem(&decided, 403)["code"], "tenant_suspended");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn tenants_are_listed_by_state_in_pages() {
    let app = TestApp::start().await;
    let mut tenants = Vec::new();
    for number in 0..3 {
        tenants.push(app.create_tenant_with_schema(&format!("tenant {number}"), &json!({"n": "int"})).await);
    }
    body(&verb(&app, &tenants[1], "load").await, 200);
    let list =
        async |query: &str| body(&app.client.get(&format!("/api/v1/runtime/tenants{query}")).await.unwrap(), 200);
    let ids = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["tenantId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&list("").await), tenants);
    assert_eq!(ids(&list("?state=ready&state=quarantined").await), tenants[1..2]);
    assert_eq!(ids(&list("?state=cold").await), [&*tenants[0], &*tenants[2]]);
    let first = list("?limit=2").await;
    assert_eq!(ids(&first), tenants[..2]);
    let rest = list(&format!("?limit=2&cursor={}", first["nextCursor"].as_str().unwrap())).await;
    assert_eq!((ids(&rest), &rest["nextCursor"]), (tenants[2..].to_vec(), &Value::Null));

    let refused = app.client.get("/api/v1/runtime/tenants?state=hot").await.unwrap();
    assert_eq!(mistakes(&problem(&refused, 422)), [("invalid_value".to_owned(), "state".to_owned())]);
    app.stop().await;
}

#[tokio::test]
async fn the_nodes_are_listed_and_the_states_are_in_the_metrics() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    body(&verb(&app, &tenant, "load").await, 200);
    let nodes = async || body(&app.client.get("/api/v1/runtime/nodes").await.unwrap(), 200)["items"].clone();
    within(Duration::from_secs(5), "a heartbeat", async || nodes().await.as_array().unwrap().len() == 1).await;
    let node = nodes().await[0].clone();
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    for member in ["id", "host", "startedAt", "heartbeatAt"] {
        assert!(node[member].is_string(), "{member} in {node}");
    }
    for member in ["residentTenants", "memoryBytes", "lagMs", "synchronisedAgoMs"] {
        assert!(node[member].is_u64(), "{member} in {node}");
    }
    let metrics = app.client.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("tenet_resident_tenants{state=\"ready\"} 1\n"), "{metrics}");
    assert!(metrics.contains("tenet_resident_tenants{state=\"quarantined\"} 0\n"), "{metrics}");
    app.stop().await;
}
