//! Frames of any kind, size and time into an HLS writer, beside what every playlist must be.

#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use bytes::{BufMut, Bytes, BytesMut};
use camrill::hls::{Answer, Format, Keys, Options, Output, Reload, Writer};
use camrill::media::{Codec, Frame, Headers, Kind, Role};
use camrill::template::Calendar;
use libfuzzer_sys::fuzz_target;

/// Bytes that may be kept beyond the limit: the newest segment, a frame, and the initialization sections.
const SLACK: usize = 256 * 1024;

#[derive(Arbitrary, Debug)]
struct Setup {
    fmp4: bool,
    parts: bool,
    keys: bool,
    wait_keyframe: bool,
    dts_directly: bool,
    keep_bytes: bool,
    ts_floor: bool,
    fragment_ms: u16,
    window_ms: u16,
    part_ms: u16,
    max_kb: u8,
    ratios: (u8, u8),
    recover: Option<String>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Begin,
    End,
    Finish,
    Dispose,
    Header {
        audio: bool,
        other: bool,
    },
    Frame {
        codec: u8,
        role: u8,
        dts: i64,
        pts: i32,
        payload: Vec<u8>,
    },
    /// Frames that can be carried, a keyframe each `gop` of them.
    Live {
        count: u8,
        gop: u8,
        ms: u16,
        audio: bool,
    },
    Ask {
        msn: Option<u64>,
        part: Option<u64>,
        skip: bool,
        context: Option<String>,
        name: String,
    },
}

const AVCC: [&[u8]; 2] = [
    b"\x01\x42\xc0\x1e\xff\xe1\x00\x18\x67\x42\xc0\x1e\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x03\xe9\x00\
      \x00\xea\x60\x0f\x16\x2e\x48\x01\x00\x04\x68\xce\x3c\x80",
    b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\
      \x00\x00\x03\x03\x20\xf1\x83\x19\x60\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0",
];
const AAC: [&[u8]; 2] = [b"\x12\x10", b"\x11\x90"];

fuzz_target!(|input: (Setup, Vec<Op>)| {
    let (setup, ops) = input;
    let max_bytes = 1024 * usize::from(setup.max_kb);
    let keys = Keys { seed: [1; 32], fragments_per_key: 2, url: String::new(), file: "k-[seq].key".into() };
    let options = Options {
        format: if setup.fmp4 { Format::Fmp4 } else { Format::Ts },
        fragment_us: i64::from(setup.fragment_ms) * 1000,
        window_us: i64::from(setup.window_ms) * 1000,
        td_ratio: f64::from(setup.ratios.0) / 16.0,
        aof_ratio: if setup.ratios.1 == 255 { f64::NAN } else { f64::from(setup.ratios.1) / 16.0 },
        wait_keyframe: setup.wait_keyframe,
        ts_floor: setup.ts_floor,
        part_us: (setup.fmp4 && setup.parts).then_some(i64::from(setup.part_ms) * 1000),
        keys: (!setup.fmp4 && setup.keys).then_some(keys),
        dts_directly: setup.dts_directly,
        keep_bytes: setup.keep_bytes,
        max_bytes,
        ..Options::default()
    };
    let mut writer = Writer::new(options).expect("options that go together");
    if let Some(text) = &setup.recover {
        writer.recover(text);
    }
    let mut target = writer.target_duration();
    let mut files = BTreeSet::new();
    let mut dts = 0i64;
    for op in ops {
        match op {
            Op::Begin => writer.begin(&Headers::default()),
            Op::End => writer.end(),
            Op::Finish => writer.finish(),
            Op::Dispose => {
                writer.dispose();
                target = None;
            }
            Op::Header { audio, other } => {
                let (kind, codec) =
                    if audio { (Kind::Audio, Codec::Aac) } else { (Kind::Video, Codec::H264) };
                let payload = if audio { AAC } else { AVCC }[usize::from(other)];
                write(&mut writer, kind, codec, Role::Header, (0, 0), Bytes::from_static(payload));
            }
            Op::Frame { codec, role, dts: at, pts, payload } => {
                let (kind, codec) = CODECS[usize::from(codec) % CODECS.len()];
                let role = [Role::Header, Role::Key, Role::Delta, Role::Mark][usize::from(role) % 4];
                write(&mut writer, kind, codec, role, (at, at.saturating_add(pts.into())), payload.into());
            }
            Op::Live { count, gop, ms, audio } => {
                for n in 0..count {
                    let is_key = n % gop.max(1) == 0;
                    let role = if is_key { Role::Key } else { Role::Delta };
                    write(&mut writer, Kind::Video, Codec::H264, role, (dts, dts), nal(is_key));
                    if audio {
                        let payload = Bytes::from_static(&[0x21; 20]);
                        write(&mut writer, Kind::Audio, Codec::Aac, Role::Key, (dts, dts), payload);
                    }
                    dts += i64::from(ms) * 1000;
                }
            }
            Op::Ask { msn, part, skip, context, name } => {
                let _ = writer.playlist(&Reload { msn, part, skip }, context.as_deref());
                let _ = (writer.file(&name), writer.master(&name), Reload::parse(&name));
            }
        }
        drain(&mut writer, &mut target, &mut files, setup.keep_bytes, setup.recover.is_none());
        assert!(writer.bytes() <= max_bytes + SLACK, "{} bytes of {max_bytes}", writer.bytes());
    }
});

