//! Frames and commands in any order for a recorder: files open and close in pairs, what they hold can be
//! read back, and no frame is in them twice or out of order.

#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use bytes::Bytes;
use camrill::dvr::{Cut, Format, Options, Output, Plan, Recorder};
use camrill::flv::{self, Demuxer};
use camrill::fmp4::{Found, Scanner};
use camrill::media::{Codec, Correction, Frame, Headers, Kind, Role};
use camrill::template::Calendar;
use camrill::time::Time;
use libfuzzer_sys::fuzz_target;

const AVCC: &[u8] =
    b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\
    \x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x19\x60\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0";

/// What frames of FLAC begin with.
const FLAC: &[u8] = &[0xff, 0xf9, 0x74, 0x08];

#[derive(Arbitrary, Debug)]
enum Op {
    Begin {
        headers: u8,
    },
    Write {
        kind: u8,
        codec: u8,
        role: u8,
        step: i16,
    },
    /// A GOP with audio.
    WriteMany {
        count: u8,
        step: u8,
    },
    Leap {
        dts: i64,
    },
    /// A header of any bytes.
    Header {
        kind: u8,
        codec: u8,
        bytes: Vec<u8>,
    },
    End,
    Start,
    Stop,
    Cut {
        at_once: bool,
    },
    Pass {
        ms: u16,
    },
    /// The outputs are not taken from now on, or are again.
    Stall {
        stalls: bool,
    },
    Fail,
}

#[derive(Arbitrary, Debug)]
struct How {
    flags: u8,
    plan: u8,
    duration: u8,
    fragment: u8,
    preroll: u8,
    /// Bytes in the file that is gone on with.
    length: u16,
    last_ms: u32,
}

struct World {
    recorder: Recorder,
    format: Format,
    now: Time,
    dts: i64,
    next: u32,
    /// What an opened file holds, for one that is gone on with.
    existing: (u64, u32),
    files: BTreeMap<u32, Image>,
    open: Option<u32>,
    failed: Vec<u32>,
    stalls: bool,
}

#[derive(Default)]
struct Image {
    /// Bytes that were there before.
    base: u64,
    bytes: Vec<u8>,
    is_whole: bool,
}

fuzz_target!(|input: (How, Vec<Op>)| {
    let (how, ops) = input;
    let mp4 = how.flags & 1 != 0;
    let options = Options {
        path: if mp4 { "[app]/[stream].mp4" } else { "[stream]-[seq]-[999].flv" }.into(),
        vhost: "v".into(),
        app: "a/b".into(),
        stream: "s".into(),
        plan: [Plan::Session, Plan::Segment, Plan::Append][usize::from(how.plan) % 3],
        duration_us: i64::from(how.duration) * 100_000,
        wait_keyframe: how.flags & 2 == 0,
        jitter: [Correction::FULL, Correction::Zero, Correction::Off, Correction::ENCODER]
            [usize::from(how.plan >> 4 & 3)],
        faststart: how.flags & 4 != 0,
        keyframe_index: how.flags & 8 != 0,
        on_demand: how.flags & 16 != 0,
        preroll_us: i64::from(how.preroll & 15) * 100_000,
        preroll_bytes: usize::from(how.preroll) * 100,
        fragment_us: i64::from(how.fragment) * 20_000,
        keep_us: if how.flags & 32 != 0 { 1_000_000 } else { 0 },
    };
    let mut world = World {
        format: options.format(),
        recorder: Recorder::new(options),
        now: Time::ZERO,
        dts: 0,
        next: 0,
        existing: (how.length.into(), how.last_ms),
        files: BTreeMap::new(),
        open: None,
        failed: Vec::new(),
        stalls: false,
    };
    for op in ops {
        world.run(op);
        if !world.stalls {
            world.take();
        }
    }
    world.end();
});

fn frame(kind: Kind, codec: Codec, role: Role, dts: i64, payload: Bytes) -> Frame {
    Frame { kind, codec, role, dts, pts: dts.saturating_add(20_000), payload: payload.into(), relay: Bytes::new() }
}

