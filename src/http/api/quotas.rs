//! `/api/v1/tenants/{tenantId}/quotas`: the quotas of a tenant, and how much of them it uses.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{Quota, QuotaPatch},
    error::Detail,
    http::door::{AppState, Error, path::TenantPath, query::Query, response},
    json::present,
    ruleset,
};

/// All quotas of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotasBody {
    /// The quotas.
    items: Vec<QuotaItem>,
}

/// How much a tenant may use of something.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuotaItem {
    /// The quota.
    quota: Quota,
    /// How much it may use.
    limit: u64,
    /// Whether it may use as much as it likes: the limit is the largest that can be granted. Left out where it may not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    unlimited: bool,
    /// How much its tier may use.
    tier_limit: u64,
    /// How much it uses: of the last minute for rates, and at this moment for requests in hand, both on this node. `null`
    /// for what each request has of its own, for `compiledBytes` where the tenant is not in the memory of this node, and for
    /// `eventBacklog` where events wait in a broker that does not answer.
    #[schema(required = true)]
    used: Option<u64>,
}

/// Limits of a tenant's own; what is omitted stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct QuotasPatchBody {
    /// The limit of `rules`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    rules: Option<Option<u64>>,
    /// The limit of `derivedFields`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    derived_fields: Option<Option<u64>>,
    /// The limit of `schemaBytes`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    schema_bytes: Option<Option<u64>>,
    /// The limit of `sourceBytes`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    source_bytes: Option<Option<u64>>,
    /// The limit of `compiledBytes`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    compiled_bytes: Option<Option<u64>>,
    /// The limit of `requestBytes`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    request_bytes: Option<Option<u64>>,
    /// The limit of `batchItems`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    batch_items: Option<Option<u64>>,
    /// The limit of `eventBytes`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    event_bytes: Option<Option<u64>>,
    /// The limit of `eventBacklog`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    event_backlog: Option<Option<u64>>,
    /// The limit of `eventRetentionDays`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    event_retention_days: Option<Option<u64>>,
    /// The limit of `workers`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    workers: Option<Option<u64>>,
    /// The limit of `requestsPerMinute`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    requests_per_minute: Option<Option<u64>>,
    /// The limit of `eventsPerMinute`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    events_per_minute: Option<Option<u64>>,
    /// The limit of `concurrentRequests`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    concurrent_requests: Option<Option<u64>>,
    /// The limit of `databaseConnections`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    database_connections: Option<Option<u64>>,
    /// The limit of `decisionRetentionDays`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    decision_retention_days: Option<Option<u64>>,
    /// The limit of `decisionLogRows`; `null` restores the tier's limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    decision_log_rows: Option<Option<u64>>,
}

impl QuotasPatchBody {
    /// What to set, if all of it can be granted.
    pub fn patch(self) -> Result<QuotaPatch, Error> {
        let given = [
            (Quota::Rules, self.rules),
            (Quota::DerivedFields, self.derived_fields),
            (Quota::SchemaBytes, self.schema_bytes),
            (Quota::SourceBytes, self.source_bytes),
            (Quota::CompiledBytes, self.compiled_bytes),
            (Quota::RequestBytes, self.request_bytes),
            (Quota::BatchItems, self.batch_items),
            (Quota::EventBytes, self.event_bytes),
            (Quota::EventBacklog, self.event_backlog),
            (Quota::EventRetentionDays, self.event_retention_days),
            (Quota::Workers, self.workers),
            (Quota::RequestsPerMinute, self.requests_per_minute),
            (Quota::EventsPerMinute, self.events_per_minute),
            (Quota::ConcurrentRequests, self.concurrent_requests),
            (Quota::DatabaseConnections, self.database_connections),
            (Quota::DecisionRetentionDays, self.decision_retention_days),
            (Quota::DecisionLogRows, self.decision_log_rows),
        ];
        let patch: QuotaPatch = given.into_iter().filter_map(|(quota, limit)| Some((quota, limit?))).collect();
        let beyond = |(quota, limit): (&Quota, &Option<u64>)| {
            let most = quota.grant_max();
            (*limit).filter(|limit| !(1..=most).contains(limit))?;
            let message = format!("the limit of `{}` is 1 to {most}", quota.name());
            Some(Detail::new("invalid_value", message).at(format!("quotas.{}", quota.name())))
        };
        let details: Vec<Detail> = patch.iter().filter_map(beyond).collect();
        if details.is_empty() { Ok(patch) } else { Err(Error::invalid(details)) }
    }
}

/// Shows a tenant's quotas, and how much of them it uses.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/quotas", tag = "tenants", operation_id = "getQuotas",
    responses((status = 200, description = "The quotas.", body = QuotasBody))
)]
pub async fn show(state: Data<AppState>, TenantPath(scope): TenantPath, _: Query<()>) -> Result<HttpResponse, Error> {
    let snapshot = state.store.snapshot(scope).await?.ok_or_else(Error::tenant_not_found)?;
    let compiled = state.engine.runtime(scope).await?.resident.map(|resident| resident.memory_bytes);
    let standing = state.engine.standing(&snapshot.tenant);
    let backlog = state.ingest.backlog(scope, snapshot.tenant.quota(Quota::EventBacklog)).await?;
    let item = |quota: Quota| {
        let limit = snapshot.tenant.quota(quota);
        let used = match quota {
            Quota::CompiledBytes => compiled,
            Quota::EventBacklog => backlog,
            Quota::RequestsPerMinute => standing.requests,
            Quota::EventsPerMinute => standing.events,
            Quota::ConcurrentRequests => Some(standing.in_hand),
            quota => ruleset::used(&snapshot, quota),
        };
        let tier_limit = quota.of_tier(snapshot.tenant.tier);
        QuotaItem { quota, limit, unlimited: quota.is_unlimited(limit), tier_limit, used }
    };
    response::plain(StatusCode::OK, &QuotasBody { items: Quota::ALL.map(item).into() })
}
