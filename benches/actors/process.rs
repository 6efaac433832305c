//! This program run again, for what needs a process of its own; and what Linux tells of a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    access,
    bed::{Bed, Rules, Sizes},
    by_hand, residents,
};

/// The first argument of a child.
pub const CHILD: &str = "--child";

/// Milliseconds of one tick of `/proc/<pid>/stat`.
const TICK_MS: u64 = 10;

/// What a child does: prints one line once it is ready or done.
pub fn run(arguments: &[String]) {
    let rest: Vec<&str> = arguments[1..].iter().map(String::as_str).collect();
    match arguments[0].as_str() {
        "by-hand" => by_hand::serve(rest[0]),
        "open" => access::child_open(rest[0], rest[1]),
        "bed" => keep_bed(rest[0].parse().unwrap(), if rest[1] == "alike" { Rules::Alike } else { Rules::Distinct }),
        "bare" => residents::child_bare(rest[0].parse().unwrap()),
        "resident" => residents::child_resident(rest[0], rest[1].parse().unwrap()),
        other => panic!("no work `{other}`"),
    }
}

/// A database with tenants, until nothing more comes in.
fn keep_bed(tenants: usize, rules: Rules) {
    let bed = Bed::make(Sizes { residents: tenants, backlog: 0, held_seconds: 0 });
    println!("{}", bed.database(tenants, rules).url);
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// A child that runs until it is dropped.
pub struct Running {
    child: Child,
}

impl Running {
    /// Runs a program.
    pub fn start(command: &mut Command) -> Self {
        Self { child: command.stdin(Stdio::null()).spawn().unwrap() }
    }

    /// Runs this program with other work.
    pub fn again(work: &[&str]) -> Self {
        Self::start(Command::new(std::env::current_exe().unwrap()).arg(CHILD).args(work))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs this program with other work, and answers the numbers of the line that it prints.
pub fn measured(work: &[&str]) -> Vec<f64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.arg(CHILD).args(work).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(child.wait().unwrap().success(), "{work:?} failed");
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// Bytes of memory that a process has.
pub fn memory_bytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}

/// Processor time that a process has used.
pub fn cpu(pid: u32) -> Duration {
    let times = stat(pid).unwrap();
    Duration::from_millis((times[UTIME] + times[STIME]) * TICK_MS)
}

/// Processor time that the server with this backend has used: its processes, and those that have ended.
pub fn cpu_of_server(backend: u32) -> Duration {
    let postmaster = stat(backend).unwrap()[PARENT];
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let times = processes.filter_map(stat).filter(|times| times[PARENT] == postmaster);
    let own = stat(u32::try_from(postmaster).unwrap()).unwrap();
    let ended: u64 = own[UTIME..UTIME + 4].iter().sum();
    let ticks: u64 = times.map(|times| times[UTIME] + times[STIME]).sum();
    Duration::from_millis((ticks + ended) * TICK_MS)
}

/// Where the numbers of [`stat`] stand.
const PARENT: usize = 0;
const UTIME: usize = 10;
const STIME: usize = 11;

/// The numbers of `/proc/<pid>/stat` from the parent's id on.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    // None of those that are looked at is negative.
    Some(fields.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0)).collect())
}
