//! The processor time of a service on this machine, found by the port that it listens on. Linux only.

use std::{fs, path::Path, time::Duration};

use super::Service;

/// Milliseconds of one tick of `/proc/<pid>/stat`: Linux shows programs 100 ticks a second, on every architecture.
const TICK_MS: u64 = 10;
/// `TCP_LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The processor time of a process since some moment.
#[derive(Debug)]
pub(super) struct CpuTime {
    pid: u32,
    before: Duration,
}

impl CpuTime {
    /// Begins to count; `None` if the service is elsewhere or cannot be found.
    pub fn of(service: &Service) -> Option<Self> {
        let pid = service.server_pid.or_else(|| {
            let (host, port) = service.client.address();
            let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
            if local { listener(port) } else { None }
        })?;
        Some(Self { pid, before: spent(pid)? })
    }

    /// What the process has used since.
    pub fn spent(&self) -> Option<Duration> {
        spent(self.pid)?.checked_sub(self.before)
    }
}

/// User and system time of a process.
fn spent(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; the fields after its last bracket begin with the third.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * TICK_MS))
}

/// The process that listens on `port`.
fn listener(port: u16) -> Option<u32> {
    let links: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid: &u32| holds(Path::new(&format!("/proc/{pid}/fd")), &links))
}

/// The inodes of the sockets of a table that listen on `port`.
fn listening(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        listens.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn holds(descriptors: &Path, links: &[String]) -> bool {
    let Ok(entries) = fs::read_dir(descriptors) else { return false };
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
    entries.flatten().filter_map(target).any(|target| links.iter().any(|link| target == Path::new(link)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{net::TcpListener, time::Instant};

    #[test]
    fn a_process_is_found_by_its_port() {
        let listener_here = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener_here.local_addr().unwrap().port();
        assert_eq!(listener(port), Some(std::process::id()));
        drop(listener_here);
        assert_eq!(listener(port), None);
    }

    #[test]
    fn work_uses_processor_time() {
        let pid = std::process::id();
        let (before, start) = (spent(pid).unwrap(), Instant::now());
        let mut sum = 0_u64;
        while spent(pid).unwrap() < before + Duration::from_millis(20) {
            (0..100_000_u64).for_each(|number| sum = sum.wrapping_add(std::hint::black_box(number)));
            assert!(start.elapsed() < Duration::from_secs(30), "no processor time was counted");
        }
    }
}
