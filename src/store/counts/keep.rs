//! Forgetting counts that are older than they are kept.

use uuid::Uuid;

use crate::{
    analytics::{Hour, Kept},
    domain::{TenantId, TenantScope, Tier},
    store::{Error, Store, tx::TenantTx},
};

/// Rows that one transaction deletes.
const DELETED_ROWS: i64 = 10_000;

impl Store {
    /// Tenants after `after`, in order of id, with their tiers.
    pub async fn tiers_after(&self, after: TenantId, limit: i64) -> Result<Vec<(TenantId, Tier)>, Error> {
        const OPERATION: &str = "list tiers";
        let query =
            sqlx::query_as("select id, tier from tenants where id > $1 order by id limit $2").bind(after.0).bind(limit);
        let mut connection = self.events.acquire(OPERATION).await?;
        let rows: Vec<(Uuid, String)> =
            self.events.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(rows.into_iter().filter_map(|(id, tier)| Some((TenantId(id), Tier::named(&tier)?))).collect())
    }

    /// Deletes some of a tenant's counts that are kept no longer; answers how many rows went. Called until it answers 0,
    /// with pauses.
    pub async fn delete_old_counts(&self, scope: TenantScope, kept: Kept) -> Result<u64, Error> {
        const OPERATION: &str = "delete old counts";
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        let mut deleted = 0;
        let old: [(&str, Hour); 2] = [
            (
                "delete from count_hours where ctid = any (array(
                    select ctid from count_hours where tenant_id = $1 and at < $2 limit $3))",
                kept.hours,
            ),
            (
                "delete from count_days where ctid = any (array(
                    select ctid from count_days where tenant_id = $1 and at < $2 limit $3))",
                kept.days,
            ),
        ];
        for (sql, before) in old {
            let query = sqlx::query(sql).bind(scope.id().0).bind(before.begins()).bind(DELETED_ROWS);
            deleted += tx.execute(OPERATION, query).await?;
        }
        tx.commit(OPERATION).await?;
        Ok(deleted)
    }
}
