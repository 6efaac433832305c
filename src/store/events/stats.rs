//! How many events a tenant has. Days that are over are counted once.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;

use super::{above, floor};
use crate::{
    domain::{EventId, TenantScope},
    store::{Error, Store, tx::TenantTx},
};

/// Counts of a tenant's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct EventStats {
    /// All that were accepted within what is kept.
    pub total: i64,
    /// Those of the last 24 hours.
    pub last_24_hours: i64,
    /// Those of the last hour.
    pub last_hour: i64,
    /// Those beyond the position of the queue.
    pub pending: i64,
    /// Those that wait to be tried again.
    pub retrying: i64,
    /// Open dead letters.
    pub dead_letters: i64,
    /// When the oldest undecided event was received.
    pub oldest_pending: Option<DateTime<Utc>>,
}

impl Store {
    /// Counts a tenant's events, or those of a project or type. `position`: how far their consumer is, if that is known
    /// better than the queue's row tells.
    pub async fn event_stats(
        &self,
        scope: TenantScope,
        project: Option<&str>,
        kind: Option<&str>,
        retention: TimeDelta,
        position: Option<EventId>,
        now: DateTime<Utc>,
    ) -> Result<EventStats, Error> {
        const OPERATION: &str = "count events";
        let tenant = scope.id().0;
        let narrow = project.is_some() || kind.is_some();
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        if !narrow {
            self.close_days(&mut tx, now, retention).await?;
        }
        let today = now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
        let query = sqlx::query_as(
            "with q as (select greatest(
                coalesce((select position from event_queues where tenant_id = $1), $5), $11) as position),
             oldest as (
                select min(tenet_event_time(id)) as at from (
                    (select id from events e where tenant_id = $1 and id > (select position from q) and id < $6
                        and id >= $2 order by id limit 1)
                    union all (select event_id from event_retries where tenant_id = $1 order by event_id limit 1)) i
             )
             select
                (select count(*) from events where tenant_id = $1 and id >= case when $9 then $2 else $3 end and id < $6
                    and ($7::text is null or project = $7) and ($8::text is null or type = $8))
                    + case when $9 then 0 else (select coalesce(sum(received), 0)::bigint from event_day_counts
                        where tenant_id = $1 and day >= $10) end as total,
                (select count(*) from events where tenant_id = $1 and id >= $4 and id < $6
                    and ($7::text is null or project = $7) and ($8::text is null or type = $8)) as last_24_hours,
                (select count(*) from events where tenant_id = $1 and id >= $5 and id < $6
                    and ($7::text is null or project = $7) and ($8::text is null or type = $8)) as last_hour,
                (select count(*) from events where tenant_id = $1 and id > (select position from q) and id < $6
                    and id >= $2 and ($7::text is null or project = $7) and ($8::text is null or type = $8)) as pending,
                (select count(*) from event_retries where tenant_id = $1) as retrying,
                (select count(*) from dead_letters where tenant_id = $1 and status = 'open') as dead_letters,
                (select at from oldest) as oldest_pending",
        )
        .bind(tenant)
        .bind(floor(now - retention))
        .bind(floor(today))
        .bind(floor(now - TimeDelta::hours(24)))
        .bind(floor(now - TimeDelta::hours(1)))
        .bind(above(now))
        .bind(project)
        .bind(kind)
        .bind(narrow)
        .bind((now - retention).date_naive())
        .bind(position.map(|position| position.0))
        .persistent(false);
        let stats = tx.optional(OPERATION, query).await?.unwrap_or_default();
        tx.commit(OPERATION).await?;
        Ok(stats)
    }

    /// Counts the days that are over and were not counted before, one statement each; few at a time.
    async fn close_days(&self, tx: &mut TenantTx, now: DateTime<Utc>, retention: TimeDelta) -> Result<(), Error> {
        const OPERATION: &str = "count days of events";
        let tenant = tx.tenant.0;
        let query = sqlx::query_as(
            "select d::date from generate_series((greatest($2::timestamptz,
                    (select created_at from tenants where id = $1)) at time zone 'UTC')::date,
                ($3::timestamptz at time zone 'UTC')::date - 1, interval '1 day') d
             where not exists (select from event_day_counts c where c.tenant_id = $1 and c.day = d::date and c.is_over)",
        )
        .bind(tenant)
        .bind(now - retention)
        .bind(now);
        let days: Vec<(chrono::NaiveDate,)> = tx.all(OPERATION, query).await?;
        for (day,) in days {
            let begins = day.and_time(chrono::NaiveTime::MIN).and_utc();
            let query = sqlx::query(
                "insert into event_day_counts as c (tenant_id, day, received, is_over)
                 select $1, $2, count(*), true from events where tenant_id = $1 and id >= $3 and id < $4
                 on conflict (tenant_id, day) do update set received = c.received + excluded.received, is_over = true
                    where not c.is_over",
            )
            .bind(tenant)
            .bind(day)
            .bind(floor(begins))
            .bind(floor(begins + TimeDelta::days(1)))
            .persistent(false);
            tx.execute(OPERATION, query).await?;
        }
        Ok(())
    }
}
