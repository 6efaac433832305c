//! How much of one rate of a tenant this node has given out, in atomics. Nothing here waits: whoever finds that a block is
//! wanted asks for it in the background.
//!
//! What nodes cannot share, because there is no Redis or it does not answer, each gives out by itself: its part of the rate.
//! Everything given out counts there as well, so that it has no second part to give out once Redis is away; and what was
//! given out meanwhile is owed to the count of all nodes when that is back.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    admission::{Block, BlockRate, Grant, Order, Rate, Standing, Stock},
    domain::nanos,
};

/// How long an order may take before another is made, in nanoseconds: some times what Redis may take.
const ORDER_MAX: u64 = 100_000_000;
/// When to come again if a block is on its way.
const BLOCK_WAIT: Duration = Duration::from_millis(20);

/// How much of a rate was given out.
#[derive(Debug, Default)]
pub struct Tally {
    /// The state of this node's part.
    part: AtomicU64,
    /// The state of the whole, as far as is known.
    whole: AtomicU64,
    /// What is held of blocks ([`Stock`]).
    stock: AtomicU64,
    /// Until when it may be held.
    fresh_until: AtomicU64,
    /// What was given out of this node's part alone, and is not charged anywhere else: a state of it.
    owed: AtomicU64,
    /// When the next order may be made.
    order_at: AtomicU64,
    /// Whether the last order was not answered.
    is_alone: AtomicBool,
}

/// Changes an atomic to what `change` makes of it; answers what that says.
fn change<T>(atomic: &AtomicU64, mut change: impl FnMut(u64) -> (u64, T)) -> T {
    let mut before = atomic.load(Ordering::Relaxed);
    loop {
        let (after, answer) = change(before);
        match atomic.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return answer,
            Err(other) => before = other,
        }
    }
}

impl Tally {
    /// Gives out up to `wanted` of this node's part.
    pub fn take(&self, rate: Rate, now: u64, wanted: u64) -> Grant {
        change(&self.part, |state| {
            let grant = rate.take(state, now, wanted);
            (grant.state, grant)
        })
    }

    /// Gives out up to `wanted` of what nodes share.
    pub fn take_shared(&self, rate: Rate, now: u64, wanted: u64) -> Grant {
        let shared = BlockRate::of(rate);
        let is_alone = self.is_alone.load(Ordering::Relaxed);
        let taken = self.whole.load(Ordering::Relaxed);
        let granted = change(&self.stock, |word| {
            let stock = Stock::of_word(word);
            let (granted, stock) = if is_alone {
                let granted = wanted.min(u64::from(stock.held()));
                (granted, stock.less(granted))
            } else {
                shared.give(stock, taken, now, wanted)
            };
            (stock.to_word(), granted)
        });
        if granted > 0 {
            change(&self.part, |state| (rate.charge(state, now, granted), ()));
        }
        if is_alone && granted < wanted {
            let grant = self.take(rate, now, wanted - granted);
            change(&self.owed, |state| (rate.charge(state, now, grant.granted), ()));
            return Grant { granted: granted + grant.granted, ..grant };
        }
        let standing = shared.whole().standing(taken, now);
        let wait = if standing.left == 0 { standing.reset } else { BLOCK_WAIT };
        let wait = if granted < wanted { wait } else { Duration::ZERO };
        Grant { granted, state: taken, wait }
    }

    /// Notes that so many were given out before it was known how many may be.
    pub fn charge(&self, rate: Rate, now: u64, count: u64) {
        change(&self.part, |state| (rate.charge(state, now, count), ()));
        change(&self.stock, |word| (Stock::of_word(word).less(count.min(rate.limit())).to_word(), ()));
    }

    /// How this node's part stands.
    pub fn standing(&self, rate: Rate, now: u64) -> Standing {
        rate.standing(self.part.load(Ordering::Relaxed), now)
    }

    /// How what nodes share stands, as far as this one knows; and the rate that this is of.
    pub fn standing_shared(&self, rate: Rate, now: u64) -> (Rate, Standing) {
        if self.is_alone.load(Ordering::Relaxed) {
            return (rate, self.standing(rate, now));
        }
        let shared = BlockRate::of(rate);
        (shared.whole(), shared.standing(self.stock(), self.whole.load(Ordering::Relaxed), now))
    }

    /// How many it would give out now.
    pub fn left_shared(&self, rate: Rate, now: u64) -> Standing {
        if self.is_alone.load(Ordering::Relaxed) {
            let Standing { left, reset } = self.standing(rate, now);
            return Standing { left: left.max(u64::from(self.stock().held())), reset };
        }
        let (shared, taken) = (BlockRate::of(rate), self.whole.load(Ordering::Relaxed));
        let (left, _) = shared.give(self.stock(), taken, now, 1);
        let left = left.max(u64::from(self.stock().held()));
        let whole = shared.whole().standing(taken, now);
        Standing { left, reset: if whole.left == 0 { whole.reset } else { BLOCK_WAIT } }
    }

    /// What to order now, if anything. Whoever is answered with an order makes it.
    pub fn order(&self, rate: Rate, now: u64) -> Option<Order> {
        let at = self.order_at.load(Ordering::Relaxed);
        if now < at {
            return None;
        }
        let (shared, taken) = (BlockRate::of(rate), self.whole.load(Ordering::Relaxed));
        let fresh_until = self.fresh_until.load(Ordering::Relaxed);
        shared.order(self.stock(), taken, fresh_until, now)?;
        let next = now.saturating_add(ORDER_MAX);
        self.order_at.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let order = change(&self.stock, |word| {
            let stock = Stock::of_word(word);
            match shared.order(stock, taken, fresh_until, now) {
                Some((order, stock)) => (stock.to_word(), Some(order)),
                None => (word, None),
            }
        });
        let Some(order) = order else {
            self.order_at.store(at, Ordering::Relaxed);
            return None;
        };
        Some(Order { owed: rate.used(self.owed.load(Ordering::Relaxed), now), ..order })
    }

    /// Notes what became of an order.
    pub fn answered(&self, rate: Rate, order: Order, block: Option<Block>, now: u64) {
        let Some(Block { granted, ahead }) = block else {
            self.is_alone.store(true, Ordering::Relaxed);
            // It is still ours.
            change(&self.stock, |word| (Stock::of_word(word).with(order.returned).to_word(), ()));
            self.order_at.store(now.saturating_add(ORDER_MAX), Ordering::Relaxed);
            return;
        };
        self.whole.store(now.saturating_add(nanos(ahead)), Ordering::Relaxed);
        self.fresh_until.store(now.saturating_add(nanos(BlockRate::of(rate).fresh_for())), Ordering::Relaxed);
        change(&self.owed, |state| (state.saturating_sub(nanos(rate.time_of(order.owed))), ()));
        change(&self.stock, |word| (Stock::of_word(word).with(granted).to_word(), ()));
        self.is_alone.store(false, Ordering::Relaxed);
        self.order_at.store(now, Ordering::Relaxed);
    }

    /// Whether forgetting it changes nothing.
    pub fn is_past(&self, now: u64) -> bool {
        self.part.load(Ordering::Relaxed) <= now
    }

    fn stock(&self) -> Stock {
        Stock::of_word(self.stock.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
