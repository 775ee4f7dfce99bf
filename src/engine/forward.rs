//! Streams that are sent on to other servers.
//!
//! A forward is a player whose connection we have made: it has a place in the stream's ring, shares the wire
//! images of its format, skips to a keyframe when the server is slow, and costs what a player costs.

#[cfg(feature = "http")]
mod backend;
mod configured;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use log::{Level, debug, info, log, warn};
use mio::net::TcpStream;
use smallvec::SmallVec;

use super::conn::{Conn, Playing};
use super::edge::Upstream;
use super::format::{Format, Rtmp};
use super::outgoing::Owner;
use super::relays::{Direction, RelayInfo, RelayNews, RelayState, level_of, until};
use super::retry::{Retry, RetryPolicy};
use super::session::Session;
use super::timers::Alarm;
use super::{Engine, Event, sys, via};
use crate::error::{Code, Error, Result, without_secrets};
use crate::hub::Name;
use crate::rtmp::client::{Auth, Ended, Event as Said, Options, Purpose, Session as Client};
use crate::rtmp::server::VIA;
use crate::rtmp::url::RtmpUrl;
use crate::time::Time;

#[cfg(feature = "http")]
pub(super) use backend::Backend;

/// How often a server may send us elsewhere before that is a failure.
const REDIRECTS_MAX: u32 = 5;
/// How long what is left of a stream that has ended may take.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a server may believe that a publish which we have ended still goes on.
const BUSY_FOR: Duration = Duration::from_secs(3);
/// When it is asked again meanwhile.
const BUSY_WAIT: Duration = Duration::from_millis(200);
/// How many such publishes are remembered.
const LEFT_MAX: usize = 256;
/// How often a server is said to be too slow.
const SKIPS_EVERY: Duration = Duration::from_secs(10);

/// A forward to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardOptions {
    /// The vhost of the stream; empty for the default one.
    pub vhost: String,
    /// Its application.
    pub app: String,
    /// Its name.
    pub stream: String,
    /// Where it goes: `rtmp[s]://[user[:password]@]host[:port]/app/stream[?parameters]`.
    pub url: String,
    /// How often it is tried at each publish, and for how long.
    pub retry: RetryPolicy,
}

/// One forward.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) name: Name,
    pub(super) url: RtmpUrl,
    policy: RetryPolicy,
    /// What an edge's forward to its origins has besides.
    pub(super) upstream: Option<Upstream>,
    /// Whether the configuration has made it, so that it goes when the stream or the setting does.
    configured: bool,
    state: State,
    /// What the stream goes over while another connection is made in its place.
    former: Option<Former>,
    /// The state that was told last.
    told: RelayState,
    retry: Retry,
    /// Where the server has sent us, for this connection.
    moved: Option<RtmpUrl>,
    redirects: u32,
    auth: Option<Auth>,
    /// When the server was last said to be too slow.
    slow: Option<Time>,
    reason: String,
    starts: u32,
    /// All its connections, those too that have yet to send what is left.
    conns: SmallVec<[u32; 2]>,
    /// Of connections that have ended.
    sent: u64,
    skips: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The stream is not published.
    Idle,
    Dialing(u32),
    /// The connection stands, the server has not let us publish yet.
    Asking(u32),
    Running(u32, Time),
    Waiting(Time),
    Ended,
}

/// Publishes that we have ended a moment ago, by where they went.
#[derive(Debug, Default)]
pub(super) struct Left(VecDeque<(Time, String)>);

/// A connection that the stream flows over, since when, and where the server had sent us for it.
#[derive(Debug)]
struct Former {
    conn: u32,
    since: Time,
    moved: Option<RtmpUrl>,
}

impl Engine {
    /// Sends a stream on to another server whenever it is published, and answers the forward's id. It goes on
    /// until [`Engine::forward_close`], whatever becomes of the server, unless its policy says otherwise.
    pub fn forward_open(&mut self, options: &ForwardOptions) -> Result<u32> {
        let name = self.name(&options.vhost, &options.app, &options.stream)?;
        let url = RtmpUrl::parse(&options.url).map_err(|e| {
            let url = without_secrets(&options.url);
            Error::new(Code::InvalidArgument, format!("forward to {url:?}: {e}"))
        })?;
        self.add_forward(Forward::new(name, url, options.retry, false))
    }

