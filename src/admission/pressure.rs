//! Whether threads that answer requests come late, or the evaluation pool does, and whose requests are refused then.
//!
//! A thread is late while everything it does in a window waits for longer than a target, as in CoDel (RFC 8289): a burst
//! passes, a queue that stays does not. A thread that waits for a core is not late: other processes are to blame, and
//! refusing tenants would help nobody. While a thread is late, each tenant that uses more than its share of what the node
//! does is refused with the probability that brings it to its share; one that uses less never is.
//!
//! In the evaluation pool turns keep tenants to their shares. While there is a line before it, a tenant is refused as much as
//! waits there in vain: it is told so at once, and not after it has waited.

use std::time::Duration;

/// How late a thread may be.
const LATE: Duration = Duration::from_millis(5);
/// How long it must be late, or not, to count as such.
pub const WINDOW: Duration = Duration::from_millis(100);
/// All of a tenant's requests, in thousandths.
const ALL: u32 = 1_000;
/// While a thread is late the tenants together are to use so much of what they did, in thousandths. What they did is what
/// the node can do, and what they ask for is more: a queue of it waits, and is to become shorter.
const RELIEF: u64 = 700;
/// By how much more of a tenant's requests are admitted in the first window without pressure, in thousandths; in each
/// further one by twice as much as in the one before.
const RECOVERY: u32 = 30;
/// The least that is admitted: a tenant of which nothing were admitted would use nothing, and have no share.
const ADMITTED_MIN: u32 = 10;

/// How late a thread is: the least that it was in a window.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lateness {
    least: Option<Duration>,
}

/// What a tenant used in a window, in microseconds, and how much of what it asks for is admitted, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// The weight of its tier.
    pub weight: u64,
    /// What it used.
    pub used: u64,
    /// How many of a thousand requests are admitted.
    pub admitted: u32,
    /// Pieces of its work that left the line before the evaluation pool.
    pub pieces: u64,
    /// How many of them were given up, because they waited for too long.
    pub vain: u64,
}

impl Default for Use {
    fn default() -> Self {
        Self { weight: 1, used: 0, admitted: ALL, pieces: 0, vain: 0 }
    }
}

impl Lateness {
    /// The thread came so late, and since it came before had waited so long for a core.
    pub fn came(&mut self, late: Duration, without_core: Duration) {
        let late = late.saturating_sub(without_core);
        self.least = Some(self.least.map_or(late, |least| least.min(late)));
    }

    /// The window is over; answers whether the thread is late now, and how late it was.
    pub fn end_window(&mut self) -> (bool, Duration) {
        let least = self.least.take().unwrap_or_default();
        (least > LATE, least)
    }
}

/// What is admitted of tenants' requests after a window in which they used so much, while a thread is late. If they used
/// less than half of the time of one thread, it is late for something else: then refusing them would help nobody.
pub fn press(uses: &mut [Use], window: Duration) {
    let total: u64 = uses.iter().map(|of| of.used).sum();
    if u128::from(total) < window.as_micros() / 2 {
        uses.iter_mut().for_each(|of| _ = relax(of, 0));
        return;
    }
    let mut left = total.saturating_mul(RELIEF) / 1_000;
    let mut weights: u64 = uses.iter().filter(|of| of.used > 0).map(|of| of.weight).sum();
    let mut order: Vec<&mut Use> = uses.iter_mut().collect();
    // Those that use the least for their weight first: what they leave is the others'.
    order.sort_by_key(|of| of.used / of.weight.max(1));
    for of in order {
        let share = left.saturating_mul(of.weight) / weights.max(1);
        if of.used > share {
            let admitted = u64::from(of.admitted).saturating_mul(share) / of.used;
            of.admitted = u32::try_from(admitted).unwrap_or(ALL).clamp(ADMITTED_MIN, ALL);
        } else {
            relax(of, 0);
        }
        if of.used == 0 {
            continue;
        }
        left = left.saturating_sub(of.used.min(share));
        weights = weights.saturating_sub(of.weight);
    }
}

/// What is admitted of a tenant's requests after a window in which there was a line before the evaluation pool: less by half
/// of what waited in vain. All of it would be too much, because what waits already still does. Answers whether that is less
/// than before.
pub fn hold_back(of: &mut Use) -> bool {
    if of.vain == 0 {
        return false;
    }
    let pieces = of.pieces.max(of.vain);
    let admitted = u64::from(of.admitted).saturating_mul(2 * pieces - of.vain) / (2 * pieces);
    of.admitted = u32::try_from(admitted).unwrap_or(ALL).clamp(ADMITTED_MIN, ALL);
    true
}

