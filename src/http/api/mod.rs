//! The resources of the API, a file each, named like their paths. `routes` is the table of what is served.
//!
//! A handler takes what the door has read and checked, calls the engine or the store once, and answers. Requests are
//! authenticated, and their errors written, in the door.
//!
//! The modules are listed from the ground up, and each imports only modules listed above it.

mod decision;
mod options;
mod decide;
mod decisions;
mod item;
mod evaluate;
mod lines;
mod ndjson;
mod batch;
mod quotas;
mod tenants;
mod schema;
mod rule_bodies;
mod derived_fields;
mod rules;
mod trial;
mod api_keys;
mod audit;
mod events;
mod dead_letters;
mod redrives;
mod analytics;
mod runtime;
mod concurrency;
mod consumer;
mod health;
mod metrics;
mod admission;
mod bulkheads;
pub mod openapi;
mod swagger;
pub mod routes;
