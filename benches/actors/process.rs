//! This program run again, for what needs a process of its own; and what Linux tells of a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{access, by_hand, residents};

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
        "bare" => residents::child_bare(rest[0].parse().unwrap()),
        "resident" => residents::child_resident(rest[0], rest[1].parse().unwrap()),
        other => panic!("no work `{other}`"),
    }
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
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let mut fields = fields.split(' ').skip(11).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis((fields.next().unwrap() + fields.next().unwrap()) * TICK_MS)
}
