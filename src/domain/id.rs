//! Identifiers and counters, each a type of its own so that one cannot be passed for another. Where they are stored in
//! JSON, as in audit rows, they are their plain values.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A number from 0 to 1000, another each time: to spread what would otherwise happen at once.
pub fn random_permille() -> u16 {
    // The low bits of a version 7 id are random.
    u16::try_from(Uuid::now_v7().as_u128() % 1001).unwrap_or(500)
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id (UUIDv7: ordered by time of making).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A tenant's id.
    TenantId
);
impl TenantId {
    /// In the place of a tenant's, where something belongs to none: the operators' own audit log. No tenant has it.
    pub const NOBODY: Self = Self(Uuid::nil());
}
uuid_id!(
    /// A rule's id, unique together with its tenant's.
    RuleId
);
uuid_id!(
    /// A derived field's id, unique together with its tenant's.
    DerivedFieldId
);
uuid_id!(
    /// An API key's id, unique together with its tenant's.
    ApiKeyId
);
uuid_id!(
    /// An event's id, unique together with its tenant's, and made by the database: it tells when the event was received.
    EventId
);
uuid_id!(
    /// A redrive's id, unique together with its tenant's.
    RedriveId
);
impl EventId {
    /// When the event was received.
    pub fn received_at(self) -> DateTime<Utc> {
        let millis = i64::try_from(self.0.as_u128() >> 80).unwrap_or_default();
        DateTime::from_timestamp_millis(millis).unwrap_or_default()
    }
}
uuid_id!(
    /// The id of a process of the service.
    NodeId
);
uuid_id!(
    /// One history of a database. A restore from a backup starts another, in which revisions may be lower.
    Epoch
);

/// A tenant's counter of changes. Covers its schema, derived fields, rules and settings together; begins at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub i64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a version of a tenant's schema: 1, 2, 3 …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaVersion(pub i32);

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
