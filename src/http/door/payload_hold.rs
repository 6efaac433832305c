//! What to do with the rest of a request's body that nobody reads. Reads nothing itself.
//!
//! The framework closes a connection some seconds after it has answered before the whole body arrived. The exception is
//! a chunked body whose payload was dropped: the framework then reads it to its end, and it may never end. So the
//! payload of a chunked body is kept here until its answer is sent.

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

/// The payload of a chunked body, shared by its reader and its answer.
#[derive(Clone)]
pub struct HeldPayload(Rc<RefCell<Payload>>);

/// Lets the connection read what has arrived of a body. The framework closes a connection if the answer is ready before
/// the whole body has been read, and it reads the body only after it has polled the answer once. Without this, an error
/// that is ready at once would close the connection even if the body arrived together with the head.
pub async fn let_connection_read() {
    let mut polled = false;
    let once = poll_fn(|context| {
        if mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    once.await;
}

/// The body of an answer, with what is kept until it is sent.
struct Holding<T> {
    body: BoxBody,
    _held: T,
}

/// A body that keeps `held` until it is sent.
pub fn holding<T: Unpin + 'static>(body: BoxBody, held: T) -> BoxBody {
    Holding { body, _held: held }.boxed()
}

impl HeldPayload {
    /// Keeps the payload of a request if its body is chunked.
    pub fn hold(request: &mut ServiceRequest) -> Option<Self> {
        if !request.chunked().unwrap_or_default() {
            return None;
        }
        let held = Self(Rc::new(RefCell::new(request.take_payload())));
        request.set_payload(Payload::Stream { payload: Box::pin(held.clone()) });
        Some(held)
    }

    /// Keeps it until the answer is sent.
    pub fn until_sent(self, response: ServiceResponse) -> ServiceResponse {
        response.map_body(|_, body| holding(body, self))
    }
}

impl Stream for HeldPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

impl<T: Unpin> MessageBody for Holding<T> {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
