//! A bad network between a client and a server: a TCP proxy whose delay, rate and temper the test changes
//! while it works.
//!
//! One thread on non-blocking sockets with small buffers, so that a sender feels what the proxy holds back.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, free_port};

/// What the proxy holds of one connection in one direction, in bytes.
const HELD: usize = 64 * 1024;
/// What each of its sockets is asked to hold in each direction, in bytes; the kernel takes twice as much.
const SOCKET_BUFFER: usize = 16 * 1024;
/// The largest segment that its sockets take, in bytes, as over Ethernet. With those of the loopback device a
/// sender's kernel would take megabytes before the sender feels anything.
const SEGMENT: u32 = 1460;
/// How far a throttled direction may be behind its rate and make up for it.
const CATCH_UP: Duration = Duration::from_millis(50);

/// From whom to whom bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What has happened since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    /// Connections that were accepted.
    pub(crate) connections: usize,
    /// Those that are open now.
    pub(crate) open: usize,
    /// Bytes that were handed to the server.
    pub(crate) up: u64,
    /// Bytes that were handed to the client.
    pub(crate) down: u64,
}

type Order = Box<dyn FnOnce(&mut Relay) + Send>;

#[derive(Default)]
struct Shared {
    counts: Mutex<Counts>,
    changed: Condvar,
}

/// A proxy at work. Dropping it resets what is connected.
pub(crate) struct Proxy {
    orders: Option<Sender<Order>>,
    waker: Waker,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy that connects to `to` for each client, and lets all through as it comes.
    pub(crate) fn start(to: SocketAddr) -> Self {
        let poll = Poll::new().expect("a poller");
        let waker = Waker::new(poll.registry(), WAKER).expect("a waker");
        let shared = Arc::new(Shared::default());
        let mut relay = Relay {
            poll,
            to,
            listener: None,
            connections: Vec::new(),
            delay: Duration::ZERO,
            rates: [None; 2],
            stalled: false,
            shared: Arc::clone(&shared),
        };
        // No port of those that outgoing connections take: while it is closed, a client's socket might get
        // the very same one and connect to itself.
        let address = loop {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            if relay.listen(address).is_ok() {
                break address;
            }
        };
        let (orders, taken) = mpsc::channel();
        let thread = std::thread::spawn(move || relay.turn_until_dropped(&taken));
        Self { orders: Some(orders), waker, address, shared, thread: Some(thread) }
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has each byte come so much later, both ways, those under way included.
    pub(crate) fn delay(&self, delay: Duration) {
        self.order(move |relay| relay.delay = delay);
    }

    /// Lets through so many bytes a second, of each connection by itself; `None` lets all through.
    pub(crate) fn throttle(&self, way: Way, bytes_per_second: Option<u32>) {
        self.order(move |relay| {
            relay.rates[way as usize] = bytes_per_second;
            // What was sent at another rate doesn't count.
            relay.connections.iter_mut().for_each(|connection| connection.lanes[way as usize].sent = 0);
        });
    }

    /// Holds everything, both ways. Connections stay open, and new ones are accepted.
    pub(crate) fn stall(&self) {
        self.order(|relay| relay.stalled = true);
    }

    /// Goes on after `stall`.
    pub(crate) fn resume(&self) {
        self.order(|relay| relay.stalled = false);
    }

    /// Resets all connections; what was held is lost.
    pub(crate) fn cut(&self) {
        self.order(|relay| relay.connections.clear());
    }

    /// Listens no more: who connects is refused. Connections that are open stay.
    pub(crate) fn refuse(&self) {
        self.order(|relay| {
            if let Some(listener) = relay.listener.take() {
                // Also where a program that another thread is starting holds it for a moment longer.
                SockRef::from(&listener).shutdown(Shutdown::Both).expect("a socket that listens");
            }
        });
    }

    /// Listens again at the same port.
    pub(crate) fn listen_again(&self) {
        let address = self.address;
        self.order(move |relay| relay.listen(address)).expect("the port, which is still free");
    }

    /// What has happened by now.
    pub(crate) fn counts(&self) -> Counts {
        *self.shared.counts.lock().expect("no holder panics")
    }

    /// Waits until `done` says so of what has happened.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, done: impl Fn(&Counts) -> bool) -> Counts {
        let counts = self.shared.counts.lock().expect("no holder panics");
        let waited = self.shared.changed.wait_timeout_while(counts, PATIENCE, |counts| !done(counts));
        let (counts, timeout) = waited.expect("no holder panics");
        let counts = *counts;
        assert!(!timeout.timed_out(), "never: {what}; {counts:?}");
        counts
    }

