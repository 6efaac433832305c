//! An item of a batch or of a stream: how it is read, decided and answered.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::decide;
use crate::{
    engine::{Ask, Decided, Served, Submission},
    error::Detail,
    http::door::{AppState, Error},
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

/// Decides one item, written as an object with `facts`.
pub fn decide<'a>(state: &AppState, served: &'a Served, ask: &'a Ask, item: &[u8]) -> Item<'a> {
    let decided = json::envelope::<BatchItem>(item, "").map_err(Error::from).and_then(|BatchItem { facts }| {
        let submission = Submission { facts: facts.get(), bytes: item.len(), depth: ITEM_DEPTH };
        Ok(state.engine.decide(served, ask, submission)?)
    });
    match decided {
        Ok(decided) => Item::Decided(decided),
        Err(error) => Item::Refused { error: error.into() },
    }
}

/// Levels of a batch above the facts of an item: the batch, its list, the item.
const ITEM_DEPTH: usize = 3;
