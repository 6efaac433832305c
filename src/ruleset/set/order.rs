//! In which order things can be computed that depend on one another, and which never can.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// What each thing depends on, by name.
pub(super) type Dependencies<'a> = BTreeMap<&'a str, Vec<String>>;

/// The order of things that depend on one another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order<'a> {
    /// Each wave depends on earlier ones only, and on what is in a circle.
    pub waves: Vec<Vec<&'a str>>,
    /// What depends on itself, with the shortest way back to itself: `a`, `b`, `a`.
    pub circles: Vec<(&'a str, Vec<&'a str>)>,
}

/// Orders the keys of `dependencies`; names in it that are no keys delay nothing.
pub(super) fn order<'a>(dependencies: &'a Dependencies<'a>) -> Order<'a> {
    let mut order = Order::default();
    let mut pending: BTreeSet<&str> = dependencies.keys().copied().collect();
    while !pending.is_empty() {
        let waits = |name: &str| needed_by(dependencies, name).any(|needed| pending.contains(needed));
        let wave: Vec<&str> = pending.iter().copied().filter(|name| !waits(name)).collect();
        if wave.is_empty() {
            // Whatever is left is in a circle, or depends on one.
            let way = |name: &&'a str| Some((*name, way_back(dependencies, &pending, name)?));
            let circles: Vec<_> = pending.iter().filter_map(way).collect();
            pending.retain(|name| circles.iter().all(|(circled, _)| circled != name));
            order.circles.extend(circles);
        } else {
            pending.retain(|name| !wave.contains(name));
            order.waves.push(wave);
        }
    }
    order
}

fn needed_by<'a>(dependencies: &'a Dependencies<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    dependencies.get(name).into_iter().flatten().map(String::as_str)
}

/// The shortest way from `start` over pending things back to `start`.
fn way_back<'a>(
    dependencies: &'a Dependencies<'a>,
    pending: &BTreeSet<&'a str>,
    start: &'a str,
) -> Option<Vec<&'a str>> {
    let mut reached_from: HashMap<&str, &str> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(name) = queue.pop_front() {
        for needed in needed_by(dependencies, name) {
            let Some(needed) = pending.get(needed).copied() else { continue };
            if needed == start {
                return Some(steps(&reached_from, name, start));
            }
            reached_from.entry(needed).or_insert_with(|| {
                queue.push_back(needed);
                name
            });
        }
    }
    None
}

/// The steps from `start` to `last`, and back to `start`.
fn steps<'a>(reached_from: &HashMap<&'a str, &'a str>, last: &'a str, start: &'a str) -> Vec<&'a str> {
    let mut steps = vec![start];
    let mut step = last;
    while step != start {
        steps.push(step);
        match reached_from.get(step) {
            Some(before) => step = before,
            None => break,
        }
    }
    steps.push(start);
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependencies(of: &[(&'static str, &[&str])]) -> Dependencies<'static> {
        of.iter().map(|(name, needs)| (*name, needs.iter().map(|need| (*need).to_owned()).collect())).collect()
    }

    #[test]
    fn what_is_needed_comes_first() {
        let needs = dependencies(&[("a", &["b", "c"]), ("b", &["c", "unknown"]), ("c", &[]), ("d", &[])]);
        let order = order(&needs);
        assert_eq!(order.waves, [vec!["c", "d"], vec!["b"], vec!["a"]]);
        assert!(order.circles.is_empty());
    }

    #[test]
    fn circles_are_named_with_their_way_and_the_rest_is_ordered() {
        let needs = dependencies(&[
            ("a", &["b"]),
            ("b", &["c"]),
            ("c", &["a"]),
            ("self", &["self"]),
            ("after", &["a", "fine"]),
            ("later", &["after"]),
            ("fine", &[]),
        ]);
        let order = order(&needs);
        assert_eq!(
            order.circles,
            [
                ("a", vec!["a", "b", "c", "a"]),
                ("b", vec!["b", "c", "a", "b"]),
                ("c", vec!["c", "a", "b", "c"]),
                ("self", vec!["self", "self"]),
            ]
        );
        assert_eq!(order.waves, [vec!["fine"], vec!["after"], vec!["later"]]);
    }

    #[test]
    fn a_long_chain_is_ordered() {
        let names: Vec<String> = (0..500).map(|n| format!("f{n:03}")).collect();
        let needs: Dependencies =
            names.iter().enumerate().map(|(n, name)| (name.as_str(), names[..n].to_vec())).collect();
        assert_eq!(order(&needs).waves.concat(), names);
    }
}
