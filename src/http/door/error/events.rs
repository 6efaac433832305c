//! What an answer says when an event is not accepted.

use super::{Error, chain, whole_seconds};
use crate::ingest;

impl From<ingest::Error> for Error {
    fn from(error: ingest::Error) -> Self {
        let (kind, code) = (error.kind(), error.code());
        match &error {
            ingest::Error::Invalid(details) => Self::invalid(details.clone()),
            ingest::Error::Conflict(first) => {
                Self::new(kind, code, error.to_string()).extend("eventId", first.to_string())
            }
            ingest::Error::BacklogFull { retry_after, .. } => {
                Self::new(kind, code, error.to_string()).retry_after(*retry_after)
            }
            ingest::Error::BreakerOpen(open) => Self::new(kind, code, error.to_string())
                .extend("dependency", open.dependency.name())
                .retry_after(whole_seconds(open.wait)),
            ingest::Error::RateLimited(rate) => (*rate).into(),
            ingest::Error::Unavailable(cause) | ingest::Error::OutcomeUnknown(cause) => {
                Self { cause: Some(chain(&**cause)), ..Self::new(kind, code, error.to_string()) }
            }
            ingest::Error::QuotaExceeded(exceeded) => Self::new(kind, code, error.to_string()).exceeding(*exceeded),
            ingest::Error::Engine(cause) => (&**cause).into(),
            _ => Self::new(kind, code, error.to_string()),
        }
    }
}
