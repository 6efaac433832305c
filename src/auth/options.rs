//! The options of authentication. Reads no environment: the settings are mapped to options here.

use std::fmt;

use subtle::ConstantTimeEq;

use super::FailureLimits;
use crate::{
    config::{JwtSettings, Secret, Settings},
    domain::fingerprint,
};

/// Which credentials are taken.
#[derive(Clone, Default)]
pub struct AuthOptions {
    /// A key that may do everything, beside those that are stored.
    pub operator_key: Option<OperatorKey>,
    /// Whether a caller without a key may do everything, which is for loopback addresses alone.
    pub is_open: bool,
    /// What the hashes of stored keys are made with.
    pub pepper: Pepper,
    /// Trusted issuers of tokens.
    pub issuers: JwtSettings,
    /// How many credentials may be wrong.
    pub failures: FailureLimits,
}

impl From<&Settings> for AuthOptions {
    fn from(settings: &Settings) -> Self {
        let http = &settings.http;
        let limit = |failures| u32::try_from(failures).unwrap_or(u32::MAX);
        Self {
            operator_key: http.operator_key.as_ref().map(|key| OperatorKey::new(key.expose())),
            is_open: http.is_open(),
            pepper: Pepper(http.key_pepper.clone()),
            issuers: settings.jwt.clone(),
            failures: FailureLimits {
                per_address: limit(http.auth_failures_per_address),
                per_key: limit(http.auth_failures_per_key),
            },
        }
    }
}

/// What the hashes of keys are made with, beside the keys.
#[derive(Clone, Default)]
pub struct Pepper(pub Option<Secret>);

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

/// The operator's key: kept as its hash, never shown.
#[derive(Clone)]
pub struct OperatorKey {
    digest: [u8; 32],
}

impl OperatorKey {
    /// Takes the key; what it should look like is for the settings to say.
    pub fn new(key: &str) -> Self {
        Self { digest: fingerprint(key) }
    }

    /// Whether what has this fingerprint is the key. The time it takes tells neither its length nor how much of it is right.
    pub fn matches(&self, presented: &[u8; 32]) -> bool {
        presented.ct_eq(&self.digest).into()
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_is_the_key() {
        let key = OperatorKey::new("correct horse");
        assert!(key.matches(&fingerprint("correct horse")));
        for wrong in ["", "correct", "correct horse ", "Correct horse"] {
            assert!(!key.matches(&fingerprint(wrong)), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", OperatorKey::new("secret")), "OperatorKey(…)");
    }
}
