//! Which process a running server belongs to: the one that keeps a file locked.
//!
//! A server outlives a killed owner by some milliseconds. A process that starts in that time would attach to a server
//! that is about to stop; the lock, which vanishes with its owner, shows that.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
};

use super::{Error, data_dir::DataDir, pid_file::PidFile};

/// Content of the file once the lifeline was handed over; the lock then means nothing.
const HANDED_OVER: &str = "handed over\n";

/// The lock of a server's owner, held while this lives.
#[derive(Debug)]
pub(super) struct Ownership {
    file: File,
}

impl Ownership {
    /// Takes the lock of a server that has just been started.
    pub fn take(place: &DataDir, server: &PidFile) -> Result<Self, Error> {
        place.forget_owners()?;
        let path = place.owner(server.process_id());
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
        let file = file.map_err(Error::file("create", &path))?;
        file.lock().map_err(Error::file("lock", &path))?;
        Ok(Self { file })
    }

    /// Says that the server goes on after this process.
    pub fn hand_over(&mut self) {
        // If it cannot be written, the server is stopped by the next process that comes, which starts one anew.
        let _ = self.file.write_all(HANDED_OVER.as_bytes());
    }

    /// Whether the owner of the server that runs on `place` is alive.
    pub fn is_held(place: &DataDir, server: &PidFile) -> bool {
        let Ok(mut file) = File::open(place.owner(server.process_id())) else { return false };
        if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            return true;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).is_ok() && text == HANDED_OVER
    }
}
