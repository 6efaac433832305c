//! Makes cargo look at `migrations/` again when a file is added to it: they are embedded in the binary.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
