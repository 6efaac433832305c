//! The REST API over a socket, laid out like its URLs.

mod admission;
mod analytics;
mod api_keys;
mod attack;
mod auth;
mod breakers;
mod decisions;
mod door;
mod evaluate;
mod events;
mod health;
mod refusals;
mod shared_rates;
mod tenants;
mod tokens;
mod turns;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenet::client::{Client, Method, Response};

use crate::support::TestApp;

/// An id that nothing has.
const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

/// Sends a request with these headers, and a body in JSON unless it is `null`.
async fn send(client: &Client, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut headers = headers.to_vec();
    let mut text = Vec::new();
    if !body.is_null() {
        headers.push(("content-type", "application/json"));
        text = body.to_string().into_bytes();
    }
    client.request(method, path, &headers, text).await.unwrap()
}

/// The answer as JSON, which must have this status.
#[track_caller]
fn body(response: &Response, status: u16) -> Value {
    assert_eq!(response.status, status, "{}", response.text());
    response.json().unwrap()
}

/// The code of a problem, which must have this status and look like one.
#[track_caller]
fn problem(response: &Response, status: u16) -> Value {
    let body = body(response, status);
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{body}");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["requestId"].as_str(), response.header("x-request-id"), "{body}");
    for member in ["type", "title", "detail", "code"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {body}");
    }
    let retries = matches!(status, 429 | 503);
    assert_eq!(response.header("retry-after").is_some(), retries, "{body}");
    body
}

/// The codes and paths of what is wrong with an input.
fn mistakes(problem: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    problem["errors"].as_array().unwrap().iter().map(|error| (text(&error["code"]), text(&error["path"]))).collect()
}

/// A key's text, up to its checksum, with the checksum that belongs to it.
fn with_checksum(text: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let mut value = hash.iter().take(8).fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [0_u8; 6];
    for digit in digits.iter_mut().rev() {
        *digit = alphabet[usize::try_from(value % 62).unwrap()];
        value /= 62;
    }
    format!("{text}_{}", std::str::from_utf8(&digits).unwrap())
}

/// A tenant with facts `age: int`, `country: string`, `is_premium: bool`.
async fn acme(app: &TestApp) -> String {
    app.create_tenant_with_schema("acme-corp", &json!({"age": "int", "country": "string", "is_premium": "bool"})).await
}