    /// Ends a forward. The server is told.
    pub fn forward_close(&mut self, id: u32) -> Result<()> {
        if self.forwards.find(id).is_none() {
            return Err(Error::new(Code::NotFound, format!("no forward {id}")));
        }
        self.remove_forward(self.now(), id, false);
        Ok(())
    }

    fn add_forward(&mut self, forward: Forward) -> Result<u32> {
        let is_published = self.is_published(&forward.name);
        let id = self.forwards.insert_with(|_| forward);
        let id = id.ok_or_else(|| Error::new(Code::Limit, "too many forwards"))?;
        if is_published {
            self.start_forward(self.now(), id);
        }
        Ok(id)
    }

    /// Adds the forward of an edge, which begins before its stream is published.
    pub(super) fn add_forward_upstream(
        &mut self,
        name: Name,
        url: RtmpUrl,
        policy: RetryPolicy,
        upstream: Upstream,
    ) -> Result<()> {
        let mut forward = Forward::new(name, url, policy, false);
        forward.upstream = Some(upstream);
        let id = self.forwards.insert_with(|_| forward);
        let id = id.ok_or_else(|| Error::new(Code::Limit, "too many forwards"))?;
        self.start_forward(self.now(), id);
        Ok(())
    }

    /// Ends a forward, and that is all of it. What is left of its stream is sent if it `may_finish`.
    pub(super) fn remove_forward(&mut self, now: Time, id: u32, may_finish: bool) {
        self.stop_forward(now, id, may_finish);
        self.set_forward(now, id, State::Ended, "");
        self.forwards.remove(id);
        self.tell(Event::RelayGone { relay: id });
    }

    /// A publish of this stream has begun.
    pub(super) fn begin_forwards(&mut self, now: Time, stream: u32, name: &Name) {
        for id in self.forwards_of(name) {
            // An edge's own has begun before, and goes on when the publisher changes.
            let Some(forward) = self.forwards.find_mut(id).filter(|forward| forward.upstream.is_none())
            else {
                continue;
            };
            forward.retry = Retry::default();
            self.stop_forward(now, id, true);
            self.start_forward(now, id);
        }
        self.begin_upstream(name, "");
        self.configure_forwards_of(now, stream);
    }

    /// The publish of this stream has ended: its forwards send what is left. The host's wait for the next.
    pub(super) fn end_forwards(&mut self, now: Time, name: &Name) {
        self.end_configured(now, name);
        for id in self.forwards_of(name) {
            let Some(forward) = self.forwards.find(id) else { continue };
            match forward.upstream.as_ref().map(Upstream::asks_for) {
                // The next publisher's.
                Some(Some(_)) => {}
                Some(None) => self.remove_forward(now, id, true),
                None => {
                    self.stop_forward(now, id, true);
                    self.set_forward(now, id, State::Idle, "");
                }
            }
        }
    }

    fn forwards_of(&self, name: &Name) -> Vec<u32> {
        self.forwards.iter().filter(|(_, forward)| forward.name == *name).map(|(id, _)| id).collect()
    }

    pub(super) fn on_forward_alarm(&mut self, now: Time, id: u32) {
        if let Some(State::Waiting(at)) = self.forwards.find(id).map(|forward| forward.state)
            && at <= now
        {
            self.start_forward(now, id);
        }
    }

    pub(super) fn start_forward(&mut self, now: Time, id: u32) {
        let Some(forward) = self.forwards.find(id) else { return };
        if let Err(why) = self.check_place(&forward.name, forward.target()) {
            self.retry_forward(now, id, &why);
            return;
        }
        let (host, port, limit) =
            (forward.target().host.clone(), forward.target().port, forward.policy.connect);
        match self.dial(now, Owner::Forward(id), &host, port, limit) {
            Some(dial) => self.set_forward(now, id, State::Dialing(dial), ""),
            None => self.retry_forward(now, id, "too many connections are being made"),
        }
    }

