//! Tenants: who brings rules.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DecisionLog, Name, Quota, QuotaOverrides, QuotaPatch, Revision, TenantId};

/// What a tenant pays for; its quotas depend on it. Audit rows store it as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The default.
    #[default]
    Free,
    /// Paying.
    Pro,
    /// Paying, with capacity of its own.
    Enterprise,
}

impl Tier {
    /// All of them, the lowest first.
    pub const ALL: [Self; 3] = [Self::Free, Self::Pro, Self::Enterprise];

    /// What it is called outside, and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// The tier of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// Whether a tenant's decisions are served. Audit rows store it as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TenantStatus {
    /// Served.
    #[default]
    Active,
    /// Kept, and refused with 403 when it asks for decisions.
    Suspended,
}

/// A tenant as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique among all tenants.
    pub name: Name,
    /// Its tier.
    pub tier: Tier,
    /// Whether it is served.
    pub status: TenantStatus,
    /// Whether every node keeps it in memory, used or not.
    pub pinned: bool,
    /// Seconds that a node keeps it in memory unused; `null`: as the service's setting says.
    pub idle_stop_seconds: Option<u32>,
    /// Whether facts that its schema does not declare are refused where a request does not say.
    pub strict_facts: bool,
    /// The quotas that are its own; all others are its tier's.
    pub quotas: QuotaOverrides,
    /// Workers that decide its events at once, if that was set.
    pub workers: Option<u16>,
    /// What of its evaluations is recorded.
    pub decision_log: DecisionLog,
    /// The counter of its changes, from 1.
    pub revision: Revision,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it, or anything of it, was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A tenant to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantDraft {
    /// Its name.
    pub name: Name,
    /// Its tier.
    pub tier: Tier,
}

/// What to change about a tenant; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantPatch {
    /// A new name.
    pub name: Option<Name>,
    /// A new tier.
    pub tier: Option<Tier>,
    /// A new status.
    pub status: Option<TenantStatus>,
    /// Whether it is pinned.
    pub pinned: Option<bool>,
    /// A new idle time, or none of its own.
    pub idle_stop_seconds: Option<Option<u32>>,
    /// Whether facts that its schema does not declare are refused.
    pub strict_facts: Option<bool>,
    /// Quotas of its own.
    pub quotas: QuotaPatch,
    /// Workers that decide its events at once, or as many as if it was never set.
    pub workers: Option<Option<u16>>,
    /// What of its evaluations is recorded.
    pub decision_log: Option<DecisionLog>,
}

/// Workers of a tenant for which none are set.
const WORKERS_DEFAULT: u16 = 3;
/// The most workers that can be set.
pub const WORKERS_MAX: u16 = 100;

impl Tenant {
    /// What can be changed about it, as the audit log has it.
    pub fn settings(&self) -> Value {
        let Self { name, tier, status, pinned, idle_stop_seconds, strict_facts, quotas, workers, decision_log, .. } =
            self;
        json!({
            "name": name, "tier": tier, "status": status, "pinned": pinned, "idleStopSeconds": idle_stop_seconds,
            "strictFacts": strict_facts, "quotas": quotas, "workers": workers, "decisionLog": decision_log,
        })
    }

    /// How much it may use.
    pub fn quota(&self, quota: Quota) -> u64 {
        self.quotas.0.get(&quota).copied().unwrap_or_else(|| quota.of_tier(self.tier))
    }

    /// Workers that decide its events at once: those set, or the usual number, and no more than its quota.
    pub fn effective_workers(&self) -> u16 {
        let quota = u16::try_from(self.quota(Quota::Workers)).unwrap_or(WORKERS_MAX);
        self.workers.unwrap_or(WORKERS_DEFAULT).min(quota)
    }
}

impl TenantPatch {
    /// Changes `tenant`.
    pub fn apply(&self, tenant: &mut Tenant) {
        if let Some(name) = &self.name {
            tenant.name = name.clone();
        }
        tenant.tier = self.tier.unwrap_or(tenant.tier);
        tenant.status = self.status.unwrap_or(tenant.status);
        tenant.pinned = self.pinned.unwrap_or(tenant.pinned);
        tenant.idle_stop_seconds = self.idle_stop_seconds.unwrap_or(tenant.idle_stop_seconds);
        tenant.strict_facts = self.strict_facts.unwrap_or(tenant.strict_facts);
        tenant.quotas.apply(&self.quotas);
        tenant.workers = self.workers.unwrap_or(tenant.workers);
        tenant.decision_log = self.decision_log.unwrap_or(tenant.decision_log);
    }
}
