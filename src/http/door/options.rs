//! The options of the HTTP server, made from the settings.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::hosts::Hosts;
use crate::{config::Settings, domain::Tier};

/// The options of the HTTP server.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The address to listen at; port 0 takes a free port.
    pub listen: SocketAddr,
    /// Threads that handle requests; `None`: one for each core.
    pub workers: Option<usize>,
    /// A separate address for operators and collectors of metrics, if there is one.
    pub admin_listen: Option<SocketAddr>,
    /// The certificate for `listen`; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The accepted names in the header `Host`.
    pub hosts: Hosts,
    /// Origins of the web pages that may call.
    pub cors_origins: Vec<String>,
    /// Whether operators may have the database fail.
    pub faults: bool,
    /// The tier of a new tenant that names none.
    pub default_tier: Tier,
    /// Limits of sizes and times.
    pub limits: HttpLimits,
}

/// The files with the certificate and the key of the service, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Limits of sizes and times of a request.
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
    /// Bytes of a line of a batch in NDJSON; the number of lines is not limited.
    pub line_bytes_max: usize,
    /// From a request's head to the end of its body.
    pub body_deadline: Duration,
    /// Between two reads of a batch in NDJSON.
    pub idle_read_deadline: Duration,
    /// From a connection, or the first byte of a request, to the end of its head.
    pub head_deadline: Duration,
    /// How long an idle connection is kept open.
    pub keep_alive: Duration,
    /// Open connections.
    pub connections_max: usize,
    /// How long accepted requests may take to finish when the service stops.
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

impl From<&Settings> for HttpOptions {
    fn from(all: &Settings) -> Self {
        let settings = &all.http;
        Self {
            faults: settings.faults,
            default_tier: Tier::named(all.engine.default_tier.0).unwrap_or_default(),
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
