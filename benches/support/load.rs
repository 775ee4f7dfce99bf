//! The players: N connections in one process. Each does the handshake and the play, or the request, by itself; then all
//! but a few have their bytes thrown away inside the kernel. The few, the probes, read the stream. Or else the
//! servers that a stream is forwarded to: then the connections are made to this process.
//!
//! The discarding sockets are visited every few milliseconds rather than woken for: waking this process
//! once per send would be charged to the server, and by chance more to one than to another. Only probes
//! are woken for, so that their latency is true.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use super::media::{is_keyframe, read_stamp};
use super::rtmp::{Goal, VIDEO};
use super::sys::{self, Epoll};
use super::{http, rtmp};

/// How many joins are under way at once.
const JOINING: usize = 64;
/// Between two visits to the discarding sockets.
const VISIT_NS: u64 = 5_000_000;
const SECOND: u64 = 1_000_000_000;
/// After the last join, before measuring.
const SETTLE_NS: u64 = 3 * SECOND / 2;
/// Until everybody has to have joined, and until the last of the late has to have seen a keyframe.
const JOIN_LIMIT_NS: u64 = 40 * SECOND;
const LATE_LIMIT_NS: u64 = 5 * SECOND;
/// Between two late joins.
const LATE_EVERY_NS: u64 = 373_000_000;
const BOTH_WAYS: libc::c_int = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET;
const READ: libc::c_int = libc::EPOLLIN | libc::EPOLLET;

/// What the load is asked to do.
pub(crate) struct Task {
    pub(crate) port: u16,
    /// The server's process, whose CPU time and memory are read.
    pub(crate) pid: u32,
    pub(crate) played: Played,
    pub(crate) players: usize,
    pub(crate) probes: usize,
    pub(crate) seconds: u64,
    /// How many more players join afterwards, for the time to their first keyframe.
    pub(crate) late_joins: usize,
}

/// What players are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Played {
    /// The floor's bytes.
    Floor,
    /// RTMP.
    Rtmp,
    /// FLV, or MP4 over WebSocket.
    Http(http::Format),
    /// RTMP that is published here.
    Forward,
}

impl Played {
    const ALL: [(&str, Played); 5] = [
        ("floor", Played::Floor),
        ("rtmp", Played::Rtmp),
        ("flv", Played::Http(http::Format::Flv)),
        ("ws-mp4", Played::Http(http::Format::WebSocketMp4)),
        ("forward", Played::Forward),
    ];

    /// What it is called on the command line.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, played)| *played == self).map_or("", |(name, _)| name)
    }

    /// What is called so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, played)| *played)
    }
}

/// One player's side of the protocol.
enum Client {
    Rtmp(rtmp::Client),
    Http(http::Client),
}

impl Client {
    fn new(played: Played, port: u16) -> Self {
        match played {
            Played::Floor => Self::Rtmp(rtmp::Client::of_floor(port)),
            Played::Rtmp => Self::Rtmp(rtmp::Client::new(Goal::Play, port)),
            Played::Forward => Self::Rtmp(rtmp::Client::of_publisher(port)),
            Played::Http(format) => Self::Http(http::Client::new(format, port)),
        }
    }

    fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Rtmp(client) => &mut client.out,
            Self::Http(client) => &mut client.out,
        }
    }

    fn asked_ns(&self) -> u64 {
        match self {
            Self::Rtmp(client) => client.asked_ns,
            Self::Http(client) => client.asked_ns,
        }
    }

    fn input(&mut self, bytes: &[u8], media: impl FnMut(u8, &[u8])) -> io::Result<()> {
        match self {
            Self::Rtmp(client) => client.input(bytes, media),
            Self::Http(client) => client.input(bytes, media),
        }
    }

    /// Counts bytes that were thrown away.
    fn count(&mut self, bytes: usize) {
        if let Self::Rtmp(client) = self {
            client.count(bytes);
        }
    }

    fn stop_reading(&mut self) {
        match self {
            Self::Rtmp(client) => client.stop_reading(),
            Self::Http(client) => client.stop_reading(),
        }
    }
}

struct Player {
    stream: TcpStream,
    client: Client,
    bytes: u64,
    role: Role,
    /// Where media has arrived.
    playing: bool,
    keyframe_ns: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Discard,
    Probe,
    Late,
}

struct Load {
    task: Task,
    /// Where a stream is forwarded to.
    listener: Option<TcpListener>,
    woken: Epoll,
    visited: Epoll,
    next_visit: u64,
    players: Vec<Option<Player>>,
    joining: usize,
    joined: usize,
    lost: usize,
    last_error: Option<String>,
    latencies: Vec<u64>,
    buffer: Vec<u8>,
}

