//! Whose turn it is where many want the same few threads: everyone gets time in proportion to a weight, however its work
//! is cut up.
//!
//! Fair queueing by virtual time. Each contender has a clock that its own work moves on, slower the greater its weight;
//! whose clock is furthest behind is next. What a turn took beyond its due is therefore owed, and a contender that comes
//! back after a while begins where the others are: what it did not use is not saved up. There are three levels: requests
//! and events, the tiers, the tenants of a tier.

use std::{collections::HashMap, hash::Hash};

use crate::domain::{TenantId, Tier};

/// What a tier's tenants weigh together.
pub const TIER_WEIGHTS: [u64; 3] = [1, 3, 6];
/// What requests and events weigh: events have a fifth of the time while both wait.
const CLASS_WEIGHTS: [u64; 2] = [4, 1];
/// A unit of virtual time is so small a part of a microsecond that weights divide it.
const SCALE: u64 = 1_000;

/// What kind of work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits for the answer.
    Requests,
    /// Events, which wait in a queue.
    Events,
}

/// Who wants a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Contender {
    /// The tenant.
    pub tenant: TenantId,
    /// Its tier.
    pub tier: Tier,
    /// What it wants the turn for.
    pub class: Class,
}

/// Who wants turns, and what each has had.
#[derive(Debug, Default)]
pub struct Turns {
    classes: Level<Class>,
    tiers: HashMap<Class, Level<Tier>>,
    tenants: HashMap<(Class, Tier), Level<TenantId>>,
}

/// One level of it.
#[derive(Debug)]
struct Level<K> {
    contenders: HashMap<K, Clock>,
    /// The clock of whoever had the last turn: newcomers begin here.
    now: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    at: u64,
    /// How much work waits, or is being done.
    pieces: usize,
    /// How much of it waits.
    waiting: usize,
}

impl<K> Default for Level<K> {
    fn default() -> Self {
        Self { contenders: HashMap::new(), now: 0 }
    }
}

impl<K: Copy + Eq + Hash + Ord> Level<K> {
    /// A piece of work has come, and waits.
    fn arrive(&mut self, key: K) {
        let now = self.now;
        let clock = self.contenders.entry(key).or_insert(Clock { at: now, pieces: 0, waiting: 0 });
        clock.pieces += 1;
        clock.waiting += 1;
    }

    /// Of those that wait and are `wanted`, whose clock is furthest behind.
    fn next(&self, wanted: impl Fn(K) -> bool) -> Option<K> {
        let waiting = self.contenders.iter().filter(|(key, clock)| clock.waiting > 0 && wanted(**key));
        waiting.min_by_key(|(key, clock)| (clock.at, **key)).map(|(key, _)| *key)
    }

    /// A piece begins, or goes on.
    fn begin(&mut self, key: K) {
        if let Some(clock) = self.contenders.get_mut(&key) {
            clock.waiting = clock.waiting.saturating_sub(1);
            self.now = self.now.max(clock.at);
        }
    }

    /// A piece that was begun waits again.
    fn pause(&mut self, key: K) {
        if let Some(clock) = self.contenders.get_mut(&key) {
            clock.waiting += 1;
        }
    }

    fn charge(&mut self, key: K, micros: u64, weight: u64) {
        if let Some(clock) = self.contenders.get_mut(&key) {
            clock.at = clock.at.saturating_add(micros.saturating_mul(SCALE) / weight.max(1));
        }
    }

    /// A piece that waits is given up.
    fn give_up(&mut self, key: K) {
        if let Some(clock) = self.contenders.get_mut(&key) {
            clock.waiting = clock.waiting.saturating_sub(1);
        }
        self.finish(key);
    }

    /// A piece is done with. Whoever has no other is forgotten, unless it is ahead of others that have: that is owed.
    fn finish(&mut self, key: K) {
        if let Some(clock) = self.contenders.get_mut(&key) {
            clock.pieces = clock.pieces.saturating_sub(1);
        }
        if self.contenders.values().all(|clock| clock.pieces == 0) {
            self.now = self.contenders.values().map(|clock| clock.at).fold(self.now, u64::max);
        }
        let now = self.now;
        self.contenders.retain(|_, clock| clock.pieces > 0 || clock.at > now);
    }
}

impl Turns {
    /// A piece of work has come.
    pub fn arrive(&mut self, of: Contender) {
        self.classes.arrive(of.class);
        self.tiers.entry(of.class).or_default().arrive(of.tier);
        self.tenants.entry((of.class, of.tier)).or_default().arrive(of.tenant);
    }

