//! Credentials that were shown and found valid, each by its fingerprint, with whose it is: the one cache from a hash to
//! a principal, for stored keys and for tokens of issuers. A request with a known credential costs one look into it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use dashmap::DashMap;

use crate::{
    config::limits::VERIFIED_CREDENTIALS_MAX,
    domain::{ApiKeyId, Holder, KeyDigest, Permissions, Principal, TenantId},
    store::StoredKey,
};

/// A credential's fingerprint.
pub(super) type Fingerprint = [u8; 32];

/// The credentials.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: DashMap<Fingerprint, Entry>,
    /// Counts changes of the issuers' keys: a token that was checked with earlier ones is not known any more.
    generation: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    principal: Principal,
    validity: Validity,
}

/// How long an entry is good.
enum Validity {
    /// Of a stored key: until its end, as long as looking it up again finds it the same.
    Key { holder: Holder, digest: KeyDigest, expires_at: Option<DateTime<Utc>>, used: AtomicBool },
    /// Of a token: until its last second, as long as its issuer's keys are the same.
    Token { until: u64, generation: u64 },
}

impl std::fmt::Debug for Validity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key { holder, .. } => f.debug_tuple("Key").field(holder).finish(),
            Self::Token { until, .. } => f.debug_tuple("Token").field(until).finish(),
        }
    }
}

impl Cache {
    /// The holder of the credential, if it is remembered as valid. One that is not remembered may still be valid.
    pub fn known(&self, hash: &Fingerprint) -> Option<Principal> {
        let entry = self.entries.get(hash)?;
        let is_valid = match &entry.validity {
            Validity::Key { expires_at, used, .. } => {
                let is_valid = expires_at.is_none_or(|end| end > Utc::now());
                if is_valid && !used.load(Ordering::Relaxed) {
                    used.store(true, Ordering::Relaxed);
                }
                is_valid
            }
            Validity::Token { until, generation } => *until >= now() && *generation == self.generation(),
        };
        is_valid.then(|| entry.principal.clone())
    }

    /// Remembers a stored key, which has just been used; answers whose it is.
    pub fn keep_key(&self, hash: Fingerprint, holder: Holder, stored: &StoredKey) -> Principal {
        let principal = principal(holder, stored);
        let (digest, expires_at, used) = (stored.digest, stored.expires_at, AtomicBool::new(true));
        let validity = Validity::Key { holder, digest, expires_at, used };
        self.keep(hash, Entry { principal: principal.clone(), validity });
        principal
    }

    /// Remembers a token that was valid with the issuers' keys of `generation`.
    pub fn keep_token(&self, hash: Fingerprint, principal: Principal, until: u64, generation: u64) {
        self.keep(hash, Entry { principal, validity: Validity::Token { until, generation } });
    }

