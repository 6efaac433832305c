//! Events as a stream of lines: one event a line, and a line for each once it is stored.

use actix_web::{HttpResponse, dev::Payload, web::Data};
use utoipa::ToSchema;

use super::accepting::{accept, read};
use crate::{
    config::limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX},
    domain::{EventId, TenantScope},
    http::{
        api::{
            decision::ItemError,
            item::ItemRefusal,
            lines::{self, Answers, Incoming, Line, Respond},
        },
        door::{AppState, Error, auth::StreamAccess},
    },
};

/// What became of a line: `id` and `status`, or `error`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct SentLine {
    /// Which line of the request, from 0; empty lines are not counted.
    index: u64,
    /// The event's id; of a duplicate, that of the first.
    #[schema(nullable = false)]
    id: Option<EventId>,
    /// `accepted`, or `duplicate` if it was stored before under its idempotency key.
    #[schema(nullable = false, example = "accepted")]
    status: Option<String>,
    /// Why it is not stored.
    #[schema(nullable = false)]
    error: Option<ItemError>,
}

/// Answers a stream. What is wrong with a line is told in its answer, and the stream goes on; what is wrong with the
/// tenant or the caller is an ordinary error before the first line, and ends the stream later.
pub async fn answer(
    state: Data<AppState>,
    scope: TenantScope,
    access: StreamAccess,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    state.ingest.admits(scope).await?;
    let incoming = Incoming::of(state.clone(), access, payload);
    Ok(lines::answer(HttpResponse::Accepted(), incoming, Accepting { state, scope }))
}

/// Stores the event of each line, as many at once as have arrived.
struct Accepting {
    state: Data<AppState>,
    scope: TenantScope,
}

impl Respond for Accepting {
    async fn respond(&mut self, incoming: &mut Incoming, answers: &mut Answers) -> Result<(), Error> {
        let (mut drafts, mut bytes) = (Vec::new(), 0);
        let (mut end, mut room) = (Ok(()), APPEND_EVENTS_MAX);
        while drafts.len() < room && bytes < APPEND_BYTES_MAX {
            let draft = match incoming.next().await {
                Ok(Some(Line::Text(line))) => read(&line, "").map_err(Error::from),
                Ok(Some(Line::TooLong(error))) => Err(error),
                Ok(None) => break,
                // What came before is stored all the same.
                Err(error) => {
                    end = Err(error);
                    break;
                }
            };
            bytes += draft.as_ref().map_or(0, |draft| draft.facts.get().len());
            drafts.push(draft);
            if drafts.len() == 1 {
                // A sender that is faster than the tenant may be waits, and is refused only if that takes too long.
                let wait_max = self.state.options.limits.idle_read_deadline;
                let left = self.state.ingest.room(self.scope, wait_max).await?;
                room = usize::try_from(left).unwrap_or(room).min(room);
            }
        }
        for accepted in accept(&self.state, self.scope, drafts, |_, error| error).await? {
            answers.write(|writer| match accepted {
                Ok(event) => {
                    writer.member("id", &event.id);
                    writer.member("status", event.status);
                }
                Err(error) => writer.member("error", &ItemRefusal::from(error)),
            });
        }
        end
    }
}
