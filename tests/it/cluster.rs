//! The private cluster: how it starts, heals, is shared and is refused.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tenet::cluster::{Cluster, ClusterOptions, Error, Purpose};

use crate::support::Directory;

const NOBODY: u32 = 65534;
/// Tells a test that runs as `nobody` which directory root made for it.
const DIRECTORY: &str = "TENET_TEST_DIRECTORY";

fn options(directory: &Path) -> ClusterOptions {
    ClusterOptions { data_dir: directory.to_owned(), purpose: Purpose::Throwaway, binaries: None }
}

fn start(directory: &Path) -> Cluster {
    Cluster::start(&options(directory)).unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn query(cluster: &Cluster, statement: &'static str) -> String {
    let mut connection = PgConnection::connect(&cluster.url("tenet")).await.unwrap();
    sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn execute(cluster: &Cluster, statement: &'static str) {
    let mut connection = PgConnection::connect(&cluster.url("tenet")).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
}

fn data(cluster: &Cluster) -> PathBuf {
    cluster.directory().join("data")
}

fn server_process(cluster: &Cluster) -> u32 {
    let file = fs::read_to_string(data(cluster).join("postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

fn kill(process: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// Whether the process runs: `ps` answers `Z` for one that is dead and not buried.
fn is_alive(process: u32) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output().unwrap().stdout;
    state.first().is_some_and(|state| *state != b'Z')
}

/// Runs one test of this program as `nobody`, who may not be allowed to see where the program is.
fn as_nobody(test: &str, directory: &Path) {
    let copy = Directory::new();
    let program = copy.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["--exact", test]).env(DIRECTORY, directory).current_dir("/").uid(NOBODY).gid(NOBODY);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_cluster_keeps_its_data_over_a_restart() {
    let directory = Directory::new();
    let cluster = start(directory.path());
    assert!(cluster.is_owned());
    execute(&cluster, "create table kept as select 'here' as word");
    cluster.stop().unwrap();

    let cluster = start(directory.path());
    assert_eq!(query(&cluster, "select word from kept"), "here");
}

#[test]
fn a_persistent_cluster_syncs_to_the_disk_and_listens_on_no_port() {
    let directory = Directory::new();
    let cluster =
        Cluster::start(&ClusterOptions { purpose: Purpose::Persistent, ..options(directory.path()) }).unwrap();
    assert_eq!(query(&cluster, "select current_setting('fsync')"), "on");
    assert_eq!(query(&cluster, "select current_setting('synchronous_commit')"), "on");
    assert_eq!(query(&cluster, "select current_setting('listen_addresses')"), "");
    // `alter system` must win over what Tenet writes.
    let statement = "select sourcefile from pg_settings where name = 'max_connections'";
    assert!(query(&cluster, statement).ends_with("tenet.conf"));
}

#[test]
fn nobody_else_can_enter_the_directories_of_the_data_and_the_socket() {
    let directory = Directory::new();
    let cluster = start(directory.path());
    let socket = query(&cluster, "select current_setting('unix_socket_directories')");
    for path in [cluster.directory(), Path::new(&socket)] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700, "{}", path.display());
    }
}

#[test]
fn the_server_never_runs_as_root() {
    let directory = Directory::new();
    let cluster = start(directory.path());
    let process = server_process(&cluster).to_string();
    let user = Command::new("ps").args(["-o", "uid=", "-p", &process]).output().unwrap().stdout;
    assert_ne!(String::from_utf8(user).unwrap().trim().parse::<u32>().unwrap(), 0);
}

/// Started by a normal user, all tests here run as one; started by root, this one changes to `nobody`.
#[test]
fn a_normal_user_can_start_a_cluster() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = Directory::new();
    as_nobody("cluster::a_cluster_keeps_its_data_over_a_restart", directory.path());
}

#[test]
fn the_cluster_of_another_user_is_refused() {
    if rustix::process::geteuid().is_root() {
        let directory = Directory::new();
        start(directory.path()).stop().unwrap();
        as_nobody("cluster::the_cluster_of_another_user_is_refused", directory.path());
    } else if let Some(directory) = std::env::var_os(DIRECTORY) {
        let error = Cluster::start(&options(Path::new(&directory))).unwrap_err();
        assert!(matches!(error, Error::OwnedByAnother { user: NOBODY, .. }), "{error}");
    }
}

#[test]
fn below_a_directory_that_only_root_can_enter_the_cluster_is_made_elsewhere() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Directory::new();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let cluster = start(&home.path().join("project/.tenet"));
    assert!(cluster.is_moved());
    assert!(!cluster.directory().starts_with(home.path()));
    execute(&cluster, "create table kept as select 'here' as word");
    let place = cluster.directory().parent().unwrap().to_owned();
    cluster.stop().unwrap();

    // The same directory leads to the same place.
    let cluster = start(&home.path().join("project/.tenet"));
    let word = query(&cluster, "select word from kept");
    cluster.stop().unwrap();
    fs::remove_dir_all(place).unwrap();
    assert_eq!(word, "here");
}

#[test]
fn a_second_process_attaches_and_does_not_stop_the_server() {
    let directory = Directory::new();
    let first = start(directory.path());
    let second = start(directory.path());
    assert!(!second.is_owned());
    assert_eq!(query(&second, "select 'hello'::text"), "hello");
    second.stop().unwrap();
    assert_eq!(query(&first, "select 'still here'::text"), "still here");
}

#[test]
fn a_server_whose_owner_has_died_is_not_attached_to_while_it_still_answers() {
    let directory = Directory::new();
    let orphan = start(directory.path());
    // What the death of its owner leaves in the moment before the server stops.
    fs::remove_file(orphan.directory().join(format!("owner-of-{}", server_process(&orphan)))).unwrap();
    let cluster = start(directory.path());
    assert!(cluster.is_owned());
    assert_eq!(query(&cluster, "select 'mine'::text"), "mine");
}

#[test]
fn processes_that_start_at_once_share_one_server() {
    let directory = Directory::new();
    let clusters: Vec<Cluster> = thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| start(directory.path()))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert_eq!(clusters.iter().filter(|cluster| cluster.is_owned()).count(), 1);
}

