//! The README's first example, played through Tenet's own HTTP API: a tenant, its schema, a rule, a decision.
//!
//! Every request is shown as a `curl` line that can be repeated. What an earlier run has made is used again, and is
//! left as its owner may have changed it.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::output::say;
use crate::client::{Client, Method, Response};

const TENANT: &str = "acme-corp-demo";
const RULE: &str = "adult";
const SCHEMA: &str = r#"{"definition": {"facts": {"age": "int", "country": "string", "is_premium": "bool"}}}"#;
const FACTS: &str = r#"{"age": 25, "country": "US", "is_premium": true}"#;

/// How long the service may take to be ready.
const READY_MAX: Duration = Duration::from_secs(10);
/// Interval between checks.
const READY_POLL: Duration = Duration::from_millis(20);

/// What the demonstration reads of a page of a list.
#[derive(Deserialize)]
struct Page {
    items: Vec<Named>,
}

/// What it reads of a resource.
#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

/// Plays the example against the service once it is ready, and prints requests and answers.
pub(super) async fn play(client: &Client) -> anyhow::Result<()> {
    timeout(READY_MAX, ready(client)).await.context("the service was not ready in time for the example")?;
    let tenant = tenant(client).await?;
    schema(client, &tenant).await?;
    let rule = rule(client, &tenant).await?;
    say!("\n# A decision: which rules do these facts match?")?;
    let evaluation = format!(r#"{{"tenantId": "{tenant}", "facts": {FACTS}}}"#);
    let decision = send(client, Method::POST, "/api/v1/evaluate", &evaluation).await?;
    expect(&decision, &[200])?;
    say!("\n# Your turn: change the rule, then ask again. The new rule decides at once.")?;
    let path = format!("/api/v1/tenants/{tenant}/rules/{rule}");
    say!("$ {}", curl_line(client, &Method::PATCH, &path, r#"{"expression": "facts.age >= 30"}"#))?;
    say!("$ {}\n", curl_line(client, &Method::POST, "/api/v1/evaluate", &evaluation))?;
    Ok(())
}

async fn ready(client: &Client) {
    while !client.get("/readyz").await.is_ok_and(|response| response.is_success()) {
        sleep(READY_POLL).await;
    }
}

async fn tenant(client: &Client) -> anyhow::Result<String> {
    say!("\n# A tenant")?;
    let created = send(client, Method::POST, "/api/v1/tenants", &format!(r#"{{"name": "{TENANT}"}}"#)).await?;
    if created.status == 201 {
        return Ok(created.json::<Named>()?.id);
    }
    expect(&created, &[409])?;
    say!("\n# An earlier run has created it; it is used again.")?;
    let path = format!("/api/v1/tenants?namePrefix={TENANT}");
    let found = find(client, &path, TENANT).await?;
    found.with_context(|| format!("the service neither creates a tenant `{TENANT}` nor lists one"))
}

async fn schema(client: &Client, tenant: &str) -> anyhow::Result<()> {
    say!("\n# The shape of its facts")?;
    let path = format!("/api/v1/tenants/{tenant}/schema");
    let created = send(client, Method::POST, &path, SCHEMA).await?;
    if created.status == 409 {
        say!("\n# It has a schema from an earlier run, which is kept.")?;
    }
    expect(&created, &[201, 409])
}

async fn rule(client: &Client, tenant: &str) -> anyhow::Result<String> {
    say!("\n# A rule")?;
    let path = format!("/api/v1/tenants/{tenant}/rules");
    let body = format!(r#"{{"name": "{RULE}", "expression": "facts.age >= 18"}}"#);
    let created = send(client, Method::POST, &path, &body).await?;
    if created.status == 201 {
        return Ok(created.json::<Named>()?.id);
    }
    expect(&created, &[409])?;
    say!("\n# It has a rule `{RULE}` from an earlier run, which is kept.")?;
    let found = find(client, &format!("{path}?namePrefix={RULE}"), RULE).await?;
    found.with_context(|| format!("the service neither creates a rule `{RULE}` nor lists one"))
}

async fn find(client: &Client, path: &str, name: &str) -> anyhow::Result<Option<String>> {
    let listed = send(client, Method::GET, path, "").await?;
    expect(&listed, &[200])?;
    let page: Page = listed.json()?;
    Ok(page.items.into_iter().find(|item| item.name == name).map(|item| item.id))
}

/// Sends a request; prints it, and its answer.
async fn send(client: &Client, method: Method, path: &str, body: &str) -> anyhow::Result<Response> {
    say!("$ {}", curl_line(client, &method, path, body))?;
    let headers: &[_] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
    let response = client.request(method, path, headers, body.to_owned()).await?;
    say!("{}", response.status)?;
    let text = response.text();
    say!("{}", if text.starts_with(['{', '[']) { indented(&text) } else { text })?;
    Ok(response)
}

fn expect(response: &Response, statuses: &[u16]) -> anyhow::Result<()> {
    if !statuses.contains(&response.status) {
        bail!("the example ends here: the service answered {} where {statuses:?} was expected", response.status);
    }
    Ok(())
}

/// The request as a line for a shell. The key is named, never shown.
fn curl_line(client: &Client, method: &Method, path: &str, body: &str) -> String {
    let mut line = "curl -s".to_owned();
    if client.has_key() {
        line.push_str(r#" -H "Authorization: Bearer $TENET_OPERATOR_KEY""#);
    }
    if method != Method::GET && method != Method::POST {
        line.push_str(&format!(" -X {method}"));
    }
    line.push_str(&format!(" '{}{path}'", client.url()));
    if !body.is_empty() {
        line.push_str(&format!(" -H 'Content-Type: application/json' -d '{body}'"));
    }
    line
}

/// JSON on several lines, its members in the order they came in.
fn indented(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0_usize, false, false);
    let mut characters = json.chars().filter(|c| !matches!(c, '\n' | '\r')).peekable();
    while let Some(character) = characters.next() {
        if in_text {
            out.push(character);
            in_text = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            ' ' | '\t' => {}
            '{' | '[' if matches!(characters.peek(), Some('}' | ']')) => out.push(character),
            '{' | '[' => {
                depth += 1;
                out.push(character);
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    new_line(&mut out, depth);
                }
                out.push(character);
            }
            ',' => {
                out.push(character);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            '"' => {
                in_text = true;
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn an_answer_is_shown_as_it_came_only_wider() {
        let json = r#"{"z":[{"a":"x, {\"y\"}: \\"},{}],"e":[],"n":-1.5e3,"b":null}"#;
        let shown = indented(json);
        assert_eq!(
            shown,
            "{\n  \"z\": [\n    {\n      \"a\": \"x, {\\\"y\\\"}: \\\\\"\n    },\n    {}\n  ],\n  \"e\": [],\n  \
             \"n\": -1.5e3,\n  \"b\": null\n}"
        );
        let values: [serde_json::Value; 2] = [json, &shown].map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(values[0], values[1]);
        assert_eq!(indented(&shown), shown);
    }

    #[test]
    fn a_request_can_be_repeated_and_the_key_is_not_shown() {
        let client = Client::new("http://127.0.0.1:8080").unwrap();
        assert_eq!(
            curl_line(&client, &Method::POST, "/a", r#"{"b": 1}"#),
            r#"curl -s 'http://127.0.0.1:8080/a' -H 'Content-Type: application/json' -d '{"b": 1}'"#
        );
        let keyed = client.with_key(Some(Secret::new("0123456789abcdef")));
        assert_eq!(
            curl_line(&keyed, &Method::PUT, "/a?b", ""),
            r#"curl -s -H "Authorization: Bearer $TENET_OPERATOR_KEY" -X PUT 'http://127.0.0.1:8080/a?b'"#
        );
    }
}
