//! API keys as they are stored: never the secret, only who holds one and what it permits.

use chrono::{DateTime, Utc};

use super::{ApiKeyId, Name, Scope};

/// A key of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Its name; several keys may have the same one.
    pub name: Name,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// When it expires; `null`: it does not expire.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyDraft {
    /// Its name.
    pub name: Name,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// When it is to end.
    pub expires_at: Option<DateTime<Utc>>,
}
