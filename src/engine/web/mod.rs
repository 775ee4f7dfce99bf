//! Answering HTTP: what a path means at which port, and the answers' bodies.
//!
//! A request is looked at by those who may know its path, in this order: the API (where the port is the
//! API's), the host's own handlers, recordings, HLS, live streams, files, the page. Whoever knows it answers,
//! now or later; if nobody does it is 404.

pub(in crate::engine) mod api;
mod files;
#[cfg(feature = "hls")]
pub(in crate::engine) mod hls;
pub(in crate::engine) mod live;
pub(in crate::engine) mod mounts;
#[cfg(feature = "page")]
mod page;
#[cfg(feature = "dvr")]
pub(in crate::engine) mod timeshift;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use log::info;

use super::accept::Role;
use super::clients::hub_name;
use super::conn::{Playing, STALL_MIN, Wish};
use super::session::Said;
use super::via::HEADER;
use super::{Engine, Event};
use crate::config::table::DEFAULT_VHOST;
use crate::http::{self, Body, Limits, Method, Request, Response, Session, cors, mime};
use crate::rtmp::url::StreamName;
use crate::time::Time;

use files::FileBody;
use live::{Live, Watch};
use mounts::Answer;

/// One HTTP connection: its session, and what it is being answered with.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) session: Session,
    role: Role,
    /// What is being answered, or was last: shared with whoever answers it.
    request: Option<Arc<Request>>,
    source: Source,
}

/// Where the rest of an answer's body comes from.
#[derive(Debug, Default)]
pub(super) enum Source {
    /// There is no more.
    #[default]
    None,
    /// A file, read as the socket takes it.
    File(FileBody),
    /// A live stream, without end.
    Live,
    /// What it is to be answered with isn't there yet.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    Waiting,
    /// The host, whenever it likes.
    Host(Answer),
}

impl Web {
    pub(super) fn new(now: Time, role: Role) -> Self {
        let session = Session::new(now, Limits::default());
        Self { session, role, request: None, source: Source::None }
    }

    pub(super) fn poll_output(&mut self) -> Said {
        loop {
            return match self.session.poll_output() {
                http::Output::Transmit(bytes) => Said::Transmit(bytes),
                http::Output::Request(request) => Said::Request(request),
                // Nothing that a client might say to a stream means anything.
                http::Output::WebSocket(_) => continue,
                http::Output::Close => Said::Close,
                http::Output::Timeout(_) => Said::Timeout(self.timeout()),
            };
        }
    }

    /// The session's deadline, or the host's.
    pub(super) fn timeout(&self) -> Option<Time> {
        match &self.source {
            Source::Host(answer) => answer.deadline(),
            _ => self.session.timeout(),
        }
    }

    pub(super) fn urls(&self) -> (String, String) {
        let Some(request) = &self.request else { return Default::default() };
        let app = request.path.rsplit_once('/').map_or("", |(app, _)| app);
        let page = request.header("Referer").unwrap_or_default();
        (format!("http://{}{app}", request.authority), page.to_owned())
    }

    /// The request that is being answered.
    pub(super) fn asked(&self) -> Option<Arc<Request>> {
        self.request.clone()
    }

    /// The servers that the stream is wanted through, as the request says.
    pub(super) fn via(&self) -> &str {
        self.request.as_ref().and_then(|request| request.header(HEADER)).unwrap_or_default()
    }

    pub(super) fn name(&self) -> StreamName {
        let Some(request) = &self.request else { return StreamName::default() };
        StreamName { vhost: vhost_of(request), param: request.query.clone(), ..StreamName::default() }
    }

    /// Whether there is more of the answer to be fetched.
    pub(super) fn has_source(&self) -> bool {
        match &self.source {
            Source::File(_) => true,
            Source::Host(answer) => answer.is_full(),
            Source::None | Source::Live => false,
            #[cfg(any(feature = "hls", feature = "dvr"))]
            Source::Waiting => false,
        }
    }

    /// Whether the answer may be without end, or is waited for, so that a client who says no more is gone.
    pub(super) fn is_endless(&self) -> bool {
        match self.source {
            Source::Live => true,
            #[cfg(any(feature = "hls", feature = "dvr"))]
            Source::Waiting => true,
            Source::None | Source::File(_) | Source::Host(_) => false,
        }
    }
}

impl Engine {
    /// Answers a request, or has it answered later.
    pub(super) fn on_request(&mut self, now: Time, id: u32, request: Box<Request>) {
        let Some(web) = self.conns.find_mut(id).and_then(|conn| conn.session.web()) else { return };
        let role = web.role;
        let request = Arc::<Request>::from(request);
        web.request = Some(request.clone());
        self.route(now, id, role, &request);
        drop(request);
        // The body is whoever's that answers; an idle connection needs none.
        let kept = self.web(id).and_then(|web| web.request.as_mut());
        if let Some(kept) = kept.and_then(Arc::get_mut) {
            kept.body = Bytes::new();
        }
    }

    /// Has the request answered by who knows its path.
    fn route(&mut self, now: Time, id: u32, role: Role, request: &Request) {
        if let Some(preflight) = cors::preflight(request) {
            self.respond(now, id, preflight);
            return;
        }
        let Role::Http { server, api } = role else { return };
        let found = (api && self.api(now, id, role, request)) || self.hand_over(now, id, request);
        // Before HLS, whose playlist has the same path.
        #[cfg(feature = "dvr")]
        let found = found || (server && self.time_shift(now, id, request));
        // Before live streams: a segment may be named like one.
        #[cfg(feature = "hls")]
        let found = found || (server && self.hls(now, id, request));
        let found = found || (server && self.watch(now, id, request));
        let found = found || (server && self.file(now, id, request));
        #[cfg(feature = "page")]
        let found = found || (server && self.page(now, id, request));
        if !found {
            self.answer_text(id, 404, "there is nothing at this path");
        }
    }