#[test]
fn a_killed_server_is_started_again_with_its_data() {
    let directory = Directory::new();
    let options = ClusterOptions { purpose: Purpose::Persistent, ..options(directory.path()) };
    let cluster = Cluster::start(&options).unwrap();
    execute(&cluster, "create table kept as select 'here' as word");
    let process = server_process(&cluster);
    kill(process, "-KILL");
    wait_until("the server is dead", || !is_alive(process));
    // The lock of the killed server is still there now.
    assert!(data(&cluster).join("postmaster.pid").exists());
    let healed = Cluster::start(&options).unwrap();
    assert!(healed.is_owned());
    assert_eq!(query(&healed, "select word from kept"), "here");
}

#[test]
fn a_lock_whose_process_id_belongs_to_another_process_now_is_not_believed() {
    let directory = Directory::new();
    let cluster = start(directory.path());
    let lock = data(&cluster).join("postmaster.pid");
    let text = fs::read_to_string(&lock).unwrap();
    cluster.stop().unwrap();
    // A stranger that runs as the server's account, as after a restart of a container.
    let owner = fs::metadata(directory.path().join("cluster/data")).unwrap();
    let mut stranger = Command::new("sleep");
    stranger.arg("60");
    if owner.uid() != rustix::process::geteuid().as_raw() {
        stranger.uid(owner.uid());
    }
    let mut stranger = stranger.spawn().unwrap();
    let rest = text.split_once('\n').unwrap().1;
    fs::write(&lock, format!("{}\n{rest}", stranger.id())).unwrap();
    std::os::unix::fs::chown(&lock, Some(owner.uid()), Some(owner.gid())).unwrap();

    let healed = Cluster::start(&options(directory.path()));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_eq!(query(&healed.unwrap(), "select 'healed'::text"), "healed");
}

#[test]
fn the_server_stops_when_the_last_holder_of_its_lifeline_dies() {
    let directory = Directory::new();
    let cluster = start(directory.path());
    let process = server_process(&cluster);
    let lock = data(&cluster).join("postmaster.pid");
    let lifeline = cluster.into_lifeline().unwrap();
    let mut holder = Command::new("sleep").arg("600").stdout(lifeline).spawn().unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(lock.exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until("the server has stopped in order", || !lock.exists());
    wait_until("its process is gone", || !is_alive(process));
    // Takes away the directory of the socket, which only a stop in order does.
    start(directory.path()).stop().unwrap();
}

#[test]
fn a_directory_with_files_of_somebody_else_is_refused() {
    let directory = Directory::new();
    fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    let error = Cluster::start(&options(directory.path())).unwrap_err();
    assert!(matches!(&error, Error::Foreign { found, .. } if found == "thesis.txt"), "{error}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn data_of_another_major_version_is_refused_and_left_alone() {
    let directory = Directory::new();
    let cluster = start(directory.path());
    let version = data(&cluster).join("PG_VERSION");
    cluster.stop().unwrap();
    fs::write(&version, "9\n").unwrap();
    let error = Cluster::start(&options(directory.path())).unwrap_err();
    assert!(matches!(error, Error::MajorVersion { data: 9, .. }), "{error}");
    assert_eq!(fs::read_to_string(&version).unwrap(), "9\n");
}

#[test]
fn missing_programs_are_named_with_what_to_do() {
    let directory = Directory::new();
    let empty = Directory::new();
    let asked = ClusterOptions { binaries: Some(empty.path().to_owned()), ..options(directory.path()) };
    let error = Cluster::start(&asked).unwrap_err();
    assert!(matches!(error, Error::NoBinaries { .. }), "{error}");
    for remedy in ["TENET_PG_BIN", "make postgres", "apt-get install postgresql", "DATABASE_URL="] {
        assert!(error.to_string().contains(remedy), "{error}");
    }
}

#[test]
fn programs_that_are_too_old_are_refused() {
    let directory = Directory::new();
    let programs = Directory::new();
    for (name, says) in [("initdb", ""), ("postgres", "postgres (PostgreSQL) 12.9")] {
        let path = programs.path().join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let asked = ClusterOptions { binaries: Some(programs.path().to_owned()), ..options(directory.path()) };
    let error = Cluster::start(&asked).unwrap_err();
    assert!(matches!(error, Error::TooOld { major: 12, .. }), "{error}");
}

#[test]
fn a_server_that_does_not_start_says_why_with_its_log() {
    let directory = Directory::new();
    let cluster = start(directory.path());
    let settings = data(&cluster).join("postgresql.auto.conf");
    cluster.stop().unwrap();
    fs::write(&settings, "shared_buffers = 'a lot'\n").unwrap();
    let error = Cluster::start(&options(directory.path())).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("invalid value for parameter \"shared_buffers\""), "{text}");
    assert!(text.contains("server.log") && text.contains("run as `"), "{text}");
}

#[test]
fn an_interrupted_creation_is_begun_anew() {
    let directory = Directory::new();
    start(directory.path()).stop().unwrap();
    let cluster = directory.path().join("cluster");
    fs::rename(cluster.join("data"), cluster.join("data.tmp")).unwrap();
    fs::remove_file(cluster.join("data.tmp/PG_VERSION")).unwrap();
    assert_eq!(query(&start(directory.path()), "select 'new'::text"), "new");
}
