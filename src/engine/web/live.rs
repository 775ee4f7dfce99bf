//! Live streams as the body of an HTTP response or as WebSocket messages: which path is which stream, and
//! how its frames look in each format.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::super::format::Format;
use crate::codec::aac::AdtsHeader;
use crate::config::Remux;
use crate::flv::{self, file};
use crate::fmp4;
use crate::http::websocket::{self, Opcode};
use crate::hub::{LaneKey, Player, Stream};
use crate::media::{Chain, Codec, Frame, Gather, Headers, Kind, Mux, Ring, Role};
use crate::mpegts;
use crate::rtmp::url::StreamName;
use crate::time::Time;

/// Where one track is there, the other is waited for until the publish has gone on for so long, in µs.
const OTHER_TRACK_US: u128 = 1_000_000;
/// How often the tables stand in an MPEG transport stream without keyframes, in µs.
const TABLES_US: i64 = 200_000;
/// What a frame of a track counts as before a second one has come, in µs.
const FIRST_DURATION_US: i64 = 20_000;

/// What frames are packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Container {
    Flv,
    Ts,
    Aac,
    Mp3,
    Mp4,
}

/// How one HTTP player gets frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Live {
    pub(super) container: Container,
    pub(super) websocket: bool,
    declared: Declared,
}

/// What is said of the tracks at the start, and whether frames of others are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Declared {
    audio: bool,
    video: bool,
    guess: bool,
    drop_others: bool,
    fast_cache_us: i64,
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Watch {
    pub(in crate::engine) name: StreamName,
    pub(super) live: Live,
    /// What a WebSocket is accepted with.
    pub(super) accept: Option<String>,
}

impl Container {
    pub(super) fn mime(self) -> &'static str {
        match self {
            Self::Flv => "video/x-flv",
            Self::Ts => "video/mp2t",
            Self::Aac => "audio/aac",
            Self::Mp3 => "audio/mpeg",
            Self::Mp4 => "video/mp4",
        }
    }

    fn of(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "flv" => Self::Flv,
            "ts" => Self::Ts,
            "aac" => Self::Aac,
            "mp3" => Self::Mp3,
            "mp4" => Self::Mp4,
            _ => return None,
        })
    }

    fn mux(self, websocket: bool) -> Box<dyn Mux> {
        match self {
            Self::Flv => Box::new(FlvMux { websocket }),
            Self::Ts => Box::new(TsMux::new()),
            Self::Aac => Box::new(AdtsMux { header: None }),
            Self::Mp3 => Box::new(Mp3Mux),
            Self::Mp4 => Box::new(Mp4Mux::new(websocket)),
        }
    }

    /// Whether it goes over WebSocket too.
    pub(super) fn has_websocket(self) -> bool {
        matches!(self, Self::Flv | Self::Mp4)
    }

    /// Whether segments of HLS may be of this kind.
    pub(super) fn is_of_segments(self) -> bool {
        matches!(self, Self::Ts | Self::Mp4)
    }

    fn has_video(self) -> bool {
        !matches!(self, Self::Aac | Self::Mp3)
    }

    /// Whether it has a place for frames of this codec; else why not.
    fn carries(self, codec: Codec) -> Result<(), String> {
        let named = |carried: bool, kind: &str| {
            if carried { Ok(()) } else { Err(format!("{codec} is not {kind}")) }
        };
        match self {
            Self::Flv if !flv::carries(codec) => Err(format!("{codec} has no mapping to FLV")),
            Self::Flv => Ok(()),
            Self::Ts => mpegts::carries(codec).map_err(|e| e.to_string()),
            Self::Aac => named(codec == Codec::Aac, "AAC"),
            Self::Mp3 => named(codec == Codec::Mp3, "MP3"),
            Self::Mp4 if !fmp4::carries(codec) => {
                Err(format!("{codec} has no mapping to MP4 that players know"))
            }
            Self::Mp4 => Ok(()),
        }
    }
}

/// What goes before so many bytes of a WebSocket message.
fn message(len: usize) -> SmallVec<[u8; 10]> {
    websocket::head(Opcode::Binary, len)
}

/// What makes the images of the format that players ask for by that suffix.
pub(in crate::engine) fn mux(suffix: &str, websocket: bool) -> Option<Box<dyn Mux>> {
    Container::of(suffix).map(|container| container.mux(websocket))
}

