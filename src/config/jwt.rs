//! The trusted issuer of JSON web tokens, and the meaning of its claims.

use std::{path::PathBuf, time::Duration};

use super::value::Value;

/// The roles that a token can have.
pub const JWT_ROLES: [&str; 7] = ["owner", "admin", "editor", "evaluator", "ingester", "auditor", "operator"];

/// An issuer of tokens.
#[derive(Clone)]
pub struct JwtSettings {
    /// Its `iss`; `None`: no token is accepted.
    pub issuer: Option<String>,
    /// What its tokens must be made for.
    pub audience: Vec<String>,
    /// What they are signed with.
    pub algorithm: Option<JwtAlgorithm>,
    /// Where its public keys are.
    pub jwks: Option<String>,
    /// PEM file with the certificate authorities trusted for the address of its keys.
    pub authorities: Option<PathBuf>,
    /// Interval at which they are fetched.
    pub refresh_interval: Duration,
    /// Claim with the tenant's id.
    pub tenant_claim: String,
    /// Claim with the role.
    pub role_claim: String,
    /// The role for each value of that claim, as `value=role`; empty: the roles of tenants by their own names.
    pub roles: Vec<String>,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: Vec::new(),
            algorithm: None,
            jwks: None,
            authorities: None,
            refresh_interval: Duration::from_secs(15 * 60),
            tenant_claim: "tenant_id".to_owned(),
            role_claim: "role".to_owned(),
            roles: Vec::new(),
        }
    }
}

impl JwtSettings {
    /// What each value of the role claim means.
    pub fn roles(&self) -> Vec<(&str, &str)> {
        if self.roles.is_empty() {
            return JWT_ROLES.iter().filter(|role| **role != "operator").map(|role| (*role, *role)).collect();
        }
        // The last `=`: the issuer's values may contain one.
        self.roles.iter().filter_map(|entry| entry.rsplit_once('=')).collect()
    }
}

/// Signature algorithms of tokens; asymmetric ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256, of 2048 bits and more.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Value for Option<JwtAlgorithm> {
    const EXPECTS: &'static str = "`RS256`, `ES256` or `EdDSA`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "RS256" => Some(Some(JwtAlgorithm::Rs256)),
            "ES256" => Some(Some(JwtAlgorithm::Es256)),
            "EdDSA" => Some(Some(JwtAlgorithm::EdDsa)),
            _ => None,
        }
    }

    fn show(&self) -> String {
        let name = match self {
            None => "",
            Some(JwtAlgorithm::Rs256) => "RS256",
            Some(JwtAlgorithm::Es256) => "ES256",
            Some(JwtAlgorithm::EdDsa) => "EdDSA",
        };
        name.to_owned()
    }
}

/// Errors in the combination of settings that are each valid.
pub(super) fn contradictions(settings: &JwtSettings) -> Vec<String> {
    let needed = [
        ("TENET_JWT_AUDIENCE", !settings.audience.is_empty()),
        ("TENET_JWT_ALGORITHM", settings.algorithm.is_some()),
        ("TENET_JWT_JWKS", settings.jwks.is_some()),
    ];
    let is_issued = settings.issuer.is_some();
    let mut mistakes: Vec<String> = needed
        .iter()
        .filter(|(_, is_set)| *is_set != is_issued)
        .map(|(variable, _)| match is_issued {
            true => format!("`TENET_JWT_ISSUER` is set and `{variable}` is not; an issuer needs both"),
            false => {
                format!("`{variable}` is set and `TENET_JWT_ISSUER` is not; name the issuer whose tokens it is for")
            }
        })
        .collect();
    let jwks = settings.jwks.as_deref().unwrap_or_default();
    let is_address = jwks.starts_with("https://");
    if jwks.contains("://") && !is_address {
        mistakes.push(format!("`TENET_JWT_JWKS` is `{jwks}`; it must be the path of a file or begin with `https://`"));
    }
    if settings.authorities.is_some() && !is_address {
        mistakes.push(
            "`TENET_JWT_AUTHORITIES` is set, but `TENET_JWT_JWKS` is not an `https://` address and needs no certificate; \
             remove one"
                .to_owned(),
        );
    }
    mistakes.extend(settings.roles.iter().filter_map(|entry| {
        let known = entry.rsplit_once('=').is_some_and(|(value, role)| !value.is_empty() && JWT_ROLES.contains(&role));
        (!known).then(|| {
            format!(
                "`TENET_JWT_ROLES` has `{entry}`, which is not of the form `value=role` with a role out of {}",
                JWT_ROLES.map(|role| format!("`{role}`")).join(", ")
            )
        })
    }));
    mistakes
}