    /// Has the thread do `job`, and waits until it is done.
    fn order<R: Send + 'static>(&self, job: impl FnOnce(&mut Relay) -> R + Send + 'static) -> R {
        let (tell, answer) = mpsc::channel();
        let order: Order = Box::new(move |relay| {
            let _ = tell.send(job(relay));
        });
        self.orders.as_ref().expect("a proxy that runs").send(order).expect("a proxy that runs");
        self.waker.wake().expect("a proxy that runs");
        answer.recv_timeout(PATIENCE).expect("the proxy answers")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the proxy's thread panicked");
        }
    }
}

const WAKER: Token = Token(0);
/// The sockets need no telling apart: each turn looks at all of them.
const SOCKET: Token = Token(1);

struct Relay {
    poll: Poll,
    to: SocketAddr,
    listener: Option<TcpListener>,
    connections: Vec<Connection>,
    delay: Duration,
    /// In bytes a second, by `Way`.
    rates: [Option<u32>; 2],
    stalled: bool,
    shared: Arc<Shared>,
}

impl Relay {
    fn listen(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let mut listener = TcpListener::bind(address)?;
        // What is accepted has the listener's buffers, and its window is small from the first.
        narrow(&SockRef::from(&listener));
        self.poll.registry().register(&mut listener, SOCKET, Interest::READABLE)?;
        self.listener = Some(listener);
        Ok(())
    }

