//! Names as a test needs them: a library that a program loads before the C library's own, and that answers
//! `getaddrinfo` for a few names; and an address at which nobody answers.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{TempDir, repository};

/// Has `command` resolve names as `tests/c/slow_resolver.c` says; `slow.test` takes so long.
pub(crate) fn preload(command: &mut Command, slow: Duration) {
    command.env("LD_PRELOAD", library()).env("SLOW_RESOLVER_MS", slow.as_millis().to_string());
}

/// The library, which each run of a test makes once.
fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let dir = TempDir::new();
        let made = dir.join("slow_resolver.so");
        let options = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-shared", "-fPIC"];
        let source = repository("tests/c/slow_resolver.c");
        let status = Command::new("cc").args(options).arg("-o").arg(&made).arg(source).arg("-ldl").status();
        assert!(status.expect("a C compiler").success(), "slow_resolver.c");
        // Other tests' programs may have the old one loaded: it stays theirs when it is replaced.
        let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("slow_resolver.so");
        std::fs::rename(made, &library).expect("a library in its place");
        library
    })
}

/// The address that `dead-first.test` has first.
const DEAD: [u8; 4] = [127, 0, 0, 77];

/// A port at which connecting neither succeeds nor fails: its queue is full for as long as this lives.
/// Without one, connecting to a dead address is refused.
pub(crate) struct Silence {
    _listener: Socket,
    _queued: TcpStream,
}

impl Silence {
    /// Nobody answers at this port of the dead address.
    pub(crate) fn at(port: u16) -> Self {
        let address = SocketAddr::from((DEAD, port));
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&address.into()).expect("the port of an address of our own");
        listener.listen(0).expect("a socket that listens");
        // A queue of none has room for one.
        let queued = TcpStream::connect(address).expect("the only place in the queue");
        Self { _listener: listener, _queued: queued }
    }
}
