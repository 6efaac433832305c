//! Keys as text: `tnt_<public id>_<secret>_<checksum>` of a tenant, `opr_…` of an operator, the parts in base62.
//!
//! The public id says which tenant's and which key it is, so that it is looked up as that tenant, under its row level
//! security, and nothing in the database has to see across tenants. Neither is secret. The checksum tells a mistyped
//! key from a wrong one without a look-up; it protects nothing.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{ApiKeyId, TenantId};
use crate::config::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters that 128 bits take in base62.
const ID_CHARS: usize = 22;
/// Characters that two halves of 128 bits take.
const SECRET_CHARS: usize = 2 * ID_CHARS;
/// Characters of the checksum: 30 bits.
const CHECKSUM_CHARS: usize = 6;

/// The holder that a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// An operator's.
    Operator(ApiKeyId),
    /// A tenant's.
    Tenant(TenantId, ApiKeyId),
}

/// A key that was read: well-formed, not yet known to be valid.
#[derive(Clone)]
pub struct Token {
    holder: Holder,
    secret: Secret,
}

/// The random sources of the system are away.
#[derive(Debug, thiserror::Error)]
#[error("the system has no random numbers")]
pub struct NoRandom;

impl Holder {
    /// The part of the key that may be shown: it names the key and opens nothing.
    pub fn public_id(self) -> String {
        match self {
            Self::Operator(key) => base62(key.0.as_u128()),
            Self::Tenant(tenant, key) => base62(tenant.0.as_u128()) + &base62(key.0.as_u128()),
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Operator(_) => "opr",
            Self::Tenant(..) => "tnt",
        }
    }
}

impl Token {
    /// A new key, with a secret of 256 random bits.
    pub fn generate(holder: Holder) -> Result<Self, NoRandom> {
        let (mut high, mut low) = ([0; 16], [0; 16]);
        getrandom::fill(&mut high).and_then(|()| getrandom::fill(&mut low)).map_err(|_| NoRandom)?;
        let secret = base62(u128::from_ne_bytes(high)) + &base62(u128::from_ne_bytes(low));
        Ok(Self { holder, secret: Secret::new(secret) })
    }

    /// Reads a key; `None` if it is not one, or mistyped.
    pub fn parse(text: &str) -> Option<Self> {
        let (body, checksum) = text.rsplit_once('_')?;
        if checksum.len() != CHECKSUM_CHARS || checksum != checksum_of(body) {
            return None;
        }
        let mut parts = body.split('_');
        let (prefix, public_id, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let is_base62 = secret.bytes().all(|byte| ALPHABET.contains(&byte));
        if parts.next().is_some() || secret.len() != SECRET_CHARS || !is_base62 {
            return None;
        }
        let holder = match prefix {
            "opr" => Holder::Operator(ApiKeyId(id(public_id)?)),
            "tnt" => {
                let (tenant, key) = public_id.split_at_checked(ID_CHARS)?;
                Holder::Tenant(TenantId(id(tenant)?), ApiKeyId(id(key)?))
            }
            _ => return None,
        };
        Some(Self { holder, secret: Secret::new(secret) })
    }

    /// The holder that it names.
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// The whole key, to be shown once.
    pub fn text(&self) -> String {
        let body = format!("{}_{}_{}", self.holder.prefix(), self.holder.public_id(), self.secret.expose());
        format!("{body}_{}", checksum_of(&body))
    }

    /// What is stored of the secret, and compared. The whole key is hashed, so that a stored hash moved to another key
    /// opens nothing.
    pub fn digest(&self, pepper: Option<&Secret>) -> KeyDigest {
        let message = format!("{}_{}_{}", self.holder.prefix(), self.holder.public_id(), self.secret.expose());
        KeyDigest(match pepper {
            Some(pepper) => hmac(pepper.expose().as_bytes(), message.as_bytes()),
            None => Sha256::digest(message.as_bytes()).into(),
        })
    }
}

/// What a credential that was shown is known by in memory (SHA-256): it is not kept itself.
pub fn fingerprint(shown: &str) -> [u8; 32] {
    Sha256::digest(shown.as_bytes()).into()
}

/// The hash of a key.
#[derive(Clone, Copy)]
pub struct KeyDigest(pub [u8; 32]);

impl PartialEq for KeyDigest {
    /// In a time that does not tell how much is equal.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    let hashed: [u8; 32];
    let key = if key.len() > BLOCK {
        hashed = Sha256::digest(key).into();
        &hashed[..]
    } else {
        key
    };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

fn base62(number: u128) -> String {
    digits(number, ID_CHARS)
}

/// The last `count` digits of a number in base62.
fn digits(mut number: u128, count: usize) -> String {
    let mut digits = vec!['0'; count];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(number % 62).unwrap_or_default();
        *digit = ALPHABET.get(index).copied().map_or('0', char::from);
        number /= 62;
    }
    digits.into_iter().collect()
}

fn id(text: &str) -> Option<Uuid> {
    if text.len() != ID_CHARS {
        return None;
    }
    let digit = |byte| ALPHABET.iter().position(|known| *known == byte).and_then(|digit| u128::try_from(digit).ok());
    let number = text.bytes().try_fold(0_u128, |number, byte| number.checked_mul(62)?.checked_add(digit(byte)?))?;
    Some(Uuid::from_u128(number))
}

fn checksum_of(body: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(body.as_bytes()).into();
    let number = hash.iter().take(8).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    digits(number, CHECKSUM_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> [Token; 2] {
        let key = ApiKeyId::generate();
        [Holder::Operator(key), Holder::Tenant(TenantId::generate(), key)]
            .map(|holder| Token::generate(holder).unwrap())
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for token in tokens() {
            let text = token.text();
            let read = Token::parse(&text).unwrap();
            assert_eq!((read.holder(), read.text()), (token.holder(), text.clone()));
            assert!(read.digest(None) == token.digest(None));
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
            assert_eq!(text.matches('_').count(), 3);
        }
    }

    #[test]
    fn a_mistyped_key_is_no_key() {
        for token in tokens() {
            let text = token.text();
            for index in 0..text.len() {
                for wrong in ["x", "y", "_", "", "é"] {
                    let mut mistyped = text.clone();
                    mistyped.replace_range(index..=index, wrong);
                    assert!(mistyped == text || Token::parse(&mistyped).is_none(), "{mistyped}");
                }
            }
        }
        for text in ["", "_", "___", "tnt___", "opr_a_b_c"] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn secrets_differ_and_so_do_their_hashes() {
        let [one, other] = tokens();
        assert!(one.digest(None) != other.digest(None));
        let pepper = Secret::new("pepper");
        assert!(one.digest(Some(&pepper)) != one.digest(None));
    }

    #[test]
    fn hashes_with_a_key_are_those_of_rfc_4231() {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = [0xaa; 131];
        assert_eq!(
            hex(hmac(&long, b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
