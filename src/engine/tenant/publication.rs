//! Whether a set that was loaded replaces the one that is served: a pure function.

use crate::{
    domain::{Epoch, Revision},
    ruleset::RuleSet,
};

/// Where a rule set stands. Revisions count within one history of the database; after a restore another one begins.
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

/// What becomes of a set that was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// It is newer, or of another history, whose sets are the truth whatever their number: it is served from now on.
    Publish,
    /// It is what is served.
    Known,
    /// It is older than what is served, in the same history: the database went back and did not say so. What is
    /// served stays, and an operator must hear of it.
    Regression,
}

/// What becomes of `loaded`, with `served` in its place.
pub fn publication(served: Option<Version>, loaded: Version) -> Publication {
    match served {
        Some(served) if served.epoch == loaded.epoch && loaded.revision < served.revision => Publication::Regression,
        Some(served) if served == loaded => Publication::Known,
        _ => Publication::Publish,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_set_never_replaces_a_newer_one_of_the_same_history() {
        let version =
            |epoch, revision| Version { epoch: Epoch(uuid::Uuid::from_u128(epoch)), revision: Revision(revision) };
        for (served, loaded, expected) in [
            (None, version(1, 1), Publication::Publish),
            (Some(version(1, 1)), version(1, 2), Publication::Publish),
            (Some(version(1, 2)), version(1, 2), Publication::Known),
            (Some(version(1, 3)), version(1, 2), Publication::Regression),
            (Some(version(1, 3)), version(2, 2), Publication::Publish),
            (Some(version(1, 3)), version(2, 3), Publication::Publish),
        ] {
            assert_eq!(publication(served, loaded), expected, "{served:?} {loaded:?}");
        }
    }
}
