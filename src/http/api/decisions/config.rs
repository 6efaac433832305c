//! `/api/v1/tenants/{tenantId}/config/decision-log`: what of a tenant's evaluations is recorded.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{Change, ChangeOptions, DecisionLog, LogMode, SampleRate, TenantPatch},
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
};

/// Which evaluations are recorded.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "`off`, `sample` or `all`")]
pub enum ModeWord {
    /// None.
    Off,
    /// A share of them.
    Sample,
    /// All of them.
    All,
}

/// What is to be recorded. What is omitted is as if it was never set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct DecisionLogBody {
    /// Which evaluations: `off` (none), `sample` (a share of them) or `all`.
    #[schema(value_type = String, example = "sample")]
    mode: ModeWord,
    /// Which share of them, in the mode `sample`; 0.01 if it is omitted.
    #[schema(nullable = false, minimum = 0.000001, maximum = 1.0, example = 0.01)]
    sample_rate: Option<f64>,
    /// Whether their facts are kept, but for sensitive ones; `true` if it is omitted.
    #[schema(nullable = false)]
    facts: Option<bool>,
    /// Whether, in the mode `sample`, those in which a rule ended with an error are all recorded; `true` if it is omitted.
    #[schema(nullable = false)]
    errors_always: Option<bool>,
}

impl Document for DecisionLogBody {}

/// What is recorded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionLogAnswer {
    /// Which evaluations: `off`, `sample` or `all`.
    #[schema(value_type = String, example = "sample")]
    mode: ModeWord,
    /// Which share of them, in the mode `sample`.
    #[schema(example = 0.01)]
    sample_rate: f64,
    /// Whether their facts are kept, but for sensitive ones.
    facts: bool,
    /// Whether, in the mode `sample`, those in which a rule ended with an error are all recorded.
    errors_always: bool,
}

impl From<DecisionLog> for DecisionLogAnswer {
    fn from(log: DecisionLog) -> Self {
        let mode = match log.mode {
            LogMode::Off => ModeWord::Off,
            LogMode::Sample => ModeWord::Sample,
            LogMode::All => ModeWord::All,
        };
        Self { mode, sample_rate: log.sample_rate.into(), facts: log.facts, errors_always: log.errors_always }
    }
}

/// Shows what of a tenant's evaluations is recorded.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/config/decision-log", tag = "decisions", operation_id = "getDecisionLog",
    responses((status = 200, description = "What is recorded.", body = DecisionLogAnswer))
)]
pub async fn show(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let tenant = state.tenant(tenant).await?;
    response::found(&request, tenant.revision, &DecisionLogAnswer::from(tenant.decision_log))
}

/// Sets what of a tenant's evaluations is recorded.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenantId}/config/decision-log", tag = "decisions", operation_id = "setDecisionLog",
    request_body = DecisionLogBody,
    responses((status = 200, description = "What is recorded.", body = DecisionLogAnswer))
)]
pub async fn set(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<DecisionLogBody>,
) -> Result<HttpResponse, Error> {
    let default = DecisionLog::default();
    let rate = body.sample_rate.map(SampleRate::try_from).transpose();
    let refused = |error: crate::domain::NotASampleRate| {
        Error::invalid_one(Detail::new("invalid_value", error.to_string()).at("sampleRate"))
    };
    let log = DecisionLog {
        mode: match body.mode {
            ModeWord::Off => LogMode::Off,
            ModeWord::Sample => LogMode::Sample,
            ModeWord::All => LogMode::All,
        },
        sample_rate: rate.map_err(refused)?.unwrap_or(default.sample_rate),
        facts: body.facts.unwrap_or(default.facts),
        errors_always: body.errors_always.unwrap_or(default.errors_always),
    };
    let patch = TenantPatch { decision_log: Some(log), ..TenantPatch::default() };
    let options = ChangeOptions { if_match, author, ..ChangeOptions::default() };
    let changed = state.engine.change(tenant, Change::Tenant(patch), options).await?;
    response::ok(changed.revision, &DecisionLogAnswer::from(changed.applied.after.tenant.decision_log))
}
