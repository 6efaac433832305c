//! Revisions as entity tags: `ETag`, `If-Match` and `If-None-Match`. The tag of everything of a tenant is its revision.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap, HeaderName},
};

use super::Error;
use crate::{domain::Revision, error::ErrorKind};

/// The tag of a revision.
pub fn tag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

/// The revision that a change is to be made at, if `If-Match` names one.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(pub Option<Revision>);

impl FromRequest for IfMatch {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(if_match(request.headers()).map(Self))
    }
}

/// Whether the caller has this revision already, as `If-None-Match` tells. A tag that is not ours matches nothing.
pub fn has(request: &HttpRequest, revision: Revision) -> bool {
    let ours = tag(revision);
    tags(request.headers(), &header::IF_NONE_MATCH)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == ours)
}

fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn if_match(headers: &HeaderMap) -> Result<Option<Revision>, Error> {
    let mut values = headers.get_all(header::IF_MATCH);
    let Some(value) = values.next() else { return Ok(None) };
    let value = value.to_str().unwrap_or_default().trim();
    let refuse = |reason: &str| {
        let message = format!("`If-Match` {reason}; send one revision as answered in `ETag`, such as \"7\", or `*`");
        Err(Error::new(ErrorKind::Malformed, "if_match_invalid", message))
    };
    if values.next().is_some() || value.contains(',') {
        return refuse("names more than one revision");
    }
    if value.starts_with("W/") {
        return refuse("is a weak tag");
    }
    if value == "*" {
        return Ok(None);
    }
    let digits = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    let canonical = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(revision) if canonical => Ok(Some(Revision(revision))),
        _ => refuse("is not a revision"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn if_match_is_one_strong_tag_or_a_star() {
        let read = |value: &str| {
            if_match(TestRequest::default().insert_header((header::IF_MATCH, value)).to_http_request().headers())
        };
        assert_eq!(read("\"7\"").unwrap(), Some(Revision(7)));
        assert_eq!(read("*").unwrap(), None);
        for wrong in ["7", "W/\"7\"", "\"7\", \"8\"", "\"\"", "\"+7\"", "\"a\"", "\"", "\"99999999999999999999\"", ""] {
            assert_eq!(read(wrong).unwrap_err().code(), "if_match_invalid", "{wrong}");
        }
        assert_eq!(if_match(TestRequest::default().to_http_request().headers()).unwrap(), None);
    }

    #[test]
    fn if_none_match_is_a_list_compared_weakly() {
        let has = |value: &str, revision| {
            let request = TestRequest::default().insert_header((header::IF_NONE_MATCH, value)).to_http_request();
            has(&request, Revision(revision))
        };
        assert!(has("\"7\"", 7) && has("W/\"7\"", 7) && has("\"3\", \"7\"", 7) && has("*", 7));
        assert!(!has("\"7\"", 8) && !has("7", 7) && !has("garbage", 7));
    }
}
