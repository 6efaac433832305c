//! The engine on a real database: loading, following, stopping.

mod faults;
mod follow;
mod lifecycle;
mod runtime;
mod supervision;
mod tenants;
mod write;
