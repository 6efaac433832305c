//! A stream goes on for no longer than the credential that opened it is good.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Connection;
use tenet::{
    config::JwtAlgorithm,
    domain::{ApiKeyId, Holder, Token},
};
use tokio::net::TcpStream;

use crate::{
    api::{acme, body},
    support::{Key, OPERATOR_KEY, TestApp, TokenIssuer, converse, now, read_until, send_line},
};

const LINE: &str = r#"{"facts":{"age":25}}"#;

/// A stream whose first line has been decided.
struct Open {
    socket: TcpStream,
    read: String,
    lines: usize,
}

impl Open {
    async fn with(app: &TestApp, tenant: &str, key: &str) -> Self {
        let mut stream =
            Self { socket: converse(app, tenant, "evaluate/batch", key).await, read: String::new(), lines: 0 };
        assert!(stream.goes_on().await, "{}", stream.read);
        stream
    }

    /// Sends a line: whether it is decided, or ends the stream since nobody is known by the key.
    async fn goes_on(&mut self) -> bool {
        send_line(&mut self.socket, LINE).await;
        read_until(&mut self.socket, &mut self.read, &format!(r#"{{"index":{},"#, self.lines)).await;
        self.lines += 1;
        let is_decided = self.read.matches("results").count() == self.lines;
        if !is_decided {
            assert!(self.read.contains(r#""error":{"code":"unauthenticated""#), "{}", self.read);
            read_until(&mut self.socket, &mut self.read, "\r\n0\r\n").await;
        }
        is_decided
    }

    async fn ends_within(&mut self, bound: Duration) {
        let began = Instant::now();
        while self.goes_on().await {
            assert!(began.elapsed() < bound, "the stream goes on: {}", self.read);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn make_key(app: &TestApp, tenant: &str, ends: Option<Duration>) -> (String, String) {
    let path = format!("/api/v1/tenants/{tenant}/api-keys");
    let expires_at = ends.map(|ends| chrono::Utc::now() + ends);
    let made = json!({"name": "stream", "scopes": ["evaluate"], "expiresAt": expires_at});
    let made = body(&app.client.post_json(&path, &made).await.unwrap(), 201);
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_stream_ends_with_the_tenants_key_that_opened_it() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let keys = format!("/api/v1/tenants/{tenant}/api-keys");
    let mut streams = Vec::new();
    for ends in [None, None, None, None, Some(Duration::from_secs(2))] {
        let (id, key) = make_key(&app, &tenant, ends).await;
        streams.push((id, Open::with(&app, &tenant, &key).await));
    }
    let [(revoked, first), (rotated, second), (deleted, third), (_, kept), (_, ended)] = &mut streams[..] else {
        unreachable!()
    };
    assert_eq!(app.client.delete(&format!("{keys}/{revoked}")).await.unwrap().status, 204);
    assert!(!first.goes_on().await, "{}", first.read);
    let rotate = format!("{keys}/{rotated}/rotate");
    body(&app.client.post_json(&rotate, &json!({"overlapSeconds": 0})).await.unwrap(), 201);
    assert!(!second.goes_on().await, "{}", second.read);
    ended.ends_within(Duration::from_secs(3)).await;
    // By hand, which this node is told of as of what another does.
    let mut owner = sqlx::PgConnection::connect(app.database_url()).await.unwrap();
    let delete = sqlx::query("delete from api_keys where id = $1::uuid").bind(deleted.as_str());
    delete.execute(&mut owner).await.unwrap();
    third.ends_within(Duration::from_secs(2)).await;
    assert!(kept.goes_on().await, "{}", kept.read);
    app.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_operators_key_that_opened_it_unless_the_settings_name_it() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let id = ApiKeyId::generate();
    let token = Token::generate(Holder::Operator(id)).unwrap();
    let mut owner = sqlx::PgConnection::connect(app.database_url()).await.unwrap();
    let insert = sqlx::query("insert into operator_keys (id, name, digest) values ($1, 'stream', $2)");
    insert.bind(id.0).bind(token.digest(None).0.to_vec()).execute(&mut owner).await.unwrap();
    let mut stored = Open::with(&app, &tenant, &token.text()).await;
    let mut own = Open::with(&app, &tenant, OPERATOR_KEY).await;
    sqlx::query("delete from operator_keys").execute(&mut owner).await.unwrap();
    stored.ends_within(Duration::from_secs(2)).await;
    assert!(own.goes_on().await, "{}", own.read);
    app.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let issuer = TokenIssuer::new(JwtAlgorithm::EdDsa);
    let mut settings = issuer.settings();
    settings.refresh_interval = Duration::from_millis(100);
    let app = TestApp::builder().settings(|all| all.jwt = settings).start().await;
    let tenant = acme(&app).await;
    let mut claims = TokenIssuer::claims(&tenant, "evaluator");
    // Clocks may differ by 30 s.
    claims["exp"] = Value::from(now() - 28);
    let mut short = Open::with(&app, &tenant, &issuer.key.token(&issuer.header(), &claims)).await;
    let mut long = Open::with(&app, &tenant, &issuer.token(&tenant, "evaluator")).await;
    short.ends_within(Duration::from_secs(4)).await;
    assert!(long.goes_on().await, "{}", long.read);
    let next = Key::new(JwtAlgorithm::EdDsa);
    issuer.publish(&[next.jwk("next")]);
    long.ends_within(Duration::from_secs(2)).await;
    app.stop().await;
}
