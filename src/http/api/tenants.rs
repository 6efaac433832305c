//! `/api/v1/tenants`: the owners of schemas and rules.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::quotas::QuotasPatchBody;
use crate::{
    config::limits::IDLE_STOP_SECONDS_MAX,
    domain::{
        Change, ChangeOptions, Name, QuotaOverrides, Revision, Tenant, TenantDraft, TenantId, TenantPatch,
        TenantStatus, Tier,
    },
    error::Detail,
    http::door::{
        AppState, Error,
        auth::{By, Caller},
        body::{Body, Document},
        path::TenantPath,
        precondition::IfMatch,
        query::{Given, PageQuery, Parameters, Query},
        response::{self, List},
    },
    json::present,
    store::PageRequest,
};

/// A tenant to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct TenantBody {
    /// Its name, unique among all tenants.
    #[schema(min_length = 1, max_length = 255, example = "acme-corp")]
    name: String,
    /// Its tier; the service's `TENET_DEFAULT_TIER` if it is omitted.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    tier: Option<Tier>,
}

/// The parts of a tenant to change; what is omitted stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct TenantPatchBody {
    /// A new name.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    name: Option<String>,
    /// A new tier.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    tier: Option<Tier>,
    /// A new status.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    status: Option<TenantStatus>,
    /// Whether every node keeps it in memory, used or not.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pinned: Option<bool>,
    /// Seconds that a node keeps it in memory unused; `null`: as the service's setting says.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 31_536_000)]
    idle_stop_seconds: Option<Option<u32>>,
    /// Whether facts that the schema does not declare are refused, where a request does not say.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    strict_facts: Option<bool>,
    /// Quotas of its own.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    quotas: Option<QuotasPatchBody>,
}

impl Document for TenantBody {}
impl Document for TenantPatchBody {}

/// A tenant as stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
#[serde(rename_all = "camelCase")]
pub struct TenantItem {
    /// Its id.
    id: TenantId,
    /// Its name, unique among all tenants.
    name: Name,
    /// Its tier.
    tier: Tier,
    /// Whether it is served.
    status: TenantStatus,
    /// Whether every node keeps it in memory, used or not.
    pinned: bool,
    /// Seconds that a node keeps it in memory unused; `null`: as the service's setting says.
    #[schema(required = true)]
    idle_stop_seconds: Option<u32>,
    /// Whether facts that the schema does not declare are refused, where a request does not say.
    strict_facts: bool,
    /// The quotas that are its own; all others are its tier's.
    #[schema(example = json!({"rules": 2000}))]
    quotas: QuotaOverrides,
    /// The counter of its changes, from 1.
    revision: Revision,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it, or anything of it, was last changed.
    updated_at: DateTime<Utc>,
}

impl From<Tenant> for TenantItem {
    fn from(tenant: Tenant) -> Self {
        let Tenant { id, name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, .. } = tenant;
        let Tenant { revision, created_at, updated_at, .. } = tenant;
        Self {
            id,
            name,
            tier,
            status,
            pinned,
            idle_stop_seconds,
            strict_facts,
            quotas,
            revision,
            created_at,
            updated_at,
        }
    }
}

/// Which tenants.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct TenantFilter {
    /// Only those whose name begins with this text.
    name_prefix: Option<String>,
}

impl Parameters for (TenantFilter, PageQuery) {
    fn take(given: &mut Given) -> Self {
        (TenantFilter { name_prefix: given.text("namePrefix") }, PageQuery::take(given))
    }
}

/// Creates a tenant.
#[utoipa::path(
    post, path = "/api/v1/tenants", tag = "tenants", operation_id = "createTenant", request_body = TenantBody,
    responses((status = 201, description = "The tenant.", body = TenantItem))
)]
pub async fn create(
    By(author): By,
    state: Data<AppState>,
    _: Query<()>,
    Body(body): Body<TenantBody>,
) -> Result<HttpResponse, Error> {
    let name = Name::parse(&body.name, "name").map_err(Error::invalid_one)?;
    let tier = body.tier.unwrap_or(state.options.default_tier);
    let tenant = state.engine.create_tenant(&TenantDraft { name, tier }, &author).await?;
    let location = format!("/api/v1/tenants/{}", tenant.id);
    response::created(location, tenant.revision, &TenantItem::from(tenant))
}

