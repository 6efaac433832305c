//! A RabbitMQ and a Redis of one test's own, which it may kill. Their programs come from `scripts/get-rabbitmq`.

use std::{
    ffi::OsString,
    fs,
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{Certificates, Directory, free_address, lifeline::Process};

/// Where packages put the server's own script: the one in the path changes the user.
const RABBITMQ: [&str; 3] = ["/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin"];
/// Many times what it takes, on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(120);
/// What a test without them says.
const MISSING: &str = "run `scripts/get-rabbitmq`, which says what to install";

/// A private RabbitMQ; gone when dropped.
pub struct PrivateBroker {
    // Dropped in this order: the files go after the processes.
    server: Option<Process>,
    _epmd: Process,
    directory: Directory,
    scheme: &'static str,
    address: String,
    distribution: String,
    names: String,
}

impl PrivateBroker {
    pub async fn start() -> Self {
        Self::start_as(None).await
    }

    /// One that is reached over TLS alone.
    pub async fn start_with_tls(certificates: &Certificates) -> Self {
        Self::start_as(Some(certificates)).await
    }

    async fn start_as(certificates: Option<&Certificates>) -> Self {
        let directory = Directory::new();
        let path = directory.path();
        let (address, distribution, names) = (free_address(), free_address(), free_address());
        for name in ["data", "log", "home"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        let listener = match certificates {
            None => format!("listeners.tcp.1 = {address}\n"),
            Some(Certificates { authority, certificate, key }) => format!(
                "listeners.tcp = none\nlisteners.ssl.1 = {address}\nssl_options.cacertfile = {}\n\
                 ssl_options.certfile = {}\nssl_options.keyfile = {}\n",
                authority.display(),
                certificate.display(),
                key.display()
            ),
        };
        fs::write(path.join("rabbitmq.conf"), listener).unwrap();
        fs::write(path.join("plugins"), "[].").unwrap();
        // It would be started by the server, and stay behind.
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", port(&names)]).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let epmd = Process::start(&mut epmd, &path.join("epmd.log"), MISSING);
        let scheme = if certificates.is_some() { "amqps" } else { "amqp" };
        let mut broker = Self { server: None, _epmd: epmd, directory, scheme, address, distribution, names };
        broker.start_again().await;
        broker
    }

    /// How to connect to it.
    pub fn url(&self) -> String {
        format!("{}://guest:guest@{}/%2f", self.scheme, self.address)
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
            // One that is killed while it starts leaves no dump where the tests run.
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", path.join("data"))
            .env("RABBITMQ_LOG_BASE", path.join("log"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1");
        self.server = Some(Process::start(&mut command, &path.join("server.log"), MISSING));
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

/// A private Redis; gone when dropped.
pub struct PrivateRedis {
    server: Option<Process>,
    directory: Directory,
    address: String,
    /// Arguments of one that is reached over TLS.
    tls: Vec<OsString>,
}

impl PrivateRedis {
    pub async fn start() -> Self {
        Self::start_as(Vec::new()).await
    }

    /// One that is reached over TLS alone.
    pub async fn start_with_tls(Certificates { authority, certificate, key }: &Certificates) -> Self {
        let mut tls: Vec<OsString> = ["--port", "0", "--tls-auth-clients", "no"].map(OsString::from).into();
        for (option, file) in
            [("--tls-ca-cert-file", authority), ("--tls-cert-file", certificate), ("--tls-key-file", key)]
        {
            tls.extend([option.into(), file.into()]);
        }
        Self::start_as(tls).await
    }

    async fn start_as(tls: Vec<OsString>) -> Self {
        let mut redis = Self { server: None, directory: Directory::new(), address: free_address(), tls };
        redis.start_again().await;
        redis
    }

    /// How to connect to it.
    pub fn url(&self) -> String {
        format!("{}://{}/0", if self.tls.is_empty() { "redis" } else { "rediss" }, self.address)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again, empty.
    pub async fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        let port_option = if self.tls.is_empty() { "--port" } else { "--tls-port" };
        command.args(["--bind", "127.0.0.1", port_option, port(&self.address), "--save", "", "--appendonly", "no"]);
        command.args(&self.tls);
        command.arg("--dir").arg(self.directory.path());
        self.server = Some(Process::start(&mut command, &self.directory.path().join("redis.log"), MISSING));
        let began = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            assert!(began.elapsed() < START_MAX, "Redis does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops its process without ending it, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        self.server.iter().for_each(|server| server.signal(signal));
    }
}

/// How to connect to a Redis that the tests of one may share: that of `TEST_REDIS_URL`, or a private one.
pub async fn redis() -> (String, Option<PrivateRedis>) {
    match std::env::var("TEST_REDIS_URL") {
        Ok(url) if !url.is_empty() => (url, None),
        _ => {
            let redis = PrivateRedis::start().await;
            (redis.url(), Some(redis))
        }
    }
}
