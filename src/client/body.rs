//! The bodies that are sent: whole, or in drops, as a slow sender has it.

use std::{convert::Infallible, time::Duration};

use futures_util::stream::{self, BoxStream, StreamExt};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Bytes, Frame};

/// A body on its way out.
pub(super) type Body = Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

/// How a body is sent in drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drops {
    /// How many there are.
    pub count: usize,
    /// Before each of them but the first, with which the head is sent.
    pub pause: Duration,
}

/// A body of these bytes.
pub(super) fn body(bytes: Bytes, drops: Option<Drops>) -> Body {
    match drops {
        None => Either::Left(Full::new(bytes)),
        Some(drops) => Either::Right(StreamBody::new(drip(bytes, drops))),
    }
}

fn drip(bytes: Bytes, drops: Drops) -> BoxStream<'static, Result<Frame<Bytes>, Infallible>> {
    let size = bytes.len().div_ceil(drops.count.max(1));
    stream::unfold((bytes, Duration::ZERO), move |(mut rest, pause)| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let drop = rest.split_to(size.min(rest.len()));
        Some((Ok(Frame::data(drop)), (rest, drops.pause)))
    })
    .boxed()
}
