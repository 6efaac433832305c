//! Servers of one test's own that end with it, even if it is killed.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use rustix::process::{Pid, Signal};

/// A process and what it started; killed when dropped, and when the test's process ends however that be.
pub struct Process {
    child: Child,
    _lifeline: ChildStdin,
}

/// Argument: a group of processes. Ends them when nobody holds the other end of its input any more.
const KEEPER: &str = r#"read -r _; kill -s KILL -- "-$1" 2>/dev/null"#;

impl Process {
    /// Starts it, with what it prints in `log`. A test whose program is not there says `missing`.
    pub fn start(command: &mut Command, log: &Path, missing: &str) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{:?}: {error}; {missing}", command.get_program()));
        Self { _lifeline: lifeline(child.id()), child }
    }

    /// Sends a signal to it and to what it started.
    pub fn signal(&self, signal: Signal) {
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
