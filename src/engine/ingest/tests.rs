//! Files of all formats, made by our own writers and played under a virtual clock.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::IngestOptions;
use super::files::{FileError, Files};
use crate::engine::timers::Alarm;
use crate::engine::{Engine, RetryPolicy};
use crate::flv;
use crate::media::{Chain, Codec, Frame, Kind, Role};
use crate::time::Time;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("camrill-files-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// When playing begins.
const START: Time = Time::from_millis(1000);
/// What a round of [`clip`] lasts: its last sound is at 200 ms.
const ROUND_US: i64 = 220_000;

const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
    0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
];
const ASC: &[u8] = &[0x12, 0x10];

fn frame(codec: Codec, role: Role, ms: i64, payload: impl Into<Chain>) -> Frame {
    let kind = match codec {
        Codec::Aac | Codec::Mp3 => Kind::Audio,
        Codec::Script => Kind::Data,
        _ => Kind::Video,
    };
    let dts = ms * 1000;
    Frame { kind, codec, role, dts, pts: dts, payload: payload.into(), relay: Bytes::new() }
}

fn picture(role: Role, ms: i64) -> Frame {
    let nal = [if role == Role::Key { 0x65 } else { 0x41 }, 0x80 | ms as u8, 7, 7];
    let shown = frame(Codec::H264, role, ms, [&[0, 0, 0, 4][..], &nal].concat());
    Frame { pts: shown.dts + [80_000, 0, 40_000][(ms / 40 % 3) as usize], ..shown }
}

fn headers() -> [Frame; 2] {
    let record = crate::codec::avcc::build(&[SPS], &[&[0x68, 0xce]]).unwrap();
    [frame(Codec::H264, Role::Header, 0, record), frame(Codec::Aac, Role::Header, 0, ASC)]
}

/// Five pictures, 40 ms apart, and eleven sounds, 20 ms apart, by their DTS.
fn clip() -> Vec<Frame> {
    let mut frames = headers().to_vec();
    for ms in (0..=200).step_by(20) {
        if ms % 40 == 0 && ms < 200 {
            frames.push(picture(if ms == 0 { Role::Key } else { Role::Delta }, ms));
        }
        frames.push(frame(Codec::Aac, Role::Key, ms, vec![ms as u8; 20]));
    }
    frames
}

fn flv_file(frames: &[Frame]) -> BytesMut {
    let mut out = BytesMut::from(&flv::file::header(true, true)[..]);
    for frame in frames {
        let ms = u32::try_from(frame.dts / 1000).unwrap();
        flv::file::tag(frame.kind, ms, &flv::body(frame), &mut out).unwrap();
    }
    out
}

fn metadata(width: f64) -> Frame {
    let mut body = BytesMut::new();
    crate::amf::amf0::string(&mut body, "onMetaData");
    crate::amf::amf0::ecma_array(&mut body, &[("width".into(), width.into())]);
    frame(Codec::Script, Role::Header, 0, body)
}

fn open(paths: &[&String], looped: bool) -> Result<Files, FileError> {
    let paths: Vec<String> = paths.iter().map(|path| (*path).clone()).collect();
    Files::open(START, &paths, looped)
}

/// The next `n` frames, each at the time at which it is due, or fewer at the end.
fn played(files: &mut Files, n: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(due) = files.due().filter(|_| frames.len() < n) {
        let Some(frame) = files.poll(due).unwrap() else { continue };
        assert_eq!(due, START + Duration::from_micros(frame.dts as u64));
        frames.push(frame);
    }
    frames
}

/// What is told of a frame here: its codec, its role and its DTS in ms.
fn told(frames: &[Frame]) -> Vec<(Codec, Role, i64)> {
    frames.iter().map(|f| (f.codec, f.role, f.dts / 1000)).collect()
}

fn later(frames: &[Frame], us: i64) -> Vec<Frame> {
    frames.iter().map(|f| Frame { dts: f.dts + us, pts: f.pts + us, ..f.clone() }).collect()
}

