//! What a token says: whose it is, for which tenant, and in which role.

use std::collections::HashMap;

use jsonwebtoken::Header;
use serde_json::{Map, Value};

use crate::{
    config::{JwtSettings, limits::JWT_SUBJECT_CHARS_MAX},
    domain::{Permissions, Principal, Role, TenantId},
};

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// How the claims of an issuer are to be read.
#[derive(Debug)]
pub(super) struct Mapping {
    issuer: String,
    tenant_claim: String,
    role_claim: String,
    roles: HashMap<String, Grant>,
}

/// What a role gives.
#[derive(Debug, Clone, Copy)]
enum Grant {
    Operator,
    Role(Role),
}

impl Mapping {
    /// As the settings say.
    pub fn new(issuer: &str, settings: &JwtSettings) -> Self {
        let grant = |name| match name {
            "operator" => Some(Grant::Operator),
            name => Role::named(name).map(Grant::Role),
        };
        let roles = settings.roles();
        Self {
            issuer: issuer.to_owned(),
            tenant_claim: settings.tenant_claim.clone(),
            role_claim: settings.role_claim.clone(),
            roles: roles.into_iter().filter_map(|(value, role)| Some((value.to_owned(), grant(role)?))).collect(),
        }
    }

    /// The holder of a token with these claims, once its signature, issuer, audience and times have been checked.
    pub fn principal(&self, claims: &Claims) -> Option<Principal> {
        let subject = text(claims, "sub")?;
        let (tenant, permissions) = match self.roles.get(text(claims, &self.role_claim)?)? {
            Grant::Operator => (None, Permissions::default()),
            Grant::Role(role) => {
                let tenant = text(claims, &self.tenant_claim)?.parse().ok();
                // An issuer that writes zeros for "no tenant" must not open what belongs to none.
                let tenant = tenant.filter(|tenant| *tenant != TenantId::NOBODY)?;
                (Some(tenant), Permissions::of(role.scopes()))
            }
        };
        is_name(subject).then(|| Principal::Subject {
            name: format!("{}#{subject}", self.issuer).into(),
            tenant,
            permissions,
        })
    }
}

/// Whether `subject` may be written to a log as a name.
fn is_name(subject: &str) -> bool {
    !subject.is_empty() && !subject.contains(char::is_control) && subject.chars().count() <= JWT_SUBJECT_CHARS_MAX
}

/// A claim that is a text.
pub(super) fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

/// A claim that is a time, in whole seconds. The library would round one with a fraction and take it.
pub(super) fn seconds(claims: &Claims, name: &str) -> Option<u64> {
    claims.get(name)?.as_u64()
}

/// Whether a head asks for nothing but to be checked with the issuer's own keys: none that it brings along or points
/// to, no member that must be understood, and nothing that makes the token another kind of thing.
pub(super) fn is_plain(header: &Header) -> bool {
    let brings_key = header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
    let asks_more = header.crit.is_some() || header.enc.is_some() || header.zip.is_some() || header.cty.is_some();
    let is_token = header.typ.as_ref().is_none_or(|kind| {
        let kind = kind.to_ascii_lowercase();
        ["jwt", "at+jwt"].contains(&kind.strip_prefix("application/").unwrap_or(&kind))
    });
    !brings_key && !asks_more && is_token
}
