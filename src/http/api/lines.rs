//! A conversation in lines of JSON: a request of any length, answered line by line while it arrives.
//!
//! More of the request is read only when what it is answered can be sent: while the caller does not read answers, the
//! service reads no more lines. In memory are a piece of the request and a piece of the answer. Once the caller's
//! credential is no longer valid, no more lines are answered. What a line means, and whether one that is too long ends
//! the conversation, is for whoever answers.

use std::convert::Infallible;

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    dev::Payload,
    http::header,
    web::{Bytes, Data},
};
use futures_util::{FutureExt, StreamExt, stream};

use super::item::{ItemRefusal, PIECE_BYTES};
use crate::{
    error::ErrorKind,
    http::door::{AppState, Error, auth::StreamAccess, body::NDJSON},
    json::Writer,
};

/// Bytes of the request from which on no more of it is read at once, even if it has arrived.
const READ_BYTES: usize = 64 * 1024;

/// Answers lines.
pub trait Respond: 'static {
    /// Answers lines that have arrived, a line for each, up to a piece. An error ends the conversation with a line that
    /// says so.
    async fn respond(&mut self, incoming: &mut Incoming, answers: &mut Answers) -> Result<(), Error>;
}

/// A line of a request.
#[derive(Debug)]
pub enum Line {
    /// It is complete.
    Text(Vec<u8>),
    /// It is longer than a line may be; the rest of it is skipped.
    TooLong(Error),
}

/// Answers a request: the head at once, the lines while it is read.
pub fn answer(mut head: HttpResponseBuilder, incoming: Incoming, respond: impl Respond) -> HttpResponse {
    let conversation = Conversation { incoming, respond, answers: Answers::default(), is_over: false };
    head.insert_header((header::CONTENT_TYPE, NDJSON)).streaming(stream::unfold(conversation, Conversation::piece))
}

/// A conversation under way.
struct Conversation<R> {
    incoming: Incoming,
    respond: R,
    answers: Answers,
    is_over: bool,
}

impl<R: Respond> Conversation<R> {
    /// The next piece of the answer: to whatever can be answered of what has arrived.
    async fn piece(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        while self.answers.writer.is_empty() {
            if self.is_over {
                return None;
            }
            let mut answered = self.respond.respond(&mut self.incoming, &mut self.answers).await;
            if answered.is_ok() && self.answers.writer.is_empty() {
                answered = self.incoming.read().await.map(|has_more| self.is_over = !has_more);
            }
            if let Err(error) = answered {
                self.answers.write(|writer| writer.member("error", &ItemRefusal::from(error)));
                self.is_over = true;
            }
        }
        tokio::task::yield_now().await;
        Some((Ok(self.answers.writer.take().into()), self))
    }
}

/// The answer: one line for each of the request, in order.
#[derive(Debug, Default)]
pub struct Answers {
    writer: Writer,
    /// Of the next line.
    index: u64,
}

impl Answers {
    /// Whether what is written is enough to be sent.
    pub fn is_piece(&self) -> bool {
        self.writer.len() >= PIECE_BYTES
    }

    /// Answers the next line.
    pub fn write(&mut self, members: impl FnOnce(&mut Writer)) {
        self.writer.begin_object();
        self.writer.member("index", &self.index);
        members(&mut self.writer);
        self.writer.end_object();
        self.writer.end_line();
        self.index += 1;
    }
}

/// The lines of a request, as they arrive.
pub struct Incoming {
    state: Data<AppState>,
    access: StreamAccess,
    payload: Payload,
    lines: Lines,
}

impl Incoming {
    pub fn of(state: Data<AppState>, access: StreamAccess, payload: Payload) -> Self {
        let lines = Lines::new(state.options.limits.line_bytes_max);
        Self { state, access, payload, lines }
    }

    /// The next line of those that have arrived. An error if the caller may send no more.
    pub async fn next(&mut self) -> Result<Option<Line>, Error> {
        let line = self.lines.next();
        if line.is_some() {
            self.check().await?;
        }
        Ok(line)
    }

    /// An error if the caller may send no more.
    pub async fn check(&self) -> Result<(), Error> {
        self.access.check(&self.state).await
    }

