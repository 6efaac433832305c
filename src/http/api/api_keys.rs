//! `/api/v1/tenants/{tenantId}/api-keys`: who may call in a tenant's name.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    config::limits::{API_KEY_OVERLAP_SECONDS_DEFAULT, API_KEY_OVERLAP_SECONDS_MAX, API_KEYS_MAX},
    domain::{ApiKey, ApiKeyDraft, ApiKeyId, Holder, Name, Scope, TenantId, Token},
    error::{Detail, ErrorKind},
    http::door::{
        AppState, Error,
        auth::By,
        body::{self, Body, Document},
        path::{ApiKeyPath, TenantPath, api_key_not_found},
        query::{PageQuery, Query},
        response::{self, RevisedList},
    },
    store::{KeyMade, PageRequest},
};

/// A key to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct ApiKeyBody {
    /// Its name.
    #[schema(min_length = 1, max_length = 255, example = "checkout")]
    name: String,
    /// Its scopes.
    #[schema(min_items = 1, example = json!(["evaluate"]))]
    scopes: Vec<Scope>,
    /// When it expires; if it is omitted, it does not expire.
    #[serde(default, deserialize_with = "body::read_time")]
    expires_at: Option<DateTime<Utc>>,
}

/// How a key is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct RotateBody {
    /// How long the old key stays valid beside the new one; a day if it is omitted, 0: it ends at once.
    #[schema(maximum = 2_592_000)]
    overlap_seconds: Option<u32>,
}

impl Document for ApiKeyBody {}
impl Document for RotateBody {}

/// A new key. It is shown only once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewApiKey {
    /// The key's id.
    id: ApiKeyId,
    /// What it is called.
    name: Name,
    /// Its scopes.
    scopes: Vec<Scope>,
    /// The key, as requests send it. It is not stored.
    key: String,
    /// The part of the key that identifies it, and is not secret.
    public_id: String,
    /// When it expires; `null`: it does not expire.
    #[schema(required = true)]
    expires_at: Option<DateTime<Utc>>,
    /// When it was created.
    created_at: DateTime<Utc>,
}

/// A key of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyItem {
    /// Its id.
    id: ApiKeyId,
    /// Its name; several keys may have the same one.
    name: Name,
    /// Its scopes.
    #[schema(inline = false)]
    scopes: Vec<Scope>,
    /// When it expires; `null`: it does not expire.
    #[schema(required = true)]
    expires_at: Option<DateTime<Utc>>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    #[schema(required = true)]
    last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for ApiKeyItem {
    fn from(key: ApiKey) -> Self {
        let ApiKey { id, name, scopes, expires_at, created_at, last_used_at } = key;
        Self { id, name, scopes, expires_at, created_at, last_used_at }
    }
}

/// A key, without what opens anything.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedApiKey {
    /// The key.
    #[serde(flatten)]
    key: ApiKeyItem,
    /// The part of the key that names it.
    public_id: String,
}

impl ApiKeyBody {
    fn draft(self) -> Result<ApiKeyDraft, Error> {
        let mut details = Vec::new();
        let name = Name::parse(&self.name, "name").map_err(|detail| details.push(detail));
        if self.scopes.is_empty() {
            details.push(Detail::new("too_few", "a key must have at least one scope").at("scopes"));
        }
        if self.expires_at.is_some_and(|end| end <= Utc::now()) {
            details.push(Detail::new("invalid_value", "this time is in the past").at("expiresAt"));
        }
        let Ok(name) = name else { return Err(Error::invalid(details)) };
        if !details.is_empty() {
            return Err(Error::invalid(details));
        }
        let mut scopes = self.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        Ok(ApiKeyDraft { name, scopes, expires_at: self.expires_at })
    }
}

fn new_token(tenant: TenantId) -> Result<(ApiKeyId, Token), Error> {
    let id = ApiKeyId::generate();
    let token = Token::generate(Holder::Tenant(tenant, id))
        .map_err(|error| Error::new(ErrorKind::Unavailable, "no_random_numbers", error.to_string()))?;
    Ok((id, token))
}

