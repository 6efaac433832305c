//! The name that was probably meant.

/// The candidate closest to `name`, case ignored, if one is close enough to have been meant: a third of the characters
/// of `name` may differ, one at least and three at most.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let most = (name.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(&name, candidate, most)?, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Characters to insert, leave out or replace to make `to` of `from` (Levenshtein's distance), if they are `most` at
/// most. Gives up as soon as they are more: names come from callers, and there may be many.
fn distance(from: &[char], to: &str, most: usize) -> Option<usize> {
    if to.len() + most < from.len() {
        return None;
    }
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    if from.len().abs_diff(to.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, left) in from.iter().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        for (right, place) in to.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *place;
            before = replaced.min(diagonal + 1).min(before + 1);
            *place = before;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
        if row.iter().all(|distance| *distance > most) {
            return None;
        }
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
        assert_eq!(nearest("zebra", names), None);
    }
}
