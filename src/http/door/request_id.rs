//! The id of a request: the caller's, or a new one. It is in the answer, in its errors, in the log and in the audit
//! log.

use actix_web::{HttpMessage, HttpRequest, dev::ServiceRequest, http::header::HeaderName};
use uuid::Uuid;

/// The header of a request's id, in requests and in answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a caller, in characters.
const CHARS_MAX: usize = 128;

/// The id of the request, stored with it.
struct RequestId(String);

/// The id of a request, once it has been assigned.
pub fn of(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<RequestId>().map(|id| id.0.clone())
}

/// Gives a request its id: the caller's if it is short and printable, otherwise a new one.
pub fn assign(request: &ServiceRequest) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let acceptable = |id: &&str| {
        (1..=CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    let id = given.filter(acceptable).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    id
}
