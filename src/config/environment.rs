//! The environment of the process apart from settings: where programs and temporary files are.
//!
//! Settings are read elsewhere in this folder; this is for the search of PostgreSQL's programs and the like.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Names a directory that holds PostgreSQL's server programs, before any search.
pub const POSTGRES_PROGRAMS: &str = "TENET_PG_BIN";

/// Whether a variable has the prefix of settings but is none: the programs' directory, and options of the tests.
pub(super) fn is_known(variable: &str) -> bool {
    variable == POSTGRES_PROGRAMS || variable == "TENET_PROOFS" || variable.starts_with("TENET_TEST_")
}

/// The directories of `PATH`, in order.
pub fn program_directories() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// Where temporary files go: `TMPDIR`, else `/tmp`.
pub fn temporary_directory() -> PathBuf {
    env::temp_dir()
}

/// The directory named by `TENET_PG_BIN`, if one is.
pub fn postgres_programs() -> Option<PathBuf> {
    env::var_os(POSTGRES_PROGRAMS).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `path` from the root on; relative paths start at the working directory, which must exist.
pub fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    std::path::absolute(path)
}