/// Three rounds of the clip from a file, each track exactly as it was written.
#[track_caller]
fn assert_three_rounds(path: &String) {
    let clip = clip();
    let (headers, media) = clip.split_at(2);
    let expected = [headers, media, &later(media, ROUND_US), &later(media, 2 * ROUND_US)].concat();
    let mut files = open(&[path], true).unwrap();
    let mut frames = played(&mut files, expected.len());
    assert!(frames.windows(2).all(|pair| pair[0].dts <= pair[1].dts), "{:?}", told(&frames));
    frames.iter_mut().for_each(|frame| frame.relay = Bytes::new());
    for kind in [Kind::Video, Kind::Audio] {
        let of_track = |frames: &[Frame]| -> Vec<Frame> {
            frames.iter().filter(|frame| frame.kind == kind).cloned().collect()
        };
        assert_eq!(of_track(&frames), of_track(&expected));
    }
    assert!(files.take_warning().is_none());
}

#[test]
fn an_flv_file_goes_round() {
    let folder = Folder::new();
    assert_three_rounds(&folder.write("a", flv_file(&clip())));
    // Timestamps may begin anywhere, and wrap.
    let late = later(&clip(), (i64::from(u32::MAX) - 100) * 1000);
    let mut out = BytesMut::from(&flv::file::header(true, true)[..]);
    for frame in &late {
        flv::file::tag(frame.kind, (frame.dts / 1000) as u32, &flv::body(frame), &mut out).unwrap();
    }
    assert_three_rounds(&folder.write("b", out));
}

#[test]
fn without_a_loop_it_ends() {
    let folder = Folder::new();
    let (a, b) = (folder.write("a", flv_file(&clip())), folder.write("b", flv_file(&clip())));
    let mut files = open(&[&a, &b], false).unwrap();
    let clip = clip();
    let frames = played(&mut files, 100);
    let expected = [&clip[..], &later(&clip[2..], ROUND_US)].concat();
    assert_eq!(told(&frames), told(&expected));
    assert!(files.due().is_none());
    assert_eq!(files.poll(Time::from_micros(u64::MAX)).unwrap(), None);
}

#[test]
fn a_track_of_one_frame_lasts_ten_ms() {
    let folder = Folder::new();
    let path = folder.write("a", flv_file(&[&headers()[..], &[picture(Role::Key, 0)]].concat()));
    let frames = played(&mut open(&[&path], true).unwrap(), 5);
    let key = |ms| (Codec::H264, Role::Key, ms);
    assert_eq!(told(&frames)[2..], [key(0), key(10), key(20)]);
}

#[test]
fn timestamps_that_jump_go_on() {
    let folder = Folder::new();
    let at = |ms| picture(Role::Key, ms);
    let frames = [0, 40, 80, 3_600_000, 3_600_040, 3_609_040, 100, 140].map(at);
    let path = folder.write("a", flv_file(&frames));
    let dts: Vec<i64> = played(&mut open(&[&path], true).unwrap(), 10).iter().map(|f| f.dts / 1000).collect();
    assert_eq!(dts, [0, 40, 80, 120, 160, 9160, 18160, 18200, 18240, 18280]);
    // Sound that is away for long is no jump.
    let sound = |ms| frame(Codec::Aac, Role::Key, ms, vec![1]);
    let frames = [at(0), sound(0), at(8000), at(16_000), sound(16_000), at(16_040)];
    let path = folder.write("b", flv_file(&frames));
    let frames = played(&mut open(&[&path], false).unwrap(), 10);
    let dts: Vec<i64> = frames.iter().map(|f| f.dts / 1000).collect();
    assert_eq!(dts, [0, 0, 8000, 16_000, 16_000, 16_040]);
}

#[test]
fn what_is_late_is_made_up_for_up_to_five_seconds() {
    let folder = Folder::new();
    let path = folder.write("a", flv_file(&clip()));
    let mut files = open(&[&path], true).unwrap();
    played(&mut files, 4);
    // The picture at 40 ms is next but one.
    let now = START + Duration::from_secs(5);
    while let Some(frame) = files.poll(now).unwrap() {
        assert!(frame.dts <= 5_000_000);
    }
    let due = files.due().unwrap();
    assert!(due > now && due < now + Duration::from_millis(40));
    let now = due + Duration::from_micros(5_000_001);
    files.poll(now).unwrap().unwrap();
    let due = files.due().unwrap();
    assert!(due >= now && due < now + Duration::from_millis(40), "the clock starts anew");
}