    /// Lets go of its connections. What is left of the stream is sent first if it `may_finish`.
    fn stop_forward(&mut self, now: Time, id: u32, may_finish: bool) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        (forward.moved, forward.redirects, forward.auth) = (None, 0, None);
        if let Some(former) = forward.former.take() {
            self.retire_conn(now, former.conn, may_finish);
        }
        self.disconnect_forward(now, id, may_finish);
    }

    /// Lets go of the connection that it goes by, or of what is to become one.
    fn disconnect_forward(&mut self, now: Time, id: u32, may_finish: bool) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        match std::mem::replace(&mut forward.state, State::Idle) {
            State::Dialing(dial) => self.undial(dial),
            State::Asking(conn) | State::Running(conn, _) => self.retire_conn(now, conn, may_finish),
            State::Idle | State::Waiting(_) | State::Ended => {}
        }
    }

    pub(super) fn on_forward_dialed(&mut self, now: Time, id: u32, socket: TcpStream, peer: SocketAddr) {
        let salt = self.totals.accepted ^ u64::from(id).rotate_left(32);
        let entropy = self.entropy(salt.wrapping_add(now.as_micros()));
        let Some(forward) = self.forwards.find(id) else { return };
        let url = forward.target().clone();
        let (policy, auth) = (forward.policy, forward.auth.clone());
        let link = match self.link_to(socket, &url.host, url.scheme == "rtmps") {
            Ok(link) => link,
            Err(why) => return self.fail_forward(now, id, &why),
        };
        let mut options = Options::new(Purpose::Publish, url);
        options.timeout = policy.connect;
        options.auth = auth;
        let Some(forward) = self.forwards.find(id) else { return };
        let client = forward.upstream.as_ref().and_then(Upstream::asks_for);
        let via = self.via_of_push(&forward.name, client);
        options.properties.push((VIA, via.to_string().into()));
        options.arguments = self.who_we_are(&forward.name, id);
        let session = Session::RtmpClient(Box::new(Client::new(now, entropy, options)));
        let Some(conn) = self.open(now, Owner::Forward(id), link, peer, session) else { return };
        if let Some(conn) = self.conns.find_mut(conn) {
            conn.stall = policy.stall;
        }
        if let Some(forward) = self.forwards.find_mut(id) {
            forward.conns.push(conn);
        }
        self.set_forward(now, id, State::Asking(conn), "");
    }

    pub(super) fn on_forward_event(&mut self, now: Time, id: u32, conn: u32, said: Said) {
        match said {
            Said::Connected(_) | Said::Frame { .. } | Said::Bad { .. } => {}
            Said::Started => match self.upstream_agrees(now, id) {
                true => self.run_forward(now, id, conn),
                false => self.remove_forward(now, id, false),
            },
            Said::Redirect { url, goes_on } => self.move_forward(now, id, *url, goes_on),
            Said::Authenticate(auth) => {
                self.disconnect_forward(now, id, false);
                if let Some(forward) = self.forwards.find_mut(id) {
                    forward.auth = Some(auth);
                }
                self.start_forward(now, id);
            }
            Said::Ended(how) => {
                let why = match how {
                    Ended::Unpublished | Ended::Stopped => "the server has ended the stream",
                    Ended::Closed => "the server closes the connection",
                };
                self.fail_forward(now, id, why);
            }
        }
    }

    /// The server sends us elsewhere. Where the stream may go on meanwhile, it does so until it flows there.
    fn move_forward(&mut self, now: Time, id: u32, url: RtmpUrl, goes_on: bool) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        if matches!(forward.state, State::Running(_, since) if now.since(since) >= forward.policy.stable) {
            forward.redirects = 0;
        }
        forward.redirects = forward.redirects.saturating_add(1);
        let is_too_often = forward.redirects > REDIRECTS_MAX;
        if is_too_often && !goes_on {
            let why = format!("the server sends us elsewhere, {REDIRECTS_MAX} times in a row");
            self.fail_forward(now, id, &why);
            return;
        }
        match forward.state {
            State::Running(..) if is_too_often => {
                warn!("forward of {} stays: it was sent elsewhere {REDIRECTS_MAX} times", forward.name);
                return;
            }
            State::Running(conn, since) if goes_on => {
                forward.former = Some(Former { conn, since, moved: forward.moved.take() });
                if let Some(conn) = self.conns.find_mut(conn) {
                    conn.owner = Some(Owner::Former(id));
                }
            }
            _ => self.disconnect_forward(now, id, false),
        }
        let Some(forward) = self.forwards.find_mut(id) else { return };
        info!("forward of {} is sent on to {}", forward.name, shown(&url));
        (forward.moved, forward.auth) = (Some(url), None);
        self.start_forward(now, id);
    }

    /// The server lets us publish: the stream flows from here on.
    fn run_forward(&mut self, now: Time, id: u32, conn: u32) {
        let Some(forward) = self.forwards.find(id) else { return };
        let name = forward.name.clone();
        let Some(vhost) = self.settings.vhost(&name.vhost).cloned() else {
            self.fail_forward(now, id, "the vhost is no longer served");
            return;
        };
        let Some((stream, player)) = self.hub.push(now, &name, &vhost, conn) else {
            self.fail_forward(now, id, "too many streams");
            return;
        };
        let found = self.conns.find_mut(conn).and_then(|found| {
            let Session::RtmpClient(session) = &found.session else { return None };
            let rtmp = Rtmp::server(session.message_stream(), session.chunk_size(), session.hevc());
            Some((Format::Rtmp(rtmp), found))
        });
        let Some((format, found)) = found else {
            self.hub.stop_push(now, stream, conn);
            return;
        };
        found.play(Playing::new(stream, player, format));
        if let Some(stream) = self.hub.stream_mut(stream) {
            stream.attach(format.lane(), || format.mux());
        }
        self.ask_for_key(stream);
        self.queue(conn);
        let mut since = now;
        if let Some(forward) = self.forwards.find_mut(id) {
            forward.starts = forward.starts.saturating_add(1);
            match forward.former.take() {
                Some(former) => {
                    since = former.since;
                    self.retire_conn(now, former.conn, true);
                }
                None => forward.retry.up(now),
            }
        }
        self.set_forward(now, id, State::Running(conn, since), "");
    }

    /// It has failed: it is tried again, if its policy says so.
    pub(super) fn fail_forward(&mut self, now: Time, id: u32, why: &str) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        let was_asking = matches!(forward.state, State::Asking(_));
        if !was_asking && !matches!(forward.state, State::Dialing(_) | State::Running(..)) {
            return;
        }
        self.disconnect_forward(now, id, false);
        let Some(forward) = self.forwards.find_mut(id) else { return };
        if let Some(former) = forward.former.take() {
            let before = former.moved.as_ref().unwrap_or(&forward.url);
            let is_same = (&before.host, before.port) == (&forward.target().host, forward.target().port);
            if !(was_asking && is_same) {
                self.stay(now, id, former, why);
                return;
            }
            // It takes the stream only once.
            self.retire_conn(now, former.conn, true);
        }
        let Some(forward) = self.forwards.find(id) else { return };
        if was_asking && self.left.is_recent(now, &shown(forward.target())) {
            // It may think that our last publish still goes on: no failure, and soon over.
            if let Some(forward) = self.forwards.find_mut(id) {
                forward.auth = None;
            }
            self.wait_forward(now, id, now + BUSY_WAIT, why);
            return;
        }
        self.stop_forward(now, id, false);
        self.retry_forward(now, id, why);
    }

    fn retry_forward(&mut self, now: Time, id: u32, why: &str) {
        if self.try_next_origin(now, id, why) {
            return;
        }
        let entropy = self.entropy(now.as_micros() ^ u64::from(id));
        let Some(forward) = self.forwards.find_mut(id) else { return };
        let policy = forward.policy.after(via::is_ring(why));
        match forward.retry.failed(now, &policy, entropy) {
            Some(at) => self.wait_forward(now, id, at, why),
            None => self.set_forward(now, id, State::Ended, why),
        }
    }

    fn wait_forward(&mut self, now: Time, id: u32, at: Time, why: &str) {
        self.timers.set(at, Alarm::Forward(id));
        self.set_forward(now, id, State::Waiting(at), why);
    }

    /// Where the server has sent us the stream is not taken: it goes on where it is.
    fn stay(&mut self, now: Time, id: u32, former: Former, why: &str) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        let why =
            format!("{} does not take the stream, which goes on where it is: {why}", shown(forward.target()));
        (forward.moved, forward.auth) = (former.moved, None);
        if let Some(conn) = self.conns.find_mut(former.conn) {
            conn.owner = Some(Owner::Forward(id));
        }
        self.set_forward(now, id, State::Running(former.conn, former.since), &why);
    }

    /// A former connection has ended. If the stream still went over it, it has failed like any other; the next
    /// one is being made already.
    pub(super) fn lose_former(&mut self, now: Time, id: u32, why: &str) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        let conns = &self.conns;
        if forward.former.take_if(|former| conns.find(former.conn).is_none()).is_some() {
            debug!("forward of {}: the former connection has ended: {why}", forward.name);
            let state = forward.state;
            self.set_forward(now, id, state, "");
        }
    }

    fn set_forward(&mut self, now: Time, id: u32, state: State, why: &str) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        let entered = forward.state != state;
        forward.state = state;
        let told = forward.told();
        let before = std::mem::replace(&mut forward.told, told);
        let level = level_of(forward.retry.failures(), before == RelayState::Running);
        if !why.is_empty() {
            why.clone_into(&mut forward.reason);
        }
        let runs_anew = entered && matches!(state, State::Running(..));
        if before == told && why.is_empty() && !runs_anew {
            return;
        }
        let (name, url, next) = (&forward.name, shown(forward.target()), until(now, state.next()));
        match state {
            State::Running(conn, _) if why.is_empty() => info!(id = conn; "forwards {name} to {url}"),
            State::Running(conn, _) => warn!(id = conn; "forward of {name} to {url}: {why}"),
            State::Waiting(_) => {
                let ms = next.as_millis();
                log!(level, "forward of {name} to {url}: {why}; trying again in {ms} ms");
            }
            State::Ended if why.is_empty() => info!("forward of {name} to {url} is over"),
            State::Ended => warn!("forward of {name} to {url}: {why}; giving up"),
            State::Idle | State::Dialing(_) | State::Asking(_) => {}
        }
        self.tell_forward(now, id, why);
    }

    fn tell_forward(&mut self, now: Time, id: u32, why: &str) {
        let Some(forward) = self.forwards.find(id) else { return };
        let news = RelayNews {
            direction: Direction::Forward,
            id,
            stream: self.hub.find(&forward.name).unwrap_or(0),
            name: forward.name.clone(),
            url: shown(forward.target()),
            state: forward.told(),
            reason: why.to_owned(),
            next: until(now, forward.state.next()),
        };
        self.tell(Event::Relay(news));
    }

    // The connection's side.

    /// A forward has no more use for one of its connections: what is left of the stream is sent if it
    /// `may_finish`, and the server is told.
    fn retire_conn(&mut self, now: Time, id: u32, may_finish: bool) {
        let Some(conn) = self.conns.find_mut(id) else { return };
        let Some(Owner::Forward(forward) | Owner::Former(forward)) = conn.owner else { return };
        conn.owner = Some(Owner::Former(forward));
        conn.ends = Some(now + LAST_WORDS);
        match (&mut conn.play, &conn.session) {
            (Some(playing), Session::RtmpClient(session)) if may_finish => {
                let end = self.hub.stream(playing.stream).map_or(0, |stream| stream.ring().head());
                playing.until = Some(end);
                sys::take_the_rest(conn.link.socket());
                self.left.note(now, shown(session.url()));
                self.queue(id);
            }
            _ => self.end_push(now, id),
        }
        self.arm(id);
    }

    /// Everything of an ended stream is sent: the server is told that it has.
    pub(super) fn end_push(&mut self, now: Time, id: u32) {
        self.stop_push(now, id);
        if let Some(Conn { session: Session::RtmpClient(session), .. }) = self.conns.find_mut(id) {
            session.finish();
        }
        self.drain(now, id);
        self.queue(id);
    }

    /// A connection no longer sends its stream on.
    pub(super) fn stop_push(&mut self, now: Time, id: u32) {
        let Some(conn) = self.conns.find_mut(id) else { return };
        let Some(playing) = conn.stop_playing() else { return };
        if let Some(Owner::Forward(forward) | Owner::Former(forward)) = conn.owner
            && let Some(forward) = self.forwards.find_mut(forward)
        {
            forward.skips = forward.skips.saturating_add(playing.player.skips());
        }
        if let Some(stream) = self.hub.stream_mut(playing.stream) {
            stream.detach(playing.format.lane());
        }
        self.hub.stop_push(now, playing.stream, id);
    }

    /// A connection of ours is being closed.
    pub(super) fn on_push_closed(&mut self, now: Time, id: u32) {
        self.stop_push(now, id);
        if let Some(Conn { owner: Some(Owner::Forward(forward) | Owner::Former(forward)), sent, .. }) =
            self.conns.find(id)
            && let Some(forward) = self.forwards.find_mut(*forward)
        {
            forward.conns.retain(|conn| *conn != id);
            forward.sent = forward.sent.saturating_add(*sent);
        }
    }

    /// A server is too slow: frames up to a keyframe were left out.
    pub(super) fn on_skip(&mut self, now: Time, conn: u32) {
        let Some(Owner::Forward(id)) = self.conns.find(conn).and_then(|conn| conn.owner) else { return };
        let Some(forward) = self.forwards.find_mut(id) else { return };
        if forward.slow.is_some_and(|at| now.since(at) < SKIPS_EVERY) {
            return;
        }
        forward.slow = Some(now);
        let Some(forward) = self.forwards.find(id) else { return };
        let (_, skips) = forward.counts(self);
        let why =
            format!("the server is too slow: frames up to a keyframe were left out, {skips} times so far");
        warn!(id = conn; "forward of {} to {}: {why}", forward.name, shown(forward.target()));
        self.tell_forward(now, id, &why);
    }
}

