//! The name that was probably meant.

/// The candidate closest to `name`, if one is close enough to have been meant: a third of its characters may differ.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = name.chars().count().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Characters to insert, leave out or replace to make `to` of `from` (Levenshtein's distance), case ignored.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, left) in from.chars().flat_map(char::to_lowercase).enumerate() {
        let mut next = vec![line + 1];
        for ((right, above), diagonal) in to.iter().zip(row.iter().skip(1)).zip(&row) {
            let before = next.last().copied().unwrap_or(line + 1);
            let replaced = diagonal + usize::from(left != *right);
            next.push(replaced.min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_changes() {
        for (from, to, count) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("Listen", "listen", 0)] {
            assert_eq!(distance(from, to), count, "{from} {to}");
            assert_eq!(distance(to, from), count, "{to} {from}");
        }
    }

    #[test]
    fn a_name_that_is_far_from_all_has_no_nearest() {
        let names = ["TENET_LISTEN", "TENET_LOG"];
        assert_eq!(nearest("TENET_LISEN", names), Some("TENET_LISTEN"));
        assert_eq!(nearest("PGPASSWORD", names), None);
    }
}
