//! `GET /api/v1/tenants/{tenantId}/rules/health`: what is wrong with rules, or worth knowing of them.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    analytics::{Finding, Kept, RuleFinding, Thresholds, WindowCounts, Windows, findings},
    domain::{RuleId, TenantScope},
    engine,
    error::Subject,
    http::door::{
        AppState, Error,
        path::TenantPath,
        query::{Given, Parameters, Query},
        response,
    },
};

/// Days that are looked at, if it is not said how many; and at most.
const DAYS_DEFAULT: i64 = 30;
const DAYS_MAX: i64 = 400;

/// What to look for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HealthQuery {
    /// Look at so many days.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 400, default = 30)]
    days: i64,
    /// Only findings of this kind: `broken`, `failing`, `missing_facts`, `stopped_matching`, `never_matched`,
    /// `always_matched`, `drifted` or `insufficient_data`.
    #[param(value_type = Option<String>)]
    finding: Option<Finding>,
}

impl Parameters for HealthQuery {
    fn take(given: &mut Given) -> Self {
        Self {
            days: given.number("days", 1, DAYS_MAX).unwrap_or(DAYS_DEFAULT),
            finding: given.word("finding", &Finding::ALL.map(|finding| (finding.name(), finding))),
        }
    }
}

/// What was found of a tenant's active rules.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthBody {
    /// The findings, the most urgent first.
    items: Vec<FindingItem>,
    /// When this was so.
    as_of: DateTime<Utc>,
}

/// Something found of a rule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingItem {
    /// What.
    #[schema(example = "stopped_matching")]
    finding: &'static str,
    /// The rule.
    rule_id: RuleId,
    /// Its name.
    #[schema(required = true)]
    rule_name: Option<String>,
    /// Since when it is so: when the rule became active, last matched, or since when is counted.
    #[schema(required = true)]
    since: Option<DateTime<Utc>>,
    /// The numbers that it follows from.
    evidence: EvidenceItem,
    /// What to do about it.
    hint: &'static str,
}

/// The numbers that a finding follows from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceItem {
    /// The numbers.
    #[serde(flatten)]
    counts: WindowItem,
    /// The numbers that they are compared with: of the 30 days before, or of the same hour a week before.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<WindowItem>,
}

/// What became of a rule in some time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowItem {
    /// Decisions for which it was evaluated.
    evaluated: i64,
    /// Those that it matched.
    matched: i64,
    /// Those in which it failed.
    errors: i64,
    /// Those in which it failed for want of a fact.
    missing: i64,
}

impl From<WindowCounts> for WindowItem {
    fn from(WindowCounts { evaluated, matched, errors, missing }: WindowCounts) -> Self {
        Self { evaluated, matched, errors, missing }
    }
}

fn item(RuleFinding { finding, rule, name, since, evidence, before }: RuleFinding) -> FindingItem {
    FindingItem {
        finding: finding.name(),
        rule_id: rule,
        rule_name: name,
        since,
        evidence: EvidenceItem { counts: evidence.into(), before: before.map(WindowItem::from) },
        hint: finding.hint(),
    }
}

/// The rules of a tenant that do not compile.
async fn broken(state: &AppState, tenant: TenantScope) -> Result<Vec<RuleId>, Error> {
    let served = match state.engine.deciding(tenant, None).await {
        Ok(served) => served,
        // Without a schema there is nothing to compile, and a suspended tenant's rules are not.
        Err(engine::Error::SchemaMissing | engine::Error::TenantSuspended) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let rule = |subject: &Subject| match subject {
        Subject::Rule { rule_id, .. } => Some(RuleId(*rule_id)),
        Subject::DerivedField { .. } => None,
    };
    Ok(served.set.broken().iter().filter_map(|broken| rule(&broken.subject)).collect())
}

/// Tells what is wrong with a tenant's active rules, or worth knowing of them, with the numbers that it follows from.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/rules/health", tag = "analytics", operation_id = "checkRuleHealth",
    params(HealthQuery),
    responses((status = 200, description = "The findings.", body = HealthBody))
)]
pub async fn show(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query(query): Query<HealthQuery>,
) -> Result<HttpResponse, Error> {
    let now = Utc::now();
    let kept = Kept::of(state.tenant(tenant).await?.tier, now);
    let windows = Windows::until(now, query.days);
    let (days, hours) = (windows.stretch(kept), windows.stretch_of_hours());
    let broken = broken(&state, tenant).await?;
    let [of_days, of_hours] =
        state.store.rule_counts_of_both(tenant, (&days, &windows.days), (&hours, &windows.hours)).await?;
    let found = findings(&of_days.rules, &of_hours.rules, &broken, &windows, &Thresholds::default(), now);
    let is_wanted = |found: &RuleFinding| query.finding.is_none_or(|wanted| found.finding == wanted);
    let items = found.into_iter().filter(is_wanted).map(item).collect();
    response::plain(StatusCode::OK, &HealthBody { items, as_of: of_days.as_of })
}