    /// Waits for more of the request, and takes with it what has arrived by then. Answers whether there may be any.
    async fn read(&mut self) -> Result<bool, Error> {
        let deadline = self.state.options.limits.idle_read_deadline;
        let Ok(mut arrived) = tokio::time::timeout(deadline, self.payload.next()).await else {
            let message = format!("nothing arrived for {} seconds", deadline.as_secs());
            return Err(Error::new(ErrorKind::Malformed, "read_timeout", message));
        };
        loop {
            match arrived {
                Some(Ok(piece)) => self.lines.push(&piece),
                // The caller has disconnected: nobody would read an answer.
                Some(Err(_)) => return Ok(false),
                None => return Ok(self.lines.finish()),
            }
            if self.lines.len() >= READ_BYTES {
                return Ok(true);
            }
            match self.payload.next().now_or_never() {
                Some(more) => arrived = more,
                None => return Ok(true),
            }
        }
    }
}

/// Splits what arrives into lines within the limit of length. Blank lines are skipped.
struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no end of line after `start`.
    searched: usize,
    /// Whether what follows belongs to a line that was too long.
    is_cut: bool,
    bytes_max: usize,
}

impl Lines {
    fn new(bytes_max: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, searched: 0, is_cut: false, bytes_max }
    }

    /// Bytes that were not taken yet.
    fn len(&self) -> usize {
        self.buffer.len() - self.start
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

    /// The next line that is complete, or is known to be too long.
    fn next(&mut self) -> Option<Line> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(offset) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                if self.is_cut {
                    self.start = self.searched;
                } else if self.len() > self.bytes_max {
                    self.is_cut = true;
                    self.start = self.searched;
                    return Some(self.too_long());
                }
                return None;
            };
            let end = self.searched + offset;
            let line = self.buffer.get(self.start..end).unwrap_or_default();
            let (length, text) = (line.len(), line.trim_ascii());
            let line = if length > self.bytes_max { self.too_long() } else { Line::Text(text.to_vec()) };
            (self.start, self.searched) = (end + 1, end + 1);
            let is_rest = std::mem::take(&mut self.is_cut);
            if !is_rest && !matches!(&line, Line::Text(text) if text.is_empty()) {
                return Some(line);
            }
        }
    }

    fn too_long(&self) -> Line {
        let message = format!("a line has at most {} bytes", self.bytes_max);
        Line::TooLong(Error::new(ErrorKind::TooLarge, "line_too_long", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has arrived, a code in the place of a line that is too long.
    fn all(lines: &mut Lines) -> Vec<String> {
        let text = |line| match line {
            Line::Text(text) => String::from_utf8(text).unwrap(),
            Line::TooLong(error) => error.code().to_owned(),
        };
        std::iter::from_fn(|| lines.next()).map(text).collect()
    }

    #[test]
    fn lines_are_found_wherever_the_pieces_are_cut() {
        let text = b"{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"long\":1}\n{\"c\":3}";
        for size in 1..=text.len() {
            let mut lines = Lines::new(8);
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece);
                found.extend(all(&mut lines));
            }
            assert!(lines.finish());
            found.extend(all(&mut lines));
            assert_eq!(found, ["{\"a\":1}", "{\"b\":2}", "line_too_long", "{\"c\":3}"], "pieces of {size}");
            assert!(!lines.finish());
        }
    }

    #[test]
    fn a_line_is_too_long_before_its_end_has_arrived_and_its_rest_takes_no_memory() {
        let mut lines = Lines::new(4);
        lines.push(b"1234\n12345");
        assert_eq!(all(&mut lines), ["1234", "line_too_long"]);
        for _ in 0..100 {
            lines.push(b"67890");
            assert_eq!(all(&mut lines), [""; 0]);
            assert_eq!(lines.len(), 0);
        }
        lines.push(b"1\n12\n");
        assert_eq!(all(&mut lines), ["12"]);
        lines.push(b"12345");
        assert_eq!(all(&mut lines), ["line_too_long"]);
        assert!(!lines.finish(), "it was answered");
    }
}
