//! The tables of one tenant's events, and what each statement of `store/events` does to them, in one step as the database
//! does: under its locks, or by its primary keys.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{ledger::Ledger, world::floor};
use crate::{
    domain::{Accepted, EventDraft, EventFailure, EventId, EventOutcome, NodeId, QueuedEvent, TenantId},
    store::{Behind, Found, HeldQueue, Lease, Settled, Settlement, Waiting},
};

/// Events that a read answers at most: few, so that a queue takes several.
const READ_MAX: usize = 6;
/// What a wait is shortened by.
const HASTE: i32 = 8;

#[derive(Debug)]
pub struct Row {
    pub number: u64,
    pub draft: EventDraft,
}

#[derive(Debug, Clone)]
pub struct Retry {
    place: u64,
    pub attempt: u16,
    not_before: DateTime<Utc>,
    reason: &'static str,
    ordering_key: Option<String>,
}

#[derive(Debug)]
pub struct Letter {
    pub attempts: u16,
    last_failed_at: DateTime<Utc>,
    pub is_open: bool,
}

#[derive(Debug)]
struct RedriveRow {
    left: usize,
    rate: usize,
    next_at: DateTime<Utc>,
    position: Option<EventId>,
    created_at: DateTime<Utc>,
}

#[derive(Debug)]
pub struct QueueRow {
    pub pending_since: Option<DateTime<Utc>>,
    pub position: EventId,
    pub owner: Option<(NodeId, DateTime<Utc>)>,
    pub token: i64,
    pub crashes: i16,
    pub is_paused: bool,
}

#[derive(Debug, Default)]
pub struct Tables {
    pub events: BTreeMap<EventId, Row>,
    keys: BTreeMap<Uuid, ([u8; 32], EventId)>,
    pub decisions: BTreeSet<EventId>,
    pub retries: BTreeMap<EventId, Retry>,
    /// Of the last row of those.
    last_place: u64,
    pub letters: BTreeMap<EventId, Letter>,
    redrives: Vec<RedriveRow>,
    pub queue: Option<QueueRow>,
}

impl QueueRow {
    fn at(position: EventId) -> Self {
        Self { pending_since: None, position, owner: None, token: 0, crashes: 0, is_paused: false }
    }
}

/// What a mutant leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeftOut {
    pub primary_key: bool,
    pub last_look: bool,
    /// What is decided or given up already is not looked for.
    pub what_is_settled: bool,
}

fn number_of(draft: &EventDraft) -> u64 {
    number_in(draft.facts.get())
}

