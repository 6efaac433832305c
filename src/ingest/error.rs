//! Why an event was not accepted.

use std::sync::Arc;

use crate::{
    breakers::BreakerOpen,
    domain::{EventId, Quota, QuotaExceeded},
    engine::{self, RateRefused},
    error::{Detail, ErrorKind},
    json, store,
};

/// Why an event was not accepted. Cheap to clone: many wait for one statement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The event is wrong in itself.
    #[error("the event is not acceptable")]
    Invalid(Vec<Detail>),
    /// Another event has the same idempotency key.
    #[error("another event was accepted under this idempotency key: `{0}`")]
    Conflict(EventId),
    /// It is larger than the tenant may send.
    #[error("{0}")]
    QuotaExceeded(QuotaExceeded),
    /// The tenant has as many undecided events as it may.
    #[error("the tenant has {} events that are not decided yet; its quota `{}` is {}", .exceeded.used, Quota::EventBacklog.name(), .exceeded.limit)]
    BacklogFull {
        /// The quota.
        exceeded: QuotaExceeded,
        /// Seconds after which there is likely room.
        retry_after: u64,
    },
    /// The tenant has sent as many events as it may for now.
    #[error("the tenant may send {} events in a minute, and has sent them", .0.limit)]
    RateLimited(RateRefused),
    /// The events cannot be stored now.
    #[error("events cannot be stored now")]
    Unavailable(Arc<dyn std::error::Error + Send + Sync>),
    /// What they would be stored in has failed too often of late to be called again already.
    #[error("events cannot be stored now: {0}")]
    BreakerOpen(BreakerOpen),
    /// They are stored, or they are not.
    #[error("the connection broke while the event was being stored; send it again with the same idempotency key")]
    OutcomeUnknown(Arc<dyn std::error::Error + Send + Sync>),
    /// What the engine says of the tenant.
    #[error(transparent)]
    Engine(Arc<engine::Error>),
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

impl Error {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Unacceptable,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::QuotaExceeded(exceeded) if exceeded.quota == Quota::EventBytes => ErrorKind::TooLarge,
            Self::QuotaExceeded(_) => ErrorKind::Unacceptable,
            Self::BacklogFull { .. } | Self::RateLimited(_) => ErrorKind::Busy,
            Self::Unavailable(_) | Self::BreakerOpen(_) | Self::OutcomeUnknown(_) | Self::Stopping => {
                ErrorKind::Unavailable
            }
            Self::Engine(error) => error.kind(),
        }
    }

    /// The same error, with `path` before each of its own.
    pub fn beneath(self, path: &str) -> Self {
        let beneath = |mut detail: Detail| {
            detail.path = Some(detail.path.map_or_else(|| path.to_owned(), |own| format!("{path}.{own}")));
            detail
        };
        match self {
            Self::Invalid(details) => Self::Invalid(details.into_iter().map(beneath).collect()),
            error => error,
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Conflict(_) => "idempotency_conflict",
            Self::QuotaExceeded(_) => "quota_exceeded",
            Self::BacklogFull { .. } => "backlog_full",
            Self::RateLimited(_) => "rate_limited",
            Self::Unavailable(_) => "queue_unavailable",
            Self::BreakerOpen(_) => "dependency_unavailable",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::Engine(error) => error.code(),
            Self::Stopping => "stopping",
        }
    }
}

impl From<Arc<store::Error>> for Error {
    fn from(error: Arc<store::Error>) -> Self {
        match *error {
            store::Error::OutcomeUnknown { .. } => Self::OutcomeUnknown(error),
            store::Error::ValueRefused { .. } => {
                Self::Invalid(vec![Detail::new("value_refused", "the event has a value that cannot be stored")])
            }
            _ => Self::Unavailable(error),
        }
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Invalid(details) => Self::Invalid(details),
            engine::Error::Json(json::Error::Invalid(detail)) => Self::Invalid(vec![*detail]),
            error => Self::Engine(Arc::new(error)),
        }
    }
}
