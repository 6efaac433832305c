//! A batch as a stream of lines: items in, decisions out, as many as the caller likes.
//!
//! A line is read only when its decision can be sent: while the caller does not read answers, the service reads no more
//! lines. In memory are one line, one decision and one piece of each. Each piece of the request is decided with the
//! newest rule set. Once the caller's credential is no longer valid, no more lines are decided.

use std::convert::Infallible;

use actix_web::{
    HttpResponse,
    dev::Payload,
    http::header,
    web::{Bytes, Data},
};
use futures_util::{StreamExt, stream};

use super::{
    decide,
    item::{self, Item, ItemRefusal, PIECE_BYTES},
};
use crate::{
    domain::{Revision, TenantScope},
    engine::{Ask, Served},
    error::ErrorKind,
    http::door::{AppState, Error, auth::StreamAccess, body::NDJSON, precondition},
    json::Writer,
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
    let lines = Lines::new(state.options.limits.line_bytes_max);
    let writer = Writer::default();
    let conversation =
        Conversation { state, scope, access, ask, served, payload, lines, writer, index: 0, over: false };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, NDJSON))
        .insert_header((header::ETAG, tag))
        .streaming(stream::unfold(conversation, Conversation::piece)))
}

/// A stream under way.
struct Conversation {
    state: Data<AppState>,
    scope: TenantScope,
    access: StreamAccess,
    ask: Ask,
    served: Served,
    payload: Payload,
    lines: Lines,
    writer: Writer,
    index: u64,
    over: bool,
}

impl Conversation {
    /// The next piece of the answer: whatever can be decided of what has arrived.
    async fn piece(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        while self.writer.is_empty() {
            if self.over {
                return None;
            }
            self.decide_lines().await;
            if self.writer.is_empty() && !self.over {
                self.read().await;
            }
        }
        tokio::task::yield_now().await;
        Some((Ok(self.writer.take().into()), self))
    }

    /// Decides complete lines until the piece is large enough.
    async fn decide_lines(&mut self) {
        while self.writer.len() < PIECE_BYTES {
            match self.lines.next() {
                Some(Ok(line)) => {
                    if let Err(error) = self.access.check(&self.state).await {
                        return self.end(error);
                    }
                    let item = item::decide(&self.state, &self.served, &self.ask, &line);
                    write_line(&mut self.writer, self.index, Some(self.served.set.revision()), &item);
                    self.index += 1;
                }
                Some(Err(error)) => return self.end(error),
                None => break,
            }
        }
    }

    /// Waits for more of the request, and for the newest rule set to decide it with.
    async fn read(&mut self) {
        let deadline = self.state.options.limits.idle_read_deadline;
        match tokio::time::timeout(deadline, self.payload.next()).await {
            Ok(Some(Ok(piece))) => {
                self.lines.push(&piece);
                match self.state.engine.deciding(self.scope, None).await {
                    Ok(served) => self.served = served,
                    Err(error) => self.end(error.into()),
                }
            }
            Ok(None) => {
                if !self.lines.finish() {
                    self.over = true;
                }
            }
            // The caller has disconnected: nobody would read a last line.
            Ok(Some(Err(_))) => self.over = true,
            Err(_) => {
                let message = format!("nothing arrived for {} seconds", deadline.as_secs());
                self.end(Error::new(ErrorKind::Malformed, "read_timeout", message));
            }
        }
    }

    /// Ends the stream with a line that says why.
    fn end(&mut self, error: Error) {
        write_line(&mut self.writer, self.index, None, &Item::Refused { error: ItemRefusal::from(error) });
        self.over = true;
    }
}

fn write_line(writer: &mut Writer, index: u64, revision: Option<Revision>, item: &Item) {
    writer.begin_object();
    writer.member("index", &index);
    if let Some(revision) = revision {
        writer.member("revision", &revision);
    }
    if let Item::Decided(decided) = item {
        decide::write_time(writer, decided.evaluated_at);
    }
    item.write(writer);
    writer.end_object();
    writer.end_line();
}

/// Splits what arrives into lines within the limit of length. Blank lines are skipped.
struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no end of line after `start`.
    searched: usize,
    bytes_max: usize,
}

impl Lines {
    fn new(bytes_max: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, searched: 0, bytes_max }
    }

    fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// Ends the last line, which may lack its line end; returns whether there is one.
    fn finish(&mut self) -> bool {
        let open = self.start < self.buffer.len();
        if open {
            self.buffer.push(b'\n');
        }
        open
    }

    /// The next line that is complete, or an error once it is too long.
    fn next(&mut self) -> Option<Result<Vec<u8>, Error>> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(offset) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                let waiting = self.searched - self.start;
                return (waiting > self.bytes_max).then(|| Err(self.too_long()));
            };
            let end = self.searched + offset;
            let line = self.buffer.get(self.start..end).unwrap_or_default().trim_ascii().to_vec();
            let length = end - self.start;
            (self.start, self.searched) = (end + 1, end + 1);
            if length > self.bytes_max {
                return Some(Err(self.too_long()));
            }
            if !line.is_empty() {
                return Some(Ok(line));
            }
        }
    }

    fn too_long(&self) -> Error {
        let message = format!("a line has at most {} bytes; the stream ends here", self.bytes_max);
        Error::new(ErrorKind::TooLarge, "line_too_long", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        std::iter::from_fn(|| lines.next())
            .take_while(Result::is_ok)
            .map(|line| String::from_utf8(line.unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_found_wherever_the_pieces_are_cut() {
        let text = b"{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"c\":3}";
        for size in 1..=text.len() {
            let mut lines = Lines::new(64);
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece);
                found.extend(all(&mut lines));
            }
            assert!(lines.finish());
            found.extend(all(&mut lines));
            assert_eq!(found, ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"], "pieces of {size}");
            assert!(!lines.finish());
        }
    }

    #[test]
    fn a_line_is_too_long_before_its_end_has_arrived() {
        let mut lines = Lines::new(4);
        lines.push(b"1234\n12345");
        assert_eq!(lines.next().unwrap().unwrap(), b"1234");
        assert_eq!(lines.next().unwrap().unwrap_err().code(), "line_too_long");
        let mut lines = Lines::new(4);
        lines.push(b"12345\n");
        assert_eq!(lines.next().unwrap().unwrap_err().code(), "line_too_long");
    }
}
