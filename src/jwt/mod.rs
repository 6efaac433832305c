//! Tokens (JSON web tokens) of issuers that the operator trusts: who holds one, and what that one may do.
//!
//! A token chooses nothing: the algorithm and the place of the keys are the issuer's settings, a key is found by its id
//! among those, and heads that bring keys along or ask for more are refused.

mod claims;
mod issuer;
mod keys;
mod signature;
mod source;
#[cfg(test)]
mod tests;
mod verified;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use jsonwebtoken::{dangerous::insecure_decode_claims, decode_header};
use tokio::time::sleep;
use tracing::warn;

use self::{claims::Claims, issuer::Issuer, verified::Verified};
use crate::{
    config::{JwtSettings, limits::JWT_BYTES_MAX},
    domain::Principal,
};

/// How long it is waited before an issuer whose keys were never seen is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// Why the keys of an issuer are not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings of an issuer name no algorithm, audience or keys.
    #[error("an issuer needs an audience, an algorithm and its keys")]
    Incomplete,
    /// They cannot be read.
    #[error("the issuer's keys cannot be read: {0}")]
    Unreadable(String),
    /// What is there is too much.
    #[error("the issuer's keys are too large")]
    TooLarge,
    /// What is there is something else.
    #[error("what is there in place of the issuer's keys is no key set (JWKS): {0}")]
    NoKeySet(String),
    /// The set has nothing to check tokens with.
    #[error("the issuer's key set has no key with an id for signatures of the algorithm that is set")]
    NoKeys,
}

/// The keys of an issuer were never seen, so that its tokens can be neither believed nor refused.
#[derive(Debug, PartialEq, Eq)]
pub struct NotYet;

/// The issuers that are believed.
#[derive(Debug, Default)]
pub struct Issuers {
    issuers: Vec<Issuer>,
    verified: Verified,
}

impl Issuers {
    /// Those that the settings name. Keys in a file must be there; those at an address come when it answers.
    pub async fn open(settings: &JwtSettings) -> Result<Arc<Self>, Error> {
        signature::install();
        let issuers: Vec<Issuer> = Issuer::new(settings)?.into_iter().collect();
        for issuer in issuers.iter().filter(|issuer| issuer.is_local()) {
            issuer.look().await?;
        }
        let issuers = Arc::new(Self { issuers, verified: Verified::default() });
        for index in 0..issuers.issuers.len() {
            tokio::spawn(follow(Arc::downgrade(&issuers), index));
        }
        Ok(issuers)
    }

    /// Looks at the keys of an issuer; answers when to look again.
    async fn keep_up(&self, issuer: &Issuer) -> Duration {
        match issuer.look().await {
            Ok(changed) => {
                if changed {
                    self.verified.keys_changed();
                }
                issuer.refresh_interval
            }
            Err(error) => {
                // Those that were seen last are good until others are.
                warn!(issuer = issuer.name(), %error, "cannot look at the keys of an issuer");
                if issuer.keys().is_empty() { RETRY } else { issuer.refresh_interval }
            }
        }
    }

    /// Whether `text` may be a token, and somebody is believed who makes some. Keys never look like it.
    pub fn concerns(&self, text: &str) -> bool {
        !self.issuers.is_empty() && text.contains('.')
    }

    /// Whoever holds this token, which has this fingerprint; `None` if it is not valid.
    pub async fn authenticate(&self, token: &str, hash: &[u8; 32]) -> Result<Option<Principal>, NotYet> {
        if token.len() > JWT_BYTES_MAX {
            return Ok(None);
        }
        if let Some(principal) = self.known(hash) {
            return Ok(Some(principal));
        }
        // In a box: requests whose token is known have a small future.
        Box::pin(self.verify(token, *hash)).await
    }

    /// Whoever holds the token of this fingerprint, if it is remembered as valid: one that is not may be so all the same.
    pub fn known(&self, hash: &[u8; 32]) -> Option<Principal> {
        self.verified.get(hash)
    }

    async fn verify(&self, token: &str, hash: [u8; 32]) -> Result<Option<Principal>, NotYet> {
        let Ok(header) = decode_header(token) else { return Ok(None) };
        // Which issuer to ask. That it is the one is known only once its key has been found to have signed it.
        let Ok(claims) = insecure_decode_claims::<Claims>(token) else { return Ok(None) };
        // One text: the library would take a list that has it.
        let name = claims::text(&claims, "iss");
        let Some(issuer) = self.issuers.iter().find(|issuer| Some(issuer.name()) == name) else { return Ok(None) };
        let (Some(id), true) = (&header.kid, claims::is_plain(&header) && header.alg == issuer.algorithm()) else {
            return Ok(None);
        };
        let (mut generation, mut keys) = (self.verified.generation(), issuer.keys());
        if keys.is_empty() {
            return Err(NotYet);
        }
        if keys.get(id).is_none() {
            if issuer.look_for_unknown().await {
                self.verified.keys_changed();
            }
            (generation, keys) = (self.verified.generation(), issuer.keys());
        }
        let Some((principal, until)) = keys.get(id).and_then(|key| issuer.check(token, key)) else {
            return Ok(None);
        };
        self.verified.keep(hash, principal.clone(), until, generation);
        Ok(Some(principal))
    }
}

/// Looks at the keys of an issuer again and again, as long as somebody asks for them.
async fn follow(issuers: Weak<Issuers>, index: usize) {
    let mut is_first = true;
    loop {
        let wait = {
            let Some(issuers) = issuers.upgrade() else { return };
            let Some(issuer) = issuers.issuers.get(index) else { return };
            // What is on this machine was looked at before anybody was told of it.
            let is_new = is_first && !issuer.keys().is_empty();
            if is_new { issuer.refresh_interval } else { issuers.keep_up(issuer).await }
        };
        is_first = false;
        sleep(wait).await;
    }
}
