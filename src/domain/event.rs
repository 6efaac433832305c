//! Events: facts that a tenant sends to be decided later, and what becomes of them. How they are stored and decided is
//! told elsewhere.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{EventId, Revision, RuleId, SchemaVersion};
use crate::error::Detail;

/// Characters of a type or project.
pub const EVENT_LABEL_CHARS_MAX: usize = 64;
/// Bytes of an idempotency key or an ordering key.
pub const EVENT_KEY_BYTES_MAX: usize = 255;
/// How far ahead of the clock an event may say that it occurred.
pub const EVENT_AHEAD_MAX: TimeDelta = TimeDelta::hours(24);
/// How often an event is tried.
pub const EVENT_ATTEMPTS_MAX: u16 = 5;

/// An event as it was sent, checked but for its facts.
#[derive(Debug, Clone)]
pub struct EventDraft {
    /// Its facts, as JSON.
    pub facts: Box<RawValue>,
    /// What kind of event it is.
    pub kind: Option<String>,
    /// What it is counted by beside its type.
    pub project: Option<String>,
    /// What makes sending it again harmless.
    pub idempotency_key: Option<String>,
    /// When it occurred, if its sender says so.
    pub occurred_at: Option<DateTime<Utc>>,
    /// Whether it is decided as of when it occurred.
    pub at_occurrence: bool,
    /// Events with the same one take effect in the order accepted.
    pub ordering_key: Option<String>,
}

impl EventDraft {
    /// Everything wrong with it but its facts. `retention` is how long the tenant's events are kept.
    pub fn faults(&self, now: DateTime<Utc>, retention: TimeDelta) -> Vec<Detail> {
        let mut details = Vec::new();
        for (path, label) in [("type", &self.kind), ("project", &self.project)] {
            details.extend(label.as_deref().and_then(label_fault).map(|detail| detail.at(path)));
        }
        for (path, key) in [("idempotencyKey", &self.idempotency_key), ("orderingKey", &self.ordering_key)] {
            details.extend(key.as_deref().and_then(key_fault).map(|detail| detail.at(path)));
        }
        if let Some(at) = self.occurred_at {
            if at < now - retention {
                let message = "older than the time that events are kept";
                details.push(Detail::new("too_old", message).at("occurredAt"));
            } else if at > now + EVENT_AHEAD_MAX {
                details.push(Detail::new("too_far_ahead", "more than 24 hours ahead").at("occurredAt"));
            }
        } else if self.at_occurrence {
            let message = "the event has no `occurredAt`; send it, or leave out `at`";
            details.push(Detail::new("invalid_value", message).at("at"));
        }
        details
    }

    /// SHA-256 of what the event says, however its JSON is written: the same idempotency key with another one is a
    /// conflict. Objects are compared by their keys in order; numbers by how they are written.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let facts = serde_json::from_str::<Value>(self.facts.get())
            .map_or_else(|_| self.facts.get().to_owned(), |facts| facts.to_string());
        let occurred_at = self.occurred_at.map(|at| at.timestamp_micros().to_string());
        let always = [Some(&facts), self.kind.as_ref(), occurred_at.as_ref(), self.ordering_key.as_ref()];
        // Only where it is so: keys that were stored before there was a choice still know their events.
        let at = self.at_occurrence.then(|| "occurredAt".to_owned());
        for part in always.into_iter().chain(at.as_ref().map(Some)) {
            // With its length, and apart from nothing at all, so that no two bodies are hashed alike.
            hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            hash.update(part.map_or("", |part| part.as_str()));
        }
        hash.finalize().into()
    }

    /// The first 16 bytes of the idempotency key's SHA-256: what it is stored as.
    pub fn key(&self) -> Option<Uuid> {
        let key = self.idempotency_key.as_ref()?;
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        hash.first_chunk().map(|bytes| Uuid::from_bytes(*bytes))
    }
}

/// What is wrong with a type or project.
fn label_fault(label: &str) -> Option<Detail> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    if label.is_empty() || label.chars().count() > EVENT_LABEL_CHARS_MAX {
        return Some(Detail::new("wrong_length", format!("a label has 1 to {EVENT_LABEL_CHARS_MAX} characters")));
    }
    let wrong = label.chars().find(|c| !fits(*c))?;
    let message = format!("`{}` is not allowed in a label; letters, digits and `_.:-` are", wrong.escape_default());
    Some(Detail::new("invalid_character", message))
}

