//! The public keys of an issuer, by their ids.

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use crate::config::{JwtAlgorithm, limits::JWKS_KEYS_MAX};

/// Characters in base64 of an RSA modulus of 2048 bits: `ring` checks with no shorter one.
const RSA_CHARS_MIN: usize = 342;

/// Those keys of a set that tokens may be signed with.
#[derive(Debug, Default)]
pub(super) struct IssuerKeys {
    keys: HashMap<String, (Jwk, DecodingKey)>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl IssuerKeys {
    /// Reads a set (RFC 7517). Keys of other kinds, for other uses or without an id are left out: sets have those too.
    pub fn read(text: &[u8], algorithm: JwtAlgorithm) -> Result<Self, Error> {
        let set: Set = serde_json::from_slice(text).map_err(|error| Error::NoKeySet(error.to_string()))?;
        let mut keys = HashMap::new();
        for key in set.keys.into_iter().take(JWKS_KEYS_MAX) {
            let Ok(jwk) = serde_json::from_value::<Jwk>(key) else { continue };
            let (Some(id), true) = (jwk.common.key_id.clone(), is_for(&jwk, algorithm)) else { continue };
            let Ok(key) = DecodingKey::from_jwk(&jwk) else { continue };
            // The first of an id: none can take the place of another.
            keys.entry(id).or_insert((jwk, key));
        }
        if keys.is_empty() { Err(Error::NoKeys) } else { Ok(Self { keys }) }
    }

    /// The key of this id.
    pub fn get(&self, id: &str) -> Option<&DecodingKey> {
        self.keys.get(id).map(|(_, key)| key)
    }

    /// Whether no keys have been read yet.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl PartialEq for IssuerKeys {
    fn eq(&self, other: &Self) -> bool {
        let same =
            |(id, (jwk, _)): (&String, &(Jwk, DecodingKey))| other.keys.get(id).is_some_and(|(key, _)| key == jwk);
        self.keys.len() == other.keys.len() && self.keys.iter().all(same)
    }
}

/// What the library calls it.
pub(super) fn named(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// Whether a key is one to check signatures of this kind with.
fn is_for(jwk: &Jwk, algorithm: JwtAlgorithm) -> bool {
    let is_kind = match (algorithm, &jwk.algorithm) {
        (JwtAlgorithm::Rs256, AlgorithmParameters::RSA(key)) => key.n.len() >= RSA_CHARS_MIN,
        (JwtAlgorithm::Es256, AlgorithmParameters::EllipticCurve(key)) => key.curve == EllipticCurve::P256,
        (JwtAlgorithm::EdDsa, AlgorithmParameters::OctetKeyPair(key)) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let expected = KeyAlgorithm::from(named(algorithm));
    is_kind
        && jwk.common.key_algorithm.is_none_or(|algorithm| algorithm == expected)
        && jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What RFC 7517 and RFC 8037 show.
    const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

    fn read(keys: &Value) -> Result<IssuerKeys, Error> {
        IssuerKeys::read(json!({ "keys": keys }).to_string().as_bytes(), JwtAlgorithm::Es256)
    }

    #[test]
    fn keys_that_tokens_may_be_signed_with_are_taken_and_others_left() {
        let keys = read(&json!([
            {"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "plain"},
            {"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "full", "use": "sig", "alg": "ES256"},
            {"kty": "EC", "crv": "P-256", "x": X, "y": Y},
            {"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "sealing", "use": "enc"},
            {"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "other-algorithm", "alg": "ES384"},
            {"kty": "EC", "crv": "P-384", "x": X, "y": Y, "kid": "other-curve"},
            {"kty": "EC", "crv": "secp256k1", "x": X, "y": Y, "kid": "unknown-curve"},
            {"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "other-kind"},
            {"kty": "oct", "k": X, "kid": "shared"},
            {"kty": "new", "kid": "unknown-kind"},
            {"kid": 7},
            "key",
        ]))
        .unwrap();
        let mut ids: Vec<&String> = keys.keys.keys().collect();
        ids.sort();
        assert_eq!(ids, ["full", "plain"]);
    }

    #[test]
    fn a_set_without_a_usable_key_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys": {}}"#] {
            assert!(
                matches!(IssuerKeys::read(text.as_bytes(), JwtAlgorithm::Es256), Err(Error::NoKeySet(_))),
                "{text}"
            );
        }
        let short = json!([{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"}]);
        let text = json!({ "keys": short }).to_string();
        assert!(matches!(IssuerKeys::read(text.as_bytes(), JwtAlgorithm::Rs256), Err(Error::NoKeys)));
        assert!(matches!(read(&json!([])), Err(Error::NoKeys)));
    }

    #[test]
    fn sets_are_equal_if_their_keys_are() {
        let key = |id: &str, y: &str| json!({"kty": "EC", "crv": "P-256", "x": X, "y": y, "kid": id});
        let [one, same, other, more] = [
            json!([key("a", Y)]),
            json!([key("a", Y), "key"]),
            json!([key("a", X)]),
            json!([key("a", Y), key("b", Y)]),
        ]
        .map(|keys| read(&keys).unwrap());
        assert!(one == same);
        assert!([&other, &more].iter().all(|keys| **keys != one));
        assert!(one != more, "from either side");
    }
}
