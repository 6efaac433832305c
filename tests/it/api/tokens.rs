//! Tokens of an issuer: what is refused, and what the others open.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tenet::{
    client::{Client, Method, Response},
    config::{JwtAlgorithm, Secret},
    domain::{Permission, Permissions, Role},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use super::{NOBODY, body, problem, send};
use crate::support::{AUDIENCE, ISSUER, Key, TestApp, TokenIssuer, base64, forge_hmac, free_address, now};

const ALGORITHMS: [JwtAlgorithm; 3] = [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa];

async fn believing(issuer: &TokenIssuer) -> TestApp {
    TestApp::builder().settings(|settings| settings.jwt = issuer.settings()).start().await
}

fn client(app: &TestApp, token: &str) -> Client {
    Client::new(app.client.url()).unwrap().with_key(Some(Secret::new(token)))
}

async fn rules(app: &TestApp, tenant: &str, token: &str) -> Response {
    client(app, token).get(&format!("/api/v1/tenants/{tenant}/rules")).await.unwrap()
}

/// `value` with a member set, or taken away by `null`.
fn with(value: &Value, name: &str, member: impl Into<Value>) -> Value {
    let mut value = value.clone();
    let object = value.as_object_mut().unwrap();
    match member.into() {
        Value::Null => _ = object.remove(name),
        member => _ = object.insert(name.to_owned(), member),
    }
    value
}

/// Tokens whose claims are wrong in one thing, each signed as it should be.
fn wrong_claims(issuer: &TokenIssuer, tenant: &str) -> Vec<(String, String)> {
    let claims = TokenIssuer::claims(tenant, "owner");
    let far = now() + 300;
    #[rustfmt::skip]
    let wrong: Vec<(&str, Value)> = vec![
        ("iss", Value::Null), ("iss", json!("https://issuer.example")), ("iss", json!("")), ("iss", json!([ISSUER])),
        ("iss", json!([ISSUER, "https://other.example"])), ("iss", json!(7)),
        ("aud", Value::Null), ("aud", json!("https://other.example")), ("aud", json!([])), ("aud", json!("")),
        ("aud", json!(["https://other.example", "https://third.example"])), ("aud", json!([7])),
        ("aud", json!({AUDIENCE: true})), ("aud", json!(format!("{AUDIENCE}/"))),
        ("exp", Value::Null), ("exp", json!(far.to_string())), ("exp", json!(now() - 31)), ("exp", json!(0)),
        ("exp", json!(-1)), ("exp", json!(1e300)), ("exp", json!(true)), ("exp", json!([far])),
        ("exp", json!(f64::from(i32::try_from(far).unwrap()) + 0.5)),
        ("nbf", json!(now() + 60)), ("nbf", json!((now() - 10).to_string())), ("nbf", json!(-1)), ("nbf", json!(1.5)),
        ("nbf", json!([0])),
        ("sub", Value::Null), ("sub", json!("")), ("sub", json!(7)), ("sub", json!(["alice"])),
        ("sub", json!("al\u{0}ice")), ("sub", json!("alice\nsub=root")), ("sub", json!("a".repeat(256))),
        ("tenant_id", Value::Null), ("tenant_id", json!("")), ("tenant_id", json!("acme-corp")), ("tenant_id", json!(7)),
        ("tenant_id", json!([tenant])), ("tenant_id", json!(format!("{tenant} "))),
        ("tenant_id", json!(uuid::Uuid::nil())), ("tenant_id", json!("0".repeat(32))),
        ("role", Value::Null), ("role", json!("")), ("role", json!("root")), ("role", json!("Owner")),
        ("role", json!("operator")), ("role", json!(["owner"])), ("role", json!(["auditor", "owner"])),
        ("role", json!({"owner": true})), ("role", json!("owner,admin")), ("role", json!(true)),
    ];
    let tokens = wrong.into_iter().map(|(name, value)| {
        (format!("{name}: {value}"), issuer.key.token(&issuer.header(), &with(&claims, name, value)))
    });
    tokens.collect()
}

