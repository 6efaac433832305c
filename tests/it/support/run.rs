//! A run: all test processes that are alive at the same time or follow each other closely, such as the one process
//! of `cargo test` or the hundreds of `cargo nextest`. They share a server, and the last one out puts the light off.
//!
//! Each process puts a file with its id into `users/`. A *keeper*, a shell that outlives them all, looks every second
//! whether one of them is alive, so that killed processes count as gone. When it has seen nobody for some seconds, it
//! renames `users/` to `closing/`, looks once more, and clears up. A process that finds `closing/` waits until that
//! is done.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Arguments: the run's directory, then what to do when nobody is left. Its standard output is the lifeline of the
/// server, if it has one; closing it stops the server.
const KEEPER: &str = r#"
dir=$1; shift
anybody() {
    found=1
    for user in "$dir/$1"/*; do
        [ -e "$user" ] || continue
        if kill -0 "${user##*/}" 2>/dev/null; then found=0; else rm -f "$user"; fi
    done
    return $found
}
quiet=0
while :; do
    sleep 1
    if anybody users; then quiet=0; continue; fi
    quiet=$((quiet + 1))
    [ $quiet -ge 3 ] || continue
    mv "$dir/users" "$dir/closing" || exit
    anybody closing || break
    mv "$dir/closing" "$dir/users"
    quiet=0
done
exec >/dev/null
"$@"
rm -f "$dir/name" "$dir/keeper" "$dir/container" "$dir/role"
rm -rf "$dir/closing"
rmdir "$dir"
"#;

/// How long the end of another run may take, before its keeper must be dead.
const CLOSING_MAX: Duration = Duration::from_secs(30);

/// A run that this process takes part in, until it ends.
pub struct Run {
    directory: PathBuf,
    name: String,
    _lock: File,
}

impl Run {
    /// Joins the run of `directory`, or begins one. Other processes wait until [`Run::ready`].
    pub fn join(directory: &Path) -> Self {
        // Not in the directory, which is deleted at the end of a run.
        let name = directory.file_name().unwrap().to_str().unwrap();
        let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.lock"))).unwrap();
        lock.lock().unwrap();
        let deadline = Instant::now() + CLOSING_MAX;
        let (users, closing) = (directory.join("users"), directory.join("closing"));
        while let Err(error) = fs::write(users.join(std::process::id().to_string()), "") {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
            if closing.exists() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            let _ = fs::remove_dir_all(&closing);
            fs::create_dir_all(&users).unwrap();
            fs::write(directory.join("name"), &uuid::Uuid::now_v7().simple().to_string()[20..]).unwrap();
        }
        let name = fs::read_to_string(directory.join("name")).unwrap();
        Self { directory: directory.to_owned(), name, _lock: lock }
    }

    /// Where its processes leave word for each other.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Twelve characters that no other run has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether somebody watches for the end of the run.
    pub fn is_kept(&self) -> bool {
        let keeper = fs::read_to_string(self.directory.join("keeper")).unwrap_or_default();
        let probe = Command::new("kill").args(["-0", keeper.trim()]).stderr(Stdio::null()).status();
        !keeper.is_empty() && probe.unwrap().success()
    }

    /// Leaves a keeper behind, which holds `lifeline` and runs `finish` when the last process of the run is gone.
    #[expect(clippy::zombie_processes, reason = "the keeper outlives this process: that is what it is for")]
    pub fn keep(&self, lifeline: impl Into<Stdio>, finish: &Command) {
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "tenet-test-keeper"]).arg(&self.directory);
        keeper.arg(finish.get_program()).args(finish.get_args());
        // A group of its own: a runner that ends a test ends all of the test's group.
        std::os::unix::process::CommandExt::process_group(&mut keeper, 0);
        let child = keeper.stdin(Stdio::null()).stdout(lifeline).stderr(Stdio::null()).spawn().unwrap();
        fs::write(self.directory.join("keeper"), child.id().to_string()).unwrap();
    }
}
