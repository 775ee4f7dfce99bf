//! Files that another implementation has written, what our own writers write, and what is written by hand.

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use shiguredo_mp4::boxes::{FtypBox, MoovBox, SampleEntry};
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample as TheirSample};
use shiguredo_mp4::{Decode, TrackKind};

use super::super::{Plain, Sample, Scanner, Tracks, fragment, segment_type};
use super::*;
use crate::codec::{avcc, flac, h265};
use crate::media::{Chain, Codec, Frame, Kind, Role};

const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
    0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
];
const PPS: &[u8] = &[0x68, 0xce];
const VPS_265: &[u8] = &[
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
    0x00, 0x03, 0x00, 0x3c, 0x95, 0x98, 0x09,
];
const SPS_265: &[u8] = &[
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
    0x3c, 0xa0, 0x0a, 0x48, 0x0b, 0x9c, 0x95, 0x96, 0x56, 0x69, 0x24, 0xca, 0xf0, 0x16, 0x80, 0x80, 0x00,
    0x01, 0xf4, 0x80, 0x00, 0x3a, 0x98, 0x04,
];
const PPS_265: &[u8] = &[0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40];
const ASC: &[u8] = &[0x12, 0x10];

fn frame(codec: Codec, role: Role, us: i64, payload: impl Into<Chain>) -> Frame {
    let kind = if matches!(codec, Codec::Aac | Codec::Mp3 | Codec::Opus | Codec::Flac) {
        Kind::Audio
    } else {
        Kind::Video
    };
    Frame { kind, codec, role, dts: us, pts: us, payload: payload.into(), relay: Bytes::new() }
}

fn avc_header() -> Frame {
    frame(Codec::H264, Role::Header, 0, avcc::build(&[SPS], &[PPS]).unwrap())
}

fn hevc_header() -> Frame {
    frame(Codec::H265, Role::Header, 0, h265::build(&[VPS_265], &[SPS_265], &[PPS_265]).unwrap())
}

fn aac_header() -> Frame {
    frame(Codec::Aac, Role::Header, 0, ASC)
}

fn both() -> Tracks {
    Tracks::new(Some(&avc_header()), Some(&aac_header())).unwrap()
}

/// A second of 25 pictures, reordered, and 50 pieces of sound, in the order of their DTS.
fn second(start_us: i64) -> Vec<Frame> {
    let mut frames = Vec::new();
    for n in 0..50 {
        let us = start_us + n * 20_000;
        if n % 2 == 0 {
            let role = if n == 0 { Role::Key } else { Role::Delta };
            let picture = frame(Codec::H264, role, us, vec![n as u8; 50 + n as usize]);
            frames.push(Frame { pts: us + [40_000, 120_000, 0][(n / 2 % 3) as usize], ..picture });
        }
        frames.push(frame(Codec::Aac, Role::Key, us, vec![n as u8; 10]));
    }
    frames
}

fn written(tracks: &Tracks, sequence: u32, frames: &[Frame], out: &mut BytesMut) {
    let duration = |f: &Frame| if f.kind == Kind::Video { 40_000 } else { 20_000 };
    let samples: Vec<_> = frames.iter().map(|frame| Sample { frame, duration_us: duration(frame) }).collect();
    fragment(tracks, sequence, &samples, out).unwrap();
}

/// A file of three fragments, and the frames that come of it.
fn fragmented() -> (Vec<u8>, Vec<Frame>) {
    let mut out = BytesMut::from(&both().init()[..]);
    let mut frames = vec![avc_header(), aac_header()];
    for n in 0..3 {
        let second = second(1_000_000 * i64::from(n));
        written(&both(), n + 1, &second, &mut out);
        frames.extend(second);
    }
    frames[1..3].swap(0, 1);
    (out.to_vec(), frames)
}

fn of_file(bytes: &[u8]) -> Result<Vec<Frame>, DemuxError> {
    let mut demuxer = FileDemuxer::new(bytes.len() as u64);
    let mut frames = Vec::new();
    while let Some(Wanted { offset, len }) = demuxer.wanted() {
        assert!(len <= limits::MP4_MOVIE_BYTES);
        let at = usize::try_from(offset).unwrap();
        frames.extend(demuxer.handle_input(&bytes[at..at + len])?);
    }
    Ok(frames)
}