    fn turn_until_dropped(&mut self, orders: &Receiver<Order>) {
        let mut events = Events::with_capacity(64);
        let mut timeout = None;
        loop {
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
            loop {
                match orders.try_recv() {
                    Ok(order) => order(self),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.accept();
            timeout = self.relay().map(|due| due.saturating_duration_since(Instant::now()));
        }
    }

    fn accept(&mut self) {
        while let Some(Ok((client, _))) = self.listener.as_ref().map(TcpListener::accept) {
            self.shared.counts.lock().expect("no holder panics").connections += 1;
            let Ok(mut connection) = Connection::new(client, self.to) else { continue };
            for end in &mut connection.ends {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(end, SOCKET, interest).expect("a place in the poller");
            }
            self.connections.push(connection);
        }
    }

    /// Moves what can be moved; answers when something will be due that isn't yet.
    fn relay(&mut self) -> Option<Instant> {
        let terms = Terms { delay: self.delay, rates: self.rates, stalled: self.stalled };
        let mut next = None;
        let mut moved = [0; 2];
        self.connections.retain_mut(|connection| match connection.relay(&terms, &mut moved) {
            Ok(due) => {
                next = [next, due].into_iter().flatten().min();
                !connection.has_ended()
            }
            // Dropping it resets both sides.
            Err(_) => false,
        });
        let mut counts = self.shared.counts.lock().expect("no holder panics");
        counts.open = self.connections.len();
        counts.up += moved[Way::Up as usize];
        counts.down += moved[Way::Down as usize];
        self.shared.changed.notify_all();
        next
    }
}

struct Terms {
    delay: Duration,
    rates: [Option<u32>; 2],
    stalled: bool,
}

/// The sockets' ends are numbered like the ways that begin at them: the client's is that of `Way::Up`.
struct Connection {
    ends: [TcpStream; 2],
    lanes: [Lane; 2],
}

impl Connection {
    /// Where the server can't be reached, the client is reset.
    fn new(client: TcpStream, server: SocketAddr) -> std::io::Result<Self> {
        client.set_nodelay(true)?;
        // Closing discards and resets, unless both sides have ended before.
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        let server = connect(server)?;
        SockRef::from(&server).set_linger(Some(Duration::ZERO))?;
        Ok(Self { ends: [client, server], lanes: [Lane::new(), Lane::new()] })
    }

    fn relay(&mut self, terms: &Terms, moved: &mut [u64; 2]) -> std::io::Result<Option<Instant>> {
        // A connection that is refused says so here, also where nothing is to be read or written.
        for end in &self.ends {
            end.take_error()?.map_or(Ok(()), Err)?;
        }
        let mut next = None;
        for way in [Way::Up, Way::Down] {
            let (from, to) = (way as usize, 1 - way as usize);
            let lane = &mut self.lanes[way as usize];
            loop {
                let read = lane.fill(&mut self.ends[from])?;
                let (written, due) = lane.drain(&mut self.ends[to], terms, terms.rates[way as usize])?;
                moved[way as usize] += written;
                if read == 0 && written == 0 {
                    next = [next, due].into_iter().flatten().min();
                    break;
                }
            }
        }
        Ok(next)
    }

    /// Whether both sides have ended, and know so of each other; what was sent may then go in peace.
    fn has_ended(&self) -> bool {
        let ended = self.lanes.iter().all(|lane| lane.is_closed);
        if ended {
            self.ends.iter().for_each(|end| SockRef::from(end).set_linger(None).unwrap_or_default());
        }
        ended
    }
}

/// What is under way in one direction.
struct Lane {
    /// With the time at which each piece came.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    held: usize,
    /// When the sender ended its side, which is handed on after all that it has sent.
    ended: Option<Instant>,
    is_closed: bool,
    /// When the last piece went, and how long it is: at its rate the next may go so much later.
    sent_at: Instant,
    sent: usize,
}

impl Lane {
    fn new() -> Self {
        let pieces = VecDeque::new();
        Self { pieces, held: 0, ended: None, is_closed: false, sent_at: Instant::now(), sent: 0 }
    }

    /// Takes what there is and fits; answers how much that was.
    fn fill(&mut self, from: &mut TcpStream) -> std::io::Result<usize> {
        if self.ended.is_some() || self.held >= HELD {
            return Ok(0);
        }
        let mut buffer = [0; 16 * 1024];
        let room = buffer.len().min(HELD - self.held);
        match from.read(&mut buffer[..room]) {
            Ok(0) => self.ended = Some(Instant::now()),
            Ok(count) => {
                self.pieces.push_back((Instant::now(), buffer[..count].to_vec()));
                self.held += count;
                return Ok(count);
            }
            Err(error) if is_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(0)
    }

    /// Hands on what is due; answers how much that was, and when the next will be.
    fn drain(
        &mut self,
        to: &mut TcpStream,
        terms: &Terms,
        rate: Option<u32>,
    ) -> std::io::Result<(u64, Option<Instant>)> {
        let mut written = 0;
        while !terms.stalled && !self.is_closed {
            let now = Instant::now();
            let Some(came) = self.pieces.front().map(|(came, _)| *came).or(self.ended) else { break };
            let free = rate.map_or(now, |rate| self.sent_at + time_of(self.sent, rate));
            let due = free.max(came + terms.delay);
            if due > now {
                return Ok((written, Some(due)));
            }
            let Some((_, piece)) = self.pieces.front_mut() else {
                to.shutdown(Shutdown::Write)?;
                self.is_closed = true;
                break;
            };
            // A hundredth of a second's worth, or all that there is.
            let size = rate.map_or(usize::MAX, |rate| (rate as usize / 100).max(1)).min(piece.len());
            match to.write(&piece[..size]) {
                Ok(count) => {
                    piece.drain(..count);
                    if piece.is_empty() {
                        self.pieces.pop_front();
                    }
                    self.held -= count;
                    written += count as u64;
                    // A thread that woke late makes up for it, one that had nothing to send doesn't.
                    self.sent_at = if due + CATCH_UP < now { now } else { due };
                    self.sent = count;
                }
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok((written, None))
    }
}

/// How long so many bytes take at `rate` bytes a second.
fn time_of(bytes: usize, rate: u32) -> Duration {
    Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1)))
}

/// Begins to connect.
fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    narrow(&socket);
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn narrow(socket: &Socket) {
    socket.set_tcp_mss(SEGMENT).expect("a socket option");
    socket.set_recv_buffer_size(SOCKET_BUFFER).expect("a socket option");
    socket.set_send_buffer_size(SOCKET_BUFFER).expect("a socket option");
}

fn is_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
