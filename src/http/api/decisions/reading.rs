//! Listing and looking up decisions.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::found::{DecisionQuery, Search, kept};
use crate::{
    config::limits,
    domain::{DecisionSource, EventId, Revision, RuleId, SchemaVersion, TenantScope},
    http::door::{
        AppState, Error,
        path::{DecisionPath, TenantPath, decision_not_found},
        query::{Given, PageQuery, Parameters, Query},
        response,
    },
    store::{DecisionOrder, LeftOut, PageRequest, StoredDecision},
};

/// What cursors of this list say that they are of.
const LIST: &str = "decisions";

/// A decision in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionItem {
    /// Its id; of an event's decision, the event's.
    id: Uuid,
    /// `event` or `evaluate`.
    #[schema(example = "evaluate")]
    source: &'static str,
    /// The type of the event.
    #[schema(required = true)]
    r#type: Option<String>,
    /// The revision that decided.
    revision: Revision,
    /// When it was decided.
    decided_at: DateTime<Utc>,
    /// Ids of the rules that matched.
    matched_rules: Vec<RuleId>,
    /// How many rules ended with an error.
    errors: usize,
    /// How long it took, in microseconds.
    micros: i64,
}

/// A page of decisions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionPage {
    /// The decisions, newest first.
    items: Vec<DecisionItem>,
    /// Where the next page begins; `null` if there is none.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// How many decisions were looked at.
    scanned: usize,
    /// Whether the page has as many items as it may, or all there are. If not, looking took too long: go on with
    /// `nextCursor`.
    complete: bool,
}

/// A decision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// Its id; of an event's decision, the event's.
    id: Uuid,
    /// `event` or `evaluate`.
    #[schema(example = "evaluate")]
    source: &'static str,
    /// The event.
    #[schema(required = true)]
    event_id: Option<EventId>,
    /// The type of the event.
    #[schema(required = true)]
    r#type: Option<String>,
    /// The id of the request that asked.
    #[schema(required = true)]
    request_id: Option<String>,
    /// The revision that decided.
    revision: Revision,
    /// The schema version that decided.
    schema_version: SchemaVersion,
    /// SHA-256 of the rule set that decided, in hexadecimal; `null` for decisions made before it was stored.
    #[schema(required = true)]
    rule_set_hash: Option<String>,
    /// Its facts; `null` if they are not stored. Sensitive values of an event are masked; those of an evaluation are
    /// not stored.
    #[schema(required = true)]
    facts: Option<Value>,
    /// Why facts are missing: `sensitive`, `too_large` or `not_kept`.
    #[schema(required = true)]
    facts_left_out: Option<&'static str>,
    /// Which rules were asked for; `null`: all that were active.
    #[schema(required = true, value_type = Option<Object>)]
    selection: Option<Value>,
    /// The rules that matched or ended with an error.
    results: Vec<DecisionResult>,
    /// The time of the decision, which rules read as `now`.
    evaluated_at: DateTime<Utc>,
    /// When it was decided.
    decided_at: DateTime<Utc>,
    /// How long it took, in microseconds.
    micros: i64,
    /// Units of cost that it took.
    cost: i64,
}

/// What came of a rule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionResult {
    /// The rule.
    rule_id: RuleId,
    /// Its name at that revision, if that is still known.
    #[schema(required = true)]
    rule_name: Option<String>,
    /// Whether it matched.
    matched: bool,
    /// The error that it ended with.
    #[schema(required = true)]
    error: Option<DecisionError>,
}

/// An error of a rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DecisionError {
    /// Its stable name.
    code: String,
    /// What happened.
    message: String,
}

impl Parameters for (DecisionQuery, PageQuery) {
    fn take(given: &mut Given) -> Self {
        (DecisionQuery::take(given), PageQuery::take(given))
    }
}

impl From<StoredDecision> for DecisionItem {
    fn from(row: StoredDecision) -> Self {
        Self {
            errors: row.error_count(),
            id: row.id,
            source: row.source.name(),
            r#type: row.kind,
            revision: row.revision,
            decided_at: row.decided_at,
            matched_rules: row.matched,
            micros: row.micros,
        }
    }
}

