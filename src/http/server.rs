//! The server: takes a port, answers until it is stopped, and lets what it accepted finish.
//!
//! Signals are not its business: whoever runs it stops it.

use std::{io, net::SocketAddr, num::NonZeroUsize, thread, time::Duration};

use actix_web::{
    App, HttpServer,
    dev::{self, ServerHandle},
    http::KeepAlive,
    middleware::from_fn,
    web::Data,
};

use super::{Api, HttpOptions, Readiness, exchange::exchange, routes};
use crate::{engine::Engine, store::Store, telemetry::Metrics};

/// How long a connection is read from after an answer that did not wait for the whole body, so that the caller gets
/// to see the answer.
const LINGER: Duration = Duration::from_secs(3);

/// How long connections that were just accepted have for their first request to arrive, when the service stops: the
/// framework closes those of which it has read nothing.
const SETTLE: Duration = Duration::from_millis(250);

/// A server that has its port. It answers once it runs.
pub struct Server {
    address: SocketAddr,
    server: dev::Server,
}

/// Stops a server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Stopper(ServerHandle);

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Accept nothing more, and finish what was accepted.
    Graceful,
    /// Break off.
    Now,
}

/// Why a server cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Everyone who can reach it could do everything.
    #[error("no operator key is set, and `{0}` is not a loopback address: set `TENET_OPERATOR_KEY`")]
    OperatorKeyMissing(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl Server {
    /// Takes the port. To be called within a tokio runtime.
    pub fn bind(
        options: HttpOptions,
        engine: Engine,
        store: Store,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Result<Self, ServerError> {
        let address = options.listen;
        if options.is_open() && !address.ip().is_loopback() {
            return Err(ServerError::OperatorKeyMissing(address));
        }
        let limits = options.limits.clone();
        let workers = options.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get));
        let api = Data::new(Api { engine, store, metrics, readiness, options });
        let http = HttpServer::new(move || {
            App::new().app_data(api.clone()).wrap(from_fn(exchange)).configure(routes::configure)
        })
        .workers(workers)
        .disable_signals()
        .client_request_timeout(limits.head_deadline)
        .client_disconnect_timeout(LINGER)
        .keep_alive(KeepAlive::Timeout(limits.keep_alive))
        .max_connections(limits.connections_max.div_ceil(workers))
        .tcp_nodelay(true)
        .shutdown_timeout(limits.stop_deadline.as_secs())
        .bind(address)
        .map_err(|source| ServerError::Bind { address, source })?;
        let address = http.addrs().first().copied().unwrap_or(address);
        Ok(Self { address, server: http.run() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.server.handle())
    }

    /// Answers until it is stopped.
    pub async fn run(self) -> io::Result<()> {
        self.server.await
    }
}

impl Stopper {
    /// Stops the server, and returns once it stands.
    pub async fn stop(&self, how: Stop) {
        if how == Stop::Graceful {
            self.0.pause().await;
            tokio::time::sleep(SETTLE).await;
        }
        self.0.stop(how == Stop::Graceful).await;
    }
}
