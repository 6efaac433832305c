//! The position of reconciling in the change log: a pure function of what was read. It reads nothing itself.
//!
//! A transaction draws its number early and becomes visible late. Therefore each poll asks again from the oldest
//! transaction on that was still running at the *previous* poll, and drops what it has told already. A cursor on the
//! newest number seen would miss the late ones; one on the oldest running would stand still behind any long one.

use std::collections::HashSet;

use super::TenantHead;
use crate::domain::{Epoch, Revision, TenantId};

/// What of the change log has been seen.
#[derive(Debug, Clone, Default)]
pub struct ChangeCursor {
    seen: Option<Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    place: DatabaseHistory,
    /// The oldest transaction still running at the last poll.
    xmin: u64,
    /// The first transaction not begun at the last poll.
    xmax: u64,
    /// What the last poll read, told already.
    told: HashSet<(TenantId, Revision)>,
}

/// A history of a database: in another one, numbers mean something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseHistory {
    /// Of the cluster and its timeline; empty if the role may not ask.
    pub system: String,
    /// What a restore begins anew.
    pub epoch: Epoch,
    /// The transaction that wrote the row which holds the epoch. A restore in place writes that row again, whether it
    /// begins an epoch or not, and breaks no connection.
    pub written_by: String,
}

/// What one statement saw of the change log, and when.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Where.
    pub place: DatabaseHistory,
    /// The oldest transaction still running.
    pub xmin: u64,
    /// The first transaction not begun.
    pub xmax: u64,
    /// The changes by transactions from [`ChangeCursor::since`] on, by tenant and revision.
    pub changes: Vec<LoggedChange>,
}

/// What a poll of the change log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// These tenants changed since the last poll (possibly named twice, never left out). The first poll of a cursor
    /// finds none: it only says from where on.
    Changes(Vec<TenantHead>),
    /// The database is another one than before, or was restored: everything must be compared.
    Discontinuity,
}

/// A change in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedChange {
    /// Whose.
    pub tenant_id: TenantId,
    /// What it made of the tenant.
    pub revision: Revision,
    /// Whether it was the tenant's deletion.
    pub is_deletion: bool,
}

impl ChangeCursor {
    /// The transaction from which on to read; none of them the first time.
    pub fn since(&self) -> Option<u64> {
        self.seen.as_ref().map(|seen| seen.xmin)
    }

    /// Takes in what was read from [`ChangeCursor::since`] on, and tells what of it is new.
    pub fn advance(&mut self, moment: Moment) -> Poll {
        let Moment { place, xmin, xmax, changes } = moment;
        let before = self.seen.take();
        let mut told = HashSet::with_capacity(changes.len());
        let mut heads: Vec<TenantHead> = Vec::new();
        for change in changes {
            let key = (change.tenant_id, change.revision);
            let known = before.as_ref().is_some_and(|seen| seen.told.contains(&key));
            told.insert(key);
            if known {
                continue;
            }
            let revision = (!change.is_deletion).then_some(change.revision);
            let head = TenantHead { tenant_id: change.tenant_id, revision };
            match heads.last_mut() {
                // By revision: the last one counts.
                Some(last) if last.tenant_id == head.tenant_id => *last = head,
                _ => heads.push(head),
            }
        }
        let continuous = before.as_ref().is_none_or(|seen| seen.place == place && seen.xmax <= xmax);
        self.seen = Some(Seen { place, xmin, xmax, told });
        if continuous { Poll::Changes(heads) } else { Poll::Discontinuity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId(uuid::Uuid::from_u128(1));

    fn moment(xmin: u64, xmax: u64, revisions: &[i64]) -> Moment {
        let change =
            |revision: &i64| LoggedChange { tenant_id: TENANT, revision: Revision(*revision), is_deletion: false };
        let place =
            DatabaseHistory { system: String::new(), epoch: Epoch(uuid::Uuid::nil()), written_by: "1".to_owned() };
        Moment { place, xmin, xmax, changes: revisions.iter().map(change).collect() }
    }

    fn told(revision: i64) -> Poll {
        Poll::Changes(vec![TenantHead { tenant_id: TENANT, revision: Some(Revision(revision)) }])
    }

    #[test]
    fn what_commits_late_is_told_once_and_the_newest_of_a_tenant_alone() {
        let mut cursor = ChangeCursor::default();
        assert_eq!(cursor.since(), None);
        assert_eq!(cursor.advance(moment(10, 12, &[])), Poll::Changes(Vec::new()));
        assert_eq!(cursor.since(), Some(10), "10 and 11 were running");
        assert_eq!(cursor.advance(moment(10, 13, &[1, 2])), told(2));
        assert_eq!(cursor.advance(moment(13, 13, &[1, 2, 3])), told(3));
        assert_eq!(cursor.since(), Some(13));
    }

    #[test]
    fn numbers_that_go_back_and_another_epoch_are_another_history() {
        let mut cursor = ChangeCursor::default();
        cursor.advance(moment(10, 12, &[]));
        assert_eq!(cursor.advance(moment(5, 6, &[])), Poll::Discontinuity);
        assert_eq!(cursor.advance(moment(6, 7, &[])), Poll::Changes(Vec::new()));
        let mut elsewhere = moment(8, 9, &[]);
        elsewhere.place.epoch = Epoch(uuid::Uuid::from_u128(2));
        assert_eq!(cursor.advance(elsewhere.clone()), Poll::Discontinuity);
        assert_eq!(cursor.advance(elsewhere.clone()), Poll::Changes(Vec::new()));
        elsewhere.place.written_by = "2".to_owned();
        assert_eq!(cursor.advance(elsewhere), Poll::Discontinuity, "restored in place, without a new epoch");
    }
}