const CODECS: [(Kind, Codec); 12] = [
    (Kind::Video, Codec::H264),
    (Kind::Audio, Codec::Aac),
    (Kind::Video, Codec::H265),
    (Kind::Audio, Codec::Mp3),
    (Kind::Video, Codec::Av1),
    (Kind::Audio, Codec::Opus),
    (Kind::Video, Codec::Vp9),
    (Kind::Audio, Codec::G711A),
    (Kind::Video, Codec::Vp8),
    (Kind::Audio, Codec::Other(3)),
    (Kind::Data, Codec::Script),
    (Kind::Audio, Codec::Flac),
];

fn nal(is_key: bool) -> Bytes {
    let mut payload = BytesMut::new();
    payload.put_u32(40);
    payload.put_u8(if is_key { 0x65 } else { 0x41 });
    payload.put_bytes(0x11, 39);
    payload.freeze()
}

fn write(writer: &mut Writer, kind: Kind, codec: Codec, role: Role, times: (i64, i64), payload: Bytes) {
    let (dts, pts) = times;
    let when = Calendar { unix_ms: dts / 1000, ..Calendar::default() };
    writer.write(&when, &Frame { kind, codec, role, dts, pts, payload: payload.into(), relay: Bytes::new() });
}

/// What is given out goes together: files are there while they are named, the target duration stays, and
/// no segment is longer.
fn drain(
    writer: &mut Writer,
    target: &mut Option<u32>,
    files: &mut BTreeSet<String>,
    kept: bool,
    from_nothing: bool,
) {
    let mut text = None;
    while let Some(output) = writer.poll_output() {
        match output {
            Output::Init { name, .. } | Output::Key { name, .. } | Output::Part { name, .. } => {
                assert!(files.insert(name));
            }
            Output::Segment(closed) => assert!(files.insert(closed.name)),
            Output::Playlist { text: now, .. } => text = Some(now),
            Output::Expired { name } => {
                assert!(files.remove(&name) || name == writer.playlist_name() || !from_nothing, "{name}");
            }
            Output::LeftOut { .. } | Output::Refused { .. } => {}
        }
    }
    let Some(text) = text else { return };
    if let Some(target) = target {
        assert_eq!(writer.target_duration(), Some(*target));
    }
    *target = writer.target_duration();
    let longest = f64::from(target.expect("a target duration"));
    let text = std::str::from_utf8(&text).expect("UTF-8");
    for line in text.lines() {
        if let Some(duration) = line.strip_prefix("#EXTINF:") {
            let seconds: f64 = duration.trim_end_matches(',').parse().expect("a number");
            assert!(seconds.round() <= longest || !from_nothing, "{seconds} > {longest}");
        }
        if !line.starts_with('#') && from_nothing {
            let name = format!("live/{line}");
            assert!(files.contains(&name), "{name}");
            assert!(!kept || matches!(writer.file(&name), Answer::Ready(_)), "{name}");
        }
    }
}
