//! `/api/v1/runtime` and `/api/v1/tenants/{tenantId}/runtime`: how tenants and nodes are doing, and what an operator
//! can do about it. What is said of a tenant holds for the node that answers.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::{AuditAction, Name, Node, NodeId, Revision, TenantId, TenantScope, Vitals, micros},
    engine::{self, RuntimeState, TenantRuntime},
    http::door::{
        AppState, Error,
        auth::By,
        path::TenantPath,
        query::{Given, PageQuery, Parameters, Query},
        response::{self, List},
    },
    store::PageRequest,
};

/// The state of a tenant on this node.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateWord {
    /// Not in memory; the next request loads it.
    Cold,
    /// Being loaded for the first time.
    Loading,
    /// Served as the database has it.
    Ready,
    /// Served, and for longer than promised not known to be as the database has it.
    Stale,
    /// Its actor failed too often; the last good rules are served.
    Quarantined,
    /// It has left memory, and its actor has not ended yet.
    Stopping,
}

/// The state of a tenant on this node.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeBody {
    /// The tenant.
    tenant_id: TenantId,
    /// Its name; `null` where the database does not answer and it has not been loaded.
    #[schema(required = true)]
    name: Option<Name>,
    /// Its state.
    state: StateWord,
    /// Whether it is pinned.
    pinned: bool,
    /// The revision that this node serves; `null` if none.
    #[schema(required = true)]
    revision: Option<Revision>,
    /// The revision in the database; `null` while it does not answer.
    #[schema(required = true)]
    stored_revision: Option<Revision>,
    /// What this node has in memory; `null` if it has nothing.
    #[schema(required = true)]
    resident: Option<ResidentBody>,
}

/// A tenant in memory. Counts begin when it was loaded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResidentBody {
    /// How long it has been known to serve an older revision than is stored.
    lag_ms: u64,
    /// Active rules, broken ones among them.
    active_rules: usize,
    /// Rules and derived fields that do not compile.
    broken_rules: usize,
    /// Memory of its rules, as estimated.
    memory_bytes: u64,
    /// Decisions made.
    decisions: u64,
    /// Rules evaluated in them.
    rules_evaluated: u64,
    /// Units of cost that they took.
    cost: u64,
    /// Time that they took.
    evaluation_time_us: u64,
    /// When it was used last.
    last_used_at: DateTime<Utc>,
    /// The last load.
    #[schema(required = true)]
    last_load: Option<LoadBody>,
    /// How often a failed actor was started again.
    restarts: u32,
    /// The last failure.
    #[schema(required = true)]
    last_error: Option<FailureBody>,
}

/// A load that ended well.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadBody {
    /// When it ended.
    at: DateTime<Utc>,
    /// How long reading and compiling took.
    took_ms: f64,
    /// The revision read.
    revision: Revision,
    /// Rules and derived fields compiled.
    compiled: usize,
    /// Those carried over from the set before, or from another tenant's with the same schema.
    reused: usize,
}

/// Something that went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureBody {
    /// When.
    at: DateTime<Utc>,
    /// What.
    message: String,
}

/// All running nodes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodesBody {
    /// The nodes, the longest-serving first.
    items: Vec<NodeItem>,
}

/// A running node, as of its last heartbeat.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
#[serde(rename_all = "camelCase")]
pub struct NodeItem {
    /// Its id: another one each time it starts.
    id: NodeId,
    /// The machine that it runs on.
    host: String,
    /// The version that it runs.
    version: String,
    /// When it started.
    started_at: DateTime<Utc>,
    /// When it last wrote its heartbeat.
    heartbeat_at: DateTime<Utc>,
    /// Its state then.
    #[serde(flatten)]
    vitals: VitalsItem,
}

/// The state of a node.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Vitals)]
#[serde(rename_all = "camelCase")]
pub struct VitalsItem {
    /// Tenants in its memory.
    resident_tenants: u64,
    /// Bytes that their rules take, as estimated.
    memory_bytes: u64,
    /// How long the tenant furthest behind has been behind the database; 0 if none is.
    lag_ms: u64,
    /// How long ago it compared itself with the database.
    synchronised_ago_ms: u64,
}

impl FailureBody {
    pub fn new(at: DateTime<Utc>, message: String) -> Self {
        Self { at, message }
    }
}

impl From<Node> for NodeItem {
    fn from(node: Node) -> Self {
        let Node { id, host, version, started_at, heartbeat_at, vitals } = node;
        let Vitals { resident_tenants, memory_bytes, lag_ms, synchronised_ago_ms } = vitals;
        let vitals = VitalsItem { resident_tenants, memory_bytes, lag_ms, synchronised_ago_ms };
        Self { id, host, version, started_at, heartbeat_at, vitals }
    }
}

/// Which tenants.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StateFilter {
    /// Only those in this state; may be given more than once.
    #[param(inline, value_type = Option<Vec<StateWord>>)]
    state: Vec<RuntimeState>,
}

impl Parameters for (StateFilter, PageQuery) {
    fn take(given: &mut Given) -> Self {
        let words = RuntimeState::ALL.map(|state| (state.name(), state));
        (StateFilter { state: given.words("state", &words) }, PageQuery::take(given))
    }
}

