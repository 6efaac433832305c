//! Which fields of an object were met, a bit for each, and which one is expected next.

use std::sync::atomic::{AtomicU16, Ordering};

/// A mark for each field that has one. Objects of up to 64 fields need no memory for it.
#[derive(Debug, Default)]
pub(super) struct Marks {
    first: u64,
    rest: Vec<u64>,
}

impl Marks {
    /// Marks a field; whether it had no mark.
    #[inline]
    pub fn mark(&mut self, position: usize) -> bool {
        let bit = 1 << (position % 64);
        let word = match position / 64 {
            0 => &mut self.first,
            word => self.rest_word(word - 1),
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    #[cold]
    fn rest_word(&mut self, word: usize) -> &mut u64 {
        if self.rest.len() <= word {
            self.rest.resize(word + 1, 0);
        }
        self.rest.get_mut(word).unwrap_or(&mut self.first)
    }

    /// Whether a field is marked.
    pub fn has(&self, position: usize) -> bool {
        let word = match position / 64 {
            0 => self.first,
            word => self.rest.get(word - 1).copied().unwrap_or_default(),
        };
        word & (1 << (position % 64)) != 0
    }

    /// Whether all are marked that `others` marks.
    #[inline]
    pub fn has_all(&self, others: &Self) -> bool {
        let rest = || others.rest.iter().enumerate();
        others.first & !self.first == 0
            && rest().all(|(word, others)| others & !self.rest.get(word).copied().unwrap_or_default() == 0)
    }
}

impl FromIterator<usize> for Marks {
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Self {
        let mut marks = Self::default();
        for position in positions {
            marks.mark(position);
        }
        marks
    }
}

/// The order in which callers name an object's fields. They mostly keep to one, so the last order seen is the best
/// guess; a wrong one costs a search and nothing else.
#[derive(Debug)]
pub(super) struct Order {
    /// The field that comes first, and for each field the one that followed it.
    next: Box<[AtomicU16]>,
}

impl Order {
    /// The order of so many fields, until another is seen.
    pub fn of(fields: usize) -> Self {
        let next = (0..=fields).map(|next| AtomicU16::new(u16::try_from(next).unwrap_or(u16::MAX)));
        Self { next: next.collect() }
    }

    /// Which field is likely to come after this one; `None` stands for the beginning.
    #[inline]
    pub fn after(&self, field: Option<usize>) -> usize {
        let next = self.next.get(field.map_or(0, |field| field + 1));
        next.map_or(usize::MAX, |next| usize::from(next.load(Ordering::Relaxed)))
    }

    /// Notes what did come.
    #[cold]
    pub fn learn(&self, field: Option<usize>, next: usize) {
        if let (Some(place), Ok(next)) = (self.next.get(field.map_or(0, |field| field + 1)), u16::try_from(next)) {
            place.store(next, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_for_any_number_of_fields() {
        let required: Marks = [0, 63, 64, 199].into_iter().collect();
        let mut marks = Marks::default();
        for position in [199, 0, 64, 5] {
            assert!(marks.mark(position));
            assert!(!marks.mark(position));
        }
        assert!(!marks.has_all(&required) && !marks.has(63) && marks.has(199) && !marks.has(130));
        marks.mark(63);
        assert!(marks.has_all(&required));
        assert!(!Marks::default().has_all(&[70].into_iter().collect()));
    }

    #[test]
    fn an_order_is_what_came_last() {
        let order = Order::of(3);
        assert_eq!((order.after(None), order.after(Some(0))), (0, 1));
        order.learn(None, 2);
        order.learn(Some(2), 0);
        assert_eq!((order.after(None), order.after(Some(2))), (2, 0));
    }
}
