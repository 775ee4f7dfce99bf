//! Gives the shared library its SONAME, which cargo does not set by itself. It carries the major version:
//! what was linked against one doesn't run with another.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if os == "linux" {
        // A name that is being looked up when the engine ends keeps its thread in this code: it must stay.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcamrill.so.{major}");
    }
}
