//! Where the public keys of an issuer are, as the operator says. No token can name another place.

use std::path::PathBuf;

use tokio::{fs::File, io::AsyncReadExt};

use super::Error;
use crate::config::limits::JWKS_BYTES_MAX;

/// The place.
#[derive(Debug)]
pub(super) enum Source {
    /// A file, which can be replaced.
    File(PathBuf),
}

impl Source {
    /// The place that a setting names.
    pub fn new(setting: &str) -> Self {
        Self::File(PathBuf::from(setting))
    }

    /// Reads what is there.
    pub async fn read(&self) -> Result<Vec<u8>, Error> {
        match self {
            Self::File(path) => {
                let unreadable = |error| Error::Unreadable(format!("`{}`: {error}", path.display()));
                let file = File::open(path).await.map_err(unreadable)?;
                let mut text = Vec::new();
                let most = u64::try_from(JWKS_BYTES_MAX).unwrap_or(u64::MAX);
                file.take(most + 1).read_to_end(&mut text).await.map_err(unreadable)?;
                if text.len() > JWKS_BYTES_MAX { Err(Error::TooLarge) } else { Ok(text) }
            }
        }
    }

    /// Whether it is on this machine: what is wrong with it is a mistake of the settings.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::File(_))
    }
}
