//! Recordings as they are written, read back.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::amf;
use crate::flv::{self, Demuxer};
use crate::fmp4::{Found, Fragment, Init, Scanner};
use crate::media::{Codec, Correction, Frame, Headers, Kind, Role};
use crate::template::Calendar;
use crate::time::Time;
use crate::wire::limits::{DVR_GATHER_BYTES, DVR_INDEX_KEYFRAMES, DVR_QUEUE_BYTES};

use super::*;

const AVCC: &[u8] =
    b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\
    \x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x19\x60\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0";
const ASC: &[u8] = b"\x12\x10";

fn frame(kind: Kind, codec: Codec, role: Role, ms: i64, payload: impl Into<Bytes>) -> Frame {
    let dts = ms.saturating_mul(1000);
    Frame { kind, codec, role, dts, pts: dts, payload: payload.into(), relay: Bytes::new() }
}

fn video(role: Role, ms: i64, id: u32) -> Frame {
    frame(Kind::Video, Codec::H264, role, ms, [&[0, 0, 0, 5, 0x65], &id.to_be_bytes()[..]].concat())
}

fn audio(ms: i64, id: u32) -> Frame {
    frame(Kind::Audio, Codec::Aac, Role::Key, ms, [&[9; 5], &id.to_be_bytes()[..]].concat())
}

fn headers() -> Headers {
    Headers {
        metadata: None,
        video: Some(frame(Kind::Video, Codec::H264, Role::Header, 0, AVCC)),
        audio: Some(frame(Kind::Audio, Codec::Aac, Role::Header, 0, ASC)),
    }
}

fn sound() -> Headers {
    Headers { video: None, ..headers() }
}

/// What a frame was made with.
fn id(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.payload[frame.payload.len() - 4..].try_into().unwrap())
}

fn options() -> Options {
    Options {
        path: "d/[app]/[stream]-[seq].flv".into(),
        vhost: "v".into(),
        app: "live".into(),
        stream: "s".into(),
        ..Options::default()
    }
}

/// A recorder with a disk that does at once what it is told, and sees that it makes sense.
struct Bench {
    recorder: Recorder,
    now: Time,
    files: BTreeMap<u32, Image>,
    dropped: u32,
    refused: Vec<Refusal>,
    writes: Vec<usize>,
}

#[derive(Default)]
struct Image {
    path: String,
    append: bool,
    bytes: Vec<u8>,
    /// What was written, before anything was patched.
    raw: Vec<u8>,
    closed: Option<(i64, u64)>,
}

impl Bench {
    fn new(options: Options) -> Self {
        let recorder = Recorder::new(options);
        let now = Time::ZERO;
        Self { recorder, now, files: BTreeMap::new(), dropped: 0, refused: vec![], writes: vec![] }
    }

    fn when(&self) -> Calendar {
        let unix_ms = 1_795_180_389_714 + self.now.as_millis() as i64;
        Calendar { unix_ms, year: 2026, month: 11, day: 21, hour: 0, minute: 1, second: 2 }
    }

    fn begin(&mut self, headers: &Headers) {
        self.recorder.begin(self.now, headers);
        self.take();
    }

    fn write(&mut self, frame: &Frame) {
        self.write_only(frame);
        self.take();
    }

    fn write_only(&mut self, frame: &Frame) {
        let when = self.when();
        self.recorder.write(self.now, &when, frame);
    }

    fn end(&mut self) {
        self.recorder.end(self.now);
        self.take();
    }

    fn start(&mut self) {
        let when = self.when();
        self.recorder.start(self.now, &when);
        self.take();
    }

    fn pass(&mut self, ms: u64) {
        self.now = Time::from_millis(self.now.as_millis() + ms);
        self.recorder.handle_timeout(self.now);
        assert!(self.recorder.poll_timeout().is_none_or(|due| due > self.now));
        self.take();
    }

    fn take(&mut self) {
        while let Some(output) = self.recorder.poll_output() {
            match output {
                Output::Open { file, path, append } => {
                    let open = self.files.values().filter(|f| f.closed.is_none()).count();
                    assert_eq!(open, 0, "two files at a time");
                    let image = Image { path, append, ..Image::default() };
                    assert!(self.files.insert(file, image).is_none(), "a number is used twice");
                }
                Output::Write { file, bytes } => {
                    self.writes.push(bytes.len());
                    let image = self.open(file);
                    image.bytes.extend_from_slice(&bytes);
                    image.raw.extend_from_slice(&bytes);
                }
                Output::Patch { file, offset, bytes } => {
                    let at = offset as usize;
                    self.open(file).bytes[at..at + bytes.len()].copy_from_slice(&bytes);
                }
                Output::Close { file, duration_us, bytes, .. } => {
                    self.open(file).closed = Some((duration_us, bytes));
                }
                Output::Dropped { frames } => self.dropped += frames,
                Output::Refused(refusal) => self.refused.push(refusal),
            }
        }
    }

    fn open(&mut self, file: u32) -> &mut Image {
        let image = self.files.get_mut(&file).expect("a file that was opened");
        assert!(image.closed.is_none(), "written to after its end");
        image
    }

