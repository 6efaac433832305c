//! Settings and limits. No other module reads the environment.

pub mod environment;
pub mod limits;
