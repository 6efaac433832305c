//! An event as a message. What comes from the broker is not trusted: whoever can write to it can write anything.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    domain::{EventDraft, EventId, Quota, TenantId, TenantScope},
    json,
};

/// Bytes of a message: an event of the largest quota, and its keys and labels.
const BYTES_MAX: usize = (1 << 20) + 16 * 1024;
/// How far ahead of our clock another node's may be.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);

/// An event on its way through the broker.
#[derive(Debug, Clone)]
pub struct Message {
    /// Whose it is.
    pub scope: TenantScope,
    /// Its id, made when it was accepted.
    pub id: EventId,
    /// What was sent.
    pub draft: EventDraft,
}

/// A message that is no event, or not one of the tenant whose queue it is in. It says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable(pub String);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body<'a> {
    tenant: Uuid,
    id: Uuid,
    #[serde(borrow)]
    facts: &'a RawValue,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    occurred_at: Option<DateTime<Utc>>,
    #[serde(default)]
    at_occurrence: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordering_key: Option<String>,
}

impl Message {
    /// The message as it is sent.
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let draft = &self.draft;
        serde_json::to_vec(&Body {
            tenant: self.scope.id().0,
            id: self.id.0,
            facts: &draft.facts,
            kind: draft.kind.clone(),
            project: draft.project.clone(),
            idempotency_key: draft.idempotency_key.clone(),
            occurred_at: draft.occurred_at,
            at_occurrence: draft.at_occurrence,
            ordering_key: draft.ordering_key.clone(),
        })
    }

    /// The event in a message of `tenant`'s queue.
    pub(super) fn decode(tenant: TenantId, bytes: &[u8], now: DateTime<Utc>) -> Result<Self, Undecodable> {
        let refused = |what: &str| Undecodable(what.to_owned());
        if bytes.len() > BYTES_MAX {
            return Err(Undecodable(format!("the message has {} bytes", bytes.len())));
        }
        let body: Body<'_> =
            serde_json::from_slice(bytes).map_err(|_| refused("the message is not an event as JSON"))?;
        let scope = TenantScope::of_message(tenant, TenantId(body.tenant))
            .ok_or_else(|| refused("the message belongs to another tenant than its queue"))?;
        let id = EventId(body.id);
        let kept = TimeDelta::days(i64::try_from(Quota::EventRetentionDays.grant_max()).unwrap_or(90));
        if body.id.get_version_num() != 7 || id.received_at() > now + AHEAD_MAX {
            return Err(refused("the event's id is not one that a node makes"));
        }
        // The day that it belongs to is no longer there.
        if id.received_at() < now - kept {
            return Err(refused("the event waited longer than events are kept"));
        }
        json::check(body.facts.get().as_bytes(), "facts", 1)
            .map_err(|_| refused("the event's facts cannot be stored"))?;
        let draft = EventDraft {
            facts: body.facts.to_owned(),
            kind: body.kind,
            project: body.project,
            idempotency_key: body.idempotency_key,
            occurred_at: body.occurred_at,
            at_occurrence: body.at_occurrence,
            ordering_key: body.ordering_key,
        };
        match draft.faults(id.received_at(), kept).first() {
            Some(fault) => {
                Err(Undecodable(format!("`{}`: {}", fault.path.as_deref().unwrap_or_default(), fault.message)))
            }
            None => Ok(Self { scope, id, draft }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Principal, TenantScope};

    fn message(facts: &str) -> Message {
        let tenant = TenantId::generate();
        Message {
            scope: TenantScope::of_principal(&Principal::Operator { key: None }, tenant).unwrap(),
            id: EventId::generate(),
            draft: EventDraft {
                facts: RawValue::from_string(facts.to_owned()).unwrap(),
                kind: Some("payment".to_owned()),
                project: None,
                idempotency_key: Some("a key".to_owned()),
                occurred_at: Some(Utc::now()),
                at_occurrence: true,
                ordering_key: Some("an order".to_owned()),
            },
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let sent = message(r#"{"amount": 1.10, "at": "é"}"#);
        let read = Message::decode(sent.scope.id(), &sent.encode().unwrap(), Utc::now()).unwrap();
        assert_eq!((read.scope, read.id), (sent.scope, sent.id));
        assert_eq!(read.draft.facts.get(), sent.draft.facts.get());
        assert_eq!((read.draft.digest(), read.draft.key()), (sent.draft.digest(), sent.draft.key()));
        assert_eq!(read.draft.kind, sent.draft.kind);
    }

    #[test]
    fn what_no_node_of_ours_writes_is_refused() {
        let now = Utc::now();
        let refusal = |message: &Message, tenant, bytes: &[u8]| {
            let _ = message;
            Message::decode(tenant, bytes, now).unwrap_err().0
        };
        let sent = message("{}");
        let (tenant, bytes) = (sent.scope.id(), sent.encode().unwrap());
        assert!(refusal(&sent, TenantId::generate(), &bytes).contains("another tenant"));
        for wrong in [&b"\xff"[..], b"", b"{}", b"[1]", &bytes[..bytes.len() - 1]] {
            assert!(refusal(&sent, tenant, wrong).contains("not an event"), "{wrong:?}");
        }
        assert!(refusal(&sent, tenant, &vec![b' '; BYTES_MAX + 1]).contains("bytes"));
        let other_id = |id: Uuid| Message { id: EventId(id), ..sent.clone() }.encode().unwrap();
        for id in [Uuid::nil(), Uuid::max(), Uuid::from_u128(Uuid::now_v7().as_u128() + (1 << 110))] {
            assert!(refusal(&sent, tenant, &other_id(id)).contains("id"), "{id}");
        }
        let old = uuid::Uuid::from_u128(Uuid::now_v7().as_u128() - ((100 * 86_400_000) << 80));
        assert!(refusal(&sent, tenant, &other_id(old)).contains("longer than events are kept"));
        let deep = Message { draft: message(&format!("{}{}", "[".repeat(40), "]".repeat(40))).draft, ..sent.clone() };
        assert!(refusal(&deep, tenant, &deep.encode().unwrap()).contains("facts"));
        let mut keyed = sent.clone();
        keyed.draft.ordering_key = Some("a\0b".to_owned());
        assert!(refusal(&keyed, tenant, &keyed.encode().unwrap()).contains("orderingKey"));
    }
}
