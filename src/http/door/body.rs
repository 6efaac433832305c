//! Bodies of requests: of the right media type, within the limit of size, and before the deadline.

use std::{
    borrow::Cow,
    future::Future,
    pin::{Pin, pin},
    time::Duration,
};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header,
    web::{Bytes, BytesMut},
};
use chrono::{DateTime, Utc};
use futures_util::{FutureExt, StreamExt};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

use super::{AppState, Error, options::HttpLimits};
use crate::{domain::read_timestamp, error::ErrorKind, json};

/// The media type of bodies.
pub const JSON: &str = "application/json";
/// The media type of batches, one JSON document a line.
pub const NDJSON: &str = "application/x-ndjson";

/// A request's body, read strictly.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A request's body, unparsed.
#[derive(Debug)]
pub struct RawBody(pub Bytes);

/// A time in a body, read as strictly as everywhere.
pub fn read_time<'de, D: Deserializer<'de>>(input: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<Cow<'_, str>>::deserialize(input)?;
    let time = text.map(|text| read_timestamp(&text)).transpose();
    time.map_err(|reason| D::Error::custom(format!("it {reason}")))
}

/// A type that is read from the body of a request.
pub trait Document: DeserializeOwned + 'static {
    /// Its limit of size.
    const SIZE: BodySize = BodySize::Ordinary;
}

/// The limit of size of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodySize {
    /// A single resource.
    Ordinary,
    /// All rules of a tenant.
    Rules,
    /// A batch.
    Batch,
}

impl BodySize {
    fn bytes_max(self, limits: &HttpLimits) -> usize {
        match self {
            Self::Ordinary => limits.body_bytes_max,
            Self::Rules => limits.rules_body_bytes_max,
            Self::Batch => limits.batch_body_bytes_max,
        }
    }
}

impl<T: Document> FromRequest for Body<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let text = read_json(&request, payload, T::SIZE).await?;
            Ok(Self(json::read(&text)?))
        })
    }
}

impl FromRequest for RawBody {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { read_json(&request, payload, BodySize::Ordinary).await.map(Self) })
    }
}

/// Reads the whole body of a request whose media type is JSON.
pub async fn read_json(request: &HttpRequest, payload: Payload, size: BodySize) -> Result<Bytes, Error> {
    if media_type(request)? != JSON {
        return Err(Error::unsupported_media_type(JSON));
    }
    let limits = &AppState::of(request)?.options.limits;
    let bytes_max = size.bytes_max(limits);
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.and_then(|length| length.parse().ok()).is_some_and(|length: u64| length > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let deadline: Duration = limits.body_deadline;
    let mut collecting = pin!(collect(payload, bytes_max));
    // Most bodies arrive with their head, and need no timer.
    if let Some(collected) = collecting.as_mut().now_or_never() {
        return collected;
    }
    tokio::time::timeout(deadline, collecting).await.map_err(|_| Error::body_timeout())?
}

async fn collect(mut payload: Payload, bytes_max: usize) -> Result<Bytes, Error> {
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|error| unreadable(&error))?;
    if first.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    // Most bodies arrive in one piece, which is not copied.
    let Some(mut next) = payload.next().await else { return Ok(first) };
    let mut body = BytesMut::from(first.as_ref());
    loop {
        let chunk = next.map_err(|error| unreadable(&error))?;
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        body.extend_from_slice(&chunk);
        match payload.next().await {
            Some(more) => next = more,
            None => return Ok(body.freeze()),
        }
    }
}

/// The media type in `Content-Type`, in lowercase, without parameters.
pub fn media_type(request: &HttpRequest) -> Result<Cow<'static, str>, Error> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Error::unsupported_encoding(
            "compressed bodies are not supported; send it without `Content-Encoding`",
        ));
    }
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if value == JSON {
        return Ok(JSON.into());
    }
    let (media_type, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset =
        parameters.split(';').filter_map(|parameter| parameter.split_once('=')).find_map(|(name, charset)| {
            name.trim().eq_ignore_ascii_case("charset").then(|| charset.trim().trim_matches('"').to_ascii_lowercase())
        });
    if charset.is_some_and(|charset| charset != "utf-8" && charset != "utf8" && charset != "us-ascii") {
        return Err(Error::unsupported_encoding("the body must be in UTF-8"));
    }
    Ok(media_type.trim().to_ascii_lowercase().into())
}

fn too_large(bytes_max: usize) -> Error {
    let message = format!("the body has more than {bytes_max} bytes");
    Error::new(ErrorKind::TooLarge, "body_too_large", message).extend("maxBytes", bytes_max)
}

fn unreadable(error: &impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Malformed, "body_broken", format!("the body cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn media_type_of(value: &str) -> Result<Cow<'static, str>, Error> {
        media_type(&TestRequest::default().insert_header((header::CONTENT_TYPE, value)).to_http_request())
    }

    #[test]
    fn a_media_type_is_read_without_case_and_parameters() {
        assert_eq!(media_type_of("Application/JSON; charset=UTF-8").unwrap(), JSON);
        assert_eq!(media_type_of("application/json;boundary=x").unwrap(), JSON);
        assert_eq!(media_type(&TestRequest::default().to_http_request()).unwrap(), "");
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused() {
        assert_eq!(media_type_of("application/json; charset=latin1").unwrap_err().code(), "unsupported_media_type");
        let request = TestRequest::default().insert_header((header::CONTENT_ENCODING, "gzip")).to_http_request();
        assert_eq!(media_type(&request).unwrap_err().code(), "unsupported_media_type");
    }
}
