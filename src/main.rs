//! The `tenet` binary.
fn main() {}
