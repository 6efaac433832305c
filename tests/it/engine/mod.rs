//! The engine on a real database: loading, following, stopping.

mod follow;
mod lifecycle;
mod tenants;
mod write;
