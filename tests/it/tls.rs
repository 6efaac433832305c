//! Connections over TLS: to PostgreSQL, as `sslmode` says, and to RabbitMQ and Redis.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::{
    cluster::{Cluster, ClusterOptions, Purpose},
    config::{QueueKind, Secret, Settings},
    store::{
        Store, StoreOptions,
        migrate::{self, MigrateOptions},
    },
};

use crate::support::{Certificates, Directory};
#[cfg(all(feature = "rabbitmq", feature = "redis"))]
use crate::support::{PrivateBroker, PrivateRedis, TestApp, within};

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

/// A certificate in `data`; the key is readable for the server alone.
fn write_certificates(directory: &Directory, data: &Path) {
    let Certificates { certificate, key, .. } = Certificates::write(directory.path());
    let owner = fs::metadata(data).unwrap();
    for file in [certificate, key] {
        let path = data.join(file.file_name().unwrap());
        fs::copy(file, &path).unwrap();
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

    let stranger = Certificates::stranger(server.directory.path());
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

/// Whether an event sent to a node is decided, with the broker and Redis reached over TLS.
#[cfg(all(feature = "rabbitmq", feature = "redis"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_and_redis_are_reached_over_tls_and_only_with_a_certificate_that_is_trusted() {
    let directory = Directory::new();
    let certificates = Certificates::write(directory.path());
    let broker = PrivateBroker::start_with_tls(&certificates).await;
    let redis = PrivateRedis::start_with_tls(&certificates).await;
    let app = async |authorities: PathBuf| {
        let settings = |settings: &mut Settings| {
            settings.events.queue = QueueKind::RabbitMq;
            settings.events.rabbitmq_url = Some(Secret::new(broker.url()));
            settings.events.redis_url = Some(Secret::new(redis.url()));
            settings.events.authorities = Some(authorities);
        };
        TestApp::builder().settings(settings).start().await
    };
    let trusting = app(certificates.authority.clone()).await;
    let tenant = trusting.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let schema = json!({"definition": {"facts": {"n": "int"}}});
    assert_eq!(trusting.client.put_json(&format!("{path}/schema"), &schema).await.unwrap().status, 200);
    let event = json!({"facts": {"n": 1}, "idempotencyKey": "k"});
    // Only Redis knows a key before its event is decided again.
    within(Duration::from_secs(60), "the key is known", async || {
        let answer = trusting.client.post_json(&format!("{path}/events"), &event).await.unwrap();
        answer.status == 202 && answer.json::<Value>().unwrap()["status"] == "duplicate"
    })
    .await;
    trusting.stop().await;

    let distrusting = app(Certificates::stranger(directory.path())).await;
    let tenant = distrusting.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}");
    assert_eq!(distrusting.client.put_json(&format!("{path}/schema"), &schema).await.unwrap().status, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let answer = distrusting.client.post_json(&format!("{path}/events"), &event).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    distrusting.stop().await;
}
