//! HLS: who serves it, and the players who fetch it. A player has one connection that it keeps: it fetches
//! the playlist, every segment that is new in it, and looks again a target duration later, or half of one if
//! there was nothing new. What segments hold is thrown away inside the kernel.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use super::http::Head;
use super::media::BYTES_PER_SECOND;
use super::sys::{self, Epoll};

/// Between two visits to the sockets.
const VISIT_NS: u64 = 5_000_000;
const SECOND: u64 = 1_000_000_000;
/// How long a segment is, in s: the stream's GOP.
pub(crate) const FRAGMENT_S: u64 = 2;
/// After the first requests, before measuring.
const SETTLE_NS: u64 = 3 * SECOND;
/// A player starts so many segments before the newest.
const BEHIND: u64 = 2;
/// The playlist of the stream.
const PLAYLIST: &str = "/live/camera.m3u8";
const READ: libc::c_int = libc::EPOLLIN | libc::EPOLLET;

/// Who serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Contestant {
    /// camrill from memory; it takes the stream in and makes the segments, too.
    Camrill,
    /// nginx, from the files that a camrill on the other core writes, with sendfile.
    NginxSendfile,
    /// The same as nginx is without being told, with reads and writes.
    Nginx,
}

impl Contestant {
    /// All of them, in the order that they run in.
    pub(crate) const ALL: [Contestant; 3] =
        [Contestant::Camrill, Contestant::NginxSendfile, Contestant::Nginx];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contestant::Camrill => "camrill, from memory",
            Contestant::NginxSendfile => "nginx, files, sendfile",
            Contestant::Nginx => "nginx, files",
        }
    }
}

/// What one run came to.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// CPU seconds of the server per 10^9 bytes delivered.
    pub(crate) cpu_per_gb: f64,
    /// Share of its core that the server took, in percent.
    core: f64,
    /// Requests answered in a second.
    requests: f64,
    /// How much of the stream a player got, in percent.
    share: f64,
}

impl Figures {
    /// Reads the lines that the load printed.
    pub(crate) fn parse(text: &str, clients: usize) -> Result<Self, String> {
        let lines: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let one = |name: &str| -> Result<f64, String> {
            lines.get(name).and_then(|value| value.parse().ok()).ok_or(format!("the load told no {name}"))
        };
        let (wall, server, bytes) = (one("wall_ns")?, one("server_ns")?, one("bytes")?);
        if one("lost")? > 0.0 {
            return Err(format!("{} players were lost: {}", one("lost")?, lines.get("error").unwrap_or(&"")));
        }
        let expected = BYTES_PER_SECOND as f64 * wall / 1e9 * clients as f64;
        Ok(Self {
            cpu_per_gb: server / bytes,
            core: server * 100.0 / wall,
            requests: one("requests")? * 1e9 / wall,
            share: bytes * 100.0 / expected,
        })
    }

    /// One line for whoever waits.
    pub(crate) fn brief(&self) -> String {
        format!(
            "{:.2} s/GB, {:.1} % of a core, {:.0} requests/s, {:.0} % of the stream",
            self.cpu_per_gb, self.core, self.requests, self.share
        )
    }
}

