//! HLS over HTTP: playlists that may wait for what is to come, segments from memory or a folder, and
//! players who are known by the session in their playlist's URL.

use std::time::Duration;

use bytes::Bytes;
use log::info;

use super::super::clients::hub_name;
use super::super::conn::Wish;
use super::super::timers::Alarm;
use super::super::{Engine, Event, Subject};
use super::{Source, files, live, vhost_of};
use crate::config::Vhost;
use crate::hls::{Answer, Reload};
use crate::http::range::{self, Range};
use crate::http::{Body, Method, Request, Response, mime};
use crate::hub::Name;
use crate::rtmp::url::{self, StreamName};
use crate::time::Time;

/// Requests that may wait for one stream.
const WAITING_MAX: usize = 1024;
/// A playlist that isn't there yet is waited for so long.
const FIRST_PLAYLIST: Duration = Duration::from_secs(10);
/// A player who hasn't asked for the playlist for so long, and three target durations more, is gone.
const IDLE: Duration = Duration::from_secs(5);
/// The query's name of a session, as in SRS.
const CTX: &str = "hls_ctx";

/// A request that waits for something to come.
#[derive(Debug)]
pub(in crate::engine) struct Waiting {
    conn: u32,
    what: What,
    until: Time,
}

/// What is asked of a writer.
#[derive(Debug, Clone)]
pub(in crate::engine) enum What {
    Master { uri: String },
    Playlist { reload: Reload, context: Option<String> },
    File { name: String },
}

/// What a player who comes without a session asks for.
#[derive(Debug)]
pub(in crate::engine) struct Open {
    pub(in crate::engine) name: StreamName,
    /// The stream's writer; none where the stream comes when it is played.
    segments: Option<u32>,
    /// The session that it names, if it does.
    ctx: Option<String>,
}

/// A player of HLS: a client without a connection of its own.
#[derive(Debug)]
pub(in crate::engine) struct HlsPlayer {
    pub(in crate::engine) ctx: String,
    pub(in crate::engine) name: Name,
    pub(in crate::engine) param: String,
    pub(in crate::engine) address: std::net::SocketAddr,
    pub(in crate::engine) tc_url: String,
    pub(in crate::engine) page_url: String,
    pub(in crate::engine) began: Time,
    pub(in crate::engine) sent: u64,
    last: Time,
    idle: Duration,
    /// The host has sent it away: its session is worth nothing until it is forgotten.
    kicked: bool,
    /// The servers that it asks through, as it says.
    pub(in crate::engine) via: String,
}

impl HlsPlayer {
    /// Whether the host has sent it away.
    pub(in crate::engine) fn is_kicked(&self) -> bool {
        self.kicked
    }
}

impl Engine {
    /// Whether the path is a playlist's or a segment's.
    pub(super) fn hls(&mut self, now: Time, id: u32, request: &Request) -> bool {
        let Some(vhost) = self.settings.vhost(&vhost_of(request)) else { return false };
        let path = request.path.strip_prefix('/').unwrap_or_default();
        let found = self.segments.iter().find_map(|(sid, s)| {
            if !s.is_served() || s.name.vhost != vhost.name {
                return None;
            }
            let is_playlist = s.writer.playlist_name() == path;
            (is_playlist || s.file(path) != Answer::Absent).then_some((sid, is_playlist))
        });
        let Some((sid, is_playlist)) = found else {
            return self.hls_on_demand(now, id, request) || self.hls_from_folder(now, id, request);
        };
        if !matches!(request.method, Method::Get | Method::Head) {
            self.answer_text(id, 405, "a playlist is there to GET");
            return true;
        }
        if !is_playlist {
            self.touch(now, request, 0);
            self.ask_writer(now, id, sid, What::File { name: path.to_owned() });
            return true;
        }
        let Some(reload) = Reload::parse(&request.query) else {
            self.answer_text(id, 400, "_HLS_msn and _HLS_part are numbers");
            return true;
        };
        let wants_ctx = self.segments.find(sid).is_some_and(|s| s.settings.ctx);
        if !wants_ctx {
            self.glimpse(now, sid, &request.query);
            self.ask_writer(now, id, sid, What::Playlist { reload, context: None });
            return true;
        }
        let ctx = request.query_value(CTX).filter(|ctx| !ctx.is_empty()).map(|ctx| ctx.into_owned());
        let known = ctx.as_ref().and_then(|ctx| self.hls_players.find(self.player_of(ctx)?));
        match (known.map(|player| player.kicked), &ctx) {
            (Some(true), _) => self.answer_text(id, 403, "sent away by the host"),
            (Some(false), Some(ctx)) => {
                let context = Some(format!("{CTX}={ctx}"));
                self.touch(now, request, 0);
                self.ask_writer(now, id, sid, What::Playlist { reload, context });
            }
            _ => {
                let name = self.segments.find(sid).map(|s| s.name.clone());
                let Some(Name { app, stream, .. }) = name else { return false };
                let name = StreamName { vhost: vhost_of(request), app, stream, param: request.query.clone() };
                self.wish(now, id, Wish::Hls(Box::new(Open { name, segments: Some(sid), ctx })));
            }
        }
        true
    }