fn of_stream(demuxer: &mut Demuxer, bytes: &[u8], cut: usize) -> Result<Vec<Frame>, DemuxError> {
    let mut frames = Vec::new();
    for mut piece in bytes.chunks(cut) {
        while let Some(frame) = demuxer.handle_input(&mut piece)? {
            frames.push(frame);
        }
        assert!(piece.is_empty());
    }
    Ok(frames)
}

/// The same without headers, within µs of rounding.
fn assert_same(found: &[Frame], expected: &[Frame]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found.dts - expected.dts).abs() <= 12, "{} {}", found.dts, expected.dts);
        assert!((found.pts - expected.pts).abs() <= 12, "{} {}", found.pts, expected.pts);
        let all = |f: &Frame| (f.kind, f.codec, f.role, f.payload.clone());
        assert_eq!(all(found), all(expected));
    }
}

fn without_headers(frames: &[Frame]) -> Vec<Frame> {
    frames.iter().filter(|f| f.role != Role::Header).cloned().collect()
}

// Boxes by hand.

fn bx(name: &str, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], name.as_bytes(), &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// The box in another box's bytes: its position.
fn find(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|w| w == name).unwrap() - 4
}

/// A track of so many ticks a second, with these tables and, before `mdia`, these boxes.
fn trak(kind: &str, timescale: u32, edits: &[u8], entries: &[&[u8]], tables: &[&[u8]]) -> Vec<u8> {
    let stsd = bx("stsd", &[&words(&[0, entries.len() as u32]), &entries.concat()]);
    let stbl = bx("stbl", &[&stsd, &tables.concat()]);
    let mdhd = bx("mdhd", &[&words(&[0, 0, 0, timescale, 0, 0])]);
    let hdlr = bx("hdlr", &[&words(&[0, 0]), kind.as_bytes(), &[0; 13]]);
    let mdia = bx("mdia", &[&mdhd, &hdlr, &bx("minf", &[&stbl])]);
    let tkhd = bx("tkhd", &[&words(&[3, 0, 0, 7, 0, 0]), &[0; 52], &words(&[320 << 16, 240 << 16])]);
    bx("trak", &[&tkhd, edits, &mdia])
}

fn moov(traks: &[&[u8]]) -> Vec<u8> {
    let mvhd = bx("mvhd", &[&words(&[0, 0, 0, 1000, 0]), &[0; 80]]);
    bx("moov", &[&mvhd, &traks.concat()])
}

fn video_entry(name: &str, config_name: &str, config: &[u8]) -> Vec<u8> {
    bx(name, &[&[0; 78], &bx(config_name, &[config])])
}

fn avc_entry() -> Vec<u8> {
    video_entry("avc1", "avcC", &avc_header().payload)
}

/// Tables of samples of one byte each, one chunk after another from `first` on.
fn tables(count: u32, duration: u32, first: u32) -> Vec<u8> {
    [
        bx("stts", &[&words(&[0, 1, count, duration])]),
        bx("stsc", &[&words(&[0, 1, 1, count, 1])]),
        bx("stsz", &[&words(&[0, 1, count])]),
        bx("stco", &[&words(&[0, 1, first])]),
    ]
    .concat()
}

#[test]
fn fragments_come_back_however_they_are_read() {
    let (file, frames) = fragmented();
    assert_same(&of_file(&file).unwrap(), &frames);
    for cut in [1, 7, 100, 1000, file.len()] {
        assert_same(&of_stream(&mut Demuxer::new(), &file, cut).unwrap(), &frames);
    }
}

#[test]
fn a_frame_comes_with_its_last_byte() {
    let tracks = both();
    let mut demuxer = Demuxer::new();
    assert!(of_stream(&mut demuxer, &tracks.init(), 9).unwrap().is_empty());
    for (n, frame) in (0..).zip(second(0)) {
        let mut out = BytesMut::new();
        written(&tracks, n, std::slice::from_ref(&frame), &mut out);
        let (last, rest) = out.split_last().unwrap();
        assert!(of_stream(&mut demuxer, rest, 50).unwrap().is_empty());
        assert_same(&without_headers(&of_stream(&mut demuxer, &[*last], 1).unwrap()), &[frame]);
    }
}

