//! Streams that are pulled in: from other servers, or from files as if they were live.
//!
//! An ingest publishes its stream with the first frame that comes. Where it has several servers, the next one
//! is tried at once when one fails, and the stream stays published meanwhile.

mod edge;
mod files;
#[cfg(all(feature = "http", feature = "hls"))]
mod hls;
#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "http", feature = "hls"))]
mod merge;
#[cfg(feature = "http")]
mod pace;
mod reader;
#[cfg(test)]
mod tests;
mod timeline;

use std::net::SocketAddr;
use std::time::Duration;

use log::{info, log, warn};
use mio::net::TcpStream;

use super::forward::shown;
use super::outgoing::Owner;
use super::player::PlayerNews;
use super::relays::{Direction, RelayInfo, RelayNews, RelayState, level_of, until};
use super::retry::{Retry, RetryPolicy};
use super::session::Session;
use super::timers::Alarm;
use super::{Engine, Event, via};
use crate::config::{self, Edge, Ingest as Configured};
use crate::error::{Code, Error, Result, without_secrets};
#[cfg(feature = "http")]
use crate::http::client::Url;
use crate::hub::{Name, Source};
use crate::media::{Frame, Kind, Role};
use crate::rtmp::client::{Ended, Event as Said, Options, Purpose, Session as Client};
use crate::rtmp::server::VIA;
use crate::rtmp::url::RtmpUrl;
use crate::time::Time;

use files::Files;
#[cfg(feature = "http")]
use http::Http;

/// How often a server may send us elsewhere before that is a failure.
const REDIRECTS_MAX: u32 = 5;
/// Inputs of one ingest.
pub const INPUTS_MAX: usize = 256;

/// What the URL of a server begins with.
const SCHEMES: &str =
    if cfg!(feature = "http") { "rtmp[s]:// or http[s]:// was expected" } else { "rtmp[s]:// was expected" };

/// An ingest to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestOptions {
    /// The vhost that it is published in; empty for the default one.
    pub vhost: String,
    /// The application.
    pub app: String,
    /// The stream's name.
    pub stream: String,
    /// URLs (`rtmp://`, `rtmps://`, `http://`, `https://`), each tried when the one before it fails; or paths
    /// of files, played one after another.
    pub inputs: Vec<String>,
    /// Whether files begin again when all have been played, here or on a server.
    pub looped: bool,
    /// Whether it runs only while somebody watches: it ends so long after the last viewer.
    pub on_demand: Option<Duration>,
    /// How often it is tried, and for how long.
    pub retry: RetryPolicy,
}

/// Where an ingest's frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Input {
    Files { paths: Vec<String>, looped: bool },
    Servers(Vec<Server>),
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Server {
    Rtmp(Box<RtmpUrl>),
    #[cfg(feature = "http")]
    Http(Box<Url>),
}

/// One ingest.
#[derive(Debug)]
pub(super) struct Ingest {
    name: Name,
    input: Input,
    /// A file of a server begins again when it has been played.
    looped: bool,
    /// What comes by HLS is no recording: it has gone on while it was pulled.
    #[cfg(all(feature = "http", feature = "hls"))]
    is_live: bool,
    on_demand: Option<Duration>,
    policy: RetryPolicy,
    /// As the configuration has it, where that has made it.
    configured: Option<Configured>,
    state: State,
    /// The state that was told last.
    told: RelayState,
    /// The stream, while it is published.
    stream: Option<u32>,
    /// Which server it is at.
    turn: usize,
    /// How many of them have failed since media last flowed.
    tried: usize,
    /// Where the server has sent us, for this connection.
    moved: Option<RtmpUrl>,
    redirects: u32,
    /// Pictures wait for a keyframe: there was none yet of this connection.
    wants_key: bool,
    retry: Retry,
    reason: String,
    starts: u32,
    /// Of connections that have ended.
    received: u64,
    /// When it ends if nobody watches until then.
    ends: Option<Time>,
    /// The alarm that is set for that, which may be an earlier one.
    armed: Option<Time>,
    /// When the next frame of its files is due, which an alarm is set for.
    due: Option<Time>,
    /// The edge that has made it for its players, so that it goes with them.
    edge: Option<Edge>,
    /// The player of the host's that alone gets its frames: its stream is published nowhere.
    player: Option<u32>,
}

