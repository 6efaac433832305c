//! How the tiers share a few places, such as the connections of a pool: each tier may have so many together with those
//! below it, so that the higher ones always find some; and within a tier no tenant has more than half while another waits.

use std::collections::{HashMap, VecDeque};

use crate::domain::{TenantId, Tier};

/// Who waits in a tier's line, at most: so many times its places.
const LINE: usize = 16;

/// Somebody who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What asking for a place comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It is there.
    Given,
    /// It has to be waited for.
    Queued(Ticket),
    /// Too many wait.
    Full,
}

/// Somebody who waits in a line.
#[derive(Debug, Clone, Copy)]
struct Waiter {
    ticket: Ticket,
    tenant: TenantId,
    /// Places that the tenant may have.
    cap: usize,
}

/// How a tier's places stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneStatus {
    /// Places that its tenants have.
    pub active: usize,
    /// Tenants' calls that wait.
    pub pending: usize,
    /// Places that its tenants may have, if nobody of a lower tier has any.
    pub most: usize,
}

/// Places, and who has and awaits them.
#[derive(Debug)]
pub struct Lanes {
    /// What each tier may have together with those below it.
    most: [usize; 3],
    active: [usize; 3],
    lines: [VecDeque<Waiter>; 3],
    tenants: HashMap<TenantId, usize>,
    next: u64,
}

impl Lanes {
    /// Places of which each tier may have so many, with those below it.
    pub fn new(most: [usize; 3]) -> Self {
        Self { most, active: [0; 3], lines: Default::default(), tenants: HashMap::new(), next: 0 }
    }

