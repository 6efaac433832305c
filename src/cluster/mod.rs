//! A private PostgreSQL of our own, from the programs that are on this machine.
//!
//! It is reached through a Unix socket only, in a directory that no other user can enter, and never touches a server
//! that it did not start. It creates and runs a cluster; the content of the databases belongs to `store`.
//!
//! The calls here block; start a cluster before there is a runtime, or on a thread for blocking work.

mod account;
mod binaries;
mod error;
mod ownership;
mod pid_file;
mod data_dir;
mod server;
mod settings;

use std::{
    fs,
    io::Write as _,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

pub use error::Error;

use binaries::Binaries;
use data_dir::DataDir;
use ownership::Ownership;
use pid_file::PidFile;
use server::{Server, failed, with_lifeline};

/// The superuser of a cluster, and the name of the database that a new one has.
pub const NAME: &str = "tenet";

/// How long a server that another process is stopping may take.
const OTHER_SERVER_MAX: Duration = Duration::from_secs(60);

/// What a cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Its data is kept: what is committed survives a power cut.
    Persistent,
    /// Its data is discarded after the run: fast, and not crash-safe.
    Throwaway,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The directory that the cluster lives in; made if it is not there.
    pub data_dir: PathBuf,
    /// What it is for.
    pub purpose: Purpose,
    /// The directory of PostgreSQL's programs; searched for if not given.
    pub binaries: Option<PathBuf>,
}

/// A server that accepts connections. If it was started here, it stops when this is dropped or when this process ends
/// in any way; a server that another process started keeps running.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    moved: bool,
    socket_directory: PathBuf,
    port: u16,
    server: Option<Server>,
    ownership: Option<Ownership>,
}

impl Cluster {
    /// Finds the server that runs on `data_dir`, or starts one; makes the cluster first, if there is none.
    pub fn start(options: &ClusterOptions) -> Result<Self, Error> {
        let place = DataDir::prepare(&options.data_dir)?;
        if let Some(file) = running(&place)? {
            return Ok(Self::attached(&place, file));
        }
        let binaries = find_binaries(options, &place)?;
        if !place.data().exists() {
            create(&place, &binaries, options.purpose)?;
        }
        settings::write(&place.data(), options.purpose, &place.account)?;
        let (server, file) = Server::start(&place, &binaries)?;
        let ownership = Ownership::take(&place, &file)?;
        let mut cluster = Self::attached(&place, file);
        cluster.server = Some(server);
        cluster.ownership = Some(ownership);
        Ok(cluster)
    }

    fn attached(place: &DataDir, file: PidFile) -> Self {
        let (socket_directory, port) = (file.socket_directory, file.port);
        Self { directory: place.cluster(), moved: place.moved, socket_directory, port, server: None, ownership: None }
    }

    /// How to connect to `database`, as a superuser.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encode(&self.socket_directory.to_string_lossy());
        format!("postgresql://{NAME}@localhost:{}/{}?host={host}", self.port, percent_encode(database))
    }

    /// Where the data and the server's log are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the directory asked for could not be used, so that another was taken.
    pub fn is_moved(&self) -> bool {
        self.moved
    }

    /// Whether the server was started here, and stops with us.
    pub fn is_owned(&self) -> bool {
        self.server.is_some()
    }

    /// Stops the server, if it was started here. Running statements are cancelled.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    /// Hands the server over: it stops when the last holder of the returned descriptor closes it. `None` if the server
    /// was not started here.
    pub fn into_lifeline(mut self) -> Option<OwnedFd> {
        if let Some(ownership) = &mut self.ownership {
            ownership.hand_over();
        }
        self.server.take().and_then(Server::into_lifeline)
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        server.stop()?;
        // Empty now; if not, the next start uses it again.
        let _ = fs::remove_dir(&self.socket_directory);
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "the private PostgreSQL did not stop");
        }
    }
}

/// The server that runs on `place`, once it takes connections. Waits for one that is starting or stopping.
fn running(place: &DataDir) -> Result<Option<PidFile>, Error> {
    let deadline = Instant::now() + OTHER_SERVER_MAX;
    let data = place.data();
    while let Some(file) = PidFile::read(&data)? {
        if !file.is_alive(&data) {
            PidFile::disown(&data)?;
            return Ok(None);
        }
        let socket = file.socket_directory.join(format!(".s.PGSQL.{}", file.port));
        if !Ownership::is_held(place, &file) {
            // Its owner has died, so it is about to stop; its watcher may have died too.
            file.interrupt();
        } else if file.ready && UnixStream::connect(socket).is_ok() {
            return Ok(Some(file));
        }
        if Instant::now() > deadline {
            return Err(Error::NotReady {
                reason: format!(
                    "already runs as process {}, but neither accepts connections nor ends",
                    file.process_id()
                ),
                account: place.account.name.clone(),
                directory: data,
                log: place.log(),
                tail: place.log_tail(0),
            });
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}

/// Programs of the version that wrote the data, or any if there is no data yet.
fn find_binaries(options: &ClusterOptions, place: &DataDir) -> Result<Binaries, Error> {
    let path = place.data().join("PG_VERSION");
    let wanted = fs::read_to_string(path).ok().as_deref().and_then(binaries::major_of);
    binaries::find(options.binaries.as_deref(), &options.data_dir, &place.account, wanted)
}

/// Makes a cluster with an empty database. It gets its name when it is whole, so that a killed run leaves nothing that
/// looks like one.
fn create(place: &DataDir, binaries: &Binaries, purpose: Purpose) -> Result<(), Error> {
    let unfinished = place.unfinished_data();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::file("remove", &unfinished))?;
    }
    let mut initdb = with_lifeline(&place.account, &binaries.initdb());
    initdb.args(["-U", NAME, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions", "-D"]).arg(&unfinished);
    if purpose == Purpose::Throwaway {
        initdb.arg("--no-sync");
    }
    initdb.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = initdb.spawn().map_err(|error| failed(&binaries.initdb(), &error.to_string()))?;
    // `wait_with_output` would close the lifeline first.
    let lifeline = child.stdin.take();
    let output = child.wait_with_output().map_err(|error| failed(&binaries.initdb(), &error.to_string()))?;
    if let Some(mut lifeline) = lifeline {
        // The watcher may already have ended, so an error does not matter.
        let _ = lifeline.write_all(b"gone\n");
    }
    if !output.status.success() {
        return Err(failed(&binaries.initdb(), &String::from_utf8_lossy(&output.stderr)));
    }
    settings::include(&unfinished)?;
    settings::write(&unfinished, purpose, &place.account)?;
    create_database(place, binaries, &unfinished)?;
    fs::rename(&unfinished, place.data()).map_err(Error::file("rename", &unfinished))
}

/// Makes the database [`NAME`] with a server that has no socket and ends with its input.
fn create_database(place: &DataDir, binaries: &Binaries, data: &Path) -> Result<(), Error> {
    let program = binaries.postgres();
    let mut command = place.account.command(&program);
    command.args(["--single", "-D"]).arg(data).args(["-c", "log_min_messages=error", "postgres"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&program, &error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        input
            .write_all(format!("CREATE DATABASE {NAME}\n").as_bytes())
            .map_err(|error| failed(&program, &error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(&program, &error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // A statement that fails does not fail the program.
    if output.status.success() && !said.contains("ERROR:") { Ok(()) } else { Err(failed(&program, &said)) }
}

/// A text as part of a URL.
fn percent_encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