    /// The ids of the frames in each file.
    fn ids(&self) -> Vec<Vec<u32>> {
        self.files.values().map(|f| f.frames().iter().map(id).collect()).collect()
    }

    fn times(&self, file: u32) -> Vec<i64> {
        self.files[&file].frames().iter().map(|f| f.dts / 1000).collect()
    }
}

impl Image {
    fn all(&self) -> Vec<Frame> {
        assert!(self.closed.is_none_or(|(_, bytes)| bytes == self.bytes.len() as u64));
        tags(&self.bytes)
    }

    /// Without headers and scripts.
    fn frames(&self) -> Vec<Frame> {
        let coded = |f: &Frame| matches!(f.role, Role::Key | Role::Delta) && f.kind != Kind::Data;
        self.all().into_iter().filter(coded).collect()
    }

    fn metadata(&self) -> Vec<(String, amf::Value)> {
        let tag = &self.all()[0];
        assert_eq!((tag.kind, tag.role), (Kind::Data, Role::Header));
        amf::amf0::read_all(&tag.payload).unwrap()[1].properties().unwrap().to_vec()
    }
}

fn tags(mut bytes: &[u8]) -> Vec<Frame> {
    let mut demuxer = Demuxer::new();
    let mut frames = vec![];
    while let Some(tag) = demuxer.handle_input(&mut bytes).unwrap() {
        frames.push(flv::frame(tag.kind, i64::from(tag.timestamp_ms) * 1000, tag.body).unwrap());
    }
    assert_eq!(demuxer.size_mismatches(), 0);
    frames
}

/// A GOP of `n` frames of video from `ms` on, 40 ms apart, with ids that are the milliseconds.
fn gop(ms: i64, n: i64) -> impl Iterator<Item = Frame> {
    (0..n).map(move |i| {
        let at = ms + 40 * i;
        video(if i == 0 { Role::Key } else { Role::Delta }, at, at as u32)
    })
}

#[test]
fn a_session_is_a_file_with_its_headers_first_and_its_length_in_the_end() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    b.write(&video(Role::Delta, 4960, 1));
    b.write(&audio(4980, 2));
    for f in [video(Role::Key, 5000, 3), audio(5010, 4), video(Role::Delta, 5040, 5)] {
        b.write(&f);
    }
    assert!(b.recorder.is_recording());
    b.end();
    assert!(!b.recorder.is_recording());
    let file = &b.files[&0];
    assert_eq!((file.path.as_str(), file.append), ("d/live/s-0.flv", false));
    assert_eq!(file.closed, Some((40_000, file.bytes.len() as u64)));
    let all = file.all();
    let kinds: Vec<_> = all.iter().map(|f| (f.kind, f.role, f.dts / 1000)).collect();
    assert_eq!(
        kinds,
        [
            (Kind::Data, Role::Header, 0),
            (Kind::Video, Role::Header, 0),
            (Kind::Audio, Role::Header, 0),
            (Kind::Video, Role::Key, 0),
            (Kind::Audio, Role::Key, 10),
            (Kind::Video, Role::Delta, 40),
        ]
    );
    assert_eq!((&all[1].payload[..], &all[2].payload[..]), (AVCC, ASC));
    assert_eq!(b.ids(), [[3, 4, 5]]);
    let said = [("duration".to_owned(), 0.04.into()), ("filesize".into(), (file.bytes.len() as f64).into())];
    assert_eq!(file.metadata(), said);
    assert_eq!(file.bytes[4], 5);
}

#[test]
fn the_publishers_metadata_stays_but_for_what_is_true_of_other_files() {
    let mut body = BytesMut::new();
    amf::amf0::string(&mut body, "onMetaData");
    let nested = amf::Value::Object(vec![
        ("list".into(), amf::Value::StrictArray(vec![1.0.into(), "x".into(), amf::Value::Null])),
        ("date".into(), amf::Value::Date(5.0)),
    ]);
    let kept = [
        ("width".to_owned(), amf::Value::from(1280.0)),
        ("nested".into(), nested.clone()),
        ("encoder".into(), "Lavf".into()),
        ("array".into(), amf::Value::EcmaArray(vec![("a".into(), true.into())])),
        ("typed".into(), amf::Value::TypedObject("T".into(), vec![("a".into(), amf::Value::Undefined)])),
        ("long".into(), amf::Value::from("y".repeat(65_536))),
        ("xml".into(), amf::Value::Xml("<a/>".into())),
    ];
    let mut said = kept.to_vec();
    said.insert(1, ("keyframes".into(), nested));
    said.insert(3, ("lasttimestamp".into(), 7.0.into()));
    said.push(("filesize".into(), 9.0.into()));
    amf::amf0::ecma_array(&mut body, &said);
    let metadata = frame(Kind::Data, Codec::Script, Role::Header, 0, body);
    let mut b = Bench::new(options());
    b.begin(&Headers { metadata: Some(metadata), ..headers() });
    gop(0, 3).for_each(|f| b.write(&f));
    b.end();
    let found = b.files[&0].metadata();
    assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("duration", "filesize"));
    assert!(found[2..] == kept, "other values");
    let count = u32::from_be_bytes(b.files[&0].bytes[13 + 11 + 13 + 1..][..4].try_into().unwrap());
    assert_eq!(count as usize, found.len());
}