/// Tokens whose head is wrong in one thing, each signed by the key that the issuer tells.
fn wrong_heads(issuer: &TokenIssuer, tenant: &str) -> Vec<(String, String)> {
    let claims = TokenIssuer::claims(tenant, "owner");
    let header = issuer.header();
    let jwk = issuer.key.jwk("first");
    let mut wrong: Vec<(&str, Value)> = vec![
        ("kid", Value::Null),
        ("kid", json!("second")),
        ("kid", json!("")),
        ("kid", json!(7)),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("/etc/hostname")),
        ("kid", json!("first' or '1'='1")),
        ("kid", json!("first\u{0}")),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/key.pem")),
        ("jwk", jwk),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("enc", json!("A256GCM")),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("alg", Value::Null),
    ];
    wrong.extend(
        ["none", "None", "NONE", "", "HS256", "HS384", "PS256", "RS384", "ES384", "unknown"]
            .map(|name| ("alg", json!(name))),
    );
    wrong.extend(
        ["RS256", "ES256", "EdDSA"]
            .iter()
            .filter(|name| **name != issuer.key.algorithm())
            .map(|name| ("alg", json!(name))),
    );
    let tokens = wrong
        .into_iter()
        .map(|(name, value)| (format!("{name}: {value}"), issuer.key.token(&with(&header, name, value), &claims)));
    tokens.collect()
}

