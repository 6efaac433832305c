//! The client against services that behave, and that do not.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// Reads one request, head and body, as text; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return None;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0_usize);
        if body.len() >= length {
            return Some(text);
        }
    }
}

async fn answer(stream: &mut TcpStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nx-from: test\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
}

async fn listen() -> (TcpListener, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    (listener, client)
}

#[tokio::test]
async fn requests_share_a_connection_and_carry_key_and_body() {
    let (listener, client) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut requests = Vec::new();
        while let Some(request) = read_request(&mut stream).await {
            answer(&mut stream, &format!("{{\"count\":{}}}", requests.len())).await;
            requests.push(request);
        }
        requests
    });
    let client = client.with_key(Some(Secret::new("0123456789abcdef")));
    let first = client.post_json("/a", &serde_json::json!({"x": 1})).await.unwrap();
    assert_eq!((first.status, first.header("X-From"), first.text().as_str()), (200, Some("test"), "{\"count\":0}"));
    let second: serde_json::Value = client.clone().get("/b?c=d").await.unwrap().json().unwrap();
    assert_eq!(second["count"], 1);
    drop(client);
    let requests = server.await.unwrap();
    assert_eq!(requests.len(), 2, "one connection carried both");
    assert!(requests[0].starts_with("POST /a HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("authorization: Bearer 0123456789abcdef\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("content-type: application/json\r\n"), "{}", requests[0]);
    assert!(requests[0].ends_with("\r\n\r\n{\"x\":1}"), "{}", requests[0]);
    assert!(requests[1].starts_with("GET /b?c=d HTTP/1.1\r\n"), "{}", requests[1]);
}

#[tokio::test]
async fn a_connection_that_the_service_closed_is_replaced() {
    let (listener, client) = listen().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            answer(&mut stream, "once").await;
            // The connection ends here, though the answer did not say so.
        }
    });
    for _ in 0..5 {
        assert_eq!(client.get("/").await.unwrap().text(), "once");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_service_that_is_silent_ends_in_a_time_out() {
    let (listener, client) = listen().await;
    let client = client.with_timeout(Duration::from_millis(50));
    let (answer, _silent) = tokio::join!(client.get("/"), listener.accept());
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(error.to_string().ends_with("did not answer within 50 ms"), "{error}");
}

#[tokio::test]
async fn a_port_without_a_service_is_named() {
    let (listener, client) = listen().await;
    drop(listener);
    let error = client.get("/").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(client.url()), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_json_says_its_status() {
    let (listener, client) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        answer(&mut stream, "<html>").await;
    });
    let error = client.get("/").await.unwrap().json::<serde_json::Value>().unwrap_err();
    assert!(error.to_string().contains("(status 200) is not the JSON expected"), "{error}");
}

/// A server over TLS that answers every request with what its path names; its address, and a file with its authority.
async fn published() -> (String, std::path::PathBuf) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("tenet-test-{}.pem", uuid::Uuid::now_v7().simple()));
    std::fs::write(&file, own.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not believe us ends it here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let path = request.split(' ').nth(1).unwrap();
            let answer = match path {
                "/moved" => "HTTP/1.1 302 Found\r\nlocation: /keys\r\ncontent-length: 0\r\n\r\n".to_owned(),
                "/silent" => String::new(),
                "/many" => format!("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n{}", "x".repeat(101)),
                "/endless" => format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{0}\r\n64\r\n{0}\r\n",
                    "x".repeat(100)
                ),
                path => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len()),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            tokio::spawn(async move { while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} });
        }
    });
    (address, file)
}

#[tokio::test]
async fn what_is_published_is_fetched_from_whom_is_trusted_and_from_nowhere_else() {
    let (address, file) = published().await;
    let at = |path: &str| Published::new(&format!("https://{address}{path}"), Some(&file)).unwrap();
    let fetch = async |published: &Published| published.fetch(100, Duration::from_secs(5)).await;
    assert_eq!(fetch(&at("/keys?a=b")).await.unwrap(), "/keys?a=b");
    assert_eq!(fetch(&at("")).await.unwrap(), "/");
    assert!(matches!(fetch(&at("/moved")).await, Err(Error::Refused { status: 302, .. })));
    assert!(matches!(fetch(&at("/many")).await, Err(Error::BodyUnreadable(_))));
    assert!(matches!(fetch(&at("/endless")).await, Err(Error::BodyUnreadable(_))));
    let silent = at("/silent").fetch(100, Duration::from_millis(100)).await;
    assert!(matches!(silent, Err(Error::TimedOut { .. })));

    let untrusted = |published: Result<Bytes, Error>| {
        let Err(Error::Unreachable { source, .. }) = published else { panic!("{published:?}") };
        assert!(source.to_string().contains("invalid peer certificate"), "{source}");
    };
    let unnamed = format!("https://{}/", address.replace("localhost", "127.0.0.1"));
    untrusted(fetch(&Published::new(&unnamed, Some(&file)).unwrap()).await);
    untrusted(fetch(&Published::new(&format!("https://{address}/"), None).unwrap()).await);
    let (_, other) = published().await;
    untrusted(fetch(&Published::new(&format!("https://{address}/"), Some(&other)).unwrap()).await);
    for file in [file, other] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn what_cannot_be_fetched_over_tls_is_refused_at_once() {
    for url in ["http://localhost/keys", "https://user@localhost/keys", "https://", "/keys", ""] {
        assert!(matches!(Published::new(url, None), Err(Error::UrlInvalid { .. })), "{url}");
    }
    for file in ["/dev/null", "/nowhere.pem"] {
        let published = Published::new("https://localhost/", Some(std::path::Path::new(file)));
        assert!(matches!(published, Err(Error::AuthoritiesInvalid { .. })), "{file}");
    }
}

#[tokio::test]
async fn a_body_in_drops_arrives_whole_and_takes_its_time() {
    let (listener, client) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await.unwrap();
        answer(&mut stream, "{}").await;
        request
    });
    let (pause, begun) = (Duration::from_millis(20), std::time::Instant::now());
    let answered = client.with_drops(Drops { count: 5, pause }).post_json("/a", &"0123456789").await.unwrap();
    assert_eq!(answered.status, 200);
    assert!(begun.elapsed() >= pause * 3, "{:?}", begun.elapsed());
    let request = server.await.unwrap().to_lowercase();
    assert!(request.contains("content-length: 12\r\n") && request.ends_with("\"0123456789\""), "{request}");
}

#[tokio::test]
async fn a_refusal_is_heard_while_the_body_is_on_its_way_and_holds_up_no_later_request() {
    let (listener, client) = listen().await;
    let server = tokio::spawn(async move {
        let mut streams = Vec::new();
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 429 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
            streams.push(stream);
        }
        streams
    });
    let (pause, begun) = (Duration::from_secs(5), std::time::Instant::now());
    let client = client.with_drops(Drops { count: 5, pause });
    for _ in 0..3 {
        let answered = client.post_json("/a", &"0123456789").await.unwrap();
        assert_eq!((answered.status, answered.text().as_str()), (429, "no"));
    }
    assert!(begun.elapsed() < pause, "{:?}", begun.elapsed());
    drop(server.await.unwrap());
}
