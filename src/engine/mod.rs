//! The loop: sockets, timers, sessions, streams from and to other servers, and the ways in from other threads.
//!
//! An [`Engine`] lives on one thread. [`Engine::turn`] waits for sockets and times and does what is due;
//! it calls nobody. What the host is to know lies in a queue, drained with [`Engine::poll_event`], and
//! every question ([`Event::Admission`]) is answered with [`Engine::reply`] whenever the host likes. So
//! the host may call anything while it handles an event.

mod accept;
mod admission;
mod check;
mod clients;
#[cfg(feature = "http")]
mod cluster;
mod conn;
mod dial;
#[cfg(any(feature = "hls", feature = "dvr"))]
mod disk;
#[cfg(feature = "dvr")]
mod dvr;
mod edge;
mod encoder;
mod event;
mod fanout;
#[cfg(feature = "http")]
mod fetch;
mod format;
mod forward;
mod hint;
#[cfg(feature = "hls")]
mod hls;
mod info;
mod ingest;
#[cfg(any(feature = "hls", feature = "dvr"))]
mod jobs;
mod lent;
mod link;
mod local;
mod outgoing;
mod player;
mod programs;
#[cfg(feature = "http")]
mod rates;
mod relays;
mod remote;
mod resolver;
mod retry;
mod rtmp;
mod secure;
mod session;
mod sys;
#[cfg_attr(not(any(feature = "hls", feature = "dvr")), path = "no_taps.rs")]
mod taps;
mod timers;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod via;
#[cfg(feature = "http")]
mod web;

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Poll, Token, Waker};

use crate::config::{Config, Settings};
use crate::error::{Code, Error, Result};
use crate::hub::Hub;
use crate::table::Table;
use crate::time::Time;

use accept::Listener;
use conn::{Conn, Frames};
use dial::{Attempt, Dial};
use encoder::Encoder;
use forward::Forward;
use ingest::Ingest;
use resolver::Resolver;
use timers::{Alarm, Timers};

pub use accept::Role;
pub use dial::ADDRESSES_MAX;
#[cfg(feature = "dvr")]
pub use dvr::{DvrNews, DvrOptions, FileAnswer, FileJob};
pub use encoder::FrameSource;
pub use event::{Action, Admission, ClientInfo, Doing, Event, Stats, StreamInfo, Subject};
pub use forward::ForwardOptions;
#[cfg(feature = "hls")]
pub use hls::{HlsFile, HlsOptions};
pub use ingest::{INPUTS_MAX, IngestOptions};
pub use link::{Io, Secure};
pub use player::{Given, Packet, PacketFormat, PlayerInfo, PlayerNews, PlayerOptions, PlayerSource, Tracks};
pub use programs::Program;
pub use relays::{Direction, RelayInfo, RelayNews, RelayState};
pub use remote::{CALLS_MAX, Call, Remote};
pub use retry::RetryPolicy;
pub use secure::Transport;
#[cfg(feature = "http")]
pub use web::mounts::{
    ANSWER_TIMEOUT, ANSWER_WAITING_BYTES, HttpRequest, MOUNTS_MAX, Ports, REQUESTS_WAITING_MAX,
};

/// Socket events taken in one turn.
const EVENTS_PER_TURN: usize = 1024;
/// Events that may wait for the host; beyond it a turn does nothing until they are taken.
pub const EVENTS_WAITING_MAX: usize = 64 * 1024;
/// Bytes read from one connection in one turn before the others have theirs.
const READ_BUDGET: usize = 256 * 1024;
/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// Places for events and the like that are kept when they are empty; a crowd needs more.
const KEPT: usize = 64;

/// The waker's token. Ids carry a generation in their high bits that is never 0, so small tokens are
/// free for what isn't a connection.
const WAKER: Token = Token(0);
const FIRST_LISTENER: usize = 1;

