//! Nodes that share a rate by a count which may not answer, and what they give out together.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// The count that nodes share: what the script in Redis does.
#[derive(Default)]
struct Count {
    state: u64,
}

impl Count {
    fn answer(&mut self, order: Order, now: u64) -> Block {
        let rate = Rate::per_minute(order.per_minute);
        let owed = rate.charge(self.state, now, order.owed);
        let returned = u64::try_from(rate.time_of(order.returned).as_nanos()).unwrap();
        let grant = rate.take(owed.saturating_sub(returned), now, order.wanted);
        self.state = grant.state;
        Block { granted: grant.granted, ahead: Duration::from_nanos(grant.state.saturating_sub(now)) }
    }
}

/// A node, with the order that is under way.
#[derive(Default)]
struct Node {
    tally: Tally,
    order: Option<(Order, u64)>,
}

/// Nodes with one count.
struct Nodes {
    part: Rate,
    nodes: Vec<Node>,
    count: Count,
    is_away: bool,
    now: u64,
}

impl Nodes {
    fn new(count: usize, quota: u64) -> Self {
        let nodes = (0..count).map(|_| Node::default()).collect();
        let part = Rate::per_minute(quota).shared_by(count as u64);
        Self { part, nodes, count: Count::default(), is_away: false, now: 1_000 * SECOND }
    }

    /// A node gives out up to `wanted`; what it orders is answered after `delay`.
    fn take(&mut self, node: usize, wanted: u64, delay: u64) -> u64 {
        let Node { tally, order } = &mut self.nodes[node];
        let granted = tally.take_shared(self.part, self.now, wanted).granted;
        if let Some(new) = tally.order(self.part, self.now) {
            assert!(order.is_none(), "one at a time");
            *order = Some((new, self.now + delay));
        }
        granted
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        for Node { tally, order } in &mut self.nodes {
            if let Some((due, at)) = *order
                && at <= self.now
            {
                let block = (!self.is_away).then(|| self.count.answer(due, self.now));
                tally.answered(self.part, due, block, self.now);
                *order = None;
            }
        }
    }
}

#[test]
fn a_node_gives_out_the_whole_rate_and_what_is_earned() {
    let mut nodes = Nodes::new(1, 100);
    let mut given = 0;
    for _ in 0..110 {
        given += nodes.take(0, 1, MILLISECOND / 2);
        nodes.pass(MILLISECOND);
    }
    assert_eq!(given, 100);
    let tally = &nodes.nodes[0].tally;
    assert_eq!(tally.standing_shared(nodes.part, nodes.now).1.left, 0);
    assert!(tally.take_shared(nodes.part, nodes.now, 1).wait > Duration::from_millis(400));
    nodes.pass(60 * SECOND);
    let again: u64 = (0..110)
        .map(|_| {
            nodes.pass(MILLISECOND);
            nodes.take(0, 1, MILLISECOND / 2)
        })
        .sum();
    assert_eq!(again, 100);
}

#[test]
fn whoever_comes_after_the_rate_is_used_up_gives_out_a_part_of_a_block() {
    let mut nodes = Nodes::new(2, 100);
    let mut given = [0; 2];
    for node in [0, 1] {
        for _ in 0..110 {
            given[node] += nodes.take(node, 1, 5 * MILLISECOND);
            nodes.pass(2 * MILLISECOND);
        }
    }
    assert!((95..=100).contains(&given[0]) && given[1] <= 5 && given[0] + given[1] <= 105, "{given:?}");
}

