//! Who leaves memory: those that nobody has used for their idle time, and where there are too many, or too many bytes
//! of compiled rules, those used least recently. A pure function of what is in memory at one moment.

use crate::{
    domain::TenantId,
    engine::registry::{Room, Seat},
};

/// Who is to leave. In each list those used least recently come first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leaving {
    /// Nobody has used them for their idle time.
    pub idle: Vec<TenantId>,
    /// There is no room for them.
    pub surplus: Vec<TenantId>,
    /// Whether there is more in memory than may be even without them: the others stay whatever happens.
    pub is_crowded_still: bool,
}

/// Says who is to leave at `now_ms`. `seats` are all there are; where these are not too many, those that are idle do. The one used last always stays: alone, it would be loaded again at once.
pub fn choose(mut seats: Vec<Seat>, now_ms: u64, room: Room) -> Leaving {
    let (mut count, mut bytes) = (seats.len(), seats.iter().map(|seat| seat.memory_bytes).sum::<u64>());
    let last_used = seats.iter().map(|seat| (seat.used_at_ms, seat.tenant)).max();
    seats.retain(|seat| !seat.stays);
    let idle = |seat: &Seat| seat.is_idle(now_ms);
    let crowded = room.is_exceeded(count, bytes);
    if crowded || seats.iter().any(idle) {
        seats.sort_unstable_by_key(|seat| (seat.used_at_ms, seat.tenant));
    }
    let mut leaving = Leaving::default();
    let (idle, used): (Vec<Seat>, Vec<Seat>) = seats.into_iter().partition(idle);
    for seat in idle {
        count -= 1;
        bytes -= seat.memory_bytes;
        leaving.idle.push(seat.tenant);
    }
    for seat in used {
        if !crowded || !room.with_spare().is_exceeded(count, bytes) {
            break;
        }
        if Some((seat.used_at_ms, seat.tenant)) != last_used {
            count -= 1;
            bytes -= seat.memory_bytes;
            leaving.surplus.push(seat.tenant);
        }
    }
    leaving.is_crowded_still = room.is_exceeded(count, bytes);
    leaving
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room { count_max: 3, bytes_max: 300 };

    fn seats(used_at_ms: &[u64]) -> Vec<Seat> {
        let seat = |at: &u64| Seat {
            tenant: TenantId::generate(),
            used_at_ms: *at,
            idle_stop_ms: 1_000,
            memory_bytes: 100,
            stays: false,
        };
        used_at_ms.iter().map(seat).collect()
    }

    #[test]
    fn nobody_leaves_while_there_is_room() {
        assert_eq!(choose(seats(&[1, 2, 3]), 1_000, ROOM), Leaving::default());
        assert_eq!(choose(Vec::new(), 0, ROOM), Leaving::default());
    }

    #[test]
    fn each_leaves_after_its_own_idle_time() {
        let mut all = seats(&[0, 0, 900]);
        all[1].idle_stop_ms = 2_000;
        assert_eq!(choose(all.clone(), 1_000, ROOM).idle, [all[0].tenant]);
        assert_eq!(choose(all.clone(), 2_000, ROOM).idle, [all[0].tenant, all[1].tenant, all[2].tenant]);
    }

    #[test]
    fn beyond_the_count_the_least_recently_used_leave() {
        let all = seats(&[7, 3, 9, 5]);
        let room = Room { bytes_max: u64::MAX, ..ROOM };
        assert_eq!(choose(all.clone(), 10, room).surplus, [all[1].tenant]);
        assert_eq!(choose(all.clone(), 10, Room { count_max: 1, ..room }).surplus, [1, 3, 0].map(|n| all[n].tenant));
    }

    #[test]
    fn beyond_the_bytes_the_least_recently_used_leave_and_the_last_used_stays() {
        let mut all = seats(&[1, 2, 3]);
        all[2].memory_bytes = 150;
        assert_eq!(choose(all.clone(), 10, ROOM).surplus, [all[0].tenant]);
        assert_eq!(choose(all.clone(), 10, Room { bytes_max: 1, ..ROOM }).surplus, [all[0].tenant, all[1].tenant]);
    }

    #[test]
    fn one_that_stays_leaves_neither_idle_nor_crowded() {
        let mut all = seats(&[1, 2, 3, 4]);
        all[0].stays = true;
        let room = Room { bytes_max: u64::MAX, ..ROOM };
        assert_eq!(choose(all.clone(), 10, room).surplus, [all[1].tenant]);
        assert_eq!(choose(all.clone(), 9_999, ROOM).idle, [1, 2, 3].map(|n| all[n].tenant));
        all.iter_mut().for_each(|seat| seat.stays = true);
        let nobody = Leaving { is_crowded_still: true, ..Leaving::default() };
        assert_eq!(choose(all, 9_999, Room { count_max: 0, bytes_max: 0 }), nobody);
    }

    #[test]
    fn room_is_made_for_some_more_and_only_where_there_was_none() {
        let all = seats(&(0..200).collect::<Vec<_>>());
        let room = |count_max| Room { count_max, bytes_max: u64::MAX };
        assert_eq!(choose(all.clone(), 200, room(200)), Leaving::default());
        let leaving = choose(all, 200, room(199));
        assert_eq!((leaving.surplus.len(), leaving.is_crowded_still), (1 + 199 / 64, false));
    }

    proptest! {
        /// Afterwards there is room again, or nobody is left who could go; and no more leave than have to.
        #[test]
        fn as_many_leave_as_must(
            given in prop::collection::vec((0..100u64, 0..50u64, any::<bool>()), 0..40),
            count_max in 0..40usize,
            bytes_max in 0..1_000u64,
        ) {
            let mut all = seats(&given.iter().map(|(at, ..)| *at).collect::<Vec<_>>());
            for (seat, (_, bytes, stays)) in all.iter_mut().zip(&given) {
                (seat.memory_bytes, seat.stays) = (*bytes, *stays);
            }
            let room = Room { count_max, bytes_max };
            let Leaving { idle, surplus, is_crowded_still } = choose(all.clone(), 100, room);
            prop_assert!(idle.is_empty());
            let fits = |room: Room, gone: &[TenantId]| {
                let left: Vec<_> = all.iter().filter(|seat| !gone.contains(&seat.tenant)).collect();
                !room.is_exceeded(left.len(), left.iter().map(|seat| seat.memory_bytes).sum())
            };
            let free = all.iter().filter(|seat| !seat.stays).count();
            prop_assert_eq!(is_crowded_still, !fits(room, &surplus));
            prop_assert!(!is_crowded_still || surplus.len() + 1 >= free);
            if let Some((_, fewer)) = surplus.split_last() {
                prop_assert!(!fits(room, &[]) && !fits(room.with_spare(), fewer));
            }
            let used = |tenant: &TenantId| all.iter().find(|seat| seat.tenant == *tenant).unwrap().used_at_ms;
            prop_assert!(surplus.is_sorted_by_key(used));
        }
    }
}
