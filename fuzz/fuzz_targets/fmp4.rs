//! Fragments of MP4: whatever the frames' times, the scanner finds the samples that were put in, and a file
//! without fragments is made of them.

#![no_main]

use bytes::{Bytes, BytesMut};
use camrill::fmp4::{Finished, Found, Plain, Sample, Scanner, Tracks, fragment, wall_clock};
use camrill::media::{Codec, Frame, Kind, Role};
use libfuzzer_sys::fuzz_target;

/// Bytes of the input for a frame: flags, a size, three times.
const RECORD: usize = 8;
const PICTURE: u8 = 1;
const KEY: u8 = 2;
/// The last of its fragment.
const LAST: u8 = 4;
/// Times in units that pass every range, rather than in ms.
const FAR: u8 = 8;

fuzz_target!(|data: &[u8]| {
    let tracks = Tracks::new(Some(&vp9_header()), Some(&aac_header())).expect("headers");
    let mut file = BytesMut::from(&tracks.init()[..]);
    let mut written = Vec::new();
    let mut frames = Vec::new();
    for record in data.chunks_exact(RECORD) {
        frames.push(frame(record));
        if record[0] & LAST != 0 {
            write(&tracks, std::mem::take(&mut frames), &mut written, &mut file);
        }
    }
    if !frames.is_empty() {
        write(&tracks, frames, &mut written, &mut file);
    }

    let mut scanner = Scanner::new(file.len() as u64);
    let mut plain = None;
    let mut expected = written.iter();
    while let Some(wanted) = scanner.wanted() {
        let at = wanted.offset as usize;
        match scanner.handle_input(&file[at..at + wanted.len]).expect("a file that was written") {
            None => {}
            Some(Found::Init(init)) => plain = Some(Plain::new(&init)),
            Some(Found::Fragment(found)) => {
                let frames = expected.next().expect("a fragment that was written");
                for kind in [Kind::Video, Kind::Audio] {
                    let mut mine = frames.iter().map(|(f, _)| f).filter(|f| f.kind == kind);
                    for run in found.runs.iter().filter(|run| run.kind == kind) {
                        let mut at = run.offset as usize;
                        for sample in &run.samples {
                            let frame = mine.next().expect("a frame that was written");
                            let end = at + sample.size as usize;
                            assert_eq!(frame.payload, file[at..end]);
                            assert_eq!(sample.key, kind == Kind::Audio || frame.role == Role::Key);
                            at = end;
                        }
                    }
                    assert_eq!(mine.next(), None);
                }
                plain.as_mut().expect("tracks").push(&found).expect("within the limits");
            }
        }
    }
    assert_eq!(expected.next(), None);
    assert_eq!(scanner.end(), file.len() as u64);

    let bytes: usize = written.iter().flatten().map(|(f, _)| f.payload.len()).sum();
    match plain.expect("tracks").finish() {
        None => assert!(written.is_empty()),
        Some(Finished { head, ranges }) => {
            assert_eq!(ranges.iter().map(|r| r.end - r.start).sum::<u64>(), bytes as u64);
            assert!(head.ends_with(b"mdat"));
        }
    }
});

fn write(
    tracks: &Tracks,
    frames: Vec<(Frame, i64)>,
    written: &mut Vec<Vec<(Frame, i64)>>,
    file: &mut BytesMut,
) {
    let samples: Vec<_> = frames.iter().map(|(frame, us)| Sample { frame, duration_us: *us }).collect();
    wall_clock(tracks, samples[0].frame.dts, samples[0].frame.pts, file);
    fragment(tracks, written.len() as u32, &samples, file).expect("frames of the tracks");
    written.push(frames);
}

/// A frame and how long it lasts.
fn frame(record: &[u8]) -> (Frame, i64) {
    let flags = record[0];
    let unit = if flags & FAR != 0 { 1 << 48 } else { 1000 };
    let us = |at: usize| i64::from(i16::from_le_bytes([record[at], record[at + 1]])) * unit;
    let (kind, codec) =
        if flags & PICTURE != 0 { (Kind::Video, Codec::Vp9) } else { (Kind::Audio, Codec::Aac) };
    let role = if flags & KEY != 0 { Role::Key } else { Role::Delta };
    let payload = Bytes::from(vec![flags; record[1].into()]);
    let (dts, pts) = (us(2), us(2).saturating_add(us(4)));
    (Frame { kind, codec, role, dts, pts, payload: payload.into(), relay: Bytes::new() }, us(6))
}

fn vp9_header() -> Frame {
    let payload = Bytes::from_static(&[0, 31, 0x82, 1, 1, 1, 0, 0]);
    let (kind, codec, role) = (Kind::Video, Codec::Vp9, Role::Header);
    Frame { kind, codec, role, dts: 0, pts: 0, payload: payload.into(), relay: Bytes::new() }
}

fn aac_header() -> Frame {
    let payload = Bytes::from_static(&[0x12, 0x10]);
    Frame { kind: Kind::Audio, codec: Codec::Aac, payload: payload.into(), ..vp9_header() }
}