/// What is wrong with an idempotency key or ordering key.
fn key_fault(key: &str) -> Option<Detail> {
    if key.is_empty() || key.len() > EVENT_KEY_BYTES_MAX {
        return Some(Detail::new("wrong_length", format!("a key has 1 to {EVENT_KEY_BYTES_MAX} bytes")));
    }
    key.contains('\0').then(|| Detail::new("nul_character", "the text contains a NUL character"))
}

/// What accepting an event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored.
    New(EventId),
    /// It was stored before, under the same idempotency key; its id.
    Duplicate(EventId),
    /// Another event has the same idempotency key; that one's id.
    Conflict(EventId),
    /// The tenant no longer exists.
    NoTenant,
}

/// What has become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// Not decided yet.
    Pending,
    /// Tried in vain; it will be tried again.
    Retrying,
    /// Decided.
    Decided,
    /// Given up.
    Dead,
    /// Given up, and put aside by an operator.
    Discarded,
}

impl EventState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Retrying, Self::Decided, Self::Dead, Self::Discarded];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Decided => "decided",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }

    /// The state of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// Why an event could not be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventFailure {
    /// The schema refuses its facts.
    FactsInvalid,
    /// The tenant has no schema.
    SchemaMissing,
    /// Its facts are larger than the tenant may send by now.
    TooLarge,
    /// It is older than the time that events are kept.
    Expired,
    /// Deciding it panicked: a defect of ours.
    Panic,
    /// The process ended while deciding it, several times.
    Crashed,
    /// What was in the queue is no event of the tenant.
    Undecodable,
    /// Its idempotency key is another event's.
    KeyConflict,
    /// An event before it with the same ordering key is to be tried again. No reason to give it up.
    Behind,
}

impl EventFailure {
    /// All for which an event is given up.
    pub const ALL: [Self; 8] = [
        Self::FactsInvalid,
        Self::SchemaMissing,
        Self::TooLarge,
        Self::Expired,
        Self::Panic,
        Self::Crashed,
        Self::Undecodable,
        Self::KeyConflict,
    ];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::FactsInvalid => "facts_invalid",
            Self::SchemaMissing => "schema_missing",
            Self::TooLarge => "too_large",
            Self::Expired => "expired",
            Self::Panic => "panic",
            Self::Crashed => "crashed",
            Self::Undecodable => "undecodable",
            Self::KeyConflict => "key_conflict",
            Self::Behind => "behind",
        }
    }

    /// The failure of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.name() == name)
    }
}

impl fmt::Display for EventFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An event that is to be decided.
#[derive(Debug, Clone)]
pub struct QueuedEvent {
    /// Its id, which tells when it was received.
    pub id: EventId,
    /// Its type.
    pub kind: Option<String>,
    /// Events with the same one are decided one after the other.
    pub ordering_key: Option<String>,
    /// The time that its rules read as `now`; the current time if `None`.
    pub at: Option<DateTime<Utc>>,
    /// Its facts, as JSON.
    pub facts: String,
    /// How often it was tried before.
    pub attempts: u16,
    /// Whether a process ended while it tried this event: it is tried alone, then.
    pub is_suspect: bool,
}

/// What deciding an event came to.
#[derive(Debug, Clone)]
pub enum EventOutcome {
    /// It is decided.
    Decided {
        /// The time that the rules read as `now`.
        evaluated_at: DateTime<Utc>,
        /// The revision of the rule set.
        revision: Revision,
        /// The version of its schema.
        schema_version: SchemaVersion,
        /// The rules that matched.
        matched: Vec<RuleId>,
        /// The errors of rules, as JSON.
        errors: Value,
        /// The cost in units.
        cost: u64,
        /// How long it took, in microseconds.
        micros: u64,
        /// The hash of the rule set that decided.
        rule_set_hash: [u8; 32],
    },
    /// It is tried again after this time.
    Retry {
        /// Why.
        failure: EventFailure,
        /// What is said about it.
        detail: String,
        /// After how long.
        after: TimeDelta,
    },
    /// It is given up.
    Dead {
        /// Why.
        failure: EventFailure,
        /// What is said about it, as JSON.
        detail: Value,
        /// The revision that refused it.
        revision: Option<Revision>,
    },
}

