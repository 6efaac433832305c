//! `/api/v1/tenants/{tenantId}/audit`: who changed what of a tenant.

use actix_web::{HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::{ApiKeyId, AuditAction, AuditRow, Revision},
    http::door::{
        AppState, Error,
        auth::Caller,
        path::TenantPath,
        query::{Given, PageQuery, Parameters, Query},
        response::{self, List},
    },
    store::{AuditFilter, PageRequest},
};

/// A row of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditItem {
    /// Its place in the tenant's log: 1, 2, 3 …
    sequence: i64,
    /// When.
    at: DateTime<Utc>,
    /// Who did it: `operator`, `operator:` or `key:` and a key's id, or the command that was run.
    #[schema(example = "key:01890000-0000-7000-8000-000000000000")]
    actor: String,
    /// The stored key of the request; `null` if there was none.
    #[schema(required = true)]
    key_id: Option<ApiKeyId>,
    /// What was done.
    #[schema(example = "rule.change")]
    action: String,
    /// The resource: its path below the tenant's, or `tenant`.
    #[schema(example = "rules/01890000-0000-7000-8000-000000000000")]
    resource: String,
    /// The tenant's revision afterwards.
    revision: Revision,
    /// The resource before; for a change, its name and what was changed. `null` if it was created.
    #[schema(required = true, value_type = Option<serde_json::Value>)]
    before: Option<Box<RawValue>>,
    /// The resource afterwards, in the same form; `null` if it was deleted.
    #[schema(required = true, value_type = Option<serde_json::Value>)]
    after: Option<Box<RawValue>>,
    /// The request's id; `null` if it was not a request.
    #[schema(required = true)]
    request_id: Option<String>,
    /// The address that the request came from; `null` if it was not a request.
    #[schema(required = true)]
    address: Option<String>,
    /// The hash of this row and of all rows before it, in hexadecimal.
    hash: String,
}

/// Which rows of the log.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only rows of this action, such as `rule.change`; may be given more than once.
    #[param(value_type = Option<Vec<String>>)]
    action: Vec<AuditAction>,
    /// Only rows of this actor, such as `operator` or `key:<id>`.
    actor: Option<String>,
    /// Only rows of this time or later.
    since: Option<DateTime<Utc>>,
    /// Only rows before this time.
    until: Option<DateTime<Utc>>,
}

impl Parameters for (AuditQuery, PageQuery) {
    fn take(given: &mut Given) -> Self {
        let filter = AuditQuery {
            action: given.words("action", AuditAction::ALL),
            actor: given.text("actor"),
            since: given.time("since"),
            until: given.time("until"),
        };
        (filter, PageQuery::take(given))
    }
}

impl From<AuditRow> for AuditItem {
    fn from(row: AuditRow) -> Self {
        // What is stored is JSON: the column's type says so.
        let raw = |text: Option<String>| text.and_then(|text| RawValue::from_string(text).ok());
        Self {
            sequence: row.sequence,
            at: row.at,
            actor: row.author.actor,
            key_id: row.author.key,
            action: row.action,
            resource: row.resource,
            revision: row.revision,
            before: raw(row.before),
            after: raw(row.after),
            request_id: row.author.request_id,
            address: row.author.address.map(|address| address.to_string()),
            hash: row.hash.to_string(),
        }
    }
}

/// Lists what was done to a tenant and by whom, newest first. Operators still see the log of a deleted tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/audit", tag = "audit", operation_id = "listAudit",
    params(AuditQuery, PageQuery),
    responses((status = 200, description = "A page of the log.", body = List<AuditItem>))
)]
pub async fn list(
    caller: Caller,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query((query, page)): Query<(AuditQuery, PageQuery)>,
) -> Result<HttpResponse, Error> {
    let filter = AuditFilter {
        actions: query.action,
        actor: query.actor,
        since: query.since,
        until: query.until,
        // Keys are deleted along with their tenant, but a token may still name it.
        without_tenant: caller.own().is_none(),
    };
    let page = state.store.audit(tenant, &filter, &PageRequest::from(page)).await?;
    let page = page.ok_or_else(Error::tenant_not_found)?;
    response::list(page, AuditItem::from)
}
