//! The route table: every path that is served, with its methods and the permission that each requires.

use actix_web::http::Method;

use super::{
    admission, analytics, api_keys, audit, batch, bulkheads, concurrency, consumer, dead_letters, decisions,
    derived_fields, evaluate, events, health, metrics, openapi, quotas, redrives, rules, runtime, schema, swagger,
    tenants, trial,
};
use crate::{
    domain::Permission::{Administer, Audit, Evaluate, Ingest, Observe, Open, Operate, Read, Write},
    http::door::router::Entry,
};

/// All routes, in the order of the documentation; the order has no effect.
pub fn table() -> Vec<Entry> {
    let mut table = vec![
        Entry::at("/api/v1/evaluate").on(Method::POST, Evaluate, evaluate::by_body),
        Entry::at("/api/v1/tenants").on(Method::POST, Operate, tenants::create).get(Read, tenants::list),
        Entry::at("/api/v1/tenants/{tenantId}")
            .get(Read, tenants::show)
            .on(Method::PATCH, Operate, tenants::change)
            .on(Method::DELETE, Operate, tenants::delete),
        Entry::at("/api/v1/tenants/{tenantId}/schema")
            .on(Method::POST, Write, schema::create)
            .on(Method::PUT, Write, schema::put)
            .get(Read, schema::show),
        Entry::at("/api/v1/tenants/{tenantId}/schema/check").on(Method::POST, Read, schema::check),
        Entry::at("/api/v1/tenants/{tenantId}/schema/changelog").get(Read, schema::changelog),
        Entry::at("/api/v1/tenants/{tenantId}/schema/versions").get(Read, schema::versions),
        Entry::at("/api/v1/tenants/{tenantId}/schema/versions/{version}").get(Read, schema::version),
        Entry::at("/api/v1/tenants/{tenantId}/schema/versions/{version}/activate").on(
            Method::POST,
            Write,
            schema::activate,
        ),
        Entry::at("/api/v1/tenants/{tenantId}/derived-fields")
            .on(Method::POST, Write, derived_fields::create)
            .get(Read, derived_fields::list),
        Entry::at("/api/v1/tenants/{tenantId}/derived-fields/{fieldId}")
            .get(Read, derived_fields::show)
            .on(Method::PATCH, Write, derived_fields::change)
            .on(Method::DELETE, Write, derived_fields::delete),
        Entry::at("/api/v1/tenants/{tenantId}/rules")
            .on(Method::POST, Write, rules::create)
            .on(Method::PUT, Write, rules::replace_all)
            .get(Read, rules::list),
        Entry::at("/api/v1/tenants/{tenantId}/rules/check").on(Method::POST, Read, rules::check),
        Entry::at("/api/v1/tenants/{tenantId}/rules/try").on(Method::POST, Read, trial::attempt),
        Entry::at("/api/v1/tenants/{tenantId}/rules/{ruleId}")
            .get(Read, rules::show)
            .on(Method::PATCH, Write, rules::change)
            .on(Method::PUT, Write, rules::replace)
            .on(Method::DELETE, Write, rules::delete),
        Entry::at("/api/v1/tenants/{tenantId}/evaluate").on(Method::POST, Evaluate, evaluate::by_path),
        Entry::at("/api/v1/tenants/{tenantId}/evaluate/batch").on(Method::POST, Evaluate, batch::evaluate),
        Entry::at("/api/v1/tenants/{tenantId}/api-keys")
            .on(Method::POST, Administer, api_keys::create)
            .get(Administer, api_keys::list),
        Entry::at("/api/v1/tenants/{tenantId}/api-keys/{keyId}").on(Method::DELETE, Administer, api_keys::delete),
        Entry::at("/api/v1/tenants/{tenantId}/api-keys/{keyId}/rotate").on(Method::POST, Administer, api_keys::rotate),
        Entry::at("/api/v1/tenants/{tenantId}/quotas").get(Read, quotas::show),
        Entry::at("/api/v1/tenants/{tenantId}/audit").get(Audit, audit::list),
        Entry::at("/healthz").get(Open, health::alive),
        Entry::at("/readyz").get(Open, health::ready),
        Entry::at("/metrics").get(Observe, metrics::show),
        Entry::at("/metrics/bulkheads").get(Observe, bulkheads::show),
        Entry::at("/api-docs/openapi.json").get(Open, openapi::show),
        Entry::at("/swagger").get(Open, swagger::redirect),
        Entry::at("/swagger/").get(Open, swagger::show),
        Entry::at("/swagger/{*file}").get(Open, swagger::show),
    ];
    table.extend(runtime());
    table.extend(events());
    table.extend(analytics());
    table.extend(decisions());
    table
}

