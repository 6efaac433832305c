//! Compiling a snapshot and deciding with the set that comes of it.
