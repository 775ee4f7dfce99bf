//! One connection: its link, its session, and what is on its way out.
//!
//! What goes out is, in this order: the rest of what was sent in part, the session's own bytes, then
//! frames straight from the stream's lane. A frame that the socket doesn't take stays in the ring.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::Action;
use super::format::Format;
use super::link::Link;
use super::outgoing::Owner;
use super::session::Session;
use super::sys;
use crate::hub::{Flow, LaneKey, Player, Step, Stream};
use crate::media::{Chain, Copies, Frame};
use crate::rtmp::server::{ConnectRequest, StreamRequest};
use crate::rtmp::url::StreamName;
use crate::time::Time;
use crate::wire::limits;

/// Pieces gathered into one send.
const GATHER: usize = 64;
/// Bytes gathered into one send.
const GATHER_BYTES: usize = 256 * 1024;
/// A peer whose socket takes nothing is given at least this long, however short `queue_length` is.
pub(super) const STALL_MIN: Duration = Duration::from_secs(10);
/// Bytes sent to one connection in one turn before the others have theirs.
const SEND_BUDGET: usize = 1024 * 1024;

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) link: Link,
    pub(super) peer: SocketAddr,
    pub(super) session: Session,
    /// Who has made it, where it is ours.
    pub(super) owner: Option<Owner>,
    /// When it is closed, whatever it has yet to send.
    pub(super) ends: Option<Time>,
    /// Input that came before the host's word on a request.
    pub(super) held: Vec<u8>,
    pub(super) play: Option<Playing>,
    /// Message streams and the streams that they publish.
    pub(super) publishes: SmallVec<[(u32, u32); 1]>,
    pub(super) began: Time,
    pub(super) connected: bool,
    /// When the link's handshake is to be done.
    pub(super) ready_by: Option<Time>,
    /// Close once everything is sent.
    pub(super) closing: bool,
    /// To be closed at the end of the turn: nothing is done for it any more.
    pub(super) dead: bool,
    /// What the host was asked.
    pub(super) pending: Option<Pending>,
    /// There is more to read than was taken.
    pub(super) readable: bool,
    /// Nothing is read, since who takes it has no room.
    #[cfg(feature = "http")]
    pub(super) paused: bool,
    /// The peer will send no more.
    pub(super) hung_up: bool,
    /// The session's deadline, and the earliest alarm that is set.
    pub(super) deadline: Option<Time>,
    pub(super) armed: Option<Time>,
    pub(super) queued: bool,
    pub(super) bad_frames: u32,
    pub(super) sent: u64,
    /// What of its traffic was counted with streams that it has left.
    #[cfg(feature = "http")]
    pub(super) counted: super::rates::Traffic,
    rest: Chain,
    out: VecDeque<Bytes>,
    out_bytes: usize,
    /// How long the socket may take nothing.
    pub(super) stall: Duration,
    /// Since when the socket has taken nothing that waits for it.
    blocked: Option<Time>,
}

/// What a client waits for the host's word on.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ticket: u32,
    pub(super) wish: Wish,
}

/// What a client asks for.
#[derive(Debug)]
pub(super) enum Wish {
    Connect(Box<ConnectRequest>),
    Publish(Box<StreamRequest>),
    Play(Box<StreamRequest>),
    #[cfg(feature = "http")]
    Watch(Box<super::web::live::Watch>),
    #[cfg(all(feature = "http", feature = "hls"))]
    Hls(Box<super::web::hls::Open>),
    #[cfg(all(feature = "http", feature = "dvr"))]
    Shift(Box<super::web::timeshift::Shift>),
}

impl Wish {
    /// What is asked for, and of which stream.
    pub(super) fn asked(&self) -> (Action, &StreamName) {
        match self {
            Self::Connect(request) => (Action::Connect, &request.name),
            Self::Publish(request) => (Action::Publish, &request.name),
            Self::Play(request) => (Action::Play, &request.name),
            #[cfg(feature = "http")]
            Self::Watch(watch) => (Action::Play, &watch.name),
            #[cfg(all(feature = "http", feature = "hls"))]
            Self::Hls(open) => (Action::Play, &open.name),
            #[cfg(all(feature = "http", feature = "dvr"))]
            Self::Shift(shift) => (Action::Play, &shift.name),
        }
    }
}

/// What a connection plays.
#[derive(Debug)]
pub(super) struct Playing {
    pub(super) stream: u32,
    pub(super) player: Player,
    pub(super) format: Format,
    /// Whether it has been sent anything of the stream.
    pub(super) started: bool,
    /// The frame before which it is over, where its end has come.
    pub(super) until: Option<u64>,
    /// How often it had skipped frames when that was last looked at.
    skips_seen: u32,
    /// What its way holds, where the stream's encoder wants to know.
    pub(super) flow: Option<Box<Flow>>,
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything there was is sent.
    All,
    /// The socket takes no more now.
    Blocked,
    /// There is more, but others have their turn first.
    More,
}