    /// Whether the path is the playlist of a stream that comes when it is asked for.
    fn hls_on_demand(&mut self, now: Time, id: u32, request: &Request) -> bool {
        let asked = vhost_of(request);
        let Some(vhost) = self.settings.vhost(&asked).cloned() else { return false };
        let Some(hls) = &vhost.hls else { return false };
        let path = request.path.strip_prefix('/').unwrap_or_default();
        let pattern = hls.m3u8_file.replace("[vhost]", &vhost.name);
        let Some((app, stream)) = live::matched(&pattern, path) else { return false };
        let name = Name { vhost: vhost.name.clone(), app: app.clone(), stream: stream.clone() };
        // What can't be a name can't be fetched either.
        if !self.is_pulled(&name) || url::resolve("", &app, &stream).is_err() {
            return false;
        }
        if hls.ctx {
            let name = StreamName { vhost: asked, app, stream, param: request.query.clone() };
            let ctx = request.query_value(CTX).filter(|ctx| !ctx.is_empty()).map(|ctx| ctx.into_owned());
            self.wish(now, id, Wish::Hls(Box::new(Open { name, segments: None, ctx })));
            return true;
        }
        let Some(sid) = self.writer_of(&name, &vhost) else { return false };
        self.glimpse(now, sid, &request.query);
        let reload = Reload::parse(&request.query).unwrap_or_default();
        self.ask_writer(now, id, sid, What::Playlist { reload, context: None });
        true
    }

    /// The vhost's writer for a stream that may not be there yet.
    fn writer_of(&mut self, name: &Name, vhost: &Vhost) -> Option<u32> {
        let all = self.hls_of(name, vhost);
        all.into_iter().find(|id| self.segments.find(*id).is_some_and(|segments| segments.is_served()))
    }

    /// Somebody plays who is not known by a session.
    fn glimpse(&mut self, now: Time, sid: u32, param: &str) {
        let Some(segments) = self.segments.find(sid) else { return };
        let (name, patience) = (segments.name.clone(), segments.patience() + IDLE);
        self.viewed(now, &name, param, true);
        self.glimpsed(now, &name, patience);
    }

    /// A player may play: it gets a session, by way of a master playlist.
    pub(in crate::engine) fn grant_hls(&mut self, now: Time, id: u32, open: &Open) {
        let sid = open.segments.or_else(|| {
            let vhost = self.settings.vhost(&open.name.vhost)?.clone();
            self.writer_of(&hub_name(&vhost.name, &open.name), &vhost)
        });
        let Some((sid, segments)) = sid.and_then(|sid| Some((sid, self.segments.find(sid)?))) else {
            self.answer_text(id, 404, "the stream has ended");
            return;
        };
        let (name, idle) = (segments.name.clone(), segments.patience() + IDLE);
        let file = segments.writer.playlist_name().rsplit('/').next().unwrap_or_default().to_owned();
        let Some(conn) = self.conns.find_mut(id) else { return };
        let address = conn.peer;
        let (tc_url, page_url) = conn.session.urls();
        let via = conn.session.web().map_or(String::new(), |web| web.via().to_owned());
        let salt = u64::from(id) ^ now.as_micros().rotate_left(20);
        let secret = self.entropy(salt);
        let is_new = open.ctx.is_none();
        if self.hls_players.len() >= self.settings.max_connections {
            self.answer_text(id, 503, "too many players");
            return;
        }
        let param = open.name.param.clone();
        let player_name = name.clone();
        let mut ctx = String::new();
        let player = self.hls_players.insert_with(|id| HlsPlayer {
            ctx: {
                ctx = open.ctx.clone().unwrap_or_else(|| format!("{secret:016x}{id:08x}"));
                ctx.clone()
            },
            name: player_name,
            param: param.clone(),
            address,
            tc_url,
            page_url,
            began: now,
            sent: 0,
            last: now,
            idle,
            kicked: false,
            via,
        });
        let Some(player) = player else {
            self.answer_text(id, 503, "too many players");
            return;
        };
        self.timers.set(now + idle, Alarm::HlsPlayer(player));
        info!(id = player; "plays {name} as HLS");
        let stream = self.hub.find(&name).unwrap_or(0);
        let subject = Subject {
            client: player,
            stream,
            address: Some(address),
            name: name.clone(),
            param: param.clone(),
        };
        self.tell(Event::Play(subject));
        self.viewed(now, &name, &param, true);
        let context = format!("{CTX}={ctx}");
        if is_new {
            let query = if param.is_empty() { String::new() } else { format!("&{param}") };
            self.ask_writer(now, id, sid, What::Master { uri: format!("{file}?{context}{query}") });
        } else {
            let reload = Reload::parse(&param).unwrap_or_default();
            let context = Some(context);
            self.ask_writer(now, id, sid, What::Playlist { reload, context });
        }
    }

