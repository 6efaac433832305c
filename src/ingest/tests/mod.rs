//! Proofs about storing and consuming events, without a database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

pub mod simulation;
