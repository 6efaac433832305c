//! Telling tasks to stop. Those that wait for it go on in the order in which they began to wait, so that a run of the
//! simulation follows from its seed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Whether to stop; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_set: AtomicBool,
    set: Notify,
}

impl Stop {
    /// Has all stop, from now on.
    pub fn set(&self) {
        self.0.is_set.store(true, Ordering::Release);
        self.0.set.notify_waiters();
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Ends once it is set.
    pub async fn wait(&self) {
        // From here on it hears of it.
        let set = self.0.set.notified();
        if !self.is_set() {
            set.await;
        }
    }
}
