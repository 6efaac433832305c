//! Errors as answers: the only map from [`ErrorKind`] to status, code and body.
//!
//! The body is problem details (RFC 9457). It is written by `middleware.rs`, which knows the request's id. Causes from
//! inside are logged and never sent to the client.

mod admission;
mod events;
mod store;

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{Method, StatusCode, header},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    auth,
    domain::QuotaExceeded,
    engine,
    error::{Detail, ErrorKind, shortened},
    json,
    ruleset::Broken,
};

/// The media type of every error's body.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a caller may retry if the service was busy or unavailable.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Why a request is not served.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<Detail>,
    extensions: Vec<(&'static str, Value)>,
    header: Option<(header::HeaderName, String)>,
    cause: Option<String>,
}

/// The body of an error.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    r#type: String,
    title: String,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
    errors: &'a [Detail],
    #[serde(flatten)]
    extensions: Map<String, Value>,
}

/// The status of each kind.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Precondition => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unacceptable => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Busy => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, code: &'static str, detail: impl Into<String>) -> Self {
        Self::with_status(status(kind), code, detail)
    }

    fn with_status(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, errors: Vec::new(), extensions: Vec::new(), header: None, cause: None }
    }

    /// The input is well formed and not valid: 422 with everything that is wrong.
    pub fn invalid(errors: Vec<Detail>) -> Self {
        let message = match errors.as_slice() {
            [only] => only.message.clone(),
            many => format!("the input has {} errors; `errors` lists them", many.len()),
        };
        Self { errors, ..Self::new(ErrorKind::Unacceptable, "invalid", message) }
    }

    /// One thing wrong with the input: 422.
    pub fn invalid_one(detail: Detail) -> Self {
        Self::invalid(vec![detail])
    }

    /// There is no such thing: 404.
    pub fn not_found(code: &'static str, what: &str) -> Self {
        Self::new(ErrorKind::NotFound, code, format!("there is no {what}"))
    }

    /// Another number of dead letters matches than was expected: 409.
    pub fn other_number_matches(matched: i64) -> Self {
        let message = format!("{matched} dead letters match, which is not the number expected; nothing was done");
        Self::new(ErrorKind::Conflict, "other_number_matches", message).extend("matched", matched)
    }

    /// No such tenant: 404.
    pub fn tenant_not_found() -> Self {
        engine::Error::TenantNotFound.into()
    }

    /// No credential, or a wrong one: 401.
    pub fn unauthenticated(detail: &str) -> Self {
        let challenge = (header::WWW_AUTHENTICATE, "Bearer realm=\"tenet\"".to_owned());
        Self { header: Some(challenge), ..Self::new(ErrorKind::Unauthenticated, "unauthenticated", detail) }
    }

    /// The caller's credential lacks the permission: 403.
    pub fn forbidden() -> Self {
        Self::new(ErrorKind::Forbidden, "forbidden", "the key does not permit this")
    }

    /// Too many invalid credentials: 429, and when to retry.
    pub fn too_many_failures(wait: Duration) -> Self {
        let seconds = whole_seconds(wait);
        let detail = format!("too many invalid keys from this address, or with this key id; retry in {seconds} s");
        let wait = (header::RETRY_AFTER, seconds.to_string());
        Self { header: Some(wait), ..Self::new(ErrorKind::Busy, "too_many_failures", detail) }
    }

    /// The path is served, but not with this method: 405 with the methods that are.
    pub fn method_not_allowed(method: &Method, allowed: &str) -> Self {
        let detail =
            format!("this resource does not support `{}`; it supports {allowed}", method.as_str().escape_default());
        let allow = (header::ALLOW, allowed.to_owned());
        Self { header: Some(allow), ..Self::with_status(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail) }
    }

    /// The service does not serve the host name of the request: 421.
    pub fn misdirected() -> Self {
        let detail = "this service does not serve the name in `Host`; an operator can add it to `TENET_HOSTS`";
        Self::with_status(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail)
    }

    /// The body did not arrive in time: 408.
    pub fn body_timeout() -> Self {
        Self::with_status(StatusCode::REQUEST_TIMEOUT, "body_timeout", "the body did not arrive in time")
    }

    /// The resource does not accept the body's media type: 415.
    pub fn unsupported_media_type(expected: &str) -> Self {
        let detail = format!("this resource accepts `{expected}`; send it with this `Content-Type`");
        Self::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// The resource does not accept the body's encoding: 415.
    pub fn unsupported_encoding(detail: &str) -> Self {
        Self::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// An error that the framework answers by itself.
    pub fn of_framework(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("route_not_found", "there is nothing at this path"),
            StatusCode::INTERNAL_SERVER_ERROR => ("internal", INTERNAL),
            _ => ("request_refused", status.canonical_reason().unwrap_or("the request was refused")),
        };
        Self::with_status(status, code, detail)
    }

    /// The same error with another member in its body.
    #[must_use]
    pub fn extend(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extensions.push((name, value.into()));
        self
    }

    /// The same error, with when to come again.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.header = Some((header::RETRY_AFTER, seconds.max(1).to_string()));
        self
    }

    fn exceeding(self, QuotaExceeded { quota, limit, used }: QuotaExceeded) -> Self {
        self.extend("quota", quota.name()).extend("limit", limit).extend("used", used)
    }

    /// The same error, and what to do next.
    fn with_next_step(mut self) -> Self {
        if let Some(step) = next_step(self.code) {
            self.detail = format!("{}; {step}", self.detail);
        }
        self
    }

    /// The stable name of what went wrong.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What went wrong, for the client.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Each thing that is wrong with the input.
    pub fn errors(&self) -> &[Detail] {
        &self.errors
    }

    /// The cause, for the log.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The answer, with the request's id in its body.
    pub fn answer(&self, request_id: &str) -> HttpResponse {
        let problem = Problem {
            r#type: format!("urn:tenet:problem:{}", self.code),
            title: title(self.code),
            status: self.status.as_u16(),
            detail: &shortened(&self.detail),
            code: self.code,
            request_id,
            errors: &self.errors,
            extensions: self.extensions.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        };
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CONTENT_TYPE, PROBLEM_JSON));
        if let Some((name, value)) = &self.header {
            response.insert_header((name.clone(), value.as_str()));
        }
        let says_when = self.header.as_ref().is_some_and(|(name, _)| name == header::RETRY_AFTER);
        if !says_when && matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body may still arrive, and would be read as the next request of this connection.
            response.force_close();
        }
        // It has only strings and numbers, so serializing it cannot fail.
        response.body(serde_json::to_vec(&problem).unwrap_or_default())
    }
}

