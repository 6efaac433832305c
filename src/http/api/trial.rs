//! `POST /api/v1/tenants/{tenantId}/rules/try`: what an expression that is not stored gives on a few sets of facts.

use actix_web::{
    HttpResponse,
    web::{Bytes, Data},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    decision::{ResultError, TraceItem},
    item::{BatchItem, ItemRefusal},
    options::unknown_facts,
};
use crate::{
    cel::TraceEntry,
    config::limits::{DECISION_COST_MAX, TRIAL_ITEMS_MAX},
    domain::{Quota, Revision},
    engine::{self, Ask, Attempt, Served, Submission, Work},
    error::Detail,
    http::door::{AppState, Error, body::RawBody, path::TenantPath, problem::ErrorDetail, query::Query, response},
    json,
    ruleset::{Evaluated, Expression, RuleError},
};

/// What a value is shown as that comes from a sensitive fact.
const SENSITIVE: &str = "(sensitive)";
/// Levels of the body above the facts of an item: the body, its list, the item.
const ITEM_DEPTH: usize = 3;

/// An expression to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct TrialBody<'a> {
    /// CEL, of any type.
    #[schema(min_length = 1, max_length = 4096, example = "facts.age >= 18")]
    expression: String,
    /// The sets of facts to try it on.
    #[serde(borrow)]
    #[schema(value_type = Vec<BatchItem>, min_items = 1, max_items = 20)]
    items: Vec<&'a RawValue>,
    /// Whether facts that the schema does not declare are an error; as the tenant's setting says if it is omitted.
    strict_facts: Option<bool>,
}

/// The results of an expression on sets of facts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrialAnswer {
    /// The type of the expression.
    #[serde(rename = "type")]
    #[schema(example = "bool")]
    value_type: String,
    /// The tenant's revision that it was compiled and evaluated with.
    revision: Revision,
    /// One for each item, in order.
    #[schema(value_type = Vec<TrialItem>)]
    items: Vec<Tried>,
}

/// The result of an expression on an item, or `error` alone if the item cannot be read.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct TrialItem {
    /// Its value; `null` if it ended with an error, and `"(sensitive)"` if it comes from a sensitive fact.
    #[schema(value_type = Option<serde_json::Value>)]
    value: Option<serde_json::Value>,
    /// Whether a rule with this expression would match; `null` if the expression is not a `bool`.
    matched: Option<bool>,
    /// The error that it ended with, or `null`.
    #[schema(required = true)]
    error: Option<TrialError>,
    /// The value of each sub-expression.
    #[schema(nullable = false)]
    trace: Option<Vec<TraceItem>>,
    /// Units of cost that the value took.
    #[schema(nullable = false, example = 3)]
    cost_units: Option<u64>,
    /// Facts that the schema does not declare.
    #[schema(nullable = false)]
    warnings: Option<Vec<ErrorDetail>>,
}

/// Why an expression has no value, or why an item cannot be read.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct TrialError {
    /// What a rule would end with.
    #[serde(flatten)]
    rule: ResultError,
    /// Each thing that is wrong with an item that cannot be read.
    #[schema(nullable = false)]
    errors: Option<Vec<ErrorDetail>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Tried {
    #[serde(rename_all = "camelCase")]
    Evaluated {
        value: serde_json::Value,
        matched: Option<bool>,
        error: Option<RuleError>,
        trace: Vec<TraceEntry>,
        cost_units: u64,
        warnings: Vec<Detail>,
    },
    Refused {
        error: ItemRefusal,
    },
}

/// Evaluates an expression that is not stored on 1 to 20 sets of facts, and changes nothing.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/rules/try", tag = "rules", operation_id = "tryRule",
    request_body = TrialBody, responses((status = 200, description = "The results.", body = TrialAnswer))
)]
pub async fn attempt(
    api: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    RawBody(text): RawBody,
) -> Result<HttpResponse, Error> {
    let body: TrialBody = json::envelope(&text, "")?;
    if !(1..=TRIAL_ITEMS_MAX).contains(&body.items.len()) {
        let message = format!("an expression is tried on 1 to {TRIAL_ITEMS_MAX} items, not on {}", body.items.len());
        let code = if body.items.is_empty() { "too_few" } else { "too_many" };
        return Err(Error::invalid_one(Detail::new(code, message).at("items")));
    }
    let served = api.engine.rule_set(tenant, None).await?;
    if served.set.schema_version().is_none() {
        return Err(engine::Error::SchemaMissing.into());
    }
    served.allows(Quota::RequestBytes, text.len())?;
    let at_expression = |details: Vec<Detail>| details.into_iter().map(|detail| detail.at("expression")).collect();
    let compiled = served.set.compile_expression(&body.expression);
    let expression = compiled.map_err(|details| Error::invalid(at_expression(details)))?;
    let unknown = body.strict_facts.map(unknown_facts);
    // All items are evaluated at one time.
    let ask = Ask { unknown, at: Some(Ask::default().time()), ..Ask::default() };
    let texts: Vec<Bytes> = body.items.iter().map(|item| text.slice_ref(item.get().as_bytes())).collect();
    let (revision, value_type) = (served.set.revision(), expression.value_type());
    let of = served.clone();
    let try_all = move || {
        let mut budget = DECISION_COST_MAX;
        texts.iter().map(|item| on_item(&of, &expression, &ask, item, &mut budget)).collect()
    };
    let items = api.engine.in_turn(served.set.tenant(), Work::Request, try_all).await?;
    response::ok(revision, &TrialAnswer { value_type, revision, items })
}

fn on_item(served: &Served, expression: &Expression, ask: &Ask, item: &[u8], budget: &mut u64) -> Tried {
    engine::give_way();
    let attempt = json::envelope::<BatchItem>(item, "").map_err(Error::from).and_then(|read| {
        let submission = Submission { facts: read.facts(), bytes: item.len(), depth: ITEM_DEPTH };
        Ok(served.attempt(expression, ask, submission, budget)?)
    });
    match attempt {
        Ok(attempt) => tried(expression, attempt),
        Err(error) => Tried::Refused { error: error.into() },
    }
}

fn tried(expression: &Expression, Attempt { evaluated, warnings }: Attempt) -> Tried {
    let Evaluated { value, value_type, trace, cost } = evaluated;
    let (value, error) = match value {
        Ok(value) => (value, None),
        Err(error) => (serde_json::Value::Null, Some(error.into())),
    };
    let matched = value.as_bool().or_else(|| (value_type == "bool").then_some(false));
    let is_masked = error.is_none() && expression.is_sensitive();
    let value = if is_masked { SENSITIVE.into() } else { value };
    Tried::Evaluated { value, matched, error, trace, cost_units: cost, warnings }
}