/// The page's section: the median of each figure.
pub(crate) fn section(clients: usize, seconds: u64, runs: &[(Contestant, Figures)]) -> String {
    let mut page = format!("\n## HLS, {clients} players\n\n");
    let _ = writeln!(
        page,
        "Each keeps its connection, and fetches the playlist and every segment of {FRAGMENT_S} s; measured for \
         {seconds} s.\ncamrill takes the stream in and makes the segments as well; nginx serves the files that \
         another camrill\nwrites, from the page cache.\n\n\
         | server | CPU seconds per GB | × nginx, sendfile | × nginx | share of the core, % | requests/s | of the stream, % |\n\
         |---|---|---|---|---|---|---|"
    );
    let median = |contestant: Contestant, pick: &dyn Fn(&Figures) -> f64| {
        let mut values: Vec<f64> =
            runs.iter().filter(|(who, _)| *who == contestant).map(|(_, figures)| pick(figures)).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => f64::NAN,
            n if n % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        }
    };
    for contestant in Contestant::ALL {
        let cpu = median(contestant, &|f| f.cpu_per_gb);
        if cpu.is_nan() {
            continue;
        }
        let _ = writeln!(
            page,
            "| {} | {cpu:.2} | {:.2} | {:.2} | {:.1} | {:.0} | {:.0} |",
            contestant.name(),
            cpu / median(Contestant::NginxSendfile, &|f| f.cpu_per_gb),
            cpu / median(Contestant::Nginx, &|f| f.cpu_per_gb),
            median(contestant, &|f| f.core),
            median(contestant, &|f| f.requests),
            median(contestant, &|f| f.share),
        );
    }
    page
}

struct Player {
    stream: TcpStream,
    playlist: String,
    state: State,
    /// The segments to fetch, and the number of the one after them.
    wanted: VecDeque<String>,
    next: Option<u64>,
}

enum State {
    /// Until then there is nothing to fetch.
    Idle(u64),
    /// The playlist's answer, as far as it has come.
    Playlist(Vec<u8>),
    /// A segment's answer: its head as far as it has come, then the bytes that are still to come.
    Segment(Vec<u8>, Option<usize>),
}

struct Load {
    port: u16,
    epoll: Epoll,
    players: Vec<Option<Player>>,
    buffer: Vec<u8>,
    bytes: u64,
    requests: u64,
    lost: usize,
    error: Option<String>,
}

fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Plays, measures, and prints what it found as lines of `name value`.
pub(crate) fn run(port: u16, pid: u32, clients: usize, seconds: u64) -> io::Result<()> {
    sys::exact_timers();
    let mut load = Load {
        port,
        epoll: Epoll::new(256)?,
        players: Vec::new(),
        buffer: vec![0; 16 * 1024],
        bytes: 0,
        requests: 0,
        lost: 0,
        error: None,
    };
    let start = sys::monotonic_ns();
    for index in 0..clients {
        let stream = sys::connect(port)?;
        load.epoll.add(stream.as_raw_fd(), READ, index)?;
        // Not all at once: players don't know of each other.
        let due = start + index as u64 * FRAGMENT_S * SECOND / clients as u64;
        load.players.push(Some(Player {
            stream,
            playlist: PLAYLIST.to_owned(),
            state: State::Idle(due),
            wanted: VecDeque::new(),
            next: None,
        }));
    }
    load.turn_until(start + FRAGMENT_S * SECOND + SETTLE_NS)?;
    (load.bytes, load.requests) = (0, 0);
    let (began, server) = (sys::monotonic_ns(), sys::cpu_ns(pid)?);
    load.turn_until(began + seconds * SECOND)?;
    let (ended, server_end) = (sys::monotonic_ns(), sys::cpu_ns(pid)?);
    println!("wall_ns {}", ended - began);
    println!("server_ns {}", server_end - server);
    println!("bytes {}", load.bytes);
    println!("requests {}", load.requests);
    println!("lost {}", load.lost);
    if let Some(error) = &load.error {
        println!("error {error}");
    }
    Ok(())
}

impl Load {
    fn turn_until(&mut self, until: u64) -> io::Result<()> {
        let mut ready = Vec::new();
        while sys::monotonic_ns() < until {
            let now = sys::monotonic_ns();
            for index in 0..self.players.len() {
                if matches!(&self.players[index], Some(Player { state: State::Idle(due), .. }) if *due <= now)
                {
                    self.with(index, Self::ask);
                }
            }
            loop {
                self.epoll.wait(0, &mut ready)?;
                if ready.is_empty() {
                    break;
                }
                for &index in &ready {
                    self.with(index, Self::read);
                }
            }
            sys::sleep_until(now + VISIT_NS);
        }
        Ok(())
    }