/// What a moment's counters show.
struct Snapshot {
    now: u64,
    server_ns: u64,
    load_ns: u64,
    server_core_ns: u64,
    load_core_ns: u64,
}

impl Snapshot {
    fn take(pid: u32) -> io::Result<Self> {
        Ok(Self {
            now: sys::monotonic_ns(),
            server_ns: sys::cpu_ns(pid)?,
            load_ns: sys::cpu_ns(std::process::id())?,
            server_core_ns: sys::core_busy_ns(sys::SERVER_CORE)?,
            load_core_ns: sys::core_busy_ns(sys::LOAD_CORE)?,
        })
    }
}

/// Joins, measures, and prints what it found as lines of `name value`.
pub(crate) fn run(task: Task) -> io::Result<()> {
    sys::raise_nofile(40_000);
    sys::exact_timers();
    let listener = match task.played {
        Played::Forward => {
            let listener = TcpListener::bind(("127.0.0.1", task.port))?;
            listener.set_nonblocking(true)?;
            Some(listener)
        }
        _ => None,
    };
    let mut load = Load {
        listener,
        woken: Epoll::new(64)?,
        visited: Epoll::new(32)?,
        next_visit: 0,
        players: Vec::new(),
        joining: 0,
        joined: 0,
        lost: 0,
        last_error: None,
        latencies: Vec::new(),
        buffer: vec![0; 256 * 1024],
        task,
    };
    load.join_all()?;
    load.turn_until(sys::monotonic_ns() + SETTLE_NS)?;

    load.visit_now()?;
    for player in load.players.iter_mut().flatten() {
        player.bytes = 0;
    }
    load.latencies.clear();
    let pid = load.task.pid;
    let before = Snapshot::take(pid)?;
    load.turn_until(before.now + load.task.seconds * SECOND)?;
    let after = Snapshot::take(pid)?;
    load.visit_now()?;
    let rss_kb = sys::rss_kb(pid)?;
    load.report(&before, &after, rss_kb);

    let late = load.join_late()?;
    println!("late_joins_ns {}", spaced(&late));
    Ok(())
}

