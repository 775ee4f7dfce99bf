//! Streams over HTTP: FLV and MPEG-TS as they come, and HLS. Which it is, the first bytes tell.
//!
//! A body whose length is told is a file, and is played in real time, as HLS is.

use std::time::Duration;

use bytes::Bytes;
use log::warn;

#[cfg(feature = "hls")]
use super::hls::Hls;
use super::merge::Merge;
use super::pace::Pacer;
use super::reader::Cause;
use super::{Input, Server, State};
use crate::engine::Engine;
use crate::engine::fetch::{Fetched, Order, Purpose};
use crate::engine::timers::Alarm;
use crate::engine::via;
use crate::flv;
use crate::http::client::{ResponseHead, Url};
use crate::media::{Frame, Unwrap};
use crate::mpegts;
use crate::time::Time;

/// What MPEG-TS begins with (ISO 13818-1, 2.4.3.2).
const TS_SYNC: u8 = 0x47;
/// Bytes without a frame after which a stream is given up: twice the longest frame.
pub(super) const BARREN_BYTES: u64 = 16 * 1024 * 1024;

/// A stream that is fetched.
#[derive(Debug)]
pub(super) struct Http {
    /// Since when there have been frames.
    pub(super) since: Option<Time>,
    pub(super) received: u64,
    pub(super) source: Source,
    /// What holds frames until they are due, where more comes than is.
    pub(super) pacer: Option<Box<Pacer>>,
    /// Bytes since the last frame.
    pub(super) barren: u64,
    /// Without a frame until then it has failed; a file has none once it plays.
    deadline: Option<Time>,
    /// When it is looked at the next time.
    alarm: Option<Time>,
    /// All has come.
    pub(super) is_over: bool,
    /// There has been a frame since it was begun.
    has_played: bool,
}

#[derive(Debug)]
pub(super) enum Source {
    /// The body of one answer.
    Body(Box<Body>),
    #[cfg(feature = "hls")]
    Hls(Box<Hls>),
}

#[derive(Debug)]
pub(super) struct Body {
    pub(super) fetch: u32,
    /// Where it is in the end, and what is said of it.
    found: Option<(Url, String)>,
    demuxer: Demuxer,
}

#[derive(Debug)]
enum Demuxer {
    /// Too little has come to tell.
    Unknown(Vec<u8>),
    Flv {
        demuxer: Box<flv::file::Demuxer>,
        clock: Unwrap,
        /// Why the last tag was left out, if any was.
        left_out: Option<String>,
    },
    Ts {
        demuxer: Box<mpegts::Demuxer>,
        /// Brings its tracks together: sound comes in heaps.
        merge: Merge,
    },
}

/// What the first bytes have told.
enum Told {
    /// Nothing yet, or it had been told before.
    Nothing,
    /// It is a stream; these bytes are its beginning.
    Stream(Vec<u8>),
    /// It is a playlist; these bytes are its beginning.
    Playlist(Vec<u8>),
}

impl Engine {
    /// Asks for the stream of the server whose turn it is. Whether that could be tried.
    pub(super) fn start_http(&mut self, now: Time, id: u32) -> bool {
        let Some(source) = self.fetch_stream(now, id) else { return false };
        let Some(ingest) = self.ingests.find(id) else { return false };
        let http = Http {
            since: None,
            received: 0,
            source,
            pacer: None,
            barren: 0,
            deadline: Some(now + ingest.policy.connect),
            alarm: None,
            is_over: false,
            has_played: false,
        };
        self.set_ingest(now, id, State::Http(Box::new(http)), "");
        self.arm_http(id);
        true
    }