#[test]
fn headers_come_when_they_change() {
    let folder = Folder::new();
    let [video, audio] = headers();
    let other = frame(Codec::H264, Role::Header, 0, [&video.payload[..], &[0]].concat());
    let mp3 = |ms| {
        let mut payload = vec![0x55; 417];
        payload[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
        frame(Codec::Mp3, Role::Key, ms, payload)
    };
    let sound = |ms| frame(Codec::Aac, Role::Key, ms, vec![1]);
    let (big, small) = (metadata(1920.0), metadata(640.0));
    let a = [big.clone(), video.clone(), audio.clone(), picture(Role::Key, 0), sound(0)];
    let b = [small.clone(), video.clone(), other.clone(), picture(Role::Key, 0), mp3(0)];
    let c = [other.clone(), picture(Role::Key, 0)];
    let paths =
        [folder.write("a", flv_file(&a)), folder.write("b", flv_file(&b)), folder.write("c", flv_file(&c))];
    let mut files = open(&[&paths[0], &paths[1], &paths[2]], true).unwrap();
    let frames = played(&mut files, 20);
    let payloads: Vec<_> = frames.iter().map(|f| f.payload.clone()).collect();
    let none = {
        let mut body = BytesMut::new();
        crate::amf::amf0::string(&mut body, "onMetaData");
        crate::amf::amf0::ecma_array(&mut body, &[]);
        frame(Codec::Script, Role::Header, 0, body)
    };
    let key = picture(Role::Key, 0);
    let round = [
        // The first file.
        &[big, video, audio, key.clone(), sound(0)][..],
        // The second: its first header is in force, and the sound has none.
        &[small, other, key.clone(), mp3(0)],
        // The third has no metadata, and that of the second says nothing of it.
        &[none, key],
    ]
    .concat();
    let expected: Vec<_> = round.iter().cycle().take(20).map(|f| f.payload.clone()).collect();
    assert_eq!(payloads, expected);
    let dts: Vec<i64> = frames.iter().map(|f| f.dts / 1000).collect();
    assert_eq!(dts, [0, 0, 0, 0, 0, 10, 10, 10, 10, 20, 20, 30, 30, 30, 30, 30, 40, 40, 40, 40]);
}

#[test]
fn what_cannot_be_played_is_passed_over_and_told_once() {
    let folder = Folder::new();
    let whole = flv_file(&clip());
    // The last tag has 20 bytes of sound, and is cut off in them.
    let cut = folder.write("cut", &whole[..whole.len() - 10]);
    let too_long = [&whole[..], &[9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]].concat();
    let broken = folder.write("broken", too_long);
    let empty = folder.write("empty", b"");
    let bare = folder.write("bare", flv::file::header(true, true));
    let other = folder.write("other", b"RIFF, which is another format");
    let (missing, nothing) = (folder.path("missing"), folder.path(""));
    let mut files = open(&[&missing, &cut, &empty, &bare, &broken, &other, &nothing], true).unwrap();
    let media = clip().len() - 2;
    // The cut file lacks its last sound, so it lasts 20 ms less.
    let frames = played(&mut files, 2 + 3 * (2 * media - 1));
    let ends: Vec<i64> = frames.iter().map(|f| f.dts / 1000).filter(|ms| *ms % 420 == 200).collect();
    assert_eq!(frames.last().map(|f| f.dts / 1000), Some(2 * 420 + 200 + 200));
    assert_eq!(ends.len(), 6, "the second file's first picture and sound, each round");
    let warnings: Vec<String> = std::iter::from_fn(|| files.take_warning()).collect();
    let len = whole.len() + 11;
    assert_eq!(
        warnings,
        [
            format!("{missing} is passed over: No such file or directory (os error 2)"),
            format!("{cut} ends early: it is cut off: what is announced goes on behind its end"),
            format!("{empty} is passed over: no audio or video frame in it"),
            format!("{bare} is passed over: no audio or video frame in it"),
            format!(
                "{broken} ends early: FLV, malformed before byte {len}: FLV tag is beyond the limit of 8388608"
            ),
            format!(
                "{other} is passed over: FLV, MP4 or MPEG-TS was expected, but it begins with the bytes \
                52 49 46 46 2c 20 77 68"
            ),
            format!("{nothing} is passed over: not a regular file"),
        ]
    );
    // Once it has been played well, it is told again.
    folder.write("missing", &whole);
    played(&mut files, 3 * media);
    fs::remove_file(&missing).unwrap();
    played(&mut files, 3 * media);
    let warnings: Vec<String> = std::iter::from_fn(|| files.take_warning()).collect();
    assert_eq!(warnings, [format!("{missing} is passed over: No such file or directory (os error 2)")]);
}

#[test]
fn what_comes_before_the_fault_is_played() {
    let folder = Folder::new();
    let pictures: Vec<Frame> = clip().into_iter().filter(|f| f.kind == Kind::Video).collect();
    let too_long = [&flv_file(&pictures)[..], &[9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]].concat();
    let path = folder.write("a", too_long);
    let mut files = open(&[&path], false).unwrap();
    assert_eq!(told(&played(&mut files, 100)), told(&pictures));
    assert!(files.take_warning().unwrap().starts_with(&format!("{path} ends early: FLV, malformed before")));
    // In the next round too, though nothing changes between.
    let mut files = open(&[&path], true).unwrap();
    assert_eq!(played(&mut files, 16).len(), 16);
    assert!(files.take_warning().is_some() && files.take_warning().is_none());
}

#[test]
fn a_round_without_a_frame_is_an_error() {
    let folder = Folder::new();
    let (empty, missing) = (folder.write("empty", b""), folder.path("missing"));
    for looped in [false, true] {
        let e = open(&[&missing], looped).unwrap_err();
        assert_eq!(e.to_string(), "No such file or directory (os error 2)");
        let e = open(&[&empty, &missing], looped).unwrap_err();
        assert_eq!(
            e.to_string(),
            format!(
                "none of its files can be played: {empty}: no audio or video frame in it; \
                {missing}: No such file or directory (os error 2)"
            )
        );
    }
    // Also in a later round; what was found before is given.
    let path = folder.write("a", flv_file(&clip()));
    let mut files = open(&[&path], true).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(played(&mut files, clip().len()).len(), clip().len());
    let due = files.due().unwrap();
    assert_eq!(files.poll(due).unwrap_err().to_string(), "No such file or directory (os error 2)");
    assert!(files.due().is_none() && files.take_warning().is_none());
}

#[test]
fn a_long_search_takes_many_turns() {
    let folder = Folder::new();
    // Tags of another type, 8 MiB each, and a frame behind two of them.
    let skipped = [&[15, 0x7f, 0xff, 0xf1, 0, 0, 0, 0, 0, 0, 0][..], &[0; 0x7f_fff1 + 4]].concat();
    let begin = &flv::file::header(true, true)[..];
    let frames = &flv_file(&[picture(Role::Key, 0)])[13..];
    let found = folder.write("found", [begin, &skipped, &skipped, frames].concat());
    let mut files = open(&[&found], false).unwrap();
    let mut turns = 0;
    let mut now = START;
    let frame = loop {
        let due = files.due().unwrap();
        assert!(due > now || turns > 0);
        if due > now {
            assert_eq!(files.poll(now).unwrap(), None, "nothing more in the same turn");
        }
        now = due;
        if let Some(frame) = files.poll(now).unwrap() {
            break frame;
        }
        turns += 1;
    };
    // 1 MiB in each, the first when it is opened and the last with the frame.
    assert_eq!((turns, frame.dts), (15, 0));
    // Without any it is given up in the end.
    let barren = folder.path("barren");
    let file = fs::File::create(&barren).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, begin, 0).unwrap();
    for n in 0..10 {
        let at = 13 + n * skipped.len() as u64;
        std::os::unix::fs::FileExt::write_all_at(&file, &skipped[..11], at).unwrap();
    }
    file.set_len(10 * skipped.len() as u64).unwrap();
    let mut files = open(&[&barren], true).unwrap();
    let e = loop {
        let due = files.due().unwrap();
        match files.poll(due) {
            Ok(frame) => assert_eq!(frame, None),
            Err(e) => break e,
        }
    };
    assert_eq!(e.to_string(), "no audio or video frame in 64 MiB");
}

