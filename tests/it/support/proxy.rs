//! A proxy in front of PostgreSQL that can fall silent without closing anything, as a network does.

use std::{path::PathBuf, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

/// What the proxy does with what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It passes it on.
    Open,
    /// Connections made up to now pass nothing on, ever; later ones do.
    OldSilent,
    /// No connection passes anything on. New ones are accepted all the same.
    Silent,
}

/// The proxy; closed when dropped.
pub struct Proxy {
    address: String,
    flow: Arc<watch::Sender<(Flow, u64)>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of the server's socket.
    pub async fn before(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let flow = Arc::new(watch::channel((Flow::Open, 0)).0);
        let flows = flow.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = UnixStream::connect(&socket).await else { continue };
                let generation = flows.borrow().1;
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass_on(from_client, to_server, flows.subscribe(), generation));
                tokio::spawn(pass_on(from_server, to_client, flows.subscribe(), generation));
            }
        });
        Self { address, flow, accepting }
    }

    /// How to connect to `database` through it, as the superuser of a private cluster.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{}@{}/{database}?sslmode=disable", tenet::cluster::NAME, self.address)
    }

    /// From now on.
    pub fn set(&self, flow: Flow) {
        self.flow.send_modify(|(now, generation)| {
            *now = flow;
            *generation += 1;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Copies until one side closes, and waits while it is told to be silent.
async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<(Flow, u64)>,
    generation: u64,
) {
    let mut buffer = vec![0; 16 * 1024];
    // What a generation was silenced for stays silent, as packets that were dropped for too long do.
    let passes = |(flow, now): &(Flow, u64)| match flow {
        Flow::Open => true,
        Flow::OldSilent => *now <= generation,
        Flow::Silent => false,
    };
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if flow.wait_for(passes).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
