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
