//! Events under load: what was accepted, held against what was decided in the end.
//!
//! The counts come from any node of the service. How old events were when they were decided is known to the node that
//! decided them, so that ages are those of the node that is asked.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::client::{Client, Response};

use super::{
    Error,
    generator::Generator,
    prepare::{Tenant, accepted},
    random::Random,
};

/// How long the service may take to decide what is left.
const DRAIN_MAX: Duration = Duration::from_secs(300);
/// Between two questions whether it has: each counts the events of a tenant.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Before a question is asked again that the service was too busy for.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// How far the clocks of this machine and of the service may be apart.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(10);
/// The histogram of ages in `/metrics`.
const AGES: &str = "tenet_event_age_seconds_bucket{le=\"";

/// Makes events, each with an idempotency key that no other run has.
#[derive(Debug)]
pub(super) struct EventWriter {
    prefix: String,
    made: u64,
}

impl EventWriter {
    /// For one connection.
    pub fn new(connection: usize) -> Self {
        let now = Utc::now().timestamp_micros();
        Self { prefix: format!("{now:x}-{connection}-"), made: 0 }
    }

    /// Appends an event on facts just made.
    pub fn write(&mut self, facts: &Generator, random: &mut Random, out: &mut String) {
        self.made += 1;
        out.push_str("{\"idempotencyKey\":\"");
        out.push_str(&self.prefix);
        out.push_str(&self.made.to_string());
        out.push_str("\",\"facts\":");
        facts.write(random, out);
        out.push('}');
    }

    /// The body of a batch.
    pub fn batch(&mut self, events: usize, facts: &Generator, random: &mut Random) -> String {
        let mut body = String::with_capacity(events * 192);
        body.push_str("{\"events\":[");
        for number in 0..events {
            if number > 0 {
                body.push(',');
            }
            self.write(facts, random, &mut body);
        }
        body.push_str("]}");
        body
    }
}

/// What became of events that were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Stored now.
    pub accepted: u64,
    /// Not stored, although the request was answered well: by the error's code, or `duplicate`.
    pub refused: BTreeMap<String, u64>,
}

impl Sent {
    /// Reads the answer to an event.
    pub fn one(body: &[u8]) -> Option<Self> {
        let item: SentItem = serde_json::from_slice(body).ok()?;
        let mut sent = Self::default();
        sent.count(item);
        Some(sent)
    }

    /// Reads the answer to a batch of `events`.
    pub fn batch(body: &[u8], events: usize) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            items: Vec<SentItem>,
        }
        let Answer { items } = serde_json::from_slice(body).ok()?;
        if items.len() != events {
            return None;
        }
        let mut sent = Self::default();
        items.into_iter().for_each(|item| sent.count(item));
        Some(sent)
    }

    fn count(&mut self, item: SentItem) {
        let refused = match item {
            SentItem::Stored { status } if status == "accepted" => {
                self.accepted += 1;
                return;
            }
            SentItem::Stored { status } => status,
            SentItem::Refused { error } => error.code,
        };
        *self.refused.entry(refused).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        for (what, count) in &other.refused {
            *self.refused.entry(what.clone()).or_default() += count;
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SentItem {
    Refused { error: RefusedItem },
    Stored { status: String },
}

#[derive(Deserialize)]
struct RefusedItem {
    code: String,
}

/// The counts of all tenants' events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    total: i64,
    pending: i64,
    retrying: i64,
    dead_letters: i64,
}

impl Counts {
    fn add(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            pending: self.pending + other.pending,
            retrying: self.retrying + other.retrying,
            dead_letters: self.dead_letters + other.dead_letters,
        }
    }
}

/// What there was before the load.
pub(super) struct Before {
    at: DateTime<Utc>,
    counts: Counts,
    ages: BTreeMap<u64, u64>,
}