#[derive(Debug)]
enum State {
    /// Nobody watches.
    Idle,
    Waiting(Time),
    Files(Box<Files>),
    Dialing(u32),
    /// The connection stands, no frame has come yet.
    Asking(u32),
    Running(u32),
    #[cfg(feature = "http")]
    Http(Box<Http>),
    Ended,
}

impl Engine {
    /// Pulls a stream in, and answers the ingest's id. It goes on until [`Engine::ingest_close`], whatever
    /// becomes of the servers, unless its policy says otherwise.
    pub fn ingest_open(&mut self, options: &IngestOptions) -> Result<u32> {
        let name = self.name(&options.vhost, &options.app, &options.stream)?;
        let input = Input::parse(&options.inputs, options.looped)?;
        let mut ingest = Ingest::new(name, input, options.on_demand, options.retry);
        ingest.looped = options.looped;
        let id = self.add_ingest(ingest)?;
        let now = self.now();
        self.begin_ingest(now, id);
        Ok(id)
    }

    /// Ends an ingest. Its stream is published no longer.
    pub fn ingest_close(&mut self, id: u32) -> Result<()> {
        if self.ingests.find(id).is_none() {
            return Err(Error::new(Code::NotFound, format!("no ingest {id}")));
        }
        self.remove_ingest(self.now(), id);
        Ok(())
    }

    fn add_ingest(&mut self, ingest: Ingest) -> Result<u32> {
        let taken = self.ingests.iter().any(|(_, other)| other.name == ingest.name);
        if taken {
            return Err(Error::new(Code::Busy, format!("{} has an ingest already", ingest.name)));
        }
        let id = self.ingests.insert_with(|_| ingest);
        id.ok_or_else(|| Error::new(Code::Limit, "too many ingests"))
    }

    /// Starts it, or has it wait for somebody who watches.
    pub(super) fn begin_ingest(&mut self, now: Time, id: u32) {
        let Some(ingest) = self.ingests.find(id) else { return };
        if ingest.on_demand.is_none() || self.viewers(&ingest.name) > 0 {
            self.start_ingest(now, id);
        }
    }

    pub(super) fn remove_ingest(&mut self, now: Time, id: u32) {
        self.stop_ingest(now, id);
        self.set_ingest(now, id, State::Ended, "");
        let removed = self.ingests.remove(id);
        if removed.is_some_and(|ingest| !ingest.is_of_player()) {
            self.tell(Event::RelayGone { relay: id });
        }
    }

    /// An ingest for one of the host's players, which has yet to begin.
    pub(super) fn ingest_for_player(
        &mut self,
        player: u32,
        name: Name,
        url: &str,
        looped: bool,
        policy: RetryPolicy,
    ) -> Result<u32> {
        let mut ingest = Ingest::new(name, Input::parse(&[url.to_owned()], looped)?, None, policy);
        (ingest.looped, ingest.player) = (looped, Some(player));
        self.add_ingest(ingest)
    }

    /// What there is to say of an ingest.
    pub(super) fn ingest_info(&self, id: u32) -> Option<RelayInfo> {
        self.ingests.find(id).map(|ingest| ingest.info(self.now(), id, self))
    }

    /// Starts, stops and leaves alone the configuration's ingests, as the settings now have them.
    pub(super) fn configure_ingests(&mut self) {
        let wanted: Vec<_> = self.settings.vhosts.values().flat_map(|v| v.ingests.iter().cloned()).collect();
        let now = self.now();
        for id in self.ingests.ids() {
            let Some(configured) = self.ingests.find(id).and_then(|ingest| ingest.configured.clone()) else {
                continue;
            };
            if !wanted.contains(&configured) {
                let from = self.ingests.find(id).map_or(String::new(), Ingest::shown);
                info!("ingest {} of {from} stopped", configured.name);
                self.remove_ingest(now, id);
            }
        }
        for configured in wanted {
            if self.ingests.iter().any(|(_, ingest)| ingest.configured.as_ref() == Some(&configured)) {
                continue;
            }
            let name = Name {
                vhost: configured.vhost.clone(),
                app: configured.app.clone(),
                stream: configured.stream.clone(),
            };
            let input = match &configured.input {
                config::Input::Files(paths) => Ok(Input::Files { paths: paths.clone(), looped: true }),
                config::Input::Url(url) => Input::parse(std::slice::from_ref(url), false),
                // The host runs it, and it publishes by itself.
                config::Input::Program(_) => continue,
            };
            let label = configured.name.clone();
            let added = input.and_then(|input| {
                let Configured { on_demand, stall, retry: longest, .. } = configured;
                let policy = RetryPolicy { stall, longest, ..RetryPolicy::default() };
                let mut ingest = Ingest::new(name, input, on_demand, policy);
                (ingest.configured, ingest.looped) = (Some(configured), true);
                self.add_ingest(ingest)
            });
            match added {
                Ok(id) => self.begin_ingest(now, id),
                Err(e) => warn!("ingest {label}: {e}"),
            }
        }
    }

