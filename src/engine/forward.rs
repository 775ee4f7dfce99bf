//! Streams that are sent on to other servers.
//!
//! A forward is a player whose connection we have made: it has a place in the stream's ring, shares the wire
//! images of its format, skips to a keyframe when the server is slow, and costs what a player costs.

use std::net::SocketAddr;
use std::time::Duration;

use log::{info, warn};
use mio::net::TcpStream;

use super::conn::Playing;
use super::edge::Upstream;
use super::format::{Format, Rtmp};
use super::outgoing::Owner;
use super::relays::{Direction, RelayInfo, RelayNews, RelayState, until};
use super::retry::{Retry, RetryPolicy};
use super::session::Session;
use super::timers::Alarm;
use super::{Engine, Event, via};
use crate::error::{Code, Error, Result};
use crate::hub::Name;
use crate::rtmp::client::{Auth, Event as Said, Options, Purpose, Session as Client};
use crate::rtmp::server::VIA;
use crate::rtmp::url::RtmpUrl;
use crate::time::Time;

/// How often a server may send us elsewhere before that is a failure.
const REDIRECTS_MAX: u32 = 5;
/// How long what is left of a stream that has ended may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    /// How often it is tried, and for how long.
    pub retry: RetryPolicy,
}

/// One forward.
#[derive(Debug)]
pub(super) struct Forward {
    name: Name,
    pub(super) url: RtmpUrl,
    policy: RetryPolicy,
    /// What an edge's forward to its origins has besides.
    pub(super) upstream: Option<Upstream>,
    /// Whether the configuration has made it, so that it goes when the stream or the setting does.
    pub(super) configured: bool,
    state: State,
    /// The state that was told last.
    told: RelayState,
    retry: Retry,
    /// Where the server has sent us, for this connection.
    moved: Option<RtmpUrl>,
    redirects: u32,
    auth: Option<Auth>,
    reason: String,
    starts: u32,
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

impl Engine {
    /// Sends a stream on to another server whenever it is published, and answers the forward's id. It goes on
    /// until [`Engine::forward_close`], whatever becomes of the server, unless its policy says otherwise.
    pub fn forward_open(&mut self, options: &ForwardOptions) -> Result<u32> {
        let name = self.name(&options.vhost, &options.app, &options.stream)?;
        let url = RtmpUrl::parse(&options.url)
            .map_err(|e| Error::new(Code::InvalidArgument, format!("forward to {:?}: {e}", options.url)))?;
        self.add_forward(name, url, options.retry, false)
    }

    /// Ends a forward. The server is told.
    pub fn forward_close(&mut self, id: u32) -> Result<()> {
        if self.forwards.find(id).is_none() {
            return Err(Error::new(Code::NotFound, format!("no forward {id}")));
        }
        self.remove_forward(self.now(), id);
        Ok(())
    }

    pub(super) fn add_forward(
        &mut self,
        name: Name,
        url: RtmpUrl,
        policy: RetryPolicy,
        configured: bool,
    ) -> Result<u32> {
        let is_published = self.is_published(&name);
        let forward = Forward::new(name, url, policy, configured);
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

    /// Ends a forward, and that is all of it.
    pub(super) fn remove_forward(&mut self, now: Time, id: u32) {
        self.stop_forward(now, id, false);
        self.set_forward(now, id, State::Ended, "");
        self.forwards.remove(id);
        self.tell(Event::RelayGone { relay: id });
    }

    /// A publish of this stream has begun.
    pub(super) fn begin_forwards(&mut self, now: Time, name: &Name) {
        for id in self.forwards.ids() {
            // An edge's own has begun before, and goes on when the publisher changes.
            let begins = |forward: &Forward| forward.name == *name && forward.upstream.is_none();
            if self.forwards.find(id).is_some_and(begins) {
                self.stop_forward(now, id, true);
                self.start_forward(now, id);
            }
        }
        self.begin_upstream(name, "");
    }

    /// The publish of this stream has ended: its forwards send what is left and wait for the next.
    pub(super) fn end_forwards(&mut self, now: Time, name: &Name) {
        for id in self.forwards.ids() {
            let Some(forward) = self.forwards.find(id).filter(|forward| forward.name == *name) else {
                continue;
            };
            let upstream = forward.upstream.as_ref().map(|upstream| upstream.asks_for());
            if let Some(Some(_)) = upstream {
                // The next publisher's.
                continue;
            }
            self.stop_forward(now, id, true);
            self.set_forward(now, id, State::Idle, "");
            if upstream.is_some() {
                self.forwards.remove(id);
            }
        }
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
        let url = forward.moved.as_ref().unwrap_or(&forward.url);
        if let Err(why) = self.check_place(&forward.name, url) {
            self.retry_forward(now, id, &why);
            return;
        }
        let (host, port, limit) = (url.host.clone(), url.port, forward.policy.connect);
        match self.dial(now, Owner::Forward(id), &host, port, limit) {
            Some(dial) => self.set_forward(now, id, State::Dialing(dial), ""),
            None => self.retry_forward(now, id, "too many connections are being made"),
        }
    }

    /// Lets go of its connection. What is left of the stream is sent first if it `may_finish`.
    fn stop_forward(&mut self, now: Time, id: u32, may_finish: bool) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        (forward.moved, forward.redirects) = (None, 0);
        match std::mem::replace(&mut forward.state, State::Idle) {
            State::Dialing(dial) => self.undial(dial),
            State::Asking(conn) => self.let_go(now, conn, "the stream has ended"),
            State::Running(conn, _) => {
                self.count_forward(id, conn);
                match self.conns.find_mut(conn) {
                    Some(found) if may_finish => {
                        (found.owner, found.ending) = (None, true);
                        found.stall = found.stall.min(LAST_WORDS);
                        self.queue(conn);
                    }
                    _ => self.let_go(now, conn, "the forward has ended"),
                }
            }
            State::Idle | State::Waiting(_) | State::Ended => {}
        }
    }

