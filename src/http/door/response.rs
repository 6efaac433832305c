//! The forms of answers: one resource, a page of a list, what a change deactivated.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, body::JSON, precondition, problem::ErrorDetail};
use crate::{
    domain::{Revision, Tenant},
    error::{Detail, Subject},
    ruleset::Broken,
    store::Page,
};

/// A resource of a tenant, with the revision it was read or written at.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revised<T> {
    /// The resource.
    #[serde(flatten)]
    pub resource: T,
    /// The tenant's revision.
    pub revision: Revision,
    /// What the change would have broken, and deactivated instead; omitted if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub deactivated: Vec<BrokenItem>,
    /// What is worth knowing of what was written, if anything is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<ErrorDetail>)]
    pub warnings: Vec<Detail>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// A page of a list of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisedList<T> {
    /// The items.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// The tenant's revision.
    pub revision: Revision,
}

/// A stored rule or derived field that does not compile, or would not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokenItem {
    /// The rule or derived field.
    #[serde(flatten)]
    #[schema(value_type = super::problem::ErrorSubject)]
    pub subject: Subject,
    /// Everything that is wrong with it.
    #[schema(value_type = Vec<ErrorDetail>)]
    pub errors: Vec<Detail>,
}

impl<T> Revised<T> {
    /// A resource as read.
    pub fn read(resource: T, revision: Revision) -> Self {
        Self { resource, revision, deactivated: Vec::new(), warnings: Vec::new() }
    }

    /// A resource as written, with what was deactivated and what is worth knowing.
    pub fn written(resource: T, revision: Revision, deactivated: Vec<Broken>, warnings: Vec<Detail>) -> Self {
        Self { resource, revision, deactivated: broken_items(deactivated), warnings }
    }
}

impl<T> List<T> {
    /// A page with its rows as items.
    pub fn of<R>(page: Page<R>, item: impl FnMut(R) -> T) -> Self {
        Self { items: page.items.into_iter().map(item).collect(), next_cursor: page.next_cursor }
    }

    /// The page, read at a revision.
    pub fn at(self, revision: Revision) -> RevisedList<T> {
        RevisedList { items: self.items, next_cursor: self.next_cursor, revision }
    }
}

/// What is broken, for an answer.
pub fn broken_items(broken: Vec<Broken>) -> Vec<BrokenItem> {
    broken.into_iter().map(|Broken { subject, details }| BrokenItem { subject, errors: details }).collect()
}

/// An answer without a revision.
pub fn plain(status: StatusCode, body: &impl Serialize) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::build(status).insert_header((header::CONTENT_TYPE, JSON)).body(text(body)?))
}

/// 200 with a page of a list without a revision.
pub fn list<R, T: Serialize>(page: Page<R>, item: impl FnMut(R) -> T) -> Result<HttpResponse, Error> {
    plain(StatusCode::OK, &List::of(page, item))
}

/// 200 with a page of a list of a tenant, or 304 if the caller has this revision already; 404 if there is no such tenant.
pub fn tenant_list<R, T: Serialize>(
    request: &HttpRequest,
    page: Option<(Tenant, Page<R>)>,
    item: impl FnMut(R) -> T,
) -> Result<HttpResponse, Error> {
    let (Tenant { revision, .. }, page) = page.ok_or_else(Error::tenant_not_found)?;
    found(request, revision, &List::of(page, item).at(revision))
}

/// 200 with what a tenant has, or 304 if the caller has this revision already.
pub fn found(request: &HttpRequest, revision: Revision, body: &impl Serialize) -> Result<HttpResponse, Error> {
    let tag = (header::ETAG, precondition::tag(revision));
    if precondition::has(request, revision) {
        return Ok(HttpResponse::NotModified().insert_header(tag).finish());
    }
    ok(revision, body)
}

/// 200 with the revision.
pub fn ok(revision: Revision, body: &impl Serialize) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, precondition::tag(revision)))
        .insert_header((header::CONTENT_TYPE, JSON))
        .body(text(body)?))
}

/// 201 with the revision and the path of the new resource.
pub fn created(location: String, revision: Revision, body: &impl Serialize) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, precondition::tag(revision)))
        .insert_header((header::CONTENT_TYPE, JSON))
        .body(text(body)?))
}

/// 204 with the revision.
pub fn deleted(revision: Revision) -> HttpResponse {
    HttpResponse::NoContent().insert_header((header::ETAG, precondition::tag(revision))).finish()
}

fn text(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|_| Error::of_framework(StatusCode::INTERNAL_SERVER_ERROR))
}