fn spaced(values: &[u64]) -> String {
    values.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

impl Load {
    fn report(&mut self, before: &Snapshot, after: &Snapshot, rss_kb: u64) {
        let mut bytes: Vec<u64> = self.players.iter().flatten().map(|player| player.bytes).collect();
        bytes.sort_unstable();
        self.latencies.sort_unstable();
        println!("joined {}", self.joined);
        println!("lost {}", self.lost);
        println!("wall_ns {}", after.now - before.now);
        println!("server_ns {}", after.server_ns - before.server_ns);
        println!("load_ns {}", after.load_ns - before.load_ns);
        println!("server_core_ns {}", after.server_core_ns - before.server_core_ns);
        println!("load_core_ns {}", after.load_core_ns - before.load_core_ns);
        println!("rss_kb {rss_kb}");
        println!("bytes {}", spaced(&bytes));
        println!("latencies_ns {}", spaced(&self.latencies));
        if let Some(error) = &self.last_error {
            println!("error {error}");
        }
    }

    fn join_all(&mut self) -> io::Result<()> {
        let Task { players, probes, .. } = self.task;
        let every = (players / probes.clamp(1, players)).max(1);
        let deadline = sys::monotonic_ns() + JOIN_LIMIT_NS;
        let mut begun = 0;
        while self.joined + self.lost < players && sys::monotonic_ns() < deadline {
            while begun < players && self.joining < JOINING {
                let probe = begun % every == every / 2 && begun / every < probes;
                if !self.join(if probe { Role::Probe } else { Role::Discard })? {
                    break;
                }
                begun += 1;
            }
            self.turn(sys::monotonic_ns() + VISIT_NS)?;
        }
        Ok(())
    }

    /// Late joins, spread over the stream's two seconds from keyframe to keyframe.
    fn join_late(&mut self) -> io::Result<Vec<u64>> {
        let first = self.players.len();
        for _ in 0..self.task.late_joins {
            self.turn_until(sys::monotonic_ns() + LATE_EVERY_NS)?;
            self.join(Role::Late)?;
        }
        let deadline = sys::monotonic_ns() + LATE_LIMIT_NS;
        let seen = |player: &Player| Some(player.keyframe_ns? - player.client.asked_ns());
        while sys::monotonic_ns() < deadline {
            if self.players[first..].iter().flatten().all(|player| seen(player).is_some()) {
                break;
            }
            self.turn(sys::monotonic_ns() + VISIT_NS)?;
        }
        Ok(self.players[first..].iter().flatten().filter_map(seen).collect())
    }

    /// One more connection; `false` if it is not there yet.
    fn join(&mut self, role: Role) -> io::Result<bool> {
        let stream = match self.listener.as_ref().map(TcpListener::accept) {
            None => sys::connect(self.task.port)?,
            Some(Ok((stream, _))) => sys::prepared(stream)?,
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Some(Err(error)) => return Err(error),
        };
        let client = Client::new(self.task.played, self.task.port);
        let index = self.players.len();
        self.woken.add(stream.as_raw_fd(), BOTH_WAYS, index)?;
        let player = Player { stream, client, bytes: 0, role, playing: false, keyframe_ns: None };
        self.players.push(Some(player));
        self.joining += 1;
        Ok(true)
    }

    fn turn_until(&mut self, until: u64) -> io::Result<()> {
        while sys::monotonic_ns() < until {
            self.turn(until)?;
        }
        Ok(())
    }

    /// Waits for something to do, at most `until`, and does it.
    fn turn(&mut self, until: u64) -> io::Result<()> {
        let now = sys::monotonic_ns();
        if now >= self.next_visit {
            self.next_visit = now + VISIT_NS;
            self.visit_now()?;
        }
        let wait = self.next_visit.min(until).saturating_sub(sys::monotonic_ns());
        self.read_woken(wait.div_ceil(1_000_000) as i32)
    }

    fn visit_now(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.visited.wait(0, &mut ready)?;
            if ready.is_empty() {
                return Ok(());
            }
            for &index in &ready {
                self.discard(index);
            }
            // Probes do not wait for the rest.
            self.read_woken(0)?;
        }
    }

    fn read_woken(&mut self, timeout_ms: i32) -> io::Result<()> {
        let mut ready = Vec::new();
        self.woken.wait(timeout_ms, &mut ready)?;
        for &index in &ready {
            self.read(index)?;
        }
        Ok(())
    }

    fn lose(&mut self, index: usize, why: &str) {
        if let Some(player) = self.players[index].take() {
            if !player.playing {
                self.joining -= 1;
            }
            if player.role != Role::Late {
                self.lost += 1;
            }
            self.last_error = Some(why.to_owned());
        }
    }

    fn discard(&mut self, index: usize) {
        let Some(player) = &mut self.players[index] else { return };
        let fd = player.stream.as_raw_fd();
        match sys::discard(fd) {
            Ok(0) => self.lose(index, "closed by the server"),
            Ok(n) => {
                player.bytes += n as u64;
                player.client.count(n);
                if let Err(error) = flush(player) {
                    self.lose(index, &error.to_string());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.lose(index, &error.to_string()),
        }
    }

    /// Reads all that there is, as edges want it.
    fn read(&mut self, index: usize) -> io::Result<()> {
        loop {
            let Some(player) = &mut self.players[index] else { return Ok(()) };
            let fd = player.stream.as_raw_fd();
            let n = match flush(player).and_then(|()| sys::recv(fd, &mut self.buffer)) {
                Ok(0) => {
                    self.lose(index, "closed by the server");
                    return Ok(());
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.lose(index, &error.to_string());
                    return Ok(());
                }
            };
            player.bytes += n as u64;
            let now = sys::monotonic_ns();
            let (mut media, mut keyframe) = (false, false);
            let latencies = &mut self.latencies;
            let result = player.client.input(&self.buffer[..n], |kind, body| {
                media = true;
                if kind == VIDEO {
                    keyframe |= is_keyframe(body);
                    if player.role == Role::Probe {
                        latencies.extend(read_stamp(body).map(|sent| now.saturating_sub(sent)));
                    }
                }
            });
            if let Err(error) = result.and_then(|()| flush(player)) {
                self.lose(index, &error.to_string());
                return Ok(());
            }
            if keyframe && player.keyframe_ns.is_none() {
                player.keyframe_ns = Some(now);
            }
            if media && !player.playing {
                player.playing = true;
                self.joining -= 1;
                self.joined += usize::from(player.role != Role::Late);
                if player.role == Role::Discard {
                    player.client.stop_reading();
                    self.woken.remove(fd)?;
                    self.visited.add(fd, READ, index)?;
                    return Ok(());
                }
            }
        }
    }
}

fn flush(player: &mut Player) -> io::Result<()> {
    let out = player.client.out();
    while !out.is_empty() {
        match sys::send(player.stream.as_raw_fd(), out) {
            Ok(n) => drop(out.drain(..n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
