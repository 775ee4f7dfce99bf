//! The session against what our own writer makes, and against servers that go wrong, under a virtual clock.

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

#[test]
fn a_recording_comes_back_as_it_went_in() {
    for options in all() {
        let mut recording = Recording::new(options);
        recording.begin(&headers());
        recording.live(5_000_000, 31);
        let (files, frames) = recording.finish();
        for way in [FAST, PACED, Way { size: 1, ..FAST }, Way { size: usize::MAX, ..FAST }] {
            let pulled = pull(way, serve(&files));
            assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
            for kind in [Kind::Video, Kind::Audio] {
                same(&pulled.of(kind), &of(&frames, kind));
            }
            let headers = pulled.frames.iter().filter(|f| f.role == Role::Header).count();
            assert_eq!(headers, 2);
            assert_eq!(pulled.paths("main"), ["main.m3u8"]);
            assert_eq!(pulled.paths("livestream-").len(), if files.len() > 18 { 16 + 6 } else { 16 });
        }
    }
}

#[test]
fn at_most_one_segment_comes_ahead() {
    let [ts, ..] = all();
    let mut recording = Recording::new(ts);
    recording.begin(&headers());
    recording.live(0, 40);
    let (files, _) = recording.finish();
    let pulled = pull(PACED, serve(&files));
    let first = pulled.frames[0].dts;
    for (frame, at) in pulled.frames.iter().zip(&pulled.times) {
        let ahead = frame.dts - first - at.as_micros() as i64;
        assert!((-40_000..=4_100_000).contains(&ahead), "{ahead}");
    }
    let at: Vec<_> = pulled.fetched.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(at[..5], [0, 0, 0, 2000, 4000]);
}

#[test]
fn a_discontinuity_goes_on_where_the_stream_was() {
    for options in all() {
        let mut recording = Recording::new(options);
        for from in [50_000_000, 1_000_000, 900_000_000] {
            recording.begin(&headers());
            recording.live(from, 8);
            recording.writer.end();
            recording.drain();
        }
        // Other parameters in the middle of a stream: its time goes on by itself.
        recording.write(written::video_header(LARGE));
        recording.live(908_000_000, 8);
        let (files, frames) = recording.finish();
        let pulled = pull(FAST, serve(&files));
        assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
        for (kind, count) in [(Kind::Video, 200), (Kind::Audio, 375)] {
            let (out, was) = (pulled.of(kind), of(&frames, kind));
            assert_eq!(out.len(), was.len());
            for n in 0..4 {
                same(&out[n * count..][..count], &was[n * count..][..count]);
            }
            same(&out[2 * count..], &was[2 * count..]);
            let steps: Vec<_> = out.windows(2).map(|w| w[1].dts - w[0].dts).collect();
            let longest = if kind == Kind::Video { 62_000 } else { 64_000 };
            assert!(steps.iter().all(|step| (21_000..=longest).contains(step)), "{kind:?} {steps:?}");
        }
        let sizes = pulled.frames.iter().filter_map(crate::media::video_track).map(|track| track.width);
        assert_eq!(sizes.collect::<Vec<_>>(), [640, 640, 640, 1280]);
    }
}

/// A server of what a recording was at each time, which has begun `ms` ago.
fn live(recording: &Recording, ms: i64) -> impl Server + use<'_> {
    move |now: Time, path: &str| {
        let at = now.as_millis() as i64 + ms;
        if path == "main.m3u8" {
            let newest = recording.playlists.iter().rev().find(|(from, _)| *from <= at);
            return newest.map_or(Answer::Absent, |(_, text)| Answer::Body(text.clone()));
        }
        recording.files.get(path).map_or(Answer::Absent, |bytes| Answer::Body(bytes.clone()))
    }
}

