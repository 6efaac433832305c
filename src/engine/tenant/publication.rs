//! Whether a set that was loaded, or committed on this node, replaces the one that is served: pure functions.

use crate::{
    domain::{Epoch, Revision},
    ruleset::RuleSet,
};

/// The version of a rule set. Revisions count within one history of the database; after a restore another one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The history.
    pub epoch: Epoch,
    /// The count in it.
    pub revision: Revision,
}

impl From<&RuleSet> for Version {
    fn from(set: &RuleSet) -> Self {
        Self { epoch: set.epoch(), revision: set.revision() }
    }
}

impl Version {
    /// Whether this is `other`, or later in the same history.
    pub fn is_at_least(self, other: Self) -> bool {
        self.epoch == other.epoch && self.revision >= other.revision
    }
}

/// What becomes of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// It is newer, or of another history, whose sets are the truth whatever their number: it is served from now on.
    Publish,
    /// It is what is served.
    Known,
    /// Something newer was published since it was read.
    Overtaken,
    /// It is of another history than what is served, and nothing says which of the two is later: load again.
    Unordered,
    /// It is older than what was served when it was read, in the same history: the database went back and did not say
    /// so. What is served stays, and an operator must hear of it.
    Regression,
}

/// What becomes of a set that was `loaded` in a load that began while `before` was served, and ended while `served` is.
pub fn publication(served: Option<Version>, before: Option<Version>, loaded: Version) -> Publication {
    match served {
        Some(served) if served.epoch != loaded.epoch && Some(served) != before => Publication::Unordered,
        Some(served) if served == loaded => Publication::Known,
        Some(served) if served.epoch == loaded.epoch && loaded.revision < served.revision => match before {
            Some(before) if before.epoch == loaded.epoch && loaded.revision < before.revision => {
                Publication::Regression
            }
            _ => Publication::Overtaken,
        },
        _ => Publication::Publish,
    }
}

/// What becomes of a set that this node has `committed`, handed over while `served` is served. Where nothing is served yet a
/// load is under way, which may already have read something newer: then the set is left to it.
pub fn handover(served: Option<Version>, committed: Version) -> Publication {
    match served {
        Some(served) if served.epoch != committed.epoch => Publication::Unordered,
        Some(served) if served == committed => Publication::Known,
        Some(served) if served.revision < committed.revision => Publication::Publish,
        Some(_) | None => Publication::Overtaken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(epoch: u128, revision: i64) -> Version {
        Version { epoch: Epoch(uuid::Uuid::from_u128(epoch)), revision: Revision(revision) }
    }

    #[test]
    fn an_older_set_never_replaces_a_newer_one_of_the_same_history() {
        for (served, loaded, expected) in [
            (None, version(1, 1), Publication::Publish),
            (Some(version(1, 1)), version(1, 2), Publication::Publish),
            (Some(version(1, 2)), version(1, 2), Publication::Known),
            (Some(version(1, 3)), version(1, 2), Publication::Regression),
            (Some(version(1, 3)), version(2, 2), Publication::Publish),
            (Some(version(1, 3)), version(2, 3), Publication::Publish),
        ] {
            assert_eq!(publication(served, served, loaded), expected, "{served:?} {loaded:?}");
        }
    }

    #[test]
    fn a_load_that_a_commit_overtook_raises_no_alarm_and_replaces_nothing() {
        let (before, served) = (Some(version(1, 3)), Some(version(1, 4)));
        assert_eq!(publication(served, before, version(1, 3)), Publication::Overtaken);
        assert_eq!(publication(served, None, version(1, 3)), Publication::Overtaken);
        assert_eq!(publication(served, before, version(1, 2)), Publication::Regression);
        assert_eq!(publication(served, before, version(1, 5)), Publication::Publish);
        assert_eq!(publication(served, before, version(2, 9)), Publication::Unordered);
        assert_eq!(publication(served, None, version(2, 9)), Publication::Unordered);
    }

    #[test]
    fn a_committed_set_replaces_only_an_older_one_of_its_history() {
        for (served, expected) in [
            (None, Publication::Overtaken),
            (Some(version(1, 2)), Publication::Publish),
            (Some(version(1, 3)), Publication::Known),
            (Some(version(1, 4)), Publication::Overtaken),
            (Some(version(2, 1)), Publication::Unordered),
        ] {
            assert_eq!(handover(served, version(1, 3)), expected, "{served:?}");
        }
    }
}