/// What came of the events in the end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decided {
    /// Decided.
    pub decided: i64,
    /// Given up.
    pub dead_letters: i64,
    /// Accepted, and neither decided nor given up.
    pub lost: i64,
    /// Until all were decided, from the begin of the load on.
    pub after: Duration,
    /// How many of them had which age at most when they were decided, by microseconds.
    pub ages: BTreeMap<u64, u64>,
}

/// Waits until nothing of an earlier run is left, and counts.
pub(super) async fn before(client: &Client, tenants: &[Tenant]) -> Result<Before, Error> {
    let at = Utc::now() - CLOCK_MARGIN;
    let counts = drained(client, tenants).await?;
    if counts.pending + counts.retrying > 0 {
        return Err(Error::Invalid("the service does not decide the events of an earlier run".to_owned()));
    }
    Ok(Before { at, counts, ages: ages(client).await })
}

/// Waits until everything is decided, and holds it against what was `accepted` since the load began at `began`.
pub(super) async fn after(
    client: &Client,
    tenants: &[Tenant],
    before: &Before,
    sent: u64,
    began: Instant,
) -> Result<Decided, Error> {
    let counts = drained(client, tenants).await?;
    let after = began.elapsed();
    // What the position of a queue has passed may have been skipped: each event is looked at.
    let mut undecided = 0;
    for tenant in tenants {
        undecided += undecided_of(client, tenant, before.at).await?;
    }
    let dead_letters = counts.dead_letters - before.counts.dead_letters;
    let decided = counts.total - before.counts.total - dead_letters - undecided;
    let mut ages = ages(client).await;
    for (bound, count) in &mut ages {
        *count = count.saturating_sub(before.ages.get(bound).copied().unwrap_or(0));
    }
    let lost = i64::try_from(sent).unwrap_or(i64::MAX) - decided - dead_letters;
    Ok(Decided { decided, dead_letters, lost, after, ages })
}

