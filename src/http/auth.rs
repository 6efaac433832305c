//! Who calls. Before a handler runs, its route's permission is asked for here; there is no other place that lets
//! anyone in, and no other that makes a [`TenantScope`].

use std::{
    fmt,
    future::{Ready, ready},
    time::Instant,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
};

use super::{Api, Error, exchange};
use crate::domain::{Author, Permission, Principal, TenantId, Token};

/// Whoever was let in.
#[derive(Debug, Clone, Copy)]
pub struct Caller(Principal);

/// Whom a request's changes are put down to.
#[derive(Debug, Clone)]
pub struct By(pub Author);

/// A tenant that the caller may act on, in what its permission covers. Only authentication makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantScope {
    tenant: TenantId,
}

impl TenantScope {
    /// The tenant.
    pub fn id(self) -> TenantId {
        self.tenant
    }
}

impl fmt::Display for TenantScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tenant.fmt(f)
    }
}

impl Caller {
    /// Whom a request's changes are put down to.
    pub fn author(&self, request: &HttpRequest) -> Author {
        let address = request.peer_addr().map(|address| address.ip().to_canonical());
        Author::of_request(&self.0, exchange::id_of(request), address)
    }

    /// The tenant that the caller is bound to; the operator is bound to none.
    pub fn own(&self) -> Option<TenantScope> {
        self.0.tenant().map(|tenant| TenantScope { tenant })
    }

    /// The scope of `tenant`. One that is not the caller's is answered like one that does not exist.
    pub fn scope(&self, tenant: TenantId) -> Result<TenantScope, Error> {
        match self.0.tenant() {
            Some(own) if own != tenant => Err(Error::tenant_not_found()),
            _ => Ok(TenantScope { tenant }),
        }
    }

    /// The one that [`admit`] let in.
    pub fn of(request: &HttpRequest) -> Result<Self, Error> {
        let caller = request.extensions().get::<Self>().copied();
        caller.ok_or_else(|| Error::of_framework(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

impl FromRequest for Caller {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl FromRequest for By {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Caller::of(request).map(|caller| Self(caller.author(request))))
    }
}

/// Lets a request in, or says why not: 401 to nobody, 404 for what is not the caller's, 403 for what the caller may not
/// do with its own. Nothing of the request but its head has been read, and nothing looked up.
pub async fn admit(request: &HttpRequest, permission: Permission) -> Result<(), Error> {
    if matches!(permission, Permission::Observe | Permission::Operate) && !Api::of(request)?.is_for_operators(request) {
        return Err(Error::not_found("route_not_found", "such path here; operators have an address of their own"));
    }
    if matches!(permission, Permission::Open | Permission::Observe) {
        return Ok(());
    }
    let principal = identify(request).await?;
    let caller = Caller(principal);
    if caller.own().is_some()
        && let Some(named) = request.match_info().get("tenantId")
    {
        caller.scope(named.parse().map_err(|_| Error::tenant_not_found())?)?;
    }
    if !principal.may(permission) {
        return Err(Error::forbidden());
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

async fn identify(request: &HttpRequest) -> Result<Principal, Error> {
    let api = Api::of(request)?;
    let mut credentials = request.headers().get_all(header::AUTHORIZATION);
    let Some(credential) = credentials.next() else {
        if api.options.is_open {
            return Ok(Principal::Operator { key: None });
        }
        return Err(Error::unauthenticated("no key: send `Authorization: Bearer <key>`"));
    };
    if credentials.next().is_some() {
        return Err(refuse(request, api, None, "two keys: send one `Authorization` header"));
    }
    let Some(token) = credential.to_str().ok().and_then(bearer) else {
        return Err(refuse(request, api, None, "the credential is not `Bearer <key>`"));
    };
    if api.options.operator_key.as_ref().is_some_and(|key| key.matches(token)) {
        return Ok(Principal::Operator { key: None });
    }
    let principal = api.engine.authenticate(token).await?;
    principal.ok_or_else(|| refuse(request, api, Some(token), "the key is not valid"))
}

/// Counts a credential that is not valid: 401, or 429 to who sends too many of them.
fn refuse(request: &HttpRequest, api: &Api, token: Option<&str>, detail: &str) -> Error {
    let address = request.peer_addr().map(|address| address.ip());
    let key = token.and_then(Token::parse).map(|token| token.holder());
    let wait = api.failures.note(address, key, Instant::now());
    api.metrics.credential_refused(wait.is_some());
    wait.map_or_else(|| Error::unauthenticated(detail), Error::too_many_failures)
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