#[test]
fn our_plain_files_come_back() {
    let (file, frames) = fragmented();
    let mut scanner = Scanner::new(file.len() as u64);
    let mut plain = None;
    while let Some(Wanted { offset, len }) = scanner.wanted() {
        match scanner.handle_input(&file[offset as usize..offset as usize + len]).unwrap() {
            Some(super::super::Found::Init(init)) => plain = Some(Plain::new(&init)),
            Some(super::super::Found::Fragment(f)) => plain.as_mut().unwrap().push(&f).unwrap(),
            None => {}
        }
    }
    let finished = plain.unwrap().finish().unwrap();
    let ranges = finished.ranges.iter().flat_map(|r| file[r.start as usize..r.end as usize].to_vec());
    let plain: Vec<u8> = finished.head.iter().copied().chain(ranges).collect();
    assert_same(&of_file(&plain).unwrap(), &frames);
    assert_same(&of_stream(&mut Demuxer::new(), &plain, 333).unwrap(), &frames);
}

/// The sample entries of the tracks, as the other implementation reads them.
fn entries(tracks: &Tracks) -> Vec<SampleEntry> {
    let init = tracks.init();
    let (_, at) = FtypBox::decode(&init).unwrap();
    let (moov, _) = MoovBox::decode(&init[at..]).unwrap();
    moov.trak_boxes.into_iter().map(|t| t.mdia_box.minf_box.stbl_box.stsd_box.entries[0].clone()).collect()
}

/// A file that the other implementation has made of these frames; its tables in front or at the end.
fn theirs(tracks: &Tracks, frames: &[Frame], faststart: bool) -> Vec<u8> {
    let reserved = if faststart { 16 * 1024 } else { 0 };
    let options = Mp4FileMuxerOptions { reserved_moov_box_size: reserved, ..Mp4FileMuxerOptions::default() };
    let mut muxer = Mp4FileMuxer::with_options(options).unwrap();
    let mut file = muxer.initial_boxes_bytes().to_vec();
    let mut entries: Vec<Option<SampleEntry>> = entries(tracks).into_iter().map(Some).collect();
    for frame in frames {
        let video = frame.kind == Kind::Video;
        let sample = TheirSample {
            track_kind: if video { TrackKind::Video } else { TrackKind::Audio },
            sample_entry: entries[usize::from(!video)].take(),
            keyframe: frame.role == Role::Key,
            timescale: NonZeroU32::new(1_000_000).unwrap(),
            duration: if video { 40_000 } else { 20_000 },
            composition_time_offset: Some(frame.pts - frame.dts),
            data_offset: file.len() as u64,
            data_size: frame.payload.len(),
        };
        file.extend_from_slice(&frame.payload);
        muxer.append_sample(&sample).unwrap();
    }
    for (offset, bytes) in muxer.finalize().unwrap().offset_and_bytes_pairs() {
        let (at, end) = (offset as usize, offset as usize + bytes.len());
        file.resize(file.len().max(end), 0);
        file[at..end].copy_from_slice(bytes);
    }
    file
}

#[test]
fn files_of_another_writer_are_read() {
    let frames: Vec<Frame> = (0..3).flat_map(|n| second(1_000_000 * n)).collect();
    let mut expected = frames.clone();
    expected.insert(0, avc_header());
    expected.insert(2, aac_header());
    let end = theirs(&both(), &frames, false);
    assert!(find(&end, b"moov") > find(&end, b"mdat"));
    assert_same(&of_file(&end).unwrap(), &expected);
    let out_of_order = of_stream(&mut Demuxer::new(), &end, 100);
    assert_eq!(out_of_order, Err(DemuxError::OutOfOrder));

    let fast = theirs(&both(), &frames, true);
    assert!(find(&fast, b"moov") < find(&fast, b"mdat"));
    assert_same(&of_file(&fast).unwrap(), &expected);
    assert_same(&of_stream(&mut Demuxer::new(), &fast, 77).unwrap(), &expected);
}