    /// Asks for a place, of which the tenant may have `cap`.
    pub fn enter(&mut self, tenant: TenantId, tier: Tier, cap: usize) -> Entry {
        let cap = cap.max(1);
        let is_awaited = self.next_of(tier).is_some();
        if !is_awaited && self.has_room(tier) && self.places_of(tenant) < cap {
            self.give(tenant, tier);
            return Entry::Given;
        }
        if self.line(tier).len() >= LINE * self.most_of(tier) {
            return Entry::Full;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        if let Some(line) = self.lines.get_mut(tier as usize) {
            line.push_back(Waiter { ticket, tenant, cap });
        }
        Entry::Queued(ticket)
    }

    /// Gives a place back; answers who has one now.
    pub fn leave(&mut self, tenant: TenantId, tier: Tier) -> Vec<Ticket> {
        if let Some(active) = self.active.get_mut(tier as usize) {
            *active = active.saturating_sub(1);
        }
        if let Some(places) = self.tenants.get_mut(&tenant) {
            *places -= 1;
            if *places == 0 {
                self.tenants.remove(&tenant);
            }
        }
        self.serve()
    }

    /// Somebody waits no more; answers who has a place now. `false`: the place was given already.
    pub fn give_up(&mut self, ticket: Ticket) -> (bool, Vec<Ticket>) {
        for line in &mut self.lines {
            if let Some(at) = line.iter().position(|waiter| waiter.ticket == ticket) {
                line.remove(at);
                return (true, self.serve());
            }
        }
        (false, Vec::new())
    }

    /// How a tier's places stand.
    pub fn status(&self, tier: Tier) -> LaneStatus {
        let active = self.active.get(tier as usize).copied().unwrap_or_default();
        LaneStatus { active, pending: self.line(tier).len(), most: self.most_of(tier) }
    }

    /// Gives places to those who wait, the first first, as long as there are any.
    fn serve(&mut self) -> Vec<Ticket> {
        let mut served = Vec::new();
        while let Some((ticket, tenant, tier)) = self.next_served() {
            if let Some(line) = self.lines.get_mut(tier as usize) {
                line.retain(|waiter| waiter.ticket != ticket);
            }
            self.give(tenant, tier);
            served.push(ticket);
        }
        served
    }

    /// Whoever has waited longest, of the tiers that have room.
    fn next_served(&self) -> Option<(Ticket, TenantId, Tier)> {
        let of_tier = |tier: Tier| {
            let Waiter { ticket, tenant, .. } = self.next_of(tier).filter(|_| self.has_room(tier))?;
            Some((ticket, tenant, tier))
        };
        Tier::ALL.into_iter().filter_map(of_tier).min_by_key(|(ticket, ..)| *ticket)
    }

    /// Whoever is next in a tier's line: the first whose tenant has less than half, or else the first who may have more.
    fn next_of(&self, tier: Tier) -> Option<Waiter> {
        let half = (self.most_of(tier) / 2).max(1);
        let may = || self.line(tier).iter().filter(|waiter| self.places_of(waiter.tenant) < waiter.cap);
        may().find(|waiter| self.places_of(waiter.tenant) < half).or_else(|| may().next()).copied()
    }

    /// Whether one more may be given to a tier: its own limit holds, and those of the tiers above, which count it, too.
    fn has_room(&self, tier: Tier) -> bool {
        let mut together = 0;
        let levels = self.active.iter().zip(&self.most).enumerate();
        let mut has_room = true;
        for (level, (active, most)) in levels {
            together += active;
            has_room &= level < tier as usize || together < *most;
        }
        has_room
    }

    fn give(&mut self, tenant: TenantId, tier: Tier) {
        if let Some(active) = self.active.get_mut(tier as usize) {
            *active += 1;
        }
        *self.tenants.entry(tenant).or_default() += 1;
    }

    fn places_of(&self, tenant: TenantId) -> usize {
        self.tenants.get(&tenant).copied().unwrap_or_default()
    }

    fn line(&self, tier: Tier) -> &VecDeque<Waiter> {
        const NOBODY: &VecDeque<Waiter> = &VecDeque::new();
        self.lines.get(tier as usize).unwrap_or(NOBODY)
    }

    fn most_of(&self, tier: Tier) -> usize {
        self.most.get(tier as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    fn lanes() -> Lanes {
        Lanes::new([4, 7, 10])
    }

    #[test]
    fn the_higher_tiers_find_places_that_no_lower_one_can_take() {
        let mut lanes = lanes();
        let mut given =
            |number, tier| (0..20).filter(|_| lanes.enter(tenant(number), tier, 100) == Entry::Given).count();
        assert_eq!(given(1, Tier::Free), 4);
        assert_eq!(given(2, Tier::Pro), 3);
        assert_eq!(given(3, Tier::Enterprise), 3);
        assert_eq!(lanes.status(Tier::Free), LaneStatus { active: 4, pending: 16, most: 4 });
        let mut lanes = self::lanes();
        let mut given =
            |number, tier| (0..20).filter(|_| lanes.enter(tenant(number), tier, 100) == Entry::Given).count();
        assert_eq!((given(3, Tier::Enterprise), given(1, Tier::Free), given(2, Tier::Pro)), (10, 0, 0));
    }

    #[test]
    fn no_tenant_has_more_than_half_while_another_waits() {
        let mut lanes = lanes();
        let (one, other) = (tenant(1), tenant(2));
        for _ in 0..4 {
            assert_eq!(lanes.enter(one, Tier::Free, 100), Entry::Given);
        }
        let mut queue = |tenant| match lanes.enter(tenant, Tier::Free, 100) {
            Entry::Queued(ticket) => ticket,
            entry => panic!("{entry:?}"),
        };
        let [first, second, third, late] = [queue(one), queue(one), queue(one), queue(other)];
        assert_eq!(lanes.leave(one, Tier::Free), [late]);
        // Alone again, it may have all.
        assert_eq!(lanes.leave(one, Tier::Free), [first]);
        assert_eq!(lanes.give_up(second), (true, Vec::new()));
        assert_eq!(lanes.give_up(second), (false, Vec::new()));
        assert_eq!(lanes.leave(other, Tier::Free), [third]);
        assert_eq!(lanes.leave(one, Tier::Free), []);
    }

    #[test]
    fn a_tenant_has_no_more_than_its_own_quota_and_keeps_nobody_waiting() {
        let mut lanes = lanes();
        assert_eq!(lanes.enter(tenant(1), Tier::Pro, 2), Entry::Given);
        assert_eq!(lanes.enter(tenant(1), Tier::Pro, 2), Entry::Given);
        let Entry::Queued(third) = lanes.enter(tenant(1), Tier::Pro, 2) else { panic!() };
        assert_eq!(lanes.enter(tenant(2), Tier::Pro, 2), Entry::Given);
        assert_eq!(lanes.leave(tenant(2), Tier::Pro), []);
        assert_eq!(lanes.leave(tenant(1), Tier::Pro), [third]);
    }

    proptest! {
        /// Whatever comes and goes, nobody has more than is there, who waits is served as soon as there is room, and nothing
        /// is lost.
        #[test]
        fn places_are_neither_lost_nor_given_twice(steps in prop::collection::vec((0..4u8, 0..3usize, 0..5u128), 1..300)) {
            let mut lanes = lanes();
            let (mut active, mut waiting) = (Vec::new(), Vec::new());
            for (step, tier, number) in steps {
                let (tier, tenant) = (Tier::ALL[tier], tenant(number));
                let served = match step {
                    0 | 1 => {
                        match lanes.enter(tenant, tier, 100) {
                            Entry::Given => active.push((tenant, tier)),
                            Entry::Queued(ticket) => waiting.push((ticket, tenant, tier)),
                            Entry::Full => prop_assert_eq!(lanes.status(tier).pending, LINE * lanes.status(tier).most),
                        }
                        Vec::new()
                    }
                    2 if !active.is_empty() => {
                        let (tenant, tier) = active.remove(usize::try_from(number).unwrap() % active.len());
                        lanes.leave(tenant, tier)
                    }
                    3 if !waiting.is_empty() => {
                        let (ticket, ..) = waiting.remove(usize::try_from(number).unwrap() % waiting.len());
                        let (was_waiting, served) = lanes.give_up(ticket);
                        prop_assert!(was_waiting);
                        served
                    }
                    _ => Vec::new(),
                };
                for ticket in served {
                    let at = waiting.iter().position(|(other, ..)| *other == ticket).unwrap();
                    let (_, tenant, tier) = waiting.remove(at);
                    active.push((tenant, tier));
                }
                let count = |tier| active.iter().filter(|(_, of)| *of == tier).count();
                let [free, pro, enterprise] = Tier::ALL.map(count);
                prop_assert!(free <= 4 && free + pro <= 7 && free + pro + enterprise <= 10);
                prop_assert_eq!(Tier::ALL.map(|tier| lanes.status(tier).active), [free, pro, enterprise]);
                for tier in Tier::ALL {
                    let has_room = free + pro + enterprise < 10
                        && (tier == Tier::Enterprise || free + pro < 7)
                        && (tier != Tier::Free || free < 4);
                    prop_assert!(!has_room || lanes.status(tier).pending == 0, "{:?} waits for nothing", tier);
                }
            }
        }
    }
}
