//! Stored keys: looked up when they are first shown, and again whenever they may have changed. A key that is gone or has
//! ended is refused from then on; while the database is away, what was valid stays valid.

use std::{
    collections::HashSet,
    mem,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::warn;

use super::{
    Credential, Pepper,
    cache::{Cache, Fingerprint},
};
use crate::{
    domain::{ApiKeyId, Holder, KeyDigest, Principal, System, TenantId, TenantScope, Token},
    store::{Error, Store, StoredKey},
};

/// How often keys of operators are looked up again; nothing tells of their changes.
const OPERATORS_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is written which keys were used.
const USES_INTERVAL: Duration = Duration::from_secs(60);
/// Pause before the database is asked again.
const RETRY: Duration = Duration::from_millis(200);
/// Keys that only may have changed, looked up between two looks at those known to have changed.
const REST_CHUNK: usize = 50;

/// What is to be looked up again.
#[derive(Debug, Default)]
struct Suspects {
    tenants: HashSet<TenantId>,
    all: bool,
}

/// The keys in the database, as this node follows them.
#[derive(Debug)]
pub(super) struct StoredKeys {
    store: Store,
    pepper: Pepper,
    suspects: Mutex<Suspects>,
    wake: Notify,
    /// Counts changes, so that a look-up that crossed one is known.
    changes: AtomicU64,
}

impl StoredKeys {
    /// Those in `store`, hashed with `pepper`.
    pub fn new(store: Store, pepper: Pepper) -> Self {
        Self { store, pepper, suspects: Mutex::default(), wake: Notify::new(), changes: AtomicU64::new(0) }
    }

    /// A tenant has changed; its keys may have.
    pub fn suspect(&self, cache: &Cache, tenant: TenantId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.note(cache, |suspects| _ = suspects.tenants.insert(tenant));
    }

    /// Changes may have been missed.
    pub fn suspect_all(&self, cache: &Cache) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.note(cache, |suspects| suspects.all = true);
    }

    /// A tenant's keys were changed through this node: from now on each is looked up.
    pub fn forget(&self, cache: &Cache, tenant: TenantId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        cache.forget_keys(tenant);
    }

    fn note(&self, cache: &Cache, note: impl FnOnce(&mut Suspects)) {
        if cache.is_empty() {
            return;
        }
        note(&mut self.suspects.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    fn take_suspects(&self) -> Suspects {
        mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The holder of this key; `None` if it is not valid. An unknown key takes as many statements as a wrong one.
    pub async fn look_up(&self, cache: &Cache, shown: Credential<'_>) -> Result<Option<Principal>, Error> {
        let Some(token) = Token::parse(shown.text) else { return Ok(None) };
        let changes = self.changes.load(Ordering::SeqCst);
        let holder = token.holder();
        let stored = self.find(holder).await?;
        let digest = token.digest(self.pepper.0.as_ref());
        // What is not there is compared as well.
        let expected = stored.as_ref().map_or(KeyDigest([0; 32]), |key| key.digest);
        let matches = digest == expected;
        let Some(stored) = stored.filter(|_| matches) else { return Ok(None) };
        let principal = cache.keep_key(shown.hash, holder, &stored);
        if self.changes.load(Ordering::SeqCst) != changes {
            // It may have been revoked between the look-up and now, when nobody could know that it is kept.
            self.note(cache, |suspects| match holder {
                Holder::Tenant(tenant, _) => _ = suspects.tenants.insert(tenant),
                Holder::Operator(_) => suspects.all = true,
            });
        }
        Ok(Some(principal))
    }

    /// What a key of this holder is compared with.
    async fn find(&self, holder: Holder) -> Result<Option<StoredKey>, Error> {
        match holder {
            Holder::Operator(key) => self.store.find_operator_key(key).await,
            Holder::Tenant(tenant, key) => {
                let scope = TenantScope::of_system(System::Credentials, tenant);
                self.store.find_api_key(scope, key).await
            }
        }
    }

    /// Looks up again what may have changed, for ever.
    pub async fn recheck(&self, cache: &Cache) {
        let mut operators = interval(OPERATORS_INTERVAL);
        operators.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rest: Vec<Fingerprint> = Vec::new();
        loop {
            let mut next = if rest.is_empty() {
                tokio::select! {
                    () = self.wake.notified() => Vec::new(),
                    _ = operators.tick() => cache.keys(|holder| matches!(holder, Holder::Operator(_))),
                }
            } else {
                Vec::new()
            };
            let Suspects { tenants, all } = self.take_suspects();
            if !tenants.is_empty() {
                let is_suspect = |holder| matches!(holder, Holder::Tenant(tenant, _) if tenants.contains(&tenant));
                next.extend(cache.keys(is_suspect));
            }
            if all {
                rest = cache.keys(|_| true);
            }
            // Those known to have changed come before those that only may have.
            let chunk = rest.len().saturating_sub(REST_CHUNK);
            next.extend(rest.drain(chunk..));
            for hash in next {
                self.look_again(cache, &hash).await;
            }
        }
    }

    /// Looks a key up again. Never skipped: it may be one that was revoked. What fails here fails for all of them.
    async fn look_again(&self, cache: &Cache, hash: &Fingerprint) {
        let mut warned = false;
        let Some(holder) = cache.holder(hash) else { return };
        loop {
            match self.find(holder).await {
                Ok(stored) => return cache.looked_up_again(hash, stored.as_ref()),
                Err(error) if !mem::replace(&mut warned, true) => {
                    warn!(error = &error as &dyn std::error::Error, "cannot look up a key again");
                }
                Err(_) => {}
            }
            sleep(RETRY).await;
        }
    }

    /// Writes once a minute which keys were used, for ever.
    pub async fn note_uses(&self, cache: &Cache) {
        let mut ticks = interval(USES_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut used = cache.take_used();
            used.sort_unstable();
            for uses in used.chunk_by(|one, other| one.0 == other.0) {
                let Some((tenant, _)) = uses.first() else { continue };
                let ids: Vec<ApiKeyId> = uses.iter().map(|(_, id)| *id).collect();
                let scope = TenantScope::of_system(System::Credentials, *tenant);
                if let Err(error) = self.store.note_key_uses(scope, &ids).await {
                    warn!(error = &error as &dyn std::error::Error, "cannot note which keys were used");
                    break;
                }
            }
        }
    }
}