#[test]
fn every_codec_has_its_header() {
    let av1c = &[0x81, 4, 0x0c, 0][..];
    let vpcc = &[0, 31, 0x82, 1, 1, 1, 0, 0][..];
    let opus = &b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\x02\x01\0"[..];
    let mp3 = frame(Codec::Mp3, Role::Key, 0, &[0xff, 0xfb, 0x90, 0x64, 1, 2, 3][..]);
    for video in [
        avc_header(),
        hevc_header(),
        frame(Codec::Av1, Role::Header, 0, av1c),
        frame(Codec::Vp9, Role::Header, 0, vpcc),
    ] {
        let flac = frame(Codec::Flac, Role::Header, 0, flac::header());
        for audio in [aac_header(), frame(Codec::Opus, Role::Header, 0, opus), flac, mp3.clone()] {
            let tracks = Tracks::new(Some(&video), Some(&audio)).unwrap().with_size(64, 64);
            let frames = [
                frame(video.codec, Role::Key, 0, &b"key"[..]),
                frame(audio.codec, Role::Key, 0, &b"sound"[..]),
            ];
            let mut expected = vec![video.clone(), frames[0].clone(), audio.clone(), frames[1].clone()];
            expected.retain(|f| f.codec != Codec::Mp3 || f.payload != mp3.payload);
            assert_same(&of_file(&theirs(&tracks, &frames, true)).unwrap(), &expected);
        }
    }
}

#[test]
fn a_new_init_segment_brings_new_headers_where_they_differ() {
    let mut sps = SPS.to_vec();
    sps[3] = 0x28;
    let header = frame(Codec::H264, Role::Header, 0, avcc::build(&[&sps], &[PPS]).unwrap());
    let other = Tracks::new(Some(&header), Some(&aac_header())).unwrap();
    let mut out = BytesMut::new();
    for (n, tracks) in (0..).zip([both(), both(), other]) {
        segment_type(&mut out);
        out.extend_from_slice(&tracks.init());
        written(&tracks, n, &second(i64::from(n) * 1_000_000), &mut out);
    }
    let frames = of_stream(&mut Demuxer::new(), &out, 1000).unwrap();
    let headers: Vec<_> =
        frames.iter().filter(|f| f.role == Role::Header).map(|f| (f.codec, f.dts)).collect();
    assert_eq!(headers, [(Codec::H264, 0), (Codec::Aac, 0), (Codec::H264, 2_000_000)]);
    assert_eq!(frames.len(), 3 * 75 + 3);
}

#[test]
fn segments_are_read_one_after_another_though_one_is_cut_off() {
    let tracks = both();
    let mut demuxer = Demuxer::new();
    let mut frames = of_stream(&mut demuxer, &tracks.init(), 100).unwrap();
    for n in 0..3 {
        let mut out = BytesMut::new();
        segment_type(&mut out);
        written(&tracks, n, &second(i64::from(n) * 1_000_000), &mut out);
        demuxer.segment();
        let len = if n == 1 { out.len() / 2 } else { out.len() };
        frames.extend(of_stream(&mut demuxer, &out[..len], 100).unwrap());
    }
    let whole = |n: i64| frames.iter().filter(|f| f.dts / 1_000_000 == n && f.role != Role::Header).count();
    assert_eq!((whole(0), whole(2)), (75, 75));
    assert!(whole(1) < 75);
}

#[test]
fn edit_lists_shift_a_track() {
    let table = tables(2, 500, 0);
    let at = |edits: &[u8]| {
        let movie = moov(&[&trak("vide", 1000, edits, &[&avc_entry()], &[&table])]);
        let frames = of_file(&[movie, vec![0; 9]].concat()).unwrap();
        without_headers(&frames).iter().map(|f| f.dts / 1000).collect::<Vec<_>>()
    };
    let edts = |elst: &[u8]| bx("edts", &[&bx("elst", &[elst])]);
    assert_eq!(at(&[]), [0, 500]);
    assert_eq!(at(&edts(&words(&[0, 1, 9000, 100, 1 << 16]))), [-100, 400]);
    assert_eq!(at(&edts(&words(&[0, 2, 250, u32::MAX, 1 << 16, 9000, 100, 1 << 16]))), [150, 650]);
    let long =
        [words(&[1 << 24, 2]), words(&[0, 250]), vec![0xff; 8], words(&[1 << 16, 0, 9000, 0, 100, 1 << 16])];
    assert_eq!(at(&edts(&long.concat())), [150, 650]);
}

