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
    /// How much its tier may use.
    tier_limit: u64,
    /// How much it uses; `null` for what each request has of its own, and for `compiledBytes` where the tenant is not
    /// in the memory of this node.
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
    let item = |quota: Quota| QuotaItem {
        quota,
        limit: snapshot.tenant.quota(quota),
        tier_limit: quota.of_tier(snapshot.tenant.tier),
        used: if quota == Quota::CompiledBytes { compiled } else { ruleset::used(&snapshot, quota) },
    };
    response::plain(StatusCode::OK, &QuotasBody { items: Quota::ALL.map(item).into() })
}
