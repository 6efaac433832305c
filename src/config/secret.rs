//! Text that must not be printed: keys, and addresses that carry a password.
//!
//! There is no `Debug` and no `Display`, on purpose: what holds a secret cannot be printed by accident.

/// A secret text. Only [`Secret::expose`] reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Take it where it is used, and nowhere before.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
