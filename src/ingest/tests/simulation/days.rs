//! The database's days, which do not end in a run; and no tenant is deleted.

use std::future::pending;

use chrono::{DateTime, Utc};

use super::store::Store;
use crate::{
    domain::{Tenant, TenantId, TenantScope},
    store::Error,
};

impl Store {
    pub async fn make_event_partitions(&self) -> Result<u32, Error> {
        pending().await
    }

    pub async fn drop_event_partitions(&self, _: DateTime<Utc>, _: DateTime<Utc>) -> Result<u32, Error> {
        pending().await
    }

    pub async fn event_partition_days_ahead(&self) -> Result<i64, Error> {
        pending().await
    }

    pub async fn deleted_tenants_with_events(&self) -> Result<Vec<TenantId>, Error> {
        pending().await
    }

    pub async fn delete_all_events(&self, _: TenantScope, _: DateTime<Utc>) -> Result<(), Error> {
        pending().await
    }

    pub async fn tenants_with_events(&self, _: TenantId, _: i64) -> Result<Vec<TenantId>, Error> {
        pending().await
    }

    pub async fn tenant(&self, _: TenantScope) -> Result<Option<Tenant>, Error> {
        pending().await
    }

    pub async fn delete_events_between(
        &self,
        _: TenantScope,
        _: DateTime<Utc>,
        _: DateTime<Utc>,
    ) -> Result<u64, Error> {
        pending().await
    }
}
