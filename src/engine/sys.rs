//! The few calls on sockets that the standard library lacks.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::time::Duration;
#[cfg(any(feature = "hls", feature = "dvr"))]
use std::time::{SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, TcpStream};
use socket2::{SockRef, TcpKeepalive};

#[cfg(any(feature = "hls", feature = "dvr"))]
use crate::template::Calendar;

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

/// The wall clock, taken apart in the machine's time zone, or in UTC.
#[cfg(any(feature = "hls", feature = "dvr"))]
#[allow(unsafe_code)]
pub(super) fn calendar(utc: bool) -> Calendar {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or(0);
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both functions read the first and fill the second, which are this function's own; all zeroes
    // are a valid value of it, should they fail. They don't change the environment, nor read it twice.
    let parts = unsafe {
        if utc {
            libc::gmtime_r(&seconds, parts.as_mut_ptr());
        } else {
            libc::localtime_r(&seconds, parts.as_mut_ptr());
        }
        parts.assume_init()
    };
    let small = |n: libc::c_int| u8::try_from(n).unwrap_or(0);
    Calendar {
        unix_ms: i64::try_from(since.as_millis()).unwrap_or(0),
        year: parts.tm_year.saturating_add(1900),
        month: small(parts.tm_mon.saturating_add(1)),
        day: small(parts.tm_mday),
        hour: small(parts.tm_hour),
        minute: small(parts.tm_min),
        second: small(parts.tm_sec),
    }
}