/// A streaming engine. See the module's documentation.
pub struct Engine {
    poll: Poll,
    /// Away while a turn goes through them.
    events: Option<Events>,
    started: Instant,
    /// The process that made it: after a fork the files that are being written stay the parent's.
    process: u32,
    entropy: RandomState,
    config: Config,
    /// The configuration as it was last applied.
    applied: Config,
    settings: Arc<Settings>,
    listeners: Vec<Listener>,
    conns: Table<Conn>,
    hub: Hub,
    encoders: Table<Encoder>,
    ingests: Table<Ingest>,
    /// Their ids are relays' ids beside ingests'.
    forwards: Table<Forward>,
    left: forward::Left,
    /// The host's. They stand among a stream's players beside connections.
    players: Table<player::HostPlayer>,
    /// Those of them that have something to give.
    players_ready: Vec<u32>,
    #[cfg(feature = "http")]
    backends: Table<forward::Backend>,
    checks: Table<check::Check>,
    #[cfg(feature = "http")]
    lookups: Table<cluster::Lookup>,
    dials: Table<Dial>,
    /// Their ids are tokens beside connections' ids.
    attempts: Table<Attempt>,
    /// There from the first name on.
    resolver: Option<Resolver>,
    own_resolver: bool,
    #[cfg(feature = "http")]
    fetches: Table<fetch::Fetch>,
    #[cfg(feature = "http")]
    kept: Vec<fetch::Kept>,
    tickets: Table<u32>,
    #[cfg(any(feature = "hls", feature = "dvr"))]
    taps: std::collections::HashMap<u32, taps::Taps>,
    #[cfg(feature = "hls")]
    segments: Table<hls::Segments>,
    /// Their ids are clients' ids too.
    #[cfg(all(feature = "hls", feature = "http"))]
    hls_players: Table<web::hls::HlsPlayer>,
    #[cfg(feature = "dvr")]
    recordings: Table<dvr::Recording>,
    #[cfg(any(feature = "hls", feature = "dvr"))]
    jobs: Table<jobs::Purpose>,
    /// There from the first job on.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    disk: Option<disk::Disk>,
    #[cfg(feature = "http")]
    mounts: web::mounts::Mounts,
    timers: Timers,
    /// Connections with something to do that no socket event will announce.
    ready: Vec<u32>,
    /// Streams that have gathered frames.
    dirty: Vec<u32>,
    /// Connections to close at the end of the turn, and why.
    doomed: Vec<(u32, String)>,
    buffer: Vec<u8>,
    /// Room to gather a send's frames in.
    frames: Frames,
    told: VecDeque<Event>,
    asks: bool,
    remote: Remote,
    /// TLS of the host's.
    transport: Option<Box<dyn Transport>>,
    tls: tls::Tls,
    totals: Totals,
    /// There while the API is on.
    #[cfg(feature = "http")]
    rates: Option<Box<rates::Rates>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Totals {
    accepted: u64,
    refused: u64,
    /// Of connections that have ended.
    received: u64,
    sent: u64,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("connections", &self.conns.len())
            .field("streams", &self.hub.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that serves nothing yet: it is configured, then [`Engine::apply`] starts it.
    pub fn new() -> Result<Self> {
        let io = |what: &'static str| move |e: io::Error| Error::new(Code::Io, format!("{what}: {e}"));
        let poll = Poll::new().map_err(io("creating the loop's poller"))?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(io("creating the loop's waker"))?;
        let config = Config::new();
        let (settings, _) = Settings::from_config(&config)?;
        let started = Instant::now();
        Ok(Self {
            poll,
            events: Some(Events::with_capacity(EVENTS_PER_TURN)),
            started,
            process: std::process::id(),
            entropy: RandomState::new(),
            applied: config.clone(),
            config,
            settings: Arc::new(settings),
            listeners: Vec::new(),
            conns: Table::default(),
            hub: Hub::default(),
            encoders: Table::default(),
            ingests: Table::default(),
            forwards: Table::apart(),
            left: forward::Left::default(),
            players: Table::apart(),
            players_ready: Vec::new(),
            #[cfg(feature = "http")]
            backends: Table::default(),
            checks: Table::default(),
            #[cfg(feature = "http")]
            lookups: Table::default(),
            dials: Table::default(),
            attempts: Table::apart(),
            resolver: None,
            own_resolver: false,
            #[cfg(feature = "http")]
            fetches: Table::default(),
            #[cfg(feature = "http")]
            kept: Vec::new(),
            tickets: Table::default(),
            #[cfg(any(feature = "hls", feature = "dvr"))]
            taps: std::collections::HashMap::new(),
            #[cfg(feature = "hls")]
            segments: Table::default(),
            #[cfg(all(feature = "hls", feature = "http"))]
            hls_players: Table::apart(),
            #[cfg(feature = "dvr")]
            recordings: Table::default(),
            #[cfg(any(feature = "hls", feature = "dvr"))]
            jobs: Table::default(),
            #[cfg(any(feature = "hls", feature = "dvr"))]
            disk: None,
            #[cfg(feature = "http")]
            mounts: web::mounts::Mounts::default(),
            timers: Timers::default(),
            ready: Vec::new(),
            dirty: Vec::new(),
            doomed: Vec::new(),
            buffer: vec![0; READ_BYTES],
            frames: Frames::new(),
            told: VecDeque::new(),
            asks: false,
            remote: Remote::new(waker, started),
            transport: None,
            tls: tls::Tls::new(),
            totals: Totals::default(),
            #[cfg(feature = "http")]
            rates: None,
        })
    }

    /// The configuration, to read.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The configuration, to change; what is changed holds from the next [`Engine::apply`] on.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Whether clients wait for the host's word ([`Event::Admission`]); at first they don't.
    pub fn ask(&mut self, asks: bool) {
        self.asks = asks;
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// The descriptor that is readable when a turn has something to do; for the host's own loop.
    pub fn fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// How long the host's own loop may wait before the next turn; `None`: until the descriptor is
    /// readable.
    pub fn timeout(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        self.timers.next().map(|at| at.since(self.now()))
    }

    /// Takes the configuration as it stands: the first time this starts serving, later it is a reload.
    /// Either all of it holds afterwards, or nothing has changed.
    pub fn apply(&mut self) -> Result<()> {
        let (settings, warnings) = Settings::from_config(&self.config)?;
        for warning in warnings {
            warn!("{warning}");
        }
        let tls = self.prepare_tls(&settings)?;
        self.listen(&settings)?;
        self.tls.configure(tls);
        let settings = Arc::new(settings);
        self.settings = settings.clone();
        self.applied = self.config.clone();
        self.hub.reload(|vhost| settings.vhost(vhost).cloned());
        self.configure_players();
        for stream in self.hub.ids() {
            self.watch_idle(stream);
        }
        self.configure_taps(self.now());
        self.configure_ingests();
        self.configure_forwards(self.now());
        self.configure_edges(self.now());
        #[cfg(feature = "http")]
        self.configure_rates();
        Ok(())
    }

    /// Forgets what was changed in the configuration since it was last applied: what an [`Engine::apply`]
    /// has refused, say.
    pub fn revert(&mut self) {
        self.config = self.applied.clone();
    }

    /// One turn: waits until something is due, at most for `timeout` (`None`: without end), and does it.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<()> {
        if self.told.len() >= EVENTS_WAITING_MAX {
            return Ok(());
        }
        let wait = match (timeout, self.timeout()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let mut events = self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS_PER_TURN));
        let polled = self.poll.poll(&mut events, wait);
        let now = self.now();
        for event in &events {
            match event.token() {
                WAKER => {
                    self.drain_encoders(now);
                    self.drain_resolver(now);
                    #[cfg(any(feature = "hls", feature = "dvr"))]
                    self.drain_disk(now);
                }
                Token(n) if n < FIRST_LISTENER + self.listeners.len() => self.accept(now, n - FIRST_LISTENER),
                Token(n) => {
                    let id = n as u32;
                    if self.attempts.find(id).is_some() {
                        self.on_attempt(now, id);
                        continue;
                    }
                    let Some(conn) = self.conns.find_mut(id) else { continue };
                    if event.is_writable() {
                        conn.writable();
                    }
                    conn.hung_up |= event.is_read_closed() || event.is_error();
                    conn.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    if event.is_error() && !conn.takes_input() {
                        self.doom(id, "connection lost");
                    }
                    self.serve(now, id);
                }
            }
        }
        self.events = Some(events);
        for id in std::mem::take(&mut self.ready) {
            if let Some(conn) = self.conns.find_mut(id) {
                conn.queued = false;
                self.serve(now, id);
            }
        }
        while let Some((at, alarm)) = self.timers.pop(now) {
            match alarm {
                Alarm::Listener(index) => self.accept(now, index),
                Alarm::Stream(id) => self.on_stream_alarm(now, id),
                Alarm::Lent(id) => self.on_lent_alarm(now, at, id),
                Alarm::Ingest(id) => self.on_ingest_alarm(now, id),
                Alarm::Forward(id) => self.on_forward_alarm(now, id),
                #[cfg(feature = "http")]
                Alarm::Kept(conn) => self.on_kept_alarm(now, conn),
                #[cfg(feature = "http")]
                Alarm::Backend(id) => self.on_backend_alarm(now, id),
                Alarm::Player(id) => self.ready_player(id),
                Alarm::Dial(id) => self.on_dial_alarm(now, id),
                #[cfg(feature = "hls")]
                Alarm::Hls(id) => self.on_hls_alarm(now, id),
                #[cfg(all(feature = "hls", feature = "http"))]
                Alarm::HlsPlayer(id) => self.on_hls_player_alarm(now, id),
                #[cfg(feature = "dvr")]
                Alarm::Dvr(id) => self.on_dvr_alarm(now, at, id),
                Alarm::Conn(id) => self.on_conn_alarm(now, at, id),
                Alarm::Hint(id) => self.on_hint_alarm(now, id),
                #[cfg(feature = "http")]
                Alarm::Rates => self.on_rates_alarm(now),
            }
        }
        self.send_dirty(now);
        self.close_doomed(now);
        match polled {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                Err(Error::new(Code::Io, format!("waiting for sockets: {e}")))
            }
            _ => Ok(()),
        }
    }

