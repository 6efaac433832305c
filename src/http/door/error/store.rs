//! What an answer says when the database cannot do what was asked.

use super::{Error, INTERNAL, chain, whole_seconds};
use crate::{
    error::{Detail, ErrorKind},
    store,
};

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&store::Error> for Error {
    fn from(error: &store::Error) -> Self {
        let (kind, code) = (error.kind(), error.code());
        match kind {
            ErrorKind::Internal => Self { cause: Some(chain(error)), ..Self::new(kind, code, INTERNAL) },
            ErrorKind::Unavailable => store_unavailable(error),
            ErrorKind::Unacceptable => Self::invalid_one(Detail::new(code, error.to_string()).at("cursor")),
            _ => Self::new(kind, code, error.to_string()),
        }
    }
}

fn store_unavailable(error: &store::Error) -> Error {
    let (kind, code) = (error.kind(), error.code());
    match error {
        store::Error::BreakerOpen { dependency, wait, .. } => {
            let seconds = whole_seconds(*wait);
            let detail = format!("the database has failed, and is asked again in {} s", seconds.max(1));
            Error::new(kind, code, detail).extend("dependency", dependency.name()).retry_after(seconds)
        }
        store::Error::Busy { .. } => {
            let detail = "all database connections that tenants of this tier may have are in use; retry";
            Error::new(kind, code, detail).retry_after(1)
        }
        error => {
            let detail = "the database is unavailable or did not answer in time; retry";
            Error { cause: Some(chain(error)), ..Error::new(kind, code, detail) }
        }
    }
}