    /// A player who may be gone.
    pub(in crate::engine) fn on_hls_player_alarm(&mut self, now: Time, id: u32) {
        let Some(player) = self.hls_players.find(id) else { return };
        let due = player.last + player.idle;
        if due > now {
            self.timers.set(due, Alarm::HlsPlayer(id));
            return;
        }
        let Some(player) = self.hls_players.remove(id) else { return };
        if !player.kicked {
            self.stopped(now, id, player.name, player.param, player.address);
        }
        self.hls_players.shrink();
    }

    /// Sends a player of HLS away. `false` if there is none of that id.
    pub(in crate::engine) fn kick_hls(&mut self, id: u32) -> bool {
        let Some(player) = self.hls_players.find_mut(id).filter(|player| !player.kicked) else {
            return false;
        };
        player.kicked = true;
        let (name, param, address) = (player.name.clone(), player.param.clone(), player.address);
        self.stopped(self.now(), id, name, param, address);
        true
    }

    /// Asks again for those who wait, since something has come, or it is late.
    pub(in crate::engine) fn answer_waiting(&mut self, now: Time, sid: u32) {
        let Some(segments) = self.segments.find_mut(sid).filter(|s| !s.waiting.is_empty()) else { return };
        for waiting in std::mem::take(&mut segments.waiting) {
            let Some(segments) = self.segments.find(sid) else { return };
            match ask(segments, &waiting.what) {
                Answer::NotYet if segments.refused && self.is_waiting(waiting.conn) => {
                    self.never(sid, waiting.conn);
                    self.drain(now, waiting.conn);
                    self.queue(waiting.conn);
                }
                Answer::NotYet if waiting.until > now && self.is_waiting(waiting.conn) => {
                    if let Some(segments) = self.segments.find_mut(sid) {
                        segments.waiting.push(waiting);
                    }
                }
                answer => {
                    self.answer_hls(now, waiting.conn, &waiting.what, answer);
                    self.drain(now, waiting.conn);
                    self.queue(waiting.conn);
                }
            }
        }
    }

    /// What they wait for will not come.
    pub(in crate::engine) fn refuse_waiting(&mut self, sid: u32) {
        let now = self.now();
        let Some(segments) = self.segments.find_mut(sid) else { return };
        for waiting in std::mem::take(&mut segments.waiting) {
            self.answer_hls(now, waiting.conn, &waiting.what, Answer::Absent);
            self.drain(now, waiting.conn);
            self.queue(waiting.conn);
        }
    }

    fn ask_writer(&mut self, now: Time, id: u32, sid: u32, what: What) {
        let Some(segments) = self.segments.find_mut(sid) else {
            self.answer_text(id, 404, "the stream has ended");
            return;
        };
        let answer = ask(segments, &what);
        if answer == Answer::NotYet && segments.refused {
            return self.never(sid, id);
        }
        if answer != Answer::NotYet {
            self.answer_hls(now, id, &what, answer);
            return;
        }
        if segments.waiting.len() >= WAITING_MAX {
            self.answer_text(id, 503, "too many requests wait for this stream");
            return;
        }
        let patience =
            if segments.writer.target_duration().is_some() { segments.patience() } else { FIRST_PLAYLIST };
        let until = now + patience;
        segments.waiting.push(Waiting { conn: id, what, until });
        self.timers.set(until, Alarm::Hls(sid));
        self.give(id, Source::Waiting);
    }

    /// No playlist comes of this publish, since nothing of it can be carried: says why.
    fn never(&mut self, sid: u32, id: u32) {
        let why = self.segments.find(sid).and_then(|segments| segments.trouble.clone()).unwrap_or_default();
        if let Some(web) = self.conns.find_mut(id).and_then(|conn| conn.session.web()) {
            web.source = Source::None;
        }
        self.answer_text(id, 404, &why);
    }

