//! Revisions as entity tags: `ETag`, `If-Match` and `If-None-Match`. The tag of everything of a tenant is its revision.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap, HeaderName},
};

use super::Error;
use crate::{
    domain::{AtRevision, Revision},
    error::ErrorKind,
};

/// The tag of a revision.
pub fn tag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

/// The revisions that a change may be made at, as `If-Match` names them.
#[derive(Debug, Clone)]
pub struct IfMatch(pub AtRevision);

impl FromRequest for IfMatch {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(if_match(request.headers()).map(Self))
    }
}

/// Whether the caller has this revision already, as `If-None-Match` tells, whose comparison is weak. A tag that is not
/// ours matches nothing.
pub fn has(request: &HttpRequest, revision: Revision) -> bool {
    let ours = revision.to_string();
    match named(request.headers(), &header::IF_NONE_MATCH) {
        Some(Named::Any) => true,
        Some(Named::Tags(tags)) => tags.iter().any(|tag| tag.opaque == ours),
        None => false,
    }
}

/// What a header names.
enum Named<'a> {
    /// `*`: whatever there is.
    Any,
    Tags(Vec<Tag<'a>>),
}

/// An entity tag.
struct Tag<'a> {
    is_weak: bool,
    opaque: &'a str,
}

/// What `If-Match` or `If-None-Match` names, on however many lines (RFC 9110, 13.1); `None` if it is malformed.
fn named<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Named<'a>> {
    let mut tags = Vec::new();
    let mut is_any = false;
    for line in headers.get_all(name) {
        let line = line.to_str().ok()?.trim();
        is_any |= line == "*";
        if line != "*" {
            add_tags(line, &mut tags)?;
        }
    }
    match (is_any, tags.is_empty()) {
        (true, true) => Some(Named::Any),
        (false, false) => Some(Named::Tags(tags)),
        _ => None,
    }
}

fn add_tags<'a>(line: &'a str, tags: &mut Vec<Tag<'a>>) -> Option<()> {
    let mut rest = line;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
            continue;
        }
        let strong = rest.strip_prefix("W/");
        let (opaque, after) = strong.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        let is_tag = opaque.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e));
        rest = after.trim_start();
        if !is_tag || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        tags.push(Tag { is_weak: strong.is_some(), opaque });
    }
    Some(())
}

/// The comparison is strong: a weak tag matches nothing, and neither does one that we never gave.
fn if_match(headers: &HeaderMap) -> Result<AtRevision, Error> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(AtRevision::Any);
    }
    match named(headers, &header::IF_MATCH) {
        Some(Named::Any) => Ok(AtRevision::Any),
        Some(Named::Tags(tags)) => Ok(AtRevision::OneOf(tags.iter().filter_map(Tag::revision).collect())),
        None => {
            let message =
                "`If-Match` is not a list of tags; send a revision as answered in `ETag`, such as \"7\", or `*`";
            Err(Error::new(ErrorKind::Malformed, "if_match_invalid", message))
        }
    }
}

impl Tag<'_> {
    /// The revision that a strong tag of ours names.
    fn revision(&self) -> Option<Revision> {
        let revision = Revision(self.opaque.parse().ok()?);
        (!self.is_weak && revision.to_string() == self.opaque).then_some(revision)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn if_match_is_a_list_compared_strongly_or_a_star() {
        let read = |value: &str| {
            if_match(TestRequest::default().insert_header((header::IF_MATCH, value)).to_http_request().headers())
        };
        let at = |revisions: &[i64]| AtRevision::OneOf(revisions.iter().copied().map(Revision).collect());
        for (value, revisions) in [
            ("\"7\"", at(&[7])),
            ("\"0\", \"7\"", at(&[0, 7])),
            (" \"0\" ,,\"7\",", at(&[0, 7])),
            ("*", AtRevision::Any),
            ("W/\"7\"", at(&[])),
            ("W/\"7\", \"8\"", at(&[8])),
            ("\"a,b\", \"7\"", at(&[7])),
            ("\"\"", at(&[])),
            ("\"+7\", \"07\"", at(&[])),
            ("\"99999999999999999999\"", at(&[])),
        ] {
            assert_eq!(read(value).unwrap(), revisions, "{value}");
        }
        for wrong in ["7", "\"7 \"", "\"", "\"7\" \"8\"", "w/\"7\"", "W/7", "*, \"7\"", "\"7", "", ","] {
            assert_eq!(read(wrong).unwrap_err().code(), "if_match_invalid", "{wrong}");
        }
        assert_eq!(if_match(TestRequest::default().to_http_request().headers()).unwrap(), AtRevision::Any);
        let lines = TestRequest::default()
            .append_header((header::IF_MATCH, "\"3\""))
            .append_header((header::IF_MATCH, "\"7\""))
            .to_http_request();
        assert_eq!(if_match(lines.headers()).unwrap(), at(&[3, 7]));
        assert!(at(&[3, 7]).allows(Revision(7)) && !at(&[]).allows(Revision(7)) && AtRevision::Any.allows(Revision(7)));
    }

    #[test]
    fn if_none_match_is_a_list_compared_weakly() {
        let has = |value: &str, revision| {
            let request = TestRequest::default().insert_header((header::IF_NONE_MATCH, value)).to_http_request();
            has(&request, Revision(revision))
        };
        assert!(has("\"7\"", 7) && has("W/\"7\"", 7) && has("\"3\", \"7\"", 7) && has("*", 7));
        assert!(has("W/\"3\", W/\"7\"", 7) && has("\"a,\",\"7\"", 7));
        assert!(!has("\"7\"", 8) && !has("7", 7) && !has("garbage", 7) && !has("\"07\"", 7));
    }
}
