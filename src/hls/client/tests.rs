//! The session against what our own writer makes, and against servers that go wrong, under a virtual clock.

mod any;
mod broken;
mod followed;
mod renditions;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::super::tests as written;
use super::super::tests::{AAC, LARGE, SMALL};
use super::super::{Format, Options as WriterOptions, Output as Written, Writer};
use super::*;
use crate::media::{Headers, Role};
use crate::mpegts;
use crate::template::Calendar;

/// What a server has at a path.
type Files = BTreeMap<String, Bytes>;

/// A server: whatever it answers when a path is asked for at a time.
trait Server {
    fn answer(&mut self, now: Time, path: &str) -> Answer;
}

impl<F: FnMut(Time, &str) -> Answer> Server for F {
    fn answer(&mut self, now: Time, path: &str) -> Answer {
        self(now, path)
    }
}

enum Answer {
    Body(Bytes),
    /// So much of it, and then the connection breaks.
    Broken(Bytes),
    Absent,
}

/// What came of pulling a stream.
#[derive(Debug, Default)]
struct Pulled {
    frames: Vec<Frame>,
    /// When each frame was given out.
    times: Vec<Time>,
    /// What was fetched, and when.
    fetched: Vec<(u64, String)>,
    left_out: Vec<(String, String)>,
    cancelled: usize,
    error: Option<Error>,
}

impl Pulled {
    fn of(&self, kind: Kind) -> Vec<&Frame> {
        self.frames.iter().filter(|f| f.kind == kind && f.role != Role::Header).collect()
    }

    fn paths(&self, like: &str) -> Vec<&str> {
        self.fetched.iter().map(|(_, path)| path.as_str()).filter(|path| path.contains(like)).collect()
    }
}

/// How a stream is pulled.
#[derive(Clone, Copy)]
struct Way {
    options: Options,
    /// Frames are played when they are due, and not at once.
    paced: bool,
    /// Bytes handed over at a time.
    size: usize,
    /// Until when at most.
    until: Time,
}

const DAY: Time = Time::from_millis(86_400_000);
const FAST: Way =
    Way { options: Options { bandwidth_max: u64::MAX, live: false }, paced: false, size: 1000, until: DAY };
const PACED: Way = Way { paced: true, ..FAST };

fn pull(way: Way, mut server: impl Server) -> Pulled {
    let mut now = Time::ZERO;
    let mut session = Session::new(now, way.options);
    let mut pulled = Pulled::default();
    let mut ids = BTreeSet::new();
    // What is to be played, and when.
    let mut waiting = std::collections::VecDeque::new();
    let mut clock: Option<(Time, i64)> = None;
    loop {
        let timeout = match session.poll_output() {
            Output::Fetch(fetch) => {
                assert!(ids.insert(fetch.id), "an id is used again");
                let path = path(&fetch);
                pulled.fetched.push((now.as_millis(), path.clone()));
                let range = |bytes: Bytes| match &fetch.range {
                    Some(range) => bytes.slice(range.start as usize..range.end as usize),
                    None => bytes,
                };
                let (bytes, is_whole) = match server.answer(now, &path) {
                    Answer::Body(bytes) => (range(bytes), true),
                    Answer::Broken(bytes) => (bytes, false),
                    Answer::Absent => {
                        session.handle_failure(now, fetch.id, Failure::Refused("404".into()));
                        continue;
                    }
                };
                bytes.chunks(way.size).for_each(|piece| session.handle_body(now, fetch.id, piece));
                if is_whole {
                    session.handle_end(now, fetch.id);
                } else {
                    session.handle_failure(now, fetch.id, Failure::Broken("it broke off".into()));
                }
                continue;
            }
            Output::Cancel(id) => {
                assert!(ids.contains(&id));
                pulled.cancelled += 1;
                continue;
            }
            Output::Frame(frame) => {
                if way.paced {
                    let (from, dts) = *clock.get_or_insert((now, frame.dts));
                    let ahead = u64::try_from(frame.dts - dts).unwrap_or(0);
                    waiting.push_back((from + Duration::from_micros(ahead), frame.dts));
                } else {
                    session.handle_position(now, frame.dts);
                }
                pulled.times.push(now);
                pulled.frames.push(frame);
                continue;
            }
            Output::LeftOut { uri, why } => {
                pulled.left_out.push((uri, why));
                continue;
            }
            Output::End => break,
            Output::Failed(error) => {
                assert_eq!(session.poll_output(), Output::Failed(error.clone()));
                pulled.error = Some(error);
                break;
            }
            Output::Timeout(at) => at,
        };
        let play = waiting.front().map(|(at, _)| *at);
        let next = timeout.into_iter().chain(play).min().expect("something to wait for");
        if next > way.until {
            break;
        }
        now = now.max(next);
        while waiting.front().is_some_and(|(at, _)| *at <= now) {
            let (_, dts) = waiting.pop_front().unwrap();
            session.handle_position(now, dts);
        }
        session.handle_timeout(now);
    }
    pulled
}

