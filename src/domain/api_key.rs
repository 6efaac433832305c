//! API keys as they are stored: never the secret, only who holds one and what it permits.

use chrono::{DateTime, Utc};

use super::{ApiKeyId, Name, Scope};

/// A key of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is called; several may be called the same.
    pub name: Name,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// When it ends; `null`: when it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyDraft {
    /// What it is to be called.
    pub name: Name,
    /// What it is to be good for.
    pub scopes: Vec<Scope>,
    /// When it is to end.
    pub expires_at: Option<DateTime<Utc>>,
}
