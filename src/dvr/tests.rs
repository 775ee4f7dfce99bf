//! Recordings as they are written, read back.

mod any;
mod files;
mod mp4;
mod plans;
mod preroll;
mod slow;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::amf;
use crate::flv::{self, Demuxer};
use crate::fmp4::{Found, Fragment, Init, Scanner};
use crate::media::{Chain, Codec, Correction, Frame, Headers, Kind, Role};
use crate::template::Calendar;
use crate::time::Time;
use crate::wire::limits::{DVR_GATHER_BYTES, DVR_INDEX_KEYFRAMES, DVR_QUEUE_BYTES};

use super::*;

const AVCC: &[u8] =
    b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\
    \x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x19\x60\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0";
const ASC: &[u8] = b"\x12\x10";

fn frame(kind: Kind, codec: Codec, role: Role, ms: i64, payload: impl Into<Chain>) -> Frame {
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