    fn fetch_stream(&mut self, now: Time, id: u32) -> Option<Source> {
        let ingest = self.ingests.find(id)?;
        let Input::Servers(servers) = &ingest.input else { return None };
        let Some(Server::Http(url)) = servers.get(ingest.turn) else { return None };
        let mut order = Order::get((**url).clone(), ingest.policy.connect, ingest.policy.stall);
        order.headers.push(via::HEADER, &self.via_of_pull(&ingest.name).to_string());
        let fetch = self.fetch(now, Purpose::Ingest(id), order)?;
        let demuxer = Demuxer::Unknown(Vec::new());
        Some(Source::Body(Box::new(Body { fetch, found: None, demuxer })))
    }

    /// Lets go of what it is fetched by.
    pub(super) fn drop_http(&mut self, now: Time, id: u32, http: &Http) {
        match &http.source {
            Source::Body(body) => self.abandon(now, body.fetch),
            #[cfg(feature = "hls")]
            Source::Hls(hls) => hls.fetches().for_each(|fetch| self.abandon(now, fetch)),
        }
        self.drop_kept(now, Purpose::Ingest(id));
    }

    pub(in crate::engine) fn on_ingest_fetched(&mut self, now: Time, id: u32, fetch: u32, fetched: Fetched) {
        let Some(http) = self.http_of(id) else { return };
        match &mut http.source {
            Source::Body(body) if body.fetch == fetch => self.on_body_fetched(now, id, fetched),
            Source::Body(_) => {}
            #[cfg(feature = "hls")]
            Source::Hls(_) => self.on_hls_fetched(now, id, fetch, fetched),
        }
    }

    fn on_body_fetched(&mut self, now: Time, id: u32, fetched: Fetched) {
        match fetched {
            Fetched::Head(head, url) => self.take_head(now, id, &head, url),
            Fetched::Body(bytes) => self.take_body(now, id, &bytes),
            Fetched::End | Fetched::Whole(..) => {
                let Some(http) = self.http_of(id) else { return };
                http.is_over = true;
                if let Some(pacer) = &mut http.pacer {
                    http.source.flush(|frame| pacer.push(frame));
                    pacer.settle();
                }
                self.play_http(now, id);
            }
            Fetched::Failed(why) => self.fail_ingest(now, id, &why),
        }
    }

    fn take_head(&mut self, now: Time, id: u32, head: &ResponseHead, url: Url) {
        if let Err(why) = checked(head, &url, 200) {
            self.fail_ingest(now, id, &why);
            return;
        }
        let Some(http) = self.http_of(id) else { return };
        if let Some(body) = http.source.body() {
            let kind = head.headers.get("Content-Type").unwrap_or("none").chars().take(64).collect();
            body.found = Some((url, kind));
        }
        if head.headers.get("Content-Length").is_some() {
            http.pacer.get_or_insert_default();
        }
        self.arm_http(id);
    }

    fn take_body(&mut self, now: Time, id: u32, bytes: &Bytes) {
        let Some(http) = self.http_of(id) else { return };
        http.take_in(bytes);
        let Some(body) = http.source.body() else { return };
        let first = match body.begin(bytes) {
            Ok(Told::Nothing) => None,
            Ok(Told::Stream(first)) => Some(first),
            Ok(Told::Playlist(first)) => {
                self.start_hls(now, id, &first);
                return;
            }
            Err(why) => {
                self.fail_ingest(now, id, &why);
                return;
            }
        };
        let mut input = first.as_deref().unwrap_or(bytes);
        loop {
            let Some(http) = self.http_of(id) else { return };
            let Some(body) = http.source.body() else { return };
            match body.demuxer.next(&mut input) {
                Ok(Some(frame)) => {
                    http.barren = 0;
                    if let Some(pacer) = &mut http.pacer {
                        pacer.push(frame);
                    } else if !self.give_frame(now, id, frame) {
                        return;
                    }
                }
                Ok(None) => break,
                Err(why) => {
                    self.fail_ingest(now, id, &why);
                    return;
                }
            }
        }
        let Some(http) = self.http_of(id) else { return };
        if http.barren > BARREN_BYTES {
            let why = format!("no frame in {BARREN_BYTES} bytes{}", http.source.hint());
            self.fail_ingest(now, id, &why);
            return;
        }
        if http.pacer.as_ref().is_some_and(|pacer| pacer.is_full())
            && let Some(fetch) = http.source.body().map(|body| body.fetch)
        {
            self.pause_fetch(now, fetch, true);
        }
        self.play_http(now, id);
    }

