//! An item of a batch or of a stream: how it is read, decided and answered.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::decide;
use crate::{
    engine::{self, Ask, Decided, Engine, Served, Submission, Work},
    error::Detail,
    http::door::Error,
    json::{self, Writer},
};

/// Bytes after which a piece of the answer is sent.
pub const PIECE_BYTES: usize = 32 * 1024;

/// An item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object with `facts`")]
pub struct BatchItem<'a> {
    /// The facts: flat, or under their objects' names.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    facts: &'a RawValue,
}

impl BatchItem<'_> {
    /// The facts, as they were written.
    pub fn facts(&self) -> &str {
        self.facts.get()
    }
}

/// The answer to an item.
pub enum Item<'a> {
    /// The decision.
    Decided(Decided<'a>),
    /// The item was not decided.
    Refused {
        /// Why.
        error: ItemRefusal,
    },
}

impl Item<'_> {
    /// Writes its members.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Decided(decided) => decide::write_decided(writer, decided),
            Self::Refused { error } => writer.member("error", error),
        }
    }
}

/// Why an item is not decided.
#[derive(Debug, Serialize)]
pub struct ItemRefusal {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Detail>,
}

impl From<Error> for ItemRefusal {
    fn from(error: Error) -> Self {
        Self { code: error.code(), message: error.detail().to_owned(), errors: error.errors().to_vec() }
    }
}

/// Decides one item, written as an object with `facts`; `None` if it costs too much for the thread of a request.
pub fn decide<'a>(on: Thread<'_>, served: &'a Served, ask: &'a Ask, item: &[u8]) -> Option<Item<'a>> {
    let decided = json::envelope::<BatchItem>(item, "").map_err(Error::from).and_then(|BatchItem { facts }| {
        let submission = Submission { facts: facts.get(), bytes: item.len(), depth: ITEM_DEPTH };
        Ok(match on {
            Thread::OfRequest(engine) => engine.decide_if_cheap(served, ask, submission)?,
            Thread::OfPool(engine) => Some(engine.decide(served, ask, submission)?),
        })
    });
    match decided {
        Ok(decided) => decided.map(Item::Decided),
        Err(error) => Some(Item::Refused { error: error.into() }),
    }
}

/// Where an item is decided.
#[derive(Debug, Clone, Copy)]
pub enum Thread<'e> {
    /// On the thread of its request.
    OfRequest(&'e Engine),
    /// In the evaluation pool.
    OfPool(&'e Engine),
}

/// What deciding the next item of several came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is decided, and its answer is written.
    Decided,
    /// It costs too much for this thread.
    Dear,
    /// There is none, or a piece of the answer is complete.
    Done,
}

/// Items that are decided one after the other.
pub trait Items: Send + 'static {
    /// Decides the next one.
    fn step(&mut self, on: Thread<'_>) -> Step;
}

/// How long the items of one request may take the thread that reads it.
#[derive(Debug, Default)]
pub struct Patience {
    since: Option<Instant>,
    used: Duration,
}

/// After so long the thread of a request serves others.
const YIELD_AFTER: Duration = Duration::from_micros(500);
/// In a second items take the thread of their request for no longer than this; then the evaluation pool decides them.
const ON_REQUEST_MAX: Duration = Duration::from_millis(5);

impl Patience {
    /// Decides items until a piece of the answer is complete, first on the thread of the request, and in the evaluation
    /// pool once that takes long.
    pub async fn decide<I: Items>(
        &mut self,
        engine: &Engine,
        served: &Served,
        mut items: I,
    ) -> Result<I, engine::Error> {
        let now = Instant::now();
        if self.since.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            (self.since, self.used) = (Some(now), Duration::ZERO);
        }
        while self.used < ON_REQUEST_MAX {
            let begun = Instant::now();
            let mut step = Step::Decided;
            while step == Step::Decided && begun.elapsed() < YIELD_AFTER {
                step = items.step(Thread::OfRequest(engine));
            }
            self.used += begun.elapsed();
            match step {
                Step::Done => return Ok(items),
                Step::Dear => break,
                Step::Decided => tokio::task::yield_now().await,
            }
        }
        let of = engine.clone();
        let decide = move || {
            while items.step(Thread::OfPool(&of)) == Step::Decided {
                engine::give_way();
            }
            items
        };
        engine.in_turn(served.set.tenant(), Work::Piece, decide).await
    }
}

/// Levels of a batch above the facts of an item: the batch, its list, the item.
const ITEM_DEPTH: usize = 3;
