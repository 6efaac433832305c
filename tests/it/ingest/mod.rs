//! What is promised of an event that was accepted, put to the proof by faults from outside.

#[cfg(feature = "rabbitmq")]
mod broker;
mod careful;
mod idle;
mod ledger;
#[cfg(feature = "rabbitmq")]
mod place;
mod poison;
mod recovery;
mod redrives;
mod signals;
mod seam;
#[cfg(feature = "redis")]
mod shared;
mod takeover;
mod workers;

use serde_json::{Value, json};
use tenet::client::Client;

/// Creates a tenant whose rule matches even `facts.n`; answers its id.
async fn tenant(client: &Client, name: &str) -> String {
    let post = async |path: &str, document: Value| -> Value {
        let answer = client.post_json(path, &document).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json().unwrap()
    };
    let made = post("/api/v1/tenants", json!({"name": name, "tier": "enterprise"})).await;
    let id = made["id"].as_str().unwrap().to_owned();
    post(&format!("/api/v1/tenants/{id}/schema"), json!({"definition": {"facts": {"n": "int"}}})).await;
    let rule = json!({"name": "even", "expression": "facts.n % 2 == 0"});
    post(&format!("/api/v1/tenants/{id}/rules"), rule).await;
    id
}

/// Sends an event; answers its id if it is stored.
async fn send(client: &Client, tenant: &str, n: i64) -> Option<String> {
    let event = json!({"facts": {"n": n}});
    let answer = client.post_json(&format!("/api/v1/tenants/{tenant}/events"), &event).await.ok()?;
    let id = answer.json::<Value>().ok()?["id"].as_str().map(str::to_owned);
    id.filter(|_| answer.status == 202)
}

/// The ids and statuses of a batch; `None` if it has to be sent again.
async fn post(client: &Client, path: &str, batch: &Value) -> Option<Vec<(String, String)>> {
    let answer = client.post_json(path, batch).await.ok().filter(|answer| answer.status == 202)?;
    let answer: Value = answer.json().ok()?;
    let text = |item: &Value, name: &str| item[name].as_str().map(str::to_owned);
    answer["items"].as_array()?.iter().map(|item| Some((text(item, "id")?, text(item, "status")?))).collect()
}

/// A number of the environment, for a proof that is larger than a test.
pub fn size(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What has become of an event.
async fn state(client: &Client, tenant: &str, id: &str) -> String {
    let answer = client.get(&format!("/api/v1/tenants/{tenant}/events/{id}")).await.unwrap();
    answer.json::<Value>().unwrap()["state"].as_str().unwrap_or_default().to_owned()
}