    fn keep(&self, hash: Fingerprint, entry: Entry) {
        if self.entries.len() >= VERIFIED_CREDENTIALS_MAX {
            // Whichever comes first: it costs its holder one look-up.
            let any = self.entries.iter().next().map(|entry| *entry.key());
            any.map(|any| self.entries.remove(&any));
        }
        self.entries.insert(hash, entry);
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Which keys of issuers are in use. To be asked before they are used.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Other keys of issuers are in use from now on: no token is known any more.
    pub fn issuer_keys_changed(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.entries.retain(|_, entry| matches!(entry.validity, Validity::Key { .. }));
    }

    /// Forgets the stored keys of a tenant.
    pub fn forget_keys(&self, tenant: TenantId) {
        self.entries.retain(|_, entry| match entry.validity {
            Validity::Key { .. } => entry.principal.tenant() != Some(tenant),
            Validity::Token { .. } => true,
        });
    }

    /// The holder of a stored key; `None` if no such key is remembered.
    pub fn holder(&self, hash: &Fingerprint) -> Option<Holder> {
        match self.entries.get(hash)?.validity {
            Validity::Key { holder, .. } => Some(holder),
            Validity::Token { .. } => None,
        }
    }

    /// The stored keys whose holders are `concerned`.
    pub fn keys(&self, concerned: impl Fn(Holder) -> bool) -> Vec<Fingerprint> {
        let entries = self.entries.iter();
        entries.filter_map(|entry| self::concerns(&entry, &concerned).then(|| *entry.key())).collect()
    }

    /// Takes over what is stored of a key now. One that is gone, or is another, is forgotten.
    pub fn looked_up_again(&self, hash: &Fingerprint, stored: Option<&StoredKey>) {
        if let Some(stored) = stored
            && let Some(mut entry) = self.entries.get_mut(hash)
            && let Entry { principal, validity: Validity::Key { holder, digest, expires_at, .. } } = entry.value_mut()
            && *digest == stored.digest
        {
            *principal = self::principal(*holder, stored);
            *expires_at = stored.expires_at;
            return;
        }
        self.entries.remove(hash);
    }

    /// The tenants' keys that were used since this was last asked.
    pub fn take_used(&self) -> Vec<(TenantId, ApiKeyId)> {
        let used = |entry: &Entry| match &entry.validity {
            Validity::Key { holder: Holder::Tenant(tenant, id), used, .. } => {
                used.swap(false, Ordering::Relaxed).then_some((*tenant, *id))
            }
            _ => None,
        };
        self.entries.iter().filter_map(|entry| used(entry.value())).collect()
    }
}

fn concerns(entry: &Entry, concerned: &impl Fn(Holder) -> bool) -> bool {
    matches!(entry.validity, Validity::Key { holder, .. } if concerned(holder))
}

fn principal(holder: Holder, stored: &StoredKey) -> Principal {
    match holder {
        Holder::Operator(key) => Principal::Operator { key: Some(key) },
        Holder::Tenant(tenant, key) => Principal::Tenant { tenant, key, permissions: Permissions::of(&stored.scopes) },
    }
}

fn now() -> u64 {
    u64::try_from(Utc::now().timestamp()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::{Scope, fingerprint as hash};

    const OPERATOR: Principal = Principal::Operator { key: None };

    fn stored(expires_at: Option<DateTime<Utc>>) -> StoredKey {
        StoredKey { digest: KeyDigest([7; 32]), scopes: vec![Scope::Read], expires_at }
    }

    fn holder() -> Holder {
        Holder::Tenant(TenantId::generate(), ApiKeyId::generate())
    }

    #[test]
    fn a_token_is_known_until_it_ends_or_keys_change() {
        let cache = Cache::default();
        let generation = cache.generation();
        cache.keep_token(hash("live"), OPERATOR, now() + 100, generation);
        cache.keep_token(hash("past"), OPERATOR, now() - 1, generation);
        assert_eq!(cache.known(&hash("live")), Some(OPERATOR));
        assert_eq!(cache.known(&hash("past")), None);
        assert_eq!(cache.known(&hash("other")), None);
        cache.issuer_keys_changed();
        assert_eq!(cache.known(&hash("live")), None);
        // One that was being checked meanwhile.
        cache.keep_token(hash("live"), OPERATOR, now() + 100, generation);
        assert_eq!(cache.known(&hash("live")), None);
    }

    #[test]
    fn a_key_is_known_until_it_ends_or_its_tenant_is_forgotten() {
        let cache = Cache::default();
        let (one, other) = (holder(), holder());
        let principal = cache.keep_key(hash("one"), one, &stored(Some(Utc::now() + TimeDelta::hours(1))));
        cache.keep_key(hash("ended"), one, &stored(Some(Utc::now() - TimeDelta::seconds(1))));
        cache.keep_key(hash("other"), other, &stored(None));
        assert_eq!(cache.known(&hash("one")), Some(principal.clone()));
        assert_eq!(cache.known(&hash("ended")), None);
        cache.issuer_keys_changed();
        assert!(cache.known(&hash("one")).is_some(), "keys of issuers are not about stored keys");
        cache.forget_keys(principal.tenant().unwrap());
        assert_eq!(cache.known(&hash("one")), None);
        assert!(cache.known(&hash("other")).is_some());
    }

    #[test]
    fn a_key_that_is_gone_or_another_is_forgotten_and_one_that_changed_is_taken_over() {
        let cache = Cache::default();
        let holder = holder();
        for key in ["gone", "another", "changed"] {
            cache.keep_key(hash(key), holder, &stored(None));
        }
        cache.looked_up_again(&hash("gone"), None);
        let another = StoredKey { digest: KeyDigest([8; 32]), ..stored(None) };
        cache.looked_up_again(&hash("another"), Some(&another));
        let changed = StoredKey { scopes: vec![Scope::Write], ..stored(None) };
        cache.looked_up_again(&hash("changed"), Some(&changed));
        assert_eq!(["gone", "another"].map(|key| cache.known(&hash(key))), [None, None]);
        assert_eq!(cache.known(&hash("changed")), Some(principal(holder, &changed)));
        cache.keep_token(hash("token"), OPERATOR, u64::MAX, cache.generation());
        assert_eq!(cache.keys(|_| true), [hash("changed")], "tokens are not looked up");
    }

    #[test]
    fn uses_are_taken_once() {
        let cache = Cache::default();
        let Holder::Tenant(tenant, id) = holder() else { unreachable!() };
        cache.keep_key(hash("key"), Holder::Tenant(tenant, id), &stored(None));
        cache.keep_key(hash("operator"), Holder::Operator(id), &stored(None));
        assert_eq!(cache.take_used(), [(tenant, id)]);
        assert_eq!(cache.take_used(), []);
        cache.known(&hash("key"));
        assert_eq!(cache.take_used(), [(tenant, id)]);
    }

    #[test]
    fn many_credentials_take_bounded_memory() {
        let cache = Cache::default();
        for number in 0..VERIFIED_CREDENTIALS_MAX + 1_000 {
            cache.keep_token(hash(&number.to_string()), OPERATOR, u64::MAX, 0);
        }
        assert_eq!(cache.entries.len(), VERIFIED_CREDENTIALS_MAX);
    }
}