#[cfg(not(any(feature = "http", feature = "hls")))]
#[test]
fn what_is_not_built_is_told() {
    let folder = Folder::new();
    let mut packets = vec![0; 3 * 188];
    packets.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
    let e = open(&[&folder.write("a.ts", packets)], true).unwrap_err();
    assert_eq!(e.to_string(), "MPEG-TS is not in this build: it comes with the feature http or hls");
    #[cfg(not(feature = "dvr"))]
    {
        let e = open(&[&folder.write("a.mp4", b"\0\0\0\x08ftyp")], true).unwrap_err();
        assert_eq!(e.to_string(), "MP4 is not in this build: it comes with the feature http, hls or dvr");
    }
}

#[cfg(any(feature = "http", feature = "hls"))]
mod all_formats {
    use super::*;
    use crate::fmp4::{Found, Plain, Sample, Scanner, Tracks, fragment};
    use crate::mpegts::{Muxer, Options};

    fn ts_file(frames: &[Frame], hold_us: i64) -> BytesMut {
        let mut muxer = Muxer::new(Options { audio_hold_us: hold_us });
        let mut out = BytesMut::new();
        for header in frames.iter().filter(|f| f.role == Role::Header) {
            muxer.write(header, &mut BytesMut::new()).unwrap();
        }
        frames.iter().for_each(|frame| muxer.write(frame, &mut out).unwrap());
        muxer.flush(&mut out);
        out
    }

