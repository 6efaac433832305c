//! What happened in a run, and whether it may have: the invariants.

use std::collections::{BTreeMap, BTreeSet};

use super::{database::Row, world::Scenario};
use crate::{
    domain::{Epoch, Revision, TenantId},
    engine::tenant::publication::Version,
};

/// What we promise: no decision is older and not marked so.
pub const BOUND_US: u64 = 2_000_000;
/// How long after the last disturbance everything is as if there had been none: a load that nobody answers, the longest
/// wait between two attempts, and one more load.
pub const RECOVERY_US: u64 = 11_000_000;

/// A line of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The truth about a tenant changed: a commit, a deletion, a restore.
    Truth { tenant: TenantId, epoch: Epoch, row: Option<Row> },
    /// The database went back without a word.
    SilentRestore,
    /// Something other than the ways of notifications is, or was until now, disturbed: the server, loads, an actor.
    Disturbed,
    /// A process began, or was killed and began again.
    Began { node: usize },
    /// A set is served from now on.
    Installed { node: usize, resident: u64, tenant: TenantId, version: Version },
    /// An older revision was found than is served.
    Alarm { node: usize, tenant: TenantId },
    /// A request was decided.
    Decided {
        node: usize,
        tenant: TenantId,
        asked_at: u64,
        taken_at: u64,
        min: Option<Version>,
        version: Version,
        parts: (u64, u64),
        stale: bool,
    },
    /// A request was told that there is no such tenant.
    NotFound { node: usize, tenant: TenantId, asked_at: u64 },
    /// A request was told to come again.
    Refused { node: usize, asked_at: u64, waits_for_revision: bool },
    /// A write was acknowledged to its client.
    Acknowledged { node: usize, tenant: TenantId, version: Version },
    /// At the end: what a node serves of a tenant, if anything.
    AtTheEnd { node: usize, tenant: TenantId, served: Option<Version> },
    /// Two actors at once kept a tenant.
    TwoActors { node: usize, tenant: TenantId },
}

/// All lines with their times, in microseconds.
pub type History = Vec<(u64, Happened)>;

/// An invariant that a history breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub line: usize,
    pub what: String,
}

/// Reads a history from its beginning and stops at what must not have happened.
#[derive(Default)]
struct Checker {
    /// Whether a decision's mark counts: where nobody asks every second, all are marked.
    ignores_marks: bool,
    /// What was true of each tenant, from when on.
    truths: BTreeMap<TenantId, Vec<(u64, Option<Version>)>>,
    /// When each epoch began, in order.
    epochs: Vec<Epoch>,
    /// What each version holds; several after a silent restore.
    contents: BTreeMap<(u128, TenantId, Revision), BTreeSet<(u64, u64)>>,
    silent_restore: bool,
    disturbed_at: u64,
    began_at: BTreeMap<usize, u64>,
    installed: BTreeMap<(usize, TenantId), (u64, Version)>,
    acknowledged: BTreeMap<(usize, TenantId), (u64, Version)>,
    alarms: BTreeSet<(usize, TenantId)>,
}

/// Checks a history.
pub fn check(history: &History, scenario: Scenario) -> Result<(), Violation> {
    let mut checker = Checker { ignores_marks: scenario == Scenario::ListenerAlone, ..Checker::default() };
    for (line, (at, happened)) in history.iter().enumerate() {
        checker.see(*at, happened).map_err(|(invariant, what)| Violation { invariant, line, what })?;
    }
    Ok(())
}

