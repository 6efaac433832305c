//! How many requests wait to begin, all tenants' together, and since when there are always some.

use std::time::{Duration, Instant};

use crate::admission::Class;

/// Requests that wait to begin. Events are none: they may wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    length: usize,
    since: Option<Instant>,
}

impl Queue {
    /// A piece waits.
    pub fn join(&mut self, class: Class) {
        if class == Class::Requests {
            self.length += 1;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// A piece waits no longer.
    pub fn leave(&mut self, class: Class) {
        if class == Class::Requests {
            self.length = self.length.saturating_sub(1);
            self.since = self.since.filter(|_| self.length > 0);
        }
    }

    /// For how long there were some at every moment; zero if there are none.
    pub fn age(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