impl From<RuntimeState> for StateWord {
    fn from(state: RuntimeState) -> Self {
        match state {
            RuntimeState::Cold => Self::Cold,
            RuntimeState::Loading => Self::Loading,
            RuntimeState::Ready => Self::Ready,
            RuntimeState::Stale => Self::Stale,
            RuntimeState::Quarantined => Self::Quarantined,
            RuntimeState::Stopping => Self::Stopping,
        }
    }
}

impl From<TenantRuntime> for RuntimeBody {
    fn from(runtime: TenantRuntime) -> Self {
        Self {
            tenant_id: runtime.tenant_id,
            name: runtime.tenant().map(|tenant| tenant.name.clone()),
            state: runtime.state.into(),
            pinned: runtime.tenant().is_some_and(|tenant| tenant.pinned),
            revision: runtime.revision(),
            stored_revision: runtime.stored.as_ref().map(|tenant| tenant.revision),
            resident: runtime.resident.map(ResidentBody::from),
        }
    }
}

impl From<engine::ResidentRuntime> for ResidentBody {
    fn from(resident: engine::ResidentRuntime) -> Self {
        Self {
            lag_ms: resident.lag_ms,
            active_rules: resident.rules_active,
            broken_rules: resident.rules_broken,
            memory_bytes: resident.memory_bytes,
            decisions: resident.used.decisions,
            rules_evaluated: resident.used.rules_evaluated,
            cost: resident.used.cost,
            evaluation_time_us: micros(resident.used.time),
            last_used_at: resident.last_used_at,
            last_load: resident.last_load.map(|load| LoadBody {
                at: load.at,
                took_ms: load.took.as_secs_f64() * 1e3,
                revision: load.revision,
                compiled: load.report.compiled,
                reused: load.report.reused,
            }),
            restarts: resident.restarts,
            last_error: resident.last_error.map(|error| FailureBody::new(error.at, error.message)),
        }
    }
}

async fn answer(state: &AppState, tenant: TenantScope) -> Result<HttpResponse, Error> {
    response::plain(StatusCode::OK, &RuntimeBody::from(state.engine.runtime(tenant).await?))
}

/// Lists how tenants are doing on this node, in the order of their ids. With a state, a page may hold fewer than asked
/// for and still not be the last.
#[utoipa::path(
    get, path = "/api/v1/runtime/tenants", tag = "runtime", operation_id = "listTenantRuntimes",
    params(StateFilter, PageQuery),
    responses((status = 200, description = "A page of tenants.", body = List<RuntimeBody>))
)]
pub async fn list(
    state: Data<AppState>,
    Query((filter, page)): Query<(StateFilter, PageQuery)>,
) -> Result<HttpResponse, Error> {
    let page = state.engine.runtimes(&filter.state, &PageRequest::from(page)).await?;
    response::list(page, RuntimeBody::from)
}

/// Lists the running nodes.
#[utoipa::path(
    get, path = "/api/v1/runtime/nodes", tag = "runtime", operation_id = "listNodes",
    responses((status = 200, description = "The nodes.", body = NodesBody))
)]
pub async fn nodes(state: Data<AppState>, _: Query<()>) -> Result<HttpResponse, Error> {
    response::plain(
        StatusCode::OK,
        &NodesBody { items: state.engine.nodes().await?.into_iter().map(NodeItem::from).collect() },
    )
}

/// Shows the state of a tenant on this node.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/runtime", tag = "runtime", operation_id = "getTenantRuntime",
    responses((status = 200, description = "Its state.", body = RuntimeBody))
)]
pub async fn show(state: Data<AppState>, TenantPath(tenant): TenantPath, _: Query<()>) -> Result<HttpResponse, Error> {
    answer(&state, tenant).await
}

/// Loads a tenant into the memory of this node, if it is not there.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/runtime/load", tag = "runtime", operation_id = "loadTenant",
    responses((status = 200, description = "Its state now.", body = RuntimeBody))
)]
pub async fn load(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    state.note(tenant, &author, AuditAction::RuntimeLoad, "runtime", None).await?;
    state.engine.load_tenant(tenant).await?;
    answer(&state, tenant).await
}

/// Removes a tenant from the memory of this node. The next request for it loads it again.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/runtime/stop", tag = "runtime", operation_id = "stopTenant",
    responses((status = 200, description = "Its state now.", body = RuntimeBody))
)]
pub async fn stop(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    state.note(tenant, &author, AuditAction::RuntimeStop, "runtime", None).await?;
    state.engine.stop_tenant(tenant).await?;
    answer(&state, tenant).await
}

/// Loads and compiles a tenant again on this node, whether anything has changed or not.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/runtime/reload", tag = "runtime", operation_id = "reloadTenant",
    responses((status = 200, description = "Its state now.", body = RuntimeBody))
)]
pub async fn reload(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    state.note(tenant, &author, AuditAction::RuntimeReload, "runtime", None).await?;
    state.engine.reload_tenant(tenant).await?;
    answer(&state, tenant).await
}

/// Releases a tenant from quarantine on this node, and tries it again at once. Other tenants stay as they are.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/runtime/release", tag = "runtime", operation_id = "releaseTenant",
    responses((status = 200, description = "Its state now.", body = RuntimeBody))
)]
pub async fn release(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    state.note(tenant, &author, AuditAction::RuntimeRelease, "runtime", None).await?;
    state.engine.release_tenant(tenant).await?;
    answer(&state, tenant).await
}
