//! The few calls on sockets that the standard library lacks.

use std::io::{self, IoSlice};
#[cfg(any(feature = "hls", feature = "dvr"))]
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use socket2::{SockRef, TcpKeepalive};

/// A peer that has vanished is noticed after about this long without traffic.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Connections that may wait to be taken. With fewer a crowd of players that comes at once has its first
/// packets dropped, and tries again only after a second.
const BACKLOG: i32 = 1024;

/// Listens at `address`.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    SockRef::from(&listener).listen(BACKLOG)?;
    Ok(listener)
}

/// One send. `MSG_NOSIGNAL`: SIGPIPE must never reach the host.
pub(super) fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    uninterrupted(|| SockRef::from(socket).send_with_flags(bytes, libc::MSG_NOSIGNAL))
}

/// One gathered send, as quiet.
pub(super) fn send_gathered(socket: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    uninterrupted(|| SockRef::from(socket).send_vectored_with_flags(pieces, libc::MSG_NOSIGNAL))
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What every connection gets. NODELAY comes before the handshake: its answers are coalesced already,
/// and Nagle's delay would be the first thing that a player sees.
pub(super) fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// Acknowledges what has come at once. Clients whose own Nagle waits for that between the small commands
/// of a connection's start are 40 ms faster for each of them. The kernel forgets it: said after each read.
pub(super) fn acknowledge(socket: &TcpStream) {
    // A failure costs that latency, nothing else.
    let _ = SockRef::from(socket).set_tcp_quickack(true);
}

/// Whether `accept` failed because this process or machine has no more descriptors or memory: it can be
/// tried again later. Otherwise the failure is of that one connection.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Calls `make` with all signals blocked on this thread. A thread that is made there blocks them for good:
/// the host's handlers never run on it.
#[cfg(any(feature = "hls", feature = "dvr"))]
#[allow(unsafe_code)]
pub(super) fn without_signals<T>(make: impl FnOnce() -> T) -> T {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: each pointer leads to a set of this function's own; `all` is filled before it is read.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let made = make();
    if blocked {
        // SAFETY: the call that succeeded has written `before`; nothing is written back.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    made
}
