//! A RabbitMQ of one test's own, which it may kill. Its programs come from `scripts/get-rabbitmq`.

use std::{
    fs::{self, File},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use super::{Directory, free_address};

/// Where packages put the server's own script: the one in the path changes the user.
const RABBITMQ: [&str; 3] = ["/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin"];
/// Many times what it takes, on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(120);
/// What a test without it says.
const MISSING: &str = "run `scripts/get-rabbitmq`, which says what to install";

/// A private RabbitMQ; gone when dropped.
pub struct PrivateBroker {
    // Dropped in this order: the files go after the processes.
    server: Option<Process>,
    _epmd: Process,
    directory: Directory,
    address: String,
    distribution: String,
    names: String,
}

/// A process and what it started; killed when dropped, and when the test's process ends however that be.
struct Process {
    child: Child,
    _lifeline: ChildStdin,
}

/// Argument: a group of processes. Ends them when nobody holds the other end of its input any more.
const KEEPER: &str = r#"read -r _; kill -s KILL -- "-$1" 2>/dev/null"#;

impl Process {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{:?}: {error}; {MISSING}", command.get_program()));
        Self { _lifeline: lifeline(child.id()), child }
    }

    fn signal(&self, signal: Signal) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// What keeps a group of processes alive while this process holds it.
fn lifeline(group: u32) -> ChildStdin {
    let mut keeper = Command::new("/bin/sh");
    keeper.args(["-c", KEEPER, "tenet-test-keeper", &group.to_string()]);
    // A group of its own: a runner that ends a test ends all of the test's group.
    keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    keeper.spawn().unwrap().stdin.take().unwrap()
}

impl PrivateBroker {
    pub async fn start() -> Self {
        let directory = Directory::new();
        let path = directory.path();
        let (address, distribution, names) = (free_address(), free_address(), free_address());
        for name in ["data", "log", "home"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        fs::write(path.join("rabbitmq.conf"), format!("listeners.tcp.1 = {address}\n")).unwrap();
        fs::write(path.join("plugins"), "[].").unwrap();
        // It would be started by the server, and stay behind.
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", port(&names)]).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let epmd = Process::start(&mut epmd, &path.join("epmd.log"));
        let mut broker = Self { server: None, _epmd: epmd, directory, address, distribution, names };
        broker.start_again().await;
        broker
    }

    /// How to connect to it.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address)
    }

    /// Where its processes listen.
    pub fn addresses(&self) -> [&str; 2] {
        [&self.address, &self.names]
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again, with what it had on disk.
    pub async fn start_again(&mut self) {
        let path = self.directory.path();
        let found = RABBITMQ.iter().map(|directory| Path::new(directory).join("rabbitmq-server"));
        let program = found.into_iter().find(|path| path.exists());
        let program = program.unwrap_or_else(|| panic!("there is no rabbitmq-server; {MISSING}"));
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", path.join("home"))
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", port(&self.names))
            .env("RABBITMQ_NODENAME", format!("tenet{}@localhost", port(&self.address)))
            .env("RABBITMQ_DIST_PORT", port(&self.distribution))
            .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", path.join("data"))
            .env("RABBITMQ_LOG_BASE", path.join("log"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1");
        self.server = Some(Process::start(&mut command, &path.join("server.log")));
        self.listens().await;
    }

    async fn listens(&self) {
        let began = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            if began.elapsed() > START_MAX {
                let log = fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default();
                panic!("RabbitMQ does not start:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops its processes without ending them, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        self.server.iter().for_each(|server| server.signal(signal));
    }
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

/// How to connect to a RabbitMQ that the tests of one may share: that of `TEST_RABBITMQ_URL`, or a private one.
pub async fn broker() -> (String, Option<PrivateBroker>) {
    match std::env::var("TEST_RABBITMQ_URL") {
        Ok(url) if !url.is_empty() => (url, None),
        _ => {
            let broker = PrivateBroker::start().await;
            (broker.url(), Some(broker))
        }
    }
}