    /// Two fragments.
    fn fragmented(frames: &[Frame]) -> BytesMut {
        let header = |kind| frames.iter().find(|f| f.kind == kind && f.role == Role::Header);
        let tracks = Tracks::new(header(Kind::Video), header(Kind::Audio)).unwrap();
        let mut out = BytesMut::from(&tracks.init()[..]);
        let media: Vec<&Frame> = frames.iter().filter(|f| f.role != Role::Header).collect();
        for (n, part) in (1..).zip(media.chunks(media.len().div_ceil(2))) {
            let duration = |f: &Frame| if f.kind == Kind::Video { 40_000 } else { 20_000 };
            let sample = |frame| Sample { frame, duration_us: duration(frame) };
            let samples: Vec<_> = part.iter().map(|frame| sample(frame)).collect();
            fragment(&tracks, n, &samples, &mut out).unwrap();
        }
        out
    }

    /// The same without fragments, its tables in front.
    fn plain(frames: &[Frame]) -> Vec<u8> {
        let file = fragmented(frames);
        let at = |offset: u64| usize::try_from(offset).unwrap();
        let mut scanner = Scanner::new(file.len() as u64);
        let mut plain = None;
        while let Some(wanted) = scanner.wanted() {
            match scanner.handle_input(&file[at(wanted.offset)..][..wanted.len]).unwrap() {
                Some(Found::Init(init)) => plain = Some(Plain::new(&init)),
                Some(Found::Fragment(f)) => plain.as_mut().unwrap().push(&f).unwrap(),
                None => {}
            }
        }
        let finished = plain.unwrap().finish().unwrap();
        let data = finished.ranges.iter().flat_map(|r| file[at(r.start)..at(r.end)].to_vec());
        finished.head.iter().copied().chain(data).collect()
    }

    /// Ten seconds of pictures and of sound that has 1024 samples a frame.
    fn long() -> Vec<Frame> {
        let pictures = (0..250).map(|n| {
            let nal = [&3000u32.to_be_bytes()[..], &[if n % 50 == 0 { 0x65 } else { 0x41 }; 3000]].concat();
            frame(Codec::H264, if n % 50 == 0 { Role::Key } else { Role::Delta }, n * 40, nal)
        });
        let sounds = (0..430i64).map(|n| {
            let dts = n * 1024 * 1_000_000 / 44_100;
            Frame { dts, pts: dts, ..frame(Codec::Aac, Role::Key, 0, vec![1; 20]) }
        });
        let mut frames: Vec<Frame> = headers().into_iter().chain(pictures).chain(sounds).collect();
        frames.sort_by_key(|f| f.dts);
        frames
    }

