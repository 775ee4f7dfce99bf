//! What the tests against real programs share: processes that cannot outlive or outwait a test, the
//! server under test, the clients around it, and FLV tags to compare what came with what was sent.
//!
//! Nothing here sleeps: every wait is for a line of a log, a tag of a stream or the end of a process,
//! and every wait has an end of its own.

#![allow(dead_code)] // each test file takes what it needs

pub(crate) mod backend;
pub(crate) mod c_api;
pub(crate) mod certificates;
pub(crate) mod certs;
pub(crate) mod clients;
pub(crate) mod encoder;
pub(crate) mod flv;
pub(crate) mod hls;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod http_player;
pub(crate) mod linking;
pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod netns;
pub(crate) mod nginx;
pub(crate) mod origin;
pub(crate) mod packets;
pub(crate) mod paths;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod relays;
pub(crate) mod resolver;
pub(crate) mod rtmp_client;
pub(crate) mod rtmp_server;
pub(crate) mod server;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long anything may take before its test fails. Long, for a busy machine: what works never waits
/// for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().expect("the temporary folder is in it").to_owned()
}

/// A port nobody listens on, below the range from which outgoing connections take theirs.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id() as u16 % 100) * 100 + step % 2_000;
        // It doesn't listen: a program that another thread is starting may hold it for a moment longer,
        // and only a socket that listens would keep others from the port.
        let probe = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        probe.set_reuse_address(true).expect("a socket option");
        if probe.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into()).is_ok() {
            return port;
        }
    }
}

/// A folder that goes when the test does, unless the test fails.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("camrill-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a folder for the test's files");
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