/// The stream and the container that `path` means by one of a vhost's mounts.
pub(super) fn find(remux: &Remux, host: &str, path: &str) -> Option<(String, String, Container)> {
    let (stem, suffix) = path.rsplit_once('.')?;
    let container = Container::of(suffix)?;
    remux.mounts.iter().find_map(|mount| {
        let (mount_host, mount_path) = mount.find('/').map_or((mount.as_str(), ""), |at| mount.split_at(at));
        if !matches!(mount_host, "[vhost]" | "") && mount_host != host {
            return None;
        }
        let pattern = match mount_path.rsplit_once('.') {
            Some((pattern, s)) if Container::of(s).is_some() => (s == suffix).then_some(pattern)?,
            _ => mount_path,
        };
        matched(pattern, stem).map(|(app, stream)| (app, stream, container))
    })
}

/// App and stream of a path by a pattern with `[app]` and `[stream]` in it. A stream has no slash, an app
/// may have some. What the pattern leaves out is taken as `live` and as nothing at all.
pub(super) fn matched(pattern: &str, path: &str) -> Option<(String, String)> {
    let (before, after) = pattern.split_once("[stream]")?;
    let path = path.strip_suffix(after)?;
    match before.split_once("[app]") {
        None => {
            let stream = path.strip_prefix(before)?;
            let ok = !stream.is_empty() && !stream.contains('/');
            ok.then(|| ("live".to_owned(), stream.to_owned()))
        }
        Some((start, between)) => {
            let rest = path.strip_prefix(start)?;
            let (app, stream) = rest.rsplit_once(if between.is_empty() { "/" } else { between })?;
            let ok = !app.is_empty() && !stream.is_empty() && !stream.contains('/');
            ok.then(|| (app.to_owned(), stream.to_owned()))
        }
    }
}

impl Live {
    pub(super) fn new(container: Container, websocket: bool, remux: &Remux) -> Self {
        let declared = Declared {
            audio: remux.has_audio,
            video: remux.has_video,
            guess: remux.guess_has_av,
            drop_others: remux.drop_if_not_match,
            fast_cache_us: i64::try_from(remux.fast_cache.as_micros()).unwrap_or(i64::MAX),
        };
        Self { container, websocket, declared }
    }

    pub(in crate::engine) fn lane(self) -> LaneKey {
        LaneKey::Fixed(self.container as u8 * 2 + u8::from(self.websocket))
    }

    pub(in crate::engine) fn mux(self) -> Box<dyn Mux> {
        self.container.mux(self.websocket)
    }

    /// Whether the stream has a track that this container can carry; else why not. Nothing is known of a
    /// stream that isn't published.
    pub(super) fn check(self, stream: &Stream) -> Result<(), String> {
        let video = stream.video().map(|track| track.codec).filter(|_| self.container.has_video());
        let audio = stream.audio().map(|track| track.codec);
        let mut why = None;
        for codec in [video, audio].into_iter().flatten() {
            match self.container.carries(codec) {
                Ok(()) => return Ok(()),
                Err(e) => why = Some(e),
            }
        }
        why.map_or(Ok(()), Err)
    }

    /// Whether the tracks are known: the headers of some formats name them all. Those of a publish that `ends` are.
    pub(in crate::engine) fn may_start(self, now: Time, stream: &Stream, ends: bool) -> bool {
        if stream.publisher().is_none() || stream.ring().is_empty() {
            return false;
        }
        let one = match self.container.has_video() {
            true => stream.ring().has_video() || stream.audio().is_some(),
            false => stream.audio().is_some(),
        };
        let is_known = ends
            || (!stream.may_bring(Kind::Video) && !stream.may_bring(Kind::Audio))
            || !self.container.has_video()
            || now.since(stream.publish_began()).as_micros() >= OTHER_TRACK_US;
        one && is_known
    }