impl Left {
    fn note(&mut self, now: Time, url: String) {
        while self.0.len() >= LEFT_MAX || self.0.front().is_some_and(|(at, _)| now.since(*at) >= BUSY_FOR) {
            self.0.pop_front();
        }
        self.0.push_back((now, url));
    }

    fn is_recent(&self, now: Time, url: &str) -> bool {
        self.0.iter().any(|(at, left)| now.since(*at) < BUSY_FOR && left == url)
    }
}

impl Forward {
    fn new(name: Name, url: RtmpUrl, policy: RetryPolicy, configured: bool) -> Self {
        Self {
            name,
            url,
            policy,
            upstream: None,
            configured,
            state: State::Idle,
            former: None,
            told: RelayState::Idle,
            retry: Retry::default(),
            moved: None,
            redirects: 0,
            auth: None,
            slow: None,
            reason: String::new(),
            starts: 0,
            conns: SmallVec::new(),
            sent: 0,
            skips: 0,
        }
    }

    /// Where it goes now.
    fn target(&self) -> &RtmpUrl {
        self.moved.as_ref().unwrap_or(&self.url)
    }

    fn told(&self) -> RelayState {
        if self.former.is_some() { RelayState::Running } else { self.state.told() }
    }

    /// How a failure that is about to be counted is told in the log.
    pub(super) fn level_of_failure(&self) -> Level {
        level_of(self.retry.failures().saturating_add(1), self.told == RelayState::Running)
    }

