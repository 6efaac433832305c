//! What is unread of a request's body when its answer is ready. Reads nothing itself.
//!
//! The framework closes a connection some seconds after an answer that did not wait for the whole body. It does not if
//! the body comes in chunks and nobody holds it any more: that it reads for as long as it comes, which may be for ever.
//! So a body in chunks is held here until its answer is sent.

use std::{
    cell::RefCell,
    error::Error,
    future::poll_fn,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    web::Bytes,
};
use futures_util::Stream;

/// A body in chunks, shared by who reads it and who holds it.
#[derive(Clone)]
pub struct Unread(Rc<RefCell<Payload>>);

/// Lets the connection take in what has arrived of a body that nobody has read. The framework closes a connection whose
/// request's body is not complete when the answer is ready; it takes the body in only after it has asked for the answer
/// once. So a refusal that is ready at once would cost its caller the connection even if the body came with the head.
pub async fn take_in() {
    let mut asked = false;
    let once = poll_fn(|context| {
        if mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    once.await;
}

/// An answer's body, and with it what is unread of the request's.
struct Holding {
    body: BoxBody,
    _unread: Unread,
}

impl Unread {
    /// Holds the body of a request if it comes in chunks.
    pub fn hold(request: &mut ServiceRequest) -> Option<Self> {
        if !request.chunked().unwrap_or_default() {
            return None;
        }
        let unread = Self(Rc::new(RefCell::new(request.take_payload())));
        request.set_payload(Payload::Stream { payload: Box::pin(unread.clone()) });
        Some(unread)
    }

    /// Holds it until the answer is sent.
    pub fn until_sent(self, response: ServiceResponse) -> ServiceResponse {
        response.map_body(|_, body| Holding { body, _unread: self }.boxed())
    }
}

impl Stream for Unread {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

impl MessageBody for Holding {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