    /// The headers, with a frame of a codec that has none beside them: MP4 and MPEG-TS begin with all tracks,
    /// and a frame of MP3 says itself what it is.
    pub(in crate::engine) fn headers<'a>(self, ring: &Ring, headers: &'a Headers) -> Cow<'a, Headers> {
        if !matches!(self.container, Container::Mp4 | Container::Ts) || headers.audio.is_some() {
            return Cow::Borrowed(headers);
        }
        let frames = (ring.base()..ring.head()).rev().filter_map(|seq| ring.frame(seq));
        let mut sounds = frames.filter(|frame| frame.kind == Kind::Audio && frame.role == Role::Key);
        match sounds.next().filter(|frame| !frame.codec.has_header()) {
            Some(frame) => Cow::Owned(Headers { audio: Some(kept(frame)), ..headers.clone() }),
            None => Cow::Borrowed(headers),
        }
    }

    /// What is sent before everything else; and the player no longer wants what it isn't to get.
    pub(in crate::engine) fn opening(self, stream: &Stream, player: &mut Player) -> Bytes {
        let ring = stream.ring();
        if !self.container.has_video() {
            player.receive(Kind::Video, false, ring.head());
            player.start_at(ring.since(self.declared.fast_cache_us));
            return Bytes::new();
        }
        if self.container != Container::Flv {
            return Bytes::new();
        }
        let declared = self.declared;
        let audio = if declared.guess { stream.audio().is_some() } else { declared.audio };
        let video = if declared.guess { ring.has_video() } else { declared.video };
        if declared.drop_others {
            player.receive(Kind::Audio, audio, ring.head());
            player.receive(Kind::Video, video, ring.head());
        }
        let mut out = BytesMut::new();
        let header = file::header(audio, video);
        if self.websocket {
            out.put_slice(&message(header.len()));
        }
        out.put_slice(&header);
        out.freeze()
    }
}

impl From<Live> for Format {
    fn from(live: Live) -> Self {
        Self::Http(live)
    }
}

#[derive(Debug)]
struct FlvMux {
    websocket: bool,
}

impl FlvMux {
    fn put(&self, frame: &Frame, at: i64, out: &mut Gather) {
        if !flv::carries(frame.codec) {
            return;
        }
        let body = flv::body(frame);
        let timestamp = flv::timestamp(frame, at);
        let Ok((before, after)) = file::around(frame.kind, timestamp, body.len()) else { return };
        if self.websocket {
            out.small().put_slice(&message(before.len() + body.len() + after.len()));
        }
        out.small().put_slice(&before);
        body.pieces().iter().for_each(|piece| out.share(piece.clone()));
        out.small().put_slice(&after);
    }
}

impl Mux for FlvMux {
    fn start(&mut self, _: &Headers) {}

    fn image(&mut self, frame: &Frame) -> Chain {
        let mut out = Gather::image_of(&frame.payload, frame.payload.unshared().saturating_add(64));
        self.put(frame, frame.dts, &mut out);
        out.finish_as(&frame.payload)
    }

    fn preamble(&mut self, headers: &Headers, at: i64) -> Bytes {
        let mut out = Gather::with_capacity(headers.iter().map(|frame| 64 + frame.size()).sum());
        headers.iter().for_each(|frame| self.put(frame, at, &mut out));
        out.finish(false).bytes()
    }
}

/// Each keyframe begins with the tables, so that players can start there with nothing before.
#[derive(Debug)]
struct TsMux {
    muxer: mpegts::Muxer,
    tables: Option<i64>,
}

impl TsMux {
    fn new() -> Self {
        Self { muxer: mpegts::Muxer::new(mpegts::Options { audio_hold_us: 0 }), tables: None }
    }
}

impl Mux for TsMux {
    fn start(&mut self, headers: &Headers) {
        // A codec that can't be carried has no track; the others have.
        let _ = self.muxer.headers(headers);
        self.tables = None;
    }

    fn image(&mut self, frame: &Frame) -> Chain {
        let mut out = BytesMut::new();
        let due =
            self.tables.is_none_or(|at| frame.dts.saturating_sub(at).unsigned_abs() >= TABLES_US as u64);
        let is_media = matches!(frame.role, Role::Key | Role::Delta);
        let mut tables = BytesMut::new();
        if frame.is_video_key() || (due && is_media && frame.kind == Kind::Audio) {
            self.muxer.tables(&mut tables);
            self.tables = Some(frame.dts);
        }
        // A frame that is not what its codec says is left out.
        let _ = self.muxer.write(frame, &mut out);
        if tables.is_empty() {
            return out.freeze().into();
        }
        tables.unsplit(out);
        tables.freeze().into()
    }

    fn preamble(&mut self, _: &Headers, _: i64) -> Bytes {
        Bytes::new()
    }
}