#[test]
fn a_live_stream_is_followed_from_near_its_end() {
    for options in all() {
        let mut recording = Recording::new(WriterOptions { window_us: 10_000_000, ..options });
        recording.begin(&headers());
        recording.live(0, 120);
        let pulled = pull(Way { until: Time::from_millis(60_000), ..PACED }, live(&recording, 31_000));
        assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
        // The list ends at 30 s.
        let keys = pulled.paths("key").len();
        assert_eq!(pulled.paths("livestream-1")[usize::from(keys > 0)], {
            if recording.files.contains_key("livestream-12.m4s") {
                "livestream-12.m4s"
            } else {
                "livestream-12.ts"
            }
        });
        let (from, to) = (24 * 25, 24 * 25 + pulled.of(Kind::Video).len());
        assert!([1550, 1600].contains(&(to - from)), "{}", to - from);
        same(&pulled.of(Kind::Video), &of(&recording.frames, Kind::Video)[from..to]);
        // Every other second there is a segment, and every answer has one.
        let reloads: Vec<_> =
            pulled.fetched.iter().filter(|(_, p)| p == "main.m3u8").map(|(ms, _)| *ms).collect();
        assert_eq!(reloads, (0..=30).map(|n| n * 2000).collect::<Vec<_>>());
    }
}

#[test]
fn an_answer_without_news_is_asked_again_after_half_a_target_duration_until_it_has_stalled() {
    let mut recording = Recording::new(written::options(Format::Ts));
    recording.begin(&headers());
    recording.live(0, 21);
    let pulled = pull(PACED, live(&recording, 21_000));
    let stalled = Error::Stalled { playlist: PlaylistId::Main, ms: 12_000, why: None };
    assert_eq!(pulled.error, Some(stalled));
    let reloads: Vec<_> =
        pulled.fetched.iter().filter(|(_, p)| p == "main.m3u8").map(|(ms, _)| *ms).collect();
    assert_eq!(reloads, [0, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000, 11_000, 12_000]);
    assert_eq!(pulled.of(Kind::Video).len(), 150);

    // So is one that fails, and the reason is told.
    let mut server = live(&recording, 21_000);
    let failing = |now: Time, path: &str| match path {
        "main.m3u8" if now.as_millis() >= 6000 => Answer::Body("<html>".into()),
        "main.m3u8" if now.as_millis() >= 2000 => Answer::Broken("#EXTM3U\n".into()),
        _ => server.answer(now, path),
    };
    let error = pull(PACED, failing).error.unwrap();
    assert_eq!(
        error.to_string(),
        "HLS: the playlist brought no new segment for 12000 ms; the last answer: line 1: #EXTM3U was \
         expected"
    );
}

#[test]
fn a_server_that_begins_anew_is_believed_at_the_third_answer() {
    let mut recording = Recording::new(written::options(Format::Ts));
    recording.begin(&headers());
    recording.live(0, 60);
    let (mut early, mut late) = (live(&recording, 0), live(&recording, 0));
    // At 40 s of its own, it is 20 s again.
    let server = |now: Time, path: &str| {
        let ms = 30_000 + now.as_millis();
        if ms < 40_000 {
            late.answer(Time::from_millis(ms), path)
        } else {
            early.answer(Time::from_millis(ms - 20_000), path)
        }
    };
    let pulled = pull(Way { until: Time::from_millis(30_000), ..PACED }, server);
    assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
    let segments: Vec<_> = segments_of(&pulled);
    let back = segments.windows(2).position(|w| w[1] < w[0]).unwrap();
    // What was listed before 40 s, and from six seconds before the end of the third answer.
    assert_eq!((segments[0], segments[back], segments[back + 1]), (12, 18, 8));
    assert!(segments[back + 1..].windows(2).all(|w| w[1] == w[0] + 1));
    let video = pulled.of(Kind::Video);
    assert!(video.windows(2).all(|w| (39_000..62_000).contains(&(w[1].dts - w[0].dts))));

    // Twice an old copy, and nothing is wrong.
    let mut server = live(&recording, 0);
    let copies = |now: Time, path: &str| {
        let ms = 30_000 + now.as_millis();
        let is_old = path == "main.m3u8" && (40_000..42_000).contains(&ms);
        server.answer(Time::from_millis(if is_old { ms - 8000 } else { ms }), path)
    };
    let pulled = pull(Way { until: Time::from_millis(25_000), ..PACED }, copies);
    let segments = segments_of(&pulled);
    assert!(segments.windows(2).all(|w| w[1] == w[0] + 1), "{segments:?}");
    assert!(segments.len() > 12);
}

