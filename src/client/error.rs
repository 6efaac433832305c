//! Why there is no response.

use std::{io, time::Duration};

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be used.
    #[error("`{url}` cannot be used: {reason}")]
    UrlInvalid {
        /// The URL.
        url: String,
        /// Why.
        reason: &'static str,
    },
    /// The request cannot be sent as it is.
    #[error("the request is not valid HTTP: {0}")]
    RequestInvalid(hyper::http::Error),
    /// The body cannot be written as JSON.
    #[error("the body cannot be written as JSON: {0}")]
    BodyUnwritable(serde_json::Error),
    /// Nobody answers there.
    #[error("`{url}` cannot be reached: {source}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// A new connection was closed at once.
    #[error("`{url}` closed the connection before it answered")]
    Closed {
        /// Where.
        url: String,
    },
    /// The connection broke; the service may have done what was asked.
    #[error("the connection broke before the answer came: {0}")]
    Broken(hyper::Error),
    /// The body could not be read to its end.
    #[error("the answer could not be read to its end: {0}")]
    BodyUnreadable(Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("`{url}` did not answer within {} ms", after.as_millis())]
    TimedOut {
        /// Where.
        url: String,
        /// After how long.
        after: Duration,
    },
    /// The answer has another status than the one that is asked for.
    #[error("`{url}` answered with status {status}")]
    Refused {
        /// Where.
        url: String,
        /// The status.
        status: u16,
    },
    /// The file of those who are trusted to sign certificates cannot be used.
    #[error("`{file}` holds no authorities that can be used: {reason}")]
    AuthoritiesInvalid {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The body is not the JSON expected.
    #[error("the answer (status {status}) is not the JSON expected: {source}")]
    NotJson {
        /// The status of the answer.
        status: u16,
        /// What is wrong.
        source: serde_json::Error,
    },
}