    /// Bytes sent and jumps to a keyframe, over all its connections.
    fn counts(&self, engine: &Engine) -> (u64, u32) {
        let conns = self.conns.iter().filter_map(|conn| engine.conns.find(*conn));
        conns.fold((self.sent, self.skips), |(sent, skips), conn| {
            let own = conn.play.as_ref().map_or(0, |playing| playing.player.skips());
            (sent.saturating_add(conn.sent), skips.saturating_add(own))
        })
    }

    pub(super) fn info(&self, now: Time, id: u32, engine: &Engine) -> RelayInfo {
        let (bytes, skips) = self.counts(engine);
        let since = match (&self.former, self.state) {
            (Some(former), _) => former.since,
            (None, State::Running(_, since)) => since,
            _ => now,
        };
        RelayInfo {
            direction: Direction::Forward,
            id,
            stream: engine.hub.find(&self.name).unwrap_or(0),
            name: self.name.clone(),
            url: shown(self.target()),
            state: self.told(),
            reason: self.reason.clone(),
            next: until(now, self.state.next()),
            failures: self.retry.failures(),
            starts: self.starts,
            bytes,
            skips,
            running: now.since(since),
        }
    }
}

impl State {
    fn told(self) -> RelayState {
        match self {
            Self::Idle => RelayState::Idle,
            Self::Dialing(_) | Self::Asking(_) => RelayState::Connecting,
            Self::Running(..) => RelayState::Running,
            Self::Waiting(_) => RelayState::Waiting,
            Self::Ended => RelayState::Ended,
        }
    }

    fn next(self) -> Option<Time> {
        match self {
            Self::Waiting(at) => Some(at),
            _ => None,
        }
    }
}

/// The URL as it may stand in a log: parameters are often secrets, as user and password are.
pub(super) fn shown(url: &RtmpUrl) -> String {
    let app = url.tc_url();
    format!("{}/{}", app.split('?').next().unwrap_or_default(), url.stream)
}