type Seen = Result<(), (&'static str, String)>;

fn holds(condition: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Seen {
    if condition { Ok(()) } else { Err((invariant, what())) }
}

impl Checker {
    fn see(&mut self, at: u64, happened: &Happened) -> Seen {
        match *happened {
            Happened::Truth { tenant, epoch, row } => self.truth(at, tenant, epoch, row),
            Happened::SilentRestore => self.silent_restore = true,
            Happened::Disturbed => self.disturbed_at = at,
            Happened::Began { node } => {
                self.began_at.insert(node, at);
                self.installed.retain(|(of, _), _| *of != node);
                self.acknowledged.retain(|(of, _), _| *of != node);
            }
            Happened::Installed { node, resident, tenant, version } => {
                return self.installed(node, resident, tenant, version);
            }
            Happened::Alarm { node, tenant } => {
                self.alarms.insert((node, tenant));
                return holds(self.silent_restore, "no alarm without a restore", || format!("node {node}, {tenant}"));
            }
            Happened::Decided { .. } => return self.decided(happened),
            Happened::NotFound { tenant, asked_at, .. } => {
                // A load that had begun may answer this one, too: as old as any decision may be.
                let since = asked_at.saturating_sub(BOUND_US);
                return holds(self.was_absent(tenant, since, at), "unavailable is never not found", || {
                    format!("{tenant} existed")
                });
            }
            Happened::Refused { node, asked_at, waits_for_revision } => {
                let excused = waits_for_revision || !self.is_calm(node, asked_at);
                return holds(excused, "whoever asks is answered", || format!("node {node}, asked at {asked_at}"));
            }
            Happened::Acknowledged { node, tenant, version } => return self.acknowledged(at, node, tenant, version),
            Happened::AtTheEnd { node, tenant, served } => return self.at_the_end(node, tenant, served),
            Happened::TwoActors { node, tenant } => {
                return Err(("a tenant has one actor", format!("node {node}, {tenant}")));
            }
        }
        Ok(())
    }

    fn truth(&mut self, at: u64, tenant: TenantId, epoch: Epoch, row: Option<Row>) {
        if self.epochs.last() != Some(&epoch) {
            self.epochs.push(epoch);
        }
        let version = row.map(|row| Version { epoch, revision: row.revision });
        self.truths.entry(tenant).or_default().push((at, version));
        if let Some(row) = row {
            let key = (epoch.0.as_u128(), tenant, row.revision);
            self.contents.entry(key).or_default().insert((row.schema, row.rules));
        }
    }

    /// I1: what a node serves of a tenant never goes back within an epoch.
    fn installed(&mut self, node: usize, resident: u64, tenant: TenantId, version: Version) -> Seen {
        let before = self.installed.insert((node, tenant), (resident, version));
        let Some((before_in, before)) = before else { return Ok(()) };
        // After a silent restore, one that left memory comes back as what is stored.
        let counts = before.epoch == version.epoch && (before_in == resident || !self.silent_restore);
        holds(!counts || before.revision <= version.revision, "I1", || format!("{before:?}, then {version:?}"))
    }

    fn decided(&self, happened: &Happened) -> Seen {
        let Happened::Decided { node, tenant, asked_at, taken_at, min, version, parts, stale } = *happened else {
            return Ok(());
        };
        let stale = stale && !self.ignores_marks;
        let key = (version.epoch.0.as_u128(), tenant, version.revision);
        let whole = self.contents.get(&key).is_some_and(|contents| contents.contains(&parts));
        holds(whole, "I2", || format!("{version:?} is not {parts:?}"))?;
        let fresh = self.is_fresh(tenant, version, taken_at);
        holds(stale || fresh, "I3", || format!("node {node}, {tenant}: {version:?} is older and not marked"))?;
        let calm = self.is_calm(node, taken_at);
        holds(!calm || (fresh && !stale), "I3", || {
            format!("node {node}, {tenant}: {version:?} is old, or marked so, with nothing disturbed")
        })?;
        if let Some(min) = min {
            holds(min.epoch != version.epoch || version.revision >= min.revision, "I5", || {
                format!("asked for {min:?} got {version:?}")
            })?;
        }
        if let Some((written_at, written)) = self.acknowledged.get(&(node, tenant)).filter(|_| !self.silent_restore) {
            let read = written.epoch != version.epoch || version.revision >= written.revision;
            // Of what was asked for before the acknowledgement nothing is promised.
            // Nor of a tenant that has been deleted since, beyond how long it may be served.
            let deleted =
                self.truths.get(&tenant).and_then(|truths| truths.last()).is_some_and(|truth| truth.1.is_none());
            holds(read || stale || deleted || asked_at <= *written_at, "I5", || {
                format!("wrote {written:?}, read {version:?}")
            })?;
        }
        Ok(())
    }

    /// I6: what is acknowledged is stored, and nothing is stored twice under one number.
    fn acknowledged(&mut self, at: u64, node: usize, tenant: TenantId, version: Version) -> Seen {
        let key = (version.epoch.0.as_u128(), tenant, version.revision);
        holds(self.contents.contains_key(&key), "I6", || format!("{version:?} was never committed"))?;
        let newest = self.acknowledged.entry((node, tenant)).or_insert((at, version));
        if newest.1.epoch != version.epoch || newest.1.revision < version.revision {
            *newest = (at, version);
        }
        Ok(())
    }

    /// I4: after quiet, every node serves what is stored.
    fn at_the_end(&self, node: usize, tenant: TenantId, served: Option<Version>) -> Seen {
        let truth = self.truths.get(&tenant).and_then(|truths| truths.last()).and_then(|(_, version)| *version);
        let Some(served) = served else { return Ok(()) };
        let backwards = truth.is_some_and(|truth| truth.epoch == served.epoch && truth.revision < served.revision);
        if self.silent_restore && backwards {
            return holds(self.alarms.contains(&(node, tenant)), "I4", || {
                format!("{tenant} went back, without an alarm")
            });
        }
        holds(truth == Some(served), "I4", || format!("node {node}, {tenant}: {truth:?} is stored, {served:?} served"))
    }

    /// Whether `version` is at least what was true one bound before `at`.
    fn is_fresh(&self, tenant: TenantId, version: Version, at: u64) -> bool {
        let Some(truths) = self.truths.get(&tenant) else { return false };
        let since = at.saturating_sub(BOUND_US);
        let first = truths.iter().rposition(|(from, _)| *from <= since).unwrap_or(0);
        let place = |epoch: Epoch| self.epochs.iter().position(|known| *known == epoch);
        truths[first..].iter().any(|(_, truth)| {
            truth.is_some_and(|truth| {
                place(version.epoch) > place(truth.epoch)
                    || (version.epoch == truth.epoch && version.revision >= truth.revision)
            })
        })
    }

    /// Whether there was a time between the two at which there was no such tenant.
    fn was_absent(&self, tenant: TenantId, from: u64, to: u64) -> bool {
        let Some(truths) = self.truths.get(&tenant) else { return true };
        let first = truths.iter().rposition(|(at, _)| *at <= from).unwrap_or(0);
        truths[first..].iter().any(|(at, truth)| truth.is_none() && *at <= to)
    }

    /// Whether nothing has been disturbed for so long that nothing may show of it at `at`.
    fn is_calm(&self, node: usize, at: u64) -> bool {
        let began_at = self.began_at.get(&node).copied().unwrap_or(0);
        at >= self.disturbed_at.max(began_at) + RECOVERY_US
    }
}
