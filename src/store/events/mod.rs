//! Events as rows: appended to a log, read by position, settled in one transaction a batch. Which node consumes a
//! tenant's queue is in `queue`; what comes of an event, in `settle`.
//!
//! Every query names the bounds of an id as values and is planned with them (`persistent(false)`): it then touches the
//! days that it asks for, and no others.

mod append;
mod dead_letters;
mod list;
mod partitions;
mod place;
mod queue;
mod read;
mod redrives;
mod receive;
mod settle;
mod stats;

pub use append::NewEvent;
pub use dead_letters::{DeadLetter, LetterCounts, LetterFilter, LetterStatus};
pub use list::{EventFilter, EventLine, StoredEvent};
pub use place::WaitingTenant;
pub use queue::{HeldQueue, Lease, QueueStatus, SeenQueue};
pub use read::{Behind, Found, Waiting};
pub use receive::{Duplicate, Received, ReceivedEvent};
pub use redrives::{Redrive, RedriveOrder, redrivable};
pub use settle::{Settled, Settlement};
pub use stats::EventStats;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::EventDraft;

/// The columns of what senders said of many events, a list each.
#[derive(Default)]
struct DraftColumns {
    keys: Vec<Option<Uuid>>,
    digests: Vec<Vec<u8>>,
    types: Vec<Option<String>>,
    projects: Vec<Option<String>>,
    occurred: Vec<Option<DateTime<Utc>>>,
    at_occurrences: Vec<bool>,
    ordering_keys: Vec<Option<String>>,
    facts: Vec<String>,
}

impl DraftColumns {
    fn push(&mut self, draft: &EventDraft) {
        self.keys.push(draft.key());
        self.digests.push(draft.digest().to_vec());
        self.types.push(draft.kind.clone());
        self.projects.push(draft.project.clone());
        self.occurred.push(draft.occurred_at);
        self.at_occurrences.push(draft.at_occurrence);
        self.ordering_keys.push(draft.ordering_key.clone());
        self.facts.push(draft.facts.get().to_owned());
    }
}

/// The lowest id of a moment.
pub fn floor(at: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(at.timestamp_millis()).unwrap_or_default() & 0xffff_ffff_ffff;
    Uuid::from_u128(millis << 80)
}

/// Above every id that the database makes now: its clock may be ahead of ours, and ids go on after a clock that stepped
/// back.
pub(super) fn above(now: DateTime<Utc>) -> Uuid {
    floor(now + TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_not_below_the_floor_of_its_moment() {
        let id = Uuid::now_v7();
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let at = DateTime::from_timestamp(i64::try_from(seconds).unwrap(), nanos).unwrap();
        assert!(floor(at) <= id && id < floor(at + TimeDelta::milliseconds(1)));
        assert!(above(at) > id);
    }
}