#[test]
fn who_has_fallen_behind_goes_on_near_the_end() {
    let mut recording = Recording::new(written::options(Format::Ts));
    recording.begin(&headers());
    recording.live(0, 90);
    let mut server = live(&recording, 0);
    // After ten seconds it is forty more.
    let jumps = |now: Time, path: &str| {
        let ms = now.as_millis() + if now.as_millis() < 10_000 { 30_000 } else { 70_000 };
        server.answer(Time::from_millis(ms), path)
    };
    let pulled = pull(Way { until: Time::from_millis(18_000), ..PACED }, jumps);
    assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
    let segments = segments_of(&pulled);
    let jump = segments.windows(2).position(|w| w[1] != w[0] + 1).unwrap();
    // The list ends at 80 s then.
    assert_eq!(segments[jump + 1], 37);
    assert!(segments[jump + 1..].windows(2).all(|w| w[1] == w[0] + 1), "{segments:?}");
    let video = pulled.of(Kind::Video);
    assert!(video.windows(2).all(|w| (39_000..62_000).contains(&(w[1].dts - w[0].dts))));
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

#[test]
fn what_breaks_off_is_gone_on_with_where_it_was() {
    for options in all() {
        let (files, frames, segments) = recorded(options);
        for cut in [0, 1, 17, 1000, 20_000, 30_000] {
            let mut broken = BTreeMap::new();
            let server = |_: Time, path: &str| {
                let Some(bytes) = files.get(path) else { return Answer::Absent };
                // Each file breaks off twice, the second time further on.
                let times: &mut usize = broken.entry(path.to_owned()).or_default();
                *times += 1;
                match *times {
                    1 => Answer::Broken(bytes.slice(..bytes.len().min(cut))),
                    2 => Answer::Broken(bytes.slice(..bytes.len().min(cut + cut / 2))),
                    _ => Answer::Body(bytes.clone()),
                }
            };
            let pulled = pull(Way { size: 333, ..FAST }, server);
            assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
            for kind in [Kind::Video, Kind::Audio] {
                same(&pulled.of(kind), &of(&frames, kind));
            }
            assert_eq!(pulled.paths(&segments[0]).len(), 3);
            assert_eq!(
                pulled.fetched.iter().map(|(ms, _)| *ms).take(4).collect::<Vec<_>>(),
                [0, 1000, 2000, 2000]
            );
        }
    }
}

#[test]
fn a_segment_that_is_not_to_be_had_is_left_out() {
    for (n, options) in all().into_iter().enumerate() {
        let (files, frames, segments) = recorded(options);
        let gone = segments[2].clone();
        let without = |frame: &&Frame| !(4_000_000..6_000_000).contains(&frame.dts);
        for (absent, why) in [(true, "404"), (false, "it broke off")] {
            let server = |_: Time, path: &str| match files.get(path) {
                Some(_) if path == gone && absent => Answer::Absent,
                Some(_) if path == gone => Answer::Broken(Bytes::new()),
                Some(bytes) => Answer::Body(bytes.clone()),
                None => Answer::Absent,
            };
            let pulled = pull(FAST, server);
            assert_eq!(
                (pulled.error.as_ref(), pulled.paths(&gone).len()),
                (None, if absent { 1 } else { 3 })
            );
            assert_eq!(pulled.left_out, [(gone.clone(), why.to_owned())]);
            let (video, was) = (pulled.of(Kind::Video), of(&frames, Kind::Video));
            same(&video, &was.into_iter().filter(without).collect::<Vec<_>>());
        }
        // Cut off in its middle for good: what is whole of it is played, and from the next one on everything.
        let server = |_: Time, path: &str| match files.get(path) {
            Some(bytes) if path == gone => Answer::Broken(bytes.slice(..bytes.len() / 2)),
            Some(bytes) => Answer::Body(bytes.clone()),
            None => Answer::Absent,
        };
        let pulled = pull(FAST, server);
        assert_eq!((pulled.error.as_ref(), pulled.left_out.len()), (None, 1));
        let (video, was) = (pulled.of(Kind::Video), of(&frames, Kind::Video));
        let whole = video.len() - 250;
        // Fragments have their audio behind all video.
        assert_eq!(whole, [24, 0, 24][n]);
        same(&video, &[&was[..100 + whole], &was[150..]].concat());
    }
}

#[test]
fn six_segments_without_a_frame_are_the_end() {
    let (files, ..) = recorded(all()[0].clone());
    let with = |replace: &dyn Fn(&Bytes) -> Answer| {
        let server = |_: Time, path: &str| match files.get(path) {
            Some(bytes) if path.ends_with(".ts") => replace(bytes),
            Some(bytes) => Answer::Body(bytes.clone()),
            None => Answer::Absent,
        };
        let pulled = pull(FAST, server);
        assert!(pulled.frames.is_empty());
        (pulled.error.unwrap().to_string(), pulled.left_out.len(), pulled.cancelled)
    };
    let said = |why: &str| format!("HLS: no frame in 6 segments in a row; of the last: {why}");
    assert_eq!(with(&|_| Answer::Absent), (said("404"), 5, 0));
    // Without its tables.
    let (tables, nothing) = (2 * mpegts::PACKET_BYTES, said("a transport stream without a frame"));
    assert_eq!(with(&|bytes| Answer::Body(bytes.slice(tables..))), (nothing.clone(), 5, 0));
    assert_eq!(with(&|_| Answer::Body("<html>".into())), (said("nothing to play in it"), 5, 0));
    assert_eq!(with(&|_| Answer::Body("<html></html>".into())), (nothing, 5, 0));
    let page = Bytes::from(vec![b' '; 100_000]);
    let none = said("not a transport stream: no packets within 65536 bytes");
    assert_eq!(with(&|_| Answer::Body(page.clone())), (none, 5, 6));
    let audio = said("packed audio without a timestamp: an ID3 tag in front of it was expected to have one");
    assert_eq!(with(&|_| Answer::Body(b"\xff\xf1\x50\x80\x02\x1f\xfc\0"[..].into())), (audio, 5, 6));
}

#[test]
fn fragments_need_their_map() {
    let (mut files, frames, _) = recorded(all()[1].clone());
    let text = std::str::from_utf8(&files["main.m3u8"]).unwrap();
    let without = text.lines().filter(|line| !line.starts_with("#EXT-X-MAP")).map(|line| format!("{line}\n"));
    let without = Bytes::from(without.collect::<String>());
    let with = std::mem::replace(files.get_mut("main.m3u8").unwrap(), without);
    let pulled = pull(FAST, serve(&files));
    let why = "MP4: there is no box 'moov'";
    assert_eq!(pulled.error, Some(Error::Barren { segments: 6, why: why.into() }));

    files.insert("main.m3u8".into(), with);
    let init = files.remove("livestream/init.mp4").unwrap();
    let pulled = pull(FAST, serve(&files));
    let why = "its initialization section: 404";
    assert_eq!(pulled.error, Some(Error::Barren { segments: 6, why: why.into() }));

    // All in one file, told by ranges.
    let mut all = BytesMut::from(&init[..]);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"{}@0\"\n",
        init.len()
    );
    for n in 0..6 {
        let segment = &files[&format!("livestream-{n}.m4s")];
        let offset = if n == 0 { format!("@{}", all.len()) } else { String::new() };
        text.push_str(&format!("#EXTINF:2,\n#EXT-X-BYTERANGE:{}{offset}\nall.mp4\n", segment.len()));
        all.extend_from_slice(segment);
    }
    text.push_str("#EXT-X-ENDLIST");
    let files =
        Files::from([("main.m3u8".to_owned(), Bytes::from(text)), ("all.mp4".to_owned(), all.freeze())]);
    let pulled = pull(FAST, serve(&files));
    assert_eq!((pulled.error.as_ref(), pulled.fetched.len()), (None, 8));
    same(&pulled.of(Kind::Video), &of(&frames, Kind::Video));
}

