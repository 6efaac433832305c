//! Values of sensitive facts are nowhere to be seen: not in an answer, a trace, an error, a log line of any level, a
//! metric, the audit log or the schema's changelog.

use rustix::process::Signal;
use serde_json::{Value, json};
use tenet::{
    client::{Client, Method},
    config::Secret,
};

use crate::support::{OPERATOR_KEY, TestDatabase, TestProcess, free_address};

/// Stands in every sensitive value that can hold a text.
const CANARY: &str = "canary";
/// Stands in every sensitive number.
const NUMBER: &str = "77712345";

fn schema() -> Value {
    let person = json!({"name": "string", "secret": {"type": "string", "sensitive": true}});
    json!({"definition": {"facts": {
        "age": "int",
        "ssn": {"type": "string", "maxLength": 40, "sensitive": true},
        "pin": {"type": "int", "maximum": 99_999_999, "sensitive": true},
        "color": {"type": "string", "enum": ["red"], "sensitive": true},
        "born": {"type": "timestamp", "sensitive": true},
        "map": {"type": "map", "values": "string", "sensitive": true},
        "codes": {"type": "list", "items": {"type": "string", "sensitive": true}},
        "person": person,
        "people": {"type": "list", "items": person},
        "vault": {"type": "object", "fields": {"door": "int"}, "sensitive": true},
    }}})
}

fn facts() -> Value {
    let person = json!({"name": "Ann", "secret": "canary-nested"});
    json!({
        "age": 7, "ssn": "canary-ssn", "pin": 77_712_345, "map": {"canary-key": "canary-value"},
        "codes": ["canary-code"], "person": person, "people": [person], "vault": {"door": 77_712_345},
    })
}

/// Rules that succeed with sensitive values, and rules that fail on them.
const RULES: [&str; 22] = [
    "facts.ssn == 'x' || facts.age > 3",
    "facts.ssn.startsWith('c') && facts.ssn.size() > 3",
    "int(facts.ssn) > 1",
    "timestamp(facts.ssn) > timestamp('2020-01-01T00:00:00Z')",
    "duration(facts.ssn) > duration('1s')",
    "{'a': 1}[facts.ssn] == 1",
    "facts.map[facts.ssn] == ''",
    "{facts.ssn: 1, facts.ssn + '': 2}.size() == 2",
    "'a'.matches(facts.ssn + '(')",
    "ip(facts.ssn).isLoopback()",
    "[1, 2][facts.pin] == 1",
    "facts.pin * facts.pin * facts.pin > 1",
    "facts.codes.exists(code, int(code) > 1)",
    "facts.codes.map(code, code + '!').size() == 1",
    "facts.map.exists(key, int(key) > 1)",
    "facts.person.name == 'Ann' && int(facts.person.secret) > 0",
    "facts.people.exists(person, person.secret == 'x')",
    "facts.people.filter(person, person.name == 'Ann').size() == 1",
    "facts.vault.door > 3 && string(facts.vault.door) == ''",
    "derived.half == 'x'",
    "int(derived.half) == 1",
    "int(derived.number) == 1",
];

/// Facts that are refused, each for another reason, as they are sent.
const REFUSED: [&str; 12] = [
    r#"{"pin": "canary"}"#,
    r#"{"pin": 777123450000}"#,
    r#"{"pin": 77712345.5}"#,
    r#"{"ssn": 77712345}"#,
    r#"{"ssn": "canary canary canary canary canary canary canary"}"#,
    r#"{"color": "canary"}"#,
    r#"{"born": "canary"}"#,
    r#"{"map": {"canary": "canary", "canary": "canary"}}"#,
    r#"{"map": {"canary\u0000": 1}}"#,
    r#"{"codes": [{"canary": 1}]}"#,
    r#"{"vault": {"canary": 77712345}}"#,
    r#"{"vault": {"door": {"canary": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}}"#,
];

struct Witness {
    client: Client,
    tenant: String,
    seen: String,
}

impl Witness {
    /// Posts a body below the tenant, keeps the answer, and says its status.
    async fn post(&mut self, path: &str, content_type: &str, body: String) -> u16 {
        let path = format!("/api/v1/tenants/{}{path}", self.tenant);
        let headers = [("content-type", content_type)];
        let answer = self.client.request(Method::POST, &path, &headers, body.into_bytes()).await.unwrap();
        self.keep(&format!("{path}: {}", answer.text()));
        answer.status
    }