/// Where it is: the folders are those of the playlists that [`PlaylistId`] names.
fn path(fetch: &Fetch) -> String {
    let base = match fetch.base {
        None => return format!("main.m3u8{}", fetch.uri),
        Some(PlaylistId::Main) => "",
        Some(PlaylistId::Variant) => "v/",
        Some(PlaylistId::Audio) => "a/",
    };
    format!("{base}{}", fetch.uri)
}

fn serve(files: &Files) -> impl Server {
    |_: Time, path: &str| files.get(path).map_or(Answer::Absent, |bytes| Answer::Body(bytes.clone()))
}

/// A writer of which nothing is lost: every file, and the playlist each time that it changed.
struct Recording {
    writer: Writer,
    files: Files,
    /// When, in ms of the frames, and what.
    playlists: Vec<(i64, Bytes)>,
    frames: Vec<Frame>,
    at: i64,
}

impl Recording {
    fn new(options: WriterOptions) -> Self {
        let writer = Writer::new(options).unwrap();
        Self { writer, files: Files::new(), playlists: Vec::new(), frames: Vec::new(), at: 0 }
    }

    fn begin(&mut self, headers: &[Frame]) {
        self.writer.begin(&Headers::default());
        headers.iter().for_each(|header| self.write(header.clone()));
    }