    /// Somebody watches a stream.
    pub(super) fn watched(&mut self, now: Time, name: &Name) {
        let Some(id) = self.ingest_of(name) else { return };
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        ingest.ends = None;
        if matches!(ingest.state, State::Idle) {
            self.start_ingest(now, id);
        }
    }

    /// Somebody who is not known by a session watches a stream, and is there for as long at least.
    #[cfg(all(feature = "hls", feature = "http"))]
    pub(super) fn glimpsed(&mut self, now: Time, name: &Name, patience: Duration) {
        if self.viewers(name) == 0 {
            self.end_ingest_after(now, name, patience);
        }
    }

    /// Somebody watches a stream no longer.
    pub(super) fn unwatched(&mut self, now: Time, name: &Name) {
        if self.viewers(name) == 0 {
            self.end_ingest_after(now, name, Duration::ZERO);
        }
    }

    /// Has the ingest of a stream end after `patience`, and after its own, unless somebody watches till then.
    fn end_ingest_after(&mut self, now: Time, name: &Name, patience: Duration) {
        let Some(id) = self.ingest_of(name) else { return };
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        if let Some(linger) = ingest.on_demand {
            let at = now + linger.max(patience);
            ingest.ends = Some(ingest.ends.map_or(at, |ends| ends.max(at)));
            self.arm_ingest(id);
        }
    }