    /// Does something for a player, who is lost if that fails.
    fn with(&mut self, index: usize, what: fn(&mut Self, &mut Player) -> io::Result<()>) {
        let Some(mut player) = self.players[index].take() else { return };
        match what(self, &mut player) {
            Ok(()) => self.players[index] = Some(player),
            Err(error) => {
                self.lost += 1;
                self.error = Some(error.to_string());
            }
        }
    }

    /// Asks for what is next: a segment, or the playlist.
    fn ask(&mut self, player: &mut Player) -> io::Result<()> {
        let (path, state) = match player.wanted.pop_front() {
            Some(segment) => (segment, State::Segment(Vec::new(), None)),
            None => (player.playlist.clone(), State::Playlist(Vec::new())),
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        player.state = state;
        if sys::send(player.stream.as_raw_fd(), request.as_bytes())? < request.len() {
            return Err(broken("the server takes no requests"));
        }
        Ok(())
    }

    /// Reads all that there is, as edges want it.
    fn read(&mut self, player: &mut Player) -> io::Result<()> {
        let fd = player.stream.as_raw_fd();
        loop {
            let received = match &player.state {
                State::Segment(_, Some(_)) => sys::discard(fd),
                _ => sys::recv(fd, &mut self.buffer),
            };
            let n = match received {
                Ok(0) => return Err(broken("closed by the server")),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.bytes += n as u64;
            match &mut player.state {
                State::Idle(_) => return Err(broken("an answer that nobody asked for")),
                State::Playlist(answer) => {
                    answer.extend(&self.buffer[..n]);
                    let Some(head) = Head::parse(answer)? else { continue };
                    let length = expect(&head)?;
                    if answer.len() < head.size + length {
                        continue;
                    }
                    self.requests += 1;
                    let text = String::from_utf8_lossy(&answer[head.size..]).into_owned();
                    if player.take_playlist(&text)? {
                        self.ask(player)?;
                    }
                }
                State::Segment(head, left) => {
                    let still = match left {
                        Some(left) => left.checked_sub(n),
                        None => {
                            head.extend(&self.buffer[..n]);
                            let Some(parsed) = Head::parse(head)? else { continue };
                            (parsed.size + expect(&parsed)?).checked_sub(head.len())
                        }
                    };
                    *left = Some(still.ok_or_else(|| broken("more than was named"))?);
                    if *left == Some(0) {
                        self.requests += 1;
                        if player.wanted.is_empty() {
                            player.state = State::Idle(sys::monotonic_ns() + FRAGMENT_S * SECOND);
                        } else {
                            self.ask(player)?;
                        }
                    }
                }
            }
        }
    }
}

fn expect(head: &Head) -> io::Result<usize> {
    match (head.status, head.content_length) {
        (200, Some(length)) => Ok(length),
        (status, _) => Err(broken(format!("answered with {status}"))),
    }
}

impl Player {
    /// Takes a playlist. Whether there is something to be asked for at once.
    fn take_playlist(&mut self, text: &str) -> io::Result<bool> {
        let beside = self.playlist.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let path = |uri: &str| if uri.starts_with('/') { uri.to_owned() } else { format!("{beside}/{uri}") };
        let uris: Vec<&str> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        if text.contains("#EXT-X-STREAM-INF") {
            self.playlist = path(uris.first().ok_or_else(|| broken("a master playlist without variants"))?);
            return Ok(true);
        }
        let first = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse().ok());
        let first: u64 = first.ok_or_else(|| broken("a playlist without EXT-X-MEDIA-SEQUENCE"))?;
        let end = first + uris.len() as u64;
        let next = self.next.unwrap_or(end.saturating_sub(BEHIND)).max(first);
        self.wanted
            .extend(uris.iter().zip(first..).filter(|(_, seq)| *seq >= next).map(|(uri, _)| path(uri)));
        self.next = Some(end);
        if self.wanted.is_empty() {
            self.state = State::Idle(sys::monotonic_ns() + FRAGMENT_S * SECOND / 2);
        }
        Ok(!self.wanted.is_empty())
    }
}
