//! What nodes share beside the database: which idempotency keys have been stored, to save work, and how much of tenants' rates
//! was given out. The only place that names `redis`.
//!
//! Redis may be away, empty or slow, and nothing becomes wrong: each node then gives out its part of a rate. Of keys, only
//! what is committed is remembered, and no longer than the database does, so that a key that is found here is one
//! that the database has. A key that is not found may be there all the same: whoever stores events finds out.

#[cfg(feature = "redis")]
mod client;
mod metrics;

use std::{collections::HashMap, time::Duration};

use uuid::Uuid;

#[cfg(feature = "redis")]
use self::client::Client;
use crate::{
    admission::{Block, Order},
    domain::{EventId, Quota, TenantScope},
};
#[cfg(feature = "redis")]
use crate::{breakers::Breakers, client::Authorities, config::Secret};

pub use self::metrics::Metrics;

/// The event that an idempotency key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOwner {
    /// Its id.
    pub id: EventId,
    /// What it says ([`crate::domain::EventDraft::digest`]).
    pub digest: [u8; 32],
}

/// The idempotency keys that nodes share; none, where there is no Redis. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SharedKeys {
    #[cfg(feature = "redis")]
    client: Option<Client>,
}

/// The rates of tenants that nodes share; none, where there is no Redis. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SharedRates {
    #[cfg(feature = "redis")]
    client: Option<Client>,
}

/// The URL of Redis cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`TENET_REDIS_URL` is not valid; it is such as `rediss://user:password@host:6379/0`")]
pub struct UrlError;

/// What is shared in a Redis, whose certificate `authorities` have signed, or those that browsers trust. Begins to
/// connect, and goes on with that for ever.
#[cfg(feature = "redis")]
pub fn connect(
    url: &Secret,
    authorities: Option<&Authorities>,
    breakers: Breakers,
    metrics: Metrics,
) -> Result<(SharedKeys, SharedRates), UrlError> {
    let client = Client::connect(url, authorities, breakers, metrics)?;
    Ok((SharedKeys { client: Some(client.clone()) }, SharedRates { client: Some(client) }))
}

impl SharedRates {
    /// Whether any are shared.
    pub fn are_used(&self) -> bool {
        #[cfg(feature = "redis")]
        return self.client.is_some();
        #[cfg(not(feature = "redis"))]
        false
    }

    /// Takes a block of a tenant's rate; `None`: that was not answered at once.
    pub async fn take(&self, scope: TenantScope, quota: Quota, order: Order) -> Option<Block> {
        #[cfg(feature = "redis")]
        if let Some(client) = &self.client {
            let name = format!("tenet:rate:{}:{}", scope.id(), quota.name());
            return client.take_block(scope.id(), &name, order).await;
        }
        let _ = (scope, quota, order);
        None
    }
}

impl SharedKeys {
    /// Whether any are shared.
    pub fn are_used(&self) -> bool {
        #[cfg(feature = "redis")]
        return self.client.is_some();
        #[cfg(not(feature = "redis"))]
        false
    }

    /// The events that keys of a tenant belong to, as far as that is known at once.
    pub async fn look_up(&self, scope: TenantScope, keys: &[Uuid]) -> HashMap<Uuid, KeyOwner> {
        #[cfg(feature = "redis")]
        if let Some(client) = &self.client
            && !keys.is_empty()
        {
            let names: Vec<String> = keys.iter().map(|key| name(scope, *key)).collect();
            let found = client.get(scope.id(), &names).await;
            return keys.iter().zip(found).filter_map(|(key, value)| Some((*key, read(&value?)?))).collect();
        }
        let _ = (scope, keys);
        HashMap::new()
    }

    /// Remembers which events keys of a tenant belong to, and for how long. They are committed.
    pub async fn remember(&self, scope: TenantScope, keys: &[(Uuid, KeyOwner, Duration)]) {
        #[cfg(feature = "redis")]
        if let Some(client) = &self.client
            && !keys.is_empty()
        {
            let entry = |(key, owner, time): &(Uuid, KeyOwner, Duration)| (name(scope, *key), write(owner), *time);
            client.set(scope.id(), &keys.iter().map(entry).collect::<Vec<_>>()).await;
        }
        let _ = (scope, keys);
    }
}

#[cfg(feature = "redis")]
fn name(scope: TenantScope, key: Uuid) -> String {
    format!("tenet:key:{}:{}", scope.id(), key.simple())
}

#[cfg(feature = "redis")]
fn write(owner: &KeyOwner) -> Vec<u8> {
    [owner.id.0.as_bytes().as_slice(), &owner.digest].concat()
}

/// `None`: somebody else has written it.
#[cfg(feature = "redis")]
fn read(value: &[u8]) -> Option<KeyOwner> {
    let (id, digest) = value.split_first_chunk::<16>()?;
    Some(KeyOwner { id: EventId(Uuid::from_bytes(*id)), digest: digest.try_into().ok()? })
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let owner = KeyOwner { id: EventId::generate(), digest: [7; 32] };
        let written = write(&owner);
        assert_eq!(read(&written), Some(owner));
        for wrong in [&b""[..], b"OK", &written[..47], &[written.clone(), vec![0]].concat()] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
