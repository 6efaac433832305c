//! A private PostgreSQL, and the service on it as a process of its own.

use std::{
    cell::Cell,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tenet::{
    client::Client,
    cluster::{self, Purpose},
    config::Secret,
    load::{self, Group, Reports, Service, Workload},
};
use tokio::runtime::Runtime;

use super::private_server::PrivateServer;

const KEY: &str = "an-operator-key-for-floods";
/// How long the service may take until it is ready.
const READY_MAX: Duration = Duration::from_secs(60);
/// The answers by which a service refuses what is too much.
const REFUSALS: [&str; 6] = [
    "429 rate_limited",
    "429 too_many_requests_in_hand",
    "429 tenant_busy",
    "503 overloaded",
    "503 database_busy",
    "503 dependency_unavailable",
];

/// Whether the service holds tenants to their limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// As it does by default.
    On,
    /// No rates, and each decision is made at once where its request is read.
    Off,
}

/// What all parts run on.
pub struct Bed {
    pub runtime: Runtime,
    faults: Cell<usize>,
    server: PrivateServer,
}

/// A service that runs until it is dropped.
pub struct Running {
    child: Child,
    service: Service,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bed {
    pub fn make() -> Self {
        let server = PrivateServer::start("tenet-flood", Purpose::Persistent);
        Self { runtime: Runtime::new().unwrap(), faults: Cell::new(0), server }
    }

    fn fault(&self, what: &str) {
        println!("  WRONG  {what}");
        self.faults.set(self.faults.get() + 1);
    }

    /// How many kinds of wrong answers there were.
    pub fn faults(&self) -> usize {
        self.faults.get()
    }

    /// A `tenet serve`, once it is ready.
    pub fn serve(&self, limits: Limits) -> Running {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenet"));
        command
            .args(["serve", "--migrate"])
            .env("DATABASE_URL", self.server.url(cluster::NAME))
            .env("TENET_OPERATOR_KEY", KEY)
            .env("TENET_LISTEN", &address)
            .env("TENET_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if limits == Limits::Off {
            command.env("TENET_RATE_LIMITS", "off").env("TENET_EVALUATION_THREADS", "0");
        }
        let child = command.spawn().unwrap();
        let client = Client::new(&format!("http://{address}")).unwrap().with_key(Some(Secret::new(KEY)));
        let server_pid = Some(child.id());
        let mut running = Running { child, service: Service { client, server_pid } };
        let began = Instant::now();
        while !self.runtime.block_on(running.client().get("/readyz")).is_ok_and(|answer| answer.is_success()) {
            assert!(running.child.try_wait().unwrap().is_none(), "the service has ended");
            assert!(began.elapsed() < READY_MAX, "the service does not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }
}

impl Running {
    /// A client of it, with the operator's key.
    pub fn client(&self) -> &Client {
        &self.service.client
    }

    /// Puts it under the load of these groups. What it answers wrongly is printed, and kept as a fault.
    pub fn load(&self, bed: &Bed, groups: &[Group]) -> Reports {
        self.load_watched(bed, groups, |_| {})
    }

    /// The same; `watch` is called from time to time with the time since the load began.
    pub fn load_watched(&self, bed: &Bed, groups: &[Group], watch: impl Fn(Duration)) -> Reports {
        let reports = bed.runtime.block_on(load::run(&self.service, groups, |elapsed, _| watch(elapsed))).unwrap();
        for report in &reports.groups {
            let unknown = report.refused.iter().filter(|(refusal, _)| !REFUSALS.contains(&refusal.as_str()));
            for (what, count) in report.errors.iter().chain(unknown) {
                bed.fault(&format!("{}: {count} times {what}", report.group));
            }
            let lost = report.events.as_ref().map_or(0, |events| events.lost + events.dead_letters);
            if lost != 0 {
                bed.fault(&format!("{}: {lost} events were accepted and not decided", report.group));
            }
        }
        reports
    }

    /// Bytes of memory that it has.
    pub fn memory_bytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    }
}

/// A workload of `benches/workloads`.
pub fn workload(file: &str) -> Workload {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/workloads/floods");
    Workload::read(&directory.join(format!("{file}.json"))).unwrap()
}

/// A group whose tenants ask with their own keys, and may be refused.
pub fn group(name: &str, file: &str, mix: &str) -> Group {
    Group {
        name: name.to_owned(),
        mix: mix.to_owned(),
        has_tenant_keys: true,
        expects_refusals: true,
        ..Group::new(workload(file))
    }
}
