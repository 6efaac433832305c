//! `/api/v1/tenants/{tenantId}/rules`: boolean CEL expressions with a name.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::rule_bodies::{ExpressionBody, RuleBody, RuleListBody, RulePatchBody};
use crate::{
    domain::{Author, Change, ChangeOptions, Name, Revision, Rule, RuleId},
    engine::{self, Changed},
    error::{Detail, Span},
    http::door::{
        AppState, Error,
        auth::By,
        body::Body,
        path::{RulePath, TenantPath, rule_not_found},
        precondition::IfMatch,
        problem::ErrorDetail,
        query::{Given, PageQuery, Parameters, Query},
        response::{self, Revised, RevisedList},
    },
    ruleset::{Applied, ChangeOutcome, Cost},
    store::{PageRequest, RuleFilter},
};

/// Which rules.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct RuleQuery {
    /// Only active rules, or only inactive ones; both if it is omitted.
    active: Option<bool>,
    /// Only those with this tag.
    tag: Option<String>,
    /// Only those whose name begins with this text.
    name_prefix: Option<String>,
}

impl Parameters for (RuleQuery, PageQuery) {
    fn take(given: &mut Given) -> Self {
        let filter =
            RuleQuery { active: given.flag("active"), tag: given.text("tag"), name_prefix: given.text("namePrefix") };
        (filter, PageQuery::take(given))
    }
}

/// A rule as stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rule)]
#[serde(rename_all = "camelCase")]
pub struct RuleItem {
    /// Its id.
    id: RuleId,
    /// Its name, unique within its tenant.
    name: Name,
    /// CEL, of type `bool`.
    expression: String,
    /// What it is for.
    description: Option<String>,
    /// Words to select rules by.
    tags: Vec<String>,
    /// Whether it is evaluated.
    active: bool,
    /// When it was made; rules are listed and evaluated in this order, then by id.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

impl From<Rule> for RuleItem {
    fn from(rule: Rule) -> Self {
        let Rule { id, name, expression, description, tags, active, created_at, updated_at } = rule;
        Self { id, name, expression, description, tags, active, created_at, updated_at }
    }
}

/// All rules of a tenant, after they were replaced.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacedRules {
    /// The rules.
    #[serde(flatten)]
    rules: RevisedList<RuleItem>,
    /// What is worth knowing of those that were changed, if anything is; paths are those of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<ErrorDetail>)]
    warnings: Vec<Detail>,
}

/// The result of checking an expression.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpressionCheck {
    /// Whether a rule could have it.
    valid: bool,
    /// Its type, if it has one.
    #[serde(rename = "type")]
    #[schema(required = true, example = "bool")]
    value_type: Option<String>,
    /// What it reads.
    #[schema(example = json!(["facts.age"]))]
    dependencies: Vec<String>,
    /// What it costs at worst, if it compiles.
    #[schema(required = true)]
    cost: Option<ExpressionCost>,
    /// Everything that is wrong with it.
    #[schema(value_type = Vec<ErrorDetail>)]
    errors: Vec<Detail>,
    /// What is worth knowing of it, and does not keep a rule from having it.
    #[schema(value_type = Vec<ErrorDetail>)]
    warnings: Vec<Detail>,
    /// The tenant's revision that it was checked against.
    revision: Revision,
}

/// What an expression costs at worst, if facts keep to the bounds of the schema.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpressionCost {
    /// Units of cost, those of the derived fields that it reads among them.
    #[schema(example = 3)]
    units: u64,
    /// Units that it may cost.
    #[schema(example = 1_000_000)]
    limit: u64,
    /// The part that costs most.
    #[schema(example = "facts.age >= 18")]
    text: String,
    /// Line of that part, from 1.
    line: u32,
    /// Column of that part, from 1, in characters.
    column: u32,
    /// Line of the first character behind it.
    end_line: u32,
    /// Column of the first character behind it.
    end_column: u32,
}

impl From<Cost> for ExpressionCost {
    fn from(cost: Cost) -> Self {
        let Cost { units, limit, span, text } = cost;
        let Span { line, column, end_line, end_column } = span;
        Self { units, limit, text, line, column, end_line, end_column }
    }
}

fn options(author: Author, IfMatch(if_match): IfMatch) -> ChangeOptions {
    ChangeOptions { if_match, author, ..ChangeOptions::default() }
}

/// The rule that a change was about.
fn written(changed: Changed, id: RuleId) -> Result<Revised<RuleItem>, Error> {
    let Applied { after, deactivated, warnings, .. } = changed.applied;
    let rule = after.rules.into_iter().find(|rule| rule.id == id).ok_or_else(rule_not_found)?;
    Ok(Revised::written(rule.into(), changed.revision, deactivated, warnings))
}

/// Creates a rule.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/rules", tag = "rules", operation_id = "createRule",
    request_body = RuleBody, responses((status = 201, description = "The rule.", body = Revised<RuleItem>))
)]
pub async fn create(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    if_match: IfMatch,
    Body(body): Body<RuleBody>,
) -> Result<HttpResponse, Error> {
    let draft = body.draft("").map_err(Error::invalid)?;
    let changed = state.engine.change(tenant, Change::CreateRule(draft), options(author, if_match)).await?;
    let ChangeOutcome::Rule(id) = changed.applied.outcome else { return Err(rule_not_found()) };
    let rule = written(changed, id)?;
    response::created(format!("/api/v1/tenants/{tenant}/rules/{id}"), rule.revision, &rule)
}

