//! Wrong input of every kind: a 4xx with a code each time, in problem details, whoever found it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenet::client::{Client, Method};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{NOBODY, acme, body, mistakes, problem, send};
use crate::support::{OPERATOR_KEY, TestApp};

/// Every path and method that takes a body, of this tenant.
async fn writes(app: &TestApp, tenant: &str) -> Vec<(Method, String)> {
    let document = app.client.get("/api-docs/openapi.json").await.unwrap().json::<Value>().unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{tenantId}", tenant)
            .replace("{ruleId}", NOBODY)
            .replace("{fieldId}", NOBODY)
            .replace("{keyId}", NOBODY)
            .replace("{eventId}", NOBODY)
            .replace("{decisionId}", NOBODY);
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("requestBody").is_some() {
                found.push((method.to_uppercase().parse().unwrap(), path.clone()));
            }
        }
    }
    assert!(found.len() >= 13, "{found:?}");
    found
}

#[tokio::test]
async fn no_body_however_wrong_is_more_than_a_4xx() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let deep = format!("{}1{}", "{\"definition\":".repeat(1_000), "}".repeat(1_000));
    let deep_list = format!("{{\"rules\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
    let bodies: Vec<Vec<u8>> = vec![
        vec![],
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"7".to_vec(),
        b"\"text\"".to_vec(),
        b"{}".to_vec(),
        b"{\"name\":\"\xff\"}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"{\"name\":\"\\u0000\",\"expression\":\"\\u0000\"}".to_vec(),
        b"{\"name\":\"\\ud800\"}".to_vec(),
        b"{\"name\":\"a\",\"name\":\"a\"}".to_vec(),
        b"{\"\\u0000\":1}".to_vec(),
        b"{\"name\":1e999}".to_vec(),
        b"{\"facts\":{\"age\":99999999999999999999999999}}".to_vec(),
        b"{\"definition\":{\"facts\":{\"a\\u0000\":\"int\"}}}".to_vec(),
        deep.into_bytes(),
        deep_list.into_bytes(),
    ];
    for (method, path) in writes(&app, &tenant).await {
        for text in &bodies {
            let headers = [("content-type", "application/json")];
            let answer = app.client.request(method.clone(), &path, &headers, text.clone()).await.unwrap();
            let shown = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
            let harmless = text == b"{}" && matches!(method, Method::PATCH);
            let no_op = harmless && answer.status < 300;
            assert!(no_op || (400..500).contains(&answer.status), "{method} {path} {shown}: {}", answer.status);
            if !no_op {
                problem(&answer, answer.status);
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_says_that_it_is_json_and_is_not_compressed() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    for (method, path) in writes(&app, &tenant).await {
        for headers in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/jsonp")],
            &[("content-type", "application/json; charset=utf-16")],
            &[("content-type", "application/json"), ("content-encoding", "gzip")],
        ] {
            let answer = app.client.request(method.clone(), &path, headers, "{}").await.unwrap();
            assert_eq!(problem(&answer, 415)["code"], "unsupported_media_type", "{method} {path} {headers:?}");
        }
    }
    let headers = [("content-type", "Application/JSON; Charset=UTF-8")];
    let made = app.client.request(Method::POST, "/api/v1/tenants", &headers, r#"{"name":"b"}"#).await.unwrap();
    body(&made, 201);
    app.stop().await;
}

#[tokio::test]
async fn ten_megabytes_are_too_many_except_where_many_things_are_sent() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let padding = " ".repeat(10_000_000);
    for (method, path) in writes(&app, &tenant).await {
        let large = path.ends_with("/batch") || (method == Method::PUT && path.ends_with("/rules"));
        let text = format!("{{{padding}}}");
        let headers = [("content-type", "application/json")];
        let answer = app.client.request(method.clone(), &path, &headers, text).await.unwrap();
        let expected = if large { 422 } else { 413 };
        let refused = problem(&answer, expected);
        if !large {
            assert_eq!((&refused["code"], &refused["maxBytes"]), (&json!("body_too_large"), &json!(262_144)), "{path}");
        }
    }
    app.stop().await;
}

/// Sends bytes over a socket of its own, and reads until it is closed or `wait` is over.
async fn raw(app: &TestApp, request: &[u8], wait: Duration) -> String {
    let mut socket = TcpStream::connect(app.client.address()).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut read = Vec::new();
    let _ = tokio::time::timeout(wait, socket.read_to_end(&mut read)).await;
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test]
async fn what_cannot_be_read_as_a_request_is_refused_in_few_words() {
    let app = TestApp::start().await;
    let path = |length: usize| {
        format!("/api/v1/tenants?namePrefix={}", "x".repeat(length - "/api/v1/tenants?namePrefix=".len()))
    };
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n");
    for (request, status, has_body) in [
        (get(&path(65_534), "connection: close\r\n"), "401", true),
        (get(&path(65_535), ""), "400", false),
        (get("/healthz", "no header\r\n"), "400", false),
        (get("/healthz", &format!("x-long: {}\r\n", "x".repeat(140 * 1024))), "431", false),
    ] {
        let answer = raw(&app, request.as_bytes(), Duration::from_secs(2)).await;
        let about = &answer[..answer.len().min(500)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{about}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(body.contains("unauthenticated"), has_body, "{about}");
        assert_eq!(body.is_empty(), !has_body, "{about}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_open_if_the_body_has_arrived() {
    let app = TestApp::start().await;
    let key = format!("authorization: Bearer {OPERATOR_KEY}\r\n");
    for (head, status) in [
        ("POST /api/v1/evaluate HTTP/1.1\r\n".to_owned(), 401),
        ("POST /api/v1/nothing HTTP/1.1\r\n".to_owned(), 404),
        (format!("POST /api/v1/tenants/{NOBODY} HTTP/1.1\r\n{key}"), 405),
        (format!("POST /api/v1/tenants/{NOBODY}/evaluate HTTP/1.1\r\n{key}content-type: text/plain\r\n"), 415),
    ] {
        let request = format!("{head}host: x\r\ncontent-length: 12\r\n\r\n{{\"facts\":{{}}}}");
        let mut socket = TcpStream::connect(app.client.address()).await.unwrap();
        for _ in 0..2 {
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"}") {
                assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0, "{head}: the connection was closed");
            }
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(!answer.contains("connection: close"), "{answer}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_in_chunks_has_the_same_limit() {
    let app = TestApp::start().await;
    let mut request = format!(
        "POST /api/v1/tenants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OPERATOR_KEY}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..10 {
        request.extend(format!("{:x}\r\n{}\r\n", 32_768, " ".repeat(32_768)).bytes());
    }
    request.extend(b"0\r\n\r\n");
    let answer = raw(&app, &request, Duration::from_secs(2)).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off() {
    let deadline = Duration::from_millis(300);
    let app = TestApp::builder().settings(|settings| settings.http.body_deadline = deadline).start().await;
    let begun = Instant::now();
    let request = format!(
        "POST /api/v1/tenants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OPERATOR_KEY}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    let answer = raw(&app, request.as_bytes(), Duration::from_secs(10)).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(8), "the connection was kept for {:?}", begun.elapsed());
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_served_is_a_problem_too() {
    let app = TestApp::start().await;
    let open = Client::new(app.client.url()).unwrap();
    for path in ["/", "/api", "/api/v1", "/api/v2/tenants", "/api/v1/tenants/", "/api/v1//tenants", "/%00", "/%ff"] {
        let answer = send(&open, Method::GET, path, &[], &Value::Null).await;
        assert_eq!(problem(&answer, 404)["code"], "route_not_found", "{path}");
    }
    let tenant = format!("/api/v1/tenants/{NOBODY}");
    for (method, path, allowed) in [
        (Method::DELETE, "/api/v1/tenants", "POST, GET, HEAD"),
        (Method::PUT, tenant.as_str(), "GET, HEAD, PATCH, DELETE"),
        (Method::GET, "/api/v1/evaluate", "POST"),
        (Method::POST, "/healthz", "GET, HEAD"),
        (Method::OPTIONS, "/api/v1/tenants", "POST, GET, HEAD"),
        (Method::from_bytes(b"BREW").unwrap(), "/api/v1/tenants", "POST, GET, HEAD"),
    ] {
        let answer = send(&app.client, method.clone(), path, &[], &Value::Null).await;
        assert_eq!(problem(&answer, 405)["code"], "method_not_allowed", "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
    let head = send(&app.client, Method::HEAD, "/api/v1/tenants", &[], &Value::Null).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    app.stop().await;
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_as_unknown_as_any() {
    let app = TestApp::start().await;
    for id in [NOBODY, "x", "%00", "1", "01890000-0000-7000-8000-00000000000g", "%F0%9F%98%80", "' or 1=1 --%20"] {
        let path = format!("/api/v1/tenants/{}", id.replace(' ', "%20").replace('\'', "%27"));
        let answer = app.client.get(&path).await.unwrap();
        assert_eq!(problem(&answer, 404)["code"], "tenant_not_found", "{id}");
        let answer = app.client.get(&format!("{path}/rules")).await.unwrap();
        assert_eq!(problem(&answer, 404)["code"], "tenant_not_found", "{id}");
    }
    app.stop().await;
}

#[tokio::test]
async fn parameters_that_are_unknown_or_wrong_are_refused() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}");
    for (query, code, at) in [
        ("/rules?limit=0", "invalid_value", "limit"),
        ("/rules?limit=201", "invalid_value", "limit"),
        ("/rules?limit=ten", "invalid_value", "limit"),
        ("/rules?limit=1&limit=2", "duplicate_parameter", "limit"),
        ("/rules?cursor=nonsense", "cursor_invalid", "cursor"),
        ("/rules?cursor=%00", "nul_character", "cursor"),
        ("/rules?cursor=", "cursor_invalid", "cursor"),
        ("/rules?active=maybe", "invalid_value", "active"),
        ("/rules?tag=%00", "nul_character", "tag"),
        ("/rules?namePrefix=%00", "nul_character", "namePrefix"),
        ("/rules?offset=1", "unknown_parameter", "offset"),
        ("/schema/versions?cursor=%F0%9F%98%80", "cursor_invalid", "cursor"),
        ("?verbose=true", "unknown_parameter", "verbose"),
    ] {
        let answer = app.client.get(&format!("{path}{query}")).await.unwrap();
        assert_eq!(mistakes(&problem(&answer, 422)), [(code.to_owned(), at.to_owned())], "{query}");
    }
    for query in ["?onBroken=maybe", "?acceptBreaking=1", "?force=true"] {
        let answer = app.client.put_json(&format!("{path}/schema{query}"), &json!({})).await.unwrap();
        problem(&answer, 422);
    }
    // A cursor belongs to the list that answered it.
    app.create_tenant("b").await;
    let page = body(&app.client.get("/api/v1/tenants?limit=1").await.unwrap(), 200);
    let cursor = page["nextCursor"].as_str().unwrap();
    let answer = app.client.get(&format!("{path}/rules?cursor={cursor}")).await.unwrap();
    assert_eq!(mistakes(&problem(&answer, 422))[0].0, "cursor_invalid");
    app.stop().await;
}

#[tokio::test]
async fn a_request_keeps_the_id_that_it_brings() {
    let app = TestApp::start().await;
    let ask = async |id: &str| {
        let answer = send(&app.client, Method::GET, "/api/v1/nothing", &[("x-request-id", id)], &Value::Null).await;
        problem(&answer, 404)["requestId"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask("order-4711/retry 2").await, "order-4711/retry 2");
    for strange in ["", "a\tb", "\u{e9}", &"x".repeat(129)] {
        let id = ask(strange).await;
        assert!(id.len() == 36 && id != strange, "{strange:?} became {id:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_json_is_malformed_whatever_comes_before() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let headers = [("content-type", "application/json")];
    let deep = "[".repeat(1_000);
    for path in ["/api/v1/evaluate", &format!("/api/v1/tenants/{tenant}/evaluate/batch")] {
        for text in ["{\"unknown\": 1, nonsense", "[1, 2", "{\"facts\": {}, \"unknown\": 1} more"] {
            let answer = app.client.request(Method::POST, path, &headers, text).await.unwrap();
            assert_eq!(problem(&answer, 400)["code"], "malformed_json", "{path} {text}");
        }
        let answer = app.client.request(Method::POST, path, &headers, deep.clone()).await.unwrap();
        assert_eq!(problem(&answer, 400)["code"], "json_too_deep", "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_has_no_nul_character() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/evaluate");
    for name in ["rules", "tags"] {
        let answer = app.client.post_json(&path, &json!({"facts": {}, name: ["a", "\0"]})).await.unwrap();
        assert_eq!(mistakes(&problem(&answer, 422)), [("nul_character".to_owned(), format!("{name}[1]"))]);
        let line = [("content-type", "application/x-ndjson")];
        let stream = format!("{path}/batch?{name}=%00");
        let answer = app.client.request(Method::POST, &stream, &line, "{\"facts\":{}}\n").await.unwrap();
        assert_eq!(mistakes(&problem(&answer, 422)), [("nul_character".to_owned(), format!("{name}[0]"))]);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_stream_names_no_more_rules_than_an_address_holds() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let line = [("content-type", "application/x-ndjson")];
    let path = format!("/api/v1/tenants/{tenant}/evaluate/batch?{}", "tags=&".repeat(1_001));
    let answer = app.client.request(Method::POST, &path, &line, "{\"facts\":{}}\n").await.unwrap();
    assert_eq!(mistakes(&problem(&answer, 422)), [("too_many".to_owned(), "tags".to_owned())]);
    app.stop().await;
}

#[tokio::test]
async fn a_body_without_an_end_does_not_hold_its_connection_for_ever() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let stream = format!("/api/v1/tenants/{tenant}/evaluate/batch");
    let requests = [("/api/v1/tenants", "application/json"), (stream.as_str(), "application/x-ndjson")];
    for (path, media_type) in requests {
        let mut socket = TcpStream::connect(app.client.address()).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: tenet\r\nauthorization: Bearer {OPERATOR_KEY}\r\n\
             content-type: {media_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let piece = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
        let (mut answers, mut sends) = socket.into_split();
        let begun = Instant::now();
        let sending = tokio::spawn(async move { while sends.write_all(piece.as_bytes()).await.is_ok() {} });
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(60), answers.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "{path}: open after {:?}", begun.elapsed());
        assert!(answer.starts_with(b"HTTP/1.1 "), "{path}");
        sending.await.unwrap();
    }
    app.stop().await;
}
