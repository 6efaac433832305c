//! Why a load cannot be run.

use std::{io, path::PathBuf};

use crate::client;

/// Why a load cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a workload.
    #[error("`{}` is not a valid workload: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The file is not one of groups.
    #[error("`{}` is not a valid file of groups: {source}", path.display())]
    MalformedGroups {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A part of the workload cannot be used.
    #[error("the workload cannot be used: {0}")]
    Invalid(String),
    /// Latencies cannot be counted: a defect of ours.
    #[error(transparent)]
    Histogram(#[from] hdrhistogram::errors::CreationError),
    /// There are no threads for the load.
    #[error("the threads of the load cannot be started: {0}")]
    Threads(io::Error),
    /// The load ended early: a defect of ours.
    #[error("the load ended early")]
    Ended,
    /// The service did not answer.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The service refused a request.
    #[error("{doing}: the service answered {status}: {body}")]
    Refused {
        /// What was asked of it.
        doing: String,
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The answer to an evaluation is wrong.
    #[error("the answer to an evaluation with {rules} rules is wrong: {reason}: {body}")]
    WrongDecision {
        /// What is wrong.
        reason: &'static str,
        /// How many results there should be.
        rules: usize,
        /// The body.
        body: String,
    },
}
