//! What a node answers at one moment about its tenants and about all nodes.

use std::time::Instant;

use anyhow::{Context, bail};
use serde::{Deserialize, de::DeserializeOwned};

use crate::client::Client;

/// Tenants fetched at most; nobody reads a longer table.
const TENANTS_MAX: usize = 2_000;
/// Those in memory.
const TENANTS: &str =
    "/api/v1/runtime/tenants?limit=200&state=loading&state=ready&state=stale&state=quarantined&state=stopping";

/// What was answered.
#[derive(Debug)]
pub(super) struct Sample {
    pub taken_at: Instant,
    pub nodes: Vec<Node>,
    pub tenants: Vec<Tenant>,
    /// Whether there are more tenants in memory than were asked for.
    pub more: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    pub id: String,
    pub host: String,
    pub version: String,
    pub resident_tenants: u64,
    pub memory_bytes: u64,
    pub lag_ms: u64,
    pub synchronised_ago_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tenant {
    pub tenant_id: String,
    pub name: Option<String>,
    pub state: String,
    pub pinned: bool,
    pub revision: Option<i64>,
    pub stored_revision: Option<i64>,
    pub resident: Option<Resident>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resident {
    pub lag_ms: u64,
    pub active_rules: u64,
    pub broken_rules: u64,
    pub memory_bytes: u64,
    pub decisions: u64,
    pub cost: u64,
    pub evaluation_time_us: u64,
    pub restarts: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl Sample {
    /// Asks for everything.
    pub async fn take(client: &Client) -> anyhow::Result<Self> {
        let nodes: Page<Node> = get(client, "/api/v1/runtime/nodes").await?;
        let mut page: Page<Tenant> = get(client, TENANTS).await?;
        let mut tenants = page.items;
        while let Some(cursor) = page.next_cursor.take().filter(|_| tenants.len() < TENANTS_MAX) {
            page = get(client, &format!("{TENANTS}&cursor={cursor}")).await?;
            tenants.append(&mut page.items);
        }
        let more = page.next_cursor.is_some() || tenants.len() >= TENANTS_MAX;
        Ok(Self { taken_at: Instant::now(), nodes: nodes.items, tenants, more })
    }
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> anyhow::Result<T> {
    let answer = client.get(path).await.context("the service does not answer")?;
    if !answer.is_success() {
        bail!("`{path}` answers {}: {}", answer.status, answer.text());
    }
    Ok(answer.json()?)
}