impl Conn {
    pub(super) fn new(now: Time, link: Link, peer: SocketAddr, session: Session) -> Self {
        Self {
            link,
            peer,
            session,
            owner: None,
            ends: None,
            held: Vec::new(),
            play: None,
            publishes: SmallVec::new(),
            began: now,
            connected: false,
            ready_by: None,
            closing: false,
            dead: false,
            pending: None,
            readable: false,
            #[cfg(feature = "http")]
            paused: false,
            hung_up: false,
            deadline: None,
            armed: None,
            queued: false,
            bad_frames: 0,
            sent: 0,
            #[cfg(feature = "http")]
            counted: Default::default(),
            rest: Chain::default(),
            out: VecDeque::new(),
            out_bytes: 0,
            stall: STALL_MIN,
            blocked: None,
        }
    }

    /// Whether the host sees it as a client: it has connected, or plays.
    pub(super) fn is_client(&self) -> bool {
        (self.connected || self.play.is_some()) && !self.dead && !self.session.is_outgoing()
    }

    /// Reads once; `None` when the link has no more now.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let held_up = self.is_held_up();
        let result = self.link.read(buffer);
        if held_up && !self.is_held_up() {
            // What was to be sent has waited for this, not for the socket.
            self.blocked = None;
        }
        match result {
            Ok(n) => Ok(Some(n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether the link takes nothing before it has done something of its own.
    fn is_held_up(&self) -> bool {
        !self.link.is_ready() || self.link.has_unsent()
    }

    /// Whether input may be taken: nothing is awaited, and the peer reads its answers.
    pub(super) fn takes_input(&self) -> bool {
        #[cfg(feature = "http")]
        if self.paused {
            return false;
        }
        !self.session.is_waiting()
            && !self.closing
            && !self.dead
            && self.out_bytes < limits::RTMP_ANSWER_BYTES
    }

    /// Whether another request can be made over it to an HTTP server.
    #[cfg(feature = "http")]
    pub(super) fn serves_again(&self) -> bool {
        let is_idle = matches!(&self.session, Session::HttpClient(session) if session.is_idle());
        is_idle && !self.dead && !self.closing && !self.hung_up
    }

    /// From now on it plays.
    pub(super) fn play(&mut self, playing: Playing) {
        sys::keep_little_unsent(self.link.socket());
        self.play = Some(playing);
    }

    /// Bytes that the session sends.
    pub(super) fn queue(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.out_bytes += bytes.len();
            self.out.push_back(bytes);
        }
    }

    /// Bytes that wait for the socket, frames of a stream left aside.
    pub(super) fn unsent(&self) -> usize {
        self.out_bytes.saturating_add(self.rest.len())
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Since when the socket has taken nothing. A handshake takes the time that it has.
    pub(super) fn blocked_since(&self) -> Option<Time> {
        self.blocked.filter(|_| self.link.is_ready())
    }

    /// The socket says that it takes bytes again. How long it has taken none is looked at anew with the
    /// next send.
    pub(super) fn writable(&mut self) {
        self.blocked = None;
        // A secure layer's reading may have waited for it.
        self.readable |= self.link.is_secure();
    }

    /// Sends what waits; of the stream that it plays too, if that is given. `frames` is room to work in.
    pub(super) fn flush(
        &mut self,
        now: Time,
        mut stream: Option<&mut Stream>,
        frames: &mut Frames,
    ) -> io::Result<Flushed> {
        let mut budget = SEND_BUDGET;
        while self.blocked.is_none() {
            match self.link.flush() {
                Ok(()) => {}
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                Err(_) if self.link.has_unsent() || !self.rest.is_empty() || !self.out.is_empty() => {
                    self.blocked = Some(now);
                    return Ok(Flushed::Blocked);
                }
                // Nothing waits for the handshake.
                Err(_) => return Ok(Flushed::All),
            }
            let mut more = match (stream.as_deref_mut(), &mut self.play) {
                (Some(stream), Some(playing)) => {
                    playing.gather(now, stream, &mut self.out, &mut self.out_bytes, frames)
                }
                _ => false,
            };
            let (offered, result) = match (frames.as_slice(), self.rest.is_empty() && self.out.is_empty()) {
                ([], true) => return Ok(Flushed::All),
                // The usual case: a player that is up to date gets one frame.
                ([(_, image)], true) if image.pieces().len() <= GATHER => {
                    (image.len(), send(&mut self.link, image))
                }
                _ => {
                    let images = frames.iter().flat_map(|(_, image)| image.pieces());
                    let mut all = self.rest.pieces().iter().chain(&self.out).chain(images);
                    let pieces = all.by_ref().filter(|piece| !piece.is_empty()).take(GATHER);
                    let pieces: SmallVec<[IoSlice<'_>; GATHER]> =
                        pieces.map(|piece| IoSlice::new(piece)).collect();
                    more |= all.next().is_some();
                    let offered = pieces.iter().map(|piece| piece.len()).sum();
                    (offered, self.link.send_gathered(&pieces))
                }
            };
            let sent = match result {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
                Err(e) => {
                    // The room is the next connection's, which is to find nothing of this one's in it.
                    frames.clear();
                    return Err(e);
                }
            };
            self.sent = self.sent.saturating_add(sent as u64);
            self.consume(sent, frames);
            frames.clear();
            if sent < offered || self.link.has_unsent() {
                // An edge will come when there is room again: another try now would be a wasted call.
                self.blocked = Some(now);
                return Ok(Flushed::Blocked);
            }
            if !more {
                return Ok(Flushed::All);
            }
            budget = budget.saturating_sub(sent);
            if budget == 0 {
                return Ok(Flushed::More);
            }
        }
        Ok(Flushed::Blocked)
    }

    /// A stream's publish ends: if it waits to know more of the tracks, it begins with what there is. The frames
    /// are sent from the ring, which keeps them; the headers, which it forgets, are taken now.
    pub(super) fn begin_at_end(&mut self, now: Time, stream: &mut Stream, frames: &mut Frames) {
        let Some(playing) = self.play.as_mut().filter(|playing| !playing.started) else { return };
        if playing.begin(now, stream, true, &mut self.out, &mut self.out_bytes) {
            playing.gather(now, stream, &mut self.out, &mut self.out_bytes, frames);
            if let Some((seq, _)) = frames.first() {
                playing.player.back_to(*seq);
            }
            frames.clear();
        }
    }

    /// Sends the newest frame, if that is all that this player lacks: the usual case of a stream's fan-out,
    /// with nothing done but the send. `None` if it isn't: then [`Conn::flush`] sees to it.
    pub(super) fn send_newest(&mut self, now: Time, newest: &Newest) -> Option<io::Result<Flushed>> {
        let playing = self.play.as_mut()?;
        let idle = self.rest.is_empty() && self.out.is_empty();
        if !idle
            || playing.until.is_some()
            || playing.format.lane() != newest.lane
            || !playing.player.lacks_only(newest.seq, &newest.frame)
        {
            return None;
        }
        if newest.image.is_empty() {
            playing.player.taken();
            return Some(Ok(Flushed::All));
        }
        if newest.image.pieces().len() > GATHER {
            return None;
        }
        let sent = match send(&mut self.link, &newest.image) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(e) => return Some(Err(e)),
        };
        self.sent = self.sent.saturating_add(sent as u64);
        if sent > 0 {
            playing.player.taken();
        }
        if sent == newest.image.len() && !self.link.has_unsent() {
            return Some(Ok(Flushed::All));
        }
        if sent > 0 && sent < newest.image.len() {
            self.rest = newest.image.without(sent);
        }
        self.blocked = Some(now);
        Some(Ok(Flushed::Blocked))
    }

    /// When the host's memory is wanted back that the rest of what was sent in part lies in, if it does, and how
    /// long that rest is.
    pub(super) fn lent_rest(&self) -> Option<(Time, usize)> {
        Some((self.rest.lent_until()?, self.rest.len()))
    }

    /// Has that rest lie in memory of our own. Whether nothing of it had been copied before.
    pub(super) fn own_rest(&mut self, copies: &mut Copies) -> bool {
        copies.own(&mut self.rest)
    }

    /// It no longer plays. What it holds of the stream is its own: nobody will ask for it.
    pub(super) fn stop_playing(&mut self) -> Option<Playing> {
        if !self.dead {
            self.rest = self.rest.owned();
        }
        self.play.take()
    }

    /// Takes what was sent off the front. Frames that were not begun stay in the ring.
    fn consume(&mut self, mut sent: usize, frames: &Frames) {
        let n = sent.min(self.rest.len());
        if n > 0 {
            self.rest = self.rest.without(n);
        }
        sent -= n;
        while sent > 0 {
            let Some(mut piece) = self.out.pop_front() else { break };
            self.out_bytes -= piece.len();
            let n = sent.min(piece.len());
            piece.advance(n);
            sent -= n;
            // What is sent is let go, not kept at its end.
            self.rest = if piece.is_empty() { Chain::default() } else { piece.into() };
        }
        if self.out.is_empty() && self.out.capacity() > 0 {
            self.out = VecDeque::new();
        }
        for (seq, image) in frames {
            if sent >= image.len() {
                sent -= image.len();
                continue;
            }
            let next = if sent > 0 {
                self.rest = image.without(sent);
                seq + 1
            } else {
                *seq
            };
            if let Some(playing) = &mut self.play {
                playing.player.back_to(next);
            }
            break;
        }
    }
}

/// A stream's newest frame, ready for those who lack only it.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) lane: LaneKey,
    seq: u64,
    frame: Frame,
    image: Chain,
}

/// Frames of one send, with their places in the ring.
pub(super) type Frames = Vec<(u64, Chain)>;

/// Sends an image, whose pieces one send takes.
fn send(link: &mut Link, image: &Chain) -> io::Result<usize> {
    match image.pieces() {
        [one] => link.send(one),
        pieces => {
            let pieces: SmallVec<[IoSlice<'_>; 8]> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            link.send_gathered(&pieces)
        }
    }
}

impl Playing {
    pub(super) fn new(stream: u32, player: Player, format: Format) -> Self {
        Self { stream, player, format, started: false, until: None, skips_seen: 0, flow: None }
    }

    /// Whether it has skipped frames since this was last asked.
    pub(super) fn has_skipped(&mut self) -> bool {
        let skips = self.player.skips();
        std::mem::replace(&mut self.skips_seen, skips) != skips
    }

    /// Whether nothing more is to be sent of what it plays.
    fn is_over(&self) -> bool {
        self.until.is_some_and(|end| self.player.cursor() >= end)
    }

    /// The newest frame of its stream in this player's format, if that is all that it lacks.
    pub(super) fn newest(&self, stream: &mut Stream) -> Option<Newest> {
        let key = self.format.lane();
        let (ring, lane) = stream.ring_and_lane(key);
        let seq = ring.head().checked_sub(1)?;
        let frame = ring.frame(seq)?;
        if !self.player.lacks_only(seq, frame) {
            return None;
        }
        let image = lane?.image(ring, seq)?.clone();
        Some(Newest { lane: key, seq, frame: frame.clone(), image })
    }

    /// Begins, if it hasn't and enough is known of the stream, whose publish may be one that `ends`. Whether it
    /// has begun.
    fn begin(
        &mut self,
        now: Time,
        stream: &Stream,
        ends: bool,
        out: &mut VecDeque<Bytes>,
        out_bytes: &mut usize,
    ) -> bool {
        if !self.started && self.format.may_start(now, stream, ends) {
            self.started = true;
            let opening = self.format.opening(stream, &mut self.player);
            if !opening.is_empty() {
                *out_bytes += opening.len();
                out.push_back(opening);
            }
        }
        self.started
    }

    /// Takes the frames for the next send; headers that must go before them join the session's bytes.
    /// Answers whether there may be more.
    fn gather(
        &mut self,
        now: Time,
        stream: &mut Stream,
        out: &mut VecDeque<Bytes>,
        out_bytes: &mut usize,
        frames: &mut Frames,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        if !self.begin(now, stream, false, out, out_bytes) {
            if stream.publisher().is_none() {
                self.player.keep_place();
            }
            return false;
        }
        let (mut bytes, mut pieces) = (*out_bytes, out.len());
        let mut queue_us = stream.queue_us();
        let (ring, mut lane) = stream.ring_and_lane(self.format.lane());
        // One place is kept for the rest of what was sent in part.
        while pieces < GATHER - 1 && bytes < GATHER_BYTES {
            let step = self.player.step(ring, queue_us);
            if self.is_over() {
                return false;
            }
            match step {
                Step::Wait => return false,
                Step::Headers(headers, at) => {
                    let headers = self.format.headers(ring, headers);
                    let headers = match &mut lane {
                        Some(lane) => lane.join(self.player.cursor(), &headers, at),
                        None => self.format.mux().preamble(&headers, at),
                    };
                    *out_bytes += headers.len();
                    if !headers.is_empty() {
                        out.push_back(headers);
                        pieces += 1;
                    }
                }
                Step::Frame(seq, frame) => {
                    let image = match &mut lane {
                        Some(lane) => lane.image(ring, seq).cloned().unwrap_or_default(),
                        None => self.format.mux().image(frame),
                    };
                    self.player.taken();
                    // A jump brings headers, which go before all frames of this send: only the first
                    // may jump.
                    queue_us = i64::MAX;
                    // A format that has nothing for a frame doesn't send.
                    if !image.is_empty() {
                        bytes += image.len();
                        pieces += image.pieces().len();
                        frames.push((seq, image));
                    }
                }
            }
        }
        true
    }
}