    /// Gives what is due. At the end it is begun with again, or is over.
    pub(super) fn play_http(&mut self, now: Time, id: u32) {
        loop {
            #[cfg(feature = "hls")]
            if !self.advance_hls(now, id) {
                return;
            }
            let Some(http) = self.http_of(id) else { return };
            let Some((dts, frame)) = http.pacer.as_mut().and_then(|pacer| pacer.pop(now)) else { break };
            #[cfg(feature = "hls")]
            if let Source::Hls(hls) = &mut http.source {
                hls.played(now, dts);
            }
            #[cfg(not(feature = "hls"))]
            let _ = dts;
            if !self.give_frame(now, id, frame) {
                return;
            }
        }
        let Some(http) = self.http_of(id) else { return };
        if http.is_over && http.pacer.as_ref().is_none_or(|pacer| pacer.is_empty()) {
            self.finish_http(now, id);
            return;
        }
        if http.pacer.as_ref().is_some_and(|pacer| pacer.has_room()) {
            let fetches: Vec<u32> = match &http.source {
                Source::Body(body) => vec![body.fetch],
                #[cfg(feature = "hls")]
                Source::Hls(hls) => hls.fetches().collect(),
            };
            fetches.into_iter().for_each(|fetch| self.pause_fetch(now, fetch, false));
        }
        self.arm_http(id);
    }

    /// Looks whether something is due, or too late.
    pub(super) fn on_http_alarm(&mut self, now: Time, id: u32) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        let State::Http(http) = &mut ingest.state else { return };
        if http.alarm.is_some_and(|at| at <= now) {
            http.alarm = None;
        }
        if http.deadline().is_some_and(|at| at <= now) {
            let limit = if http.has_played { ingest.policy.stall } else { ingest.policy.connect };
            let (ms, hint) = (limit.as_millis(), http.source.hint());
            self.fail_ingest(now, id, &format!("timeout: no frame within {ms} ms{hint}"));
            return;
        }
        #[cfg(feature = "hls")]
        if let Source::Hls(hls) = &mut http.source {
            hls.handle_timeout(now);
        }
        self.play_http(now, id);
    }

    /// A frame is due. `false` if the ingest had to be given up over it.
    fn give_frame(&mut self, now: Time, id: u32, frame: Frame) -> bool {
        let Some(ingest) = self.ingests.find_mut(id) else { return false };
        let stall = ingest.policy.stall;
        let State::Http(http) = &mut ingest.state else { return false };
        http.has_played = true;
        http.deadline = http.patience().map(|patience| now + patience + stall);
        if http.since.is_none() {
            http.since = Some(now);
            self.media_flows(now, id);
        }
        self.ingest_frame(now, id, frame)
    }

    /// All that there was has been played.
    fn finish_http(&mut self, now: Time, id: u32) {
        let Some(ingest) = self.ingests.find(id) else { return };
        let State::Http(http) = &ingest.state else { return };
        let is_live = match &http.source {
            Source::Body(_) => http.pacer.is_none(),
            #[cfg(feature = "hls")]
            Source::Hls(hls) => hls.is_live(),
        };
        if !http.has_played {
            let why = format!("the stream is over without a frame{}", http.source.hint());
            self.fail_ingest(now, id, &why);
        } else if is_live {
            self.fail_ingest(now, id, "the stream is over");
        } else if ingest.looped {
            self.repeat_http(now, id);
        } else {
            self.end_ingest(now, id);
        }
    }

    /// Begins with it again; its time goes on.
    fn repeat_http(&mut self, now: Time, id: u32) {
        let Some(source) = self.fetch_stream(now, id) else {
            return self.fail_ingest(now, id, "too many connections are being made");
        };
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        let State::Http(http) = &mut ingest.state else { return };
        if let Some(pacer) = &mut http.pacer {
            pacer.begin_next();
        }
        (http.source, http.barren, http.is_over, http.has_played) = (source, 0, false, false);
        http.deadline = Some(now + ingest.policy.connect);
        self.arm_http(id);
    }

    /// Sets the ingest's alarm, if it is due earlier than the one that is set.
    fn arm_http(&mut self, id: u32) {
        let Some(State::Http(http)) = self.ingests.find_mut(id).map(|ingest| &mut ingest.state) else {
            return;
        };
        if let Some(at) = http.next()
            && http.alarm.is_none_or(|alarm| at < alarm)
        {
            http.alarm = Some(at);
            self.timers.set(at, Alarm::Ingest(id));
        }
    }

    pub(super) fn http_of(&mut self, id: u32) -> Option<&mut Http> {
        match self.ingests.find_mut(id).map(|ingest| &mut ingest.state) {
            Some(State::Http(http)) => Some(http),
            _ => None,
        }
    }

    #[cfg(not(feature = "hls"))]
    fn start_hls(&mut self, now: Time, id: u32, _: &[u8]) {
        self.fail_ingest(now, id, "HLS is not in this build: it comes with the feature hls");
    }
}

