//! Whether a request is admitted: rates and numbers in hand, as arithmetic. No clock, no lock, no task: who asks keeps
//! the state, and says what time it is.

mod limits;
mod rate;

pub use self::{
    limits::{Limits, Shares},
    rate::{Grant, Rate, Standing},
};
