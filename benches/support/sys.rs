//! The few system calls that the benches need: pinning, clocks, `/proc`, epoll, and sends and receives
//! with flags that std does not offer.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The core that the server under test has to itself.
pub(crate) const SERVER_CORE: usize = 0;
/// The core that players and publisher share.
pub(crate) const LOAD_CORE: usize = 1;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// `CLOCK_MONOTONIC` in nanoseconds: one clock for all processes of the machine.
pub(crate) fn monotonic_ns() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid place to write one timespec to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// Sleeps until `CLOCK_MONOTONIC` shows `ns`.
pub(crate) fn sleep_until(ns: u64) {
    let ts = libc::timespec { tv_sec: (ns / 1_000_000_000) as _, tv_nsec: (ns % 1_000_000_000) as _ };
    // SAFETY: `ts` outlives the call, and the remainder is not asked for with an absolute time.
    unsafe {
        while libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &ts, std::ptr::null_mut())
            == libc::EINTR
        {}
    }
}

/// Asks the kernel not to round this thread's sleeps up by the usual 50 µs.
pub(crate) fn exact_timers() {
    // SAFETY: takes integers only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Lets this process (and its children) hold as many descriptors as `n`, or as many as it may.
pub(crate) fn raise_nofile(n: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit to read and write in each of the calls.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        let want = libc::rlimit { rlim_cur: n, rlim_max: limit.rlim_max.max(n) };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &want) < 0 {
            let most = libc::rlimit { rlim_cur: limit.rlim_max.min(n), rlim_max: limit.rlim_max };
            libc::setrlimit(libc::RLIMIT_NOFILE, &most);
        }
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
    }
    limit.rlim_cur
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Turns SIGINT and SIGTERM into a flag, so that what was started is stopped on the way out.
pub(crate) fn catch_interrupts() {
    let handler = on_signal as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic, which is safe in a signal.
    unsafe {
        libc::signal(libc::SIGINT, handler as libc::sighandler_t);
        libc::signal(libc::SIGTERM, handler as libc::sighandler_t);
    }
}

/// Whether somebody asked this process to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

// ---- /proc ----------------------------------------------------------------------------------------

/// CPU time of all threads of a process, in nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let line = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += line.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// Resident memory of a process in kB, counted exactly.
pub(crate) fn rss_kb(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kb = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kb| kb.parse().ok());
    kb.ok_or_else(|| io::Error::other("no Rss line in smaps_rollup"))
}

/// How long a core was busy since boot, all processes together, in nanoseconds (by 10 ms).
pub(crate) fn core_busy_ns(core: usize) -> io::Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core}");
    let line = text.lines().find(|line| line.split(' ').next() == Some(name.as_str()));
    let fields: Vec<u64> =
        line.unwrap_or("").split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let ticks: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|&i| fields.get(i)).sum();
    Ok(ticks * 10_000_000)
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

// ---- sockets --------------------------------------------------------------------------------------

/// A port that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Connects to a local port, and prepares the socket.
pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    prepared(TcpStream::connect(("127.0.0.1", port))?)
}

/// A receiver's socket: NODELAY, non-blocking, and a receive buffer that takes a whole keyframe, so that the
/// window never shapes what the server does.
pub(crate) fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let bytes: libc::c_int = 400_000;
    // SAFETY: the option's value is an int, and that is what is pointed to.
    check(unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(stream)
}

/// Sends without waiting and without SIGPIPE; answers how much was taken.
pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the slice is readable for its length during the call.
    let n = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// Receives without waiting.
pub(crate) fn recv(fd: RawFd, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the slice is writable for its length during the call.
    let n = unsafe { libc::recv(fd, into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// Throws away what a TCP socket has received, inside the kernel; answers how much that was.
pub(crate) fn discard(fd: RawFd) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: with MSG_TRUNC a TCP socket drops the bytes and never writes to the buffer (tcp(7)).
    let n = unsafe { libc::recv(fd, std::ptr::null_mut(), 1 << 30, flags) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// Waits until a descriptor is readable; false when the time ran out or a signal came.
pub(crate) fn wait_readable(fd: RawFd, timeout: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&mut poll, 1, timeout.as_millis() as libc::c_int) > 0 }
}

/// An epoll instance.
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// One that answers at most `batch` events at a time.
    pub(crate) fn new(batch: usize) -> io::Result<Self> {
        // SAFETY: takes a flag only.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; batch] })
    }

    fn control(&self, op: libc::c_int, fd: RawFd, events: libc::c_int, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token as u64 };
        // SAFETY: `event` is valid during the call; the kernel checks the descriptors.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd, &mut event) }).map(drop)
    }

    /// Watches a descriptor.
    pub(crate) fn add(&self, fd: RawFd, events: libc::c_int, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, events, token)
    }

    /// Stops watching a descriptor.
    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Waits up to `timeout_ms` (-1: for ever); writes the tokens that are ready to `out`.
    pub(crate) fn wait(&mut self, timeout_ms: i32, out: &mut Vec<usize>) -> io::Result<()> {
        out.clear();
        let batch = self.events.len() as libc::c_int;
        // SAFETY: `events` has room for `batch` events.
        let n = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), batch, timeout_ms) };
        if n < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        out.extend(self.events[..n as usize].iter().map(|event| event.u64 as usize));
        Ok(())
    }
}

// ---- processes ------------------------------------------------------------------------------------

/// A child process, pinned to a core, that ends when this goes out of scope or when the parent dies.
pub(crate) struct Proc {
    child: Child,
    offspring: Vec<u32>,
}

impl Proc {
    /// Starts `command` on `core`.
    pub(crate) fn spawn(mut command: Command, core: usize) -> io::Result<Self> {
        let pin = move || {
            // SAFETY: a zeroed cpu_set_t is the empty set; `core` is below its size; both calls are
            // async-signal-safe, as what runs between fork and exec has to be.
            unsafe {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(core, &mut set);
                check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set))?;
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM as libc::c_ulong))?;
            }
            Ok(())
        };
        // SAFETY: `pin` allocates nothing and takes no locks.
        let child = unsafe { command.pre_exec(pin) }.spawn()?;
        Ok(Self { child, offspring: Vec::new() })
    }

    /// The child's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Names a process that the child started, to be ended should the child not do so.
    pub(crate) fn adopt(&mut self, pid: u32) {
        self.offspring.push(pid);
    }

    /// Whether it still runs.
    pub(crate) fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn signal(pid: u32, signal: libc::c_int) {
        // SAFETY: takes integers only; the id is of a child that was not yet waited for, or of its child.
        unsafe { libc::kill(pid as libc::pid_t, signal) };
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        // Once waited for, the id may be somebody else's.
        if self.alive() {
            Self::signal(self.pid(), libc::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(3);
            while self.alive() {
                if Instant::now() > deadline {
                    // The offspring still have their parent, so their ids are still theirs.
                    let theirs = children(self.pid());
                    for &pid in self.offspring.iter().filter(|pid| theirs.contains(pid)) {
                        Self::signal(pid, libc::SIGKILL);
                    }
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// A directory that is removed with all that is in it.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// A new one under the system's directory for such.
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("camrill-bench-{name}-{:x}", monotonic_ns()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
