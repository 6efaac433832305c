//! The settings of the server, in a file that PostgreSQL includes.
//!
//! Not on its command line, which would outrank `ALTER SYSTEM`.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

use super::{Error, Purpose, account::Account};

const FILE: &str = "tenet.conf";

/// Only this machine, only through the socket, and only the account that made it (and root).
const ALWAYS: &str = "# Tenet writes this file at every start: change settings with ALTER SYSTEM.
listen_addresses = ''
unix_socket_permissions = 0700
logging_collector = off
timezone = 'UTC'
log_timezone = 'UTC'
";

/// Data is kept: a commit is on the disk when it is answered.
const PERSISTENT: &str = "max_connections = 100
shared_buffers = 64MB
max_wal_size = 256MB
";

/// Data is thrown away with the run: nothing waits for a disk.
const THROWAWAY: &str = "max_connections = 400
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 512MB
autovacuum = off
";

/// Writes the settings for `purpose` into the data directory.
pub(super) fn write(data: &Path, purpose: Purpose, account: &Account) -> Result<(), Error> {
    let path = data.join(FILE);
    let text = match purpose {
        Purpose::Persistent => [ALWAYS, PERSISTENT].concat(),
        Purpose::Throwaway => [ALWAYS, THROWAWAY].concat(),
    };
    fs::write(&path, text).map_err(Error::file("write", &path))?;
    // With a strict mask the server could not read a file of root's.
    account.own(&path)
}

/// Makes the server read that file.
pub(super) fn include(data: &Path) -> Result<(), Error> {
    let path = data.join("postgresql.conf");
    let mut file = OpenOptions::new().append(true).open(&path).map_err(Error::file("open", &path))?;
    file.write_all(format!("\ninclude = '{FILE}'\n").as_bytes()).map_err(Error::file("write", &path))
}