#[test]
fn without_the_count_each_gives_out_its_part_and_owes_it() {
    let mut nodes = Nodes::new(2, 100);
    nodes.is_away = true;
    let flood = |nodes: &mut Nodes| {
        nodes.pass(200 * MILLISECOND);
        let mut given = [0; 2];
        for _ in 0..110 {
            for node in [0, 1] {
                given[node] += nodes.take(node, 1, MILLISECOND / 2);
            }
            nodes.pass(MILLISECOND);
        }
        given
    };
    let given = flood(&mut nodes);
    assert!(given.iter().all(|given| (48..=52).contains(given)), "{given:?}");
    nodes.is_away = false;
    let after = flood(&mut nodes);
    assert!(after[0] + after[1] <= 5, "no jump when it is back: {after:?}");
    nodes.is_away = true;
    let again = flood(&mut nodes);
    assert!(again[0] + again[1] <= 5, "no jump when it goes: {again:?}");
}

#[test]
fn what_is_held_is_used_up_first() {
    let mut nodes = Nodes::new(2, 1_000);
    nodes.take(0, 1, 0);
    nodes.pass(MILLISECOND);
    nodes.is_away = true;
    let tally = &nodes.nodes[0].tally;
    let order = Order { per_minute: 1_000, owed: 0, returned: 0, wanted: 50 };
    tally.answered(nodes.part, order, None, nodes.now);
    let held = u64::from(tally.stock().held());
    assert_eq!(held, 50);
    assert_eq!(tally.take_shared(nodes.part, nodes.now, 50).granted, 50);
    assert_eq!(nodes.part.used(tally.owed.load(Ordering::Relaxed), nodes.now), 0);
    assert_eq!(tally.take_shared(nodes.part, nodes.now, 10).granted, 10);
    assert_eq!(nodes.part.used(tally.owed.load(Ordering::Relaxed), nodes.now), 10);
}

#[test]
fn a_large_ask_is_given_whole_and_paid_for_afterwards() {
    let mut nodes = Nodes::new(2, 6_000);
    assert_eq!(nodes.take(0, 2_000, MILLISECOND), 2_000);
    assert_eq!(nodes.take(0, 2_000, MILLISECOND), 0, "it is not paid for yet");
    nodes.pass(MILLISECOND);
    assert_eq!(nodes.take(0, 2_000, MILLISECOND), 2_000);
    nodes.pass(MILLISECOND);
    // Each node goes too far with one such ask at most.
    assert_eq!(nodes.take(1, 3_000, MILLISECOND), 3_000, "it does not know of the others yet");
    nodes.pass(MILLISECOND);
    assert_eq!(nodes.take(1, 3_000, MILLISECOND), 0);
    assert_eq!(nodes.take(0, 2_000, MILLISECOND), 2_000, "it does not know of those yet");
    nodes.pass(MILLISECOND);
    assert_eq!(nodes.take(0, 2_000, MILLISECOND) + nodes.take(1, 2_000, MILLISECOND), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// While the count answers, in whatever time: of any stretch, no more than the rate allows in it, a minute's worth, what
    /// was held before, and a block.
    #[test]
    fn nodes_together_give_out_no_more_than_the_rate_and_a_block(
        count in 1..5usize,
        quota in prop_oneof![Just(100u64), 5..3_000u64],
        steps in prop::collection::vec((0..5usize, 0..2_000u64, 0..20u64), 1..600),
    ) {
        let mut nodes = Nodes::new(count, quota);
        let block = (quota / 20).max(5).min(quota).max(count as u64);
        let mut given: Vec<(u64, u64)> = Vec::new();
        for (node, pause, delay) in steps {
            // Mostly a flood, and a rest now and then.
            nodes.pass(if pause < 1_900 { pause % 5 } else { pause * 10 } * MILLISECOND);
            let granted = nodes.take(node % count, 1, delay * MILLISECOND);
            given.push((nodes.now, granted));
        }
        for (first, (from, _)) in given.iter().enumerate() {
            let held = if first == 0 { 0 } else { block * count as u64 };
            let mut sum = 0;
            for (at, granted) in &given[first..] {
                sum += u128::from(*granted);
                let earned = u128::from(at - from) * u128::from(quota) / u128::from(60 * SECOND);
                let most = u128::from(quota + block + held) + earned + 1;
                prop_assert!(sum <= most, "{sum} of {most} from {from} to {at}");
            }
        }
    }
}
