//! Nodes: the processes that serve one database.

use chrono::{DateTime, Utc};

use super::NodeId;

/// A running node, as of its last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id: another one each time it starts.
    pub id: NodeId,
    /// The machine that it runs on.
    pub host: String,
    /// The version that it runs.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it last wrote its heartbeat.
    pub heartbeat_at: DateTime<Utc>,
    /// Its state then.
    pub vitals: Vitals,
}

/// The state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Tenants in its memory.
    pub resident_tenants: u64,
    /// Bytes that their rules take, as estimated.
    pub memory_bytes: u64,
    /// How long the tenant furthest behind has been behind the database; 0 if none is.
    pub lag_ms: u64,
    /// How long ago it compared itself with the database.
    pub synchronised_ago_ms: u64,
}
