//! Tenet: a multi-tenant rules engine.
//!
//! Every tenant has a typed, versioned schema of its facts, derived fields and rules written in CEL; an application
//! sends facts and learns which rules match.
//!
//! The modules stand in the order of their layers, from the ground up, and **a module imports only modules listed
//! above it**; `tests/tidy.rs` reads this list and fails on an import that points upwards.

// Facts: what things are called, and how the outside is read.
pub mod error;
pub mod config;
pub mod domain;
pub mod json;
pub mod telemetry;
pub mod cel;
// Thought: pure and synchronous.
pub mod ruleset;
pub mod admission;
// Memory, and what else is reached over a connection.
pub mod analytics;
pub mod breakers;
pub mod client;
pub mod cluster;
pub mod store;
#[cfg(feature = "rabbitmq")]
pub mod broker;
pub mod shared;
// Life.
pub mod auth;
pub mod engine;
// Doors.
pub mod ingest;
pub mod http;
// Whole.
pub mod app;
pub mod load;
pub mod cli;
