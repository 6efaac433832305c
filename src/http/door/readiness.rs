//! Whether this node is ready for requests, as reported by the parts that start and stop it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a node needs before it can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The database answers.
    Database,
    /// Its schema fits this binary.
    Migrations,
    /// The listener for changes is connected.
    Listener,
    /// The pinned tenants are in memory.
    PinnedTenants,
}

impl Part {
    /// Its name in `missing`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Migrations => "migrations",
            Self::Listener => "listener",
            Self::PinnedTenants => "pinnedTenants",
        }
    }
}

/// The state of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It waits for these parts.
    Starting(BTreeSet<Part>),
    /// It serves.
    Ready,
    /// It finishes what it accepted.
    Stopping,
}

/// Shared by the parts that start and stop the node and the handlers that report it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness {
    phase: Arc<Mutex<Phase>>,
    /// Whether the phase is [`Phase::Stopping`], for every request to read without a lock.
    stopping: Arc<AtomicBool>,
}

impl Default for Readiness {
    /// Waits for all parts.
    fn default() -> Self {
        let parts = BTreeSet::from([Part::Database, Part::Migrations, Part::Listener, Part::PinnedTenants]);
        Self { phase: Arc::new(Mutex::new(Phase::Starting(parts))), stopping: Arc::default() }
    }
}

impl Readiness {
    /// The state of the node now.
    pub fn phase(&self) -> Phase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A part is available. With the last one the node is ready.
    pub fn arrived(&self, part: Part) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if let Phase::Starting(missing) = &mut *phase {
            missing.remove(&part);
            if missing.is_empty() {
                *phase = Phase::Ready;
            }
        }
    }

    /// The node stops, and will not be ready again.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Stopping;
    }

    /// Whether the node stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_once_the_last_part_is_there() {
        let readiness = Readiness::default();
        readiness.arrived(Part::Database);
        readiness.arrived(Part::Listener);
        readiness.arrived(Part::PinnedTenants);
        assert_eq!(readiness.phase(), Phase::Starting(BTreeSet::from([Part::Migrations])));
        readiness.arrived(Part::Migrations);
        assert_eq!(readiness.phase(), Phase::Ready);
    }

    #[test]
    fn a_node_that_stops_is_not_ready_again() {
        let readiness = Readiness::default();
        readiness.stopping();
        for part in [Part::Database, Part::Migrations, Part::Listener, Part::PinnedTenants] {
            readiness.arrived(part);
        }
        assert_eq!(readiness.phase(), Phase::Stopping);
    }
}
