//! Ids in paths. One that is not a UUID is answered like an unknown one: 404.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use uuid::Uuid;

use super::{Error, auth::Caller};
use crate::domain::{ApiKeyId, DerivedFieldId, EventId, RedriveId, RuleId, SchemaVersion, TenantScope};

/// `{tenantId}`.
#[derive(Debug, Clone, Copy)]
pub struct TenantPath(pub TenantScope);

/// `{tenantId}` and `{ruleId}`.
#[derive(Debug, Clone, Copy)]
pub struct RulePath(pub TenantScope, pub RuleId);

/// `{tenantId}` and the `{eventId}` of a dead letter.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetterPath(pub TenantScope, pub EventId);

/// `{tenantId}` and `{redriveId}`.
#[derive(Debug, Clone, Copy)]
pub struct RedrivePath(pub TenantScope, pub RedriveId);

/// `{tenantId}` and `{eventId}`.
#[derive(Debug, Clone, Copy)]
pub struct EventPath(pub TenantScope, pub EventId);

/// `{tenantId}` and `{decisionId}`.
#[derive(Debug, Clone, Copy)]
pub struct DecisionPath(pub TenantScope, pub Uuid);

/// `{tenantId}` and `{fieldId}`.
#[derive(Debug, Clone, Copy)]
pub struct DerivedFieldPath(pub TenantScope, pub DerivedFieldId);

/// `{tenantId}` and `{version}`.
#[derive(Debug, Clone, Copy)]
pub struct SchemaVersionPath(pub TenantScope, pub SchemaVersion);

/// `{tenantId}` and `{keyId}`.
#[derive(Debug, Clone, Copy)]
pub struct ApiKeyPath(pub TenantScope, pub ApiKeyId);

/// No such key.
pub fn api_key_not_found() -> Error {
    Error::not_found("api_key_not_found", "key with this id")
}

/// No such rule.
pub fn rule_not_found() -> Error {
    Error::not_found("rule_not_found", "rule with this id")
}

/// No such dead letter.
pub fn dead_letter_not_found() -> Error {
    Error::not_found("dead_letter_not_found", "dead letter with this event's id")
}

/// No such redrive.
pub fn redrive_not_found() -> Error {
    Error::not_found("redrive_not_found", "redrive with this id")
}

/// No such event.
pub fn event_not_found() -> Error {
    Error::not_found("event_not_found", "event with this id")
}

/// No such decision.
pub fn decision_not_found() -> Error {
    Error::not_found("decision_not_found", "decision with this id")
}

/// No such derived field.
pub fn derived_field_not_found() -> Error {
    Error::not_found("derived_field_not_found", "derived field with this id")
}

/// No such schema version.
pub fn schema_version_not_found() -> Error {
    Error::not_found("schema_version_not_found", "schema version with this number")
}

fn segment<T: FromStr>(request: &HttpRequest, name: &str) -> Option<T> {
    request.match_info().get(name).and_then(|text| text.parse().ok())
}

/// Records which tenant a request is about, for the metrics of each tenant.
pub fn record_tenant(request: &HttpRequest, scope: TenantScope) {
    request.extensions_mut().insert(scope.id());
}

fn tenant(request: &HttpRequest) -> Result<TenantScope, Error> {
    let tenant = segment(request, "tenantId").ok_or_else(Error::tenant_not_found)?;
    let scope = Caller::of(request)?.scope(tenant)?;
    record_tenant(request, scope);
    Ok(scope)
}

impl FromRequest for TenantPath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(tenant(request).map(Self))
    }
}

impl FromRequest for RulePath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let rule = || segment(request, "ruleId").ok_or_else(rule_not_found);
        ready(tenant(request).and_then(|tenant| Ok(Self(tenant, rule()?))))
    }
}

impl FromRequest for DeadLetterPath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let event = || segment(request, "eventId").ok_or_else(dead_letter_not_found);
        ready(tenant(request).and_then(|tenant| Ok(Self(tenant, event()?))))
    }
}

impl FromRequest for RedrivePath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let redrive = || segment(request, "redriveId").ok_or_else(redrive_not_found);
        ready(tenant(request).and_then(|tenant| Ok(Self(tenant, redrive()?))))
    }
}

impl FromRequest for EventPath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let event = || segment(request, "eventId").ok_or_else(event_not_found);
        ready(tenant(request).and_then(|tenant| Ok(Self(tenant, event()?))))
    }
}

impl FromRequest for DecisionPath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let decision = || segment(request, "decisionId").ok_or_else(decision_not_found);
        ready(tenant(request).and_then(|tenant| Ok(Self(tenant, decision()?))))
    }
}

impl FromRequest for DerivedFieldPath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let field = || segment(request, "fieldId").ok_or_else(derived_field_not_found);
        ready(tenant(request).and_then(|tenant| Ok(Self(tenant, field()?))))
    }
}

impl FromRequest for ApiKeyPath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = || segment(request, "keyId").ok_or_else(api_key_not_found);
        ready(tenant(request).and_then(|tenant| Ok(Self(tenant, key()?))))
    }
}

impl FromRequest for SchemaVersionPath {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let version = || {
            let number = segment(request, "version").filter(|number: &i32| *number > 0);
            number.map(SchemaVersion).ok_or_else(schema_version_not_found)
        };
        ready(tenant(request).and_then(|tenant| Ok(Self(tenant, version()?))))
    }
}
