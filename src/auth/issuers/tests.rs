//! What is kept of tokens and keys, and for how long. What tokens are refused is shown over HTTP.

use std::{fs, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{config::JwtAlgorithm, domain::TenantId};

const ISSUER: &str = "https://issuer.example";

fn key() -> Ed25519KeyPair {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap()
}

fn token(id: &str, key: &Ed25519KeyPair) -> String {
    let header = json!({"alg": "EdDSA", "kid": id});
    let exp = chrono::Utc::now().timestamp() + 300;
    let tenant = TenantId::generate();
    let claims = json!({"iss": ISSUER, "aud": "tenet", "sub": id, "exp": exp, "tenant_id": tenant, "role": "editor"});
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// A file with the keys of an issuer, gone when the test is.
struct Jwks(PathBuf);

impl Jwks {
    fn new(keys: &[(&str, &Ed25519KeyPair)]) -> Self {
        let jwks = Self(std::env::temp_dir().join(format!("tenet-test-{}.json", Uuid::now_v7().simple())));
        jwks.write(keys);
        jwks
    }

    fn write(&self, keys: &[(&str, &Ed25519KeyPair)]) {
        let jwk = |(id, key): &(&str, &Ed25519KeyPair)| {
            let x = BASE64_URL_SAFE_NO_PAD.encode(key.public_key());
            json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x})
        };
        fs::write(&self.0, json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() }).to_string()).unwrap();
    }

    fn settings(&self) -> JwtSettings {
        JwtSettings {
            issuer: Some(ISSUER.to_owned()),
            audience: vec!["tenet".to_owned()],
            algorithm: Some(JwtAlgorithm::EdDsa),
            jwks: Some(self.0.display().to_string()),
            ..JwtSettings::default()
        }
    }
}

impl Drop for Jwks {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The issuers of some settings, with what is remembered of their tokens.
struct Bed {
    issuers: Issuers,
    cache: Cache,
}

impl Bed {
    async fn open(settings: &JwtSettings) -> Result<Self, Error> {
        Ok(Self { issuers: Issuers::open(settings).await?, cache: Cache::default() })
    }

    fn issuer(&self) -> &Issuer {
        &self.issuers.issuers[0]
    }

    async fn ask(&self, token: &str) -> Result<Option<Principal>, AuthError> {
        let shown = Credential::new(token);
        match self.cache.known(&shown.hash) {
            Some(principal) => Ok(Some(principal)),
            None => self.issuers.verify(&self.cache, shown).await,
        }
    }

    async fn is_valid(&self, token: &str) -> bool {
        self.ask(token).await.unwrap().is_some()
    }

    /// Looks at the keys as when their time has come.
    async fn keep_up(&self) {
        assert_eq!(keep_up(self.issuer(), &self.cache).await, self.issuer().refresh_interval);
    }
}

#[tokio::test]
async fn a_token_is_checked_once_and_again_when_keys_have_changed() {
    let (key, other) = (key(), key());
    let jwks = Jwks::new(&[("a", &key)]);
    let bed = Bed::open(&jwks.settings()).await.unwrap();
    let shown = token("a", &key);
    assert!(bed.is_valid(&shown).await);
    // The library is not asked a second time: it could not say yes without the key.
    bed.issuer().forget_keys();
    assert!(bed.is_valid(&shown).await);
    let answer = bed.ask(&token("b", &key)).await;
    assert!(matches!(answer, Err(AuthError::KeysUnavailable)), "nothing else is known by now");

    jwks.write(&[("b", &other)]);
    bed.keep_up().await;
    assert!(!bed.is_valid(&shown).await, "its key is gone");
    assert!(bed.is_valid(&token("b", &other)).await);
    assert!(!bed.is_valid(&token("b", &key)).await, "of another key by the same id");
}

#[tokio::test]
async fn an_unknown_key_has_the_keys_looked_at_and_not_too_often() {
    let (key, new, newest) = (key(), key(), key());
    let jwks = Jwks::new(&[("a", &key)]);
    let bed = Bed::open(&jwks.settings()).await.unwrap();
    jwks.write(&[("a", &key), ("b", &new)]);
    assert!(!bed.is_valid(&token("b", &new)).await, "they were looked at a moment ago");
    bed.issuer().forget_look().await;
    assert!(bed.is_valid(&token("b", &new)).await);
    jwks.write(&[("a", &key), ("c", &newest)]);
    assert!(!bed.is_valid(&token("c", &newest)).await);
    bed.issuer().forget_look().await;
    assert!(bed.is_valid(&token("c", &newest)).await);
    assert!(!bed.is_valid(&token("b", &new)).await);
}

#[tokio::test]
async fn keys_that_were_seen_stay_good_while_none_are_to_be_had() {
    let key = key();
    let jwks = Jwks::new(&[("a", &key)]);
    let bed = Bed::open(&jwks.settings()).await.unwrap();
    for text in ["", "{\"keys\": []}", &" ".repeat(crate::config::limits::JWKS_BYTES_MAX + 1)] {
        fs::write(&jwks.0, text).unwrap();
        bed.keep_up().await;
        assert!(bed.is_valid(&token("a", &key)).await);
        assert!(Issuers::open(&jwks.settings()).await.is_err(), "and nothing starts with them");
    }
    fs::remove_file(&jwks.0).unwrap();
    assert!(matches!(Issuers::open(&jwks.settings()).await, Err(Error::Unreadable(_))));
}

#[tokio::test]
async fn nobody_is_trusted_if_nobody_is_named() {
    let bed = Bed::open(&JwtSettings::default()).await.unwrap();
    let shown = token("a", &key());
    assert!(!bed.issuers.concern(&shown));
    assert!(!bed.is_valid(&shown).await);
}

#[test]
fn a_role_of_the_settings_is_one_of_ours() {
    let ours: Vec<&str> = crate::domain::Role::ALL.iter().map(|role| role.name()).chain(["operator"]).collect();
    assert_eq!(ours, crate::config::JWT_ROLES);
}