#[test]
fn a_file_tells_where_its_keyframes_are() {
    for gops in [0, 1, 2, DVR_INDEX_KEYFRAMES, DVR_INDEX_KEYFRAMES + 1, 5 * DVR_INDEX_KEYFRAMES + 7] {
        let mut b = Bench::new(Options { keyframe_index: true, ..options() });
        b.begin(&if gops == 0 { sound() } else { headers() });
        b.write(&audio(0, 0));
        for i in 0..gops as i64 {
            gop(i * 80, 2).for_each(|f| b.write(&f));
        }
        b.end();
        let file = &b.files[&0];
        let metadata = file.metadata();
        let (name, index) = &metadata[2];
        assert_eq!(name, if gops < 2 { "unindexed" } else { "keyframes" });
        let list = |name| match index.property(name).unwrap() {
            amf::Value::StrictArray(values) => values.iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>(),
            _ => panic!("an array"),
        };
        let (at, times) = (list("filepositions"), list("times"));
        assert_eq!(at.len(), times.len());
        assert_eq!(2 * at.len() + list("spacer").len(), 2 * DVR_INDEX_KEYFRAMES);
        let least = if gops > DVR_INDEX_KEYFRAMES { DVR_INDEX_KEYFRAMES / 2 } else { gops };
        assert!(at.len() >= least && at.len() <= DVR_INDEX_KEYFRAMES, "{} of {gops}", at.len());
        let steps: Vec<_> = times.windows(2).map(|w| ((w[1] - w[0]) * 1000.0).round()).collect();
        assert!(steps.windows(2).all(|w| w[0] == w[1]), "evenly spread");
        for (at, time) in at.iter().zip(times) {
            let tag = &tags(&[&flv::file::header(true, true), &file.bytes[*at as usize..]].concat())[0];
            assert!(tag.is_video_key());
            assert_eq!(tag.dts as f64 / 1e6, time);
        }
        // What a power cut leaves is a file of the same shape.
        assert_eq!(tags(&file.raw).len(), file.all().len());
    }
}

#[test]
fn a_segment_ends_at_the_first_keyframe_after_its_time() {
    let mut b = Bench::new(Options { plan: Plan::Segment, duration_us: 100_000, ..options() });
    b.begin(&headers());
    for at in [0, 80, 160, 240] {
        gop(at, 2).for_each(|f| b.write(&f));
    }
    b.end();
    assert_eq!(b.ids(), [[0, 40, 80, 120], [160, 200, 240, 280]]);
    assert_eq!(b.times(1), [0, 40, 80, 120]);
    assert_eq!(b.files[&1].all()[1].payload[..], *AVCC);
    assert_eq!(b.files[&1].path, "d/live/s-1.flv");
}

#[test]
fn a_segment_without_keyframes_ends_all_the_same() {
    let mut b = Bench::new(Options { plan: Plan::Segment, duration_us: 1_000_000, ..options() });
    b.begin(&headers());
    gop(0, 600).for_each(|f| b.write(&f));
    b.end();
    // One second and ten more; the frame at 11 s begins another file.
    assert_eq!(b.ids().iter().map(Vec::len).collect::<Vec<_>>(), [275, 275, 50]);
}

