//! Where a cluster lives: its data, its log and its socket.
//!
//! ```text
//! <data dir>/tenet-data-directory    the mark that Tenet made this directory
//!            postgresql/             programs, if they had to be fetched
//!            cluster/data            PostgreSQL's own directory
//!            cluster/owner-of-<pid>  locked by the process that the server stops with
//!            cluster/server.log
//! <TMPDIR>/tenet-<hash>/             the socket, since its path may have 107 bytes at most
//! ```

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Error, account::Account};
use crate::config::environment;

const MARK: &str = "tenet-data-directory";
const MARK_TEXT: &str =
    "Made by `tenet dev`, which keeps a private PostgreSQL here. Delete the whole directory to start anew.\n";
/// What the set-up script may have put into a data directory before Tenet first saw it.
const PROGRAMS: &str = "postgresql";
/// How the file of a server's owner begins; the server's process id follows.
const OWNER: &str = "owner-of-";
/// Bytes of a socket's path: 108 on Linux and 104 on macOS, with a zero at the end.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// A log longer than this is put aside at the next start.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Lines of the log that an error shows.
const TAIL_LINES: usize = 20;

/// A directory that is Tenet's, and the account that the server in it runs as. Locked while this lives, so that of two
/// processes that start at once the second finds the server of the first.
#[derive(Debug)]
pub(super) struct DataDir {
    root: PathBuf,
    _lock: fs::File,
    pub account: Account,
    /// Whether the directory that was asked for could not be used.
    pub moved: bool,
}

impl DataDir {
    /// Makes `data_dir` ready, or another directory if the server's account cannot reach that one: root's home is
    /// closed to everybody else.
    pub fn prepare(data_dir: &Path) -> Result<Self, Error> {
        let data_dir = environment::absolute(data_dir).map_err(Error::file("find", data_dir))?;
        let place = Self::claim(&data_dir, false)?;
        if place.account.can_enter(&place.root) {
            return place.with_cluster_directory();
        }
        let name = format!("cluster-{}", short_hash(&place.root, 0));
        for parent in ["/var/lib/tenet", "/var/tmp/tenet"] {
            if let Ok(place) = Self::claim(&Path::new(parent).join(&name), true)
                && place.account.can_enter(&place.root)
            {
                return place.with_cluster_directory();
            }
        }
        Err(Error::Unreachable { directory: place.root, account: place.account.name })
    }

    /// Makes the directory and marks it as Tenet's, unless it already holds foreign files.
    fn claim(directory: &Path, moved: bool) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        let root = directory.canonicalize().map_err(Error::file("find", directory))?;
        let lock = fs::File::open(&root).map_err(Error::file("open", &root))?;
        lock.lock().map_err(Error::file("lock", &root))?;
        mark(&root)?;
        let account = Account::for_cluster(&root.join("cluster"))?;
        Ok(Self { root, _lock: lock, account, moved })
    }

    fn with_cluster_directory(self) -> Result<Self, Error> {
        make_private(&self.cluster(), &self.account)?;
        Ok(self)
    }

    /// The directory that holds everything of the server.
    pub fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// PostgreSQL's data directory.
    pub fn data(&self) -> PathBuf {
        self.cluster().join("data")
    }

    /// Where a data directory is made, before it gets its name.
    pub fn unfinished_data(&self) -> PathBuf {
        self.cluster().join("data.tmp")
    }

    /// The file that the server's owner keeps locked.
    pub fn owner(&self, server: u32) -> PathBuf {
        self.cluster().join(format!("{OWNER}{server}"))
    }

    /// Removes the files of owners of earlier servers.
    pub fn forget_owners(&self) -> Result<(), Error> {
        let directory = self.cluster();
        let entries = fs::read_dir(&directory).map_err(Error::file("read", &directory))?;
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(OWNER)) {
                fs::remove_file(&path).map_err(Error::file("remove", &path))?;
            }
        }
        Ok(())
    }

    pub fn log(&self) -> PathBuf {
        self.cluster().join("server.log")
    }

    /// A directory for the socket: short, private, empty, and the same for each start.
    pub fn socket_directory(&self) -> Result<PathBuf, Error> {
        let temporary = environment::temporary_directory();
        let fits = temporary.as_os_str().len() + "/tenet-01234567/.s.PGSQL.65535".len() <= SOCKET_PATH_BYTES_MAX;
        let parent = if fits && self.account.can_enter(&temporary) { temporary } else { PathBuf::from("/tmp") };
        let mut last = Error::NoAccount;
        // Every user may write to /tmp: another user's directory is skipped.
        for attempt in 0..8 {
            let directory = parent.join(format!("tenet-{}", short_hash(&self.root, attempt)));
            match make_private(&directory, &self.account) {
                Ok(()) => {
                    remove_sockets(&directory)?;
                    return Ok(directory);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Puts a long log aside; answers where the next line will be.
    pub fn rotate_log(&self) -> u64 {
        let log = self.log();
        let bytes = fs::metadata(&log).map_or(0, |metadata| metadata.len());
        if bytes > LOG_BYTES_MAX && fs::rename(&log, log.with_extension("log.old")).is_ok() { 0 } else { bytes }
    }

    /// The last lines that were logged since the log had `start` bytes.
    pub fn log_tail(&self, start: u64) -> String {
        let read = || -> io::Result<String> {
            let mut file = fs::File::open(self.log())?;
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
        let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
        lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
    }
}

/// Marks the directory as Tenet's, unless it holds foreign files.
fn mark(directory: &Path) -> Result<(), Error> {
    let mark = directory.join(MARK);
    if mark.exists() {
        return Ok(());
    }
    let entries = fs::read_dir(directory).map_err(Error::file("read", directory))?;
    let foreign = entries.filter_map(Result::ok).map(|entry| entry.file_name()).find(|name| name != PROGRAMS);
    if let Some(found) = foreign {
        let found = found.to_string_lossy().into_owned();
        return Err(Error::Foreign { directory: directory.to_owned(), found });
    }
    fs::write(&mark, MARK_TEXT).map_err(Error::file("write", &mark))
}

/// Creates a directory that only `account` can enter; an existing one must already be private.
fn make_private(directory: &Path, account: &Account) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {
            // The mask of the process may have taken away more than it should.
            fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(Error::file("protect", directory))?;
            account.own(directory)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Not followed if it is a link.
            let metadata = fs::symlink_metadata(directory).map_err(Error::file("read", directory))?;
            if metadata.is_dir() && metadata.uid() == account.uid && metadata.mode() & 0o077 == 0 {
                return Ok(());
            }
            let error = io::Error::other("it exists, but is not a private directory of the server's account");
            Err(Error::file("use", directory)(error))
        }
        Err(error) => Err(Error::file("create", directory)(error)),
    }
}

/// Removes what a killed server left: PostgreSQL takes any process that got its id since for a server. Called only when
/// no server runs.
fn remove_sockets(directory: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(directory).map_err(Error::file("read", directory))?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    }
    Ok(())
}

/// Eight hexadecimal digits that stand for a path.
fn short_hash(path: &Path, attempt: u8) -> String {
    let digest = Sha256::new().chain_update(path.as_os_str().as_encoded_bytes()).chain_update([attempt]).finalize();
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