    /// Sets the alarm for an ingest's end, if none is set that comes before: however many come and go, there is
    /// one.
    fn arm_ingest(&mut self, id: u32) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        if let Some(at) = ingest.ends
            && ingest.armed.is_none_or(|armed| at < armed)
        {
            ingest.armed = Some(at);
            self.timers.set(at, Alarm::Ingest(id));
        }
    }

    /// Who watches a stream.
    pub(super) fn viewers(&self, name: &Name) -> usize {
        let stream = self.hub.find(name).and_then(|id| self.hub.stream(id));
        stream.map_or(0, |stream| stream.viewers()).saturating_add(self.hls_viewers(name) as usize)
    }

    fn ingest_of(&self, name: &Name) -> Option<u32> {
        self.ingests.iter().find(|(_, ingest)| ingest.name == *name).map(|(id, _)| id)
    }

    /// It is to be tried again, has a frame that is due, or has been unwatched for long enough.
    pub(super) fn on_ingest_alarm(&mut self, now: Time, id: u32) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        ingest.armed.take_if(|at| *at <= now);
        if ingest.ends.is_some_and(|at| at <= now) {
            let is_pull = ingest.edge.is_some();
            #[cfg(feature = "hls")]
            let name = ingest.name.clone();
            self.stop_ingest(now, id);
            self.set_ingest(now, id, State::Idle, "");
            if is_pull {
                self.ingests.remove(id);
            }
            #[cfg(feature = "hls")]
            self.drop_idle_writer(&name);
            return;
        }
        self.arm_ingest(id);
        match self.ingests.find(id).map(|ingest| &ingest.state) {
            Some(State::Waiting(at)) if *at <= now => self.start_ingest(now, id),
            Some(State::Files(_)) => self.play_files(now, id),
            #[cfg(feature = "http")]
            Some(State::Http(_)) => self.on_http_alarm(now, id),
            _ => {}
        }
    }

    fn start_ingest(&mut self, now: Time, id: u32) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        ingest.wants_key = true;
        let Some(ingest) = self.ingests.find(id) else { return };
        if ingest.stream.is_none() && self.is_published(&ingest.name) {
            // Whoever publishes it would take it back, and so on without end.
            let why = format!("{} is being published", ingest.name);
            self.retry_ingest(now, id, &why);
            return;
        }
        match &ingest.input {
            Input::Files { paths, looped } => match Files::open(now, paths, *looped) {
                Ok(files) => {
                    self.set_ingest(now, id, State::Files(Box::new(files)), "");
                    self.play_files(now, id);
                }
                Err(e) => self.retry_ingest(now, id, &e.to_string()),
            },
            Input::Servers(servers) => {
                let url = match servers.get(ingest.turn) {
                    Some(Server::Rtmp(url)) => ingest.moved.as_ref().unwrap_or(url),
                    #[cfg(feature = "http")]
                    Some(Server::Http(_)) => {
                        if !self.start_http(now, id) {
                            self.retry_ingest(now, id, "too many connections are being made");
                        }
                        return;
                    }
                    None => return,
                };
                if let Err(why) = self.check_place(&ingest.name, url) {
                    self.fail_server(now, id, &why);
                    return;
                }
                let (host, port, limit) = (url.host.clone(), url.port, ingest.policy.connect);
                match self.dial(now, Owner::Ingest(id), &host, port, limit) {
                    Some(dial) => self.set_ingest(now, id, State::Dialing(dial), ""),
                    None => self.retry_ingest(now, id, "too many connections are being made"),
                }
            }
        }
    }

    /// Lets go of what its frames come from. The stream stays as it is.
    fn disconnect_ingest(&mut self, now: Time, id: u32) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        match std::mem::replace(&mut ingest.state, State::Idle) {
            State::Dialing(dial) => self.undial(dial),
            State::Asking(conn) | State::Running(conn) => {
                let received = self.conns.find(conn).map_or(0, |conn| conn.session.received());
                if let Some(ingest) = self.ingests.find_mut(id) {
                    ingest.received = ingest.received.saturating_add(received);
                }
                self.let_go(now, conn, "the ingest has ended");
            }
            #[cfg(feature = "http")]
            State::Http(http) => {
                if let Some(ingest) = self.ingests.find_mut(id) {
                    ingest.received = ingest.received.saturating_add(http.received);
                }
                self.drop_http(now, id, &http);
            }
            State::Files(_) | State::Idle | State::Waiting(_) | State::Ended => {}
        }
    }

    fn stop_ingest(&mut self, now: Time, id: u32) {
        self.disconnect_ingest(now, id);
        self.unpublish_ingest(id);
        if let Some(ingest) = self.ingests.find_mut(id) {
            (ingest.moved, ingest.redirects, ingest.tried, ingest.ends) = (None, 0, 0, None);
        }
    }

    fn unpublish_ingest(&mut self, id: u32) {
        if let Some(player) = self.ingests.find(id).and_then(|ingest| ingest.player) {
            self.end_of_player(self.now(), player);
        }
        if let Some(stream) = self.ingests.find_mut(id).and_then(|ingest| ingest.stream.take()) {
            self.finish_local(stream, Source::Ingest(id));
        }
    }

    /// Its stream is published by somebody else now: it is tried again later.
    pub(super) fn replace_ingest(&mut self, id: u32) {
        let now = self.now();
        if let Some(ingest) = self.ingests.find_mut(id) {
            ingest.stream = None;
            self.disconnect_ingest(now, id);
            self.retry_ingest(now, id, "another publisher has taken the stream");
        }
    }

    /// What it comes from has failed: the next server is tried at once, or all of them again later.
    pub(super) fn fail_ingest(&mut self, now: Time, id: u32, why: &str) {
        let Some(ingest) = self.ingests.find(id) else { return };
        if matches!(ingest.state, State::Idle | State::Waiting(_) | State::Ended) {
            return;
        }
        self.disconnect_ingest(now, id);
        self.fail_server(now, id, why);
    }

    fn fail_server(&mut self, now: Time, id: u32, why: &str) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        let url = ingest.shown();
        (ingest.moved, ingest.redirects) = (None, 0);
        let servers = if let Input::Servers(servers) = &ingest.input { servers.len() } else { 1 };
        ingest.turn = ingest.turn.saturating_add(1) % servers.max(1);
        ingest.tried = ingest.tried.saturating_add(1);
        if ingest.tried < servers {
            let failures = ingest.retry.failures().saturating_add(1);
            let level = level_of(failures, ingest.told == RelayState::Running);
            log!(level, "ingest of {} from {url}: {why}; trying the next server", ingest.name);
            why.clone_into(&mut ingest.reason);
            self.start_ingest(now, id);
        } else {
            self.retry_ingest(now, id, why);
        }
    }

    /// There is nothing left to be tried now.
    fn retry_ingest(&mut self, now: Time, id: u32, why: &str) {
        self.unpublish_ingest(id);
        let entropy = self.entropy(now.as_micros() ^ u64::from(id));
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        ingest.tried = 0;
        let policy = ingest.policy.after(via::is_ring(why));
        match ingest.retry.failed(now, &policy, entropy) {
            Some(at) => {
                self.timers.set(at, Alarm::Ingest(id));
                self.set_ingest(now, id, State::Waiting(at), why);
            }
            None => self.set_ingest(now, id, State::Ended, why),
        }
    }

    /// Gives what is due of the files.
    fn play_files(&mut self, now: Time, id: u32) {
        loop {
            let Some(ingest) = self.ingests.find_mut(id) else { return };
            let State::Files(files) = &mut ingest.state else { return };
            let polled = files.poll(now);
            while let Some(warning) = files.take_warning() {
                warn!("ingest of {}: {warning}", ingest.name);
            }
            match polled {
                Ok(Some(frame)) => {
                    if !self.ingest_frame(now, id, frame) {
                        return;
                    }
                }
                Ok(None) => {
                    match files.due() {
                        // Whatever wakes it, there is one alarm for each time.
                        Some(due) if ingest.due.replace(due) == Some(due) => {}
                        Some(due) => self.timers.set(due, Alarm::Ingest(id)),
                        None => self.end_ingest(now, id),
                    }
                    return;
                }
                Err(e) => {
                    let why = e.to_string();
                    self.fail_ingest(now, id, &why);
                    return;
                }
            }
        }
    }

    /// All that there was has been played.
    fn end_ingest(&mut self, now: Time, id: u32) {
        self.stop_ingest(now, id);
        self.set_ingest(now, id, State::Ended, "everything has been played");
    }

    pub(super) fn on_ingest_dialed(&mut self, now: Time, id: u32, socket: TcpStream, peer: SocketAddr) {
        let entropy = self.entropy(now.as_micros() ^ u64::from(id).rotate_left(32));
        let Some(ingest) = self.ingests.find(id) else { return };
        let Input::Servers(servers) = &ingest.input else { return };
        let Some(Server::Rtmp(url)) = servers.get(ingest.turn) else { return };
        let url = ingest.moved.as_ref().unwrap_or(url).clone();
        let policy = ingest.policy;
        let link = match self.link_to(socket, &url.host, url.scheme == "rtmps") {
            Ok(link) => link,
            Err(why) => return self.fail_ingest(now, id, &why),
        };
        let mut options = Options::new(Purpose::Play, url);
        options.timeout = policy.connect;
        options.idle = Some(policy.stall);
        let Some(ingest) = self.ingests.find(id) else { return };
        let via = self.via_of_pull(&ingest.name);
        options.properties.push((VIA, via.to_string().into()));
        if ingest.edge.is_some() {
            options.arguments = self.who_we_are(&ingest.name, id);
        }
        let session = Session::RtmpClient(Box::new(Client::new(now, entropy, options)));
        if let Some(conn) = self.open(now, Owner::Ingest(id), link, peer, session) {
            self.set_ingest(now, id, State::Asking(conn), "");
        }
    }

    pub(super) fn on_ingest_event(&mut self, now: Time, id: u32, conn: u32, said: Said) {
        match said {
            Said::Connected(_) | Said::Started => {}
            Said::Frame { frame, .. } => {
                if self.ingest_frame(now, id, frame)
                    && self.ingests.find(id).is_some_and(|ingest| matches!(ingest.state, State::Asking(_)))
                {
                    self.set_ingest(now, id, State::Running(conn), "");
                }
            }
            Said::Bad { kind, cause } => {
                let Some(conn) = self.conns.find_mut(conn) else { return };
                conn.bad_frames = conn.bad_frames.saturating_add(1);
                if conn.bad_frames.is_power_of_two() {
                    warn!("{kind:?} frame left out: {cause} ({} so far)", conn.bad_frames);
                }
            }
            Said::Redirect { url, .. } => {
                let Some(ingest) = self.ingests.find_mut(id) else { return };
                ingest.redirects = ingest.redirects.saturating_add(1);
                if ingest.redirects > REDIRECTS_MAX {
                    let why = format!("the server sends us elsewhere, {REDIRECTS_MAX} times in a row");
                    self.fail_ingest(now, id, &why);
                    return;
                }
                info!("ingest of {} is sent on to {}", ingest.name, shown(&url));
                ingest.moved = Some(*url);
                self.disconnect_ingest(now, id);
                self.start_ingest(now, id);
            }
            Said::Authenticate(_) => self.fail_ingest(now, id, "the server asks who plays"),
            Said::Ended(how) => {
                let why = match how {
                    Ended::Unpublished => "the stream is published no longer",
                    Ended::Stopped => "the stream is over",
                    Ended::Closed => "the server closes the connection",
                };
                self.fail_ingest(now, id, why);
            }
        }
    }

    /// A frame has come. `false` if the ingest had to be given up over it.
    fn ingest_frame(&mut self, now: Time, id: u32, frame: Frame) -> bool {
        let Some(ingest) = self.ingests.find_mut(id) else { return false };
        if frame.kind == Kind::Video && matches!(frame.role, Role::Key | Role::Delta) {
            // A server may begin anywhere, and what a stream that goes on was built on is another's.
            ingest.wants_key &= frame.role != Role::Key;
            if ingest.wants_key {
                return true;
            }
        }
        if let Some(player) = ingest.player {
            self.play_frame(now, player, id, frame);
            return true;
        }
        let stream = match ingest.stream {
            Some(stream) => stream,
            None => match self.publish_ingest(now, id) {
                Ok(stream) => stream,
                Err(why) => {
                    self.disconnect_ingest(now, id);
                    self.retry_ingest(now, id, &why);
                    return false;
                }
            },
        };
        if let Some(found) = self.hub.stream_mut(stream)
            && found.write(now, frame)
        {
            self.mark_dirty(stream);
        }
        true
    }

    fn publish_ingest(&mut self, now: Time, id: u32) -> std::result::Result<u32, String> {
        let gone = || "the ingest is gone".to_owned();
        let ingest = self.ingests.find(id).ok_or_else(gone)?;
        let (name, url) = (ingest.name.clone(), ingest.shown());
        let Some(vhost) = self.settings.vhost(&name.vhost).cloned() else {
            return Err(format!("vhost {} is not served", name.vhost));
        };
        let stream = self.begin_publish(now, &name, &vhost, Source::Ingest(id));
        let stream = stream.map_err(|_| format!("{name} is being published"))?;
        let ingest = self.ingests.find_mut(id).ok_or_else(gone)?;
        ingest.stream = Some(stream);
        info!("ingest of {url} plays as {name}");
        self.on_published(now, stream, &name, 0, "");
        Ok(stream)
    }

    fn set_ingest(&mut self, now: Time, id: u32, state: State, why: &str) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        ingest.state = state;
        if !why.is_empty() {
            why.clone_into(&mut ingest.reason);
        }
        if ingest.told == ingest.state.told() && why.is_empty() {
            return;
        }
        if ingest.state.told() == RelayState::Running {
            self.media_flows(now, id);
        } else {
            self.tell_ingest(now, id, why);
        }
    }

    /// Media has begun to flow.
    fn media_flows(&mut self, now: Time, id: u32) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        ingest.starts = ingest.starts.saturating_add(1);
        ingest.tried = 0;
        ingest.retry.up(now);
        self.tell_ingest(now, id, "");
    }

    fn tell_ingest(&mut self, now: Time, id: u32, why: &str) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        let told = ingest.state.told();
        let level = level_of(ingest.retry.failures(), ingest.told == RelayState::Running);
        ingest.told = told;
        let (name, url, next) = (ingest.name.clone(), ingest.shown(), until(now, ingest.state.next()));
        match told {
            RelayState::Waiting => {
                let ms = next.as_millis();
                log!(level, "ingest of {name} from {url}: {why}; trying again in {ms} ms");
            }
            RelayState::Ended if !why.is_empty() => warn!("ingest of {name} from {url} is over: {why}"),
            _ => {}
        }
        if let Some(player) = ingest.player {
            self.player_news(
                player,
                PlayerNews { stream: 0, url, state: told, reason: why.to_owned(), next },
            );
            return;
        }
        let news = RelayNews {
            direction: Direction::Ingest,
            id,
            stream: self.hub.find(&name).unwrap_or(0),
            name,
            url,
            state: told,
            reason: why.to_owned(),
            next,
        };
        self.tell(Event::Relay(news));
    }
}