#[derive(Debug)]
struct AdtsMux {
    header: Option<AdtsHeader>,
}

impl Mux for AdtsMux {
    fn start(&mut self, headers: &Headers) {
        let audio = headers.audio.as_ref().filter(|frame| frame.codec == Codec::Aac);
        self.header = audio.and_then(|frame| AdtsHeader::new(&frame.payload.bytes()).ok());
    }

    fn image(&mut self, frame: &Frame) -> Chain {
        if frame.codec != Codec::Aac {
            return Chain::default();
        }
        if frame.role == Role::Header {
            self.header = AdtsHeader::new(&frame.payload.bytes()).ok();
            return Chain::default();
        }
        let header = self.header.as_ref().and_then(|header| header.of_frame(frame.payload.len()).ok());
        let (Some(header), Role::Key) = (header, frame.role) else { return Chain::default() };
        let mut out = BytesMut::with_capacity(header.len() + frame.payload.len());
        out.put_slice(&header);
        frame.payload.put(&mut out);
        out.freeze().into()
    }

    fn preamble(&mut self, _: &Headers, _: i64) -> Bytes {
        Bytes::new()
    }
}

#[derive(Debug)]
struct Mp3Mux;

impl Mux for Mp3Mux {
    fn start(&mut self, _: &Headers) {}

    fn image(&mut self, frame: &Frame) -> Chain {
        if frame.codec == Codec::Mp3 && frame.role == Role::Key {
            frame.payload.clone()
        } else {
            Chain::default()
        }
    }

    fn preamble(&mut self, _: &Headers, _: i64) -> Bytes {
        Bytes::new()
    }
}

/// A frame that describes a track for as long as there is one: memory of the host's is not held for that.
fn kept(frame: &Frame) -> Frame {
    Frame { payload: frame.payload.owned(), ..frame.clone() }
}

/// A fragment for each frame: the least that a player has to wait for.
#[derive(Debug)]
struct Mp4Mux {
    websocket: bool,
    video: Option<Frame>,
    audio: Option<Frame>,
    tracks: Option<fmp4::Tracks>,
    /// The tracks have changed since they were last said.
    is_new: bool,
    sequence: u32,
    clocks: [Clock; 2],
    adapter: fmp4::Adapter,
}

/// A track's last frame and how long the one before it was.
#[derive(Debug, Default, Clone, Copy)]
struct Clock {
    last: Option<i64>,
    step: i64,
}

impl Clock {
    /// How long the frame at `dts` will be: as long as the one before, since the next isn't known.
    fn step(&mut self, dts: i64) -> i64 {
        if let Some(last) = self.last.replace(dts)
            && (1..=10_000_000).contains(&dts.saturating_sub(last))
        {
            self.step = dts.saturating_sub(last);
        }
        if self.step == 0 { FIRST_DURATION_US } else { self.step }
    }
}

impl Mp4Mux {
    fn new(websocket: bool) -> Self {
        let (video, audio, tracks) = (None, None, None);
        let (clocks, adapter) = ([Clock::default(); 2], fmp4::Adapter::default());
        Self { websocket, video, audio, tracks, is_new: false, sequence: 0, clocks, adapter }
    }

    /// Tracks of the headers in force. One that can't be carried is left out.
    fn tracks(video: Option<&Frame>, audio: Option<&Frame>) -> Option<fmp4::Tracks> {
        let carried = |frame: &&Frame| fmp4::carries(frame.codec);
        let (video, audio) = (video.filter(carried), audio.filter(carried));
        fmp4::Tracks::new(video, audio)
            .or_else(|_| fmp4::Tracks::new(video, None))
            .or_else(|_| fmp4::Tracks::new(None, audio))
            .ok()
    }

    fn framed(&self, bytes: Bytes) -> Bytes {
        if !self.websocket || bytes.is_empty() {
            return bytes;
        }
        let mut out = BytesMut::with_capacity(bytes.len() + message(usize::MAX).len());
        out.put_slice(&message(bytes.len()));
        out.put_slice(&bytes);
        out.freeze()
    }

    fn init(&self) -> Bytes {
        self.framed(self.tracks.as_ref().map(fmp4::Tracks::init).unwrap_or_default())
    }
}

