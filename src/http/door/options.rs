//! What the HTTP door is told when it is opened. Reads no environment: the settings are mapped to it elsewhere.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::hosts::Hosts;
use crate::config::HttpSettings;

/// Where to listen, whom to let in and how much to take.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads that answer; `None`: one for each core.
    pub workers: Option<usize>,
    /// Where operators and collectors of metrics come instead; `None`: to the same place as everybody.
    pub admin_listen: Option<SocketAddr>,
    /// The certificate that `listen` is served with.
    pub tls: Option<TlsFiles>,
    /// The names that are answered under.
    pub hosts: Hosts,
    /// The pages that may call from a browser, by origin.
    pub cors_origins: Vec<String>,
    /// How much is taken, and for how long it is waited.
    pub limits: HttpLimits,
}

/// Where certificate and key of the service are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How much is taken of one request, and how long it is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Bytes of the body of `PUT …/rules`.
    pub rules_body_bytes_max: usize,
    /// Bytes of a batch in JSON.
    pub batch_body_bytes_max: usize,
    /// Items of a batch in JSON.
    pub batch_items_max: usize,
    /// Bytes of a line of a batch in NDJSON; the lines are not counted.
    pub line_bytes_max: usize,
    /// From a request's head to the end of its body.
    pub body_deadline: Duration,
    /// Between two reads of a batch in NDJSON.
    pub idle_read_deadline: Duration,
    /// From a connection, or the first byte of a request, to the end of its head.
    pub head_deadline: Duration,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
    /// Connections at once.
    pub connections_max: usize,
    /// How long requests that were accepted may take to finish when the service stops.
    pub stop_deadline: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 256 * 1024,
            rules_body_bytes_max: 16 * 1024 * 1024,
            batch_body_bytes_max: 16 * 1024 * 1024,
            batch_items_max: 10_000,
            line_bytes_max: 256 * 1024,
            body_deadline: Duration::from_secs(10),
            idle_read_deadline: Duration::from_secs(30),
            head_deadline: Duration::from_secs(5),
            keep_alive: Duration::from_secs(30),
            connections_max: 10_000,
            stop_deadline: Duration::from_secs(8),
        }
    }
}

impl From<&HttpSettings> for HttpOptions {
    fn from(settings: &HttpSettings) -> Self {
        Self {
            listen: settings.listen,
            workers: (settings.workers > 0).then_some(settings.workers),
            admin_listen: settings.admin_listen,
            tls: settings
                .tls_certificate
                .clone()
                .zip(settings.tls_key.clone())
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            hosts: match settings.hosts.as_slice() {
                [] if settings.is_open() => Hosts::Loopback,
                [] => Hosts::Any,
                names => Hosts::Named(names.iter().map(|name| name.to_ascii_lowercase()).collect()),
            },
            cors_origins: settings.cors_origins.clone(),
            limits: HttpLimits {
                body_bytes_max: settings.body_limit.0,
                rules_body_bytes_max: settings.rules_body_limit.0,
                batch_body_bytes_max: settings.batch_body_limit.0,
                batch_items_max: settings.batch_items_max,
                line_bytes_max: settings.ndjson_line_limit.0,
                body_deadline: settings.body_deadline,
                idle_read_deadline: settings.ndjson_idle_deadline,
                connections_max: settings.connections_max,
                stop_deadline: settings.shutdown_deadline,
                ..HttpLimits::default()
            },
        }
    }
}