/// Lists tenants by name; with a tenant's key, only that tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants", tag = "tenants", operation_id = "listTenants", params(TenantFilter, PageQuery),
    responses((status = 200, description = "A page of tenants.", body = List<TenantItem>))
)]
pub async fn list(
    caller: Caller,
    state: Data<AppState>,
    Query((filter, page)): Query<(TenantFilter, PageQuery)>,
) -> Result<HttpResponse, Error> {
    if let Some(own) = caller.own() {
        // Not a page of all, cut down: what others are called must not even decide where a page ends.
        let prefix = filter.name_prefix.unwrap_or_default();
        let tenant = state.store.tenant(own).await?;
        let items = tenant
            .into_iter()
            .filter(|tenant| tenant.name.as_str().starts_with(&prefix))
            .map(TenantItem::from)
            .collect();
        return response::plain(StatusCode::OK, &List { items, next_cursor: None });
    }
    let page = state.store.tenants(filter.name_prefix.as_deref(), &PageRequest::from(page)).await?;
    response::list(page, TenantItem::from)
}

/// Shows a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}", tag = "tenants", operation_id = "getTenant",
    responses((status = 200, description = "The tenant.", body = TenantItem))
)]
pub async fn show(
    state: Data<AppState>,
    TenantPath(id): TenantPath,
    _: Query<()>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let tenant = state.tenant(id).await?;
    response::found(&request, tenant.revision, &TenantItem::from(tenant))
}

/// Changes parts of a tenant.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenantId}", tag = "tenants", operation_id = "changeTenant",
    request_body = TenantPatchBody, responses((status = 200, description = "The tenant.", body = TenantItem))
)]
pub async fn change(
    By(author): By,
    state: Data<AppState>,
    TenantPath(id): TenantPath,
    _: Query<()>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<TenantPatchBody>,
) -> Result<HttpResponse, Error> {
    let name = body.name.map(|name| Name::parse(&name, "name")).transpose().map_err(Error::invalid_one)?;
    let idle_stop_seconds = body.idle_stop_seconds;
    if idle_stop_seconds.flatten().is_some_and(|time| !(1..=IDLE_STOP_SECONDS_MAX).contains(&time)) {
        let message = format!("an idle time is 1 to {IDLE_STOP_SECONDS_MAX} seconds");
        return Err(Error::invalid_one(Detail::new("invalid_value", message).at("idleStopSeconds")));
    }
    let quotas = body.quotas.unwrap_or_default().patch()?;
    let TenantPatchBody { tier, status, pinned, strict_facts, .. } = body;
    let patch =
        TenantPatch { name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, ..TenantPatch::default() };
    let options = ChangeOptions { if_match, author, ..ChangeOptions::default() };
    let changed = state.engine.change(id, Change::Tenant(patch), options).await?;
    let tenant = Tenant { revision: changed.revision, ..changed.applied.after.tenant };
    response::ok(changed.revision, &TenantItem::from(tenant))
}

/// Deletes a tenant and everything of it but its audit log.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenantId}", tag = "tenants", operation_id = "deleteTenant",
    responses((status = 204, description = "The tenant is gone."))
)]
pub async fn delete(
    By(author): By,
    state: Data<AppState>,
    TenantPath(id): TenantPath,
    _: Query<()>,
    IfMatch(if_match): IfMatch,
) -> Result<HttpResponse, Error> {
    let revision = state.engine.delete_tenant(id, &if_match, &author).await?;
    state.ingest.tenant_deleted();
    Ok(response::deleted(revision))
}
