//! `/api/v1/tenants/{tenantId}/schema`: the shape of a tenant's facts, its versions and its changelog.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    domain::{Author, Change, ChangeOptions, Revision, Schema, SchemaDefinition, SchemaVersion, TenantScope},
    engine::{Changed, Checked},
    error::{Detail, Subject},
    http::door::{
        AppState, Error,
        auth::By,
        body::{Body, Document},
        path::{SchemaVersionPath, TenantPath, schema_version_not_found},
        precondition::IfMatch,
        problem::{ErrorDetail, ErrorSubject},
        query::{PageQuery, Query, SchemaChangeQuery},
        response::{self, BrokenItem, Revised, RevisedList},
    },
    store::{ChangelogLine, PageRequest},
};

/// A schema to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct SchemaBody {
    /// Objects of fields. A field is the name of a type, or an object with further keys.
    #[schema(value_type = Object, example = json!({"facts": {"age": "int", "country": "string"}}))]
    definition: Value,
}

impl Document for SchemaBody {}

/// A version of a schema.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaItem {
    /// Its number.
    version: SchemaVersion,
    /// The definition, as it was written.
    #[schema(value_type = Object)]
    definition: Value,
    /// Whether it is the one in use.
    active: bool,
    /// When it was created.
    created_at: DateTime<Utc>,
}

/// The schema in use after a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaChanged {
    /// The schema.
    #[serde(flatten)]
    schema: SchemaItem,
    /// Rules and derived fields that earlier changes of the schema deactivated, and this one activated again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<ErrorSubject>)]
    reactivated: Vec<Subject>,
    /// Rules and derived fields that earlier changes of the schema deactivated, that nobody has changed since, and that
    /// are still inactive. `reactivate=true` activates them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<ErrorSubject>)]
    inactive: Vec<Subject>,
}

/// A line of the changelog.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangelogItem {
    /// Its id.
    id: uuid::Uuid,
    /// What was done.
    #[schema(example = "update")]
    action: String,
    /// The version in use before, if there was one.
    #[schema(required = true)]
    from_version: Option<SchemaVersion>,
    /// The version in use afterwards.
    to_version: SchemaVersion,
    /// Who did it.
    actor: String,
    /// When.
    changed_at: DateTime<Utc>,
    /// Rules and derived fields compiled again.
    rules_recompiled: i32,
    /// Of these, how many were deactivated.
    rules_failed: i32,
    /// What was deactivated, and why.
    details: Value,
}

/// The effect that a schema would have.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaCheck {
    /// Whether a PUT without parameters would be accepted.
    valid: bool,
    /// What is wrong with the schema itself.
    #[schema(value_type = Vec<ErrorDetail>)]
    errors: Vec<Detail>,
    /// What it would break.
    breaks: Vec<BrokenItem>,
    /// Whether callers that send their facts flat would be misread.
    breaks_flat_callers: bool,
    /// Whether callers that send their facts under the name of the object would be misread.
    breaks_named_callers: bool,
    /// What would be accepted, and is worth knowing.
    #[schema(value_type = Vec<ErrorDetail>)]
    warnings: Vec<Detail>,
    /// Rules and derived fields that earlier changes of the schema deactivated, and that stay inactive unless it is
    /// written with `reactivate=true`.
    #[schema(value_type = Vec<ErrorSubject>)]
    inactive: Vec<Subject>,
    /// The tenant's revision that was looked at.
    revision: Revision,
}

impl From<Schema> for SchemaItem {
    fn from(schema: Schema) -> Self {
        Self {
            version: schema.version,
            definition: schema.definition.json().clone(),
            active: schema.active,
            created_at: schema.created_at,
        }
    }
}

impl From<ChangelogLine> for ChangelogItem {
    fn from(line: ChangelogLine) -> Self {
        Self {
            id: line.id,
            action: line.action,
            from_version: line.from_version,
            to_version: line.to_version,
            actor: line.actor,
            changed_at: line.changed_at,
            rules_recompiled: line.rules_recompiled,
            rules_failed: line.rules_failed,
            details: line.details,
        }
    }
}

fn options(author: Author, if_match: IfMatch, query: &SchemaChangeQuery) -> ChangeOptions {
    ChangeOptions {
        if_match: if_match.0,
        on_broken: query.on_broken,
        accept_breaking: query.accept_breaking,
        reactivate: query.reactivate,
        author,
        ..ChangeOptions::default()
    }
}

fn missing() -> Error {
    Error::not_found("schema_not_found", "schema yet; make one with POST or PUT")
}

/// The schema in use after a change.
fn written(changed: Changed) -> Result<Revised<SchemaChanged>, Error> {
    let Changed { applied, revision, .. } = changed;
    let schema = applied.after.schema.ok_or_else(missing)?.into();
    let resource = SchemaChanged { schema, reactivated: applied.reactivated, inactive: applied.inactive };
    Ok(Revised::written(resource, revision, applied.deactivated, applied.warnings))
}

/// Creates a tenant's first schema.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/schema", tag = "schema", operation_id = "createSchema",
    request_body = SchemaBody, responses((status = 201, description = "The schema.", body = Revised<SchemaChanged>))
)]
pub async fn create(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<SchemaBody>,
) -> Result<HttpResponse, Error> {
    let definition = SchemaDefinition::parse(&body.definition).map_err(Error::invalid)?;
    let options = ChangeOptions { if_match, author, ..ChangeOptions::default() };
    let changed = state.engine.change(tenant, Change::CreateSchema(definition), options).await?;
    let schema = written(changed)?;
    let location = format!("/api/v1/tenants/{tenant}/schema/versions/{}", schema.resource.schema.version);
    response::created(location, schema.revision, &schema)
}

