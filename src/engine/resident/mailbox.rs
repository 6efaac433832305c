//! How full the mailbox of a tenant's actor is.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many messages a tenant's actor has not begun with.
#[derive(Debug, Default)]
pub struct Mailbox(AtomicUsize);

impl Mailbox {
    /// One more was sent.
    pub fn given(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The actor has begun with one, or one was lost with its actor.
    pub fn taken(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn messages(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
