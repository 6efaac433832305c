//! A batch as a stream of lines: items in, decisions out, as many as the caller likes.
//!
//! A line is read when its decision can be sent, so a caller that does not read is not read from either; in memory are
//! one line, one decision and one piece of each. Each piece of the request is decided with the newest rule set, and no line
//! is once the caller's credential has ended.

use std::convert::Infallible;

use actix_web::{
    HttpResponse,
    dev::Payload,
    http::header,
    web::{Bytes, Data},
};
use futures_util::{StreamExt, stream};

use super::{
    batch::{self, Item, ItemRefusal, PIECE_BYTES},
    decide::{self, Ask},
};
use crate::{
    domain::{Revision, TenantScope},
    engine::Served,
    error::ErrorKind,
    http::door::{AppState, Error, auth::Standing, body::NDJSON, precondition},
};

/// Answers a stream. What is wrong from the beginning is an answer of its own; what goes wrong later ends the stream
/// with a line that says so.
pub async fn answer(
    api: Data<AppState>,
    scope: TenantScope,
    standing: Standing,
    ask: Ask,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let served = decide::serve(&api, scope, ask.min_revision).await?;
    let tag = precondition::tag(served.set.revision());
    let lines = Lines::new(api.options.limits.line_bytes_max);
    let conversation = Conversation { api, scope, standing, ask, served, payload, lines, index: 0, over: false };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, NDJSON))
        .insert_header((header::ETAG, tag))
        .streaming(stream::unfold(conversation, Conversation::piece)))
}

/// A stream under way.
struct Conversation {
    api: Data<AppState>,
    scope: TenantScope,
    standing: Standing,
    ask: Ask,
    served: Served,
    payload: Payload,
    lines: Lines,
    index: u64,
    over: bool,
}

impl Conversation {
    /// The next piece of the answer: whatever can be decided of what has arrived.
    async fn piece(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut out = Vec::new();
        while out.is_empty() {
            if self.over {
                return None;
            }
            self.decide_lines(&mut out).await;
            if out.is_empty() && !self.over {
                self.read(&mut out).await;
            }
        }
        tokio::task::yield_now().await;
        Some((Ok(out.into()), self))
    }

    /// Decides complete lines until the piece is large enough.
    async fn decide_lines(&mut self, out: &mut Vec<u8>) {
        while out.len() < PIECE_BYTES {
            match self.lines.next() {
                Some(Ok(line)) => {
                    if let Err(error) = self.standing.check(&self.api).await {
                        return self.end(out, error);
                    }
                    let item = batch::decide_item(&self.api, &self.served, &self.ask, &line, "");
                    write_line(out, self.index, Some(self.served.set.revision()), item);
                    self.index += 1;
                }
                Some(Err(error)) => return self.end(out, error),
                None => break,
            }
        }
    }

    /// Waits for more of the request, and for the newest rule set to decide it with.
    async fn read(&mut self, out: &mut Vec<u8>) {
        let deadline = self.api.options.limits.idle_read_deadline;
        match tokio::time::timeout(deadline, self.payload.next()).await {
            Ok(Some(Ok(piece))) => {
                self.lines.push(&piece);
                match decide::serve(&self.api, self.scope, None).await {
                    Ok(served) => self.served = served,
                    Err(error) => self.end(out, error),
                }
            }
            Ok(None) => {
                if !self.lines.finish() {
                    self.over = true;
                }
            }
            // The caller is gone: nobody reads a last line.
            Ok(Some(Err(_))) => self.over = true,
            Err(_) => {
                let message = format!("nothing arrived for {} seconds", deadline.as_secs());
                self.end(out, Error::new(ErrorKind::Malformed, "read_timeout", message));
            }
        }
    }

    /// Says why the stream ends here.
    fn end(&mut self, out: &mut Vec<u8>, error: Error) {
        write_line(out, self.index, None, Item::Refused { error: ItemRefusal::from(error) });
        self.over = true;
    }
}

fn write_line(out: &mut Vec<u8>, index: u64, revision: Option<Revision>, item: Item) {
    out.extend_from_slice(format!("{{\"index\":{index},").as_bytes());
    if let Some(revision) = revision {
        out.extend_from_slice(format!("\"revision\":{revision},").as_bytes());
    }
    item.write_members(out);
    out.extend_from_slice(b"}\n");
}

/// Cuts what arrives into lines, none of them longer than the limit. Blank lines are left out.
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

    /// Ends the last line, which need not end by itself; says whether there is one.
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
