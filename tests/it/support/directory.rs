//! A directory of a test's own, gone when the test is.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A new empty directory that every account can enter; deleted when dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tenet-test-{}", uuid::Uuid::now_v7().simple()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A panic here would hide the one that ended the test.
        let _ = fs::remove_dir_all(&self.0);
    }
}
