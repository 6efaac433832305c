//! Query parameters: each resource takes its own, once each; any other is an error (422).

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use chrono::{DateTime, Utc};
use utoipa::IntoParams;

use super::Error;
use crate::{
    config::limits,
    domain::{OnBroken, RuleId, read_timestamp},
    error::Detail,
    store::PageRequest,
};

/// The parameters of a request, of the type that the resource takes.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// The parameters of a resource.
pub trait Parameters: Sized {
    /// Takes its own out of the given ones, and records what is wrong with them.
    fn take(given: &mut Given) -> Self;
}

/// The given parameters that are not taken yet, and what is wrong so far.
#[derive(Debug, Default)]
pub struct Given {
    pairs: Vec<(String, String)>,
    errors: Vec<Detail>,
}

impl<T: Parameters> FromRequest for Query<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request).map(Self))
    }
}

impl<T: Parameters> Query<T> {
    /// The parameters of a request.
    pub fn of(request: &HttpRequest) -> Result<T, Error> {
        Self::read(request.query_string())
    }

    /// The parameters in a query string.
    pub fn read(query: &str) -> Result<T, Error> {
        read(query)
    }
}

fn read<T: Parameters>(query: &str) -> Result<T, Error> {
    // Every text is a list of pairs, so this cannot fail; `Given` says what is wrong with them.
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query).map(web::Query::into_inner).unwrap_or_default();
    let mut given = Given { pairs, errors: Vec::new() };
    let taken = T::take(&mut given);
    let unknown = |(name, _): (String, String)| {
        let name: String = name.escape_debug().take(limits::NAME_CHARS_MAX).collect();
        Detail::new("unknown_parameter", format!("there is no parameter `{name}` here")).at(name)
    };
    given.errors.extend(given.pairs.into_iter().map(unknown));
    if given.errors.is_empty() { Ok(taken) } else { Err(Error::invalid(given.errors)) }
}

impl Given {
    /// The value of a parameter, if it is given.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let at = self.pairs.iter().position(|(given, _)| given == name)?;
        let (_, value) = self.pairs.remove(at);
        if self.pairs.iter().any(|(given, _)| given == name) {
            self.pairs.retain(|(given, _)| given != name);
            self.refuse("duplicate_parameter", format!("`{name}` must be given only once"), name);
        }
        if value.contains('\0') {
            self.refuse("nul_character", "the text contains a NUL character", name);
            return None;
        }
        Some(value)
    }

    /// The values of a parameter that may be given more than once, at most `values_max` times.
    pub fn texts(&mut self, name: &'static str, values_max: usize) -> Option<Vec<String>> {
        let mut values = Vec::new();
        self.pairs.retain_mut(|(given, value)| {
            let keep = given != name;
            if !keep {
                values.push(std::mem::take(value));
            }
            keep
        });
        if values.len() > values_max {
            self.refuse("too_many", format!("`{name}` must be given at most {values_max} times"), name);
        }
        (!values.is_empty()).then_some(values)
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.word(name, &[("true", true), ("false", false)])
    }

    /// A parameter that is one of these words.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let value = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
        if found.is_none() {
            self.refuse_word(name, words);
        }
        found
    }

    /// A parameter that is one of these words, and may be given as often as there are words.
    pub fn words<T: Copy>(&mut self, name: &'static str, words: &[(&'static str, T)]) -> Vec<T> {
        let values = self.texts(name, words.len()).unwrap_or_default();
        let meaning = |value: &String| words.iter().find(|(word, _)| word == value).map(|(_, meaning)| *meaning);
        let found: Vec<T> = values.iter().filter_map(meaning).collect();
        if found.len() < values.len() {
            self.refuse_word(name, words);
        }
        found
    }

    fn refuse_word<T>(&mut self, name: &'static str, words: &[(&'static str, T)]) {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.refuse("invalid_value", format!("`{name}` must be one of {}", known.join(", ")), name);
    }

    /// A parameter that is a whole number from `minimum` to `maximum`.
    pub fn number(&mut self, name: &'static str, minimum: i64, maximum: i64) -> Option<i64> {
        let value = self.text(name)?;
        let found = value.parse().ok().filter(|number| (minimum..=maximum).contains(number));
        if found.is_none() {
            let message = format!("`{name}` must be a whole number from {minimum} to {maximum}");
            self.refuse("invalid_value", message, name);
        }
        found
    }

    /// A parameter that is the id of a rule.
    pub fn id(&mut self, name: &'static str) -> Option<RuleId> {
        let value = self.text(name)?;
        let found = value.parse().ok();
        if found.is_none() {
            self.refuse("invalid_value", format!("`{name}` must be the id of a rule"), name);
        }
        found
    }

    /// A parameter that is a time.
    pub fn time(&mut self, name: &'static str) -> Option<DateTime<Utc>> {
        let value = self.text(name)?;
        let found = read_timestamp(&value);
        if let Err(reason) = found {
            self.refuse("invalid_value", format!("`{name}` {reason}"), name);
        }
        found.ok()
    }

    fn refuse(&mut self, code: &'static str, message: impl Into<String>, name: &str) {
        self.errors.push(Detail::new(code, message).at(name));
    }
}

impl Parameters for () {
    fn take(_: &mut Given) -> Self {}
}

/// Which page of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The most items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// The `nextCursor` of the previous page.
    pub cursor: Option<String>,
}

impl Parameters for PageQuery {
    fn take(given: &mut Given) -> Self {
        let limit = given.number("limit", 1, i64::from(limits::PAGE_SIZE_MAX));
        Self { limit: limit.and_then(|limit| u32::try_from(limit).ok()), cursor: given.text("cursor") }
    }
}

impl From<PageQuery> for PageRequest {
    fn from(page: PageQuery) -> Self {
        Self { cursor: page.cursor, limit: page.limit.unwrap_or(limits::PAGE_SIZE_DEFAULT) }
    }
}

/// What becomes of what a change would break.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct BreakQuery {
    /// `refuse` (the default): 409 with what would break. `deactivate`: it is deactivated by the same change.
    #[param(inline, value_type = Option<OnBrokenWord>)]
    pub on_broken: OnBroken,
}

/// What happens to what the change would break.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub enum OnBrokenWord {
    /// Refused.
    Refuse,
    /// Deactivated.
    Deactivate,
}

impl Parameters for BreakQuery {
    fn take(given: &mut Given) -> Self {
        let words = [("refuse", OnBroken::Refuse), ("deactivate", OnBroken::Deactivate)];
        Self { on_broken: given.word("onBroken", &words).unwrap_or_default() }
    }
}

/// What becomes of what a schema would break, and of callers that it would misread.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct SchemaChangeQuery {
    /// `refuse` (the default): 409 with what would break. `deactivate`: it is deactivated by the same change.
    #[param(inline, value_type = Option<OnBrokenWord>)]
    pub on_broken: OnBroken,
    /// Whether callers may be misread: those that send their facts flat, because one object becomes several, or those
    /// that name the object, because a field has its name.
    #[param(value_type = Option<bool>, default = false)]
    pub accept_breaking: bool,
    /// Whether rules and derived fields that earlier changes of the schema deactivated are activated again. One that was
    /// changed since is left as it is; one that does not compile is treated as `onBroken` says.
    #[param(value_type = Option<bool>, default = false)]
    pub reactivate: bool,
}

impl Parameters for SchemaChangeQuery {
    fn take(given: &mut Given) -> Self {
        let BreakQuery { on_broken } = BreakQuery::take(given);
        Self {
            on_broken,
            accept_breaking: given.flag("acceptBreaking").unwrap_or_default(),
            reactivate: given.flag("reactivate").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
