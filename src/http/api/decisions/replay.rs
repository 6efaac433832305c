//! Deciding once more what was decided.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reading::find;
use crate::{
    domain::{Revision, RuleId},
    engine::{Difference, Inexact, ReplayWith},
    error::Detail,
    http::door::{
        AppState, Error,
        body::{Body, Document},
        path::DecisionPath,
        query::Query,
        response,
    },
};

/// Which rules decide again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct ReplayBody {
    /// A revision, or `"current"`; if it is omitted, the revision that decided.
    #[schema(value_type = Option<Object>, example = "current")]
    revision: Option<serde_json::Value>,
}

impl Document for ReplayBody {}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayAnswer {
    /// The revision that decided this time.
    revision: Revision,
    /// Whether these rules decide so on the facts of then, for certain.
    exact: bool,
    /// Why not: `facts_not_stored`, `sensitive_facts_left_out`, `facts_refused`, `rules_differ` or `rules_not_known`.
    #[schema(required = true)]
    because: Option<&'static str>,
    /// Whether every rule came to the same; `null` if nothing could be decided.
    #[schema(required = true)]
    same: Option<bool>,
    /// The rules that did not.
    differences: Vec<DifferenceItem>,
}

/// A rule that came to something else.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DifferenceItem {
    /// The rule.
    rule_id: RuleId,
    /// Whether it matched then.
    then: bool,
    /// Whether it matches now.
    now: bool,
    /// The code of the error that it ended with then.
    #[schema(required = true)]
    error_then: Option<String>,
    /// The code of the error that it ends with now.
    #[schema(required = true)]
    error_now: Option<String>,
}

impl From<Difference> for DifferenceItem {
    fn from(Difference { rule, then, now, error_then, error_now }: Difference) -> Self {
        Self { rule_id: rule, then, now, error_then, error_now }
    }
}

/// Decides again what was decided, with the rules of then or others; stores nothing.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/decisions/{decisionId}/replay", tag = "decisions",
    operation_id = "replayDecision", request_body = ReplayBody,
    responses(
        (status = 200, description = "What came of it.", body = ReplayAnswer),
        (status = 410, description = "What the revision held is no longer known.")
    )
)]
pub async fn replay(
    state: Data<AppState>,
    DecisionPath(tenant, id): DecisionPath,
    _: Query<()>,
    Body(body): Body<ReplayBody>,
) -> Result<HttpResponse, Error> {
    let with = match &body.revision {
        None => ReplayWith::TheSame,
        Some(given) if given == "current" => ReplayWith::Current,
        Some(given) => match given.as_i64().filter(|revision| *revision > 0) {
            Some(revision) => ReplayWith::Revision(Revision(revision)),
            None => {
                let message = "`revision` must be the number of a revision, or `\"current\"`";
                return Err(Error::invalid_one(Detail::new("invalid_value", message).at("revision")));
            }
        },
    };
    let decision = find(&state, tenant, id).await?;
    let replayed = state.engine.replay(tenant, decision, with).await?;
    let answer = ReplayAnswer {
        revision: replayed.revision,
        exact: replayed.because.is_none(),
        because: replayed.because.map(Inexact::name),
        same: replayed.differences.as_ref().map(Vec::is_empty),
        differences: replayed.differences.into_iter().flatten().map(DifferenceItem::from).collect(),
    };
    response::plain(StatusCode::OK, &answer)
}