#[test]
fn a_key_has_sixteen_bytes_and_is_the_right_one() {
    let (files, ..) = recorded(all()[2].clone());
    let with = |key: &'static [u8]| {
        let mut files = files.clone();
        files
            .iter_mut()
            .filter(|(name, _)| name.ends_with(".key"))
            .for_each(|(_, bytes)| *bytes = key.into());
        pull(FAST, serve(&files))
    };
    for (key, why) in [
        (&[0; 15][..], "its key: 15 bytes; the 16 of a key were expected"),
        (&[0; 17], "its key: more than the 16 bytes of a key"),
        (&[], "its key: 0 bytes; the 16 of a key were expected"),
        (&[0; 16], "a transport stream without a frame"),
    ] {
        let pulled = with(key);
        assert_eq!(pulled.error, Some(Error::Barren { segments: 6, why: why.into() }));
        assert_eq!(pulled.cancelled, if key.len() > 16 { 6 } else { 0 });
    }
    assert_eq!(pull(FAST, serve(&files)).paths(".key").len(), 2, "each is asked for once");
}

#[test]
fn ten_thousand_segments() {
    let (mut files, _, segments) = recorded(all()[0].clone());
    let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    for n in 0..10_000 {
        let uri = if n % 100 == 0 { &segments[n / 100 % 6] } else { "gap.ts" };
        let tag = if n % 100 == 0 { "#EXT-X-DISCONTINUITY" } else { "#EXT-X-GAP" };
        text.push_str(&format!("{tag}\n#EXTINF:2.000,\n{uri}\n"));
    }
    files.insert("main.m3u8".into(), text.into());
    let pulled = pull(FAST, serve(&files));
    assert_eq!((pulled.error.as_ref(), pulled.fetched.len()), (None, 101));
    assert_eq!(pulled.of(Kind::Video).len(), 5000);
    let video = pulled.of(Kind::Video);
    assert!(video.windows(2).all(|w| (39_000..62_000).contains(&(w[1].dts - w[0].dts))));
    assert!((200_000_000..202_000_000).contains(&(video[4999].dts - video[0].dts)));
}

