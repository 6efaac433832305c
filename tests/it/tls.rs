//! Connections to PostgreSQL over TLS, as `sslmode` says.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sqlx::{Connection, PgConnection};
use tenet::{
    cluster::{Cluster, ClusterOptions, Purpose},
    store::{
        Store, StoreOptions,
        migrate::{self, MigrateOptions},
    },
};

use crate::support::Directory;

/// A server with a certificate for the address 127.0.0.1, and for no name.
struct TlsServer {
    _cluster: Cluster,
    directory: Directory,
    port: u16,
}

impl TlsServer {
    /// `None` if the programs on this machine were built without TLS, as those that set-up unpacks are.
    fn start() -> Option<Self> {
        let directory = Directory::new();
        let data_dir = directory.path().join("server");
        let options = ClusterOptions { data_dir, purpose: Purpose::Throwaway, binaries: None };
        let cluster = Cluster::start(&options).unwrap();
        let data = cluster.directory().join("data");
        cluster.stop().unwrap();
        write_certificates(&directory, &data);
        // Free now; nobody else takes ports at random on this address.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = \
             'server.key'\n"
        );
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        match Cluster::start(&options) {
            Ok(cluster) => Some(Self { _cluster: cluster, directory, port }),
            Err(error) if error.to_string().contains("SSL is not supported by this build") => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.crt")
    }

    fn url(&self, host: &str, mode: &str, authority: &Path) -> String {
        let authority = authority.display();
        format!("postgresql://tenet@{host}:{}/tenet?sslmode={mode}&sslrootcert={authority}", self.port)
    }

    /// Whether the connection that `mode` asks for is encrypted, or why there is none.
    async fn connect(&self, host: &str, mode: &str, authority: &Path) -> Result<bool, sqlx::Error> {
        let mut connection = PgConnection::connect(&self.url(host, mode, authority)).await?;
        sqlx::query_scalar("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetch_one(&mut connection).await
    }
}

/// An authority and a certificate of it in `directory` and `data`; the key is readable for the server alone.
fn write_certificates(directory: &Directory, data: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().unwrap();
    let server_params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = server_params.signed_by(&server_key, &issuer).unwrap();

    fs::write(directory.path().join("authority.crt"), authority.pem()).unwrap();
    let owner = fs::metadata(data).unwrap();
    for (name, text) in [("server.crt", server.pem()), ("server.key", server_key.serialize_pem())] {
        let path = data.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

#[tokio::test]
async fn sslmode_decides_whether_a_connection_is_encrypted_and_whom_it_trusts() {
    let Some(server) = tokio::task::spawn_blocking(TlsServer::start).await.unwrap() else {
        assert!(std::env::var_os("TENET_TEST_REQUIRE_TLS").is_none(), "PostgreSQL was built without TLS");
        eprintln!("skipped: PostgreSQL was built without TLS; install your system's package to run this test");
        return;
    };
    let authority = server.authority();
    assert!(!server.connect("127.0.0.1", "disable", &authority).await.unwrap());
    assert!(server.connect("127.0.0.1", "require", &authority).await.unwrap());
    assert!(server.connect("127.0.0.1", "verify-full", &authority).await.unwrap());

    let wrong_name = server.connect("localhost", "verify-full", &authority).await.unwrap_err();
    assert!(format!("{wrong_name:?}").contains("NotValidForName"), "{wrong_name:?}");
    assert!(server.connect("localhost", "require", &authority).await.unwrap());

    let stranger = server.directory.path().join("stranger.crt");
    let key = KeyPair::generate().unwrap();
    fs::write(&stranger, CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem()).unwrap();
    let wrong_authority = server.connect("127.0.0.1", "verify-full", &stranger).await.unwrap_err();
    assert!(format!("{wrong_authority:?}").contains("InvalidCertificate"), "{wrong_authority:?}");

    // So do the parts of Tenet that connect: migrations, and the service itself.
    let trusted = server.url("127.0.0.1", "verify-full", &authority);
    migrate::up(MigrateOptions::new(&trusted)).await.unwrap();
    Store::connect(StoreOptions::new(&trusted)).await.unwrap().ping().await.unwrap();
    let untrusted = server.url("localhost", "verify-full", &authority);
    migrate::up(MigrateOptions::new(&untrusted)).await.unwrap_err();
    Store::connect(StoreOptions::new(&untrusted)).await.unwrap_err();
}
