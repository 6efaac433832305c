//! Who calls. A handler's signature names whom it admits; there is no other place that lets anyone in.
//!
//! There is one kind of caller yet: the operator, who may do everything.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};

use super::{Api, Error};

/// The operator: shown by the operator's key, or anyone where none is set (development on loopback).
#[derive(Debug, Clone, Copy)]
pub struct Operator;

impl Operator {
    /// The name under which changes are logged.
    pub fn actor(self) -> String {
        "operator".to_owned()
    }
}

impl FromRequest for Operator {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identify(request))
    }
}

fn identify(request: &HttpRequest) -> Result<Operator, Error> {
    let Some(key) = &Api::of(request)?.options.operator_key else { return Ok(Operator) };
    let mut credentials = request.headers().get_all(header::AUTHORIZATION);
    let Some(credential) = credentials.next() else {
        return Err(Error::unauthenticated("no key: send `Authorization: Bearer <key>`"));
    };
    if credentials.next().is_some() {
        return Err(Error::unauthenticated("two keys: send one `Authorization` header"));
    }
    match credential.to_str().ok().and_then(bearer) {
        Some(token) if key.matches(token) => Ok(Operator),
        Some(_) => Err(Error::unauthenticated("the key is not valid")),
        None => Err(Error::unauthenticated("the credential is not `Bearer <key>`")),
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter.
fn bearer(credential: &str) -> Option<&str> {
    let (scheme, token) = credential.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' ')).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_scheme_and_a_token() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        for wrong in ["Bearer", "Bearer ", "Basic abc", "abc", ""] {
            assert_eq!(bearer(wrong), None, "{wrong}");
        }
    }
}
