//! An attacker with every kind of credential, at every route: what is answered is what the table of permissions says,
//! and nothing that belongs to another tenant is ever in it.

use serde_json::{Value, json};
use tenet::{
    client::{Client, Method},
    config::{JwtAlgorithm, Secret},
};

use super::{NOBODY, send};
use crate::support::{TestApp, TokenIssuer};

/// What stands in every text of the tenant that is attacked.
const CANARY: &str = "globex-canary";

/// What each operation asks of its caller. One that is not here fails the test.
fn permission(operation: &str) -> &'static str {
    match operation {
        "evaluate" | "evaluateForTenant" | "evaluateBatch" => "evaluate",
        "createTenant" | "changeTenant" | "deleteTenant" | "loadTenant" | "stopTenant" | "reloadTenant"
        | "releaseTenant" | "listTenantRuntimes" | "listNodes" => "operate",
        "listAudit" => "audit",
        "createApiKey" | "listApiKeys" | "deleteApiKey" | "rotateApiKey" => "administer",
        "createSchema"
        | "putSchema"
        | "activateSchemaVersion"
        | "createDerivedField"
        | "changeDerivedField"
        | "deleteDerivedField"
        | "createRule"
        | "replaceRules"
        | "replaceAllRules"
        | "changeRule"
        | "replaceRule"
        | "deleteRule" => "write",
        operation
            if ["list", "get", "check"].iter().any(|verb| operation.starts_with(verb))
                && !operation.contains("ApiKey") =>
        {
            "read"
        }
        other => panic!("`{other}` is not covered: say here what it asks of its caller"),
    }
}

fn permits(scope: &str, permission: &str) -> bool {
    match scope {
        "admin" | "owner" => permission != "operate",
        "editor" => ["evaluate", "read", "write"].contains(&permission),
        "evaluator" => permission == "evaluate",
        "ingester" => permission == "ingest",
        "auditor" => ["audit", "read"].contains(&permission),
        "write" => ["read", "write"].contains(&permission),
        scope => scope == permission,
    }
}

/// A tenant with something of everything, `canary` in each of its texts.
struct Target {
    tenant: String,
    rule: String,
    field: String,
    key: String,
}

async fn target(app: &TestApp, canary: &str) -> Target {
    let fields = json!({"age": {"type": "int", "description": canary}});
    let tenant = app.create_tenant_with_schema(canary, &fields).await;
    let make = async |part: &str, body: Value| {
        let answer = app.client.post_json(&format!("/api/v1/tenants/{tenant}/{part}"), &body).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned()
    };
    let expression = format!("facts.age >= 18 && '{canary}' != ''");
    let rule =
        make("rules", json!({"name": canary, "expression": expression, "description": canary, "tags": [canary]}));
    let rule = rule.await;
    let name = format!("grown_{}", canary.replace('-', "_"));
    let field = make("derived-fields", json!({"name": name, "expression": expression, "description": canary})).await;
    let key = make("api-keys", json!({"name": canary, "scopes": ["read"]})).await;
    Target { tenant, rule, field, key }
}

async fn key(app: &TestApp, tenant: &str, scope: &str) -> Value {
    let body = json!({"name": scope, "scopes": [scope]});
    app.client.post_json(&format!("/api/v1/tenants/{tenant}/api-keys"), &body).await.unwrap().json().unwrap()
}

/// Each credential, with the scope that it has, if it is valid.
async fn credentials(
    app: &TestApp,
    issuer: &TokenIssuer,
    own: &Target,
    other: &Target,
) -> Vec<(Client, Option<&'static str>)> {
    let nobody = Client::new(app.client.url()).unwrap();
    let with = |key: String| nobody.clone().with_key(Some(Secret::new(key)));
    let mut credentials = vec![(nobody.clone(), None), (with("garbage".to_owned()), None)];
    let mut parts = Vec::new();
    for tenant in [&own.tenant, &other.tenant] {
        let text = key(app, tenant, "admin").await["key"].as_str().unwrap().to_owned();
        parts.push(text.split('_').map(str::to_owned).collect::<Vec<_>>());
    }
    // Its own secret under the other's public id, and the checksum of neither.
    credentials.push((with(format!("tnt_{}_{}_{}", parts[1][1], parts[0][2], parts[0][3])), None));
    let revoked = key(app, &own.tenant, "admin").await;
    let path = format!("/api/v1/tenants/{}/api-keys/{}", own.tenant, revoked["id"].as_str().unwrap());
    assert_eq!(send(&app.client, Method::DELETE, &path, &[], &Value::Null).await.status, 204);
    credentials.push((with(revoked["key"].as_str().unwrap().to_owned()), None));
    for scope in ["evaluate", "ingest", "read", "audit", "write", "admin"] {
        let made = key(app, &own.tenant, scope).await;
        credentials.push((with(made["key"].as_str().unwrap().to_owned()), Some(scope)));
    }
    for role in ["owner", "editor", "evaluator", "ingester", "auditor"] {
        credentials.push((with(issuer.token(&own.tenant, role)), Some(role)));
    }
    // The signature of its own token under the claims of the other's.
    let [ours, theirs] = [own, other].map(|target| issuer.token(&target.tenant, "owner"));
    let (message, (_, signature)) = (theirs.rsplit_once('.').unwrap().0, ours.rsplit_once('.').unwrap());
    credentials.push((with(format!("{message}.{signature}")), None));
    credentials
}

