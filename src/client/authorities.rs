//! Who is trusted to sign the certificates of those that we connect to.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::Error;

/// The certificate authorities of a file, each of which can be used. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authorities {
    pem: Arc<str>,
    roots: Arc<RootCertStore>,
}

impl Authorities {
    /// Those of a PEM file, at least one.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let unusable = |reason: &dyn std::fmt::Display| Error::AuthoritiesInvalid {
            file: file.display().to_string(),
            reason: reason.to_string(),
        };
        let pem = fs::read_to_string(file).map_err(|error| unusable(&error))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
        }
        if roots.is_empty() {
            return Err(unusable(&"it holds no certificate"));
        }
        Ok(Self { pem: pem.into(), roots: Arc::new(roots) })
    }

    /// As PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// As this program's own TLS takes them.
    pub fn roots(&self) -> Arc<RootCertStore> {
        self.roots.clone()
    }
}
