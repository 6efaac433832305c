//! `/api/v1/tenants/{tenantId}/derived-fields`: CEL over facts and other derived fields.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rule_bodies::check_description;
use crate::{
    domain::{Author, Change, ChangeOptions, DerivedField, DerivedFieldDraft, DerivedFieldId, DerivedFieldPatch},
    engine::Changed,
    http::door::{
        AppState, Error,
        auth::By,
        body::{Body, Document},
        path::{DerivedFieldPath, TenantPath, derived_field_not_found},
        precondition::IfMatch,
        query::{BreakQuery, PageQuery, Query},
        response::{self, Revised, RevisedList},
    },
    json::present,
    ruleset::{Applied, ChangeOutcome},
    store::PageRequest,
};

/// A derived field to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct DerivedFieldBody {
    /// Its name: an identifier, unique within its tenant.
    #[schema(min_length = 1, max_length = 100, example = "is_adult")]
    name: String,
    /// CEL of any type.
    #[schema(min_length = 1, max_length = 4096, example = "facts.age >= 18")]
    expression: String,
    /// What it is for.
    #[schema(max_length = 4000)]
    description: Option<String>,
}

/// The parts of a derived field to change; what is omitted stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct DerivedFieldPatchBody {
    /// A new name.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// A new expression.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 4096)]
    expression: Option<String>,
    /// A new description; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 4000)]
    description: Option<Option<String>>,
    /// Whether it can be used.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    active: Option<bool>,
}

impl Document for DerivedFieldBody {}
impl Document for DerivedFieldPatchBody {}

impl DerivedFieldBody {
    fn draft(self) -> Result<DerivedFieldDraft, Error> {
        check_description(self.description.as_deref(), "description").map_err(Error::invalid_one)?;
        Ok(DerivedFieldDraft { name: self.name, expression: self.expression, description: self.description })
    }
}

impl DerivedFieldPatchBody {
    fn patch(self) -> Result<DerivedFieldPatch, Error> {
        let description = self.description.as_ref().and_then(|description| description.as_deref());
        check_description(description, "description").map_err(Error::invalid_one)?;
        Ok(DerivedFieldPatch {
            name: self.name,
            expression: self.expression,
            description: self.description,
            active: self.active,
        })
    }
}

/// A derived field as stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DerivedField)]
#[serde(rename_all = "camelCase")]
pub struct DerivedFieldItem {
    /// Its id.
    id: DerivedFieldId,
    /// Its name: an identifier, unique within its tenant.
    name: String,
    /// CEL of any type.
    expression: String,
    /// What it is for.
    description: Option<String>,
    /// Its type as the checker inferred it when it was last compiled.
    #[serde(rename = "type")]
    value_type: String,
    /// The derived fields (`derived.x`) and facts (`facts.y`) that it reads, sorted.
    dependencies: Vec<String>,
    /// Whether it can be used; one that a schema change broke is kept and deactivated.
    active: bool,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

impl From<DerivedField> for DerivedFieldItem {
    fn from(field: DerivedField) -> Self {
        let DerivedField { id, name, expression, description, value_type, dependencies, .. } = field;
        let DerivedField { active, created_at, updated_at, .. } = field;
        Self { id, name, expression, description, value_type, dependencies, active, created_at, updated_at }
    }
}

/// The derived field that a change was about.
fn written(changed: Changed, id: DerivedFieldId) -> Result<Revised<DerivedFieldItem>, Error> {
    let field = changed.applied.after.derived_fields.into_iter().find(|field| field.id == id);
    let field = field.ok_or_else(derived_field_not_found)?;
    let Applied { deactivated, warnings, .. } = changed.applied;
    Ok(Revised::written(field.into(), changed.revision, deactivated, warnings))
}

/// Creates a derived field.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/derived-fields", tag = "derived fields",
    operation_id = "createDerivedField", request_body = DerivedFieldBody,
    responses((status = 201, description = "The derived field.", body = Revised<DerivedFieldItem>))
)]
pub async fn create(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<DerivedFieldBody>,
) -> Result<HttpResponse, Error> {
    let options = ChangeOptions { if_match, author, ..ChangeOptions::default() };
    let changed = state.engine.change(tenant, Change::CreateDerivedField(body.draft()?), options).await?;
    let ChangeOutcome::DerivedField(id) = changed.applied.outcome else { return Err(derived_field_not_found()) };
    let field = written(changed, id)?;
    response::created(format!("/api/v1/tenants/{tenant}/derived-fields/{id}"), field.revision, &field)
}

/// Lists derived fields in creation order.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/derived-fields", tag = "derived fields",
    operation_id = "listDerivedFields", params(PageQuery),
    responses((status = 200, description = "A page of derived fields.", body = RevisedList<DerivedFieldItem>))
)]
pub async fn list(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query(page): Query<PageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let page = state.store.derived_fields(tenant, &PageRequest::from(page)).await?;
    response::tenant_list(&request, page, DerivedFieldItem::from)
}

/// Shows a derived field.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/derived-fields/{fieldId}", tag = "derived fields",
    operation_id = "getDerivedField",
    responses((status = 200, description = "The derived field.", body = Revised<DerivedFieldItem>))
)]
pub async fn show(
    state: Data<AppState>,
    DerivedFieldPath(tenant, id): DerivedFieldPath,
    _: Query<()>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (tenant, field) = state.store.derived_field(tenant, id).await?.ok_or_else(Error::tenant_not_found)?;
    let field = field.ok_or_else(derived_field_not_found)?;
    response::found(&request, tenant.revision, &Revised::read(DerivedFieldItem::from(field), tenant.revision))
}

/// Changes parts of a derived field.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenantId}/derived-fields/{fieldId}", tag = "derived fields",
    operation_id = "changeDerivedField", params(BreakQuery), request_body = DerivedFieldPatchBody,
    responses((status = 200, description = "The derived field.", body = Revised<DerivedFieldItem>))
)]
pub async fn change(
    By(author): By,
    state: Data<AppState>,
    DerivedFieldPath(tenant, id): DerivedFieldPath,
    Query(query): Query<BreakQuery>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<DerivedFieldPatchBody>,
) -> Result<HttpResponse, Error> {
    let options = options(author, if_match, &query);
    let change = Change::PatchDerivedField(id, body.patch()?);
    let field = written(state.engine.change(tenant, change, options).await?, id)?;
    response::ok(field.revision, &field)
}

/// Deletes a derived field.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenantId}/derived-fields/{fieldId}", tag = "derived fields",
    operation_id = "deleteDerivedField", params(BreakQuery),
    responses((status = 204, description = "The derived field is gone."))
)]
pub async fn delete(
    By(author): By,
    state: Data<AppState>,
    DerivedFieldPath(tenant, id): DerivedFieldPath,
    Query(query): Query<BreakQuery>,
    IfMatch(if_match): IfMatch,
) -> Result<HttpResponse, Error> {
    let options = options(author, if_match, &query);
    let changed = state.engine.change(tenant, Change::DeleteDerivedField(id), options).await?;
    Ok(response::deleted(changed.revision))
}

fn options(author: Author, if_match: crate::domain::AtRevision, query: &BreakQuery) -> ChangeOptions {
    ChangeOptions { if_match, on_broken: query.on_broken, author, ..ChangeOptions::default() }
}