#[test]
fn tables_of_every_kind() {
    // Chunks of 2, 2 and 1 samples, far apart, the last with another description.
    let mut sps = SPS.to_vec();
    sps[3] = 0x28;
    let other = video_entry("avc1", "avcC", &avcc::build(&[&sps], &[PPS]).unwrap());
    let table = |signed: bool, first: u32| {
        [
            bx("stts", &[&words(&[0, 3, 2, 10, 0, 99, 3, 20])]),
            bx("ctts", &[&words(&[u32::from(signed) << 24, 2, 1, 5, 1, -3i32 as u32])]),
            bx("stss", &[&words(&[0, 2, 1, 5])]),
            bx("stsc", &[&words(&[0, 2, 1, 2, 1, 3, 1, 2])]),
            bx("stsz", &[&words(&[0, 0, 5, 1, 2, 3, 4, 5])]),
            bx("co64", &[&words(&[0, 3, 0, first, 0, first + 20, 0, first + 10])]),
        ]
        .concat()
    };
    for signed in [false, true] {
        let movie =
            |first| moov(&[&trak("vide", 1000, &[], &[&avc_entry(), &other], &[&table(signed, first)])]);
        let len = movie(0).len() as u32;
        let mdat: Vec<u8> = bx("mdat", &[&(0..40).collect::<Vec<u8>>()]);
        let file = [movie(len + 8), mdat].concat();
        let frames = of_file(&file).unwrap();
        let seen: Vec<_> = frames.iter().map(|f| (f.role, f.dts / 1000, f.pts / 1000)).collect();
        assert_eq!(
            seen,
            [
                (Role::Header, 0, 0),
                (Role::Key, 0, 5),
                (Role::Delta, 10, 7),
                (Role::Delta, 20, 20),
                (Role::Delta, 40, 40),
                (Role::Header, 60, 60),
                (Role::Key, 60, 60),
            ]
        );
        let payloads: Vec<&[u8]> =
            frames.iter().filter(|f| f.role != Role::Header).map(|f| &f.payload[..]).collect();
        assert_eq!(payloads, [&[0][..], &[1, 2], &[20, 21, 22], &[23, 24, 25, 26], &[10, 11, 12, 13, 14]]);
        // A chunk before another is only for files.
        assert_eq!(of_stream(&mut Demuxer::new(), &file, 9), Err(DemuxError::OutOfOrder));
        // What is cut off is left out.
        assert_eq!(of_file(&file[..file.len() - 18]).unwrap(), frames[..3]);
    }
}

#[test]
fn descriptors_of_audio_wherever_they_stand() {
    let es = |indication: u8, specific: &[u8]| {
        let specific = [&[5, specific.len() as u8][..], specific].concat();
        let decoder = [&[4, 13 + specific.len() as u8, indication][..], &[0; 12], &specific].concat();
        // With all that is optional before it.
        let es = [&[0, 1, 0xe0, 0, 0, 2, b'x', b'y', 0, 0][..], &decoder].concat();
        bx("esds", &[&[0; 4], &[3, 0x80, 0x80, es.len() as u8], &es])
    };
    let entry = |name: &str, version: u8, more: usize, boxes: &[u8]| {
        let mut body = vec![0; 28 + more];
        body[9] = version;
        bx(name, &[&body, boxes])
    };
    let read = |entry: &[u8]| {
        let movie = moov(&[&trak("soun", 1000, &[], &[entry], &[&tables(1, 1, 0)])]);
        of_file(&movie)
            .map(|frames| frames.iter().map(|f| (f.codec, f.role, f.payload.len())).collect::<Vec<_>>())
    };
    let aac = vec![(Codec::Aac, Role::Header, 2), (Codec::Aac, Role::Key, 1)];
    let esds = es(0x40, ASC);
    for entry in [
        entry("mp4a", 0, 0, &esds),
        entry("mp4a", 0, 0, &es(0x67, ASC)),
        entry("mp4a", 1, 16, &bx("wave", &[&bx("frma", &[b"mp4a"]), &esds])),
        entry("mp4a", 2, 36, &esds),
    ] {
        assert_eq!(read(&entry), Ok(aac.clone()));
    }
    let mp3 = vec![(Codec::Mp3, Role::Key, 1)];
    assert_eq!(read(&entry("mp4a", 0, 0, &es(0x6b, &[]))), Ok(mp3.clone()));
    assert_eq!(read(&entry(".mp3", 0, 0, &[])), Ok(mp3));
    assert_eq!(read(&entry("mp4a", 0, 0, &es(0xa9, &[]))), Err(DemuxError::NoTracks));
    assert_eq!(read(&entry("ac-3", 0, 0, &[])), Err(DemuxError::NoTracks));
    assert!(matches!(read(&entry("mp4a", 0, 0, &[])), Err(DemuxError::Malformed(_))));
}