impl Http {
    /// Bytes have come.
    pub(super) fn take_in(&mut self, bytes: &[u8]) {
        self.received = self.received.saturating_add(bytes.len() as u64);
        self.barren = self.barren.saturating_add(bytes.len() as u64);
    }

    /// When there is something to do.
    fn next(&self) -> Option<Time> {
        let due = self.pacer.as_ref().and_then(|pacer| pacer.due());
        let timeout = match &self.source {
            Source::Body(_) => None,
            #[cfg(feature = "hls")]
            Source::Hls(hls) => hls.timeout(),
        };
        due.into_iter().chain(timeout).chain(self.deadline()).min()
    }

    /// When there has to be a frame. Where there is no answer yet, the request sees to it, and says why.
    fn deadline(&self) -> Option<Time> {
        match &self.source {
            Source::Body(body) if body.found.is_none() => None,
            _ => self.deadline,
        }
    }

    /// How long it may be without a frame once it plays, before it is waited for the next; `None` for a file,
    /// whose frames may be any time apart.
    fn patience(&self) -> Option<Duration> {
        match &self.source {
            Source::Body(_) => self.pacer.is_none().then_some(Duration::ZERO),
            #[cfg(feature = "hls")]
            Source::Hls(hls) => Some(hls.patience()),
        }
    }
}

impl Source {
    fn body(&mut self) -> Option<&mut Body> {
        match self {
            Self::Body(body) => Some(body),
            #[cfg(feature = "hls")]
            Self::Hls(_) => None,
        }
    }

    /// What may be the reason where there is no frame, to go behind that.
    fn hint(&self) -> String {
        let hint = match self {
            Self::Body(body) => match &body.demuxer {
                Demuxer::Ts { demuxer, .. } => match demuxer.refused() {
                    Some(stream_type) => Some(Cause::Refused(stream_type).to_string()),
                    None => Some("MPEG-TS without a program map, or without a frame".to_owned()),
                },
                Demuxer::Flv { left_out, .. } => left_out.clone(),
                Demuxer::Unknown(_) => None,
            },
            #[cfg(feature = "hls")]
            Self::Hls(hls) => hls.hint(),
        };
        hint.map_or_else(String::new, |hint| format!("; {hint}"))
    }

    /// The body has ended: what is whole is given out.
    fn flush(&mut self, mut out: impl FnMut(Frame)) {
        if let Some(body) = self.body()
            && let Demuxer::Ts { demuxer, merge } = &mut body.demuxer
        {
            demuxer.flush();
            while let Ok(Some(frame)) = demuxer.handle_input(&mut &[][..]) {
                merge.push(frame);
            }
            std::iter::from_fn(|| merge.take()).for_each(&mut out);
        }
    }
}

