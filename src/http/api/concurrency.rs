//! `/api/v1/tenants/{tenantId}/config/concurrency`: how many workers decide a tenant's events.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{Change, ChangeOptions, Tenant, TenantPatch, WORKERS_MAX},
    error::Detail,
    http::door::{
        AppState, Error,
        auth::By,
        body::{Body, Document},
        path::TenantPath,
        precondition::IfMatch,
        query::Query,
        response,
    },
    json::present,
};

/// Workers to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct ConcurrencyBody {
    /// Workers that decide the tenant's events at once, no more than its quota `workers`; `null` restores the default.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, value_type = Option<u64>, minimum = 1, maximum = 100, example = 5)]
    workers: Option<Option<u64>>,
}

impl Document for ConcurrencyBody {}

/// How many workers decide a tenant's events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConcurrencyAnswer {
    /// Workers that were set; `null` if none were.
    #[schema(required = true, example = 5)]
    workers: Option<u16>,
    /// Workers that decide: those set, else 3, and no more than the quota `workers`.
    #[schema(example = 5)]
    effective_workers: u16,
}

impl From<&Tenant> for ConcurrencyAnswer {
    fn from(tenant: &Tenant) -> Self {
        Self { workers: tenant.workers, effective_workers: tenant.effective_workers() }
    }
}

/// Shows how many workers decide a tenant's events.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/config/concurrency", tag = "events", operation_id = "getConcurrency",
    responses((status = 200, description = "The workers.", body = ConcurrencyAnswer))
)]
pub async fn show(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let tenant = state.tenant(tenant).await?;
    response::found(&request, tenant.revision, &ConcurrencyAnswer::from(&tenant))
}

/// Sets how many workers decide a tenant's events.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenantId}/config/concurrency", tag = "events", operation_id = "setConcurrency",
    request_body = ConcurrencyBody,
    responses((status = 200, description = "The workers.", body = ConcurrencyAnswer))
)]
pub async fn set(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<ConcurrencyBody>,
) -> Result<HttpResponse, Error> {
    let refuse = |code, message| Error::invalid_one(Detail::new(code, message).at("workers"));
    let given = body.workers.ok_or_else(|| refuse("missing_field", "missing field `workers`".to_owned()))?;
    let in_range = |workers| u16::try_from(workers).ok().filter(|workers| (1..=WORKERS_MAX).contains(workers));
    let out_of_range = || {
        refuse("invalid_value", format!("must be a whole number from 1 to {WORKERS_MAX}, or `null` for the default"))
    };
    let workers = given.map(|workers| in_range(workers).ok_or_else(out_of_range)).transpose()?;
    let patch = TenantPatch { workers: Some(workers), ..TenantPatch::default() };
    let options = ChangeOptions { if_match, author, ..ChangeOptions::default() };
    let changed = state.engine.change(tenant, Change::Tenant(patch), options).await?;
    response::ok(changed.revision, &ConcurrencyAnswer::from(&changed.applied.after.tenant))
}
