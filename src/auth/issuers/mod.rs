//! Tokens (JSON web tokens) of issuers that the operator trusts: who holds one, and what that one may do.
//!
//! A token chooses nothing: the algorithm and the place of the keys are the issuer's settings, a key is found by its id
//! among those, and heads that bring keys along or ask for more are refused.

mod claims;
mod issuer;
mod key_set;
mod signature;
mod source;
#[cfg(test)]
mod tests;

use std::{future::pending, time::Duration};

use futures_util::future::join_all;
use jsonwebtoken::{dangerous::insecure_decode_claims, decode_header};
use tokio::time::sleep;
use tracing::warn;

use self::{claims::Claims, issuer::Issuer};
use super::{Credential, Error as AuthError, cache::Cache};
use crate::{
    config::{JwtSettings, limits::JWT_BYTES_MAX},
    domain::Principal,
};

/// Pause before an issuer whose keys were never seen is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// Why an issuer's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings of an issuer name no algorithm, audience or keys.
    #[error("an issuer needs an audience, an algorithm and its keys")]
    Incomplete,
    /// They cannot be read.
    #[error("the issuer's keys cannot be read: {0}")]
    Unreadable(String),
    /// The document is too large.
    #[error("the JWKS is too large")]
    TooLarge,
    /// What is there is not a key set (RFC 7517).
    #[error("the document is not a JWKS: {0}")]
    NoKeySet(String),
    /// The set has nothing to check tokens with.
    #[error("the JWKS has no key with an id for signatures with the configured algorithm")]
    NoKeys,
}

/// The trusted issuers.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    issuers: Vec<Issuer>,
}

impl Issuers {
    /// Those that the settings name. Keys in a file must be there; those at an address come when it answers.
    pub async fn open(settings: &JwtSettings) -> Result<Self, Error> {
        signature::install();
        let issuers: Vec<Issuer> = Issuer::new(settings)?.into_iter().collect();
        for issuer in issuers.iter().filter(|issuer| issuer.is_local()) {
            issuer.look().await?;
        }
        Ok(Self { issuers })
    }

    /// Whether `text` may be a token, and some issuer is trusted. Keys never look like one.
    pub fn concern(&self, text: &str) -> bool {
        !self.issuers.is_empty() && text.contains('.')
    }

    /// The holder of this token; `None` if it is not valid.
    pub async fn verify(&self, cache: &Cache, shown: Credential<'_>) -> Result<Option<Principal>, AuthError> {
        let token = shown.text;
        if token.len() > JWT_BYTES_MAX {
            return Ok(None);
        }
        let Ok(header) = decode_header(token) else { return Ok(None) };
        // Which issuer to ask. That it is the one is known only once its key has been found to have signed it.
        let Ok(claims) = insecure_decode_claims::<Claims>(token) else { return Ok(None) };
        // One text: the library would take a list that has it.
        let name = claims::text(&claims, "iss");
        let Some(issuer) = self.issuers.iter().find(|issuer| Some(issuer.name()) == name) else { return Ok(None) };
        let (Some(id), true) = (&header.kid, claims::is_plain(&header) && header.alg == issuer.algorithm()) else {
            return Ok(None);
        };
        let (mut generation, mut keys) = (cache.generation(), issuer.keys());
        if keys.is_empty() {
            return Err(AuthError::KeysUnavailable);
        }
        if keys.get(id).is_none() {
            if issuer.look_for_unknown().await {
                cache.issuer_keys_changed();
            }
            (generation, keys) = (cache.generation(), issuer.keys());
        }
        let Some((principal, until)) = keys.get(id).and_then(|key| issuer.check(token, key)) else {
            return Ok(None);
        };
        cache.keep_token(shown.hash, principal.clone(), until, generation);
        Ok(Some(principal))
    }

    /// Looks at the issuers' keys again and again, for ever.
    pub async fn follow(&self, cache: &Cache) {
        join_all(self.issuers.iter().map(|issuer| follow(issuer, cache))).await;
        // There is no issuer.
        pending().await
    }
}

async fn follow(issuer: &Issuer, cache: &Cache) {
    if !issuer.keys().is_empty() {
        // What is on this machine was looked at when the service started.
        sleep(issuer.refresh_interval).await;
    }
    loop {
        sleep(keep_up(issuer, cache).await).await;
    }
}

/// Looks at the keys of an issuer; answers when to look again.
async fn keep_up(issuer: &Issuer, cache: &Cache) -> Duration {
    match issuer.look().await {
        Ok(changed) => {
            if changed {
                cache.issuer_keys_changed();
            }
            issuer.refresh_interval
        }
        Err(error) => {
            // Those that were seen last are good until others are.
            warn!(issuer = issuer.name(), %error, "cannot read the keys of an issuer");
            if issuer.keys().is_empty() { RETRY } else { issuer.refresh_interval }
        }
    }
}