    /// Sends an answer. What every answer has is added here.
    pub(super) fn respond(&mut self, now: Time, id: u32, mut response: Response) -> bool {
        let Some(web) = self.conns.find_mut(id).and_then(|conn| conn.session.web()) else { return false };
        response.date = unix_time().map(|since| since.as_secs());
        let settings = match web.role {
            Role::Http { server: true, .. } => self.settings.http_server.as_ref(),
            _ => self.settings.http_api.as_ref(),
        };
        if settings.is_some_and(|http| http.crossdomain)
            && let Some(request) = &web.request
            && request.method != Method::Options
        {
            cors::write(request, &mut response.headers);
        }
        web.session.respond(now, &response)
    }

    fn web(&mut self, id: u32) -> Option<&mut Web> {
        self.conns.find_mut(id)?.session.web()
    }

    /// Sends an answer of one line.
    pub(super) fn answer_text(&mut self, id: u32, status: u16, why: &str) {
        let now = self.now();
        self.respond(now, id, Response::with_body(status, mime::TEXT, format!("{why}\n")));
    }

    /// Whether the path is a live stream's.
    fn watch(&mut self, now: Time, id: u32, request: &Request) -> bool {
        let asked = vhost_of(request);
        let Some(vhost) = self.settings.vhost(&asked) else { return false };
        let Some(remux) = &vhost.remux else { return false };
        let Some((app, stream, container)) = live::find(remux, request.host(), &request.path) else {
            return false;
        };
        if !matches!(request.method, Method::Get | Method::Head) {
            self.answer_text(id, 405, "a stream is there to GET");
            return true;
        }
        let accept = match request.websocket() {
            Ok(accept) => accept,
            Err(refusal) => {
                self.respond(now, id, Response::refusal(&refusal));
                return true;
            }
        };
        if accept.is_some() && !container.has_websocket() {
            self.answer_text(id, 400, "only .flv and .mp4 go over WebSocket");
            return true;
        }
        let live = Live::new(container, accept.is_some(), remux);
        // What ends in .ts or .mp4 may be a segment that is gone, which nobody should wait for.
        let is_segment = vhost.hls.is_some() && container.is_of_segments();
        let name = StreamName { vhost: asked, app, stream, param: request.query.clone() };
        let full_name = hub_name(&vhost.name, &name);
        let hstrs = (remux.hstrs || self.is_pulled(&full_name)) && !is_segment;
        let published = self.hub.find(&full_name).and_then(|sid| self.hub.stream(sid));
        match published.filter(|stream| stream.publisher().is_some()) {
            None if !hstrs => {
                self.answer_text(id, 404, "the stream is not published");
                return true;
            }
            Some(stream) => {
                if let Err(why) = live.check(stream) {
                    self.answer_text(id, 415, &format!("{}: {why}", live.container.mime()));
                    return true;
                }
            }
            None => {}
        }
        if request.method == Method::Head {
            let mut response = Response::new(200);
            response.headers.push("Content-Type", live.container.mime());
            response.body = Body::UntilClose;
            self.respond(now, id, response);
            return true;
        }
        self.wish(now, id, Wish::Watch(Box::new(Watch { name, live, accept })));
        true
    }

    pub(super) fn grant_watch(&mut self, now: Time, id: u32, watch: &Watch) {
        let Some(vhost) = self.settings.vhost(&watch.name.vhost).cloned() else {
            self.answer_text(id, 404, "the vhost is no longer served");
            return;
        };
        let name = hub_name(&vhost.name, &watch.name);
        let Some((stream, player)) = self.hub.play(now, &name, &vhost, id) else {
            self.answer_text(id, 503, "too many streams");
            return;
        };
        match &watch.accept {
            Some(accept) => {
                if let Some(web) = self.conns.find_mut(id).and_then(|conn| conn.session.web()) {
                    web.session.upgrade(now, accept);
                }
            }
            None => {
                let mut response = Response::new(200);
                response.headers.push("Content-Type", watch.live.container.mime());
                response.headers.push("Cache-Control", "no-store");
                response.body = Body::UntilClose;
                self.respond(now, id, response);
            }
        }
        let Some(conn) = self.conns.find_mut(id) else { return };
        if let Some(web) = conn.session.web() {
            web.source = Source::Live;
        }
        let format = watch.live.into();
        conn.play(Playing::new(stream, player, format));
        conn.stall = vhost.play.queue_length.max(STALL_MIN);
        if let Some(found) = self.hub.stream_mut(stream) {
            found.attach(format.lane(), || format.mux());
        }
        info!(id = id; "plays {name} as {}", watch.live.container.mime());
        self.viewed(now, &name, &watch.name.param, true);
        self.ask_for_key(stream);
        let event = Event::Play(self.subject(id, stream, &name, &watch.name.param));
        self.tell(event);
    }
}

/// The vhost that a request means: `?vhost=`, else the host that it was sent to.
pub(super) fn vhost_of(request: &Request) -> String {
    let named = request.query_value("vhost").filter(|vhost| !vhost.is_empty());
    let vhost = named.map_or_else(|| request.host().to_owned(), |vhost| vhost.into_owned());
    if vhost.is_empty() { DEFAULT_VHOST.to_owned() } else { vhost }
}

/// The wall clock, where it is set.
pub(super) fn unix_time() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}
