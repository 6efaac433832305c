//! Who calls. Before a handler runs, its route's permission is asked for here; there is no other place that lets
//! anyone in, and no other that makes a [`TenantScope`] for a caller.

use std::{
    future::{Ready, ready},
    time::Instant,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
};

use super::{AppState, Error, middleware};
use crate::{
    config::Secret,
    domain::{Author, Permission, Principal, TenantId, TenantScope, Token, fingerprint},
};

/// A credential as it was shown, and what it is known by.
#[derive(Clone, Copy)]
struct Shown<'a> {
    token: &'a str,
    hash: [u8; 32],
}

/// Whoever was let in.
#[derive(Debug, Clone)]
pub struct Caller(Principal);

/// Whom a request's changes are put down to.
#[derive(Debug, Clone)]
pub struct By(pub Author);

impl Caller {
    /// Whom a request's changes are put down to.
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

/// The credential of a request that goes on after it was let in: it may end, or be taken back, before the request does.
pub struct Standing {
    /// What was shown, and what it is known by. Nothing where no key is asked for, and for the one of the
    /// settings, which is good as long as the process runs.
    shown: Option<(Secret, [u8; 32])>,
    permission: Permission,
    scope: TenantScope,
}

impl Standing {
    /// That of a request that was let in to do what `permission` covers.
    pub fn of(request: &HttpRequest, permission: Permission, scope: TenantScope) -> Result<Self, Error> {
        let api = AppState::of(request)?;
        let shown = shown(request, api)?.filter(|shown| !is_of_the_settings(api, *shown));
        let shown = shown.map(|Shown { token, hash }| (Secret::new(token), hash));
        Ok(Self { shown, permission, scope })
    }

    /// Says why the request must not go on, if it must not. As long as the credential is known this is a look into memory.
    pub async fn check(&self, api: &AppState) -> Result<(), Error> {
        let Some((token, hash)) = &self.shown else { return Ok(()) };
        let principal = match api.engine.known(hash).or_else(|| api.issuers.known(hash)) {
            Some(principal) => Some(principal),
            None => Box::pin(holder(api, Shown { token: token.expose(), hash: *hash })).await?,
        };
        let principal = principal.ok_or_else(|| Error::unauthenticated("the key is no longer valid"))?;
        let reaches = TenantScope::of_principal(&principal, self.scope.id()) == Some(self.scope);
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
    let Some(shown) = shown(request, api)? else { return Ok(Principal::Operator { key: None }) };
    let principal = holder(api, shown).await?;
    principal.ok_or_else(|| refuse(request, api, Some(shown.token), "the key is not valid"))
}

/// What the request shows; nothing where no key is asked for.
fn shown<'r>(request: &'r HttpRequest, api: &AppState) -> Result<Option<Shown<'r>>, Error> {
    let mut credentials = request.headers().get_all(header::AUTHORIZATION);
    let Some(credential) = credentials.next() else {
        if api.options.is_open {
            return Ok(None);
        }
        return Err(Error::unauthenticated("no key: send `Authorization: Bearer <key>`"));
    };
    if credentials.next().is_some() {
        return Err(refuse(request, api, None, "two keys: send one `Authorization` header"));
    }
    let shown = credential.to_str().ok().and_then(bearer).map(|token| Shown { token, hash: fingerprint(token) });
    shown.map(Some).ok_or_else(|| refuse(request, api, None, "the credential is not `Bearer <key>`"))
}

/// Whose key or token this is; `None` if it is not valid.
async fn holder(api: &AppState, shown: Shown<'_>) -> Result<Option<Principal>, Error> {
    if is_of_the_settings(api, shown) {
        return Ok(Some(Principal::Operator { key: None }));
    }
    let Shown { token, hash } = shown;
    if api.issuers.concerns(token) {
        return api.issuers.authenticate(token, &hash).await.map_err(|_| Error::issuer_unavailable());
    }
    Ok(api.engine.authenticate(token, &hash).await?)
}

fn is_of_the_settings(api: &AppState, shown: Shown<'_>) -> bool {
    api.options.operator_key.as_ref().is_some_and(|key| key.matches(&shown.hash))
}

/// Counts a credential that is not valid: 401, or 429 to who sends too many of them.
fn refuse(request: &HttpRequest, api: &AppState, token: Option<&str>, detail: &str) -> Error {
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
