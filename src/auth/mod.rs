//! Who calls: from a credential that was shown to a [`Principal`], for every door.
//!
//! A credential is the operator's key of the settings, a stored key, or a token of a trusted issuer. What was found
//! valid is remembered in one cache, by its hash; [`Auth::run`] keeps the cache true. What the principal may reach is a
//! question of [`crate::domain::TenantScope`], and what it may do one of [`crate::domain::Permission`].

mod cache;
mod credential;
mod issuers;
mod keys;
mod metrics;
mod options;
mod rate_limit;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{cache::Cache, issuers::Issuers, keys::StoredKeys, rate_limit::Failures};
use crate::{
    config::Secret,
    domain::{Principal, TenantId, TenantScope, Token},
    error::ErrorKind,
    store::{self, Store},
};

pub use self::{
    credential::{Credential, KeptCredential},
    issuers::Error as IssuerError,
    metrics::Metrics,
    options::{AuthOptions, OperatorKey, Pepper},
    rate_limit::FailureLimits,
};

/// Why it cannot be said whose a credential is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A token can be neither trusted nor refused: its issuer's keys have not been seen yet.
    #[error("the keys of the token's issuer are not available yet; try again")]
    KeysUnavailable,
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::KeysUnavailable => ErrorKind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeysUnavailable => "issuer_unavailable",
            Self::Store(error) => error.code(),
        }
    }
}

/// Handle on authentication; cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    operator_key: Option<OperatorKey>,
    is_open: bool,
    pepper: Pepper,
    keys: StoredKeys,
    issuers: Issuers,
    cache: Cache,
    failures: Failures,
    metrics: Metrics,
}

impl Auth {
    /// Authentication as the options say. Issuers' keys in a file must be there; those at an address come when it
    /// answers, once [`Self::run`] runs.
    pub async fn open(store: Store, metrics: Metrics, options: AuthOptions) -> Result<Self, IssuerError> {
        let AuthOptions { operator_key, is_open, pepper, issuers, failures } = options;
        let inner = Inner {
            operator_key,
            is_open,
            keys: StoredKeys::new(store, pepper.clone()),
            pepper,
            issuers: Issuers::open(&issuers).await?,
            cache: Cache::default(),
            failures: Failures::new(failures),
            metrics,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The holder of this credential; `None` if it is not valid. An unknown key takes as long as a wrong one.
    pub async fn authenticate(&self, shown: Credential<'_>) -> Result<Option<Principal>, Error> {
        let inner = &*self.inner;
        if inner.operator_key.as_ref().is_some_and(|key| key.matches(&shown.hash)) {
            return Ok(Some(Principal::Operator { key: None }));
        }
        if let Some(principal) = inner.cache.known(&shown.hash) {
            return Ok(Some(principal));
        }
        // In a box: requests whose credential is known have a small future.
        Box::pin(inner.look_up(shown)).await
    }

    /// Who calls without a credential: the operator where no key is asked for, and else nobody.
    pub fn anonymous(&self) -> Option<Principal> {
        self.is_open().then_some(Principal::Operator { key: None })
    }

    /// Whether a caller without a key may do everything, which is for loopback addresses alone.
    pub fn is_open(&self) -> bool {
        self.inner.is_open
    }

    /// Counts a credential from `address` that is not valid. If it was one too many: for how long to wait.
    pub fn refused(&self, address: Option<IpAddr>, shown: Option<&str>) -> Option<Duration> {
        let key = shown.and_then(Token::parse).map(|token| token.holder());
        let wait = self.inner.failures.note(address, key, Instant::now());
        match wait {
            None => self.inner.metrics.refused(),
            Some(_) => self.inner.metrics.limited(),
        }
        wait
    }

    /// What the hashes of keys are made with.
    pub fn pepper(&self) -> Option<&Secret> {
        self.inner.pepper.0.as_ref()
    }

    /// A tenant has changed; its keys may have, and are looked up again.
    pub fn suspect(&self, tenant: TenantId) {
        self.inner.keys.suspect(&self.inner.cache, tenant);
    }

    /// Changes may have been missed: all keys are looked up again.
    pub fn suspect_all(&self) {
        self.inner.keys.suspect_all(&self.inner.cache);
    }

    /// A tenant's keys were changed through this node, which looks them up again before it lets them in.
    pub fn forget(&self, scope: TenantScope) {
        self.inner.keys.forget(&self.inner.cache, scope.id());
    }

    /// Keeps true what is remembered, for ever: looks again at keys that may have changed and at the issuers' keys, and
    /// writes down which keys were used.
    pub async fn run(self) {
        let Inner { keys, issuers, cache, .. } = &*self.inner;
        futures_util::future::join3(keys.recheck(cache), keys.note_uses(cache), issuers.follow(cache)).await;
    }
}

impl Inner {
    async fn look_up(&self, shown: Credential<'_>) -> Result<Option<Principal>, Error> {
        if self.issuers.concern(shown.text) {
            return self.issuers.verify(&self.cache, shown).await;
        }
        Ok(self.keys.look_up(&self.cache, shown).await?)
    }
}