impl Ingest {
    fn new(name: Name, input: Input, on_demand: Option<Duration>, policy: RetryPolicy) -> Self {
        Self {
            name,
            input,
            looped: false,
            #[cfg(all(feature = "http", feature = "hls"))]
            is_live: false,
            on_demand,
            policy,
            configured: None,
            state: State::Idle,
            told: RelayState::Idle,
            stream: None,
            turn: 0,
            tried: 0,
            moved: None,
            redirects: 0,
            wants_key: true,
            retry: Retry::default(),
            reason: String::new(),
            starts: 0,
            received: 0,
            ends: None,
            armed: None,
            due: None,
            edge: None,
            player: None,
        }
    }

    /// Whether it is there for one of the host's players alone.
    pub(super) fn is_of_player(&self) -> bool {
        self.player.is_some()
    }

    /// Where it comes from now, as it may stand in a log.
    fn shown(&self) -> String {
        match &self.input {
            Input::Files { paths, .. } => paths.join(" "),
            Input::Servers(servers) => match (&self.moved, servers.get(self.turn)) {
                (Some(url), _) => shown(url),
                (None, Some(Server::Rtmp(url))) => shown(url),
                #[cfg(feature = "http")]
                (None, Some(Server::Http(url))) => http::shown(url),
                (None, None) => String::new(),
            },
        }
    }

