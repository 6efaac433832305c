//! The resources of the API, a file each, named like their paths. `routes` is the table of what is served.
//!
//! A handler takes what the door has read and checked, calls the engine or the store once, and answers. Requests are
//! authenticated, and their errors written, in the door.

mod api_keys;
mod audit;
mod batch;
mod decide;
mod decision;
mod derived_fields;
mod evaluate;
mod health;
mod metrics;
mod ndjson;
pub mod openapi;
mod quotas;
pub mod routes;
mod rule_bodies;
mod rules;
mod runtime;
mod schema;
mod swagger;
mod tenants;
