SUMMARY = "Live-streaming engine to link into cameras and boards"
DESCRIPTION = "A C library with one header that hosts an RTMP, HTTP-FLV and \
HLS server, takes frames from encoders, pulls, pushes and records; and \
camrill-server."
HOMEPAGE = "https://camrill.invalid"
SECTION = "multimedia"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "\
    file://LICENSE-MIT;md5=6b4f62a9c0b0bf206291988f9725eff7 \
    file://LICENSE-APACHE;md5=77f735809747dfb554f2b4b5f7445fbe \
"

# The tarball of the sources, as `make dist` makes it, lies beside this file in
# files; the crates are listed by `bitbake -c update_crates camrill`.
SRC_URI = "file://${BP}.tar.gz"
include ${BPN}-crates.inc

inherit cargo cargo-update-recipe-crates pkgconfig

# What is in the library beside RTMP, ingest and forward.
PACKAGECONFIG ?= "http page hls dvr"
PACKAGECONFIG[http] = ""
PACKAGECONFIG[page] = ""
PACKAGECONFIG[hls] = ""
PACKAGECONFIG[dvr] = ""
PACKAGECONFIG[tls] = ""

# Rust would make no shared library for musl otherwise.
RUSTFLAGS:append:libc-musl = " -Ctarget-feature=-crt-static"

EXTRA_OEMAKE = "\
    TARGET=${RUST_HOST_SYS} \
    CARGO_FEATURES='--frozen --no-default-features --features=${@','.join(d.getVar('PACKAGECONFIG').split())}' \
    PREFIX=${prefix} LIBDIR=${libdir} BINDIR=${bindir} \
    INCLUDEDIR=${includedir} \
"

do_compile() {
    export RUSTFLAGS="${RUSTFLAGS}" CARGO_TARGET_DIR="${B}/target"
    oe_runmake -C ${S} build
}

do_install() {
    export RUSTFLAGS="${RUSTFLAGS}" CARGO_TARGET_DIR="${B}/target"
    oe_runmake -C ${S} install DESTDIR=${D}
}

PACKAGES =+ "${PN}-server"
FILES:${PN}-server += "${bindir}"