    fn answer_hls(&mut self, now: Time, id: u32, what: &What, answer: Answer) {
        let Some(web) = self.conns.find_mut(id).and_then(|conn| conn.session.web()) else { return };
        web.source = Source::None;
        let request = web.request.clone();
        let bytes = match answer {
            Answer::Ready(bytes) => bytes,
            Answer::BadRequest => return self.answer_text(id, 400, "that segment is too far ahead"),
            Answer::Absent => return self.answer_text(id, 404, "there is no such segment, or no longer"),
            Answer::NotYet if matches!(what, What::File { .. } | What::Playlist { .. }) => {
                return self.answer_text(id, 503, "the stream has brought nothing new");
            }
            Answer::NotYet => return self.answer_text(id, 404, "there is no playlist yet"),
        };
        let Some(request) = request else { return };
        self.touch(now, &request, bytes.len() as u64);
        let mut response = Response::new(200);
        let (media, cache) = match what {
            // A session is one player's.
            What::Master { .. } => (mime::M3U8, "no-store"),
            // What was waited for stays true for a while; the newest doesn't.
            What::Playlist { reload: Reload { msn: Some(_), .. }, .. } => (mime::M3U8, "max-age=10"),
            What::Playlist { .. } => (mime::M3U8, "max-age=1"),
            What::File { name } => (mime::of(name), "max-age=60"),
        };
        response.headers.push("Content-Type", media);
        response.headers.push("Cache-Control", cache);
        response.body = Body::Full(bytes.clone());
        if let What::File { .. } = what {
            ranged(&request, &mut response, &bytes);
        }
        self.respond(now, id, response);
    }

    /// A segment that lies in a vhost's folder, which need not be beneath the web server's.
    fn hls_from_folder(&mut self, now: Time, id: u32, request: &Request) -> bool {
        let Some(vhost) = self.settings.vhost(&vhost_of(request)) else { return false };
        let Some(hls) = vhost.hls.as_ref().filter(|hls| !hls.path.is_empty()) else { return false };
        let suffix = request.path.rsplit('.').next();
        if !suffix.is_some_and(|suffix| matches!(suffix, "m3u8" | "ts" | "m4s" | "mp4" | "key")) {
            return false;
        }
        let key = hls.keys.as_ref().and_then(|keys| files::locate(&keys.path, &request.path));
        let Some(found) = files::locate(&hls.path, &request.path).or(key) else { return false };
        self.touch(now, request, 0);
        self.send_file(now, id, request, &found);
        true
    }

    /// The player whose session a request names has asked for something, and been sent so much.
    fn touch(&mut self, now: Time, request: &Request, sent: u64) {
        let Some(player) = request.query_value(CTX).and_then(|ctx| self.player_of(&ctx)) else { return };
        if let Some(player) = self.hls_players.find_mut(player) {
            player.last = now;
            player.sent = player.sent.saturating_add(sent);
        }
    }

    /// The player of a session. Its id stands at the end, where the session is of this run.
    fn player_of(&self, ctx: &str) -> Option<u32> {
        let named = ctx.get(16..).and_then(|id| u32::from_str_radix(id, 16).ok());
        let is_named = |id: &u32| self.hls_players.find(*id).is_some_and(|player| player.ctx == ctx);
        named
            .filter(is_named)
            .or_else(|| self.hls_players.iter().find(|(_, player)| player.ctx == ctx).map(|(id, _)| id))
    }

    fn stopped(&mut self, now: Time, client: u32, name: Name, param: String, address: std::net::SocketAddr) {
        info!(id = client; "stopped playing {name} as HLS");
        self.unwatched(now, &name);
        let stream = self.hub.find(&name).unwrap_or(0);
        self.tell(Event::Stop(Subject { client, stream, address: Some(address), name, param }));
    }

    /// Whether the connection still waits for an answer of ours.
    fn is_waiting(&mut self, id: u32) -> bool {
        let web = self.conns.find_mut(id).filter(|conn| !conn.dead).and_then(|conn| conn.session.web());
        web.is_some_and(|web| matches!(web.source, Source::Waiting))
    }
}

fn ask(segments: &super::super::hls::Segments, what: &What) -> Answer {
    match what {
        What::Master { uri } => segments.writer.master(uri),
        What::Playlist { reload, context } => {
            let context = context.as_deref().filter(|_| segments.settings.ts_ctx);
            segments.writer.playlist(reload, context)
        }
        What::File { name } => segments.file(name),
    }
}

/// Some of the bytes, where the request asks for no more.
fn ranged(request: &Request, response: &mut Response, bytes: &Bytes) {
    response.headers.push("Accept-Ranges", "bytes");
    let total = bytes.len() as u64;
    let Some(field) = request.header("Range").filter(|_| request.method == Method::Get) else { return };
    match range::parse(field, total) {
        Range::Whole => {}
        Range::Part { offset, len } => {
            response.status = 206;
            response.headers.push("Content-Range", &range::content_range(offset, len, total));
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let to = from.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)).min(bytes.len());
            response.body = Body::Full(bytes.slice(from..to));
        }
        Range::Unsatisfiable => {
            response.status = 416;
            response.headers.push("Content-Range", &range::content_range_unsatisfiable(total));
            response.body = Body::None;
        }
    }
}