#[test]
fn audio_alone_begins_and_ends_anywhere() {
    let mut b = Bench::new(Options { plan: Plan::Segment, duration_us: 100_000, ..options() });
    b.begin(&sound());
    (0..10).for_each(|i| b.write(&audio(i * 30, i as u32)));
    b.end();
    assert_eq!(b.ids(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    assert_eq!(b.files[&0].bytes[4], 4);
}

#[test]
fn without_waiting_a_file_begins_with_any_frame() {
    let mut b = Bench::new(Options { wait_keyframe: false, ..options() });
    b.begin(&headers());
    b.write(&video(Role::Mark, 0, 1));
    b.write(&video(Role::Delta, 0, 2));
    b.end();
    assert_eq!(b.ids(), [[2]]);
}

#[test]
fn cuts() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    gop(0, 3).for_each(|f| b.write(&f));
    b.recorder.cut(Cut::AtKeyframe);
    b.write(&video(Role::Delta, 120, 120));
    gop(160, 2).for_each(|f| b.write(&f));
    b.recorder.cut(Cut::AtOnce);
    b.take();
    assert!(b.files.values().all(|f| f.closed.is_some()));
    b.write(&video(Role::Delta, 240, 240));
    gop(280, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.ids(), [vec![0, 40, 80, 120], vec![160, 200], vec![280, 320]]);
}

#[test]
fn what_came_before_the_start_is_recorded_by_whole_gops() {
    let demand = Options { on_demand: true, preroll_us: 100_000, ..options() };
    let mut b = Bench::new(demand.clone());
    b.begin(&headers());
    for at in [0, 120, 240] {
        gop(at, 3).for_each(|f| b.write(&f));
    }
    assert!(b.files.is_empty());
    b.start();
    // 320 less 100 is in the second GOP.
    assert_eq!(b.files.len(), 1);
    gop(360, 1).for_each(|f| b.write(&f));
    b.recorder.stop();
    b.take();
    assert_eq!(b.ids(), [[120, 160, 200, 240, 280, 320, 360]]);
    assert_eq!(b.times(0)[..2], [0, 40]);
    // Again; what the last file has is in no other.
    gop(400, 2).for_each(|f| b.write(&f));
    b.start();
    b.end();
    assert_eq!(b.ids()[1], [400, 440]);

    // A GOP that is too long to be held is not recorded in part.
    let mut b = Bench::new(Options { preroll_bytes: 1000, ..demand });
    b.begin(&headers());
    gop(0, 100).for_each(|f| b.write(&f));
    b.start();
    b.write(&video(Role::Delta, 9000, 1));
    assert!(b.files.is_empty());
    gop(9040, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.ids(), [[9040, 9080]]);
}

#[test]
fn headers_of_what_is_recorded_beforehand_are_those_of_its_time() {
    let other = frame(Kind::Video, Codec::H264, Role::Header, 0, [AVCC, b"\0"].concat());
    let mut b = Bench::new(Options { on_demand: true, preroll_us: 1_000_000, ..options() });
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.write(&other);
    gop(80, 2).for_each(|f| b.write(&f));
    b.start();
    b.end();
    let all = b.files[&0].all();
    let sets: Vec<_> = all.iter().filter(|f| f.kind == Kind::Video).map(|f| f.payload.len()).collect();
    assert_eq!(sets, [AVCC.len(), 9, 9, AVCC.len() + 1, 9, 9]);
}

#[test]
fn a_publisher_that_returns_in_time_goes_on_in_the_same_file() {
    let mut b = Bench::new(Options { keep_us: 2_000_000, ..options() });
    b.begin(&headers());
    gop(1000, 2).for_each(|f| b.write(&f));
    b.end();
    b.pass(1000);
    b.begin(&headers());
    b.write(&audio(70_000, 1));
    gop(70_000, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.ids(), [[1000, 1040, 70_000, 70_040]]);
    // The clock goes on from where it was; audio before the keyframe is left out but counted.
    assert_eq!(b.times(0), [0, 40, 50, 90]);
    b.pass(1999);
    assert!(b.files[&0].closed.is_none());
    b.pass(1);
    assert_eq!(b.files[&0].closed.unwrap().0, 90_000);
    b.begin(&headers());
    gop(0, 1).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.ids().len(), 2);
}

#[test]
fn a_file_that_was_there_is_gone_on_with() {
    let mut b = Bench::new(Options { plan: Plan::Append, path: "x.flv".into(), ..options() });
    b.begin(&headers());
    gop(500, 2).for_each(|f| b.write(&f));
    assert!(b.files[&0].append && b.writes.is_empty(), "nobody knows what is in it");
    b.write(&video(Role::Delta, 580, 580));
    b.recorder.opened(b.now, 0, 1000, 7000);
    b.write(&video(Role::Delta, 620, 620));
    b.end();
    let (_, bytes) = b.files[&0].closed.unwrap();
    let image = b.files.get_mut(&0).unwrap();
    assert_eq!(bytes, 1000 + image.bytes.len() as u64);
    let found = tags(&[&flv::file::header(true, true), &image.bytes[..]].concat());
    let times: Vec<_> = found.iter().map(|f| (f.role, f.dts / 1000)).collect();
    let at = |role, ms: i32| (role, 7010 + i64::from(ms));
    assert_eq!(
        times,
        [
            at(Role::Header, 0),
            at(Role::Header, 0),
            at(Role::Key, 0),
            at(Role::Delta, 40),
            at(Role::Delta, 80),
            at(Role::Delta, 120)
        ]
    );
    // One that was not there is begun, and one whose publish has ended meanwhile is written all the same.
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.end();
    assert!(b.files[&1].closed.is_none());
    b.recorder.opened(b.now, 1, 0, 0);
    b.take();
    assert!(b.files[&1].closed.is_some());
    assert_eq!(b.files[&1].frames().len(), 2);
    // So is what the next publish has brought by then.
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.end();
    b.begin(&headers());
    gop(80, 2).for_each(|f| b.write(&f));
    b.recorder.opened(b.now, 2, 0, 0);
    b.end();
    assert_eq!(b.files[&2].frames().iter().map(id).collect::<Vec<_>>(), [0, 40, 80, 120]);
    assert_eq!(b.dropped, 0, "headers are no frames");
}

#[test]
fn a_file_that_takes_long_to_open_costs_the_oldest_gops() {
    let mut b = Bench::new(Options { plan: Plan::Append, path: "x.flv".into(), ..options() });
    b.begin(&headers());
    let payload = vec![7; DVR_QUEUE_BYTES / 10];
    for i in 0..20u32 {
        let role = if i % 4 == 0 { Role::Key } else { Role::Delta };
        let payload = [&payload[..], &i.to_be_bytes()].concat();
        b.write(&frame(Kind::Video, Codec::H264, role, 40 * i64::from(i), payload));
    }
    b.recorder.opened(b.now, 0, 0, 0);
    b.end();
    assert_eq!(b.ids(), [(12..20).collect::<Vec<_>>()]);
    assert_eq!(b.dropped, 12);
}

