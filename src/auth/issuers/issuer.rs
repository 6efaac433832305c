//! One issuer: what its tokens must look like, and its keys as they were last seen.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::{
    Error,
    claims::{self, Claims, Mapping},
    key_set::{self, IssuerKeys},
    source::Source,
};
use crate::{
    config::{
        JwtAlgorithm, JwtSettings,
        limits::{JWKS_LOOK_INTERVAL, JWT_LEEWAY},
    },
    domain::Principal,
};

/// A trusted issuer.
#[derive(Debug)]
pub(super) struct Issuer {
    name: String,
    algorithm: JwtAlgorithm,
    validation: Validation,
    mapping: Mapping,
    source: Source,
    pub(super) refresh_interval: Duration,
    keys: ArcSwap<IssuerKeys>,
    /// When they were last looked at; held while they are.
    looked_at: Mutex<Option<Instant>>,
}

impl Issuer {
    /// The one that the settings name, if they name one. Its keys are not known yet.
    pub fn new(settings: &JwtSettings) -> Result<Option<Self>, Error> {
        let Some(name) = &settings.issuer else { return Ok(None) };
        let (Some(algorithm), Some(jwks), false) = (settings.algorithm, &settings.jwks, settings.audience.is_empty())
        else {
            return Err(Error::Incomplete);
        };
        let mut validation = Validation::new(key_set::named(algorithm));
        validation.leeway = JWT_LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.required_spec_claims = ["iss", "aud", "exp", "sub"].map(str::to_owned).into();
        validation.iss = Some(HashSet::from([name.clone()]));
        validation.aud = Some(settings.audience.iter().cloned().collect());
        Ok(Some(Self {
            name: name.clone(),
            algorithm,
            validation,
            mapping: Mapping::new(name, settings),
            source: Source::new(jwks, settings)?,
            refresh_interval: settings.refresh_interval,
            keys: ArcSwap::default(),
            looked_at: Mutex::default(),
        }))
    }

    /// What its tokens call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its tokens are signed with.
    pub fn algorithm(&self) -> Algorithm {
        key_set::named(self.algorithm)
    }

    /// Whether its keys must be there for the service to start.
    pub fn is_local(&self) -> bool {
        self.source.is_local()
    }

    /// Its keys as they were last seen.
    pub fn keys(&self) -> Arc<IssuerKeys> {
        self.keys.load_full()
    }

    /// Reads its keys; answers whether they have changed.
    pub async fn look(&self) -> Result<bool, Error> {
        let mut looked_at = self.looked_at.lock().await;
        self.look_now(&mut looked_at).await
    }

    /// Looks at its keys because a token names one that is not known, unless that was done a moment ago. Who comes
    /// meanwhile waits for it.
    pub async fn look_for_unknown(&self) -> bool {
        let mut looked_at = self.looked_at.lock().await;
        if looked_at.is_some_and(|at| at.elapsed() < JWKS_LOOK_INTERVAL) {
            return false;
        }
        self.look_now(&mut looked_at).await.unwrap_or_else(|error| {
            warn!(issuer = self.name, %error, "cannot read the keys of an issuer");
            false
        })
    }

    async fn look_now(&self, looked_at: &mut Option<Instant>) -> Result<bool, Error> {
        *looked_at = Some(Instant::now());
        let keys = IssuerKeys::read(&self.source.read().await?, self.algorithm)?;
        let changed = keys != **self.keys.load();
        if changed {
            self.keys.store(Arc::new(keys));
            info!(issuer = self.name, "the issuer's keys have changed");
        }
        Ok(changed)
    }

    /// The holder of `token`, if `key` signed it and its claims are right, and the last second in which it is valid.
    pub fn check(&self, token: &str, key: &DecodingKey) -> Option<(Principal, u64)> {
        let claims = decode::<Claims>(token, key, &self.validation).ok()?.claims;
        let end = claims::seconds(&claims, "exp")?;
        if claims.contains_key("nbf") && claims::seconds(&claims, "nbf").is_none() {
            return None;
        }
        let principal = self.mapping.principal(&claims)?;
        Some((principal, end.saturating_add(JWT_LEEWAY.as_secs())))
    }
}

#[cfg(test)]
impl Issuer {
    /// As if its keys had never been seen.
    pub fn forget_keys(&self) {
        self.keys.store(Arc::default());
    }

    /// As if its keys had not been looked at for long.
    pub async fn forget_look(&self) {
        *self.looked_at.lock().await = None;
    }
}
