//! What the tests stand on: a server shared by all processes of a run, a fresh database for each test, and the
//! application on top of it.

mod directory;

pub use directory::Directory;
