//! An issuer of tokens, which signs whatever a test wants signed.

use std::{fs, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use serde_json::{Value, json};
use tenet::config::{JwtAlgorithm, JwtSettings};

use super::Directory;

/// Who issues, and for whom.
pub const ISSUER: &str = "https://issuer.example/";
pub const AUDIENCE: &str = "https://tenet.example";

/// `ring` makes no RSA keys: this one is nobody's.
const RSA: &[u8] = include_bytes!("../../cases/jwt/rsa.der");

/// A key that signs.
pub enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    /// A new one; of RSA, always the same.
    pub fn new(algorithm: JwtAlgorithm) -> Self {
        let random = SystemRandom::new();
        match algorithm {
            JwtAlgorithm::Rs256 => Self::Rsa(RsaKeyPair::from_der(RSA).unwrap()),
            JwtAlgorithm::Es256 => {
                let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random);
                Self::Ec(key.unwrap())
            }
            JwtAlgorithm::EdDsa => {
                let key = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Self::Ed(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
            }
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    /// The public key as everybody may read it.
    pub fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                let [n, e] = [n, e].map(base64);
                json!({"kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": n, "e": e})
            }
            Self::Ec(_) => {
                let (x, y) = self.public()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256", "x": base64(x), "y": base64(y)})
            }
            Self::Ed(_) => json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": base64(self.public())}),
        }
    }

    /// The bytes of the public key.
    pub fn public(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public_key().as_ref(),
            Self::Ec(key) => key.public_key().as_ref(),
            Self::Ed(key) => key.public_key().as_ref(),
        }
    }

    pub fn sign(&self, message: &str) -> Vec<u8> {
        let (random, message) = (SystemRandom::new(), message.as_bytes());
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this head and these claims.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        let signature = base64(self.sign(&message));
        format!("{message}.{signature}")
    }
}

/// An issuer with one key, named `first`, and a file that tells it.
pub struct TokenIssuer {
    pub key: Key,
    algorithm: JwtAlgorithm,
    directory: Directory,
}

impl TokenIssuer {
    pub fn new(algorithm: JwtAlgorithm) -> Self {
        let issuer = Self { key: Key::new(algorithm), algorithm, directory: Directory::new() };
        issuer.publish(&[issuer.key.jwk("first")]);
        issuer
    }

    /// The file with its keys.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("jwks.json")
    }

    /// Tells these keys from now on. Who reads sees those before or these.
    pub fn publish(&self, keys: &[Value]) {
        let new = self.directory.path().join("new.json");
        fs::write(&new, json!({ "keys": keys }).to_string()).unwrap();
        fs::rename(&new, self.file()).unwrap();
    }

    /// How a service is told to believe it.
    pub fn settings(&self) -> JwtSettings {
        JwtSettings {
            issuer: Some(ISSUER.to_owned()),
            audience: vec![AUDIENCE.to_owned()],
            algorithm: Some(self.algorithm),
            jwks: Some(self.file().display().to_string()),
            ..JwtSettings::default()
        }
    }

    /// The head of a token that is valid.
    pub fn header(&self) -> Value {
        json!({"alg": self.key.algorithm(), "typ": "JWT", "kid": "first"})
    }

    /// The claims of one.
    pub fn claims(tenant: &str, role: &str) -> Value {
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now() + 300, "nbf": now() - 10, "iat": now() - 10,
            "tenant_id": tenant, "role": role,
        })
    }

    /// A token that is valid.
    pub fn token(&self, tenant: &str, role: &str) -> String {
        self.key.token(&self.header(), &Self::claims(tenant, role))
    }
}

/// A message authentication code with what everybody knows as its secret.
pub fn forge_hmac(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", base64(tag))
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp()
}