fn made(tenant: TenantId, token: &Token, made: KeyMade) -> Result<HttpResponse, Error> {
    let (key, revision) = match made {
        KeyMade::Made(key, revision) => (key, revision),
        KeyMade::NoTenant => return Err(Error::tenant_not_found()),
        KeyMade::NoKey => return Err(api_key_not_found()),
        KeyMade::TooMany => {
            let message = format!("a tenant has at most {API_KEYS_MAX} keys");
            return Err(Error::new(ErrorKind::Unacceptable, "too_many", message));
        }
    };
    let body = NewApiKey {
        id: key.id,
        name: key.name,
        scopes: key.scopes,
        key: token.text(),
        public_id: token.holder().public_id(),
        expires_at: key.expires_at,
        created_at: key.created_at,
    };
    response::created(format!("/api/v1/tenants/{tenant}/api-keys/{}", key.id), revision, &body)
}

/// Creates a key. Only this answer shows it.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/api-keys", tag = "api keys", operation_id = "createApiKey",
    request_body = ApiKeyBody, responses((status = 201, description = "The key.", body = NewApiKey))
)]
pub async fn create(
    By(author): By,
    state: Data<AppState>,
    TenantPath(scope): TenantPath,
    _: Query<()>,
    Body(body): Body<ApiKeyBody>,
) -> Result<HttpResponse, Error> {
    let draft = body.draft()?;
    let (id, token) = new_token(scope.id())?;
    let digest = token.digest(state.auth.pepper());
    let stored = state.store.create_api_key(scope, id, digest, &draft, &author).await?;
    made(scope.id(), &token, stored)
}

/// Lists keys in the order of their creation, without the secret parts.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/api-keys", tag = "api keys", operation_id = "listApiKeys",
    params(PageQuery), responses((status = 200, description = "A page of keys.", body = RevisedList<ListedApiKey>))
)]
pub async fn list(
    state: Data<AppState>,
    TenantPath(scope): TenantPath,
    Query(page): Query<PageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let page = state.store.api_keys(scope, &PageRequest::from(page)).await?;
    let (revision, page) = page.ok_or_else(Error::tenant_not_found)?;
    let listed =
        |key: ApiKey| ListedApiKey { public_id: Holder::Tenant(scope.id(), key.id).public_id(), key: key.into() };
    response::found(&request, revision, &response::List::of(page, listed).at(revision))
}

/// Revokes a key. This node refuses it at once, the others within 2 seconds.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenantId}/api-keys/{keyId}", tag = "api keys", operation_id = "deleteApiKey",
    responses((status = 204, description = "The key is gone."))
)]
pub async fn delete(
    By(author): By,
    state: Data<AppState>,
    ApiKeyPath(scope, id): ApiKeyPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    let revision = state.store.delete_api_key(scope, id, &author).await?.ok_or_else(api_key_not_found)?;
    state.auth.forget(scope);
    Ok(response::deleted(revision))
}

/// Creates a key like an existing one, which ends after an overlap.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/api-keys/{keyId}/rotate", tag = "api keys",
    operation_id = "rotateApiKey", request_body = RotateBody,
    responses((status = 201, description = "The new key.", body = NewApiKey))
)]
pub async fn rotate(
    By(author): By,
    state: Data<AppState>,
    ApiKeyPath(scope, old): ApiKeyPath,
    _: Query<()>,
    Body(body): Body<RotateBody>,
) -> Result<HttpResponse, Error> {
    let overlap_seconds = body.overlap_seconds.unwrap_or(API_KEY_OVERLAP_SECONDS_DEFAULT);
    if overlap_seconds > API_KEY_OVERLAP_SECONDS_MAX {
        let message = format!("an overlap is at most {API_KEY_OVERLAP_SECONDS_MAX} seconds");
        return Err(Error::invalid_one(Detail::new("invalid_value", message).at("overlapSeconds")));
    }
    let (id, token) = new_token(scope.id())?;
    let digest = token.digest(state.auth.pepper());
    let stored = state.store.rotate_api_key(scope, old, id, digest, overlap_seconds, &author).await?;
    state.auth.forget(scope);
    made(scope.id(), &token, stored)
}