#[test]
fn parameter_sets_among_the_samples_are_a_header() {
    let prefixed = |nals: &[&[u8]], size: usize| -> Vec<u8> {
        nals.iter().flat_map(|n| [&(n.len() as u32).to_be_bytes()[4 - size..], n].concat()).collect()
    };
    let mut sps = SPS.to_vec();
    sps[3] = 0x28;
    let read = |entry: &[u8], samples: &[Vec<u8>]| {
        let sizes: Vec<u32> = samples.iter().map(|s| s.len() as u32).collect();
        let count = sizes.len() as u32;
        let table = |first: u32| {
            [
                bx("stts", &[&words(&[0, 1, count, 10])]),
                bx("stsc", &[&words(&[0, 1, 1, count, 1])]),
                bx("stsz", &[&words(&[0, 0, count]), &words(&sizes)]),
                bx("stco", &[&words(&[0, 1, first])]),
            ]
            .concat()
        };
        let movie = |first| moov(&[&trak("vide", 1000, &[], &[entry], &[&table(first)])]);
        let first = movie(0).len() as u32;
        of_file(&[movie(first + 8), bx("mdat", &[&samples.concat()])].concat()).unwrap()
    };
    let headers = |frames: &[Frame]| -> Vec<(i64, Bytes)> {
        frames.iter().filter(|f| f.role == Role::Header).map(|f| (f.dts / 1000, f.payload.bytes())).collect()
    };
    // An empty record with lengths of two bytes: nothing can be decoded before they come.
    let empty = video_entry("avc3", "avcC", &[1, 66, 0xc0, 30, 0xfd, 0xe0, 0]);
    let samples = [
        prefixed(&[&[0x65, 1]], 2),
        prefixed(&[SPS, PPS, &[0x65, 1]], 2),
        prefixed(&[SPS, PPS, &[0x65, 1]], 2),
        prefixed(&[&sps, &[0x65, 1]], 2),
    ];
    let frames = read(&empty, &samples);
    let with = |sps: &[u8]| {
        let mut record = avcc::build(&[sps], &[PPS]).unwrap().to_vec();
        record[4] = 0xfd;
        Bytes::from(record)
    };
    assert_eq!(headers(&frames), [(10, with(SPS)), (30, with(&sps))]);
    assert_eq!(without_headers(&frames).len(), 3);
    // Those that are in the record already are no news.
    let full = video_entry("hev1", "hvcC", &hevc_header().payload);
    let sample = prefixed(&[VPS_265, SPS_265, PPS_265, &[0x26, 1, 1]], 4);
    let frames = read(&full, &[sample.clone(), sample]);
    assert_eq!(headers(&frames), [(0, hevc_header().payload.bytes())]);
    // Where they don't belong they are not looked for.
    let avc1 = video_entry("avc1", "avcC", &avc_header().payload);
    assert_eq!(headers(&read(&avc1, &[prefixed(&[&sps, PPS, &[0x65, 1]], 4)])).len(), 1);
}