impl Body {
    /// Where it is in the end.
    #[cfg(feature = "hls")]
    pub(super) fn url(&self) -> Option<&Url> {
        self.found.as_ref().map(|(url, _)| url)
    }

    /// Looks what it is, if that isn't known yet. What had come before is given back with what comes now.
    fn begin(&mut self, bytes: &[u8]) -> Result<Told, String> {
        let Demuxer::Unknown(held) = &mut self.demuxer else { return Ok(Told::Nothing) };
        held.extend_from_slice(bytes);
        let held = std::mem::take(held);
        self.demuxer = match held.as_slice() {
            [b'F', b'L', b'V', ..] => {
                let (demuxer, clock) = (Box::default(), Unwrap::default());
                Demuxer::Flv { demuxer, clock, left_out: None }
            }
            [TS_SYNC, _, _, ..] => Demuxer::Ts { demuxer: Box::default(), merge: Merge::default() },
            // A byte order mark may stand before it.
            [b'#', b'E', b'X', ..] | [0xef, 0xbb, 0xbf, ..] => return Ok(Told::Playlist(held)),
            [_, _, _, ..] => {
                let kind = self.found.as_ref().map_or("none", |(_, kind)| kind);
                return Err(format!(
                    "FLV, MPEG-TS or a playlist of HLS was expected, but it begins with {:?} (Content-Type: {kind})",
                    String::from_utf8_lossy(held.get(..held.len().min(16)).unwrap_or_default())
                ));
            }
            _ => {
                self.demuxer = Demuxer::Unknown(held);
                return Ok(Told::Stream(Vec::new()));
            }
        };
        Ok(Told::Stream(held))
    }
}

impl Demuxer {
    /// The next frame of what has come.
    fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, String> {
        match self {
            Self::Unknown(_) => Ok(None),
            Self::Ts { demuxer, merge } => loop {
                let frame = if demuxer.has_both() { merge.pop() } else { merge.take() };
                if frame.is_some() {
                    return Ok(frame);
                }
                match demuxer.handle_input(input).map_err(|e| e.to_string())? {
                    Some(frame) => merge.push(frame),
                    None => return Ok(None),
                }
            },
            Self::Flv { demuxer, clock, left_out } => loop {
                let Some(tag) = demuxer.handle_input(input).map_err(|e| format!("FLV: {e}"))? else {
                    return Ok(None);
                };
                let dts = clock.extend(tag.timestamp_ms);
                // What is not as its codec says is left out, and the rest goes on.
                match flv::frame(tag.kind, dts, tag.body) {
                    Ok(frame) => return Ok(Some(frame)),
                    Err(e) => {
                        if left_out.is_none() {
                            warn!("{:?} tag left out: {e}", tag.kind);
                        }
                        *left_out = Some(format!("the last tag: {e}"));
                    }
                }
            },
        }
    }
}

/// Whether an answer can be taken: it has the expected status, and no coding.
pub(super) fn checked(head: &ResponseHead, url: &Url, expected: u16) -> Result<(), String> {
    if head.status == via::LOOP_DETECTED {
        return Err(via::closes_ring(url));
    }
    let url = shown(url);
    if head.status != expected {
        return Err(format!("{url} is answered with {}, {expected} was expected", head.status));
    }
    match head.headers.get("Content-Encoding") {
        Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
            let coding: String = coding.chars().take(32).collect();
            Err(format!("{url} is answered in the coding {coding}, which was not asked for"))
        }
        _ => Ok(()),
    }
}

/// A URL as it may stand in a log: without parameters.
pub(super) fn shown(url: &Url) -> String {
    let url = url.to_string();
    url.split('?').next().unwrap_or_default().to_owned()
}
