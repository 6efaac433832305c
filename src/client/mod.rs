//! A small HTTP/1.1 client for our own commands and tests: connections are kept and made anew when they are gone.
//!
//! It speaks plain HTTP to a service nearby. It is no general client: no TLS, no redirects, no cookies, no proxies.
//! Apart from it stands [`Published`], which gets one document over TLS.

mod authorities;
mod body;
mod connection;
mod error;
mod fetch;
mod response;
mod target;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use hyper::{Request, header};
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use crate::config::Secret;
use connection::Connection;
use target::Target;

pub use authorities::Authorities;
pub use body::Drops;
pub use error::Error;
pub use fetch::Published;
pub use hyper::{HeaderMap, Method, body::Bytes};
pub use response::Response;

/// How long an exchange may take, connecting included, unless another time is set.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections kept; more are closed after use.
const IDLE_MAX: usize = 64;

/// A client of one service; cheap to clone, and clones share their connections.
#[derive(Clone)]
pub struct Client {
    target: Arc<Target>,
    key: Option<Secret>,
    timeout: Duration,
    drops: Option<Drops>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Client {
    /// A client of the service at `url`, such as `http://127.0.0.1:8080`. Connects when it is first used.
    ///
    /// # Errors
    ///
    /// The URL is no `http://` URL with a host.
    pub fn new(url: &str) -> Result<Self, Error> {
        let target = Arc::new(Target::parse(url)?);
        Ok(Self { target, key: None, timeout: TIMEOUT, drops: None, idle: Arc::default() })
    }

    /// The same client, which proves itself with `key`.
    #[must_use]
    pub fn with_key(mut self, key: Option<Secret>) -> Self {
        self.key = key;
        self
    }

    /// The same client, which waits for `timeout` at most.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same client, which sends each body in drops.
    #[must_use]
    pub fn with_drops(mut self, drops: Drops) -> Self {
        self.drops = Some(drops);
        self
    }

    /// The same client with connections of its own: what it sends waits for nobody else.
    #[must_use]
    pub fn with_own_connections(mut self) -> Self {
        self.idle = Arc::default();
        self
    }

    /// Whether it proves itself with a key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Where the service is, as given.
    pub fn url(&self) -> &str {
        self.target.url()
    }

    /// Host and port of the service.
    pub fn address(&self) -> (&str, u16) {
        self.target.address()
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Result<Response, Error> {
        self.request(Method::GET, path, &[], Bytes::new()).await
    }

    /// Sends a DELETE.
    pub async fn delete(&self, path: &str) -> Result<Response, Error> {
        self.request(Method::DELETE, path, &[], Bytes::new()).await
    }

    /// Sends a POST with a JSON body.
    pub async fn post_json(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Result<Response, Error> {
        self.send_json(Method::POST, path, body).await
    }

    /// Sends a PUT with a JSON body.
    pub async fn put_json(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Result<Response, Error> {
        self.send_json(Method::PUT, path, body).await
    }

    /// Sends a PATCH with a JSON body.
    pub async fn patch_json(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Result<Response, Error> {
        self.send_json(Method::PATCH, path, body).await
    }

    async fn send_json(&self, method: Method, path: &str, body: &(impl Serialize + ?Sized)) -> Result<Response, Error> {
        let body = serde_json::to_vec(body).map_err(Error::BodyUnwritable)?;
        self.request(method, path, &[("content-type", "application/json")], body).await
    }

    /// Sends a request: `path` begins with `/` and may carry a query.
    ///
    /// # Errors
    ///
    /// The service cannot be reached, or does not answer in time, or not in HTTP. A status of 400 and above is an
    /// answer, not an error.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response, Error> {
        let mut request = Request::builder().method(method).uri(self.target.path(path));
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(header::HOST, self.target.authority());
        }
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.into();
        if self.drops.is_some() {
            request = request.header(header::CONTENT_LENGTH, body.len());
        }
        let request = request.body(body::body(body, self.drops)).map_err(Error::RequestInvalid)?;
        match timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut { url: self.url().to_owned(), after: self.timeout }),
        }
    }

    /// Sends over an idle connection, or a new one if there is none or the service has closed it.
    async fn exchange(&self, mut request: connection::Outgoing) -> Result<Response, Error> {
        loop {
            let Some(mut connection) = self.idle.lock().await.pop() else { break };
            match connection.send(request).await {
                Ok(response) => return self.receive(connection, response).await,
                Err(connection::Failure::NotSent(unsent)) => request = *unsent,
                Err(connection::Failure::Broken(error)) => return Err(Error::Broken(error)),
            }
        }
        let mut connection = Connection::open(&self.target).await?;
        match connection.send(request).await {
            Ok(response) => self.receive(connection, response).await,
            Err(connection::Failure::NotSent(_)) => Err(Error::Closed { url: self.url().to_owned() }),
            Err(connection::Failure::Broken(error)) => Err(Error::Broken(error)),
        }
    }

    async fn receive(&self, connection: Connection, response: connection::Incoming) -> Result<Response, Error> {
        let response = Response::read(response).await?;
        // One that the service closes is not waited for: a body may still be on its way over it.
        let is_closing = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if connection.is_reusable() && !is_closing {
            let mut idle = self.idle.lock().await;
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        Ok(response)
    }
}
