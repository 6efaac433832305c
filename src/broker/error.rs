//! Why the broker did not do something.

use std::sync::Arc;

use crate::breakers::BreakerOpen;

/// Why the broker did not do something. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no connection now.
    #[error("the broker is not connected")]
    NotConnected,
    /// It takes no messages now: it is short of memory or disk.
    #[error("the broker has blocked its publishers; it is short of memory or disk")]
    Blocked,
    /// It did not answer in time.
    #[error("the broker did not answer in time")]
    NoAnswer,
    /// The queue is not there.
    #[error("the queue does not exist on the broker")]
    NoQueue,
    /// The queue refuses messages, and is not full.
    #[error("the queue is not ready")]
    NotReady,
    /// The queue is full.
    #[error("the queue is full")]
    Full,
    /// It has failed too often of late to be asked again already.
    #[error(transparent)]
    BreakerOpen(#[from] BreakerOpen),
    /// The connection broke after the message was sent and before it was confirmed.
    #[error("the connection to the broker broke before it confirmed the message")]
    OutcomeUnknown(#[source] Arc<lapin::Error>),
    /// It refused, or the connection broke.
    #[error("the broker refused, or the connection broke")]
    Failed(#[source] Arc<lapin::Error>),
}

impl Error {
    /// Whether the broker failed, and not what was asked of it.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::NotConnected | Self::Blocked | Self::NoAnswer | Self::OutcomeUnknown(_) | Self::Failed(_) => true,
            Self::NoQueue | Self::NotReady | Self::Full | Self::BreakerOpen(_) => false,
        }
    }

    /// Whether there is no connection any more.
    pub(super) fn is_unconnected(&self) -> bool {
        matches!(self, Self::NotConnected | Self::OutcomeUnknown(_) | Self::Failed(_))
    }
}

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        match reply_code(&error) {
            Some(404) => Self::NoQueue,
            _ => Self::Failed(Arc::new(error)),
        }
    }
}

/// The code with which the broker closed a channel or connection.
pub(super) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}