#[test]
fn playlists_that_are_none() {
    let with = |text: &'static str| {
        let server = |_: Time, path: &str| {
            if path == "main.m3u8" { Answer::Body(text.into()) } else { Answer::Absent }
        };
        pull(FAST, server).error.map(|e| e.to_string())
    };
    let none = "HLS: the playlist: line 1: #EXTM3U was expected";
    assert_eq!(with("\0\u{1}garbage").as_deref(), Some(none));
    let inf = "HLS: the playlist: line 3: #EXTINF: a number of seconds up to 86400 was expected";
    assert_eq!(with("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:x\na.ts").as_deref(), Some(inf));
    let variant = "HLS: the variant's playlist: 404";
    assert_eq!(with("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8").as_deref(), Some(variant));
    assert_eq!(with("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-ENDLIST").as_deref(), None);
    let absent = pull(FAST, serve(&Files::new()));
    assert_eq!(
        (absent.error.unwrap().to_string(), absent.fetched.len()),
        ("HLS: the playlist: 404".into(), 1)
    );

    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n";
    let pulled = pull(FAST, |_: Time, _: &str| Answer::Body(master.into()));
    assert_eq!((pulled.error, pulled.fetched.len()), (Some(Error::Nested), 2));
    let long = Bytes::from(vec![b'\n'; 9 << 20]);
    let pulled = pull(Way { size: 1 << 16, ..FAST }, |_: Time, _: &str| Answer::Body(long.clone()));
    let why = "at most 8388608 bytes were expected".to_owned();
    assert_eq!(pulled.error, Some(Error::Unreachable { playlist: PlaylistId::Main, why }));
    assert_eq!(pulled.cancelled, 1);
    // What is unreachable is tried three times.
    let pulled = pull(FAST, |_: Time, _: &str| Answer::Broken(Bytes::new()));
    let why = "it broke off".to_owned();
    assert_eq!(pulled.error, Some(Error::Unreachable { playlist: PlaylistId::Main, why }));
    assert_eq!(pulled.fetched.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [0, 1000, 2000]);
}

