//! Requests that are not admitted now: 429 where the tenant asks for more than it may, 503 where the node has too much to
//! do.

use super::{Error, whole_seconds};
use crate::{
    domain::Quota,
    engine::{RateRefused, Refused},
    error::ErrorKind,
};

/// Seconds after which a request that was one too many may come again.
const IN_HAND_SECONDS: u64 = 1;
/// The same where the node has too much to do: spread, so that not all come again at once.
const OVERLOADED_SECONDS: u64 = 5;

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rate(rate) => rate.into(),
            Refused::InHand { limit } => {
                let quota = Quota::ConcurrentRequests.name();
                let message = format!(
                    "the tenant has as many requests in hand on this node as its quota `{quota}` allows, {limit}; \
                     send fewer at once, or ask an operator for more"
                );
                Self::new(ErrorKind::Busy, "too_many_requests_in_hand", message)
                    .extend("quota", quota)
                    .extend("limit", limit)
                    .retry_after(IN_HAND_SECONDS)
            }
            Refused::Overloaded => {
                let message = "the service has as many requests in hand as it takes; try again";
                // The low bits of a version 7 id are random.
                let spread = uuid::Uuid::now_v7().as_u128() % u128::from(OVERLOADED_SECONDS);
                Self::new(ErrorKind::Unavailable, "overloaded", message)
                    .retry_after(1 + u64::try_from(spread).unwrap_or_default())
            }
        }
    }
}

impl Error {
    /// What a tenant is told whose evaluations wait for their turn for too long.
    pub(super) fn waiting_for_turn(self, limit: u64) -> Self {
        let quota = Quota::ConcurrentRequests.name();
        self.extend("quota", quota).extend("limit", limit).retry_after(IN_HAND_SECONDS)
    }
}

impl From<RateRefused> for Error {
    fn from(RateRefused { quota, limit, wait }: RateRefused) -> Self {
        let seconds = whole_seconds(wait).max(1);
        let (what, name) = (if quota == Quota::EventsPerMinute { "events" } else { "requests" }, quota.name());
        let message = format!(
            "the tenant may send {limit} {what} in a minute (quota `{name}`), and has sent them; retry in {seconds} s, or \
             ask an operator for more"
        );
        Self::new(ErrorKind::Busy, "rate_limited", message)
            .extend("quota", name)
            .extend("limit", limit)
            .retry_after(seconds)
    }
}
