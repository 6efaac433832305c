//! An authority of a test's own, and a certificate for servers on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Files of an authority and of a server's certificate for the address 127.0.0.1, and for no name.
pub struct Certificates {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    /// Writes them into a directory.
    pub fn write(directory: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let server_key = KeyPair::generate().unwrap();
        let server_params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let server = server_params.signed_by(&server_key, &issuer).unwrap();
        let [authority_file, certificate_file, key_file] =
            ["authority.crt", "server.crt", "server.key"].map(|name| directory.join(name));
        fs::write(&authority_file, authority.pem()).unwrap();
        fs::write(&certificate_file, server.pem()).unwrap();
        fs::write(&key_file, server_key.serialize_pem()).unwrap();
        Self { authority: authority_file, certificate: certificate_file, key: key_file }
    }

    /// Writes an authority into a directory that has signed nothing.
    pub fn stranger(directory: &Path) -> PathBuf {
        let (file, key) = (directory.join("stranger.crt"), KeyPair::generate().unwrap());
        let params = CertificateParams::new(Vec::new()).unwrap();
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        file
    }
}
