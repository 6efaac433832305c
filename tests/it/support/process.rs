//! The real program as a process of its own, for what can only be seen from outside: signals, exits, what it prints.

use std::{
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};
use tenet::{client::Client, config::Secret};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

use super::app::OPERATOR_KEY;

/// How long the program may take until it answers, on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a process may take to end: what a graceful stop may take, and some more.
const END_MAX: Duration = Duration::from_secs(30);

/// What of the environment a process needs to find PostgreSQL's programs and a place for sockets.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "TENET_PG_BIN"];

/// A process of the `tenet` program; killed when dropped.
pub struct TestProcess {
    child: Child,
    printed: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl TestProcess {
    /// Runs `tenet` with these arguments and variables, and little else of the environment.
    pub fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_tenet")), arguments, variables)
    }

    /// Runs another program likewise.
    pub fn of(program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let printed = Arc::default();
        let readers =
            vec![collect(child.stdout.take().unwrap(), &printed), collect(child.stderr.take().unwrap(), &printed)];
        Self { child, printed, readers }
    }

    /// Runs `tenet serve` on a migrated database, with [`OPERATOR_KEY`], and waits until it is ready.
    pub async fn serve(database_url: &str) -> (Self, Client) {
        Self::serve_with(database_url, &[]).await
    }

    /// The same with more variables.
    pub async fn serve_with(database_url: &str, more: &[(&str, &str)]) -> (Self, Client) {
        let listen = free_address();
        let mut variables = vec![
            ("DATABASE_URL", database_url),
            ("TENET_OPERATOR_KEY", OPERATOR_KEY),
            ("TENET_LISTEN", &listen),
            ("TENET_SHUTDOWN_DELAY", "0ms"),
            ("TENET_RATE_LIMITS", "off"),
        ];
        variables.extend(more);
        let mut process = Self::run(&["serve"], &variables);
        let client = process.ready(&listen).await.with_key(Some(Secret::new(OPERATOR_KEY)));
        (process, client)
    }

    /// Waits until the service at `address` says that it is ready.
    pub async fn ready(&mut self, address: &str) -> Client {
        let client = Client::new(&format!("http://{address}")).unwrap();
        let deadline = Instant::now() + START_MAX;
        while !client.get("/readyz").await.is_ok_and(|answer| answer.is_success()) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the process ended ({status}):\n{}", self.printed());
            }
            assert!(Instant::now() < deadline, "the process is not ready:\n{}", self.printed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        client
    }

    /// What it has printed up to now, on both streams.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Closes the ends of its streams that are read.
    pub async fn stop_reading(&mut self) {
        for reader in self.readers.drain(..) {
            reader.abort();
            let _ = reader.await;
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("the process runs")).unwrap();
        rustix::process::kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end; answers its exit code, `None` if a signal ended it.
    pub async fn end(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(END_MAX, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the process does not end:\n{}", self.printed())).unwrap();
        for reader in self.readers.drain(..) {
            reader.await.unwrap();
        }
        status.code()
    }
}

/// An address that nobody listens on. Another test could take it first; the system hands ports out in turn, though.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static, printed: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let printed = Arc::clone(printed);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut printed = printed.lock().unwrap();
            printed.push_str(&line);
            printed.push('\n');
        }
    })
}
