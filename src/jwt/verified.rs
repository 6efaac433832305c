//! Tokens that were shown and found valid: kept in memory until they end, so that a request with one costs no check of
//! a signature.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::Utc;
use dashmap::DashMap;

use crate::{config::limits::VERIFIED_JWTS_MAX, domain::Principal};

#[derive(Debug)]
struct Entry {
    principal: Principal,
    /// The last second in which it is valid.
    until: u64,
    /// Of the keys that it was checked with.
    generation: u64,
}

/// The tokens, each by its fingerprint.
#[derive(Debug, Default)]
pub(super) struct Verified {
    entries: DashMap<[u8; 32], Entry>,
    /// Counts changes of the issuers' keys, so that what was checked with those before is checked again.
    generation: AtomicU64,
}

impl Verified {
    /// Which keys are in use. To be asked before they are.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Other keys are in use from now on.
    pub fn keys_changed(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.entries.clear();
    }

    /// Whoever holds the token of this hash, if it was valid with these keys and has not ended.
    pub fn get(&self, hash: &[u8; 32]) -> Option<Principal> {
        let entry = self.entries.get(hash)?;
        (entry.until >= now() && entry.generation == self.generation()).then(|| entry.principal.clone())
    }

    /// Keeps a token that was valid with the keys of `generation`.
    pub fn keep(&self, hash: [u8; 32], principal: Principal, until: u64, generation: u64) {
        if self.entries.len() >= VERIFIED_JWTS_MAX {
            // Whichever comes first: it costs its holder one check.
            let any = self.entries.iter().next().map(|entry| *entry.key());
            any.map(|any| self.entries.remove(&any));
        }
        self.entries.insert(hash, Entry { principal, until, generation });
    }
}

fn now() -> u64 {
    u64::try_from(Utc::now().timestamp()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fingerprint as hash;

    #[test]
    fn a_token_is_known_until_it_ends_or_keys_change() {
        let verified = Verified::default();
        let generation = verified.generation();
        verified.keep(hash("live"), Principal::Operator { key: None }, now() + 100, generation);
        verified.keep(hash("past"), Principal::Operator { key: None }, now() - 1, generation);
        assert_eq!(verified.get(&hash("live")), Some(Principal::Operator { key: None }));
        assert_eq!(verified.get(&hash("past")), None);
        assert_eq!(verified.get(&hash("other")), None);
        verified.keys_changed();
        assert_eq!(verified.get(&hash("live")), None);
        // One that was being checked meanwhile.
        verified.keep(hash("live"), Principal::Operator { key: None }, now() + 100, generation);
        assert_eq!(verified.get(&hash("live")), None);
    }

    #[test]
    fn many_tokens_take_bounded_memory() {
        let verified = Verified::default();
        for number in 0..VERIFIED_JWTS_MAX + 1_000 {
            verified.keep(hash(&number.to_string()), Principal::Operator { key: None }, u64::MAX, 0);
        }
        assert_eq!(verified.entries.len(), VERIFIED_JWTS_MAX);
    }
}
