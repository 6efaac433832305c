//! What the service answered.

use http_body_util::{BodyExt, Limited};
use hyper::{HeaderMap, body::Bytes};
use serde::de::DeserializeOwned;

use super::{Error, connection::Incoming};

/// Bytes of a response that are read at most.
const BODY_BYTES_MAX: usize = 64 << 20;

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    pub(super) async fn read(response: Incoming) -> Result<Self, Error> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(Error::BodyUnreadable)?.to_bytes();
        Ok(Self { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not of this form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|source| Error::NotJson { status: self.status, source })
    }
}