    /// Whose turn it is among those that wait, of those that `may` have one.
    pub fn next(&self, may: impl Fn(Contender) -> bool) -> Option<Contender> {
        let tenant_of = |class, tier| {
            let tenants = self.tenants.get(&(class, tier))?;
            let tenant = tenants.next(|tenant| may(Contender { tenant, tier, class }))?;
            Some(Contender { tenant, tier, class })
        };
        let tier_of = |class| {
            let tiers = self.tiers.get(&class)?;
            tenant_of(class, tiers.next(|tier| tenant_of(class, tier).is_some())?)
        };
        tier_of(self.classes.next(|class| tier_of(class).is_some())?)
    }

    /// A piece of work of a contender begins, or goes on.
    pub fn begin(&mut self, of: Contender) {
        self.each(of, Level::begin, Level::begin, Level::begin);
    }

    /// A piece of work has had `micros`.
    pub fn charge(&mut self, of: Contender, micros: u64) {
        let weight = |weights: &[u64], place: usize| weights.get(place).copied().unwrap_or(1);
        self.each(
            of,
            |level, class| level.charge(class, micros, weight(&CLASS_WEIGHTS, class as usize)),
            |level, tier| level.charge(tier, micros, weight(&TIER_WEIGHTS, tier as usize)),
            |level, tenant| level.charge(tenant, micros, 1),
        );
    }

    /// A piece of work that was begun waits for its next turn.
    pub fn pause(&mut self, of: Contender) {
        self.each(of, Level::pause, Level::pause, Level::pause);
    }

    /// A piece of work that was begun is done with.
    pub fn finish(&mut self, of: Contender) {
        self.each(of, Level::finish, Level::finish, Level::finish);
    }

    /// A piece of work is given up that waits for its first turn.
    pub fn give_up(&mut self, of: Contender) {
        self.each(of, Level::give_up, Level::give_up, Level::give_up);
    }

    /// How much work of a tier has its turn, and how much waits for one.
    pub fn work_of(&self, tier: Tier) -> (usize, usize) {
        let clocks = self.tiers.values().filter_map(|tiers| tiers.contenders.get(&tier));
        clocks.fold((0, 0), |(active, waiting), clock| {
            (active + clock.pieces.saturating_sub(clock.waiting), waiting + clock.waiting)
        })
    }

    /// How much work has its turn.
    pub fn active(&self) -> usize {
        Tier::ALL.map(|tier| self.work_of(tier).0).iter().sum()
    }