#[test]
fn a_changed_header_goes_before_the_frames_that_need_it() {
    let other = frame(Kind::Video, Codec::H264, Role::Header, 0, [AVCC, b"\0"].concat());
    let mut b = Bench::new(options());
    b.begin(&headers());
    gop(0, 1).for_each(|f| b.write(&f));
    b.write(&headers().video.unwrap());
    b.write(&other);
    gop(40, 1).for_each(|f| b.write(&f));
    b.end();
    let sets: Vec<_> =
        b.files[&0].all().iter().filter(|f| f.kind == Kind::Video).map(|f| (f.role, f.dts / 1000)).collect();
    assert_eq!(sets, [(Role::Header, 0), (Role::Key, 0), (Role::Header, 40), (Role::Key, 40)]);
}

#[test]
fn outputs_that_nobody_takes_cost_frames_up_to_a_keyframe() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    let big = |role, ms: i64| {
        let mut payload = vec![0; 100_000];
        payload.extend_from_slice(&(ms as u32).to_be_bytes());
        frame(Kind::Video, Codec::H264, role, ms, payload)
    };
    b.write_only(&big(Role::Key, 0));
    for i in 1..100 {
        b.write_only(&big(Role::Delta, i * 40));
    }
    b.write_only(&big(Role::Key, 4000));
    b.take();
    let held = b.files[&0].bytes.len();
    assert!(held > DVR_QUEUE_BYTES - 300_000 && held <= DVR_QUEUE_BYTES);
    let kept = b.ids()[0].len();
    b.write(&big(Role::Delta, 4040));
    b.write(&big(Role::Key, 4080));
    b.end();
    assert_eq!(b.dropped as usize, 102 - kept);
    let times = b.times(0);
    assert_eq!((times.len(), times.last()), (kept + 1, Some(&4080)), "time has gone on");
}

#[test]
fn small_writes_are_gathered() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    for f in gop(0, 100) {
        b.write(&f);
        b.pass(40);
    }
    assert_eq!((b.writes.len(), b.recorder.poll_timeout()), (4, None));
    b.write(&video(Role::Delta, 4000, 0));
    b.pass(999);
    assert_eq!(b.writes.len(), 4);
    b.pass(1);
    assert_eq!(b.writes.len(), 5);
    b.write(&frame(Kind::Video, Codec::H264, Role::Delta, 4040, vec![0; DVR_GATHER_BYTES]));
    assert_eq!(b.writes.len(), 6, "enough is written at once");
}

#[test]
fn after_a_failure_another_file_is_tried_later() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.recorder.failed(b.now, 0);
    b.recorder.failed(b.now, 0);
    b.take();
    b.pass(9999);
    gop(80, 2).for_each(|f| b.write(&f));
    assert_eq!(b.files.len(), 1);
    b.pass(1);
    b.write(&video(Role::Delta, 160, 160));
    gop(200, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.files[&1].frames().iter().map(id).collect::<Vec<_>>(), [200, 240]);
}

#[test]
fn names() {
    let path = |path: &str, stream: &str| {
        let mut b = Bench::new(Options { path: path.into(), stream: stream.into(), ..options() });
        b.begin(&headers());
        gop(0, 2).for_each(|f| b.write(&f));
        b.end();
        (b.files.get(&0).map(|f| f.path.clone()), b.refused)
    };
    let name = "[vhost]/[2006]/[01]/[02]/[15].[04].[05].[999].flv";
    assert_eq!(path(name, "s").0.unwrap(), "v/2026/11/21/00.01.02.714.flv");
    assert_eq!(path("/rec/[app]", "s").0.unwrap(), "/rec/live/s.1795180389714.flv");
    assert_eq!(path("/rec/", "s").0.unwrap(), "/rec/s.1795180389714.flv");
    let (file, refused) = path("/rec/[stream].flv", "..");
    assert_eq!(file, None);
    assert!(matches!(refused[..], [Refusal::Path(_)]), "said once");
}

#[test]
fn corrections() {
    let at = |jitter, ms: [i64; 3]| {
        let mut b = Bench::new(Options { jitter, ..options() });
        b.begin(&headers());
        b.write(&video(Role::Key, ms[0], 0));
        b.write(&video(Role::Delta, ms[1], 1));
        b.write(&video(Role::Delta, ms[2], 2));
        b.end();
        b.times(0)
    };
    assert_eq!(at(Correction::FULL, [5000, 5040, 90_000]), [0, 40, 50]);
    assert_eq!(at(Correction::Zero, [5000, 5040, 90_000]), [0, 40, 85_000]);
    assert_eq!(at(Correction::Off, [5000, 5040, 90_000]), [5000, 5040, 90_000]);
}

