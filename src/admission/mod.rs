//! Whether a request is admitted: rates, shares and breakers, as arithmetic. No clock, no lock, no task: who asks keeps the
//! state, and says what time it is.

mod blocks;
mod breaker;
mod lanes;
mod limits;
mod line;
mod pressure;
mod rate;
mod turns;

pub use self::{
    blocks::{Block, BlockRate, Order, Stock},
    breaker::{Breaker, BreakerState, BreakerStatus, Call, Outcome, SLOW},
    lanes::{Entry, LaneStatus, Lanes, Ticket},
    limits::{Limits, Shares},
    line::Line,
    pressure::{Lateness, Use, WINDOW, hold_back, press, relax},
    rate::{Grant, Rate, Standing},
    turns::{Class, Contender, TIER_WEIGHTS, Turns},
};