/// Everything of a tenant, as the operator sees it.
async fn everything(app: &TestApp, tenant: &str) -> String {
    let mut all = String::new();
    for part in ["", "/schema", "/schema/changelog", "/rules", "/derived-fields", "/audit"] {
        all.push_str(&app.client.get(&format!("/api/v1/tenants/{tenant}{part}")).await.unwrap().text());
    }
    all
}

#[tokio::test]
async fn an_attacker_with_every_credential_learns_and_changes_nothing_of_another_tenant() {
    let issuer = TokenIssuer::new(JwtAlgorithm::EdDsa);
    let app = TestApp::builder().settings(|settings| settings.jwt = issuer.settings()).start().await;
    let (own, other) = (target(&app, "acme-twin").await, target(&app, CANARY).await);
    let credentials = credentials(&app, &issuer, &own, &other).await;
    let document = app.client.get("/api-docs/openapi.json").await.unwrap().json::<Value>().unwrap();
    let before = everything(&app, &other.tenant).await;
    let rounds = if std::env::var("TENET_PROOFS").is_ok_and(|proofs| proofs == "full") { 20 } else { 1 };
    let mut sent = 0_u64;
    for _ in 0..rounds {
        for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/"))
        {
            for (method, operation) in item.as_object().unwrap() {
                let needs = permission(operation["operationId"].as_str().unwrap());
                let method: Method = method.to_uppercase().parse().unwrap();
                for (client, scope) in &credentials {
                    sent += attack(client, *scope, &method, path, needs, [&own, &other]).await;
                }
            }
        }
    }
    assert_eq!(everything(&app, &other.tenant).await, before, "nothing of the other tenant has changed");
    assert!(sent >= if rounds > 1 { 100_000 } else { 5_000 }, "{sent}");
    println!("{sent} requests");
    app.stop().await;
}

/// One credential at one route, with own, other and absent ids in every combination; answers how many requests.
async fn attack(
    client: &Client,
    scope: Option<&str>,
    method: &Method,
    pattern: &str,
    needs: &str,
    [own, other]: [&Target; 2],
) -> u64 {
    let things = [
        [&own.rule, &own.field, &own.key].map(String::as_str),
        [&other.rule, &other.field, &other.key].map(String::as_str),
        [NOBODY; 3],
    ];
    let mut sent = 0;
    for (place, tenant) in [own.tenant.as_str(), other.tenant.as_str(), NOBODY, "no-id"].into_iter().enumerate() {
        for [rule, field, key] in things {
            let path = pattern.replace("{tenantId}", tenant).replace("{ruleId}", rule).replace("{fieldId}", field);
            let path = path.replace("{keyId}", key).replace("{version}", "1");
            // Never what would change the attacker itself for good: a body that can be read and not be accepted.
            for body in [json!({"tenantId": tenant, "facts": {"age": 20}}), json!({"name": rule, "rules": [rule]})] {
                let deletes = *method == Method::DELETE || pattern.ends_with("/activate");
                let body = if *method == Method::GET || deletes { Value::Null } else { body };
                let answer = send(client, method.clone(), &path, &[], &body).await;
                sent += 1;
                let about = format!("{method} {path} {body} with {scope:?}: {} {}", answer.status, answer.text());
                assert!(!answer.text().contains(CANARY), "leaked: {about}");
                let Some(scope) = scope else {
                    assert_eq!(answer.status, 401, "{about}");
                    continue;
                };
                let foreign = pattern.contains("{tenantId}") && place > 0;
                match (foreign, permits(scope, needs)) {
                    (true, _) => {
                        assert_eq!(answer.status, 404, "{about}");
                        assert_eq!(answer.json::<Value>().unwrap()["code"], "tenant_not_found", "{about}");
                    }
                    (false, false) => assert_eq!(answer.status, 403, "{about}"),
                    (false, true) => {
                        assert!(answer.status < 500 && ![401, 403].contains(&answer.status), "{about}");
                        let of_other =
                            [&other.rule, &other.field, &other.key].iter().any(|id| path.contains(id.as_str()));
                        let names_other = pattern == "/api/v1/evaluate" && place > 0 && body.get("facts").is_some();
                        let is_unknown = of_other || names_other;
                        let is_success = (200..300).contains(&answer.status);
                        assert!(!is_unknown || !is_success, "{about}");
                    }
                }
            }
        }
    }
    sent
}