/// Creates the next version of a tenant's schema, or the first. A definition equal to the one in use changes nothing.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenantId}/schema", tag = "schema", operation_id = "putSchema",
    params(SchemaChangeQuery), request_body = SchemaBody,
    responses((status = 200, description = "The schema.", body = Revised<SchemaChanged>))
)]
pub async fn put(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query(query): Query<SchemaChangeQuery>,
    if_match: IfMatch,
    Body(body): Body<SchemaBody>,
) -> Result<HttpResponse, Error> {
    let definition = SchemaDefinition::parse(&body.definition).map_err(Error::invalid)?;
    let options = options(author, if_match, &query);
    let schema = written(state.engine.change(tenant, Change::PutSchema(definition), options).await?)?;
    response::ok(schema.revision, &schema)
}

/// Shows the schema in use.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/schema", tag = "schema", operation_id = "getSchema",
    responses((status = 200, description = "The schema.", body = Revised<SchemaItem>))
)]
pub async fn show(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (tenant, schema) = state.store.schema(tenant).await?.ok_or_else(Error::tenant_not_found)?;
    let schema = SchemaItem::from(schema.ok_or_else(missing)?);
    response::found(&request, tenant.revision, &Revised::read(schema, tenant.revision))
}

/// Lists the versions of a schema, newest first.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/schema/versions", tag = "schema", operation_id = "listSchemaVersions",
    params(PageQuery), responses((status = 200, description = "A page of versions.", body = RevisedList<SchemaItem>))
)]
pub async fn versions(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query(page): Query<PageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let page = state.store.schema_versions(tenant, &PageRequest::from(page)).await?;
    response::tenant_list(&request, page, SchemaItem::from)
}

/// Shows a version of a schema.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/schema/versions/{version}", tag = "schema",
    operation_id = "getSchemaVersion",
    responses((status = 200, description = "The version.", body = Revised<SchemaItem>))
)]
pub async fn version(
    state: Data<AppState>,
    SchemaVersionPath(tenant, version): SchemaVersionPath,
    _: Query<()>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (tenant, schema) = state.store.schema_version(tenant, version).await?.ok_or_else(Error::tenant_not_found)?;
    let schema = SchemaItem::from(schema.ok_or_else(schema_version_not_found)?);
    response::found(&request, tenant.revision, &Revised::read(schema, tenant.revision))
}

/// Activates a version of a schema.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/schema/versions/{version}/activate", tag = "schema",
    operation_id = "activateSchemaVersion", params(SchemaChangeQuery),
    responses((status = 200, description = "The version, in use.", body = Revised<SchemaChanged>))
)]
pub async fn activate(
    By(author): By,
    state: Data<AppState>,
    SchemaVersionPath(tenant, version): SchemaVersionPath,
    Query(query): Query<SchemaChangeQuery>,
    if_match: IfMatch,
) -> Result<HttpResponse, Error> {
    let options = options(author, if_match, &query);
    // A version never changes once it is stored, so it may be read before the change locks the tenant.
    let (_, stored) = state.store.schema_version(tenant, version).await?.ok_or_else(Error::tenant_not_found)?;
    let stored = stored.ok_or_else(schema_version_not_found)?;
    let schema = written(state.engine.change(tenant, Change::ActivateSchema(stored), options).await?)?;
    response::ok(schema.revision, &schema)
}

/// Lists the changes of a schema, newest first.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/schema/changelog", tag = "schema", operation_id = "listSchemaChanges",
    params(PageQuery),
    responses((status = 200, description = "A page of the changelog.", body = RevisedList<ChangelogItem>))
)]
pub async fn changelog(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query(page): Query<PageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let page = state.store.changelog(tenant, &PageRequest::from(page)).await?;
    response::tenant_list(&request, page, ChangelogItem::from)
}

/// Says what a schema would break, and changes nothing.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/schema/check", tag = "schema", operation_id = "checkSchema",
    request_body = SchemaBody, responses((status = 200, description = "The effect that it would have.", body = SchemaCheck))
)]
pub async fn check(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    Body(body): Body<SchemaBody>,
) -> Result<HttpResponse, Error> {
    let parsed = SchemaDefinition::parse(&body.definition);
    let warnings = parsed.as_ref().map(SchemaDefinition::warnings).unwrap_or_default();
    let checked = match parsed {
        Ok(definition) => state.engine.check(tenant, Change::PutSchema(definition)).await?,
        Err(details) => unreadable(&state, tenant, details).await?,
    };
    let Checked { revision, details: errors, breaks, breaks_flat_callers, breaks_named_callers, inactive } = checked;
    let valid = errors.is_empty() && breaks.is_empty() && !breaks_flat_callers && !breaks_named_callers;
    let breaks = response::broken_items(breaks);
    let check =
        SchemaCheck { valid, errors, breaks, breaks_flat_callers, breaks_named_callers, warnings, inactive, revision };
    response::ok(revision, &check)
}

/// A definition that says nothing breaks nothing.
async fn unreadable(state: &AppState, tenant: TenantScope, details: Vec<Detail>) -> Result<Checked, Error> {
    let tenant = state.store.tenant(tenant).await?.ok_or_else(Error::tenant_not_found)?;
    Ok(Checked {
        revision: tenant.revision,
        details,
        breaks: Vec::new(),
        breaks_flat_callers: false,
        breaks_named_callers: false,
        inactive: Vec::new(),
    })
}
