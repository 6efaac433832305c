//! Keys that were shown and found valid: kept in memory, so that a request with one costs no statement. Every change of
//! a tenant has its keys looked up again; what is gone or has ended is refused from then on. While the database is
//! away, what was valid stays valid.

use std::{
    collections::HashSet,
    fmt, mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::warn;

use super::{Engine, Error, shared::Shared};
use crate::{
    config::{Secret, limits::VERIFIED_KEYS_MAX},
    domain::{ApiKeyId, Holder, KeyDigest, Permissions, Principal, System, TenantId, TenantScope, Token},
    store::{self, StoredKey},
};

/// How often keys of operators are looked up again; nothing tells of their changes.
const OPERATORS_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is written which keys were used.
const USES_INTERVAL: Duration = Duration::from_secs(60);
/// How long it is waited before the database is asked again.
const RETRY: Duration = Duration::from_millis(200);

/// What the hashes of keys are made with, beside the keys.
#[derive(Clone, Default)]
pub struct Pepper(pub Option<Secret>);

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

/// A key that was valid when it was last looked up.
struct Verified {
    holder: Holder,
    digest: KeyDigest,
    principal: Principal,
    expires_at: Option<DateTime<Utc>>,
    used: AtomicBool,
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// What is to be looked up again.
#[derive(Debug, Default)]
struct Suspects {
    tenants: HashSet<TenantId>,
    all: bool,
}

/// The keys, each by the hash of its whole text: the text itself is not kept.
#[derive(Debug, Default)]
pub struct Keys {
    verified: DashMap<[u8; 32], Verified>,
    suspects: Mutex<Suspects>,
    wake: Notify,
    /// Counts changes, so that a look-up that crossed one is known.
    changes: AtomicU64,
}

impl Keys {
    /// A tenant has changed; its keys may have.
    pub fn suspect(&self, tenant: TenantId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.note(|suspects| _ = suspects.tenants.insert(tenant));
    }

    /// Changes may have been missed.
    pub fn suspect_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.note(|suspects| suspects.all = true);
    }

    fn note(&self, note: impl FnOnce(&mut Suspects)) {
        if self.verified.is_empty() {
            return;
        }
        note(&mut self.suspects.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    /// A tenant's keys were changed through this node: from now on each is looked up.
    fn forget(&self, tenant: TenantId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.verified.retain(|_, key| key.principal.tenant() != Some(tenant));
    }

    fn known(&self, hash: &[u8; 32]) -> Option<Principal> {
        let key = self.verified.get(hash)?;
        if key.expires_at.is_some_and(|end| end <= Utc::now()) {
            return None;
        }
        if !key.used.load(Ordering::Relaxed) {
            key.used.store(true, Ordering::Relaxed);
        }
        Some(key.principal.clone())
    }

    fn keep(&self, hash: [u8; 32], key: Verified) {
        if self.verified.len() >= VERIFIED_KEYS_MAX {
            // Whichever comes first: it costs its holder one look-up.
            let any = self.verified.iter().next().map(|entry| *entry.key());
            any.map(|any| self.verified.remove(&any));
        }
        self.verified.insert(hash, key);
    }

    fn hashes(&self, concerned: impl Fn(&Verified) -> bool) -> Vec<[u8; 32]> {
        self.verified.iter().filter(|entry| concerned(entry.value())).map(|entry| *entry.key()).collect()
    }

    fn take_suspects(&self) -> Suspects {
        mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_used(&self) -> Vec<(TenantId, ApiKeyId)> {
        let used = |key: &Verified| match key.holder {
            Holder::Tenant(tenant, id) => key.used.swap(false, Ordering::Relaxed).then_some((tenant, id)),
            Holder::Operator(_) => None,
        };
        self.verified.iter().filter_map(|entry| used(entry.value())).collect()
    }
}

impl Engine {
    /// Whose key this is, which has this fingerprint; `None` if it is not valid. An unknown key takes as many statements as a wrong one.
    pub async fn authenticate(&self, text: &str, hash: &[u8; 32]) -> Result<Option<Principal>, Error> {
        if let Some(principal) = self.known(hash) {
            return Ok(Some(principal));
        }
        // In a box: requests whose key is known have a small future.
        Box::pin(self.look_up(text, *hash)).await
    }

    /// Whose the key of this fingerprint is, if it is remembered as valid: one that is not may be so all the same.
    pub fn known(&self, hash: &[u8; 32]) -> Option<Principal> {
        self.inner.shared.keys.known(hash)
    }

    async fn look_up(&self, text: &str, hash: [u8; 32]) -> Result<Option<Principal>, Error> {
        let keys = &self.inner.shared.keys;
        let Some(token) = Token::parse(text) else { return Ok(None) };
        let changes = keys.changes.load(Ordering::SeqCst);
        let holder = token.holder();
        let stored = find(&self.inner.shared, holder).await?;
        let digest = token.digest(self.pepper());
        // What is not there is compared as well.
        let expected = stored.as_ref().map_or(KeyDigest([0; 32]), |key| key.digest);
        let matches = digest == expected;
        let Some(stored) = stored.filter(|_| matches) else { return Ok(None) };
        let principal = principal(holder, &stored);
        let used = AtomicBool::new(true);
        keys.keep(hash, Verified { holder, digest, principal: principal.clone(), expires_at: stored.expires_at, used });
        if keys.changes.load(Ordering::SeqCst) != changes {
            // It may have been revoked between the look-up and now, when nobody could know that it is kept.
            keys.note(|suspects| match holder {
                Holder::Tenant(tenant, _) => _ = suspects.tenants.insert(tenant),
                Holder::Operator(_) => suspects.all = true,
            });
        }
        Ok(Some(principal))
    }

    /// What the hashes of keys are made with.
    pub fn pepper(&self) -> Option<&Secret> {
        self.inner.shared.options.pepper.0.as_ref()
    }

    /// Has this node look up a tenant's keys again before it lets them in.
    pub fn forget_keys(&self, scope: TenantScope) {
        self.inner.shared.keys.forget(scope.id());
    }
}

fn principal(holder: Holder, stored: &StoredKey) -> Principal {
    match holder {
        Holder::Operator(key) => Principal::Operator { key: Some(key) },
        Holder::Tenant(tenant, key) => Principal::Tenant { tenant, key, permissions: Permissions::of(&stored.scopes) },
    }
}

/// What a key of this holder is compared with.
async fn find(shared: &Shared, holder: Holder) -> Result<Option<StoredKey>, store::Error> {
    match holder {
        Holder::Operator(key) => shared.store.find_operator_key(key).await,
        Holder::Tenant(tenant, key) => {
            let scope = TenantScope::of_system(System::Credentials, tenant);
            shared.store.find_api_key(scope, key).await
        }
    }
}

/// Looks up again what may have changed, for ever.
pub async fn recheck(shared: Arc<Shared>) {
    let mut operators = interval(OPERATORS_INTERVAL);
    operators.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rest: Vec<[u8; 32]> = Vec::new();
    loop {
        let keys = &shared.keys;
        let mut next = if rest.is_empty() {
            tokio::select! {
                () = keys.wake.notified() => Vec::new(),
                _ = operators.tick() => keys.hashes(|key| matches!(key.holder, Holder::Operator(_))),
            }
        } else {
            Vec::new()
        };
        let Suspects { tenants, all } = keys.take_suspects();
        if !tenants.is_empty() {
            next.extend(keys.hashes(|key| key.principal.tenant().is_some_and(|tenant| tenants.contains(&tenant))));
        }
        if all {
            rest = keys.hashes(|_| true);
        }
        // Those known to have changed come before those that only may have.
        let chunk = rest.len().saturating_sub(50);
        next.extend(rest.drain(chunk..));
        for hash in next {
            let mut warned = false;
            // Never skipped: it may be one that was revoked. What fails here fails for all of them.
            while let Err(error) = look_again(&shared, &hash).await {
                if !mem::replace(&mut warned, true) {
                    warn!(error = &error as &dyn std::error::Error, "cannot look up a key again");
                }
                sleep(RETRY).await;
            }
        }
    }
}

async fn look_again(shared: &Shared, hash: &[u8; 32]) -> Result<(), store::Error> {
    let Some(holder) = shared.keys.verified.get(hash).map(|key| key.holder) else { return Ok(()) };
    let stored = find(shared, holder).await?;
    match stored {
        Some(stored) => {
            if let Some(mut key) = shared.keys.verified.get_mut(hash)
                && key.digest == stored.digest
            {
                key.principal = principal(holder, &stored);
                key.expires_at = stored.expires_at;
                return Ok(());
            }
            shared.keys.verified.remove(hash);
        }
        None => _ = shared.keys.verified.remove(hash),
    }
    Ok(())
}

/// Writes once a minute which keys were used.
pub async fn note_uses(shared: Arc<Shared>) {
    let mut ticks = interval(USES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut used = shared.keys.take_used();
        used.sort_unstable();
        for uses in used.chunk_by(|one, other| one.0 == other.0) {
            let Some((tenant, _)) = uses.first() else { continue };
            let ids: Vec<ApiKeyId> = uses.iter().map(|(_, id)| *id).collect();
            let scope = TenantScope::of_system(System::Credentials, *tenant);
            if let Err(error) = shared.store.note_key_uses(scope, &ids).await {
                warn!(error = &error as &dyn std::error::Error, "cannot note which keys were used");
                break;
            }
        }
    }
}
