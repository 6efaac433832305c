//! Why a private PostgreSQL cannot be started, and what to do about it.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use crate::error::ErrorKind;

/// Why a cluster could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory holds both `initdb` and `postgres`.
    #[error("{}", no_binaries(.looked))]
    NoBinaries {
        /// The places searched, and what was found in each.
        looked: Vec<String>,
    },
    /// The programs found are older than Tenet can work with.
    #[error(
        "PostgreSQL {major} in `{}` is too old: install version 15 or newer, or set DATABASE_URL to a server that is",
        directory.display()
    )]
    TooOld {
        /// Their major version.
        major: u32,
        /// Where they are.
        directory: PathBuf,
    },
    /// The data was written by another major version than the programs have.
    #[error(
        "the data in `{}` was written by PostgreSQL {data}, and the programs found are of version {programs}: install \
         PostgreSQL {data} or set TENET_PG_BIN to its programs; to start with no data on version {programs}, use \
         --data-dir to name another directory, or delete this one",
        directory.display()
    )]
    MajorVersion {
        /// Where the data is.
        directory: PathBuf,
        /// The version that wrote it.
        data: u32,
        /// The version of the programs found first.
        programs: u32,
    },
    /// A directory with files that Tenet did not make.
    #[error(
        "`{}` holds files that tenet did not create, such as `{found}`: use --data-dir to name an empty or new directory",
        directory.display()
    )]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// The name of one of the files.
        found: String,
    },
    /// A data directory of another user.
    #[error(
        "`{}` belongs to user id {owner}, but tenet runs as user id {user}: run it as that user, or use --data-dir to name \
         another directory",
        directory.display()
    )]
    OwnedByAnother {
        /// The directory.
        directory: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Started by root, and no account exists to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has no account `postgres` or `nobody` to run it as: run \
         tenet as another user, or set DATABASE_URL to a server that is already running"
    )]
    NoAccount,
    /// The account that the server runs as can enter neither the directory asked for nor any other.
    #[error(
        "PostgreSQL cannot run as root and runs as `{account}`, which cannot enter `{}`: use --data-dir to name a directory \
         that it can enter",
        directory.display()
    )]
    Unreachable {
        /// The directory asked for.
        directory: PathBuf,
        /// The account.
        account: String,
    },
    /// A directory or file could not be created, read or changed.
    #[error("cannot {action} `{}`: {source}{}", path.display(), elsewhere(.source))]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// One of PostgreSQL's programs could not be run, or failed.
    #[error("`{}` failed: {reason}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The server ended, or hung, instead of becoming ready.
    #[error(
        "PostgreSQL {reason} (run as `{account}` on `{}`); the end of its log `{}`:\n{tail}",
        directory.display(),
        log.display()
    )]
    NotReady {
        /// What happened.
        reason: String,
        /// Who it ran as.
        account: String,
        /// Its data directory.
        directory: PathBuf,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
}

impl Error {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }

    /// A [`Error::File`], for `map_err`.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// What to do if the directory is not writable.
fn elsewhere(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; use --data-dir to name a directory that you may write in"
        }
        _ => "",
    }
}

/// What to do if there is no PostgreSQL.
const REMEDIES: [(&str, &str); 4] = [
    ("make postgres", "gets the programs (apt as root, otherwise a package, into .tenet/)"),
    ("apt-get install postgresql", "on Debian and Ubuntu"),
    ("brew install postgresql@17", "on macOS"),
    ("DATABASE_URL=postgresql://…", "uses a server that is already running"),
];

fn no_binaries(looked: &[String]) -> String {
    let mut text =
        String::from("no PostgreSQL found: no directory has both `initdb` and `postgres`\n  searched, in this order:");
    for place in looked {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n    {place}");
    }
    text.push_str("\n  do one of:");
    for (remedy, note) in REMEDIES {
        let _ = write!(text, "\n    {remedy:<42} {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_made_says_how_to_name_another() {
        let failed = |kind| Error::file("create", Path::new("/x"))(io::Error::from(kind)).to_string();
        assert!(
            failed(io::ErrorKind::PermissionDenied)
                .ends_with("use --data-dir to name a directory that you may write in")
        );
        assert!(!failed(io::ErrorKind::StorageFull).contains("--data-dir"));
    }
}