impl EventOutcome {
    /// What becomes of an event whose predecessor waits: no attempt of its own is used.
    pub fn behind() -> Self {
        Self::Retry {
            failure: EventFailure::Behind,
            detail: "an earlier event with the same ordering key is to be tried again".to_owned(),
            after: TimeDelta::seconds(1),
        }
    }

    /// Why the event is given up, if it is.
    pub fn death(&self) -> Option<EventFailure> {
        match self {
            Self::Dead { failure, .. } => Some(*failure),
            Self::Decided { .. } | Self::Retry { .. } => None,
        }
    }
}

/// How long a failed event waits before its next attempt, after this many; `None` if there is none. The wait is
/// spread at random by half: 1, 4, 16, 64 s.
pub fn retry_after(attempts: u16, jitter_permille: u16) -> Option<TimeDelta> {
    if attempts == 0 || attempts >= EVENT_ATTEMPTS_MAX {
        return None;
    }
    let base_ms = 1_000_i64 << (2 * (attempts - 1)).min(20);
    Some(TimeDelta::milliseconds(base_ms / 2 + base_ms * i64::from(jitter_permille.min(1_000)) / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(facts: &str) -> EventDraft {
        EventDraft {
            facts: RawValue::from_string(facts.to_owned()).unwrap(),
            kind: None,
            project: None,
            idempotency_key: None,
            occurred_at: None,
            at_occurrence: false,
            ordering_key: None,
        }
    }

    #[test]
    fn the_same_event_has_the_same_digest_however_it_is_written() {
        let written = draft(r#"{"a": 1, "b": {"d": [1, 2], "c": "x"}}"#);
        assert_eq!(written.digest(), draft(r#"{"b":{"c":"\u0078","d":[1,2]},"a":1}"#).digest());
        for other in [r#"{"a":1}"#, r#"{"a":1,"b":{"d":[2,1],"c":"x"}}"#, r#"{"a":"1","b":{"d":[1,2],"c":"x"}}"#] {
            assert_ne!(written.digest(), draft(other).digest(), "{other}");
        }
        let with = |kind: Option<&str>, ordering: Option<&str>| {
            EventDraft { kind: kind.map(str::to_owned), ordering_key: ordering.map(str::to_owned), ..draft("{}") }
                .digest()
        };
        assert_ne!(with(Some("a"), None), with(None, Some("a")));
        assert_ne!(with(Some(""), None), with(None, None));
        let occurred = EventDraft { occurred_at: Some(DateTime::UNIX_EPOCH), ..draft("{}") };
        assert_ne!(occurred.digest(), EventDraft { at_occurrence: true, ..occurred.clone() }.digest());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_all_at_once() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut event = draft("{}");
        assert!(event.faults(now, TimeDelta::days(7)).is_empty());
        event.kind = Some("a b".to_owned());
        event.project = Some("x".repeat(65));
        event.idempotency_key = Some(String::new());
        event.ordering_key = Some("é".repeat(128));
        event.occurred_at = Some(now - TimeDelta::days(8));
        let faults = event.faults(now, TimeDelta::days(7));
        let paths: Vec<_> = faults.iter().map(|fault| (fault.code, fault.path.as_deref().unwrap())).collect();
        assert_eq!(
            paths,
            [
                ("invalid_character", "type"),
                ("wrong_length", "project"),
                ("wrong_length", "idempotencyKey"),
                ("wrong_length", "orderingKey"),
                ("too_old", "occurredAt")
            ]
        );
        event = EventDraft { occurred_at: Some(now + TimeDelta::hours(25)), ..draft("{}") };
        assert_eq!(event.faults(now, TimeDelta::days(7))[0].code, "too_far_ahead");
        event = EventDraft { at_occurrence: true, ..draft("{}") };
        let faults = event.faults(now, TimeDelta::days(7));
        assert_eq!((faults[0].code, faults[0].path.as_deref()), ("invalid_value", Some("at")));
        event.occurred_at = Some(now);
        assert!(event.faults(now, TimeDelta::days(7)).is_empty());
    }

    #[test]
    fn waits_grow_fourfold_and_end() {
        let waits =
            |jitter| (1..6).map(|n| retry_after(n, jitter).map(|wait| wait.num_milliseconds())).collect::<Vec<_>>();
        assert_eq!(waits(0), [Some(500), Some(2_000), Some(8_000), Some(32_000), None]);
        assert_eq!(waits(1_000), [Some(1_500), Some(6_000), Some(24_000), Some(96_000), None]);
        assert_eq!(retry_after(0, 0), None);
    }
}
