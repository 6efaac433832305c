//! Why a tenant's actor ended.

/// Why a tenant's actor ended: a line each, as logs and the runtime resource tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exit {
    /// Nobody has asked for a decision for the tenant's idle time.
    #[error("nobody used it for its idle time")]
    Idle,
    /// There were more tenants in memory, or more bytes of compiled rules, than may be; it was the least recently used.
    #[error("it was the least recently used one, and memory was full")]
    Evicted,
    /// An operator stopped it.
    #[error("an operator stopped it")]
    Stopped,
    /// The tenant does not exist any more.
    #[error("the tenant does not exist any more")]
    Deleted,
    /// Loading its rule set panicked: a defect of ours that shows with this tenant's rules alone.
    #[error("loading its rules panicked")]
    LoadPanicked,
    /// Handling a message panicked: a defect of ours, kept to this tenant.
    #[error("its actor panicked")]
    Panicked,
}
