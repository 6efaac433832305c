//! The server: opens a port, handles requests until it is stopped, and finishes the requests that it has accepted.
//!
//! It does not handle signals: its owner stops it.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actix_cors::Cors;
use actix_web::{
    App, HttpServer,
    dev::{self, ServerHandle, fn_service},
    http::{
        KeepAlive, Method,
        header::{self, HeaderName},
    },
    middleware::{Condition, from_fn},
    web::Data,
};

use tokio::time::sleep_until;

use super::{
    AppState,
    middleware::surround,
    router::{Entry, Router},
    tls::{self, CertificateError},
};
use crate::engine::ThreadWatch;

/// How long a connection is still read after an answer that was sent before the whole body arrived, so that the caller
/// receives the answer.
const LINGER: Duration = Duration::from_secs(3);

/// How long a stopping service waits for the first request of connections that it has just accepted: the framework
/// closes connections from which it has read nothing.
const SETTLE: Duration = Duration::from_millis(250);

/// How often a thread looks how late it is.
const WATCH_INTERVAL: Duration = Duration::from_millis(10);

/// How long a browser may cache the answer to a preflight request.
const PREFLIGHT_SECONDS: usize = 3_600;

/// A server with an open port. It handles requests once it runs.
pub struct Server {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    server: dev::Server,
}

/// Stops a server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Stopper(ServerHandle);

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Accept no more requests, and finish the accepted ones.
    Graceful,
    /// Abort all requests.
    Now,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Without a key everyone who can reach the service could do everything.
    #[error("no key is required, and `{0}` is not a loopback address: set `TENET_OPERATOR_KEY`")]
    OperatorKeyMissing(SocketAddr),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The table of routes lists a path twice.
    #[error("the table of routes cannot be used")]
    Routes(#[from] matchit::InsertError),
    /// The address is not available.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl Server {
    /// Opens the port. Must be called within a tokio runtime.
    pub fn bind(state: AppState, table: Vec<Entry>) -> Result<Self, ServerError> {
        let options = &state.options;
        let address = options.listen;
        if state.auth.is_open() && !address.ip().is_loopback() {
            return Err(ServerError::OperatorKeyMissing(address));
        }
        let limits = options.limits.clone();
        let workers = options.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get));
        let tls = options.tls.as_ref().map(tls::config).transpose()?;
        let (admin, origins) = (options.admin_listen, options.cors_origins.clone());
        let state = Data::new(state);
        let shared = state.clone();
        let router = Arc::new(Router::new(table)?);
        let http = HttpServer::new(move || {
            let router = router.clone();
            actix_web::rt::spawn(watch(shared.engine.watch_thread()));
            App::new()
                .app_data(shared.clone())
                .wrap(from_fn(surround))
                .wrap(Condition::new(!origins.is_empty(), cors(&origins)))
                .default_service(fn_service(move |request| {
                    let router = router.clone();
                    async move { Ok::<_, actix_web::Error>(router.respond(request).await) }
                }))
        })
        .workers(workers)
        .disable_signals()
        .client_request_timeout(limits.head_deadline)
        .client_disconnect_timeout(LINGER)
        .keep_alive(KeepAlive::Timeout(limits.keep_alive))
        .max_connections(limits.connections_max.div_ceil(workers))
        .tcp_nodelay(true)
        .shutdown_timeout(limits.stop_deadline.as_secs());
        let http = match tls {
            Some(tls) => http.bind_rustls_0_23(address, tls),
            None => http.bind(address),
        };
        let mut http = http.map_err(|source| ServerError::Bind { address, source })?;
        let address = http.addrs().first().copied().unwrap_or(address);
        if let Some(admin) = admin {
            http = http.bind(admin).map_err(|source| ServerError::Bind { address: admin, source })?;
            let _ = state.admin_address.set(http.addrs().last().copied().unwrap_or(admin));
        }
        Ok(Self { address, admin_address: state.admin_address.get().copied(), server: http.run() })
    }

    /// The separate address for operators, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.server.handle())
    }

    /// Handles requests until it is stopped.
    pub async fn run(self) -> io::Result<()> {
        self.server.await
    }
}

/// Looks again and again how late this thread comes to what is due.
async fn watch(mut thread: ThreadWatch) {
    loop {
        let due = Instant::now() + WATCH_INTERVAL;
        sleep_until(due.into()).await;
        thread.came(due.elapsed());
    }
}

/// The CORS rules for pages of these origins. A browser adds no credential by itself, so a page needs a key.
fn cors(origins: &[String]) -> Cors {
    let request_id = HeaderName::from_static("x-request-id");
    origins
        .iter()
        .fold(Cors::default(), |cors, origin| cors.allowed_origin(origin))
        .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            request_id.clone(),
        ])
        .expose_headers([header::ETAG, header::LOCATION, header::RETRY_AFTER, request_id])
        .max_age(PREFLIGHT_SECONDS)
}

impl Stopper {
    /// Stops the server, and returns once it has stopped.
    pub async fn stop(&self, how: Stop) {
        if how == Stop::Graceful {
            self.0.pause().await;
            tokio::time::sleep(SETTLE).await;
        }
        self.0.stop(how == Stop::Graceful).await;
    }
}
