//! What the gate answers: why a request is not admitted, and what tenants and tiers use.

use std::time::Duration;

use crate::domain::Quota;

/// Why a request is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The tenant has used up its rate.
    Rate(RateRefused),
    /// The tenant, or its tier, has as many requests in hand as it may.
    InHand {
        /// How many that are.
        limit: u64,
    },
    /// The node has.
    Overloaded,
}

/// A rate that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateRefused {
    /// Which.
    pub quota: Quota,
    /// How many in a minute it allows.
    pub limit: u64,
    /// When the next one can be admitted.
    pub wait: Duration,
}

/// What a tenant uses at this moment, on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantStanding {
    /// Requests of its rate that are used up.
    pub requests: Option<u64>,
    /// The same of events.
    pub events: Option<u64>,
    /// Requests in hand.
    pub in_hand: u64,
}

/// What a tier uses at this moment, on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierStanding {
    /// Requests in hand.
    pub in_hand: usize,
    /// How many there may be.
    pub in_hand_max: usize,
    /// Requests that were refused: for the rate, the number in hand, and the node's load.
    pub refused: [u64; 3],
    /// What its decisions took.
    pub evaluation: Duration,
}
