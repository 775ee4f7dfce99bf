//! The few calls on sockets that the standard library lacks.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
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

/// Bytes that the kernel takes of a stream before the network does: half a second of a narrow way.
const UNSENT_BYTES: u32 = 32 * 1024;

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

/// What TCP says of a connection's way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct TcpFigures {
    /// Bytes that the peer's system has got, where the kernel counts them.
    pub(super) delivered: Option<u64>,
    /// Bytes that the socket has taken and that system hasn't got.
    pub(super) waiting: u64,
    /// The least round trip, or the average one where the kernel doesn't keep that.
    pub(super) rtt: Duration,
    /// For how long the peer's window has held it up, where the kernel counts that.
    pub(super) shut: Option<Duration>,
}

/// Asks the kernel for them.
pub(super) fn tcp_figures(socket: &TcpStream) -> io::Result<TcpFigures> {
    // As linux/tcp.h lays it out: eight bytes, 24 words, then words of 8 and 4 bytes. Kernels only ever add to
    // it, and say how much they know.
    let mut info = [0; 192];
    let known = tcp_info(socket, &mut info)?;
    let bytes = |at: usize, n: usize| info.get(..known).and_then(|info| info.get(at..at + n));
    let word = |at| bytes(at, 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
    let long = |at| bytes(at, 8).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
    let (segment, selective) = (word(16).unwrap_or(0), word(28).unwrap_or(0));
    // It has got these, though something before them is missing.
    let beyond_a_hole = u64::from(segment) * u64::from(selective);
    let rtt = word(148).filter(|us| !matches!(*us, 0 | u32::MAX)).or(word(68)).unwrap_or(0);
    Ok(TcpFigures {
        delivered: long(120).map(|acknowledged| acknowledged.saturating_add(beyond_a_hole)),
        waiting: unacknowledged(socket)?.saturating_sub(beyond_a_hole),
        rtt: Duration::from_micros(rtt.into()),
        shut: long(176).map(Duration::from_micros),
    })
}

/// Reads TCP_INFO; answers how much of it the kernel knows.
#[allow(unsafe_code)]
fn tcp_info(socket: &TcpStream, info: &mut [u8; 192]) -> io::Result<usize> {
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `info`, which has as many, and how many those were.
    let result = unsafe {
        let to = info.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, to, &mut length)
    };
    if result == 0 { Ok(length as usize) } else { Err(io::Error::last_os_error()) }
}

/// Bytes that the socket has taken and the peer has not acknowledged.
#[allow(unsafe_code)]
fn unacknowledged(socket: &TcpStream) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which is TIOCOUTQ, writes one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    if result == 0 { Ok(u64::try_from(bytes).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

/// Has a socket take no more than a little beyond what the network takes. What isn't sent yet can still be left
/// out, in the kernel's buffer of megabytes it can't.
pub(super) fn keep_little_unsent(socket: &TcpStream) {
    // A kernel that can't takes more: as ever.
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES);
}

/// Has it take all that it has room for, and say so: nothing more comes that it could be left out for.
pub(super) fn take_the_rest(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(u32::MAX);
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