    /// What has been asked for between turns is done without waiting for the next: replies to
    /// admissions, kicks.
    pub fn flush(&mut self) {
        let now = self.now();
        for id in std::mem::take(&mut self.ready) {
            if let Some(conn) = self.conns.find_mut(id) {
                conn.queued = false;
                self.serve(now, id);
            }
        }
        self.send_dirty(now);
        self.close_doomed(now);
    }

    /// The next thing that the host is to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.told.pop_front();
        #[cfg(feature = "hls")]
        if let Some(Event::HlsFile { hls, bytes, .. }) = &event {
            self.hls_told(*hls, bytes.len());
        }
        if self.told.is_empty() && self.told.capacity() > KEPT {
            self.told = VecDeque::new();
        }
        event
    }

    /// The functions that other threads want run on this one.
    pub fn take_calls(&mut self) -> Vec<Call> {
        self.remote.take_calls()
    }

    /// Whether another thread has asked to stop since this was last asked.
    pub fn take_stop(&mut self) -> bool {
        self.remote.take_stop()
    }

    /// The engine's clock.
    pub fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.dirty.is_empty()
            || !self.doomed.is_empty()
            || !self.told.is_empty()
            || !self.players_ready.is_empty()
    }

    /// Bytes that differ from connection to connection; nothing secret hangs on them.
    fn entropy(&self, salt: u64) -> u64 {
        let mut hasher = self.entropy.build_hasher();
        hasher.write_u64(salt);
        hasher.finish()
    }

    /// Has a connection served before the loop waits again.
    fn queue(&mut self, id: u32) {
        if let Some(conn) = self.conns.find_mut(id)
            && !conn.queued
        {
            conn.queued = true;
            self.ready.push(id);
        }
    }

    fn tell(&mut self, event: Event) {
        #[cfg(feature = "http")]
        self.count_left(&event);
        self.told.push_back(event);
    }

    fn mark_dirty(&mut self, stream: u32) {
        if !self.dirty.contains(&stream) {
            self.dirty.push(stream);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for id in self.encoders.ids() {
            self.end_encoder(id);
        }
        if self.process == std::process::id() {
            for id in self.conns.ids() {
                if let Some(conn) = self.conns.find_mut(id) {
                    conn.link.shutdown();
                }
            }
            self.stop_taps();
        } else {
            // Threads are not in this process, and may have held their locks when it came to be.
            std::mem::forget(self.resolver.take());
            #[cfg(any(feature = "hls", feature = "dvr"))]
            std::mem::forget(self.disk.take());
        }
        info!("stopped after {} ms, {} connections closed", self.now().as_millis(), self.conns.len());
    }
}
