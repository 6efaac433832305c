//! A tenant's claim to its place in memory, and how many places there are.

use crate::domain::TenantId;

/// A tenant in memory, as far as leaving it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The tenant.
    pub tenant: TenantId,
    /// When it was used last.
    pub used_at_ms: u64,
    /// How long it may stay unused.
    pub idle_stop_ms: u64,
    /// What its rules take, as estimated.
    pub memory_bytes: u64,
    /// Whether it stays whatever happens: it is pinned, or in quarantine, where its last good set could not be made again.
    pub stays: bool,
}

impl Seat {
    /// Whether nobody has used it for its idle time.
    pub fn is_idle(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.used_at_ms) >= self.idle_stop_ms
    }
}

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Tenants.
    pub count_max: usize,
    /// Bytes of their rules, all together.
    pub bytes_max: u64,
}

/// Beyond what there may be, room is made for one in so many more: looking at all of them for each that comes would take
/// the supervisor's turn.
const SPARE: u64 = 64;

impl Room {
    /// Whether so many tenants, with so many bytes, are more than there may be.
    pub fn is_exceeded(&self, count: usize, bytes: u64) -> bool {
        count > self.count_max || bytes > self.bytes_max
    }

    /// With some to spare for those that come next.
    pub fn with_spare(self) -> Self {
        let spare = self.count_max / usize::try_from(SPARE).unwrap_or(usize::MAX);
        Self { count_max: self.count_max - spare, bytes_max: self.bytes_max - self.bytes_max / SPARE }
    }
}