/// The same after a window without pressure, of which so many in a row were before it; answers whether all is admitted
/// again.
pub fn relax(of: &mut Use, calm: u32) -> bool {
    of.admitted = of.admitted.saturating_add(RECOVERY << calm.min(5)).min(ALL);
    of.admitted == ALL
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(weight: u64, used: u64) -> Use {
        Use { weight, used, ..Use::default() }
    }

    #[test]
    fn a_burst_is_not_late_and_a_queue_that_stays_is() {
        let mut thread = Lateness::default();
        for late_ms in [80, 60, 40, 20, 3, 90] {
            thread.came(Duration::from_millis(late_ms), Duration::ZERO);
        }
        assert_eq!(thread.end_window(), (false, Duration::from_millis(3)));
        for late_ms in [9, 6, 80] {
            thread.came(Duration::from_millis(late_ms), Duration::ZERO);
        }
        assert_eq!(thread.end_window(), (true, Duration::from_millis(6)));
        assert_eq!(thread.end_window(), (false, Duration::ZERO));
    }

    #[test]
    fn a_thread_that_other_processes_keep_from_a_core_is_not_late() {
        let ms = Duration::from_millis;
        let mut thread = Lateness::default();
        // Idle but for a request now and then: what it is late, it waits for a core.
        for (late, without_core) in [(ms(12), ms(12)), (ms(30), ms(28)), (ms(9), ms(11)), (ms(20), ms(19))] {
            thread.came(late, without_core);
        }
        assert_eq!(thread.end_window(), (false, Duration::ZERO));
        // With half of a core, and a queue that would be there with all of it.
        for (late, without_core) in [(ms(90), ms(50)), (ms(70), ms(40))] {
            thread.came(late, without_core);
        }
        assert_eq!(thread.end_window(), (true, ms(30)));
    }

    #[test]
    fn who_uses_less_than_its_share_is_never_refused() {
        let mut uses = [of(1, 90_000), of(1, 5_000), of(1, 0)];
        press(&mut uses, WINDOW);
        assert_eq!((uses[1].admitted, uses[2].admitted), (ALL, ALL));
        // 0.7 of 95,000 less 5,000, of 90,000.
        assert_eq!(uses[0].admitted, 683);
    }

    #[test]
    fn shares_follow_the_weights() {
        let mut uses = [of(1, 50_000), of(6, 50_000)];
        press(&mut uses, WINDOW);
        assert_eq!(uses[1].admitted, ALL, "six sevenths of 70,000 are more than it uses");
        assert_eq!(uses[0].admitted, 400);
    }

    #[test]
    fn nobody_is_refused_for_what_tenants_do_not_do() {
        let mut uses = [of(1, 30_000), of(1, 10_000)];
        press(&mut uses, WINDOW);
        assert_eq!(uses.map(|of| of.admitted), [ALL, ALL]);
    }

    #[test]
    fn who_waits_in_vain_is_refused_before_it_waits() {
        let mut one = Use { pieces: 30, vain: 20, ..of(1, 100_000) };
        assert!(hold_back(&mut one));
        assert_eq!(one.admitted, 666);
        (one.pieces, one.vain) = (20, 0);
        assert!(!hold_back(&mut one));
        assert_eq!(one.admitted, 666);
    }

    #[test]
    fn what_is_refused_comes_back_when_there_is_no_pressure() {
        let mut one = Use { admitted: 250, ..of(1, 10) };
        let windows = (0..).find(|calm| relax(&mut one, *calm)).unwrap();
        assert_eq!(windows, 4);
    }

    proptest! {
        #[test]
        fn a_window_of_pressure_asks_for_no_more_than_was_too_much(
            uses in prop::collection::vec((1..7_u64, 0..100_000_u64), 1..20),
        ) {
            let mut uses: Vec<Use> = uses.into_iter().map(|(weight, used)| of(weight, used)).collect();
            press(&mut uses, Duration::ZERO);
            let before: u64 = uses.iter().map(|of| of.used).sum();
            let after: u64 = uses.iter().map(|of| of.used * u64::from(of.admitted) / 1_000).sum();
            prop_assert!(after <= before);
            if before > 10_000 {
                // Rounding, and the least that is admitted, aside.
                prop_assert!(after * 1_000 <= before * (RELIEF + 15), "{after} of {before}");
                let fair = |of: &Use| before * of.weight / uses.iter().filter(|of| of.used > 0).map(|of| of.weight).sum::<u64>();
                for of in &uses {
                    prop_assert!(of.admitted == ALL || of.used * 1_000 >= fair(of) * RELIEF - 1_000, "{of:?}");
                }
            }
        }

        /// A tenant that asks for some times what its turns are worth, window after window, is brought to no more than that
        /// and a line of a window's worth, while its turns are all used; and one whose work all begins is not refused.
        #[test]
        fn who_waits_in_vain_is_held_back_to_what_begins(turns in 5..200_u64, times in 1..20_u64, windows in 20..60_usize) {
            let (mut greedy, mut modest) = (of(1, 0), of(6, 0));
            let (mut waiting, mut begun) = (0, 0);
            for _ in 0..windows {
                let came = turns * times * u64::from(greedy.admitted) / 1_000;
                let began = turns.min(waiting + came);
                // Of those that came a window ago, what did not begin is given up.
                let vain = waiting.saturating_sub(began);
                waiting = (waiting + came).saturating_sub(began + vain);
                (greedy.pieces, greedy.vain) = (began + vain, vain);
                (modest.pieces, modest.vain) = (turns, 0);
                if !hold_back(&mut greedy) {
                    relax(&mut greedy, 0);
                }
                prop_assert!(!hold_back(&mut modest) && modest.admitted == ALL);
                begun += began;
            }
            prop_assert!(begun * 100 >= turns * windows as u64 * 75, "{begun} of {}", turns * windows as u64);
            prop_assert!(u64::from(greedy.admitted) * times <= 2_500, "{}", greedy.admitted);
            prop_assert!(times > 1 || greedy.admitted == ALL);
        }
    }
}
