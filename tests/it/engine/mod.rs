//! The engine on a real database: loading, following, stopping.

mod faults;
mod follow;
mod lifecycle;
mod tenants;
mod write;