    pub(super) fn on_forward_dialed(&mut self, now: Time, id: u32, socket: TcpStream, peer: SocketAddr) {
        let salt = self.totals.accepted ^ u64::from(id).rotate_left(32);
        let entropy = self.entropy(salt.wrapping_add(now.as_micros()));
        let Some(forward) = self.forwards.find(id) else { return };
        let url = forward.moved.as_ref().unwrap_or(&forward.url).clone();
        let link = match self.link_to(socket, &url.host, url.scheme == "rtmps") {
            Ok(link) => link,
            Err(why) => return self.fail_forward(now, id, &why),
        };
        let mut options = Options::new(Purpose::Publish, url);
        options.timeout = forward.policy.connect;
        options.auth = forward.auth.clone();
        let client = forward.upstream.as_ref().and_then(|upstream| upstream.asks_for());
        let via = self.via_of_push(&forward.name, client);
        options.properties.push((VIA, via.to_string().into()));
        options.arguments = self.who_we_are(&forward.name, id);
        let session = Session::RtmpClient(Box::new(Client::new(now, entropy, options)));
        let stall = forward.policy.stall;
        if let Some(conn) = self.open(now, Owner::Forward(id), link, peer, session) {
            if let Some(conn) = self.conns.find_mut(conn) {
                conn.stall = stall;
            }
            self.set_forward(now, id, State::Asking(conn), "");
        }
    }

    pub(super) fn on_forward_event(&mut self, now: Time, id: u32, conn: u32, said: Said) {
        match said {
            Said::Connected(_) | Said::Frame { .. } | Said::Bad { .. } => {}
            Said::Started => {
                if self.upstream_agrees(now, id) {
                    self.run_forward(now, id, conn);
                } else {
                    self.remove_forward(now, id);
                }
            }
            Said::Redirect { url, .. } => {
                let Some(forward) = self.forwards.find_mut(id) else { return };
                forward.redirects = forward.redirects.saturating_add(1);
                if forward.redirects > REDIRECTS_MAX {
                    let why = format!("the server sends us elsewhere, {REDIRECTS_MAX} times in a row");
                    self.fail_forward(now, id, &why);
                    return;
                }
                info!(id = conn; "forward of {} is sent on to {}", forward.name, url.tc_url());
                forward.moved = Some(*url);
                self.begin_anew(now, id);
            }
            Said::Authenticate(auth) => {
                if let Some(forward) = self.forwards.find_mut(id) {
                    forward.auth = Some(auth);
                }
                self.begin_anew(now, id);
            }
            Said::Ended(how) => {
                self.fail_forward(now, id, &format!("the server has ended the stream: {how:?}"))
            }
        }
    }

    /// The same over another connection, at once.
    fn begin_anew(&mut self, now: Time, id: u32) {
        let Some(forward) = self.forwards.find(id) else { return };
        let kept = (forward.moved.clone(), forward.redirects);
        self.stop_forward(now, id, false);
        if let Some(forward) = self.forwards.find_mut(id) {
            (forward.moved, forward.redirects) = kept;
        }
        self.start_forward(now, id);
    }

    /// The server lets us publish: the stream flows from here on.
    fn run_forward(&mut self, now: Time, id: u32, conn: u32) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        forward.retry.up(now);
        forward.starts = forward.starts.saturating_add(1);
        let name = forward.name.clone();
        let Some(vhost) = self.settings.vhost(&name.vhost).cloned() else {
            self.fail_forward(now, id, "the vhost is no longer served");
            return;
        };
        let Some((stream, player)) = self.hub.push(now, &name, &vhost, conn) else {
            self.fail_forward(now, id, "too many streams");
            return;
        };
        let Some(found) = self.conns.find_mut(conn) else {
            self.hub.stop_push(now, stream, conn);
            return;
        };
        let Session::RtmpClient(session) = &found.session else { return };
        let format =
            Format::Rtmp(Rtmp::server(session.message_stream(), session.chunk_size(), session.hevc()));
        found.play = Some(Playing::new(stream, player, format));
        if let Some(stream) = self.hub.stream_mut(stream) {
            stream.attach(format.lane(), || format.mux());
        }
        self.ask_for_key(stream);
        self.queue(conn);
        self.set_forward(now, id, State::Running(conn, now), "");
    }

