//! A batch of decisions as a stream of lines: items in, decisions out, as many as the caller likes. Each piece of the
//! request is decided with the newest rule set; a line that is too long ends the stream. Each line counts in the tenant's
//! rate as a request does, and waits for it.

use std::{collections::VecDeque, mem, sync::Arc};

use actix_web::{HttpResponse, dev::Payload, http::header, web::Data};

use super::{
    decide,
    item::{self, Item, Items, Patience, Step, Thread},
    lines::{self, Answers, Incoming, Line, Respond},
};
use crate::{
    domain::TenantScope,
    engine::{Ask, Served},
    http::door::{AppState, Error, auth::StreamAccess, precondition},
};

/// Answers a stream. An error before the first line is an ordinary error; a later one ends the stream with a line that
/// says so.
pub async fn answer(
    state: Data<AppState>,
    scope: TenantScope,
    access: StreamAccess,
    ask: Ask,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    // The request that began the stream was counted: its first line was.
    let admitted = access.is_rated().then_some(1);
    let served = state.engine.deciding(scope, ask.min_revision).await?;
    let tag = precondition::tag(served.set.revision());
    let incoming = Incoming::of(state.clone(), access, payload);
    let mut head = HttpResponse::Ok();
    head.insert_header((header::ETAG, tag));
    let (lines, patience) = (VecDeque::new(), Patience::default());
    Ok(lines::answer(
        head,
        incoming,
        Deciding { state, scope, ask: Arc::new(ask), admitted, lines, end: None, patience },
    ))
}

/// Decides each line.
struct Deciding {
    state: Data<AppState>,
    scope: TenantScope,
    ask: Arc<Ask>,
    /// How many lines may be decided without asking for their rate; `None`: all.
    admitted: Option<usize>,
    /// Lines that have arrived, and are not decided.
    lines: VecDeque<Vec<u8>>,
    /// Why there are no further ones.
    end: Option<Error>,
    patience: Patience,
}

/// Lines that are decided, into answers.
struct Lines {
    ask: Arc<Ask>,
    served: Served,
    lines: VecDeque<Vec<u8>>,
    answers: Answers,
}

impl Deciding {
    /// How many of the lines that have arrived may be decided: as many as the tenant's rate allows, or else one as soon as
    /// it does.
    async fn admit(&mut self, incoming: &Incoming) -> Result<usize, Error> {
        let arrived = self.lines.len();
        let Some(admitted) = &mut self.admitted else { return Ok(arrived) };
        if *admitted == 0 && arrived > 0 {
            let wait_max = self.state.options.limits.idle_read_deadline;
            let granted = self.state.engine.admit_further(self.scope, arrived as u64, wait_max).await?;
            *admitted = usize::try_from(granted).unwrap_or(arrived);
            incoming.check().await?;
        }
        Ok((*admitted).min(arrived))
    }
}

impl Respond for Deciding {
    async fn respond(&mut self, incoming: &mut Incoming, answers: &mut Answers) -> Result<(), Error> {
        while self.end.is_none() {
            match incoming.next().await {
                Ok(Some(Line::Text(line))) => self.lines.push_back(line),
                Ok(None) => break,
                Ok(Some(Line::TooLong(error))) | Err(error) => self.end = Some(error),
            }
        }
        let admitted = self.admit(incoming).await?;
        let served = self.state.engine.deciding(self.scope, None).await?;
        let mut waiting = self.lines.split_off(admitted);
        let (ask, lines) = (self.ask.clone(), mem::take(&mut self.lines));
        let lines = Lines { ask, served: served.clone(), lines, answers: mem::take(answers) };
        let mut lines = self.patience.decide(&self.state.engine, &served, lines).await?;
        let left = lines.lines.len();
        if let Some(of_rate) = &mut self.admitted {
            *of_rate -= admitted - left;
        }
        lines.lines.append(&mut waiting);
        (self.lines, *answers) = (lines.lines, lines.answers);
        // What came before the end is answered.
        if self.lines.is_empty() { self.end.take().map_or(Ok(()), Err) } else { Ok(()) }
    }
}

impl Items for Lines {
    fn step(&mut self, on: Thread<'_>) -> Step {
        let Self { ask, served, lines, answers } = self;
        if answers.is_piece() {
            return Step::Done;
        }
        let Some(line) = lines.front() else { return Step::Done };
        let Some(item) = item::decide(on, served, ask, line) else { return Step::Dear };
        answers.write(|writer| {
            writer.member("revision", &served.set.revision());
            if let Item::Decided(decided) = &item {
                decide::write_time(writer, decided.evaluated_at);
            }
            item.write(writer);
        });
        lines.pop_front();
        Step::Decided
    }
}