    pub(super) fn info(&self, now: Time, id: u32, engine: &Engine) -> RelayInfo {
        let received = match &self.state {
            State::Running(conn) | State::Asking(conn) => {
                engine.conns.find(*conn).map_or(0, |conn| conn.session.received())
            }
            #[cfg(feature = "http")]
            State::Http(http) => http.received,
            _ => 0,
        };
        let since = self.retry.since().filter(|_| self.state.told() == RelayState::Running);
        RelayInfo {
            direction: Direction::Ingest,
            id,
            stream: engine.hub.find(&self.name).unwrap_or(0),
            name: self.name.clone(),
            url: self.shown(),
            state: self.state.told(),
            reason: self.reason.clone(),
            next: until(now, self.state.next()),
            failures: self.retry.failures(),
            starts: self.starts,
            bytes: self.received.saturating_add(received),
            skips: 0,
            running: since.map_or(Duration::ZERO, |since| now.since(since)),
        }
    }
}

impl Input {
    fn parse(inputs: &[String], looped: bool) -> Result<Self> {
        let argument = |message: String| Error::new(Code::InvalidArgument, message);
        if inputs.is_empty() || inputs.len() > INPUTS_MAX {
            return Err(argument(format!(
                "1 to {INPUTS_MAX} inputs were expected, there are {}",
                inputs.len()
            )));
        }
        if inputs.iter().any(|input| input.trim().is_empty()) {
            return Err(argument("an input is empty; a URL or a file's path was expected".into()));
        }
        if inputs.iter().all(|input| !input.contains("://")) {
            return Ok(Self::Files { paths: inputs.to_vec(), looped });
        }
        let server = |input: &String| {
            let wrong =
                |e: &dyn std::fmt::Display| argument(format!("ingest of {:?}: {e}", without_secrets(input)));
            let scheme = input.split_once("://").map_or("", |(scheme, _)| scheme);
            match scheme.trim_start().to_ascii_lowercase().as_str() {
                #[cfg(feature = "http")]
                "http" | "https" => Ok(Server::Http(Box::new(Url::parse(input).map_err(|e| wrong(&e))?))),
                "rtmp" | "rtmps" => Ok(Server::Rtmp(Box::new(RtmpUrl::parse(input).map_err(|e| wrong(&e))?))),
                _ => Err(wrong(&SCHEMES)),
            }
        };
        inputs.iter().map(server).collect::<Result<_>>().map(Self::Servers)
    }
}

impl State {
    fn told(&self) -> RelayState {
        match self {
            Self::Idle => RelayState::Idle,
            Self::Waiting(_) => RelayState::Waiting,
            Self::Dialing(_) | Self::Asking(_) => RelayState::Connecting,
            #[cfg(feature = "http")]
            Self::Http(http) if http.since.is_none() => RelayState::Connecting,
            #[cfg(feature = "http")]
            Self::Http(_) => RelayState::Running,
            Self::Files(_) | Self::Running(_) => RelayState::Running,
            Self::Ended => RelayState::Ended,
        }
    }

    fn next(&self) -> Option<Time> {
        match self {
            Self::Waiting(at) => Some(*at),
            _ => None,
        }
    }
}
