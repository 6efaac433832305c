//! A batch of decisions as a stream of lines: items in, decisions out, as many as the caller likes. Each piece of the
//! request is decided with the newest rule set; a line that is too long ends the stream.

use actix_web::{HttpResponse, dev::Payload, http::header, web::Data};

use super::{
    decide,
    item::{self, Item},
    lines::{self, Answers, Incoming, Line, Respond},
};
use crate::{
    domain::TenantScope,
    engine::Ask,
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
    let served = state.engine.deciding(scope, ask.min_revision).await?;
    let tag = precondition::tag(served.set.revision());
    let incoming = Incoming::of(state.clone(), access, payload);
    let mut head = HttpResponse::Ok();
    head.insert_header((header::ETAG, tag));
    Ok(lines::answer(head, incoming, Deciding { state, scope, ask }))
}

/// Decides each line.
struct Deciding {
    state: Data<AppState>,
    scope: TenantScope,
    ask: Ask,
}

impl Respond for Deciding {
    async fn respond(&mut self, incoming: &mut Incoming, answers: &mut Answers) -> Result<(), Error> {
        let served = self.state.engine.deciding(self.scope, None).await?;
        while !answers.is_piece() {
            let line = match incoming.next().await? {
                Some(Line::Text(line)) => line,
                Some(Line::TooLong(error)) => return Err(error),
                None => break,
            };
            let item = item::decide(&self.state, &served, &self.ask, &line);
            answers.write(|writer| {
                writer.member("revision", &served.set.revision());
                if let Item::Decided(decided) = &item {
                    decide::write_time(writer, decided.evaluated_at);
                }
                item.write(writer);
            });
        }
        Ok(())
    }
}
