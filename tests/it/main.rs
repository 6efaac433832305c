//! The tests that need a PostgreSQL. Tests of one module alone are in that module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

mod support;

mod cli;
mod api;
mod cluster;
mod engine;
mod first_example;
mod harness;
mod ingest;
mod limits;
mod load;
mod logs;
mod process;
mod reports;
mod sensitive;
mod migrations;
mod store;
mod tls;