#[test]
fn a_live_playlist_may_be_empty_at_first_and_over_in_the_end() {
    let mut recording = Recording::new(written::options(Format::Fmp4));
    recording.begin(&headers());
    recording.live(0, 20);
    recording.writer.finish();
    recording.drain();
    let empty = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
    let mut server = live(&recording, -10_000);
    let pulled = pull(PACED, |now: Time, path: &str| match path {
        "main.m3u8" if now.as_millis() < 8000 => Answer::Body(empty.into()),
        _ => server.answer(now + Duration::from_secs(10), path),
    });
    assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
    assert_eq!(pulled.paths("livestream-")[0], "livestream-1.m4s");
    same(&pulled.of(Kind::Video), &of(&recording.frames, Kind::Video)[50..]);
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

#[test]
fn audio_of_its_own_is_brought_together_with_the_video() {
    for formats in [[Format::Ts, Format::Ts], [Format::Fmp4, Format::Fmp4]] {
        let (files, frames) = with_rendition(formats, [50_000_000, 3_000_000]);
        for way in [FAST, PACED, Way { size: usize::MAX, ..FAST }] {
            let pulled = pull(way, serve(&files));
            assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
            assert!(pulled.frames.windows(2).all(|w| w[0].dts <= w[1].dts), "not in order");
            let first = pulled.frames[0].dts;
            for (kind, count) in [(Kind::Video, 250), (Kind::Audio, 469)] {
                let (out, was) = (pulled.of(kind), of(&frames, kind));
                same(&out[..count], &was[..count]);
                same(&out[count..], &was[count..]);
                // Both publishes begin together, and the second where the first ended.
                assert_eq!(out[0].dts, first);
                assert!((out[count].dts - first).abs_diff(10_005_000) < 20_000, "{}", out[count].dts - first);
            }
            assert_eq!(
                pulled.paths("other").len() + pulled.paths("small").len() + pulled.paths("dolby").len(),
                0
            );
        }
    }
    let (files, _) = with_rendition([Format::Ts, Format::Ts], [0, 10_000_000]);
    let small = Way { options: Options { bandwidth_max: 4, live: false }, ..FAST };
    assert_eq!(pull(small, serve(&files)).paths("small"), ["small.m3u8"]);
    let none = Way { options: Options { bandwidth_max: 2, live: false }, ..FAST };
    assert_eq!(pull(none, serve(&files)).paths("small"), ["small.m3u8"]);
}

#[test]
fn packed_audio_is_played() {
    let stamp = b"com.apple.streaming.transportStreamTimestamp\0";
    let segment = |ticks: u64| {
        let head = b"ID3\x04\0\0\0\0\0\x3fPRIV\0\0\0\x35\0\0";
        let adts = b"\xff\xf1\x4c\x80\x01\x5f\xfcabc";
        Bytes::from([&head[..], stamp, &ticks.to_be_bytes(), adts, adts].concat())
    };
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.aac\n#EXTINF:2,\n1.aac\n#EXT-X-ENDLIST\n";
    let files = [("main.m3u8", text.into()), ("0.aac", segment(9000)), ("1.aac", segment(189_000))];
    let pulled = pull(FAST, serve(&files.map(|(name, bytes)| (name.to_owned(), bytes)).into()));
    assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
    let frames: Vec<_> = pulled.of(Kind::Audio).iter().map(|f| (f.dts, &f.payload[..])).collect();
    let due = [100_000, 121_333, 2_100_000, 2_121_333].map(|dts| (dts, &b"abc"[..]));
    assert_eq!(frames, due);
}

#[test]
fn a_variant_that_is_its_own_audio_is_pulled_once() {
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"x\",URI=\"v.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO=\"g\"\nv.m3u8\n";
    let (files, frames, _) = recorded(all()[0].clone());
    let server = |_: Time, path: &str| match path {
        "main.m3u8" => Answer::Body(master.into()),
        "v.m3u8" => Answer::Body(files["main.m3u8"].clone()),
        _ => files.get(&path.replace("v/", "")).map_or(Answer::Absent, |bytes| Answer::Body(bytes.clone())),
    };
    let pulled = pull(FAST, server);
    assert_eq!((pulled.error.as_ref(), pulled.fetched.len()), (None, 8));
    same(&pulled.of(Kind::Audio), &of(&frames, Kind::Audio));
}

#[test]
fn what_comes_to_an_id_that_is_not_under_way_changes_nothing() {
    let mut session = Session::new(Time::ZERO, Options::default());
    let Output::Fetch(fetch) = session.poll_output() else { panic!("no fetch") };
    assert_eq!((fetch.id, fetch.resource), (0, Resource::Playlist(PlaylistId::Main)));
    session.handle_body(Time::ZERO, 7, b"x");
    session.handle_end(Time::ZERO, 7);
    session.handle_failure(Time::ZERO, 7, Failure::Refused("404".into()));
    session.handle_timeout(DAY);
    assert_eq!(session.poll_output(), Output::Timeout(None));
    session.handle_body(Time::ZERO, 0, b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-ENDLIST\n");
    session.handle_end(Time::ZERO, 0);
    assert_eq!((session.poll_output(), session.poll_output()), (Output::End, Output::End));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_answers_are_taken(
        seed in any::<u64>(),
        size in 1usize..3000,
        paced in any::<bool>(),
        which in 0usize..4,
    ) {
        let mut state = seed;
        let mut random = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n.max(1)
        };
        let (files, sum) = match which {
            3 => {
                let (files, frames) = with_rendition([Format::Ts, Format::Fmp4], [0, 0]);
                (files, frames.len())
            }
            _ => {
                let (files, frames, _) = recorded(all()[which].clone());
                (files, frames.len())
            }
        };
        let mut asked = 0;
        let server = |_: Time, path: &str| {
            asked += 1;
            let Some(bytes) = files.get(path) else { return Answer::Absent };
            let mut bytes = bytes.clone();
            let (cut, at) = (random(bytes.len()), random(bytes.len()));
            match random(if path.ends_with("m3u8") { 40 } else { 10 }) {
                0 => return Answer::Absent,
                1 => return Answer::Broken(bytes.slice(..cut)),
                2 => bytes.truncate(cut),
                3 => {
                    let mut other = BytesMut::from(&bytes[..]);
                    other[at] ^= 1 << random(8);
                    bytes = other.freeze();
                }
                _ => {}
            }
            Answer::Body(bytes)
        };
        let pulled = pull(Way { size, paced, until: Time::from_millis(300_000), ..FAST }, server);
        prop_assert!(asked < 1000);
        prop_assert!(pulled.frames.iter().filter(|f| f.role != Role::Header).count() <= sum + 20);
    }
}
