//! The certificate of the service.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::TlsFiles;

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve TLS with `{file}`: {reason}")]
pub struct CertificateError {
    file: String,
    reason: String,
}

/// TLS 1.2 and 1.3 with the certificate and the key of `files`; callers show none.
pub fn config(files: &TlsFiles) -> Result<ServerConfig, CertificateError> {
    let unusable = |file: &std::path::Path, why: &dyn std::fmt::Display| CertificateError {
        file: file.display().to_string(),
        reason: why.to_string(),
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, &error))?;
    let with_versions =
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    with_versions
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| unusable(&files.certificate, &error))
}
