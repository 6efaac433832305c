//! What was accepted, tried and decided in a run, apart from what the database believes, and what of it breaks a promise.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{EVENT_ATTEMPTS_MAX, EventId, TenantId};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub told: String,
}

/// What becomes of an event whenever it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is decided.
    Fine,
    /// Deciding it panics so often.
    Panics(u32),
    /// The schema refuses it.
    Invalid,
    /// One schema refuses it, and another does not.
    Changing,
    /// The process ends.
    Kills,
}

/// An event that was stored, or confirmed by the broker.
#[derive(Debug, Clone)]
struct Entry {
    tenant: TenantId,
    ordering_key: Option<String>,
    number: u64,
}

/// All that is known of events, by the number that is in their facts.
#[derive(Debug, Default)]
pub struct Ledger {
    pub violation: Option<Violation>,
    pub fates: BTreeMap<u64, Fate>,
    /// In the order accepted.
    accepted: Vec<Entry>,
    places: BTreeMap<u64, usize>,
    /// What senders were answered.
    pub answered: BTreeMap<u64, EventId>,
    decided: BTreeSet<u64>,
    /// Those that were dead letters once.
    dead: BTreeSet<u64>,
    /// How often deciding one failed.
    panics: BTreeMap<u64, u16>,
    /// Who noted last that it tries an event.
    marks: BTreeMap<u64, (usize, u32)>,
    /// How often a process ended that had noted that.
    ends: BTreeMap<u64, u16>,
}

impl Ledger {
    pub fn accepted(&mut self, tenant: TenantId, ordering_key: Option<String>, number: u64) {
        if !self.places.contains_key(&number) {
            self.places.insert(number, self.accepted.len());
            self.accepted.push(Entry { tenant, ordering_key, number });
        }
    }

    /// An attempt at an event begins: what becomes of it.
    pub fn tried(&mut self, number: u64) -> Fate {
        let panics = self.panics.entry(number).or_default();
        match self.fates.get(&number).copied().unwrap_or(Fate::Fine) {
            Fate::Panics(times) if u32::from(*panics) < times => {
                *panics += 1;
                Fate::Panics(times)
            }
            Fate::Panics(_) => Fate::Fine,
            fate => fate,
        }
    }

    /// How many attempts at an event have failed, or ended their process.
    pub fn failures(&self, number: u64) -> u16 {
        let of = |counts: &BTreeMap<u64, u16>| counts.get(&number).copied().unwrap_or_default();
        of(&self.panics) + of(&self.ends)
    }

    pub fn fate(&self, number: u64) -> Fate {
        self.fates.get(&number).copied().unwrap_or(Fate::Fine)
    }

    pub fn marked(&mut self, number: u64, by: (usize, u32)) {
        let before = self.marks.insert(number, by);
        if before.is_some_and(|before| before != by) {
            // Whoever noted it did not say what came of it, and is as good as ended.
            *self.ends.entry(number).or_default() += 1;
        }
    }

    pub fn process_ended(&mut self, place: usize, life: u32) {
        let marked: Vec<u64> =
            self.marks.iter().filter(|(_, by)| **by == (place, life)).map(|(number, _)| *number).collect();
        for number in marked {
            self.marks.remove(&number);
            *self.ends.entry(number).or_default() += 1;
        }
    }

    /// An event has its effect: what that breaks.
    pub fn effect(&mut self, number: u64) -> Option<(&'static str, String)> {
        self.marks.remove(&number);
        if !self.decided.insert(number) {
            return Some(("twice", format!("event {number} is decided a second time")));
        }
        let Some(place) = self.places.get(&number).copied() else {
            return Some(("accepted", format!("event {number} is decided, and was never accepted")));
        };
        if self.dead.contains(&number) {
            return None;
        }
        let Entry { tenant, ordering_key: Some(key), .. } = &self.accepted[place] else { return None };
        let is_before = |entry: &&Entry| entry.tenant == *tenant && entry.ordering_key.as_ref() == Some(key);
        let is_open = |entry: &&Entry| !self.decided.contains(&entry.number) && !self.dead.contains(&entry.number);
        let before = self.accepted[..place].iter().filter(is_before).find(is_open)?;
        Some(("order", format!("event {number} is decided before event {} with the same key", before.number)))
    }

    /// An event is given up after so many attempts: what that breaks.
    pub fn died(&mut self, number: u64, reason: &str, attempts: u16) -> Option<(&'static str, String)> {
        self.marks.remove(&number);
        let is_new = self.dead.insert(number);
        let (failures, ends) = (self.failures(number), self.ends.get(&number).copied().unwrap_or_default());
        let told = format!("event {number} is given up: `{reason}` after {attempts}, {failures} failures, {ends} ends");
        let is_fair = match reason {
            "panic" => failures >= attempts && attempts >= EVENT_ATTEMPTS_MAX,
            "facts_invalid" => matches!(self.fate(number), Fate::Invalid | Fate::Changing),
            "crashed" => failures >= EVENT_ATTEMPTS_MAX || !is_new,
            _ => false,
        };
        (!is_fair).then_some(("attempts", told))
    }

    /// At the end: what is wrong with what was accepted. `open` are those with an open dead letter.
    pub fn end(&self, open: &BTreeSet<u64>) -> Option<(&'static str, String)> {
        for number in self.answered.keys() {
            if !self.places.contains_key(number) {
                return Some(("accepted", format!("event {number} was answered, and is not stored")));
            }
        }
        for Entry { number, .. } in &self.accepted {
            match (self.decided.contains(number), open.contains(number)) {
                (false, false) => return Some(("lost", format!("event {number} is neither decided nor dead"))),
                (true, true) => return Some(("both", format!("event {number} is decided and dead"))),
                (true, false) | (false, true) => {}
            }
        }
        None
    }

    pub fn counts(&self) -> (usize, usize, usize) {
        (self.accepted.len(), self.decided.len(), self.dead.len())
    }
}
