//! Authenticates and authorizes requests. Before a handler runs, `auth` authenticates the credential of its request,
//! and the permission of its route is checked. Nothing else does this, or makes a [`TenantScope`] for a caller.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
};

use super::{AppState, Error, request_id};
use crate::{
    auth::{Credential, KeptCredential},
    domain::{Author, Permission, Principal, TenantId, TenantScope},
};

/// The authenticated caller of a request.
#[derive(Debug, Clone)]
pub struct Caller(Principal);

/// The author recorded for this request's changes.
#[derive(Debug, Clone)]
pub struct By(pub Author);

impl Caller {
    /// The author recorded for this request's changes.
    pub fn author(&self, request: &HttpRequest) -> Author {
        let address = request.peer_addr().map(|address| address.ip().to_canonical());
        Author::of_request(&self.0, request_id::of(request), address)
    }

    /// The scope of the tenant that the caller is bound to; an operator is bound to none.
    pub fn own(&self) -> Option<TenantScope> {
        TenantScope::of_principal(&self.0, self.0.tenant()?)
    }

    /// The scope of `tenant`. A tenant that is not the caller's is answered like one that does not exist.
    pub fn scope(&self, tenant: TenantId) -> Result<TenantScope, Error> {
        TenantScope::of_principal(&self.0, tenant).ok_or_else(Error::tenant_not_found)
    }

    /// The caller of a request that [`admit`] has admitted.
    pub fn of(request: &HttpRequest) -> Result<Self, Error> {
        let caller = request.extensions().get::<Self>().cloned();
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

/// The access of a request whose answer takes long: its credential may expire or be revoked before the answer ends.
pub struct StreamAccess {
    /// `None` if the service requires no key.
    credential: Option<KeptCredential>,
    permission: Permission,
    scope: TenantScope,
    is_rated: bool,
}

impl StreamAccess {
    /// The access of a request that was admitted with `permission`.
    pub fn of(request: &HttpRequest, permission: Permission, scope: TenantScope) -> Result<Self, Error> {
        let credential = credential_of(request)?.map(Credential::keep);
        let is_rated = Caller::of(request)?.own().is_some();
        Ok(Self { credential, permission, scope, is_rated })
    }

    /// Whether what it sends counts in the tenant's rate: what an operator sends does not.
    pub fn is_rated(&self) -> bool {
        self.is_rated
    }

    /// An error if the credential is no longer valid or no longer permits the request. A known credential is found in
    /// memory.
    pub async fn check(&self, state: &AppState) -> Result<(), Error> {
        let Some(credential) = &self.credential else { return Ok(()) };
        let principal = state.auth.authenticate(credential.shown()).await?;
        let principal = principal.ok_or_else(|| Error::unauthenticated("the key is no longer valid"))?;
        let reaches = TenantScope::of_principal(&principal, self.scope.id()).is_some();
        if reaches && principal.may(self.permission) { Ok(()) } else { Err(Error::forbidden()) }
    }
}

/// Admits a request, or answers 401 if its credential is missing or invalid, 404 if the tenant is not the caller's, and
/// 403 if the caller lacks the permission. Only the head of the request has been read, and the tenant is not looked up.
pub async fn admit(request: &HttpRequest, permission: Permission) -> Result<(), Error> {
    if matches!(permission, Permission::Observe | Permission::Operate)
        && !AppState::of(request)?.is_for_operators(request)
    {
        return Err(Error::not_found(
            "route_not_found",
            "such path at this address; it is served at `TENET_ADMIN_LISTEN`",
        ));
    }
    if matches!(permission, Permission::Open | Permission::Observe) {
        return Ok(());
    }
    let principal = identify(request).await?;
    let permitted = principal.may(permission);
    let caller = Caller(principal);
    if caller.own().is_some()
        && let Some(named) = request.match_info().get("tenantId")
    {
        caller.scope(named.parse().map_err(|_| Error::tenant_not_found())?)?;
    }
    if !permitted {
        return Err(Error::forbidden());
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

async fn identify(request: &HttpRequest) -> Result<Principal, Error> {
    let state = AppState::of(request)?;
    let credential = match credential_of(request) {
        Ok(Some(credential)) => credential,
        Ok(None) => {
            let missing = || Error::unauthenticated("a key is required: send `Authorization: Bearer <key>`");
            return state.auth.anonymous().ok_or_else(missing);
        }
        Err(malformed) => return Err(reject(request, state, None, malformed.0)),
    };
    let principal = state.auth.authenticate(credential).await?;
    principal.ok_or_else(|| reject(request, state, Some(credential), "the key is not valid"))
}

/// Why the header `Authorization` does not hold a credential.
struct MalformedCredential(&'static str);

impl From<MalformedCredential> for Error {
    fn from(MalformedCredential(detail): MalformedCredential) -> Self {
        Self::unauthenticated(detail)
    }
}

/// The credential of a request, if it has one.
fn credential_of(request: &HttpRequest) -> Result<Option<Credential<'_>>, MalformedCredential> {
    let mut credentials = request.headers().get_all(header::AUTHORIZATION);
    let Some(credential) = credentials.next() else { return Ok(None) };
    if credentials.next().is_some() {
        return Err(MalformedCredential("more than one `Authorization` header: send only one"));
    }
    let token = credential.to_str().ok().and_then(bearer);
    token.map(|token| Some(Credential::new(token))).ok_or(MalformedCredential("`Authorization` must be `Bearer <key>`"))
}

/// Counts an invalid credential: 401, or 429 after too many of them.
fn reject(request: &HttpRequest, state: &AppState, credential: Option<Credential<'_>>, detail: &str) -> Error {
    let address = request.peer_addr().map(|address| address.ip());
    let wait = state.auth.refused(address, credential.map(Credential::text));
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