#[test]
fn the_end_of_a_file_that_lost_power() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    gop(0, 4).for_each(|f| b.write(&f));
    b.end();
    let bytes = &b.files[&0].bytes;
    let ends: Vec<_> = {
        let mut tail = Tail::new(bytes.len() as u64, &bytes[..13]).unwrap();
        let mut ends = vec![13];
        while tail.at() < bytes.len() as u64 {
            let at = tail.at() as usize;
            assert!(tail.handle_input(tail.at(), &bytes[at..at + Tail::HEADER]));
            ends.push(tail.at());
        }
        assert_eq!(tail.last_ms(), Some(120));
        ends
    };
    assert_eq!(ends.len(), 1 + 7);
    for length in 13..=bytes.len() {
        let mut tail = Tail::new(length as u64, &bytes[..13]).unwrap();
        while let Some(header) = bytes[..length].get(tail.at() as usize..tail.at() as usize + Tail::HEADER)
            && tail.handle_input(tail.at(), header)
        {}
        let whole = ends.iter().rfind(|end| **end <= length as u64);
        assert_eq!(Some(&tail.at()), whole);
        let size = u32::from_be_bytes(bytes[length - 4..length].try_into().unwrap());
        let mut tail = Tail::new(length as u64, &bytes[..13]).unwrap();
        if let Some(at) = tail.last_tag(size)
            && tail.handle_input(at, &bytes[at as usize..at as usize + Tail::HEADER])
        {
            assert_eq!(Some(&tail.at()), whole, "the short way leads to the same place");
        }
    }
    assert_eq!(Tail::new(100, b"\0\0\0\x18ftypiso6\0"), None);
}

/// The fragments of an MP4 file as far as they are whole, each with the frames' ids.
fn fragments(bytes: &[u8]) -> (Option<Init>, Vec<(Fragment, Vec<u32>)>) {
    let mut scanner = Scanner::new(bytes.len() as u64);
    let (mut tracks, mut found) = (None, vec![]);
    while let Some(wanted) = scanner.wanted() {
        let at = wanted.offset as usize;
        match scanner.handle_input(&bytes[at..at + wanted.len]).unwrap() {
            Some(Found::Init(init)) => tracks = Some(init),
            Some(Found::Fragment(fragment)) => {
                let mut ids = vec![];
                for run in &fragment.runs {
                    let mut at = run.offset as usize;
                    for sample in &run.samples {
                        at += sample.size as usize;
                        ids.push(u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()));
                    }
                }
                found.push((fragment, ids));
            }
            None => {}
        }
    }
    (tracks, found)
}

fn mp4() -> Options {
    Options { path: "[stream]-[seq].mp4".into(), ..options() }
}

#[test]
fn an_mp4_file_is_an_init_segment_and_fragments() {
    let mut b = Bench::new(mp4());
    b.begin(&headers());
    b.write(&frame(Kind::Data, Codec::Script, Role::Mark, 1000, &b"\x02\x00\x01x"[..]));
    for at in [1000, 2000] {
        for f in gop(at, 25) {
            b.now = Time::from_millis(f.dts as u64 / 1000);
            b.write(&f);
            b.now = Time::from_millis(f.dts as u64 / 1000 + 10);
            b.write(&audio(f.dts / 1000 + 10, 100_000 + f.dts as u32 / 1000));
        }
    }
    b.end();
    let file = &b.files[&0];
    assert_eq!(file.path, "s-0.mp4");
    assert_eq!(file.closed, Some((1_970_000, file.bytes.len() as u64)));
    let (init, found) = fragments(&file.bytes);
    assert_eq!(init.map(|i| (i.video.is_some(), i.audio.is_some())), Some((true, true)));
    let spans: Vec<_> = found.iter().map(|(f, _)| (f.start_us, f.duration_us, f.key, f.wall_us)).collect();
    let wall = (1_795_180_389_714 + 1000) * 1000;
    assert_eq!(
        spans,
        [(0, 1_000_000, true, Some(wall)), (1_000_000, 1_000_000, true, Some(wall + 1_000_000))]
    );
    // The first fragment's last audio frame waits for the next one, to know how long it lasts.
    let video: Vec<u32> = (0..25).map(|i| 1000 + 40 * i).collect();
    let mut expected = video.clone();
    expected.extend((0..24).map(|i| 101_000 + 40 * i));
    assert_eq!(found[0].1, expected);
    for (_, ids) in &found {
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        assert_eq!(&sorted, ids);
    }
    assert_eq!(found.iter().map(|(_, ids)| ids.len()).sum::<usize>(), 100);
    // Each track's fragments join.
    for kind in [Kind::Video, Kind::Audio] {
        let runs: Vec<_> = found.iter().flat_map(|(f, _)| &f.runs).filter(|r| r.kind == kind).collect();
        assert!(runs.windows(2).all(|w| w[0].end() == w[1].time), "{kind:?}");
    }
}