    /// It has failed: it is tried again, if its policy says so.
    pub(super) fn fail_forward(&mut self, now: Time, id: u32, why: &str) {
        let Some(forward) = self.forwards.find(id) else { return };
        if !matches!(forward.state, State::Dialing(_) | State::Asking(_) | State::Running(..)) {
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
            Some(at) => {
                self.timers.set(at, Alarm::Forward(id));
                self.set_forward(now, id, State::Waiting(at), why);
            }
            None => self.set_forward(now, id, State::Ended, why),
        }
    }

    /// What a connection's player leaves is counted with its forward.
    fn count_forward(&mut self, id: u32, conn: u32) {
        let Some(found) = self.conns.find(conn) else { return };
        let (sent, skips) = (found.sent, found.play.as_ref().map_or(0, |playing| playing.player.skips()));
        if let Some(forward) = self.forwards.find_mut(id) {
            forward.sent = forward.sent.saturating_add(sent);
            forward.skips = forward.skips.saturating_add(skips);
        }
    }

    fn set_forward(&mut self, now: Time, id: u32, state: State, why: &str) {
        let Some(forward) = self.forwards.find_mut(id) else { return };
        forward.state = state;
        let before = std::mem::replace(&mut forward.told, state.told());
        if !why.is_empty() {
            forward.reason = why.to_owned();
        }
        if before == state.told() && why.is_empty() {
            return;
        }
        let Forward { name, url, .. } = &*forward;
        let (name, url) = (name.clone(), shown(url));
        let next = until(now, state.next());
        match state {
            State::Running(conn, _) => info!(id = conn; "forwards {name} to {url}"),
            State::Waiting(_) => {
                warn!("forward of {name} to {url}: {why}; trying again in {} ms", next.as_millis());
            }
            State::Ended if !why.is_empty() => warn!("forward of {name} to {url}: {why}; giving up"),
            _ => {}
        }
        let news = RelayNews {
            direction: Direction::Forward,
            id,
            stream: self.hub.find(&name).unwrap_or(0),
            name,
            url,
            state: state.told(),
            reason: why.to_owned(),
            next,
        };
        self.tell(Event::Relay(news));
    }

    // The connection's side.

    /// Everything of an ended stream is sent: the server is told that it has.
    pub(super) fn end_push(&mut self, now: Time, id: u32) {
        self.stop_push(now, id);
        if let Some(conn) = self.conns.find_mut(id) {
            conn.ending = false;
            if let Session::RtmpClient(session) = &mut conn.session {
                session.finish();
            }
        }
        self.drain(now, id);
        self.queue(id);
    }

    /// A connection no longer sends its stream on.
    pub(super) fn stop_push(&mut self, now: Time, id: u32) {
        let Some(conn) = self.conns.find_mut(id) else { return };
        let owner = conn.owner;
        if let Some(Owner::Forward(forward)) = owner {
            self.count_forward(forward, id);
        }
        let Some(playing) = self.conns.find_mut(id).and_then(|conn| conn.play.take()) else { return };
        if let Some(stream) = self.hub.stream_mut(playing.stream) {
            stream.detach(playing.format.lane());
        }
        self.hub.stop_push(now, playing.stream, id);
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
            told: RelayState::Idle,
            retry: Retry::default(),
            moved: None,
            redirects: 0,
            auth: None,
            reason: String::new(),
            starts: 0,
            sent: 0,
            skips: 0,
        }
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    pub(super) fn url(&self) -> &RtmpUrl {
        &self.url
    }

    pub(super) fn info(&self, now: Time, id: u32, engine: &Engine) -> RelayInfo {
        let (conn, since) = match self.state {
            State::Running(conn, since) => (engine.conns.find(conn), since),
            _ => (None, now),
        };
        let sent = conn.map_or(0, |conn| conn.sent);
        let skips = conn.and_then(|conn| conn.play.as_ref()).map_or(0, |playing| playing.player.skips());
        RelayInfo {
            direction: Direction::Forward,
            id,
            stream: engine.hub.find(&self.name).unwrap_or(0),
            name: self.name.clone(),
            url: shown(&self.url),
            state: self.state.told(),
            reason: self.reason.clone(),
            next: until(now, self.state.next()),
            failures: self.retry.failures(),
            starts: self.starts,
            bytes: self.sent.saturating_add(sent),
            skips: self.skips.saturating_add(skips),
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
