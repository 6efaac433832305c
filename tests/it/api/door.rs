//! The way in: under which names and from where the service is asked, who tries too often, and what answers carry.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tenet::{
    app::App,
    client::{Client, Method, Response},
    config::{Secret, Settings},
};

use super::{problem, send, with_checksum};
use crate::support::{Directory, OPERATOR_KEY, TestApp, TestDatabase};

async fn ask(client: &Client, headers: &[(&str, &str)]) -> Response {
    send(client, Method::GET, "/api/v1/tenants", headers, &Value::Null).await
}

#[tokio::test]
async fn who_tries_too_many_keys_is_told_to_wait_and_nobody_else_is() {
    let limit = 5;
    let app = TestApp::builder().settings(|settings| settings.http.auth_failures_per_address = limit).start().await;
    let nobody = Client::new(app.client.url()).unwrap();
    let guesser = nobody.clone().with_key(Some(Secret::new("test-operator-key-of-somebody-else")));
    for _ in 0..limit {
        problem(&ask(&guesser, &[]).await, 401);
    }
    for _ in 0..3 {
        let refused = ask(&guesser, &[]).await;
        assert_eq!(problem(&refused, 429)["code"], "too_many_failures");
        let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=12).contains(&wait), "{wait}");
        // From the same address, with a key that is valid.
        assert_eq!(ask(&app.client, &[]).await.status, 200);
    }
    // Who shows nothing has tried nothing.
    problem(&ask(&nobody, &[]).await, 401);
    let metrics = nobody.get("/metrics").await.unwrap().text();
    for line in [r#"invalid_credentials_total{status="401"} 5"#, r#"invalid_credentials_total{status="429"} 3"#] {
        assert!(metrics.contains(line), "{metrics}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_tenants_key_is_guessed_no_faster_from_many_connections_and_goes_on_to_work() {
    let app = TestApp::builder().settings(|settings| settings.http.auth_failures_per_key = 3).start().await;
    let tenant = app.create_tenant("acme-corp").await;
    let path = format!("/api/v1/tenants/{tenant}/api-keys");
    let made = app.client.post_json(&path, &json!({"name": "a", "scopes": ["read"]})).await.unwrap();
    let key = made.json::<Value>().unwrap()["key"].as_str().unwrap().to_owned();
    let with =
        |key: &str| Client::new(app.client.url()).unwrap().with_own_connections().with_key(Some(Secret::new(key)));
    // Another secret in the same key, with its right checksum.
    let public_id = key.split('_').nth(1).unwrap();
    let guess = |number: usize| with_checksum(&format!("tnt_{public_id}_{number:0>44}"));
    for number in 0..6 {
        let status = if number < 3 { 401 } else { 429 };
        problem(&ask(&with(&guess(number)), &[]).await, status);
    }
    assert_eq!(ask(&with(&key), &[]).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_service_answers_under_its_names_alone() {
    let named = TestApp::builder().settings(|settings| settings.http.hosts = vec!["api.example.org".into()]);
    let named = named.start().await;
    let refused = ask(&named.client, &[]).await;
    assert_eq!(problem(&refused, 421)["code"], "misdirected");
    assert_eq!(ask(&named.client, &[("host", "API.example.org:443")]).await.status, 200);
    // Probes know an address alone.
    for path in ["/healthz", "/readyz"] {
        // Whether it is ready yet is another matter.
        assert_ne!(named.client.get(path).await.unwrap().status, 421, "{path}");
    }
    problem(&named.client.get("/metrics").await.unwrap(), 421);
    named.stop().await;

    // Without a key, a page of another name that leads here must get nothing.
    let open = TestApp::builder().settings(|settings| settings.http.operator_key = None).start().await;
    let nobody = Client::new(open.client.url()).unwrap();
    assert_eq!(ask(&nobody, &[]).await.status, 200);
    assert_eq!(ask(&nobody, &[("host", "localhost:8080")]).await.status, 200);
    problem(&ask(&nobody, &[("host", "rebound.example.org")]).await, 421);
    open.stop().await;
}

#[tokio::test]
async fn a_wrong_key_is_refused_even_where_none_is_asked_for() {
    let open = TestApp::builder().settings(|settings| settings.http.keys_optional = true).start().await;
    let nobody = Client::new(open.client.url()).unwrap();
    assert_eq!(ask(&nobody, &[]).await.status, 200);
    assert_eq!(ask(&open.client, &[]).await.status, 200);
    let wrong = nobody.with_key(Some(Secret::new("test-operator-key-of-somebody-else")));
    problem(&ask(&wrong, &[]).await, 401);
    open.stop().await;
}

#[tokio::test]
async fn answers_are_not_to_be_guessed_at_nor_kept_nor_framed() {
    let app = TestApp::start().await;
    let nobody = Client::new(app.client.url()).unwrap();
    for answer in [ask(&app.client, &[]).await, ask(&nobody, &[]).await, nobody.get("/healthz").await.unwrap()] {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("strict-transport-security"), None);
    }
    let page = nobody.get("/swagger/").await.unwrap();
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    app.stop().await;
}

#[tokio::test]
async fn only_pages_of_the_named_origins_may_call() {
    let origin = "https://console.example.org";
    let app = TestApp::builder().settings(|settings| settings.http.cors_origins = vec![origin.into()]).start().await;
    let nobody = Client::new(app.client.url()).unwrap();
    for (from, allowed) in [(origin, Some(origin)), ("https://evil.example.org", None)] {
        let headers = [
            ("origin", from),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization,content-type,if-match"),
        ];
        let asked = send(&nobody, Method::OPTIONS, "/api/v1/tenants", &headers, &Value::Null).await;
        assert_eq!(asked.header("access-control-allow-origin"), allowed, "{from}: {}", asked.status);
        assert_eq!(asked.header("access-control-allow-credentials"), None);
        let answer = ask(&app.client, &[("origin", from)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{from}");
    }
    app.stop().await;
}

/// An application with settings that a [`TestApp`] cannot have.
async fn start(change: impl FnOnce(&mut Settings)) -> (App, TestDatabase) {
    let database = TestDatabase::fresh().await;
    let mut settings = Settings::default();
    settings.database.url = Some(Secret::new(database.url()));
    settings.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.http.operator_key = Some(Secret::new(OPERATOR_KEY));
    settings.http.workers = 1;
    settings.http.shutdown_delay = Duration::ZERO;
    change(&mut settings);
    (App::start(settings).await.unwrap(), database)
}

#[tokio::test]
async fn operators_and_metrics_have_an_address_of_their_own_if_it_is_set() {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (app, _database) = start(|settings| settings.http.admin_listen = Some(loopback)).await;
    let client = |address: SocketAddr| {
        Client::new(&format!("http://{address}")).unwrap().with_key(Some(Secret::new(OPERATOR_KEY)))
    };
    let (outside, inside) = (client(app.address()), client(app.admin_address().unwrap()));
    let tenant = json!({"name": "acme-corp"});
    let refused = outside.post_json("/api/v1/tenants", &tenant).await.unwrap();
    assert_eq!(problem(&refused, 404)["code"], "route_not_found");
    for path in ["/metrics", "/api/v1/runtime/nodes", "/api/v1/runtime/tenants"] {
        problem(&outside.get(path).await.unwrap(), 404);
        assert_eq!(inside.get(path).await.unwrap().status, 200, "{path}");
    }
    assert_eq!(inside.post_json("/api/v1/tenants", &tenant).await.unwrap().status, 201);
    for path in ["/healthz", "/api/v1/tenants"] {
        assert_eq!(outside.get(path).await.unwrap().status, 200, "{path}");
    }
    app.stop().await;

    // There the service has no name; collectors of metrics know an address alone.
    let named = |settings: &mut Settings| {
        settings.http.admin_listen = Some(loopback);
        settings.http.hosts = vec!["api.example.org".into()];
    };
    let (app, _database) = start(named).await;
    let (outside, inside) = (client(app.address()), client(app.admin_address().unwrap()));
    assert_eq!(inside.get("/metrics").await.unwrap().status, 200);
    problem(&outside.get("/api/v1/tenants").await.unwrap(), 421);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_with_the_certificate_that_is_set() {
    let directory = Directory::new();
    let own = rcgen::generate_simple_self_signed(["tenet.example.org".to_owned()]).unwrap();
    let (certificate, key) = (directory.path().join("tenet.crt"), directory.path().join("tenet.key"));
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let (app, _database) = start(|settings| {
        settings.http.tls_certificate = Some(certificate.clone());
        settings.http.tls_key = Some(key.clone());
    })
    .await;
    let address = app.address();
    let answer = tokio::task::spawn_blocking(move || {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("tenet.example.org").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
        write!(
            stream,
            "GET /api/v1/tenants HTTP/1.1\r\nhost: tenet.example.org\r\nauthorization: Bearer {OPERATOR_KEY}\r\n\
             connection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        // The other side may close without saying so.
        let _ = stream.read_to_string(&mut answer);
        answer
    })
    .await
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    // Who speaks plain HTTP there gets no answer from the API.
    let plain = Client::new(&format!("http://{address}")).unwrap().get("/healthz").await;
    assert!(plain.is_err(), "{plain:?}");
    app.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let database = TestDatabase::fresh().await;
    let mut settings = Settings::default();
    settings.database.url = Some(Secret::new(database.url()));
    settings.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.http.operator_key = Some(Secret::new(OPERATOR_KEY));
    settings.http.tls_certificate = Some("/nowhere/tenet.crt".into());
    settings.http.tls_key = Some("/nowhere/tenet.key".into());
    let error = format!("{:#}", App::start(settings).await.err().unwrap());
    assert!(error.contains("/nowhere/tenet.crt"), "{error}");
}
