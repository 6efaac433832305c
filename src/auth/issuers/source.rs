//! Where the public keys of an issuer are, as the operator says. No token can name another place.

use std::{fmt, path::PathBuf};

use tokio::{fs::File, io::AsyncReadExt};

use super::Error;
use crate::{
    client::Published,
    config::{
        JwtSettings,
        limits::{JWKS_BYTES_MAX, JWKS_TIMEOUT},
    },
};

/// The place.
pub(super) enum Source {
    /// A file, which can be replaced.
    File(PathBuf),
    /// An `https://` address.
    Address(Published),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Address(address) => address.url().fmt(f),
        }
    }
}

impl Source {
    /// The place that the settings name.
    pub fn new(jwks: &str, settings: &JwtSettings) -> Result<Self, Error> {
        if !jwks.contains("://") {
            return Ok(Self::File(PathBuf::from(jwks)));
        }
        let published = Published::new(jwks, settings.authorities.as_deref());
        published.map(Self::Address).map_err(|error| Error::Unreadable(error.to_string()))
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
            Self::Address(address) => {
                let text = address.fetch(JWKS_BYTES_MAX, JWKS_TIMEOUT).await;
                text.map(Into::into).map_err(|error| Error::Unreadable(error.to_string()))
            }
        }
    }

    /// Whether it is on this machine: what is wrong with it is a mistake of the settings.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::File(_))
    }
}