impl Mux for Mp4Mux {
    fn start(&mut self, headers: &Headers) {
        self.video = headers.video.clone();
        self.audio = headers.audio.clone();
        self.is_new = false;
        self.adapter = fmp4::Adapter::default();
        self.tracks = Self::tracks(self.video.as_ref(), self.audio.as_ref());
    }

    fn image(&mut self, frame: &Frame) -> Chain {
        let headerless = frame.kind == Kind::Audio
            && frame.role == Role::Key
            && !frame.codec.has_header()
            && self.audio.as_ref().is_none_or(|held| held.codec != frame.codec);
        if (frame.role == Role::Header && frame.kind != Kind::Data) || headerless {
            let slot = if frame.kind == Kind::Video { &mut self.video } else { &mut self.audio };
            if slot.as_ref().is_none_or(|held| held.codec != frame.codec || held.payload != frame.payload) {
                *slot = Some(kept(frame));
                self.tracks = Self::tracks(self.video.as_ref(), self.audio.as_ref());
                self.is_new = true;
            }
        }
        let track = match (frame.kind, frame.role) {
            (Kind::Video, Role::Key | Role::Delta) => 0,
            (Kind::Audio, Role::Key) => 1,
            _ => return Chain::default(),
        };
        let Some(tracks) = &self.tracks else { return Chain::default() };
        let duration_us = self.clocks.get_mut(track).map_or(FIRST_DURATION_US, |clock| clock.step(frame.dts));
        let mut out = BytesMut::with_capacity(frame.payload.len() + 256);
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let frames = self.adapter.adapt(frame);
        let samples: SmallVec<[_; 1]> =
            frames.iter().map(|frame| fmp4::Sample { frame, duration_us }).collect();
        // A frame of a track that isn't carried, or one that is not what its codec says, is left out.
        if fmp4::fragment(tracks, self.sequence, &samples, &mut out).is_err() {
            return Chain::default();
        }
        let fragment = self.framed(out.freeze());
        // The headers of both tracks come one after the other: they are said together, before the first frame.
        if !std::mem::take(&mut self.is_new) {
            return fragment.into();
        }
        let mut out = BytesMut::from(&self.init()[..]);
        out.put_slice(&fragment);
        out.freeze().into()
    }

    fn preamble(&mut self, headers: &Headers, _: i64) -> Bytes {
        let audio = headers.audio.as_ref().or(self.audio.as_ref().filter(|f| f.role != Role::Header));
        let tracks = Self::tracks(headers.video.as_ref(), audio);
        self.framed(tracks.map(|tracks| tracks.init()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remux(mounts: &[&str]) -> Remux {
        Remux {
            fast_cache: std::time::Duration::ZERO,
            drop_if_not_match: true,
            has_audio: true,
            has_video: true,
            guess_has_av: true,
            mounts: mounts.iter().map(|m| (*m).to_owned()).collect(),
            hstrs: true,
        }
    }

    #[test]
    fn mounts_say_which_path_is_which_stream() {
        let found = |mounts: &[&str], host: &str, path: &str| {
            find(&remux(mounts), host, path).map(|(app, stream, c)| format!("{app}|{stream}|{c:?}"))
        };
        let all = &["[vhost]/[app]/[stream]"][..];
        assert_eq!(found(all, "h", "/live/cam.flv").unwrap(), "live|cam|Flv");
        assert_eq!(found(all, "h", "/a/b/cam.1.mp4").unwrap(), "a/b|cam.1|Mp4");
        assert_eq!(found(all, "h", "/cam.flv"), None);
        assert_eq!(found(all, "h", "/live/.flv"), None);
        assert_eq!(found(all, "h", "/live/cam.m3u8"), None);
        let one = &["[vhost]/[app]/[stream].flv"][..];
        assert_eq!(found(one, "h", "/live/cam.ts"), None);
        assert_eq!(found(one, "h", "/live/cam.flv").unwrap(), "live|cam|Flv");
        let fixed = &["demo.com/x/[stream].ts", "/mp3/[app]-[stream].mp3"][..];
        assert_eq!(found(fixed, "other", "/x/cam.ts"), None);
        assert_eq!(found(fixed, "demo.com", "/x/cam.ts").unwrap(), "live|cam|Ts");
        assert_eq!(found(fixed, "any", "/mp3/a-b.mp3").unwrap(), "a|b|Mp3");
    }
}
