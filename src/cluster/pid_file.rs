//! `postmaster.pid`: what PostgreSQL itself says about a server on a data directory.
//!
//! The file outlives a server that was killed; [`PidFile::is_alive`] distinguishes the two.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::process::Pid;

use super::Error;

/// The lines of the file that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pid: Pid,
    /// Names the socket's file, even where no TCP port is open.
    pub port: u16,
    pub socket_directory: PathBuf,
    /// Whether the server takes connections. It is not, while it starts, recovers or stops.
    pub ready: bool,
}

impl PidFile {
    /// The file of the data directory `data`, if there is one that has been written whole.
    pub fn read(data: &Path) -> Result<Option<Self>, Error> {
        let path = data.join("postmaster.pid");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", &path)(error)),
        }
    }

    /// Lines: process id, data directory, start time, port, socket directory, TCP address, shared memory, status.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            // A single-user server, which makes no connections, writes its id as a negative number.
            pid: Pid::from_raw(i32::try_from(lines.first()?.parse::<u32>().ok()?).ok()?)?,
            port: lines.get(3)?.parse().ok()?,
            socket_directory: PathBuf::from(lines.get(4)?),
            ready: lines.get(7).is_some_and(|status| *status == "ready"),
        })
    }

    /// The id of the server's process.
    pub fn process_id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether the process is there and is a server on `data`. Process ids are used again, in containers at once; so
    /// where the system shows a process's working directory (Linux), that must be the data directory.
    pub fn is_alive(&self, data: &Path) -> bool {
        if let Err(rustix::io::Errno::SRCH) = rustix::process::test_kill_process(self.pid) {
            return false;
        }
        match fs::read_link(format!("/proc/{}/cwd", self.pid.as_raw_nonzero())) {
            Ok(directory) => data.canonicalize().is_ok_and(|data| data == directory),
            // A process that has ended and that its parent has not asked about has no working directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => !Path::new("/proc/self").exists(),
            Err(_) => true,
        }
    }

    /// Asks the server to stop: running statements are cancelled, what is committed is kept.
    pub fn interrupt(&self) {
        // If it is gone already, all is well.
        let _ = rustix::process::kill_process(self.pid, rustix::process::Signal::INT);
    }

    /// Makes a file left by a killed server harmless. PostgreSQL sees by itself that a process is gone, but takes any
    /// process that got the same id since for a server; the id of its own parent it ignores. The rest of the file
    /// stays, since by it PostgreSQL finds children of the killed server that still run.
    pub fn disown(data: &Path) -> Result<(), Error> {
        let path = data.join("postmaster.pid");
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        fs::write(&path, format!("{}\n{rest}", std::process::id())).map_err(Error::file("write", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "4242\n/srv/data\n1700000000\n5432\n/tmp/tenet-0a1b2c3d\n\n  5432001         7\nready   \n";

    #[test]
    fn the_file_of_a_running_server_is_read() {
        let file = PidFile::parse(FILE).unwrap();
        assert_eq!((file.port, file.ready), (5432, true));
        assert_eq!(file.socket_directory, Path::new("/tmp/tenet-0a1b2c3d"));
    }

    #[test]
    fn a_server_that_starts_or_stops_is_not_ready() {
        assert!(!PidFile::parse(&FILE.replace("ready", "starting")).unwrap().ready);
        assert!(!PidFile::parse(&FILE.replace("ready", "stopping")).unwrap().ready);
    }

    #[test]
    fn a_file_that_is_not_written_whole_yet_is_no_file() {
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("4242\n/srv/data\n"), None);
    }
}