const INTERNAL: &str = "the service failed; its log has the cause under the id of this request";

/// `schema_missing` as a title: `Schema missing`.
fn title(code: &str) -> String {
    let mut title = code.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        // The body follows in `middleware.rs`, where the request's id is known.
        HttpResponse::new(self.status)
    }
}

/// What a caller can do about an error that the tenant's state causes.
fn next_step(code: &str) -> Option<&'static str> {
    match code {
        "schema_missing" => Some("create one with `POST /api/v1/tenants/{tenantId}/schema`"),
        "tenant_pinned" => Some("unpin it first with `PATCH /api/v1/tenants/{tenantId}` and `{\"pinned\": false}`"),
        "tenant_quarantined" => Some("release it with `POST /api/v1/tenants/{tenantId}/runtime/release`"),
        "schema_exists" => Some("create its next version with `PUT`"),
        "would_break" => Some("fix what `errors` lists first, or have it deactivated with `?onBroken=deactivate`"),
        "breaks_named_callers" => Some("once they send their facts flat, ask again with `?acceptBreaking=true`"),
        "breaks_flat_callers" => Some("once they name the object, retry with `?acceptBreaking=true`"),
        "revision_mismatch" => Some("read it again, and send its `ETag` in `If-Match`"),
        _ => None,
    }
}

/// Everything that a change would break, as details that name the broken thing.
fn details_of(broken: &[Broken]) -> Vec<Detail> {
    let about = |Broken { subject, details }: &Broken| {
        details.iter().map(|detail| detail.clone().about(subject.clone())).collect::<Vec<_>>()
    };
    broken.iter().flat_map(about).collect()
}

/// Whole seconds, rounded up.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// An error with all its sources, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&engine::Error> for Error {
    fn from(error: &engine::Error) -> Self {
        let (kind, code) = (error.kind(), error.code());
        let message = error.to_string();
        match error {
            engine::Error::Json(error) => error.into(),
            engine::Error::Store(error) => error.into(),
            engine::Error::Invalid(details) => Self::invalid(details.clone()),
            engine::Error::NamesRepeated(errors) => Self { errors: errors.clone(), ..Self::new(kind, code, message) },
            engine::Error::Breaks(broken) => Self { errors: details_of(broken), ..Self::new(kind, code, message) },
            engine::Error::RevisionMismatch { current } | engine::Error::RevisionNotReached { current } => {
                Self::new(kind, code, message).extend("currentRevision", current.0)
            }
            engine::Error::TooBusy { limit } => Self::new(kind, code, message).waiting_for_turn(*limit),
            engine::Error::QuotaExceeded(exceeded) => Self::new(kind, code, message).exceeding(*exceeded),
            engine::Error::Internal(_) => Self { cause: Some(message), ..Self::new(kind, code, INTERNAL) },
            _ => Self::new(kind, code, message),
        }
        .with_next_step()
    }
}

impl From<auth::Error> for Error {
    fn from(error: auth::Error) -> Self {
        match error {
            auth::Error::Store(error) => error.into(),
            auth::Error::KeysUnavailable => Self::new(error.kind(), error.code(), error.to_string()),
        }
    }
}

impl From<json::Error> for Error {
    fn from(error: json::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&json::Error> for Error {
    fn from(error: &json::Error) -> Self {
        match error {
            json::Error::Invalid(detail) => Self::invalid_one((**detail).clone()),
            error => Self::new(error.kind(), error.code(), error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
