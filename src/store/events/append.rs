//! Accepting: events of many tenants in one statement, which commits by itself.

use chrono::TimeDelta;
use uuid::Uuid;

use super::DraftColumns;
use crate::{
    domain::{Accepted, EventDraft, EventId, TenantScope},
    store::{Error, Store},
};

/// An event to be stored.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Whose it is.
    pub scope: TenantScope,
    /// What was sent.
    pub draft: EventDraft,
}

/// The columns of many events, a list each, in runs of one tenant.
#[derive(Default)]
struct Columns {
    tenants: Vec<Uuid>,
    counts: Vec<i32>,
    drafts: DraftColumns,
}

impl Columns {
    fn push(&mut self, event: &NewEvent) {
        let tenant = event.scope.id().0;
        match self.counts.last_mut().filter(|_| self.tenants.last() == Some(&tenant)) {
            Some(count) => *count += 1,
            None => {
                self.tenants.push(tenant);
                self.counts.push(1);
            }
        }
        self.drafts.push(&event.draft);
    }
}

impl Store {
    /// Stores events; answers what became of each, in their order. Those of one tenant get ids in their order, and no
    /// reader sees an id before all lower ones of its tenant. A key counts for `key_window`.
    pub async fn append_events(&self, events: &[NewEvent], key_window: TimeDelta) -> Result<Vec<Accepted>, Error> {
        const OPERATION: &str = "append events";
        let mut order: Vec<usize> = (0..events.len()).collect();
        // The locks of tenants are taken in the order of their ids: two nodes cannot wait for each other.
        order.sort_by_key(|&place| events.get(place).map(|event| event.scope.id()));
        let mut columns = Columns::default();
        order.iter().filter_map(|&place| events.get(place)).for_each(|event| columns.push(event));
        let query = sqlx::query_as::<_, (Option<Uuid>, String)>(
            "select id, status
             from tenet_events_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, make_interval(secs => $11))",
        )
        .bind(columns.tenants)
        .bind(columns.counts)
        .bind(columns.drafts.keys)
        .bind(columns.drafts.digests)
        .bind(columns.drafts.types)
        .bind(columns.drafts.projects)
        .bind(columns.drafts.occurred)
        .bind(columns.drafts.at_occurrences)
        .bind(columns.drafts.ordering_keys)
        .bind(columns.drafts.facts)
        .bind(key_window.as_seconds_f64());
        let mut connection = self.events.acquire(OPERATION).await?;
        let rows = self.events.observer().answered(OPERATION, query.fetch_all(&mut *connection)).await;
        // It commits with the statement: a connection that broke, or was ended, leaves open whether it did.
        let rows = rows.map_err(|error| Error::of_committing(OPERATION, error))?;
        if rows.len() != events.len() {
            return Err(Error::of(OPERATION, sqlx::Error::RowNotFound));
        }
        let mut answers = vec![Accepted::NoTenant; events.len()];
        for (place, (id, status)) in order.into_iter().zip(rows) {
            let Some(answer) = answers.get_mut(place) else { continue };
            *answer = match (id.map(EventId), status.as_str()) {
                (Some(id), "accepted") => Accepted::New(id),
                (Some(id), "duplicate") => Accepted::Duplicate(id),
                (Some(id), "conflict") => Accepted::Conflict(id),
                _ => Accepted::NoTenant,
            };
        }
        Ok(answers)
    }
}
