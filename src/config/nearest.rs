//! The name that was probably meant.

use std::{iter, mem};

/// The candidate closest to `name`, case ignored, if one is close enough to have been meant: a third of the characters
/// of `name` may differ, one at least and three at most. Two neighbours that are swapped count as one.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let most = (name.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(&name, candidate, most)?, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Changes that make `to` of `from`, if they are `most` at most: to insert, leave out or replace a character, or to swap two
/// neighbours (the optimal string alignment distance). Gives up as soon as they are more: names come from callers, and
/// there may be many.
fn distance(from: &[char], to: &str, most: usize) -> Option<usize> {
    if to.len() + most < from.len() {
        return None;
    }
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    if from.len().abs_diff(to.len()) > most {
        return None;
    }
    // Rows of the table, for one and for two characters of `from` less.
    let (mut above, mut row) = (Vec::new(), (0..=to.len()).collect::<Vec<usize>>());
    let mut earlier = None;
    for (line, left) in from.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut before = line + 1;
        next.push(before);
        let mut earlier_right = None;
        // The columns of two rows above, with the one that a swap begins from.
        let swaps = iter::once(&usize::MAX).chain(&above).chain(iter::repeat(&usize::MAX));
        for ((right, over), begun) in to.iter().zip(row.windows(2)).zip(swaps) {
            let [diagonal, over] = over else { continue };
            let is_swapped = earlier == Some(right) && earlier_right == Some(left);
            let replaced = diagonal + usize::from(left != right);
            let swapped = if is_swapped { begun.saturating_add(1) } else { usize::MAX };
            before = replaced.min(over + 1).min(before + 1).min(swapped);
            next.push(before);
            earlier_right = Some(right);
        }
        // A swap across this row costs no less than what is in it: replacing its first character has the same cost.
        if next.iter().all(|distance| *distance > most) {
            return None;
        }
        earlier = Some(left);
        above = mem::replace(&mut row, next);
    }
    row.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_changes() {
        let distance = |from: &str, to: &str, most| {
            distance(&from.chars().flat_map(char::to_lowercase).collect::<Vec<_>>(), to, most)
        };
        for (from, to, count) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("Listen", "listen", 0)] {
            assert_eq!(distance(from, to, 3), Some(count), "{from} {to}");
            assert_eq!(distance(to, from, 3), Some(count), "{to} {from}");
            assert_eq!(distance(from, to, count), Some(count), "{from} {to}");
        }
        assert_eq!(distance("kitten", "sitting", 2), None);
        for (from, to, count) in [("ab", "ba", 1), ("name", "nmae", 1), ("abcd", "badc", 2), ("ca", "abc", 3)] {
            assert_eq!(distance(from, to, count), Some(count), "{from} {to}");
            assert_eq!(distance(to, from, count), Some(count), "{to} {from}");
            assert_eq!(distance(from, to, count - 1), None, "{from} {to}");
        }
        assert_eq!(distance("abcd", "", 3), None);
    }

    #[test]
    fn a_name_that_is_far_from_all_has_no_nearest() {
        let names = ["TENET_LISTEN", "TENET_LOG"];
        assert_eq!(nearest("TENET_LISEN", names), Some("TENET_LISTEN"));
        assert_eq!(nearest("PGPASSWORD", names), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), names), None);
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let names = ["age", "country", "is_premium"];
        assert_eq!(nearest("contry", names), Some("country"));
        assert_eq!(nearest("isPremium", names), Some("is_premium"));
        assert_eq!(nearest("agee", names), Some("age"));
        assert_eq!(nearest("aeg", names), Some("age"));
        assert_eq!(nearest("name", ["mane", "nmae"]), Some("nmae"));
        assert_eq!(nearest("zebra", names), None);
    }
}