    async fn make(&mut self, path: &str, body: &Value) {
        assert_eq!(self.post(path, "application/json", body.to_string()).await, 201, "{body}: {}", self.seen);
    }

    fn keep(&mut self, text: &str) {
        self.seen.push_str(text);
        self.seen.push('\n');
    }
}

async fn witness(client: Client) -> Witness {
    let made = client.post_json("/api/v1/tenants", &json!({"name": "acme"})).await.unwrap();
    let tenant = made.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned();
    let mut witness = Witness { client, tenant, seen: String::new() };
    witness.make("/schema", &schema()).await;
    for (name, expression) in [("half", "facts.ssn + '?'"), ("number", "int(derived.half)")] {
        witness.make("/derived-fields", &json!({"name": name, "expression": expression})).await;
    }
    for (number, expression) in RULES.iter().enumerate() {
        witness.make("/rules", &json!({"name": format!("rule {number}"), "expression": expression})).await;
    }
    witness
}

#[tokio::test]
async fn no_value_of_a_sensitive_fact_is_shown_anywhere() {
    let database = TestDatabase::fresh().await;
    let listen = free_address();
    let variables = [
        ("DATABASE_URL", database.url()),
        ("TENET_OPERATOR_KEY", OPERATOR_KEY),
        ("TENET_LISTEN", &listen),
        ("TENET_LOG", "trace"),
    ];
    let mut process = TestProcess::run(&["serve"], &variables);
    let client = process.ready(&listen).await.with_key(Some(Secret::new(OPERATOR_KEY)));
    let mut witness = witness(client).await;
    const JSON: &str = "application/json";

    for trace in [false, true] {
        let body = json!({"facts": facts(), "trace": trace});
        assert_eq!(witness.post("/evaluate", JSON, body.to_string()).await, 200, "{}", witness.seen);
        let body = json!({"items": [{"facts": facts()}], "trace": trace});
        assert_eq!(witness.post("/evaluate/batch", JSON, body.to_string()).await, 200);
        let line = json!({"facts": facts()}).to_string();
        let path = format!("/evaluate/batch?trace={trace}");
        assert_eq!(witness.post(&path, "application/x-ndjson", line).await, 200);
    }
    assert!(witness.seen.contains("(sensitive)") && witness.seen.contains("is not shown"), "{}", witness.seen);
    for expression in RULES.into_iter().chain(["facts.ssn", "[facts.pin]", "facts.person", "derived.half"]) {
        let body = json!({"expression": expression, "items": [{"facts": facts()}]});
        assert_eq!(witness.post("/rules/try", JSON, body.to_string()).await, 200, "{expression}");
    }
    for facts in REFUSED {
        for strict in [false, true] {
            let body = format!(r#"{{"facts": {facts}, "strictFacts": {strict}, "trace": true}}"#);
            let status = witness.post("/evaluate", JSON, body).await;
            assert!(status == 422 || status == 400 || !strict, "{status} {facts}");
            let body = format!(r#"{{"items": [{{"facts": {facts}}}], "strictFacts": {strict}, "trace": true}}"#);
            witness.post("/evaluate/batch", JSON, body).await;
            let body = format!(r#"{{"expression": "true", "items": [{{"facts": {facts}}}], "strictFacts": {strict}}}"#);
            witness.post("/rules/try", JSON, body).await;
            let path = format!("/evaluate/batch?strictFacts={strict}&trace=true");
            witness.post(&path, "application/x-ndjson", format!(r#"{{"facts": {facts}}}"#)).await;
        }
    }
    for path in ["/audit?limit=200", "/schema/changelog", "/runtime"] {
        let answer = witness.client.get(&format!("/api/v1/tenants/{}{path}", witness.tenant)).await.unwrap();
        assert_eq!(answer.status, 200);
        witness.keep(&answer.text());
    }
    let metrics = witness.client.get("/metrics").await.unwrap().text();
    witness.keep(&metrics);
    process.signal(Signal::TERM);
    process.end().await;
    let logged = process.printed();
    assert!(logged.contains("/evaluate"), "the log was read: {logged}");
    for (place, text) in [("an answer", &witness.seen), ("the log", &logged)] {
        for secret in [CANARY, NUMBER] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "`{secret}` in {place}: {line:?}");
        }
    }
}
