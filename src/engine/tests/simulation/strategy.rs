//! How the simulated nodes work: as the engine does, or with one of its decisions replaced by a wrong one.

use crate::{
    domain::Revision,
    engine::tenant::{
        publication::{Publication, Version, handover, publication},
        reload::{self, Action, Input, ReloadState},
    },
    store::{ChangeCursor, Moment, Poll},
};

/// Which of the log a poll reads, and what it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// As the engine does.
    Overlapping,
    /// From the newest number seen on: what commits late is skipped.
    BySequence,
    /// Only what is below the oldest running transaction: a long one hides everything.
    BelowTheOldest,
}

/// What a load reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// As the engine does: one moment.
    RepeatableRead,
    /// Each statement a moment of its own.
    ReadCommitted,
}

/// When everything is compared after a connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// As the engine does: LISTEN first.
    BeforeComparing,
    /// What comes between the comparison and LISTEN is heard by nobody.
    AfterComparing,
}

/// What the listener does when its connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// As the engine does: everything is compared.
    Noticed,
    /// It connects again and says nothing, as `PgListener::recv` does.
    Hidden,
}

/// How a request takes the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// As the engine does.
    Once,
    /// Once for the facts and once for the rules.
    Twice,
}

/// When a tenant's place in the registry is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// As the engine does.
    BeforeTheFirstLoad,
    /// A hint that comes meanwhile finds nobody.
    AfterTheFirstLoad,
}

/// When a decision is marked stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marking {
    /// As the engine does: by the node, and by the tenant.
    ByNodeAndTenant,
    /// By the node alone: a tenant that does not load is not marked.
    ByNode,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledging {
    /// As the engine does: when this node serves it, however often loading it fails within the time for it.
    WhenServed,
    /// When the first attempt to load it has ended, either way.
    WhenTried,
}

/// How a tenant's reload automaton steps.
pub type ReloadStep = fn(ReloadState, Option<Revision>, Input) -> (ReloadState, Option<Action>);

/// All of it.
#[derive(Clone, Copy)]
pub struct Strategy {
    pub step: ReloadStep,
    pub publication: fn(Option<Version>, Option<Version>, Version) -> Publication,
    pub handover: fn(Option<Version>, Version) -> Publication,
    pub cursor: Cursor,
    pub isolation: Isolation,
    pub listening: Listening,
    pub loss: Loss,
    pub taking: Taking,
    pub registration: Registration,
    pub marking: Marking,
    pub acknowledging: Acknowledging,
}

/// As the engine does.
pub const ENGINE: Strategy = Strategy {
    step: reload::step,
    publication,
    handover,
    cursor: Cursor::Overlapping,
    isolation: Isolation::RepeatableRead,
    listening: Listening::BeforeComparing,
    loss: Loss::Noticed,
    taking: Taking::Once,
    registration: Registration::BeforeTheFirstLoad,
    marking: Marking::ByNodeAndTenant,
    acknowledging: Acknowledging::WhenServed,
};

/// Publishes whatever was loaded.
pub fn without_comparing(_: Option<Version>, _: Option<Version>, _: Version) -> Publication {
    Publication::Publish
}

/// Takes the numbers of another history for those of this one.
pub fn without_the_epoch(served: Option<Version>, before: Option<Version>, loaded: Version) -> Publication {
    let [served, before] = [served, before].map(|of| of.map(|of| Version { epoch: loaded.epoch, ..of }));
    publication(served, before, loaded)
}

/// Takes what is served when a load ends for what was served when it began.
pub fn without_the_begin(served: Option<Version>, _: Option<Version>, loaded: Version) -> Publication {
    publication(served, served, loaded)
}

/// Publishes whatever this node has committed.
pub fn handed_over_blindly(_: Option<Version>, _: Version) -> Publication {
    Publication::Publish
}

/// Forgets what is hinted during a load.
pub fn forgetful(state: ReloadState, installed: Option<Revision>, input: Input) -> (ReloadState, Option<Action>) {
    match (state, input) {
        (ReloadState::Loading { .. }, Input::Hint(_)) => (state, None),
        _ => reload::step(state, installed, input),
    }
}

/// Does not try again after a load that failed.
pub fn resigned(state: ReloadState, installed: Option<Revision>, input: Input) -> (ReloadState, Option<Action>) {
    match (state, input) {
        (ReloadState::Loading { .. }, Input::Failed { .. }) => (ReloadState::Idle, None),
        _ => reload::step(state, installed, input),
    }
}

/// A cursor of either kind.
#[derive(Debug, Default)]
pub struct AnyCursor {
    real: ChangeCursor,
    newest: Option<u64>,
}

impl AnyCursor {
    pub fn since(&self, kind: Cursor) -> Option<u64> {
        if kind == Cursor::BySequence { self.newest } else { self.real.since() }
    }

    pub fn advance(&mut self, moment: Moment) -> Poll {
        self.newest = Some(moment.xmax);
        self.real.advance(moment)
    }
}
