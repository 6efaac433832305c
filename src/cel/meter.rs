//! What an evaluation may still take: cost, memory, and its part of the work of a decision.

use std::cell::{Cell, OnceCell};

use super::{
    account::{Account, Computed, Marks},
    run::{Fault, Limits},
};

/// More than any evaluation may do.
pub(super) const WORK_UNLIMITED: u64 = 1 << 62;

/// What an evaluation may still take.
#[derive(Debug)]
pub struct Meter {
    /// What may still be spent: the lesser of what is left to the evaluation, and to the work of the whole decision.
    cost_left: Cell<u64>,
    /// What the greater of the two has above that: more is left to the work than to the evaluation where positive.
    work_ahead: Cell<i64>,
    memory_left: Cell<u64>,
    cost_max: u64,
    /// What was charged for deferred values, once one is read.
    account: OnceCell<Box<Account>>,
}

impl Meter {
    /// For an evaluation within `limits`, which may do so much work for itself and for the deferred values that it is the
    /// first to read.
    #[inline]
    pub fn new(limits: Limits, work_max: u64) -> Self {
        let (cost_max, work_max) = (limits.cost_max.min(WORK_UNLIMITED), work_max.min(WORK_UNLIMITED));
        Self {
            cost_left: Cell::new(cost_max.min(work_max)),
            work_ahead: Cell::new(work_max.cast_signed() - cost_max.cast_signed()),
            memory_left: Cell::new(limits.memory_bytes_max),
            cost_max,
            account: OnceCell::new(),
        }
    }

    /// For an evaluation within `limits` alone.
    #[inline]
    pub fn of(limits: Limits) -> Self {
        Self::new(limits, WORK_UNLIMITED)
    }

    /// What is left of the cost.
    #[inline]
    pub(super) fn cost_left(&self) -> u64 {
        self.cost_left.get()
    }

    /// What is left to the evaluation, and to the work of the whole decision.
    fn left(&self) -> (u64, u64) {
        let (least, ahead) = (self.cost_left.get(), self.work_ahead.get());
        let most = least.saturating_add(ahead.unsigned_abs());
        if ahead < 0 { (most, least) } else { (least, most) }
    }

    /// What is left to the work of the whole decision.
    pub(super) fn work_left(&self) -> u64 {
        self.left().1
    }

    /// Units charged.
    pub(super) fn cost(&self) -> u64 {
        self.cost_max - self.left().0
    }

    /// Units of work done, without what others had done before.
    pub(super) fn work(&self) -> u64 {
        let done = self.account.get().map_or(0, |account| account.done.get());
        self.own_cost().saturating_add(done)
    }

    /// Units charged for anything but deferred values.
    pub(super) fn own_cost(&self) -> u64 {
        let charged = self.account.get().map_or(0, |account| account.charged.get());
        self.cost().saturating_sub(charged)
    }

    /// The deferred values that were read.
    pub(super) fn into_reads(self) -> Marks {
        self.account.into_inner().map(|account| account.into_reads()).unwrap_or_default()
    }

    /// Takes `units` from what may still be spent.
    #[inline]
    pub(super) fn charge(&self, units: u64) -> Result<(), Fault> {
        match self.cost_left.get().checked_sub(units) {
            Some(left) => {
                self.cost_left.set(left);
                Ok(())
            }
            None => Err(self.cost_exceeded()),
        }
    }

    /// Takes what a deferred value costs, and the work that was done for it now.
    pub(super) fn charge_computed<'c>(
        &self,
        number: u32,
        computed: &'c Computed,
        work: u64,
        known: impl Fn(u32) -> Option<&'c Computed>,
    ) -> Result<(), Fault> {
        let account = self.account.get_or_init(Box::default);
        let units = account.enter(number, computed, known);
        account.done.set(account.done.get().saturating_add(work));
        let (cost_left, work_left) = self.left();
        account.charged.set(account.charged.get().saturating_add(units.min(cost_left)));
        let work_left = work_left.saturating_sub(work);
        let is_exceeded = units > cost_left;
        let cost_left = cost_left.saturating_sub(units);
        self.cost_left.set(cost_left.min(work_left));
        self.work_ahead.set(work_left.cast_signed() - cost_left.cast_signed());
        if is_exceeded && computed.outcome.is_ok() { Err(self.cost_exceeded()) } else { Ok(()) }
    }

    /// Takes memory.
    pub(super) fn take_memory(&self, bytes: usize) -> Result<(), Fault> {
        match self.memory_left.get().checked_sub(bytes as u64) {
            Some(left) => {
                self.memory_left.set(left);
                Ok(())
            }
            None => Err(Fault::new("memory_exceeded", "the evaluation makes more values than it may hold")),
        }
    }

    /// Ends the evaluation: nothing is left to it.
    #[cold]
    fn cost_exceeded(&self) -> Fault {
        let used = self.cost();
        let message = match self.work_ahead.get() {
            0.. => format!("stopped after {used} of the {} units of cost that an evaluation may take", self.cost_max),
            _ => format!("stopped after {used} units of cost: the decision has used up what all its rules may take"),
        };
        self.cost_left.set(0);
        Fault::new("cost_exceeded", message)
    }
}