#[test]
fn what_mp4_has_no_place_for_is_said_once() {
    let mut b = Bench::new(mp4());
    b.begin(&Headers { video: headers().video, ..Headers::default() });
    let speex = |ms| frame(Kind::Audio, Codec::Other(11), Role::Key, ms, &b"....."[..]);
    for f in gop(0, 3) {
        b.write(&f);
        b.write(&speex(f.dts / 1000));
    }
    b.end();
    assert_eq!(b.refused.len(), 1);
    assert_eq!(
        b.refused[0].to_string(),
        "audio (FLV11) is not recorded: FLV11 has no mapping to MP4 that players know"
    );
    assert_eq!(fragments(&b.files[&0].bytes).1[0].1, [0, 40, 80]);

    // Video that can't be recorded doesn't keep audio waiting for its keyframe.
    let mut b = Bench::new(mp4());
    b.begin(&sound());
    b.write(&frame(Kind::Video, Codec::Vp8, Role::Key, 0, &b"1234"[..]));
    b.write(&audio(0, 5));
    b.end();
    assert!(matches!(b.refused[..], [Refusal::Track { kind: Kind::Video, codec: Codec::Vp8, .. }]));
    assert_eq!(fragments(&b.files[&0].bytes).1[0].1, [5]);

    // Frames whose header has not come can't be described.
    let mut b = Bench::new(mp4());
    b.begin(&Headers::default());
    gop(0, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!((b.files.len(), b.refused.len()), (0, 1));
}

#[test]
fn the_picture_has_the_size_that_the_metadata_says_where_its_header_does_not() {
    let vp9 = |role, payload: &'static [u8]| frame(Kind::Video, Codec::Vp9, role, 0, payload);
    let mut body = BytesMut::new();
    amf::amf0::string(&mut body, "onMetaData");
    amf::amf0::ecma_array(&mut body, &[("width".into(), 1280.0.into()), ("height".into(), 720.0.into())]);
    let mut b = Bench::new(mp4());
    b.begin(&Headers {
        metadata: Some(frame(Kind::Data, Codec::Script, Role::Header, 0, body)),
        video: Some(vp9(Role::Header, b"\x01\0\0\0\0\x1f\x82\x01\x01\x01\0\0")),
        audio: None,
    });
    b.write(&vp9(Role::Key, b"1234"));
    b.end();
    assert_eq!(b.refused, []);
    let video = fragments(&b.files[&0].bytes).0.unwrap().video.unwrap();
    assert_eq!((video.width, video.height), (1280, 720));
}

#[test]
fn another_header_makes_another_mp4_file() {
    let other = frame(Kind::Video, Codec::H264, Role::Header, 0, [AVCC, b"\0"].concat());
    let mut b = Bench::new(mp4());
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.write(&headers().video.unwrap());
    gop(80, 2).for_each(|f| b.write(&f));
    b.write(&other);
    b.write(&audio(160, 160));
    gop(170, 2).for_each(|f| b.write(&f));
    b.end();
    let ids: Vec<Vec<u32>> = b
        .files
        .values()
        .map(|f| fragments(&f.bytes).1.into_iter().flat_map(|(_, ids)| ids).collect())
        .collect();
    assert_eq!(ids, [vec![0, 40, 80, 120, 160], vec![170, 210]]);
}

#[test]
fn a_power_cut_costs_a_fragment() {
    let mut b = Bench::new(Options { fragment_us: 200_000, ..mp4() });
    b.begin(&headers());
    for f in gop(0, 101) {
        b.now = Time::from_millis(f.dts as u64 / 1000);
        b.write(&f);
        b.pass(0);
    }
    // Four seconds: what is gathered is at most a second, and a fragment of 0.2 s.
    let whole: usize = fragments(&b.files[&0].raw).1.iter().map(|(_, ids)| ids.len()).sum();
    assert!(whole >= 101 - 25 - 5 - 1, "{whole}");
    let mut b = Bench::new(Options { fragment_us: 0, ..mp4() });
    b.begin(&headers());
    for at in [0, 400, 800] {
        gop(at, 10).for_each(|f| b.write(&f));
    }
    b.end();
    let lengths: Vec<_> = fragments(&b.files[&0].bytes).1.iter().map(|(_, ids)| ids.len()).collect();
    assert_eq!(lengths, [10, 10, 10], "GOP by GOP");
}

/// What a publisher may do.
#[derive(Debug, Clone)]
enum Act {
    Publish { video: bool },
    Gop { frames: u8 },
    Audio,
    Leap { ms: i64 },
    Header { audio: bool },
    Cut,
    Pass { ms: u16 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        1 => any::<bool>().prop_map(|video| Act::Publish { video }),
        6 => (0..12u8).prop_map(|frames| Act::Gop { frames }),
        6 => Just(Act::Audio),
        1 => prop_oneof![-100_000_000..100_000_000i64, any::<i64>()].prop_map(|ms| Act::Leap { ms }),
        1 => any::<bool>().prop_map(|audio| Act::Header { audio }),
        1 => Just(Act::Cut),
        1 => (0..5000u16).prop_map(|ms| Act::Pass { ms }),
    ];
    prop::collection::vec(act, 0..60)
}

/// Lets a publisher act, and answers the ids of the frames that are to be recorded.
fn play(b: &mut Bench, acts: Vec<Act>, with_audio_header: bool) -> Vec<u32> {
    let (mut ms, mut next, mut expected) = (0i64, 0u32, vec![]);
    let (mut flowing, mut has_video, mut version) = (false, true, 0u8);
    b.begin(&headers());
    for act in acts {
        let mut frames = vec![];
        match act {
            Act::Publish { video } => {
                b.end();
                b.begin(&if video { headers() } else { sound() });
                (flowing, has_video) = (false, video);
            }
            Act::Gop { frames: n } if has_video => frames.extend((0..n).map(|i| {
                let role = if i == 0 { Role::Key } else { Role::Delta };
                video(role, ms.saturating_add(40 * i64::from(i)), 0)
            })),
            Act::Gop { .. } => {}
            Act::Audio => frames.push(audio(ms, 0)),
            Act::Leap { ms: by } => ms = by,
            Act::Header { audio } => {
                version = version.wrapping_add(1);
                if audio && with_audio_header {
                    b.write(&frame(Kind::Audio, Codec::Aac, Role::Header, ms, [ASC, &[version]].concat()));
                } else if has_video {
                    b.write(&frame(
                        Kind::Video,
                        Codec::H264,
                        Role::Header,
                        ms,
                        [&AVCC[..AVCC.len() - 1], &[version]].concat(),
                    ));
                }
            }
            Act::Cut => b.recorder.cut(Cut::AtKeyframe),
            Act::Pass { ms } => b.pass(ms.into()),
        }
        for mut f in frames {
            let at = f.payload.len() - 4;
            f.payload = [&f.payload[..at], &next.to_be_bytes()].concat().into();
            flowing |= f.is_video_key() || !has_video;
            if flowing {
                expected.push(next);
            }
            next += 1;
            ms = f.dts.div_euclid(1000).saturating_add(20);
            b.write(&f);
        }
    }
    b.end();
    b.pass(1_000_000);
    expected
}

proptest! {
    #[test]
    fn every_frame_is_in_one_file(
        acts in acts(),
        plan in prop_oneof![Just(Plan::Session), Just(Plan::Segment)],
        jitter in prop_oneof![Just(Correction::FULL), Just(Correction::Zero), Just(Correction::Off)],
        keep in any::<bool>(),
    ) {
        let keep_us = if keep { 1_000_000 } else { 0 };
        let mut b = Bench::new(Options { plan, jitter, keep_us, duration_us: 500_000, keyframe_index: keep, ..options() });
        let expected = play(&mut b, acts, true);
        let ids = b.ids();
        prop_assert!(ids.iter().all(|file| !file.is_empty()));
        prop_assert_eq!(ids.concat(), expected);
        prop_assert_eq!((b.dropped, b.refused.len()), (0, 0));
        for file in b.files.values() {
            prop_assert!(file.closed.is_some());
            if jitter != Correction::Off {
                prop_assert_eq!(file.frames()[0].dts, 0);
            }
        }
    }

    #[test]
    fn a_cut_file_still_plays(acts in acts(), cut in any::<prop::sample::Index>()) {
        let mut b = Bench::new(options());
        play(&mut b, acts, true);
        for file in b.files.values() {
            let whole = tags(&file.raw);
            let part = tags(&file.raw[..cut.index(file.raw.len() + 1)]);
            prop_assert_eq!(&part[..], &whole[..part.len()]);
        }
    }

    #[test]
    fn every_frame_is_in_one_mp4_file(
        acts in acts(),
        plan in prop_oneof![Just(Plan::Session), Just(Plan::Segment), Just(Plan::Append)],
        jitter in prop_oneof![Just(Correction::FULL), Just(Correction::Zero), Just(Correction::Off)],
        keep in any::<bool>(),
        fragment_us in prop_oneof![Just(0), 1..2_000_000i64],
    ) {
        let keep_us = if keep { 1_000_000 } else { 0 };
        let mut b = Bench::new(Options { plan, jitter, keep_us, fragment_us, duration_us: 500_000, ..mp4() });
        let expected = play(&mut b, acts, false);
        let mut all = vec![];
        for file in b.files.values() {
            prop_assert_eq!(file.closed.map(|(_, bytes)| bytes), Some(file.bytes.len() as u64));
            let (init, found) = fragments(&file.bytes);
            let init = init.expect("tracks");
            // An independent reader takes the boxes too.
            prop_assert_eq!(boxes(&file.bytes), found.len());
            for (kind, is_there) in [(Kind::Video, init.video.is_some()), (Kind::Audio, init.audio.is_some())] {
                let runs: Vec<_> = found.iter().flat_map(|(f, _)| &f.runs).filter(|r| r.kind == kind).collect();
                prop_assert!(runs.windows(2).all(|w| w[0].end() <= w[1].time), "a track goes back");
                prop_assert_eq!(runs.is_empty(), !is_there);
                if kind == Kind::Video && is_there {
                    prop_assert!(runs[0].samples[0].key);
                }
            }
            let from = all.len();
            all.extend(found.into_iter().flat_map(|(_, ids)| ids));
            // In one file the tracks stand one after the other.
            all[from..].sort_unstable();
        }
        prop_assert_eq!(all, expected);
        prop_assert_eq!((b.dropped, b.refused.len()), (0, 0));
    }
}

/// How many fragments shiguredo_mp4 finds, which knows nothing of this crate.
fn boxes(mut bytes: &[u8]) -> usize {
    use shiguredo_mp4::Decode;
    use shiguredo_mp4::boxes::RootBox;
    let mut fragments = 0;
    while !bytes.is_empty() {
        let (root, length) = RootBox::decode(bytes).expect("a box");
        fragments += usize::from(matches!(root, RootBox::Moof(_)));
        bytes = &bytes[length..];
    }
    fragments
}
