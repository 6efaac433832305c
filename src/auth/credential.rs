//! A credential as it was shown, with the hash that it is known by: hashed once on its way.

use crate::{config::Secret, domain::fingerprint};

/// A credential as it was shown.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    pub(super) text: &'a str,
    pub(super) hash: [u8; 32],
}

/// A credential kept while a request goes on after it was let in.
#[derive(Clone)]
pub struct KeptCredential {
    text: Secret,
    hash: [u8; 32],
}

impl<'a> Credential<'a> {
    /// What was shown.
    pub fn new(text: &'a str) -> Self {
        Self { text, hash: fingerprint(text) }
    }

    /// The text that was shown.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// A copy to keep.
    pub fn keep(self) -> KeptCredential {
        KeptCredential { text: Secret::new(self.text), hash: self.hash }
    }
}

impl KeptCredential {
    /// The credential, to be shown again.
    pub fn shown(&self) -> Credential<'_> {
        Credential { text: self.text.expose(), hash: self.hash }
    }
}
