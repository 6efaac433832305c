//! A request in lines over a socket of the test's own: what is sent and what is read can be told apart.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::TestApp;

/// Begins a request of a tenant's, of any length.
pub async fn converse(app: &TestApp, tenant: &str, route: &str, key: &str) -> TcpStream {
    let (host, port) = app.client.address();
    let mut socket = TcpStream::connect((host, port)).await.unwrap();
    let head = format!(
        "POST /api/v1/tenants/{tenant}/{route} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

/// Sends a line of it.
pub async fn send_line(socket: &mut TcpStream, line: &str) {
    socket.write_all(format!("{:x}\r\n{line}\n\r\n", line.len() + 1).as_bytes()).await.unwrap();
}

/// Reads the answer until it has this text.
pub async fn read_until(socket: &mut TcpStream, read: &mut String, wanted: &str) {
    let mut piece = [0; 4_096];
    while !read.contains(wanted) {
        let length = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut piece)).await.unwrap().unwrap();
        assert_ne!(length, 0, "closed after {read}");
        read.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
}