fn kind_and_codec(kind: u8, codec: u8) -> (Kind, Codec) {
    let n = usize::from(codec) % 4;
    match kind % 8 {
        0 => (Kind::Data, Codec::Script),
        1..4 => (Kind::Audio, [Codec::Aac, Codec::Aac, Codec::Mp3, Codec::G711A][n]),
        _ => (Kind::Video, [Codec::H264, Codec::H264, Codec::Vp8, Codec::Av1][n]),
    }
}

fn headers(which: u8) -> Headers {
    let header = |kind, codec, bytes: &'static [u8]| {
        Some(frame(kind, codec, Role::Header, 0, Bytes::from_static(bytes)))
    };
    let metadata = header(
        Kind::Data,
        Codec::Script,
        b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x01a\x05\x00\x00\x09",
    );
    Headers {
        metadata: metadata.filter(|_| which & 1 != 0),
        video: header(Kind::Video, Codec::H264, AVCC).filter(|_| which & 2 == 0),
        audio: header(Kind::Audio, Codec::Aac, b"\x12\x10").filter(|_| which & 4 == 0),
    }
}

impl World {
    fn run(&mut self, op: Op) {
        let when = Calendar { unix_ms: 1_800_000_000_000, ..Calendar::default() };
        match op {
            Op::Begin { headers: which } => self.recorder.begin(self.now, &headers(which)),
            Op::Write { kind, codec, role, step } => {
                let (kind, codec) = kind_and_codec(kind, codec);
                let role = [Role::Key, Role::Delta, Role::Mark, Role::Delta][usize::from(role) % 4];
                let role = if kind == Kind::Data { Role::Mark } else { role };
                self.dts = self.dts.saturating_add(i64::from(step) * 1000);
                self.write(kind, codec, role);
            }
            Op::WriteMany { count, step } => {
                for i in 0..count {
                    self.dts = self.dts.saturating_add(i64::from(step) * 1000);
                    self.now = Time::from_micros(self.now.as_micros() + u64::from(step) * 1000);
                    self.write(Kind::Video, Codec::H264, if i == 0 { Role::Key } else { Role::Delta });
                    self.write(Kind::Audio, Codec::Aac, Role::Key);
                }
            }
            Op::Leap { dts } => self.dts = dts,
            Op::Header { kind, codec, bytes } => {
                let (kind, codec) = kind_and_codec(kind, codec);
                // A header of a codec that has none would be read back as a frame.
                if kind != Kind::Data && !codec.has_header() {
                    return;
                }
                let header = frame(kind, codec, Role::Header, self.dts, bytes.into());
                self.recorder.write(self.now, &when, &header);
            }
            Op::End => self.recorder.end(self.now),
            Op::Start => self.recorder.start(self.now, &when),
            Op::Stop => self.recorder.stop(),
            Op::Cut { at_once } => self.recorder.cut(if at_once { Cut::AtOnce } else { Cut::AtKeyframe }),
            Op::Pass { ms } => {
                self.now = Time::from_micros(self.now.as_micros() + u64::from(ms) * 1000);
                self.recorder.handle_timeout(self.now);
                assert!(self.recorder.poll_timeout().is_none_or(|due| due > self.now));
            }
            Op::Stall { stalls } => self.stalls = stalls,
            Op::Fail => {
                if let Some(file) = self.open {
                    self.recorder.failed(self.now, file);
                    self.failed.push(file);
                }
            }
        }
    }

    fn write(&mut self, kind: Kind, codec: Codec, role: Role) {
        // What MP3 has for a header goes first; the number goes last.
        let mut payload = if codec == Codec::Mp3 { b"\xff\xfb\x90\x00".to_vec() } else { Vec::new() };
        if kind == Kind::Data {
            payload.extend_from_slice(b"\x02\x00\x01x\x0b\x00\x00\x00\x00\x00\x00");
        }
        payload.extend_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        let when = Calendar { unix_ms: 1_800_000_000_000, ..Calendar::default() };
        self.recorder.write(self.now, &when, &frame(kind, codec, role, self.dts, payload.into()));
    }