    fn each(
        &mut self,
        of: Contender,
        class: impl FnOnce(&mut Level<Class>, Class),
        tier: impl FnOnce(&mut Level<Tier>, Tier),
        tenant: impl FnOnce(&mut Level<TenantId>, TenantId),
    ) {
        class(&mut self.classes, of.class);
        if let Some(tiers) = self.tiers.get_mut(&of.class) {
            tier(tiers, of.tier);
        }
        if let Some(tenants) = self.tenants.get_mut(&(of.class, of.tier)) {
            tenant(tenants, of.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn contender(number: u128, tier: Tier, class: Class) -> Contender {
        Contender { tenant: TenantId(Uuid::from_u128(number)), tier, class }
    }

    fn free(number: u128) -> Contender {
        contender(number, Tier::Free, Class::Requests)
    }

    /// Gives `rounds` turns among contenders that always have work, each of which takes as long as is said; answers how
    /// long each had, in their order.
    fn shares(contenders: &[(Contender, u64)], rounds: usize) -> Vec<u64> {
        let mut turns = Turns::default();
        for (contender, _) in contenders {
            turns.arrive(*contender);
        }
        let mut had: Vec<u64> = contenders.iter().map(|_| 0).collect();
        for _ in 0..rounds {
            let next = turns.next(|_| true).unwrap();
            let place = contenders.iter().position(|(contender, _)| *contender == next).unwrap();
            turns.begin(next);
            turns.charge(next, contenders[place].1);
            had[place] += contenders[place].1;
            turns.arrive(next);
            turns.finish(next);
        }
        had
    }

    #[test]
    fn tenants_of_a_tier_have_the_same_time_however_long_their_turns_are() {
        let mixed: Vec<(Contender, u64)> = (0..10).map(|number| (free(number), 50 + 977 * number as u64)).collect();
        let had = shares(&mixed, 20_000);
        let (sum, squares) = (had.iter().sum::<u64>() as f64, had.iter().map(|had| (*had as f64).powi(2)).sum::<f64>());
        let jain = sum * sum / (had.len() as f64 * squares);
        assert!(jain > 0.999, "{jain} {had:?}");
    }

    #[test]
    fn tiers_have_time_by_their_weights_whatever_the_number_of_tenants() {
        let mut contenders: Vec<(Contender, u64)> = (0..20).map(|number| (free(number), 3_000)).collect();
        contenders.push((contender(100, Tier::Pro, Class::Requests), 700));
        contenders.push((contender(200, Tier::Enterprise, Class::Requests), 5_000));
        let had = shares(&contenders, 50_000);
        let free: u64 = had[..20].iter().sum();
        for (had, weight) in [(had[20], 3.0), (had[21], 6.0)] {
            let ratio = had as f64 / free as f64;
            assert!((ratio / weight - 1.0).abs() < 0.02, "{ratio} {weight}");
        }
    }

    #[test]
    fn events_have_a_fifth_while_requests_wait_and_everything_else() {
        let events = contender(1, Tier::Enterprise, Class::Events);
        let had = shares(&[(free(2), 5_000), (events, 20_000)], 10_000);
        let ratio = had[1] as f64 / (had[0] + had[1]) as f64;
        assert!((ratio - 0.2).abs() < 0.005, "{ratio}");
        assert_eq!(shares(&[(events, 20_000)], 10), [200_000]);
    }

    #[test]
    fn what_a_turn_took_beyond_its_due_is_owed_also_by_who_went_away() {
        let mut turns = Turns::default();
        turns.arrive(free(1));
        turns.begin(free(1));
        turns.arrive(free(2));
        turns.charge(free(1), 50_000);
        turns.finish(free(1));
        turns.arrive(free(1));
        for _ in 0..10 {
            assert_eq!(turns.next(|_| true), Some(free(2)));
            turns.begin(free(2));
            turns.charge(free(2), 5_000);
            turns.pause(free(2));
        }
        turns.begin(free(2));
        turns.charge(free(2), 1);
        turns.pause(free(2));
        assert_eq!(turns.next(|_| true), Some(free(1)));
    }

    #[test]
    fn who_was_away_has_saved_nothing_up() {
        let mut turns = Turns::default();
        turns.arrive(free(1));
        for _ in 0..1_000 {
            turns.begin(free(1));
            turns.charge(free(1), 5_000);
            turns.pause(free(1));
        }
        turns.arrive(free(2));
        let mut in_a_row = 0;
        while turns.next(|_| true) == Some(free(2)) {
            turns.begin(free(2));
            turns.charge(free(2), 5_000);
            turns.pause(free(2));
            in_a_row += 1;
        }
        assert!(in_a_row <= 2, "{in_a_row}");
    }

    proptest! {
        /// Whoever waits has a turn before any other has had two that began after it came: nobody waits for more than a round.
        #[test]
        fn nobody_waits_for_more_than_a_round(
            steps in prop::collection::vec((0..6_u128, 1..50_000_u64, 0..3_u8), 1..400),
        ) {
            let mut turns = Turns::default();
            let mut waiting: HashMap<TenantId, HashMap<TenantId, u32>> = HashMap::new();
            for (number, micros, kind) in steps {
                if kind > 0 && !waiting.contains_key(&free(number).tenant) {
                    turns.arrive(free(number));
                    waiting.insert(free(number).tenant, HashMap::new());
                }
                if kind < 2 && let Some(next) = turns.next(|_| true) {
                    waiting.remove(&next.tenant);
                    for passed_by in waiting.values_mut() {
                        // A turn is at most 50 ms, and what one of that length owes is worked off by the next.
                        *passed_by.entry(next.tenant).or_default() += 1;
                    }
                    turns.begin(next);
                    turns.charge(next, micros.max(25_000));
                    turns.finish(next);
                }
                for passed_by in waiting.values() {
                    prop_assert!(passed_by.values().all(|times| *times <= 3), "{passed_by:?}");
                }
            }
            prop_assert_eq!(turns.work_of(Tier::Free), (0, waiting.len()));
        }

        /// However work comes and goes, none is lost and nothing is left behind.
        #[test]
        fn all_that_came_has_its_turn(steps in prop::collection::vec((0..8_u128, 0..3_usize, 0..3_u8), 1..300)) {
            let mut turns = Turns::default();
            let mut pieces = 0;
            let class = |number: u128| if number.is_multiple_of(2) { Class::Requests } else { Class::Events };
            for (number, tier, kind) in steps {
                let of = contender(number, Tier::ALL[tier], class(number));
                match kind {
                    0 => { turns.arrive(of); pieces += 1; }
                    1 => if let Some(next) = turns.next(|_| true) {
                        turns.begin(next);
                        turns.charge(next, 10);
                        turns.finish(next);
                        pieces -= 1;
                    },
                    _ => if let Some(next) = turns.next(|_| true) { turns.give_up(next); pieces -= 1; },
                }
                prop_assert_eq!(Tier::ALL.map(|tier| turns.work_of(tier).1).iter().sum::<usize>(), pieces);
                prop_assert_eq!(turns.active(), 0);
            }
            while let Some(next) = turns.next(|_| true) {
                turns.begin(next);
                turns.finish(next);
                pieces -= 1;
            }
            prop_assert_eq!(pieces, 0);
            prop_assert!(turns.classes.contenders.is_empty());
            prop_assert!(turns.tenants.values().all(|tenants| tenants.contenders.is_empty()));
        }
    }
}