/// The counts once nothing waits any more, or after the longest time that this may take.
async fn drained(client: &Client, tenants: &[Tenant]) -> Result<Counts, Error> {
    let deadline = Instant::now() + DRAIN_MAX;
    let mut sum = Counts::default();
    for tenant in tenants {
        let path = format!("{}/stats", tenant.events_path);
        loop {
            let counts: Counts = asked_patiently(client, "counting events", &path).await?.json()?;
            if counts.pending + counts.retrying == 0 || Instant::now() > deadline {
                sum = sum.add(counts);
                break;
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
    Ok(sum)
}

/// Asks until the answer is not 503: a database that was just filled is slow until it has counted its rows.
async fn asked_patiently(client: &Client, doing: &str, path: &str) -> Result<Response, Error> {
    let deadline = Instant::now() + DRAIN_MAX;
    loop {
        let answer = client.get(path).await?;
        if answer.status != 503 || Instant::now() > deadline {
            return accepted(doing, &answer).cloned();
        }
        sleep(BUSY_PAUSE).await;
    }
}

/// How many events of a tenant since `from` have neither a decision nor a dead letter.
async fn undecided_of(client: &Client, tenant: &Tenant, from: DateTime<Utc>) -> Result<i64, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        items: Vec<Value>,
        next_cursor: Option<String>,
    }
    let mut undecided = 0;
    for state in ["pending", "retrying"] {
        let from = from.to_rfc3339_opts(SecondsFormat::Secs, true);
        let first = format!("{}?state={state}&limit=200&from={from}", tenant.events_path);
        let mut path = first.clone();
        loop {
            let page: Page = asked_patiently(client, "listing events", &path).await?.json()?;
            undecided += i64::try_from(page.items.len()).unwrap_or(i64::MAX);
            let Some(cursor) = page.next_cursor else { break };
            path = format!("{first}&cursor={cursor}");
        }
    }
    Ok(undecided)
}

/// The ages of events that the node that is asked has decided; nothing if it shows no metrics here.
async fn ages(client: &Client) -> BTreeMap<u64, u64> {
    match client.get("/metrics").await {
        Ok(answer) if answer.is_success() => read_ages(&answer.text()),
        _ => BTreeMap::new(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are seconds, and few")]
fn read_ages(metrics: &str) -> BTreeMap<u64, u64> {
    let bucket = |line: &str| {
        let (bound, count) = line.strip_prefix(AGES)?.split_once("\"} ")?;
        let micros = if bound == "+Inf" { u64::MAX } else { (bound.parse::<f64>().ok()? * 1e6).round() as u64 };
        Some((micros, count.trim().parse().ok()?))
    };
    metrics.lines().filter_map(bucket).collect()
}

/// The age that this share of the events had at most, in milliseconds: between the bounds of its bucket as if ages were
/// spread evenly there. `None`: none was decided, or it is above all bounds.
#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below what a double holds")]
pub(super) fn age_ms(ages: &BTreeMap<u64, u64>, share: f64) -> Option<f64> {
    let all = *ages.values().next_back().filter(|all| **all > 0)?;
    let wanted = all as f64 * share;
    let (mut lower, mut below) = (0, 0);
    for (&bound, &count) in ages {
        if count as f64 >= wanted {
            let part = (wanted - below as f64) / count.saturating_sub(below).max(1) as f64;
            return (bound < u64::MAX).then(|| (lower as f64 + part * (bound - lower) as f64) / 1e3);
        }
        (lower, below) = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_a_batch_is_counted_by_what_became_of_it() {
        let body = br#"{"items":[{"id":"1","status":"accepted","receivedAt":"x"},{"id":"1","status":"duplicate"},
            {"error":{"code":"backlog_full","message":"m"}},{"id":"2","status":"accepted"}],"accepted":2}"#;
        let sent = Sent::batch(body, 4).unwrap();
        let refused = BTreeMap::from([("duplicate".to_owned(), 1), ("backlog_full".to_owned(), 1)]);
        assert_eq!(sent, Sent { accepted: 2, refused });
        assert_eq!(Sent::batch(body, 3), None, "an answer for another number of events");
        assert_eq!(Sent::one(br#"{"id":"1","status":"accepted"}"#).unwrap().accepted, 1);
        assert_eq!(Sent::one(b"{}"), None);
    }

    #[test]
    fn no_two_events_have_one_key() {
        let facts = serde_json::json!({"n": "integer 1..9 uniform"});
        let facts = Generator::parse(facts.as_object().unwrap()).unwrap();
        let (mut writer, mut random) = (EventWriter::new(3), Random::new(1));
        let mut keys = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let body: Value = serde_json::from_str(&writer.batch(5, &facts, &mut random)).unwrap();
            for event in body["events"].as_array().unwrap() {
                assert!((1..=9).contains(&event["facts"]["n"].as_i64().unwrap()), "{event}");
                assert!(keys.insert(event["idempotencyKey"].as_str().unwrap().to_owned()), "{event}");
            }
        }
        assert_eq!(keys.len(), 15);
    }

    #[test]
    fn ages_lie_between_the_bounds_of_their_bucket() {
        let text = "tenet_event_age_seconds_bucket{le=\"0.01\"} 50\ntenet_event_age_seconds_bucket{le=\"0.1\"} 100\n\
             tenet_event_age_seconds_bucket{le=\"+Inf\"} 101\nother 5\n";
        let ages = read_ages(text);
        assert_eq!(ages, BTreeMap::from([(10_000, 50), (100_000, 100), (u64::MAX, 101)]));
        assert!((age_ms(&ages, 0.25).unwrap() - 5.05).abs() < 1e-9);
        assert!((age_ms(&ages, 75.0 / 101.0).unwrap() - 55.0).abs() < 1e-9);
        assert_eq!(age_ms(&ages, 1.0), None, "one is above all bounds");
        assert_eq!(age_ms(&BTreeMap::new(), 0.5), None);
    }
}
