//! What a tenant's actor is to look into: many hints make one message, and none is lost. And since when the tenant may
//! be behind the database, which is how its decisions know that they are stale though the database answers.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::domain::Revision;

/// Of a tenant that is not known to be behind.
pub const NOT_BEHIND: u64 = u64::MAX;

/// What a hint says of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// It holds at least this revision.
    AtLeast(Revision),
    /// It may hold anything: deleted, restored to an older state, or not known at all.
    Fresh,
}

/// The hints for one actor.
#[derive(Debug)]
pub struct Hints {
    waiting: Mutex<Waiting>,
    /// Written with the lock on `waiting` held, read by every decision without.
    behind_since_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The newest hint that the actor has not taken yet.
    want: Option<Want>,
    /// Whether the actor has been told that there is one.
    told: bool,
    /// Whether the actor is not to be told of a revision now: a commit of this node's is under way, which will tell it.
    held: bool,
}

impl Hints {
    /// None yet.
    pub fn new() -> Self {
        Self { waiting: Mutex::default(), behind_since_ms: AtomicU64::new(NOT_BEHIND) }
    }

    /// Whether a hint tells more than what is installed. While an earlier one is looked into every hint does: a load may
    /// be under way that installs a set of another history, whose numbers are smaller.
    pub fn is_news(&self, want: Want, installed: Option<Revision>) -> bool {
        self.behind_since_ms() != NOT_BEHIND || is_news(want, installed)
    }

    /// Keeps a hint. `known_ms` is when the tenant was last known not to be behind: what the hint is about may have
    /// happened at any time since. Answers whether the actor must be told.
    pub fn keep(&self, want: Want, known_ms: u64) -> bool {
        let mut waiting = self.lock();
        waiting.want = waiting.want.max(Some(want));
        self.behind_since_ms.fetch_min(known_ms, Ordering::Relaxed);
        if waiting.held && want != Want::Fresh {
            return false;
        }
        !std::mem::replace(&mut waiting.told, true)
    }

    /// From now on the actor is not told of revisions, until [`Hints::release`].
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Ends [`Hints::hold`]. Answers whether the actor must be told of what was kept meanwhile.
    pub fn release(&self) -> bool {
        let mut waiting = self.lock();
        waiting.held = false;
        waiting.want.is_some() && !std::mem::replace(&mut waiting.told, true)
    }

    /// The newest hint, taken by the actor. A revision is left while hints are held, though the actor was told of one
    /// before: it may be the one that is being committed.
    pub fn take(&self) -> Option<Want> {
        let mut waiting = self.lock();
        waiting.told = false;
        if waiting.held && waiting.want != Some(Want::Fresh) { None } else { waiting.want.take() }
    }

    /// The actor has looked into everything it has taken. What it has not taken yet still counts.
    pub fn settle(&self) {
        let waiting = self.lock();
        if waiting.want.is_none() {
            self.behind_since_ms.store(NOT_BEHIND, Ordering::Relaxed);
        }
    }

    /// Since when, at the earliest, the tenant may be behind; [`NOT_BEHIND`] if nothing hints at it.
    #[inline]
    pub fn behind_since_ms(&self) -> u64 {
        self.behind_since_ms.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Whatever panicked elsewhere, these two values are consistent.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a hint tells more than what is installed.
pub fn is_news(want: Want, installed: Option<Revision>) -> bool {
    match want {
        Want::Fresh => true,
        Want::AtLeast(revision) => installed.is_none_or(|installed| installed < revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hints_make_one_message_and_the_newest_counts() {
        let hints = Hints::new();
        assert!(hints.keep(Want::AtLeast(Revision(2)), 10));
        assert!(!hints.keep(Want::AtLeast(Revision(5)), 20));
        assert!(!hints.keep(Want::AtLeast(Revision(3)), 30));
        assert_eq!(hints.take(), Some(Want::AtLeast(Revision(5))));
        assert_eq!(hints.take(), None);
        assert!(hints.keep(Want::Fresh, 40));
    }

    #[test]
    fn while_hints_are_held_a_revision_waits_and_anything_else_does_not() {
        let hints = Hints::new();
        hints.hold();
        assert!(!hints.keep(Want::AtLeast(Revision(2)), 10));
        assert_eq!(hints.behind_since_ms(), 10, "known to be behind all the same");
        assert!(hints.release());
        assert!(!hints.release(), "the actor has been told");
        assert_eq!(hints.take(), Some(Want::AtLeast(Revision(2))));
        hints.hold();
        assert!(hints.keep(Want::Fresh, 20));
        assert_eq!(hints.take(), Some(Want::Fresh));
        assert!(!hints.release(), "nothing is left");
        assert!(hints.keep(Want::AtLeast(Revision(3)), 30));
    }

    #[test]
    fn an_actor_that_was_told_before_hints_are_held_takes_no_revision_until_they_are_not() {
        let hints = Hints::new();
        assert!(hints.keep(Want::AtLeast(Revision(1)), 10));
        hints.hold();
        assert!(!hints.keep(Want::AtLeast(Revision(2)), 20), "it is being committed");
        assert_eq!(hints.take(), None);
        hints.settle();
        assert_eq!(hints.behind_since_ms(), 10, "it was not looked into");
        assert!(hints.release());
        assert_eq!(hints.take(), Some(Want::AtLeast(Revision(2))));
    }

    #[test]
    fn while_a_hint_is_looked_into_a_smaller_revision_is_news_too() {
        let hints = Hints::new();
        let (smaller, installed) = (Want::AtLeast(Revision(4)), Some(Revision(12)));
        assert!(!hints.is_news(smaller, installed));
        hints.keep(Want::Fresh, 10);
        hints.take();
        assert!(hints.is_news(smaller, installed), "what is loaded may be of another history");
        hints.settle();
        assert!(!hints.is_news(smaller, installed));
    }

    #[test]
    fn a_tenant_is_behind_since_the_first_hint_until_all_are_looked_into() {
        let hints = Hints::new();
        assert_eq!(hints.behind_since_ms(), NOT_BEHIND);
        hints.keep(Want::Fresh, 10);
        hints.keep(Want::Fresh, 20);
        hints.take();
        assert_eq!(hints.behind_since_ms(), 10, "taken, and not yet looked into");
        hints.keep(Want::Fresh, 30);
        hints.settle();
        assert_eq!(hints.behind_since_ms(), 10, "another one waits");
        hints.take();
        hints.settle();
        assert_eq!(hints.behind_since_ms(), NOT_BEHIND);
    }
}