/// Lists rules in creation order.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/rules", tag = "rules", operation_id = "listRules",
    params(RuleQuery, PageQuery), responses((status = 200, description = "A page of rules.", body = RevisedList<RuleItem>))
)]
pub async fn list(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query((filter, page)): Query<(RuleQuery, PageQuery)>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let filter = RuleFilter { active: filter.active, tag: filter.tag, name_prefix: filter.name_prefix };
    let page = state.store.rules(tenant, &filter, &PageRequest::from(page)).await?;
    response::tenant_list(&request, page, RuleItem::from)
}

/// Replaces the whole list of rules in one change.
///
/// A rule whose name exists already keeps its id and its place in the order of creation; new rules follow in the order of
/// the list. The answer lists the rules in the resulting order.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenantId}/rules", tag = "rules", operation_id = "replaceRules",
    request_body = RuleListBody, responses((status = 200, description = "All rules.", body = ReplacedRules))
)]
pub async fn replace_all(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    if_match: IfMatch,
    Body(body): Body<RuleListBody>,
) -> Result<HttpResponse, Error> {
    let drafts = body.drafts().map_err(Error::invalid)?;
    let changed = state.engine.change(tenant, Change::ReplaceRules(drafts), options(author, if_match)).await?;
    let Applied { after, warnings, .. } = changed.applied;
    let items: Vec<_> = after.rules.into_iter().map(RuleItem::from).collect();
    let revision = changed.revision;
    response::ok(revision, &ReplacedRules { rules: RevisedList { items, next_cursor: None, revision }, warnings })
}

/// Shows a rule.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/rules/{ruleId}", tag = "rules", operation_id = "getRule",
    responses((status = 200, description = "The rule.", body = Revised<RuleItem>))
)]
pub async fn show(
    state: Data<AppState>,
    RulePath(tenant, id): RulePath,
    _: Query<()>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (tenant, rule) = state.store.rule(tenant, id).await?.ok_or_else(Error::tenant_not_found)?;
    let rule = rule.ok_or_else(rule_not_found)?;
    response::found(&request, tenant.revision, &Revised::read(RuleItem::from(rule), tenant.revision))
}

/// Replaces a rule; what is omitted takes its default.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenantId}/rules/{ruleId}", tag = "rules", operation_id = "replaceRule",
    request_body = RuleBody, responses((status = 200, description = "The rule.", body = Revised<RuleItem>))
)]
pub async fn replace(
    By(author): By,
    state: Data<AppState>,
    RulePath(tenant, id): RulePath,
    _: Query<()>,
    if_match: IfMatch,
    Body(body): Body<RuleBody>,
) -> Result<HttpResponse, Error> {
    let draft = body.draft("").map_err(Error::invalid)?;
    let change = Change::ReplaceRule(id, draft);
    let rule = written(state.engine.change(tenant, change, options(author, if_match)).await?, id)?;
    response::ok(rule.revision, &rule)
}

/// Changes parts of a rule.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenantId}/rules/{ruleId}", tag = "rules", operation_id = "changeRule",
    request_body = RulePatchBody, responses((status = 200, description = "The rule.", body = Revised<RuleItem>))
)]
pub async fn change(
    By(author): By,
    state: Data<AppState>,
    RulePath(tenant, id): RulePath,
    _: Query<()>,
    if_match: IfMatch,
    Body(body): Body<RulePatchBody>,
) -> Result<HttpResponse, Error> {
    let change = Change::PatchRule(id, body.patch().map_err(Error::invalid)?);
    let rule = written(state.engine.change(tenant, change, options(author, if_match)).await?, id)?;
    response::ok(rule.revision, &rule)
}

/// Deletes a rule.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenantId}/rules/{ruleId}", tag = "rules", operation_id = "deleteRule",
    responses((status = 204, description = "The rule is gone."))
)]
pub async fn delete(
    By(author): By,
    state: Data<AppState>,
    RulePath(tenant, id): RulePath,
    _: Query<()>,
    if_match: IfMatch,
) -> Result<HttpResponse, Error> {
    let changed = state.engine.change(tenant, Change::DeleteRule(id), options(author, if_match)).await?;
    Ok(response::deleted(changed.revision))
}

/// Checks an expression, and changes nothing.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/rules/check", tag = "rules", operation_id = "checkRule",
    request_body = ExpressionBody,
    responses((status = 200, description = "The result of the check.", body = ExpressionCheck))
)]
pub async fn check(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    Body(body): Body<ExpressionBody>,
) -> Result<HttpResponse, Error> {
    let served = state.engine.rule_set(tenant, None).await?;
    if served.set.schema_version().is_none() {
        return Err(engine::Error::SchemaMissing.into());
    }
    let report = served.set.check_rule(&body.expression);
    let revision = served.set.revision();
    response::ok(
        revision,
        &ExpressionCheck {
            valid: report.details.is_empty(),
            value_type: report.value_type,
            dependencies: report.dependencies,
            cost: report.cost.map(ExpressionCost::from),
            errors: report.details,
            warnings: report.warnings,
            revision,
        },
    )
}