    fn take(&mut self) {
        while let Some(output) = self.recorder.poll_output() {
            match output {
                Output::Open { file, append, .. } => {
                    assert_eq!(self.open.replace(file), None, "two files at a time");
                    let base = if append { self.existing.0 } else { 0 };
                    assert!(self.files.insert(file, Image { base, ..Image::default() }).is_none());
                    if append {
                        self.recorder.opened(self.now, file, base, self.existing.1);
                    }
                }
                Output::Write { file, bytes } => {
                    assert!(!bytes.is_empty());
                    self.image(file).bytes.extend_from_slice(&bytes);
                }
                Output::Patch { file, offset, bytes } => {
                    let image = self.image(file);
                    let at = usize::try_from(offset - image.base).expect("an offset in the file");
                    image.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
                }
                Output::Close { file, duration_us, bytes, .. } => {
                    assert!(duration_us >= 0);
                    let has_failed = self.failed.contains(&file);
                    let image = self.image(file);
                    image.is_whole = !has_failed;
                    let length = image.base + image.bytes.len() as u64;
                    assert!(has_failed || bytes == length, "{bytes} of {length}");
                    self.open = None;
                }
                Output::Dropped { frames } => assert!(frames > 0),
                Output::Refused(_) => {}
            }
        }
    }

    fn image(&mut self, file: u32) -> &mut Image {
        assert_eq!(self.open, Some(file), "not the file that is open");
        self.files.get_mut(&file).expect("a file that was opened")
    }

    fn end(mut self) {
        self.take();
        self.recorder.end(self.now);
        self.take();
        self.now = Time::from_micros(self.now.as_micros() + 2_000_000);
        self.recorder.handle_timeout(self.now);
        self.take();
        assert_eq!(self.open, None);
        assert!(!self.recorder.is_recording());
        assert_eq!(self.recorder.poll_timeout(), None);
        let mut last = [None; 2];
        for image in self.files.values() {
            let frames = match self.format {
                Format::Flv => flv_frames(image),
                Format::Mp4 => mp4_frames(image),
            };
            for (kind, id) in frames {
                let last = &mut last[usize::from(kind == Kind::Video)];
                assert!(id < self.next && last.is_none_or(|last| id > last), "{kind:?} {id} after {last:?}");
                *last = Some(id);
            }
        }
    }
}

fn id(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[payload.len() - 4..].try_into().expect("four bytes"))
}

fn flv_frames(image: &Image) -> Vec<(Kind, u32)> {
    let whole = if image.base > 0 {
        [&flv::file::header(true, true)[..], &image.bytes].concat()
    } else {
        image.bytes.clone()
    };
    let mut input = &whole[..];
    let mut demuxer = Demuxer::new();
    let mut frames = Vec::new();
    while let Some(tag) = demuxer.handle_input(&mut input).expect("tags") {
        // Headers of any bytes need not be any.
        let Ok(frame) = flv::frame(tag.kind, 0, tag.body) else { continue };
        if matches!(frame.role, Role::Key | Role::Delta) && frame.kind != Kind::Data {
            frames.push((frame.kind, id(&frame.payload.bytes())));
        }
    }
    assert_eq!(demuxer.size_mismatches(), 0);
    frames
}

fn mp4_frames(image: &Image) -> Vec<(Kind, u32)> {
    let bytes = &image.bytes;
    let mut scanner = Scanner::new(bytes.len() as u64);
    let mut frames = Vec::new();
    while let Some(wanted) = scanner.wanted() {
        let at = usize::try_from(wanted.offset).expect("an offset in the file");
        let found = scanner.handle_input(&bytes[at..at + wanted.len]).expect("boxes");
        let Some(Found::Fragment(fragment)) = found else { continue };
        for run in &fragment.runs {
            let mut at = usize::try_from(run.offset).expect("an offset in the file");
            for sample in &run.samples {
                let begin = at;
                at += sample.size as usize;
                // G.711 has become FLAC, in which its bytes don't stand.
                if !bytes[begin..at].starts_with(FLAC) {
                    frames.push((run.kind, id(&bytes[at - 4..at])));
                }
            }
        }
    }
    assert_eq!(scanner.end(), bytes.len() as u64);
    frames
}
