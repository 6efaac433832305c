//! A running `postgres` that ends with this process.
//!
//! Not a daemon: the process holds one end of a pipe, its *lifeline*. When that end closes, because it was dropped or
//! because its holder died in whatever way, a watcher on the other end asks the server to stop. That needs no unsafe
//! code, works on every Unix, and covers `kill -9`.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Error, account::Account, binaries::Binaries, data_dir::DataDir, pid_file::PidFile};

/// Becomes the program named in its arguments, and leaves a watcher behind that interrupts it at the end of the
/// lifeline, which is its standard input; a line on it means that the program has already ended. The watcher is not a
/// child of the program, since PostgreSQL would wait for a child that it does not know.
const WITH_LIFELINE: &str = r#"exec 3<&0 </dev/null
( { read -r gone || kill -INT $$; } <&3 >/dev/null 2>&1 & )
exec 3<&-
exec "$@""#;

/// How long a server may take to become ready; most of it would be recovery after a crash.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long a fast shutdown may take before an immediate one. The server then recovers at its next start.
const STOP_MAX: Duration = Duration::from_secs(20);
/// Interval between checks of the server's state.
const POLL: Duration = Duration::from_millis(5);
/// How long children of a killed server may take to notice that it is gone. They hold its shared memory until then.
const ORPHANS_MAX: Duration = Duration::from_secs(10);

/// A server that we started.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    lifeline: Option<OwnedFd>,
}

impl Server {
    /// Starts a server on the data of `place` and waits until it takes connections.
    pub fn start(place: &DataDir, binaries: &Binaries) -> Result<(Self, PidFile), Error> {
        let sockets = place.socket_directory()?;
        let started = Instant::now();
        loop {
            let log_start = place.rotate_log();
            let mut server = Self::spawn(place, binaries, &sockets)?;
            match server.wait_until_ready(place) {
                Ok(file) => return Ok((server, file)),
                Err(reason) => {
                    let tail = place.log_tail(log_start);
                    let orphans = tail.contains("is still in use") && started.elapsed() < ORPHANS_MAX;
                    if !orphans {
                        // Empty, unless another process uses it.
                        let _ = std::fs::remove_dir(&sockets);
                        return Err(Error::NotReady {
                            reason,
                            account: place.account.name.clone(),
                            directory: place.data(),
                            log: place.log(),
                            tail,
                        });
                    }
                    thread::sleep(POLL * 20);
                }
            }
        }
    }

    fn spawn(place: &DataDir, binaries: &Binaries, sockets: &Path) -> Result<Self, Error> {
        let path = place.log();
        let log = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::file("open", &path))?;
        let errors = log.try_clone().map_err(Error::file("open", &path))?;
        let mut command = with_lifeline(&place.account, &binaries.postgres());
        command.arg("-D").arg(place.data()).arg("-k").arg(sockets).stdout(log).stderr(errors);
        let mut child = command.spawn().map_err(|error| failed(&binaries.postgres(), &error.to_string()))?;
        let lifeline = child.stdin.take().map(OwnedFd::from);
        Ok(Self { child, lifeline })
    }

    fn wait_until_ready(&mut self, place: &DataDir) -> Result<PidFile, String> {
        let deadline = Instant::now() + READY_MAX;
        while Instant::now() < deadline {
            if let Ok(Some(file)) = PidFile::read(&place.data())
                && file.ready
                && file.process_id() == self.child.id()
            {
                return Ok(file);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                self.say_gone();
                return Err(format!("ended instead of starting ({status})"));
            }
            thread::sleep(POLL);
        }
        Err(format!("was not ready after {} s", READY_MAX.as_secs()))
    }

    /// Stops the server: running statements are cancelled, what is committed is kept.
    pub fn stop(&mut self) -> Result<(), Error> {
        if let Ok(Some(_)) = self.child.try_wait() {
            self.say_gone();
            return Ok(());
        }
        self.lifeline = None;
        let deadline = Instant::now() + STOP_MAX;
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
                Ok(None) => break,
                Err(error) => return Err(failed(Path::new("postgres"), &error.to_string())),
            }
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // An immediate shutdown; a plain kill would leave its children behind. Gone already is as good.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        self.child.wait().map(|_| ()).map_err(|error| failed(Path::new("postgres"), &error.to_string()))
    }

    /// The lifeline, for another holder. The server stops when that holder closes it.
    pub fn into_lifeline(mut self) -> Option<OwnedFd> {
        self.lifeline.take()
    }

    /// Ends the watcher: the process id may soon belong to another process.
    fn say_gone(&mut self) {
        if let Some(lifeline) = self.lifeline.take() {
            // If the watcher is gone too, all is well.
            let _ = std::fs::File::from(lifeline).write_all(b"gone\n");
        }
    }
}

/// A command that runs `program` as `account` until it ends or the standard input that we hold does.
pub(super) fn with_lifeline(account: &Account, program: &Path) -> Command {
    let mut command = account.command("/bin/sh");
    command.args(["-c", WITH_LIFELINE, "tenet"]).arg(program).stdin(Stdio::piped());
    command
}

/// A program that failed, and what it said.
pub(super) fn failed(program: &Path, reason: &str) -> Error {
    Error::Program { program: program.to_owned(), reason: reason.trim().to_owned() }
}
