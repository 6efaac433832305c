//! Where PostgreSQL's server programs are on this machine.
//!
//! Only searches; `scripts/get-postgres` installs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Error, account::Account};
use crate::config::environment;

/// The oldest major version that Tenet's migrations are written for.
pub(super) const MAJOR_MIN: u32 = 15;

/// Directories with one folder for each version, and where in that folder the programs are.
const VERSIONED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Where root's copy of unpacked programs is: readable by the account that the server runs as.
const UNPACKED_BY_ROOT: &str = "/var/lib/tenet/postgresql";

/// A directory with `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub directory: PathBuf,
    pub major: u32,
}

impl Binaries {
    pub fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    pub fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }
}

/// The first programs of version `wanted`, or of any supported version. If `named` is given, only it is searched.
pub(super) fn find(
    named: Option<&Path>,
    data_dir: &Path,
    account: &Account,
    wanted: Option<u32>,
) -> Result<Binaries, Error> {
    let places = match named {
        Some(path) => {
            let origin = format!("TENET_PG_BIN, `{}`", path.display());
            vec![(origin, vec![path.to_owned(), path.join("bin")])]
        }
        None => places(data_dir),
    };
    let mut looked = Vec::new();
    let mut others = Vec::new();
    for (origin, directories) in places {
        let mut found = "none".to_owned();
        for directory in directories {
            match inspect(&directory, account) {
                Ok(Some(binaries))
                    if wanted.unwrap_or(binaries.major) == binaries.major && binaries.major >= MAJOR_MIN =>
                {
                    return Ok(binaries);
                }
                Ok(Some(binaries)) => others.push(binaries),
                Ok(None) => {}
                Err(reason) => found = format!("`{}`: {reason}", directory.display()),
            }
        }
        looked.push(format!("{origin:<42} {found}"));
    }
    match others.into_iter().max_by_key(|binaries| binaries.major) {
        None => Err(Error::NoBinaries { looked }),
        Some(binaries) => match wanted {
            Some(data) => Err(Error::MajorVersion { directory: data_dir.to_owned(), data, programs: binaries.major }),
            None => Err(Error::TooOld { major: binaries.major, directory: binaries.directory }),
        },
    }
}

/// The places to search, in order, each with its name.
fn places(data_dir: &Path) -> Vec<(String, Vec<PathBuf>)> {
    let path = environment::program_directories();
    let pg_config: Vec<PathBuf> =
        path.iter().filter_map(|directory| configured(&directory.join("pg_config"))).collect();
    // Links on PATH lead to the directory where the programs are side by side.
    let on_path = path.iter().filter_map(|directory| {
        directory.join("initdb").canonicalize().ok().and_then(|program| program.parent().map(Path::to_owned))
    });
    let mut places =
        vec![("initdb on PATH".to_owned(), on_path.collect()), ("pg_config --bindir".to_owned(), pg_config)];
    for (parent, prefix, below) in VERSIONED {
        let name = match parent {
            "/usr/lib/postgresql" => "/usr/lib/postgresql/*/bin",
            "/usr" => "/usr/pgsql-*/bin",
            "/Applications/Postgres.app/Contents/Versions" => "Postgres.app",
            _ => "Homebrew, postgresql@*",
        };
        places.push((name.to_owned(), versions(Path::new(parent), prefix, below)));
    }
    let mut unpacked = versions(&data_dir.join("postgresql"), "", "bin");
    unpacked.extend(versions(Path::new(UNPACKED_BY_ROOT), "", "bin"));
    places.push(("unpacked by `make postgres`".to_owned(), unpacked));
    places
}

/// `parent/prefix<version>/below` for each version there is, the newest first.
fn versions(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.split('.').map_while(|part| part.parse().ok()).collect();
            Some((version, entry.path().join(below)))
        })
        .filter(|(version, _): &(Vec<u32>, _)| !version.is_empty())
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

fn configured(pg_config: &Path) -> Option<PathBuf> {
    let output = Command::new(pg_config).arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}

/// The programs in `directory`, if both are there; why they cannot be used, if they cannot.
fn inspect(directory: &Path, account: &Account) -> Result<Option<Binaries>, String> {
    let postgres = directory.join("postgres");
    if !directory.join("initdb").is_file() || !postgres.is_file() {
        return Ok(None);
    }
    let output = account
        .command(&postgres)
        .arg("--version")
        .output()
        .map_err(|error| format!("account `{}` cannot run it: {error}", account.name))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(major) = major_of(&text) else {
        return Err(format!("does not run: {}", String::from_utf8_lossy(&output.stderr).trim()));
    };
    Ok(Some(Binaries { directory: directory.to_owned(), major }))
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian …)`, or in a `PG_VERSION` file.
pub(super) fn major_of(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    version.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_in_every_form_it_is_written() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta2"), Some(18));
        assert_eq!(major_of("16\n"), Some(16));
        assert_eq!(major_of("command not found"), None);
    }
}