/// Lists a tenant's decisions, the newest first: those of events, and evaluations that were recorded.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/decisions", tag = "decisions", operation_id = "listDecisions",
    params(DecisionQuery, PageQuery),
    responses((status = 200, description = "A page of decisions.", body = DecisionPage))
)]
pub async fn list(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query((query, page)): Query<(DecisionQuery, PageQuery)>,
) -> Result<HttpResponse, Error> {
    let page = PageRequest::from(page);
    let before: Option<Uuid> = page.after(LIST)?;
    let search = Search::of(&state, tenant, query).await?;
    let limit = usize::try_from(page.limit.clamp(1, limits::PAGE_SIZE_MAX)).unwrap_or(1);
    // One more than asked for tells whether there is another page.
    let mut batch = search.next(&state, DecisionOrder::NewestFirst(before), limit + 1).await?;
    let has_more = batch.rows.len() > limit;
    batch.rows.truncate(limit);
    let next = if has_more { batch.rows.last().map(|row| row.id) } else { batch.up_to };
    let answer = DecisionPage {
        items: batch.rows.into_iter().map(DecisionItem::from).collect(),
        next_cursor: next.and_then(|id| PageRequest::cursor_at(LIST, &id)),
        scanned: batch.scanned,
        complete: !batch.is_cut,
    };
    response::plain(StatusCode::OK, &answer)
}

/// Shows a decision.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/decisions/{decisionId}", tag = "decisions", operation_id = "getDecision",
    responses((status = 200, description = "The decision.", body = DecisionRecord))
)]
pub async fn show(
    state: Data<AppState>,
    DecisionPath(tenant, id): DecisionPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    let decision = find(&state, tenant, id).await?;
    let mut facts = decision.facts.as_deref().map(|text| serde_json::from_str(text).unwrap_or_default());
    match (state.engine.deciding(tenant, None).await, &mut facts) {
        (Ok(served), Some(facts)) => served.set.mask_facts(facts),
        // Without the schema it is not known what may be shown.
        (Err(_), facts) => *facts = None,
        (Ok(_), None) => {}
    }
    let results = results(&state, tenant, &decision).await?;
    let answer = DecisionRecord {
        id: decision.id,
        source: decision.source.name(),
        event_id: (decision.source == DecisionSource::Event).then_some(EventId(decision.id)),
        r#type: decision.kind,
        request_id: decision.request_id,
        revision: decision.revision,
        schema_version: decision.schema_version,
        rule_set_hash: decision.rule_set_hash.map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect()),
        facts,
        facts_left_out: decision.left_out.map(LeftOut::name),
        selection: decision.selection,
        results,
        evaluated_at: decision.evaluated_at,
        decided_at: decision.decided_at,
        micros: decision.micros,
        cost: decision.cost,
    };
    response::plain(StatusCode::OK, &answer)
}

/// A decision that is kept: 404 if there is none.
pub(super) async fn find(state: &AppState, scope: TenantScope, id: Uuid) -> Result<StoredDecision, Error> {
    let kept = kept(state, scope).await?;
    let decision = state.store.decision(scope, id).await?.ok_or_else(decision_not_found)?;
    let retention = match decision.source {
        DecisionSource::Event => kept.of_events,
        DecisionSource::Evaluate => kept.of_evaluations,
    };
    let is_kept = EventId(id).received_at() >= Utc::now() - retention;
    if is_kept { Ok(decision) } else { Err(decision_not_found()) }
}

/// The rules of which there is something to tell, in the order of their ids.
async fn results(
    state: &AppState,
    scope: TenantScope,
    decision: &StoredDecision,
) -> Result<Vec<DecisionResult>, Error> {
    let mut told: Vec<(RuleId, bool, Option<DecisionError>)> =
        decision.matched.iter().map(|rule| (*rule, true, None)).collect();
    for error in decision.errors.as_array().into_iter().flatten() {
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let Ok(rule) = text("ruleId").parse() else { continue };
        let error = DecisionError { code: text("code").to_owned(), message: text("message").to_owned() };
        told.push((rule, false, Some(error)));
    }
    told.sort_by_key(|(rule, ..)| *rule);
    let rules: Vec<RuleId> = told.iter().map(|(rule, ..)| *rule).collect();
    let names = state.store.rule_names_at(scope, decision.revision, &rules).await?;
    let name = |rule: RuleId| names.iter().find(|(of, _)| *of == rule).map(|(_, name)| name.clone());
    let result = |(rule_id, matched, error)| DecisionResult { rule_id, rule_name: name(rule_id), matched, error };
    Ok(told.into_iter().map(result).collect())
}