    #[test]
    fn mp4_and_ts_files_go_round() {
        let folder = Folder::new();
        assert_three_rounds(&folder.write("a", fragmented(&clip())));
        assert_three_rounds(&folder.write("b", plain(&clip())));
        assert_three_rounds(&folder.write("c", ts_file(&clip(), 0)));
        // With a time stamp before each packet, and with a code behind.
        let ts = ts_file(&clip(), 0);
        let stamped: Vec<u8> = ts.chunks(188).flat_map(|p| [&[1, 2, 3, 4][..], p].concat()).collect();
        assert_three_rounds(&folder.write("d", stamped));
        let coded: Vec<u8> = ts.chunks(188).flat_map(|p| [p, &[9; 16]].concat()).collect();
        assert_three_rounds(&folder.write("e", coded));
    }

    #[test]
    fn sound_that_a_transport_stream_has_late_is_played_in_time() {
        let folder = Folder::new();
        let path = folder.write("a.ts", ts_file(&long(), 500_000));
        let frames = played(&mut open(&[&path], false).unwrap(), usize::MAX);
        assert_eq!(frames.len(), long().len());
        assert!(frames.windows(2).all(|pair| pair[0].dts <= pair[1].dts));
        // To a tick of 90 kHz and one of 44.1 kHz.
        let expected = long();
        for kind in [Kind::Video, Kind::Audio] {
            let of_track = |frames: &[Frame]| -> Vec<i64> {
                frames.iter().filter(|f| f.kind == kind).map(|f| f.dts).collect()
            };
            let (played, written) = (of_track(&frames), of_track(&expected));
            assert!(played.iter().zip(&written).all(|(a, b)| (a - b).abs() <= 34), "{kind:?}");
        }
    }

    #[test]
    fn a_list_of_all_formats_is_one_stream() {
        let folder = Folder::new();
        let clip = clip();
        let pictures: Vec<Frame> = clip.iter().filter(|f| f.kind == Kind::Video).cloned().collect();
        let hevc = [
            frame(Codec::H265, Role::Header, 0, hevc_record()),
            frame(Codec::H265, Role::Key, 0, vec![1; 9]),
            frame(Codec::H265, Role::Delta, 40, vec![2; 9]),
        ];
        let paths = [
            folder.write("a", flv_file(&[&[metadata(640.0)], &clip[..]].concat())),
            folder.write("b", fragmented(&hevc)),
            folder.write("c", ts_file(&pictures, 0)),
            folder.write("d", plain(&clip)),
        ];
        let mut files = open(&paths.each_ref(), true).unwrap();
        let script = frame(Codec::Script, Role::Header, 0, Bytes::new());
        let round = |at: i64| {
            [
                later(std::slice::from_ref(&script), at),
                later(&clip, at),
                later(std::slice::from_ref(&script), at + 220_000),
                later(&hevc, at + 220_000),
                // Metadata is gone since the file before.
                later(&pictures, at + 300_000),
                later(&clip[2..], at + 500_000),
            ]
            .concat()
        };
        let mut expected = [round(0), round(720_000)].concat();
        // The second round begins with the headers in force.
        let second = round(0).len();
        expected.drain(second + 1..second + 3);
        let frames = played(&mut files, expected.len());
        assert_eq!(told(&frames), told(&expected));
        let compositions = |frames: &[Frame]| -> Vec<i64> { frames.iter().map(|f| f.pts - f.dts).collect() };
        assert_eq!(compositions(&frames), compositions(&expected));
        assert_eq!(files.take_warning(), None);
    }

    fn hevc_record() -> Bytes {
        const VPS: &[u8] = &[
            0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03,
            0x00, 0x00, 0x03, 0x00, 0x3c, 0x95, 0x98, 0x09,
        ];
        const SPS: &[u8] = &[
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
            0x00, 0x3c, 0xa0, 0x0a, 0x48, 0x0b, 0x9c, 0x95, 0x96, 0x56, 0x69, 0x24, 0xca, 0xf0, 0x16, 0x80,
            0x80, 0x00, 0x01, 0xf4, 0x80, 0x00, 0x3a, 0x98, 0x04,
        ];
        crate::codec::h265::build(&[VPS], &[SPS], &[&[0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40]]).unwrap()
    }

