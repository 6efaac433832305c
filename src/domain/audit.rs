//! The audit log: who changed what of a tenant, each row bound to the one before by a hash.
//!
//! What is hashed, and what a broken chain looks like, is decided here; where rows are kept is the store's business. A
//! chain without a secret shows what was changed by hand or by accident. It does not stop somebody who may write to the
//! tables and computes the rest of it anew: against that the newest hash is noted elsewhere.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Author, Revision, TenantId};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[$doc])* $name,)*
        }

        impl AuditAction {
            /// All of them, with what they are called outside.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($text, Self::$name),)*];

            /// What it is called outside.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    /// A tenant was made.
    TenantCreate = "tenant.create",
    /// Settings of a tenant were changed.
    TenantChange = "tenant.change",
    /// A tenant was deleted, and everything of it.
    TenantDelete = "tenant.delete",
    /// A schema version was made, and put in use.
    SchemaCreate = "schema.create",
    /// An older schema version was put in use.
    SchemaActivate = "schema.activate",
    /// A derived field was made.
    DerivedFieldCreate = "derived_field.create",
    /// A derived field was changed.
    DerivedFieldChange = "derived_field.change",
    /// A derived field was deleted.
    DerivedFieldDelete = "derived_field.delete",
    /// A rule was made.
    RuleCreate = "rule.create",
    /// A rule was changed.
    RuleChange = "rule.change",
    /// A rule was deleted.
    RuleDelete = "rule.delete",
    /// A key was made.
    ApiKeyCreate = "api_key.create",
    /// A key was given an end, because another takes its place.
    ApiKeyChange = "api_key.change",
    /// A key was revoked.
    ApiKeyDelete = "api_key.delete",
    /// A key of an operator was made.
    OperatorKeyCreate = "operator_key.create",
    /// A key of an operator was revoked.
    OperatorKeyDelete = "operator_key.delete",
    /// An event was deleted.
    EventDelete = "event.delete",
    /// Dead letters were brought back.
    DeadLettersRedrive = "dead_letters.redrive",
    /// A redrive was stopped.
    RedriveStop = "redrive.stop",
    /// Dead letters were put aside.
    DeadLettersDiscard = "dead_letters.discard",
    /// Decisions of events were paused.
    ConsumerPause = "consumer.pause",
    /// Decisions of events were resumed.
    ConsumerResume = "consumer.resume",
    /// A node was asked to load the tenant.
    RuntimeLoad = "runtime.load",
    /// A node was asked to let go of the tenant.
    RuntimeStop = "runtime.stop",
    /// A node was asked to compile the tenant anew.
    RuntimeReload = "runtime.reload",
    /// A node was asked to take the tenant out of quarantine.
    RuntimeRelease = "runtime.release",
}

/// Something done, to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditDraft {
    /// What.
    pub action: AuditAction,
    /// The resource: its path below the tenant's, or `tenant`.
    pub resource: String,
    /// What it was before; of a change, its name and what was changed.
    pub before: Option<Value>,
    /// What it is afterwards, in the same way.
    pub after: Option<Value>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Whose log.
    pub tenant: TenantId,
    /// Its place: 1, 2, 3 …
    pub sequence: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub author: Author,
    /// What was done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// The tenant's revision afterwards.
    pub revision: Revision,
    /// What it was, as JSON.
    pub before: Option<String>,
    /// What it is, as JSON.
    pub after: Option<String>,
    /// The hash over all of this and the hash of the row before.
    pub hash: AuditHash,
}

