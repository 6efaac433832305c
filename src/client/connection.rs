//! One connection to the service, and one exchange at a time over it.

use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Error, body::Body, target::Target};

/// A request on its way out.
pub(super) type Outgoing = Request<Body>;
/// A response whose body is still to be read.
pub(super) type Incoming = hyper::Response<hyper::body::Incoming>;

/// A connection.
pub(super) struct Connection(http1::SendRequest<Body>);

/// Why there is no response.
pub(super) enum Failure {
    /// The connection was closed before anything was sent: the request may go over another.
    NotSent(Box<Outgoing>),
    /// It broke afterwards: the service may have done what was asked.
    Broken(hyper::Error),
}

impl Connection {
    /// Connects.
    pub async fn open(target: &Target) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable { url: target.url().to_owned(), source };
        let stream = TcpStream::connect(target.address()).await.map_err(unreachable)?;
        // Small requests must not wait for the acknowledgement of those before them.
        stream.set_nodelay(true).map_err(unreachable)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::Broken)?;
        // It ends when the sender is dropped or the service closes; what goes wrong then is told by the sender.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request and waits for the head of its response.
    pub async fn send(&mut self, request: Outgoing) -> Result<Incoming, Failure> {
        if self.0.ready().await.is_err() {
            return Err(Failure::NotSent(Box::new(request)));
        }
        self.0.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(request) => Failure::NotSent(Box::new(request)),
            None => Failure::Broken(error.into_error()),
        })
    }

    /// Whether another request may be sent.
    pub fn is_reusable(&self) -> bool {
        !self.0.is_closed()
    }
}