    fn write(&mut self, frame: Frame) {
        let when = Calendar { unix_ms: written::BEGAN_MS + frame.dts / 1000, ..Calendar::default() };
        self.writer.write(&when, &frame);
        self.at = self.at.max(frame.dts / 1000);
        if frame.role != Role::Header {
            self.frames.push(frame);
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.writer.poll_output() {
            let mut put = |name: String, bytes| self.files.insert(name.replace("live/", ""), bytes);
            match output {
                Written::Init { name, bytes } => drop(put(name, bytes)),
                Written::Key { name, bytes } => drop(put(name, Bytes::copy_from_slice(&bytes))),
                Written::Segment(closed) => drop(put(closed.name, closed.bytes)),
                Written::Playlist { text, .. } => self.playlists.push((self.at, text)),
                _ => {}
            }
        }
    }

    /// `seconds` of 25 frames a second with a keyframe each 2 s, and AAC of 48 kHz beside it. Each payload is
    /// another.
    fn live(&mut self, from: i64, seconds: i64) {
        for n in 0..seconds * 25 {
            self.write(distinct(written::video(n % 50 == 0, from + n * 40_000), self.frames.len()));
            let first = |n: i64| (n * 40 * 48 + 1023) / 1024;
            for a in first(n)..first(n + 1) {
                self.write(distinct(written::audio(from + a * 1024 * 1000 / 48), self.frames.len()));
            }
        }
    }

    /// All that there was, as a server has it that keeps everything.
    fn finish(mut self) -> (Files, Vec<Frame>) {
        self.writer.finish();
        self.drain();
        let (_, text) = self.playlists.pop().unwrap();
        self.files.insert("main.m3u8".into(), text);
        (self.files, self.frames)
    }
}

/// The frame with a number at its payload's end.
fn distinct(mut frame: Frame, number: usize) -> Frame {
    let mut payload = BytesMut::from(&frame.payload[..frame.payload.len() - 4]);
    payload.put_u32(0x0101_0101 | (number as u32 & 0x3fff) << 7);
    frame.payload = payload.freeze().into();
    frame
}

fn headers() -> [Frame; 2] {
    [written::video_header(SMALL), written::audio_header(AAC)]
}

fn all() -> [WriterOptions; 3] {
    let options = [written::options(Format::Ts), written::options(Format::Fmp4), written::encrypted()];
    options.map(|options| WriterOptions { window_us: 3_600_000_000, ..options })
}

/// The frames are those of one stretch of time: the same payloads in the same order, and as far apart as they
/// were, up to a tick of 90 kHz.
fn same(pulled: &[&Frame], written: &[&Frame]) {
    assert_eq!(pulled.len(), written.len());
    for (a, b) in pulled.iter().zip(written) {
        assert_eq!((a.codec, a.role, &a.payload), (b.codec, b.role, &b.payload));
        let apart = (a.dts - pulled[0].dts).abs_diff(b.dts - written[0].dts);
        assert!(apart <= 12, "{} is not {}", a.dts - pulled[0].dts, b.dts - written[0].dts);
        assert!((a.pts - a.dts).abs_diff(b.pts - b.dts) <= 12);
    }
}

fn of(frames: &[Frame], kind: Kind) -> Vec<&Frame> {
    frames.iter().filter(|frame| frame.kind == kind).collect()
}

fn segments_of(pulled: &Pulled) -> Vec<u32> {
    let number = |path: &str| path.strip_prefix("livestream-")?.strip_suffix(".ts")?.parse().ok();
    pulled.fetched.iter().filter_map(|(_, path)| number(path)).collect()
}

/// A recording of 12 s, in six segments, and the paths of those.
fn recorded(options: WriterOptions) -> (Files, Vec<Frame>, Vec<String>) {
    let mut recording = Recording::new(options);
    recording.begin(&headers());
    recording.live(0, 12);
    let (files, frames) = recording.finish();
    let is_segment = |name: &&String| name.starts_with("livestream-") && !name.ends_with(".key");
    let segments = files.keys().filter(is_segment).cloned().collect();
    (files, frames, segments)
}

/// A variant with video, and its audio beside it.
fn with_rendition(formats: [Format; 2], leads: [i64; 2]) -> (Files, Vec<Frame>) {
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"other\",URI=\"../other.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"this\",DEFAULT=YES,URI=\"a.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=9,CODECS=\"avc1.64001f,ec-3\",AUDIO=\"h\"\ndolby.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=5,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"g\"\nv.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=3,AUDIO=\"g\"\nsmall.m3u8\n";
    let mut files = Files::from([("main.m3u8".to_owned(), Bytes::from(master))]);
    let mut frames = Vec::new();
    for (n, (folder, format)) in ["v", "a"].into_iter().zip(formats).enumerate() {
        let options = WriterOptions { window_us: 3_600_000_000, ..written::options(format) };
        // Segments of audio needn't be as long as those of video.
        let fragment_us = if n == 0 { 2_000_000 } else { 3_100_000 };
        let mut recording = Recording::new(WriterOptions { fragment_us, ..options });
        for from in [leads[0], leads[1]] {
            recording.begin(&headers()[n..][..1]);
            for k in 0..500 {
                let number = recording.frames.len();
                match n {
                    0 if k < 250 => {
                        recording.write(distinct(written::video(k % 50 == 0, from + k * 40_000), number))
                    }
                    1 if k < 469 => {
                        recording.write(distinct(written::audio(from + k * 1024 * 1000 / 48), number));
                    }
                    _ => {}
                }
            }
            recording.writer.end();
            recording.drain();
        }
        let (made, written) = recording.finish();
        frames.extend(written);
        for (name, bytes) in made {
            let name =
                if name == "main.m3u8" { format!("{folder}.m3u8") } else { format!("{folder}/{name}") };
            files.insert(name, bytes);
        }
    }
    (files, frames)
}