#[test]
fn offsets_of_fragments_begin_where_they_say() {
    let entry = avc_entry();
    let empty = [
        bx("stts", &[&words(&[0, 0])]),
        bx("stsc", &[&words(&[0, 0])]),
        bx("stsz", &[&words(&[0, 0, 0])]),
        bx("stco", &[&words(&[0, 0])]),
    ]
    .concat();
    let mvex = bx("mvex", &[&bx("trex", &[&words(&[0, 7, 1, 10, 1, 0])])]);
    let moov = moov(&[&trak("vide", 1000, &[], &[&entry], &[&empty]), &mvex]);
    let at = moov.len() as u64;
    let moof = |tfhd: &[u8], trun: &[u8], len: u64| {
        let trafs = bx("traf", &[&bx("tfhd", &[tfhd]), &bx("trun", &[trun])]);
        let moof = bx("moof", &[&trafs]);
        assert_eq!(moof.len() as u64, len);
        moof
    };
    let data = bx("mdat", &[b"ab"]);
    // From the moof on, without and with saying so; from the file's beginning on, where the run begins there.
    for (tfhd, trun, len) in [
        (words(&[0x2_0000, 7]), words(&[1, 2, 64]), 8 + 8 + 16 + 20),
        (words(&[0, 7]), words(&[1, 2, 60]), 8 + 8 + 16 + 20),
        ([words(&[1, 7]), (at + 64).to_be_bytes().to_vec()].concat(), words(&[0, 2]), 8 + 8 + 24 + 16),
    ] {
        let trun = if trun.len() == 12 { words(&[1, 2, len as u32 + 8]) } else { trun };
        let file = [&moov[..], &moof(&tfhd, &trun, len), &data].concat();
        for frames in [of_file(&file).unwrap(), of_stream(&mut Demuxer::new(), &file, 5).unwrap()] {
            let seen: Vec<_> = frames[1..].iter().map(|f| (f.dts, &f.payload[..])).collect();
            assert_eq!(seen, [(0, &b"a"[..]), (10_000, b"b")]);
        }
        // Without a time they go on from the fragment before.
        let two = [&moov[..], &moof(&tfhd, &trun, len), &data, &moof(&tfhd, &trun, len), &data].concat();
        if tfhd.len() == 8 {
            let dts: Vec<i64> =
                without_headers(&of_file(&two).unwrap()).iter().map(|f| f.dts / 1000).collect();
            assert_eq!(dts, [0, 10, 20, 30]);
        }
    }
    // Beyond the samples' own mdat nothing is taken.
    let beyond = moof(&words(&[0x2_0000, 7]), &words(&[1, 2, 62]), 52);
    assert_eq!(of_file(&[&moov[..], &beyond, &data, b"\0\0\0\x0afreexx"].concat()).unwrap(), []);
}