/// What binds a row to all that came before it. Before the first row it is all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditHash(pub [u8; 32]);

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl AuditRow {
    /// The hash that the row must have after `previous`: SHA-256 over that hash and every field in its order, each with
    /// its length, so that no two rows are written alike.
    pub fn hash_after(&self, previous: AuditHash) -> AuditHash {
        let mut hash = Sha256::new();
        hash.update(previous.0);
        let address = self.author.address.map(|address| address.to_string());
        let fields: [Option<&[u8]>; 12] = [
            Some(self.tenant.0.as_bytes()),
            Some(&self.sequence.to_be_bytes()),
            Some(&self.at.timestamp_micros().to_be_bytes()),
            Some(self.author.actor.as_bytes()),
            self.author.key.as_ref().map(|key| key.0.as_bytes().as_slice()),
            Some(self.action.as_bytes()),
            Some(self.resource.as_bytes()),
            Some(&self.revision.0.to_be_bytes()),
            self.before.as_deref().map(str::as_bytes),
            self.after.as_deref().map(str::as_bytes),
            self.author.request_id.as_deref().map(str::as_bytes),
            address.as_deref().map(str::as_bytes),
        ];
        for field in fields {
            hash.update([u8::from(field.is_some())]);
            let bytes = field.unwrap_or_default();
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        AuditHash(hash.finalize().into())
    }
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// Rows are gone.
    #[error("{} missing", rows(.0, .1, ["is", "are"]))]
    Missing(i64, i64),
    /// A row is not what was written, or not where it was.
    #[error("row {0} was changed or moved, or does not follow from the one before it")]
    Changed(i64),
    /// Rows that the service did not write.
    #[error("{} added by hand", rows(.0, .1, ["was", "were"]))]
    Added(i64, i64),
    /// The last row was changed along with its hash.
    #[error("row {0}, the last one, is not the one that was written last")]
    EndChanged(i64),
}

fn rows(first: &i64, last: &i64, [one, several]: [&str; 2]) -> String {
    if first == last { format!("row {first} {one}") } else { format!("rows {first} to {last} {several}") }
}

/// Verifies a log, row after row in their order.
#[derive(Debug, Default)]
pub struct AuditChain {
    sequence: i64,
    hash: AuditHash,
}

impl AuditChain {
    /// The next row; says what is wrong with it. The look goes on after it, with the hash that it has.
    pub fn next(&mut self, row: &AuditRow) -> Option<AuditFault> {
        let expected = self.sequence.saturating_add(1);
        let fault = if row.sequence > expected {
            // What the row should follow from is not there to be compared with.
            Some(AuditFault::Missing(expected, row.sequence.saturating_sub(1)))
        } else if row.hash_after(self.hash) != row.hash {
            Some(AuditFault::Changed(row.sequence))
        } else {
            None
        };
        (self.sequence, self.hash) = (row.sequence, row.hash);
        fault
    }

    /// The end: what was written last, as noted beside the log.
    pub fn end(&self, sequence: i64, hash: AuditHash) -> Option<AuditFault> {
        if sequence > self.sequence {
            return Some(AuditFault::Missing(self.sequence.saturating_add(1), sequence));
        }
        if sequence < self.sequence {
            return Some(AuditFault::Added(sequence.saturating_add(1), self.sequence));
        }
        (hash != self.hash).then_some(AuditFault::EndChanged(sequence))
    }

    /// The rows seen, by the number of the last one.
    pub fn sequence(&self) -> i64 {
        self.sequence
    }

    /// The hash of the last row.
    pub fn hash(&self) -> AuditHash {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ApiKeyId;

    fn log(rows: i64) -> Vec<AuditRow> {
        let tenant = TenantId::generate();
        let mut previous = AuditHash::default();
        (1..=rows)
            .map(|sequence| {
                let mut row = AuditRow {
                    tenant,
                    sequence,
                    at: DateTime::from_timestamp_micros(1_700_000_000_000_000 + sequence).unwrap(),
                    author: Author::command("test"),
                    action: "rule.change".to_owned(),
                    resource: "rules/1".to_owned(),
                    revision: Revision(sequence),
                    before: None,
                    after: Some("{}".to_owned()),
                    hash: AuditHash::default(),
                };
                row.hash = row.hash_after(previous);
                previous = row.hash;
                row
            })
            .collect()
    }

    fn faults(rows: &[AuditRow], written: &[AuditRow]) -> Vec<AuditFault> {
        let mut chain = AuditChain::default();
        let mut found: Vec<AuditFault> = rows.iter().filter_map(|row| chain.next(row)).collect();
        let last = written.last().unwrap();
        found.extend(chain.end(last.sequence, last.hash));
        found
    }

    #[test]
    fn a_log_as_it_was_written_is_whole() {
        let rows = log(9);
        assert_eq!(faults(&rows, &rows), []);
    }

    #[test]
    fn every_field_of_a_row_counts() {
        let rows = log(3);
        let changes: [fn(&mut AuditRow); 12] = [
            |row| row.tenant = TenantId::generate(),
            |row| row.at += chrono::Duration::microseconds(1),
            |row| row.author.actor.push('x'),
            |row| row.author.key = Some(ApiKeyId::generate()),
            |row| row.author.request_id = Some(String::new()),
            |row| row.author.address = Some([127, 0, 0, 1].into()),
            |row| row.action.push('x'),
            |row| row.resource.push('x'),
            |row| row.revision.0 += 1,
            |row| row.before = Some("{}".to_owned()),
            |row| row.after = None,
            // The same letters in a row, cut in another place.
            |row| (row.action, row.resource) = ("rule.changer".to_owned(), "ules/1".to_owned()),
        ];
        for change in changes {
            let mut changed = rows.clone();
            change(&mut changed[1]);
            assert_eq!(faults(&changed, &rows), [AuditFault::Changed(2)], "{:?}", changed[1]);
        }
    }

    #[test]
    fn rows_that_are_gone_moved_or_added_are_named() {
        let rows = log(6);
        let without = |gone: std::ops::Range<usize>| {
            let mut left = rows.clone();
            left.drain(gone);
            left
        };
        assert_eq!(faults(&without(0..1), &rows), [AuditFault::Missing(1, 1)]);
        assert_eq!(faults(&without(2..4), &rows), [AuditFault::Missing(3, 4)]);
        assert_eq!(faults(&without(4..6), &rows), [AuditFault::Missing(5, 6)]);
        assert_eq!(faults(&without(0..6), &rows), [AuditFault::Missing(1, 6)]);
        assert_eq!(faults(&rows, &rows[..5]), [AuditFault::Added(6, 6)]);
        let mut moved = rows.clone();
        moved.swap(1, 2);
        (moved[1].sequence, moved[2].sequence) = (2, 3);
        let expected = [AuditFault::Changed(2), AuditFault::Changed(3), AuditFault::Changed(4)];
        assert_eq!(faults(&moved, &rows), expected);
    }

    #[test]
    fn a_row_changed_along_with_its_hash_is_missed_by_the_next_one_or_the_end() {
        let rows = log(4);
        for (at, expected) in [(1, AuditFault::Changed(3)), (3, AuditFault::EndChanged(4))] {
            let mut forged = rows.clone();
            forged[at].author.actor = "somebody else".to_owned();
            forged[at].hash = forged[at].hash_after(rows[at - 1].hash);
            assert_eq!(faults(&forged, &rows), [expected]);
        }
    }
}
