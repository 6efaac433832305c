//! Decisions as a stream of lines, the oldest first. The last line says whether it is all, and where to go on.

use std::convert::Infallible;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Bytes, Data},
};
use futures_util::stream;
use tracing::warn;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    found::{Batch, DecisionQuery, Search},
    reading::DecisionItem,
};
use crate::{
    domain::Permission,
    http::door::{
        AppState, Error,
        auth::StreamAccess,
        body::NDJSON,
        path::TenantPath,
        query::{Given, Parameters, Query},
    },
    json::Writer,
    store::{DecisionOrder, PageRequest},
};

/// What cursors of exports say that they are of.
const LIST: &str = "decisions export";
/// Decisions that are read at once.
const ROWS: usize = 500;

/// Where to begin.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// The `cursor` of the last line of an earlier export, or of any line of one that broke off.
    cursor: Option<String>,
}

/// A line: a decision with the `cursor` that goes on after it; the last line has `cursor` and `complete` alone.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct ExportLine {
    /// Where to go on after this line.
    #[schema(required = true)]
    cursor: Option<String>,
    /// The decision.
    #[schema(nullable = false)]
    decision: Option<DecisionItem>,
    /// In the last line: whether it is all there was.
    #[schema(nullable = false)]
    complete: Option<bool>,
}

impl Parameters for (DecisionQuery, ExportQuery) {
    fn take(given: &mut Given) -> Self {
        (DecisionQuery::take(given), ExportQuery { cursor: given.text("cursor") })
    }
}

/// Sends a tenant's decisions as lines, the oldest first.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/decisions/export", tag = "decisions", operation_id = "exportDecisions",
    params(DecisionQuery, ExportQuery),
    responses((status = 200, description = "The decisions, a line each.", body = ExportLine, content_type = "application/x-ndjson"))
)]
pub async fn send(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query((query, ExportQuery { cursor })): Query<(DecisionQuery, ExportQuery)>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let after: Option<Uuid> = PageRequest { cursor, limit: 1 }.after(LIST)?;
    let search = Search::of(&state, tenant, query).await?;
    let access = StreamAccess::of(&request, Permission::Read, tenant)?;
    let export = Export { state, access, search, after, is_over: false };
    let lines = stream::unfold(export, Export::piece);
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, NDJSON)).streaming(lines))
}

/// An export under way.
struct Export {
    state: Data<AppState>,
    access: StreamAccess,
    search: Search,
    after: Option<Uuid>,
    is_over: bool,
}

impl Export {
    async fn piece(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.is_over {
            return None;
        }
        let mut writer = Writer::default();
        loop {
            match self.more().await {
                Ok(batch) => {
                    for row in batch.rows {
                        self.after = Some(row.id);
                        line(&mut writer, self.after, |writer| writer.member("decision", &DecisionItem::from(row)));
                    }
                    self.after = batch.up_to.or(self.after);
                    if batch.up_to.is_none() {
                        self.end(&mut writer, true);
                    }
                }
                // The head is sent: the last line says that it is not all.
                Err(error) => {
                    warn!(code = error.code(), cause = error.cause(), "an export of decisions ends early");
                    self.end(&mut writer, false);
                }
            }
            if !writer.is_empty() {
                return Some((Ok(writer.take().into()), self));
            }
            tokio::task::yield_now().await;
        }
    }

    /// The next decisions, if the caller may still read them.
    async fn more(&self) -> Result<Batch, Error> {
        self.access.check(&self.state).await?;
        self.search.next(&self.state, DecisionOrder::OldestFirst(self.after), ROWS).await
    }

    fn end(&mut self, writer: &mut Writer, complete: bool) {
        self.is_over = true;
        line(writer, self.after, |writer| writer.member("complete", &complete));
    }
}

fn line(writer: &mut Writer, after: Option<Uuid>, members: impl FnOnce(&mut Writer)) {
    writer.begin_object();
    writer.member("cursor", &after.and_then(|after| PageRequest::cursor_at(LIST, &after)));
    members(writer);
    writer.end_object();
    writer.end_line();
}