/// The number in an event's facts.
pub fn number_in(facts: &str) -> u64 {
    facts.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// An id as the database makes it: the moment, a counter, and no chance.
fn id(milliseconds: u128, count: u128) -> EventId {
    let counter = (count >> 14) << 64 | 2 << 62 | (count & 0x3fff) << 48;
    EventId(Uuid::from_u128(milliseconds << 80 | 7 << 76 | counter))
}

/// The id that follows.
fn after(EventId(last): EventId) -> EventId {
    let last = last.as_u128();
    let count = (last >> 64 & 0xfff) << 14 | (last >> 48 & 0x3fff);
    id(last >> 80, count + 1)
}

impl Tables {
    pub fn is_finished(&self) -> bool {
        let is_queue_at_rest = |queue: &QueueRow| queue.pending_since.is_none() && queue.owner.is_none();
        self.queue.as_ref().is_none_or(is_queue_at_rest)
            && self.retries.is_empty()
            && self.redrives.is_empty()
            && self.events.keys().all(|id| self.decisions.contains(id) || self.letters.contains_key(id))
    }

    pub fn number(&self, id: EventId) -> u64 {
        self.events[&id].number
    }

    /// Numbers of events with an open dead letter.
    pub fn open_letters(&self) -> impl Iterator<Item = u64> {
        self.letters.iter().filter(|(_, letter)| letter.is_open).map(|(id, _)| self.number(*id))
    }

    /// An undecided event that nothing leads to: before the position, and not waiting.
    pub fn forgotten(&self) -> Option<u64> {
        let position = self.queue.as_ref()?.position;
        let is_known = |id: &EventId| {
            self.decisions.contains(id) || self.retries.contains_key(id) || self.letters.contains_key(id)
        };
        self.events.range(..=position).find(|(id, _)| !is_known(id)).map(|(_, row)| row.number)
    }

    /// As `tenet_events_append` makes ids: after the last one, though the clock may have stepped back.
    pub fn next_ids(&self, count: usize, now: DateTime<Utc>) -> Vec<EventId> {
        let first = floor(now);
        let last = self.events.range(first..).next_back().map(|(id, _)| *id);
        let position = self.queue.as_ref().map(|queue| queue.position).filter(|position| *position >= first);
        let mut next = last.max(position).map_or_else(|| Self::ids_by_clock(1, now)[0], after);
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(next);
            next = after(next);
        }
        ids
    }

    /// By the clock alone.
    pub fn ids_by_clock(count: usize, now: DateTime<Utc>) -> Vec<EventId> {
        let milliseconds = u128::try_from(now.timestamp_millis()).unwrap();
        (0..count).map(|place| id(milliseconds, place as u128)).collect()
    }

    /// What is with an idempotency key.
    pub fn known(&self, draft: &EventDraft) -> Option<Accepted> {
        let (digest, first) = self.keys.get(&draft.key()?)?;
        Some(if *digest == draft.digest() { Accepted::Duplicate(*first) } else { Accepted::Conflict(*first) })
    }

    fn insert(&mut self, id: EventId, draft: &EventDraft) {
        if let Some(key) = draft.key() {
            self.keys.insert(key, (draft.digest(), id));
        }
        self.events.insert(id, Row { number: number_of(draft), draft: draft.clone() });
    }

    /// Stores an event under an id.
    pub fn append(&mut self, id: EventId, draft: &EventDraft, now: DateTime<Utc>, ledger: &mut Ledger, to: TenantId) {
        self.insert(id, draft);
        ledger.accepted(to, draft.ordering_key.clone(), number_of(draft));
        let begin = floor(now);
        let queue = self.queue.get_or_insert_with(|| QueueRow::at(begin));
        queue.pending_since.get_or_insert(now);
    }

    /// Stores an event that was decided elsewhere; answers what it turned out to be, if it is not new.
    pub fn receive(&mut self, id: EventId, draft: &EventDraft) -> Option<Accepted> {
        if self.events.contains_key(&id) {
            return Some(Accepted::Duplicate(id));
        }
        let known = self.known(draft);
        if known.is_none() {
            self.insert(id, draft);
        }
        known
    }

    pub fn mark(&mut self, now: DateTime<Utc>) {
        let queue = self.queue.get_or_insert_with(|| QueueRow::at(floor(now)));
        queue.pending_since.get_or_insert(now);
    }

    pub fn pause(&mut self, is_paused: bool, now: DateTime<Utc>) {
        let queue = self.queue.get_or_insert_with(|| QueueRow::at(floor(now)));
        queue.is_paused = is_paused;
    }

    /// Whether the queue waits for an owner.
    pub fn is_without_owner(&self, now: DateTime<Utc>) -> bool {
        self.queue.as_ref().is_some_and(|queue| {
            queue.pending_since.is_some() && !queue.is_paused && queue.owner.is_none_or(|(_, until)| until < now)
        })
    }

    pub fn take(&mut self, node: NodeId, time: TimeDelta, now: DateTime<Utc>) -> Option<Lease> {
        let queue = self.queue.as_mut()?;
        if queue.is_paused || queue.owner.is_some_and(|(_, until)| until >= now) {
            return None;
        }
        queue.crashes += i16::from(queue.owner.is_some());
        queue.owner = Some((node, now + time));
        queue.token += 1;
        Some(Lease { token: queue.token, position: queue.position, crashes: queue.crashes })
    }

    /// The queue's row, if a node has it under this lease.
    pub fn held(&mut self, node: NodeId, held: &HeldQueue) -> Option<&mut QueueRow> {
        self.queue
            .as_mut()
            .filter(|queue| queue.owner.is_some_and(|(owner, _)| owner == node) && queue.token == held.token)
    }

    /// Ends a lease whose queue has nothing left.
    pub fn finish(&mut self, node: NodeId, held: &HeldQueue, left_out: LeftOut) -> bool {
        let is_over = self.retries.is_empty()
            && self.redrives.is_empty()
            && self.events.range(held.position..).all(|(id, _)| *id == held.position);
        let Some(queue) = self.held(node, held) else { return false };
        if !is_over && !left_out.last_look {
            return false;
        }
        queue.pending_since = None;
        queue.owner = None;
        queue.crashes = 0;
        queue.position = queue.position.max(held.position);
        true
    }

    fn queued(&self, id: EventId, attempts: u16, ordering_key: Option<String>, is_suspect: bool) -> QueuedEvent {
        let EventDraft { kind, facts, .. } = &self.events[&id].draft;
        QueuedEvent {
            id,
            kind: kind.clone(),
            ordering_key,
            at: None,
            facts: facts.get().to_owned(),
            attempts,
            is_suspect,
        }
    }

    pub fn events_after(&self, position: EventId, behind: Behind) -> Found {
        let mut found = Found::default();
        for (id, row) in self.events.range(position..).filter(|(id, _)| **id > position).take(READ_MAX) {
            found.seen = Some(*id);
            let is_looked_up = behind == Behind::AnotherOwner;
            if is_looked_up && self.retries.contains_key(id) {
                found.waiting.extend(row.draft.ordering_key.clone());
            } else if !is_looked_up || !(self.decisions.contains(id) || self.letters.contains_key(id)) {
                found.events.push(self.queued(*id, 0, row.draft.ordering_key.clone(), false));
            }
        }
        found
    }

    pub fn due_events(&self, limit: u32, now: DateTime<Utc>, by_id: bool) -> Vec<QueuedEvent> {
        let place = |id: &EventId, retry: &Retry| if by_id { (0, Some(*id)) } else { (retry.place, None) };
        let waits_behind = |id: &EventId, retry: &Retry| {
            let mut before = self.retries.iter().filter(|(other, before)| place(other, before) < place(id, retry));
            retry.ordering_key.is_some()
                && before.any(|(_, other)| other.ordering_key == retry.ordering_key && other.not_before > now)
        };
        let due = self.retries.iter().filter(|(id, retry)| retry.not_before <= now && !waits_behind(id, retry));
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(id, retry)| place(id, retry));
        due.into_iter()
            .take(usize::try_from(limit).unwrap())
            .map(|(id, retry)| {
                self.queued(
                    *id,
                    retry.attempt,
                    retry.ordering_key.clone(),
                    retry.reason == EventFailure::Crashed.name(),
                )
            })
            .collect()
    }

    /// Whether an event with this ordering key is to be tried again.
    pub fn waits(&self, ordering_key: Option<&String>) -> bool {
        ordering_key.is_some() && self.retries.values().any(|retry| retry.ordering_key.as_ref() == ordering_key)
    }

    pub fn waiting(&self, now: DateTime<Utc>) -> Waiting {
        let keys: BTreeSet<String> = self.retries.values().filter_map(|retry| retry.ordering_key.clone()).collect();
        let redrives = self.redrives.iter().map(|redrive| redrive.next_at);
        Waiting {
            keys: keys.into_iter().collect(),
            next_at: self.retries.values().map(|retry| retry.not_before).chain(redrives.clone()).min(),
            has_redrive_due: redrives.clone().any(|next_at| next_at <= now),
        }
    }

    /// What came of one event: whether it changed anything. The effect is the ledger's to judge.
    pub fn settle(
        &mut self,
        settlement: &Settlement,
        now: DateTime<Utc>,
        left_out: LeftOut,
        settled: &mut Settled,
    ) -> bool {
        let Settlement { id, ordering_key, attempts, outcome, .. } = settlement;
        if !self.events.contains_key(id) {
            return false;
        }
        let is_dead = self.letters.get(id).is_some_and(|letter| letter.is_open) && !left_out.what_is_settled;
        match outcome {
            EventOutcome::Decided { .. } => {
                self.retries.remove(id);
                let is_new = !is_dead && self.decisions.insert(*id) || left_out.primary_key;
                settled.decided += i64::from(is_new);
                is_new
            }
            EventOutcome::Retry { .. } if is_dead || self.decisions.contains(id) && !left_out.what_is_settled => false,
            EventOutcome::Retry { failure, after, .. } => {
                let attempt = self.retries.get(id).map_or(*attempts, |retry| retry.attempt.max(*attempts));
                self.last_place += 1;
                let (place, ordering_key) = match self.retries.get(id) {
                    Some(retry) => (retry.place, retry.ordering_key.clone()),
                    None => (self.last_place, ordering_key.clone()),
                };
                let not_before = now + (*after).max(TimeDelta::zero()) / HASTE;
                self.retries.insert(*id, Retry { place, attempt, not_before, reason: failure.name(), ordering_key });
                settled.retried += 1;
                true
            }
            EventOutcome::Dead { .. } => {
                self.retries.remove(id);
                let is_new = !self.decisions.contains(id);
                if is_new {
                    let letter = Letter { attempts: *attempts, last_failed_at: now, is_open: true };
                    self.letters.insert(*id, letter);
                    settled.dead += 1;
                }
                is_new
            }
        }
    }

    /// Makes a redrive of all open dead letters, so many a second, and brings the first back; answers how many match.
    pub fn create_redrive(&mut self, rate: usize, now: DateTime<Utc>) -> usize {
        let matched = self.letters.values().filter(|letter| letter.is_open).count();
        self.redrives.push(RedriveRow { left: matched, rate, next_at: now, position: None, created_at: now });
        self.bring_back(now);
        self.mark(now);
        matched
    }

    /// Brings back what is due; answers how many.
    pub fn bring_back(&mut self, now: DateTime<Utc>) -> usize {
        let due = self.redrives.iter().enumerate().filter(|(_, redrive)| redrive.next_at <= now);
        let Some((place, _)) = due.min_by_key(|(_, redrive)| redrive.next_at) else { return 0 };
        let redrive = &mut self.redrives[place];
        let wanted = redrive.left.min(redrive.rate);
        let is_chosen = |id: &EventId, letter: &Letter| {
            letter.is_open
                && redrive.position.is_none_or(|position| *id > position)
                && letter.last_failed_at <= redrive.created_at
        };
        let letters = self.letters.iter_mut().filter(|(id, letter)| is_chosen(id, letter));
        let mut chosen = Vec::new();
        for (id, letter) in letters.take(wanted) {
            letter.is_open = false;
            chosen.push(*id);
            self.last_place += 1;
            let (place, attempt) = (self.last_place, letter.attempts);
            let retry = Retry { place, attempt, not_before: now, reason: "redriven", ordering_key: None };
            self.retries.entry(*id).or_insert(retry);
        }
        redrive.left -= chosen.len();
        redrive.next_at = now + TimeDelta::seconds(i64::try_from(chosen.len()).unwrap()) / redrive.rate as i32;
        redrive.position = chosen.last().copied().or(redrive.position);
        if chosen.len() < wanted || redrive.left == 0 {
            self.redrives.remove(place);
        }
        chosen.len()
    }

    /// How many are not settled beyond a position, or are to be tried again.
    pub fn count_pending(&self, position: Option<EventId>) -> u64 {
        let Some(queue) = &self.queue else { return 0 };
        let position = position.map_or(queue.position, |position| position.max(queue.position));
        let beyond = self.events.range(position..).filter(|(id, _)| **id > position).count();
        (beyond + self.retries.len()) as u64
    }
}