#[test]
fn what_is_no_file_is_told_and_what_is_cut_off_ends() {
    let (file, frames) = fragmented();
    let at = find(&file, b"moof");
    assert_eq!(of_file(&file[at..]), Err(DemuxError::Malformed(missing(b"moov"))));
    let size = Malformed::Field { what: "box size", value: 7 };
    assert_eq!(
        of_stream(&mut Demuxer::new(), &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1),
        Err(size.into())
    );
    let mut demuxer = FileDemuxer::new(100);
    assert_eq!(demuxer.handle_input(&[0, 0, 0, 7, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(size.into()));
    assert_eq!((demuxer.wanted(), demuxer.handle_input(&[])), (None, Err(size.into())));
    for len in (0..file.len()).step_by(97) {
        let found = of_file(&file[..len]).unwrap();
        assert_eq!(without_headers(&found).len().min(1), usize::from(found.len() > 1));
        assert!(found.len() <= frames.len());
    }
    // A box that goes on behind the end is one that has been cut off.
    for (len, is_cut_off) in [(file.len(), false), (file.len() - 1, true), (at - 1, true), (at, false)] {
        let mut demuxer = FileDemuxer::new(len as u64);
        while let Some(Wanted { offset, len }) = demuxer.wanted() {
            demuxer.handle_input(&file[offset as usize..offset as usize + len]).unwrap();
        }
        assert_eq!(demuxer.is_cut_off(), is_cut_off, "{len}");
    }
    // Shorter than was said.
    let mut demuxer = FileDemuxer::new(100);
    assert!(demuxer.handle_input(&[0; 3]).unwrap().is_empty());
    assert_eq!(demuxer.wanted(), None);
}

#[test]
fn limits_hold() {
    let limit = |what, limit: usize| DemuxError::Malformed(Malformed::Limit { what, limit: limit as u32 });
    let long = [&(limits::MP4_MOVIE_BYTES as u32 + 1).to_be_bytes()[..], b"moov", &[0; 9]].concat();
    let e = of_stream(&mut Demuxer::new(), &long, 9);
    assert_eq!(e, Err(limit("bytes of an MP4 box", limits::MP4_MOVIE_BYTES)));
    let movie = |table: Vec<u8>| moov(&[&trak("vide", 1000, &[], &[&avc_entry()], &[&table])]);
    let e = of_file(&movie(tables(limits::MP4_PLAIN_SAMPLES as u32 + 1, 1, 0)));
    assert_eq!(e, Err(limit("samples of an MP4 file", limits::MP4_PLAIN_SAMPLES)));
    let table = |size: u32, first: u32| {
        let mut table = tables(1, 1, first);
        let at = find(&table, b"stsz") + 12;
        table[at..at + 4].copy_from_slice(&size.to_be_bytes());
        table
    };
    let e = of_file(&movie(table(limits::MP4_SAMPLE_BYTES as u32 + 1, 0)));
    assert_eq!(e, Err(limit("bytes of an MP4 sample", limits::MP4_SAMPLE_BYTES)));
    // Two samples at a time that are too far apart for a stream.
    let far = moov(&[
        &trak("vide", 1000, &[], &[&avc_entry()], &[&table(1, 5000)]),
        &trak(
            "soun",
            1000,
            &[],
            &[&bx(".mp3", &[&[0; 28]])],
            &[&table(1, limits::MP4_STREAM_BYTES as u32 + 5000)],
        ),
    ]);
    let mdat = [&words(&[0x7fff_ffff])[..], b"mdat", &[0; 9000]].concat();
    let found = of_stream(&mut Demuxer::new(), &[far, mdat].concat(), 1000);
    // The first goes, and nothing is held for the second.
    assert_eq!(found.map(|f| f.len()), Ok(2));
    // A box that nobody wants may be as long as it likes.
    let free = [&words(&[limits::MP4_STREAM_BYTES as u32 * 2])[..], b"free", &[0; 9000]].concat();
    assert_eq!(of_stream(&mut Demuxer::new(), &free, 1000), Ok(vec![]));
    let near = moov(&[
        &trak("vide", 1000, &[], &[&avc_entry()], &[&tables(2, 1, 5000)]),
        &trak(
            "soun",
            1000,
            &bx("edts", &[&bx("elst", &[&words(&[0, 1, 9, 1, 0])])]),
            &[&bx(".mp3", &[&[0; 28]])],
            &[&table(1, limits::MP4_STREAM_BYTES as u32 + 5000)],
        ),
    ]);
    let mdat = [&words(&[0x7fff_ffff])[..], b"mdat", &[0; 9000]].concat();
    let e = of_stream(&mut Demuxer::new(), &[near, mdat].concat(), 1000);
    assert_eq!(e, Err(limit("distance of samples in an MP4 stream", limits::MP4_STREAM_BYTES)));
}

proptest! {
    #[test]
    fn any_change_of_a_file_is_frames_or_an_error(
        changes in prop::collection::vec((0usize..1200, any::<u8>()), 1..6),
        plain in any::<bool>(), cut in 1usize..500,
    ) {
        let mut file = if plain { theirs(&both(), &second(0), true) } else { fragmented().0 };
        for (at, value) in changes {
            // Of the reserved space nothing would be seen.
            let at = if plain && at < 1100 { file.len().min(at) } else { at };
            file[at] = value;
        }
        for frame in of_file(&file).unwrap_or_default() {
            prop_assert!(!frame.payload.is_empty());
        }
        let _ = of_stream(&mut Demuxer::new(), &file, cut);
    }

    #[test]
    fn any_frames_come_back_from_another_writer(
        pictures in prop::collection::vec((any::<bool>(), -3i64..9, 1usize..300), 1..30),
        cut in 1usize..999,
    ) {
        let frames: Vec<Frame> = pictures.iter().zip(0i64..).map(|((key, shown, len), n)| {
            let role = if *key || n == 0 { Role::Key } else { Role::Delta };
            let dts = n * 40_000;
            Frame { pts: dts + shown * 10_000, ..frame(Codec::H264, role, dts, vec![n as u8; *len]) }
        }).collect();
        let tracks = Tracks::new(Some(&avc_header()), None).unwrap();
        for faststart in [false, true] {
            let file = theirs(&tracks, &frames, faststart);
            prop_assert_eq!(without_headers(&of_file(&file).unwrap()), frames.clone());
            if faststart {
                let streamed = of_stream(&mut Demuxer::new(), &file, cut).unwrap();
                prop_assert_eq!(without_headers(&streamed), frames.clone());
            }
        }
    }
}