/// The routes of how tenants and nodes are doing.
fn runtime() -> [Entry; 9] {
    [
        Entry::at("/api/v1/tenants/{tenantId}/runtime").get(Read, runtime::show),
        Entry::at("/api/v1/tenants/{tenantId}/runtime/load").on(Method::POST, Operate, runtime::load),
        Entry::at("/api/v1/tenants/{tenantId}/runtime/stop").on(Method::POST, Operate, runtime::stop),
        Entry::at("/api/v1/tenants/{tenantId}/runtime/reload").on(Method::POST, Operate, runtime::reload),
        Entry::at("/api/v1/tenants/{tenantId}/runtime/release").on(Method::POST, Operate, runtime::release),
        Entry::at("/api/v1/runtime/tenants").get(Operate, runtime::list),
        Entry::at("/api/v1/runtime/nodes").get(Operate, runtime::nodes),
        Entry::at("/api/v1/runtime/admission").get(Operate, admission::show),
        Entry::at("/api/v1/runtime/faults").on(Method::POST, Operate, bulkheads::add).on(
            Method::DELETE,
            Operate,
            bulkheads::end,
        ),
    ]
}

/// The routes of what decisions came to, in numbers.
fn analytics() -> [Entry; 4] {
    [
        Entry::at("/api/v1/tenants/{tenantId}/analytics/summary").get(Read, analytics::summary::show),
        Entry::at("/api/v1/tenants/{tenantId}/analytics/series").get(Read, analytics::series::show),
        Entry::at("/api/v1/tenants/{tenantId}/analytics/rules").get(Read, analytics::rules::list),
        Entry::at("/api/v1/tenants/{tenantId}/rules/health").get(Read, analytics::health::show),
    ]
}

/// The routes of the decision log.
fn decisions() -> [Entry; 5] {
    [
        Entry::at("/api/v1/tenants/{tenantId}/decisions").get(Read, decisions::reading::list),
        Entry::at("/api/v1/tenants/{tenantId}/decisions/export").get(Read, decisions::export::send),
        Entry::at("/api/v1/tenants/{tenantId}/decisions/{decisionId}").get(Read, decisions::reading::show),
        Entry::at("/api/v1/tenants/{tenantId}/decisions/{decisionId}/replay").on(
            Method::POST,
            Read,
            decisions::replay::replay,
        ),
        Entry::at("/api/v1/tenants/{tenantId}/config/decision-log")
            .on(Method::PUT, Administer, decisions::config::set)
            .get(Read, decisions::config::show),
    ]
}

/// The routes of events.
fn events() -> [Entry; 13] {
    [
        Entry::at("/api/v1/tenants/{tenantId}/events")
            .on(Method::POST, Ingest, events::sending::send)
            .get(Read, events::reading::list),
        Entry::at("/api/v1/tenants/{tenantId}/events/batch").on(Method::POST, Ingest, events::sending::send_many),
        Entry::at("/api/v1/tenants/{tenantId}/events/stats").get(Read, events::reading::stats),
        Entry::at("/api/v1/tenants/{tenantId}/events/{eventId}").get(Read, events::reading::show).on(
            Method::DELETE,
            Administer,
            events::reading::delete,
        ),
        Entry::at("/api/v1/tenants/{tenantId}/config/concurrency")
            .on(Method::PUT, Administer, concurrency::set)
            .get(Read, concurrency::show),
        Entry::at("/api/v1/tenants/{tenantId}/consumer").get(Read, consumer::show),
        Entry::at("/api/v1/tenants/{tenantId}/consumer/pause").on(Method::POST, Administer, consumer::pause),
        Entry::at("/api/v1/tenants/{tenantId}/consumer/resume").on(Method::POST, Administer, consumer::resume),
        Entry::at("/api/v1/tenants/{tenantId}/dead-letters").get(Read, dead_letters::list),
        Entry::at("/api/v1/tenants/{tenantId}/dead-letters/redrive").on(Method::POST, Administer, redrives::create),
        Entry::at("/api/v1/tenants/{tenantId}/dead-letters/discard").on(
            Method::POST,
            Administer,
            dead_letters::discard,
        ),
        Entry::at("/api/v1/tenants/{tenantId}/redrives/{redriveId}").get(Read, redrives::show).on(
            Method::DELETE,
            Administer,
            redrives::stop,
        ),
        Entry::at("/api/v1/tenants/{tenantId}/dead-letters/{eventId}").get(Read, dead_letters::show),
    ]
}