    #[test]
    fn what_is_cut_off_or_of_no_use_is_told() {
        let folder = Folder::new();
        let (whole, tables) = (fragmented(&clip()), plain(&clip()));
        let cut = folder.write("a.mp4", &whole[..whole.len() - 10]);
        let cut_plain = folder.write("b.mp4", &tables[..tables.len() - 10]);
        let head = folder.write("c.mp4", &whole[..40]);
        let mut files = open(&[&cut, &cut_plain, &head], false).unwrap();
        assert_eq!(played(&mut files, 100).iter().filter(|f| f.role == Role::Key).count(), 2 * (1 + 10));
        let warnings: Vec<String> = std::iter::from_fn(|| files.take_warning()).collect();
        let why = "it is cut off: what is announced goes on behind its end";
        assert_eq!(
            warnings,
            [
                format!("{cut} ends early: {why}"),
                format!("{cut_plain} ends early: {why}"),
                format!("{head} is passed over: {why}")
            ]
        );
        // A picture cut off by the end of a transport stream is not told of.
        let ts = ts_file(&clip(), 0);
        let cut = folder.write("a.ts", &ts[..ts.len() - 100]);
        let mut files = open(&[&cut], false).unwrap();
        let media = played(&mut files, 100).len();
        assert!((clip().len() - 2..clip().len()).contains(&media), "{media}");
        assert_eq!(files.take_warning(), None);
        // What is no transport stream any more ends it; what is held back is played.
        let noise = [&ts[..], &[0; 70_000]].concat();
        let path = folder.write("c.ts", noise);
        let mut files = open(&[&path], false).unwrap();
        assert_eq!(played(&mut files, 100).len(), clip().len());
        let why = "not a transport stream: no packets within 65536 bytes";
        assert_eq!(files.take_warning(), Some(format!("{path} ends early: {why}")));
        // A map that has MPEG-2 video alone.
        let e = open(&[&folder.write("b.ts", mpeg2_map())], true).unwrap_err();
        assert_eq!(
            e.to_string(),
            "MPEG-TS without a track of a known codec: its stream_type 0x02 is none of H.264, H.265, AAC in ADTS and MP3"
        );
        let e = open(&[&folder.write("d.ts", [0x47; 70_000])], true).unwrap_err();
        assert_eq!(e.to_string(), "no audio or video frame in it");
    }

    /// The tables of our muxer with another stream_type.
    fn mpeg2_map() -> Vec<u8> {
        let pictures: Vec<Frame> = clip().into_iter().filter(|f| f.kind == Kind::Video).collect();
        let ts = ts_file(&pictures, 0);
        let mut tables = ts[..2 * 188].to_vec();
        let map = &mut tables[188..];
        // Behind the packet's header and the pointer.
        let begin = 5;
        let len = usize::from(map[begin + 2]) + 3;
        let stream_type = begin + 12;
        assert_eq!(map[stream_type], 0x1b);
        map[stream_type] = 0x02;
        let checksum = begin + len - 4;
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_MPEG_2).checksum(&map[begin..checksum]);
        map[checksum..checksum + 4].copy_from_slice(&crc.to_be_bytes());
        tables.extend_from_slice(&ts[..188]);
        tables
    }
}

#[test]
fn whatever_wakes_it_an_ingest_of_files_has_one_alarm() {
    let folder = Folder::new();
    let options = IngestOptions {
        vhost: String::new(),
        app: "live".into(),
        stream: "s".into(),
        inputs: vec![folder.write("a.flv", flv_file(&clip()))],
        looped: true,
        on_demand: None,
        retry: RetryPolicy::default(),
    };
    let mut engine = Engine::new().unwrap();
    let id = engine.ingest_open(&options).unwrap();
    let now = engine.now();
    for _ in 0..100 {
        engine.on_ingest_alarm(now, id);
    }
    let end = now + Duration::from_secs(60);
    let alarms =
        std::iter::from_fn(|| engine.timers.pop(end)).filter(|(_, alarm)| *alarm == Alarm::Ingest(id));
    // The clip's first frames are due at once, and may have been when it was opened.
    assert!(alarms.count() <= 2);
}
