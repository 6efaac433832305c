//! Lets requests in. Before a handler runs, `auth` is asked whose credential it shows, and the route's permission is
//! checked. No other place lets anyone in, and no other makes a [`TenantScope`] for a caller.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
};

use super::{AppState, Error, middleware};
use crate::{
    auth::{Credential, KeptCredential},
    domain::{Author, Permission, Principal, TenantId, TenantScope},
};

/// The caller that was let in.
#[derive(Debug, Clone)]
pub struct Caller(Principal);

/// The author recorded for this request's changes.
#[derive(Debug, Clone)]
pub struct By(pub Author);

impl Caller {
    /// The author recorded for this request's changes.
    pub fn author(&self, request: &HttpRequest) -> Author {
        let address = request.peer_addr().map(|address| address.ip().to_canonical());
        Author::of_request(&self.0, middleware::id_of(request), address)
    }

    /// The scope of the tenant that the caller is bound to; an operator is bound to none.
    pub fn own(&self) -> Option<TenantScope> {
        TenantScope::of_principal(&self.0, self.0.tenant()?)
    }

    /// The scope of `tenant`. One that is not the caller's is answered like one that does not exist.
    pub fn scope(&self, tenant: TenantId) -> Result<TenantScope, Error> {
        TenantScope::of_principal(&self.0, tenant).ok_or_else(Error::tenant_not_found)
    }

    /// The one that [`admit`] let in.
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

/// The credential of a request that goes on after it was let in: it may end, or be revoked, before the request does.
pub struct Standing {
    /// What was shown; nothing where no key is asked for.
    credential: Option<KeptCredential>,
    permission: Permission,
    scope: TenantScope,
}

impl Standing {
    /// That of a request that was let in to do what `permission` covers.
    pub fn of(request: &HttpRequest, permission: Permission, scope: TenantScope) -> Result<Self, Error> {
        let credential = shown(request)?.map(Credential::keep);
        Ok(Self { credential, permission, scope })
    }

    /// Says why the request must not go on, if it must not. As long as the credential is known this is a look into memory.
    pub async fn check(&self, api: &AppState) -> Result<(), Error> {
        let Some(credential) = &self.credential else { return Ok(()) };
        let principal = api.auth.authenticate(credential.shown()).await?;
        let principal = principal.ok_or_else(|| Error::unauthenticated("the key is no longer valid"))?;
        let reaches = TenantScope::of_principal(&principal, self.scope.id()).is_some();
        if reaches && principal.may(self.permission) { Ok(()) } else { Err(Error::forbidden()) }
    }
}

/// Lets a request in, or says why not: 401 to nobody, 404 for what is not the caller's, 403 for what the caller may not
/// do with its own. Nothing of the request but its head has been read, and nothing looked up.
pub async fn admit(request: &HttpRequest, permission: Permission) -> Result<(), Error> {
    if matches!(permission, Permission::Observe | Permission::Operate)
        && !AppState::of(request)?.is_for_operators(request)
    {
        return Err(Error::not_found("route_not_found", "such path here; operators have an address of their own"));
    }
    if matches!(permission, Permission::Open | Permission::Observe) {
        return Ok(());
    }
    let principal = identify(request).await?;
    let may = principal.may(permission);
    let caller = Caller(principal);
    if caller.own().is_some()
        && let Some(named) = request.match_info().get("tenantId")
    {
        caller.scope(named.parse().map_err(|_| Error::tenant_not_found())?)?;
    }
    if !may {
        return Err(Error::forbidden());
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

async fn identify(request: &HttpRequest) -> Result<Principal, Error> {
    let api = AppState::of(request)?;
    let credential = match shown(request) {
        Ok(Some(credential)) => credential,
        Ok(None) => {
            let missing = || Error::unauthenticated("no key: send `Authorization: Bearer <key>`");
            return api.auth.anonymous().ok_or_else(missing);
        }
        Err(unreadable) => return Err(refuse(request, api, None, unreadable.0)),
    };
    let principal = api.auth.authenticate(credential).await?;
    principal.ok_or_else(|| refuse(request, api, Some(credential), "the key is not valid"))
}

/// Why what a request shows is not a credential.
struct Unreadable(&'static str);

impl From<Unreadable> for Error {
    fn from(Unreadable(detail): Unreadable) -> Self {
        Self::unauthenticated(detail)
    }
}

/// The credential that the request shows, if it shows any.
fn shown(request: &HttpRequest) -> Result<Option<Credential<'_>>, Unreadable> {
    let mut credentials = request.headers().get_all(header::AUTHORIZATION);
    let Some(credential) = credentials.next() else { return Ok(None) };
    if credentials.next().is_some() {
        return Err(Unreadable("two keys: send one `Authorization` header"));
    }
    let token = credential.to_str().ok().and_then(bearer);
    token.map(|token| Some(Credential::new(token))).ok_or(Unreadable("the credential is not `Bearer <key>`"))
}

/// Counts a credential that is not valid: 401, or 429 to who sends too many of them.
fn refuse(request: &HttpRequest, api: &AppState, shown: Option<Credential<'_>>, detail: &str) -> Error {
    let address = request.peer_addr().map(|address| address.ip());
    let wait = api.auth.refused(address, shown.map(Credential::text));
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
