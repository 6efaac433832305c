//! What all handlers share.

use std::{net::SocketAddr, sync::OnceLock};

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use chrono::TimeDelta;
use serde_json::Value;

use super::{Error, HttpOptions, Metrics, Readiness};
use crate::{
    auth::Auth,
    domain::{AuditAction, AuditDraft, Author, Quota, Tenant, TenantScope},
    engine::Engine,
    ingest::Ingest,
    store::Store,
    telemetry::MetricRegistry,
};

/// What requests are answered by.
#[derive(Debug)]
pub struct Rooms {
    /// Who calls.
    pub auth: Auth,
    /// Decisions and changes.
    pub engine: Engine,
    /// Events.
    pub ingest: Ingest,
    /// The database.
    pub store: Store,
}

/// The parts of the process that requests use, shared by all threads of the server.
#[derive(Debug)]
pub struct AppState {
    /// Authentication.
    pub auth: Auth,
    /// Decisions and changes.
    pub engine: Engine,
    /// Events.
    pub ingest: Ingest,
    /// The database.
    pub store: Store,
    /// The metrics of requests.
    pub metrics: Metrics,
    /// The metrics of all rooms, for `/metrics`.
    pub registry: MetricRegistry,
    /// Whether the node should be sent requests.
    pub readiness: Readiness,
    /// How the server was configured.
    pub options: HttpOptions,
    /// The address for operators, if they have a separate one, once the server listens on it.
    pub admin_address: OnceLock<SocketAddr>,
}

impl AppState {
    /// The state of a server that does not listen yet.
    pub fn new(
        options: HttpOptions,
        rooms: Rooms,
        metrics: Metrics,
        registry: MetricRegistry,
        readiness: Readiness,
    ) -> Self {
        let Rooms { auth, engine, ingest, store } = rooms;
        Self { auth, engine, ingest, store, metrics, registry, readiness, options, admin_address: OnceLock::new() }
    }

    /// Whether the request arrived at the address for operators; always true if they have no separate one.
    pub fn is_for_operators(&self, request: &HttpRequest) -> bool {
        self.admin_address.get().is_none_or(|admin| request.app_config().local_addr() == *admin)
    }

    /// Rejects a request whose `Host` is not one of the service's names. Probes and operators at their separate address
    /// may use an IP address; operators only if keys are required, so that no web page can pass for one.
    pub fn admit_host(&self, request: &HttpRequest) -> Result<(), Error> {
        let is_inside = self.admin_address.get().is_some() && self.is_for_operators(request) && !self.auth.is_open();
        if is_inside || matches!(request.path(), "/healthz" | "/readyz") {
            return Ok(());
        }
        self.options.hosts.admit(request)
    }

    /// A tenant as the database has it: 404 if there is none.
    pub async fn tenant(&self, scope: TenantScope) -> Result<Tenant, Error> {
        self.store.tenant(scope).await?.ok_or_else(Error::tenant_not_found)
    }

    /// For how long a tenant keeps what these quotas are of, in days: as this node's memory has it, or else the database.
    pub async fn kept_for<const N: usize>(
        &self,
        scope: TenantScope,
        quotas: [Quota; N],
    ) -> Result<[TimeDelta; N], Error> {
        let mut limits = quotas.map(|quota| self.engine.known_quota(scope, quota));
        if limits.iter().any(Option::is_none) {
            let tenant = self.tenant(scope).await?;
            limits = quotas.map(|quota| Some(tenant.quota(quota)));
        }
        Ok(limits.map(|days| TimeDelta::days(days.and_then(|days| i64::try_from(days).ok()).unwrap_or(90))))
    }

    /// Notes in a tenant's audit log what a request does to it that is no change of what is stored: what cannot be noted is
    /// not done.
    pub async fn note(
        &self,
        scope: TenantScope,
        author: &Author,
        action: AuditAction,
        resource: impl Into<String>,
        after: Option<Value>,
    ) -> Result<(), Error> {
        let draft = AuditDraft { action, resource: resource.into(), before: None, after };
        if self.store.note_audit(scope, author, draft).await? { Ok(()) } else { Err(Error::tenant_not_found()) }
    }

    /// The state of the server that received the request.
    pub fn of(request: &HttpRequest) -> Result<&Data<Self>, Error> {
        request.app_data().ok_or_else(|| Error::of_framework(StatusCode::INTERNAL_SERVER_ERROR))
    }
}