/// Tokens that nobody has signed, or somebody else.
fn wrong_signatures(issuer: &TokenIssuer, tenant: &str) -> Vec<(String, String)> {
    let (header, claims) = (issuer.header(), TokenIssuer::claims(tenant, "owner"));
    let right = issuer.key.token(&header, &claims);
    let (message, signature) = right.rsplit_once('.').unwrap();
    let (head, payload) = message.split_once('.').unwrap();
    let auditor = base64(TokenIssuer::claims(tenant, "auditor").to_string());
    let none = base64(json!({"alg": "none", "kid": "first"}).to_string());
    let mut tokens = vec![
        ("none, no signature", format!("{none}.{payload}.")),
        ("none, the signature of another head", format!("{none}.{payload}.{signature}")),
        ("an empty signature", format!("{message}.")),
        ("no signature", message.to_owned()),
        ("other claims", format!("{head}.{auditor}.{signature}")),
        ("zeros", format!("{message}.{}", base64([0_u8; 64]))),
        ("zeros of an RSA key's length", format!("{message}.{}", base64([0_u8; 256]))),
        ("a signature and a half", format!("{message}.{signature}{}", &signature[..40])),
        ("half a signature", format!("{message}.{}", &signature[..40])),
        ("a trailing dot", format!("{right}.")),
        ("a leading dot", format!(".{right}")),
        ("four parts", format!("{right}.{signature}")),
        ("five parts, as encrypted ones have", format!("{head}.{payload}.{payload}.{payload}.{signature}")),
        ("padding", format!("{right}==")),
        ("padding of a part", format!("{head}=.{payload}.{signature}")),
        ("the other alphabet", format!("{message}.{}+/", &signature[..signature.len() - 2])),
        ("a letter that is none", format!("{message}.{}!", &signature[..signature.len() - 1])),
        ("a space", format!("{head} .{payload}.{signature}")),
        ("dots", "..".to_owned()),
        ("a dot", ".".to_owned()),
        ("a payload that is a list", issuer.key.token(&header, &json!([claims]))),
        ("a payload that is a text", issuer.key.token(&header, &json!("claims"))),
        ("a head that is a list", issuer.key.token(&json!([header]), &claims)),
        ("too long by one", oversized(issuer, &claims, 8 * 1024 + 1)),
        ("much too long", oversized(issuer, &claims, 40 * 1024)),
    ];
    // What everybody knows, taken for a secret.
    let shared = json!({"alg": "HS256", "typ": "JWT", "kid": "first"});
    let jwk = issuer.key.jwk("first");
    let [first, second] = [["n", "x"], ["e", "y"]].map(|names| names.iter().find_map(|name| jwk[*name].as_str()));
    tokens.push(("HS256 with the public key", forge_hmac(issuer.key.public(), &shared, &claims)));
    tokens.push(("HS256 with the key as it is told", forge_hmac(jwk.to_string().as_bytes(), &shared, &claims)));
    tokens.push(("HS256 with its first part", forge_hmac(first.unwrap().as_bytes(), &shared, &claims)));
    tokens.push(("HS256 with its second part", forge_hmac(second.unwrap_or("").as_bytes(), &shared, &claims)));
    tokens.push(("HS256 with nothing", forge_hmac(b"", &shared, &claims)));
    tokens.push(("a code, and our algorithm", forge_hmac(issuer.key.public(), &header, &claims)));
    // Keys that the issuer does not tell, of each kind.
    for algorithm in [JwtAlgorithm::Es256, JwtAlgorithm::EdDsa] {
        let key = Key::new(algorithm);
        tokens.push(("another key", key.token(&header, &claims)));
        tokens.push(("another key, with its algorithm", key.token(&with(&header, "alg", key.algorithm()), &claims)));
        let own = with(&with(&header, "alg", key.algorithm()), "jwk", key.jwk("first"));
        tokens.push(("another key, which it brings along", key.token(&own, &claims)));
    }
    // The same member twice: which of them counts must not matter.
    let twice = claims.to_string().replacen('{', r#"{"exp": 1, "#, 1);
    let twice = format!("{head}.{}", base64(twice));
    tokens.push(("two ends", format!("{twice}.{}", base64(issuer.key.sign(&twice)))));
    tokens.into_iter().map(|(name, token)| (name.to_owned(), token)).collect()
}

/// A token of `length` bytes at least, and of three more at most, that is right in all else.
fn oversized(issuer: &TokenIssuer, claims: &Value, length: usize) -> String {
    let made = |size: usize| issuer.key.token(&issuer.header(), &with(claims, "more", "x".repeat(size)));
    let missing = length - made(0).len();
    made(missing.div_ceil(4) * 3)
}

#[tokio::test]
async fn a_token_that_is_wrong_in_anything_opens_nothing() {
    for algorithm in ALGORITHMS {
        let issuer = TokenIssuer::new(algorithm);
        let app = believing(&issuer).await;
        let tenant = app.create_tenant("acme-corp").await;
        let right = issuer.token(&tenant, "owner");
        assert_eq!(rules(&app, &tenant, &right).await.status, 200, "{algorithm:?}");
        let table = [wrong_claims(&issuer, &tenant), wrong_heads(&issuer, &tenant), wrong_signatures(&issuer, &tenant)]
            .concat();
        assert!(table.len() >= 100, "{}", table.len());
        for (name, token) in &table {
            let answer = rules(&app, &tenant, token).await;
            assert_eq!(answer.status, 401, "{algorithm:?}, {name}: {}", answer.text());
            assert_eq!(problem(&answer, 401)["code"], "unauthenticated");
        }
        let credential = format!("Bearer {right}");
        let nobody = Client::new(app.client.url()).unwrap();
        let path = format!("/api/v1/tenants/{tenant}/rules");
        let ask =
            async |headers: &[(&str, &str)]| send(&nobody, Method::GET, &path, headers, &Value::Null).await.status;
        assert_eq!(ask(&[("authorization", &credential), ("authorization", &credential)]).await, 401);
        assert_eq!(ask(&[("authorization", &format!("{credential}, {credential}"))]).await, 401);
        assert_eq!(ask(&[("authorization", &right)]).await, 401);
        assert_eq!(ask(&[("authorization", &credential)]).await, 200);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_token_may_differ_in_what_does_not_matter() {
    let issuer = TokenIssuer::new(JwtAlgorithm::EdDsa);
    let app = believing(&issuer).await;
    let tenant = app.create_tenant("acme-corp").await;
    let (header, claims) = (issuer.header(), TokenIssuer::claims(&tenant, "auditor"));
    for header in [
        with(&header, "typ", "at+jwt"),
        with(&header, "typ", "application/at+JWT"),
        with(&header, "typ", Value::Null),
        with(&header, "x5t", "abc"),
    ] {
        assert_eq!(rules(&app, &tenant, &issuer.key.token(&header, &claims)).await.status, 200, "{header}");
    }
    for (name, value) in [
        ("aud", json!(["https://other.example", AUDIENCE])),
        ("exp", json!(now() - 20)),
        ("nbf", json!(now() + 20)),
        ("nbf", Value::Null),
        ("sub", json!("é".repeat(255))),
        ("more", json!({"a": [1, null]})),
        ("more", json!("x".repeat(5_600))),
    ] {
        let claims = with(&claims, name, value);
        assert_eq!(rules(&app, &tenant, &issuer.key.token(&header, &claims)).await.status, 200, "{claims}");
    }
    app.stop().await;
}

#[tokio::test]
async fn each_role_may_what_the_table_says_to_its_own_tenant() {
    let issuer = TokenIssuer::new(JwtAlgorithm::Es256);
    let app = believing(&issuer).await;
    let tenant = app.create_tenant_with_schema("acme-corp", &json!({"age": "int"})).await;
    let other = app.create_tenant_with_schema("globex", &json!({"age": "int"})).await;
    let facts = json!({"facts": {"age": 20}});
    let requests = [
        (Permission::Evaluate, Method::POST, "evaluate", facts),
        (Permission::Read, Method::GET, "rules", Value::Null),
        (Permission::Audit, Method::GET, "audit", Value::Null),
        (Permission::Write, Method::POST, "rules", json!({})),
        (Permission::Administer, Method::GET, "api-keys", Value::Null),
        (Permission::Operate, Method::POST, "runtime/load", Value::Null),
    ];
    for role in Role::ALL {
        let permissions = Permissions::of(role.scopes());
        let holder = client(&app, &issuer.token(&tenant, role.name()));
        for (permission, method, part, sent) in &requests {
            for (id, is_own) in [(&tenant, true), (&other, false), (&NOBODY.to_owned(), false)] {
                let path = format!("/api/v1/tenants/{id}/{part}");
                let answer = send(&holder, method.clone(), &path, &[], sent).await;
                let about = format!("{role:?} {method} {path}: {} {}", answer.status, answer.text());
                match (is_own, permissions.permit(*permission)) {
                    (false, _) => assert_eq!(answer.status, 404, "{about}"),
                    (true, false) => assert_eq!(answer.status, 403, "{about}"),
                    (true, true) => assert!([200, 400, 422].contains(&answer.status), "{about}"),
                }
            }
        }
    }
    // One that is gone, whose log only operators read.
    let gone = app.create_tenant("gone").await;
    let orphan = client(&app, &issuer.token(&gone, "owner"));
    let path = format!("/api/v1/tenants/{gone}");
    assert_eq!(orphan.get(&path).await.unwrap().status, 200);
    assert_eq!(app.client.delete(&path).await.unwrap().status, 204);
    for part in ["", "/rules", "/audit", "/api-keys", "/quotas"] {
        let answer = orphan.get(&format!("{path}{part}")).await.unwrap();
        assert_eq!(problem(&answer, 404)["code"], "tenant_not_found", "{part}");
    }
    body(&app.client.get(&format!("{path}/audit")).await.unwrap(), 200);
    // A tenant that the issuer knows and we do not.
    let stranger = client(&app, &issuer.token(NOBODY, "owner"));
    assert_eq!(stranger.get(&format!("/api/v1/tenants/{NOBODY}/rules")).await.unwrap().status, 404);
    let made = json!({"name": "a", "expression": "true"});
    assert_eq!(stranger.post_json(&format!("/api/v1/tenants/{NOBODY}/rules"), &made).await.unwrap().status, 404);
    let listed = stranger.get("/api/v1/tenants").await.unwrap();
    assert!(listed.status == 404 || body(&listed, 200)["items"] == json!([]), "{}", listed.text());
    app.stop().await;
}

#[tokio::test]
async fn claims_are_named_by_the_settings_and_so_are_operators() {
    let issuer = TokenIssuer::new(JwtAlgorithm::EdDsa);
    let mut settings = issuer.settings();
    settings.tenant_claim = "https://tenet.example/tenant".to_owned();
    settings.role_claim = "groups".to_owned();
    settings.roles = ["rules=editor", "cn=platform,dc=example=operator"].map(str::to_owned).to_vec();
    let app = TestApp::builder().settings(|all| all.jwt = settings).start().await;
    let tenant = app.create_tenant("acme-corp").await;
    let claims = with(&TokenIssuer::claims(&tenant, "owner"), "https://tenet.example/tenant", tenant.as_str());
    let token = |role: &str| issuer.key.token(&issuer.header(), &with(&claims, "groups", role));
    for refused in ["owner", "editor", "operator", "cn=platform"] {
        assert_eq!(rules(&app, &tenant, &token(refused)).await.status, 401, "{refused}");
    }
    // Who is logged, of a token and of a key.
    let editor = client(&app, &token("rules"));
    let schema = json!({"definition": {"facts": {"age": "int"}}});
    body(&editor.post_json(&format!("/api/v1/tenants/{tenant}/schema"), &schema).await.unwrap(), 201);
    let log = body(&editor.get(&format!("/api/v1/tenants/{tenant}/schema/changelog")).await.unwrap(), 200);
    assert!(log.to_string().contains(&format!("jwt:{ISSUER}#alice")), "{log}");
    let path = format!("/api/v1/tenants/{tenant}/audit");
    let audit = body(&app.client.get(&path).await.unwrap(), 200);
    let who = |row: &&Value| row["actor"] == format!("jwt:{ISSUER}#alice");
    assert_eq!(audit["items"].as_array().unwrap().iter().filter(who).count(), 1, "{audit}");
    problem(&editor.post_json("/api/v1/tenants", &json!({"name": "globex"})).await.unwrap(), 403);

    let operator = client(&app, &token("cn=platform,dc=example"));
    body(&operator.post_json("/api/v1/tenants", &json!({"name": "globex"})).await.unwrap(), 201);
    let listed = body(&operator.get("/api/v1/tenants").await.unwrap(), 200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    app.stop().await;
}

#[tokio::test]
async fn keys_that_an_issuer_replaces_are_replaced_here() {
    let issuer = TokenIssuer::new(JwtAlgorithm::EdDsa);
    let mut settings = issuer.settings();
    settings.refresh_interval = Duration::from_millis(100);
    let app = TestApp::builder().settings(|all| all.jwt = settings).start().await;
    let tenant = app.create_tenant("acme-corp").await;
    let next = Key::new(JwtAlgorithm::EdDsa);
    let old = issuer.token(&tenant, "auditor");
    let new = next.token(&with(&issuer.header(), "kid", "next"), &TokenIssuer::claims(&tenant, "auditor"));
    let status = async |token: &str| rules(&app, &tenant, token).await.status;
    assert_eq!((status(&old).await, status(&new).await), (200, 401));
    for (keys, expected) in
        [(vec![issuer.key.jwk("first"), next.jwk("next")], (200, 200)), (vec![next.jwk("next")], (401, 200))]
    {
        issuer.publish(&keys);
        let began = Instant::now();
        while (status(&old).await, status(&new).await) != expected {
            assert!(began.elapsed() < Duration::from_secs(5), "{expected:?} is not answered");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn who_sends_many_invalid_tokens_is_told_to_wait() {
    let issuer = TokenIssuer::new(JwtAlgorithm::EdDsa);
    let app = TestApp::builder()
        .settings(|settings| {
            settings.jwt = issuer.settings();
            settings.http.auth_failures_per_address = 3;
        })
        .start()
        .await;
    let tenant = app.create_tenant("acme-corp").await;
    let wrong = Key::new(JwtAlgorithm::EdDsa).token(&issuer.header(), &TokenIssuer::claims(&tenant, "owner"));
    for status in [401, 401, 401, 429, 429] {
        problem(&rules(&app, &tenant, &wrong).await, status);
        assert_eq!(rules(&app, &tenant, &issuer.token(&tenant, "owner")).await.status, 200);
    }
    app.stop().await;
}

/// Answers whoever comes to `address` over TLS with `document`.
fn publish(address: SocketAddr, own: &rcgen::CertifiedKey<rcgen::KeyPair>, document: Vec<u8>) -> JoinHandle<()> {
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        let listener = TcpListener::bind(address).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", document.len());
            stream.write_all(&[head.as_bytes(), &document].concat()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    })
}

#[tokio::test]
async fn keys_at_an_address_are_fetched_when_it_answers_and_kept_when_it_does_not() {
    let issuer = TokenIssuer::new(JwtAlgorithm::Rs256);
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let authorities = issuer.file().with_extension("pem");
    std::fs::write(&authorities, own.cert.pem()).unwrap();
    let address: SocketAddr = free_address().parse().unwrap();
    let mut settings = issuer.settings();
    settings.jwks = Some(format!("https://localhost:{}/jwks.json", address.port()));
    settings.authorities = Some(authorities);
    settings.refresh_interval = Duration::from_millis(100);
    let app = TestApp::builder().settings(|all| all.jwt = settings).start().await;
    let tenant = app.create_tenant("acme-corp").await;
    let right = issuer.token(&tenant, "auditor");
    assert_eq!(problem(&rules(&app, &tenant, &right).await, 503)["code"], "issuer_unavailable");
    assert_eq!(rules(&app, &tenant, "no.token.at-all").await.status, 401);
    assert_eq!(rules(&app, &tenant, crate::support::OPERATOR_KEY).await.status, 200);

    let published = publish(address, &own, std::fs::read(issuer.file()).unwrap());
    let began = Instant::now();
    while rules(&app, &tenant, &right).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "the keys are not fetched");
        sleep(Duration::from_millis(20)).await;
    }
    let second = issuer.key.token(&with(&issuer.header(), "kid", "second"), &TokenIssuer::claims(&tenant, "owner"));
    assert_eq!(rules(&app, &tenant, &second).await.status, 401);
    published.abort();
    sleep(Duration::from_millis(300)).await;
    // One that was not seen before: not what is remembered of tokens is asked here.
    assert_eq!(rules(&app, &tenant, &issuer.token(&tenant, "editor")).await.status, 200);
    app.stop().await;
}
