//! When the supervisor is asked to make room: at once where there may be some, and seldom where there was none to make,
//! since looking at all tenants in memory takes its turn.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// How long it is waited after room could not be made for all, because too many stay whatever happens.
const PAUSE_MS: u64 = 200;

/// Whether the supervisor has been asked, and when it may be again.
#[derive(Debug, Default)]
pub struct Crowding {
    asked: AtomicBool,
    not_before_ms: AtomicU64,
}

impl Crowding {
    /// There is more in memory than may be: after how long the supervisor is to be asked to make room; `None` if it
    /// has been, or is about to be, and has not begun.
    pub fn ask(&self, now_ms: u64) -> Option<Duration> {
        let is_first = !self.asked.swap(true, Ordering::SeqCst);
        let wait_ms = self.not_before_ms.load(Ordering::SeqCst).saturating_sub(now_ms);
        is_first.then(|| Duration::from_millis(wait_ms))
    }

    /// The supervisor begins to make room. What comes into memory from now on may be overlooked, and has to ask again.
    pub fn begin(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }

    /// It could not make room for all: there is more in memory still than may be.
    pub fn in_vain(&self, now_ms: u64) {
        self.not_before_ms.store(now_ms + PAUSE_MS, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_asked_for_once_until_it_is_made() {
        let crowding = Crowding::default();
        assert_eq!(crowding.ask(1_000), Some(Duration::ZERO));
        assert_eq!(crowding.ask(1_000), None);
        crowding.begin();
        assert_eq!(crowding.ask(1_000), Some(Duration::ZERO));
    }

    #[test]
    fn where_there_was_no_room_to_make_it_is_asked_for_seldom_but_always() {
        let crowding = Crowding::default();
        crowding.begin();
        crowding.in_vain(1_000);
        assert_eq!(crowding.ask(1_050), Some(Duration::from_millis(PAUSE_MS - 50)));
        assert_eq!(crowding.ask(1_060), None, "one asks for all");
        crowding.begin();
        assert_eq!(crowding.ask(1_000 + PAUSE_MS), Some(Duration::ZERO));
    }
}
