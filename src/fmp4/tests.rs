//! Fragments and files held against another implementation, and against what was put in.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use shiguredo_mp4::boxes::{FtypBox, MoofBox, MoovBox, SampleEntry};
use shiguredo_mp4::demux::{Fmp4SegmentDemuxer, Input, Mp4FileDemuxer};
use shiguredo_mp4::{Decode, TrackKind};

use super::*;
use crate::codec::{avcc, flac};
use crate::media::{Chain, Codec, Frame, Role};
use crate::wire::{Malformed, limits};

const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
    0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
];
const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
const MP3_FRAME: &[u8] = &[0xff, 0xfb, 0x90, 0x64, 1, 2, 3];

fn frame(codec: Codec, role: Role, payload: impl Into<Chain>) -> Frame {
    let kind = match codec {
        Codec::Aac | Codec::Mp3 | Codec::Opus | Codec::Flac | Codec::G711A | Codec::Other(11) => Kind::Audio,
        Codec::Script => Kind::Data,
        _ => Kind::Video,
    };
    Frame { kind, codec, role, dts: 0, pts: 0, payload: payload.into(), relay: Bytes::new() }
}

fn avc_header() -> Frame {
    frame(Codec::H264, Role::Header, avcc::build(&[SPS], &[&[0x68, 0xce]]).unwrap())
}

fn aac_header() -> Frame {
    frame(Codec::Aac, Role::Header, &[0x12, 0x10][..])
}

fn both() -> Tracks {
    Tracks::new(Some(&avc_header()), Some(&aac_header())).unwrap()
}

fn picture(role: Role, dts: i64, pts: i64, size: usize) -> Frame {
    Frame { dts, pts, ..frame(Codec::H264, role, vec![0xab; size]) }
}

fn sound(dts: i64, size: usize) -> Frame {
    Frame { dts, pts: dts, ..frame(Codec::Aac, Role::Key, vec![0xcd; size]) }
}

/// A second of 25 pictures, with reordering, and 43 pieces of sound, from `start` µs on.
fn second(start: i64) -> Vec<(Frame, i64)> {
    let video = (0..25).map(|i| {
        let role = if i == 0 { Role::Key } else { Role::Delta };
        let dts = start + i * 40_000;
        (picture(role, dts, dts + [40_000, 120_000, 0][(i % 3) as usize], 100 + i as usize), 40_000)
    });
    let audio = (0..43).map(|i| {
        let at = |i: i64| start + i * 1_000_000 / 43;
        (sound(at(i), 10 + i as usize), at(i + 1) - at(i))
    });
    let mut all: Vec<_> = video.chain(audio).collect();
    all.sort_by_key(|(f, _)| f.dts);
    all
}

fn samples(frames: &[(Frame, i64)]) -> Vec<Sample<'_>> {
    frames.iter().map(|(frame, duration_us)| Sample { frame, duration_us: *duration_us }).collect()
}

/// A file of so many seconds, and where each fragment ends.
fn file(seconds: u32) -> (BytesMut, Vec<usize>) {
    let tracks = both();
    let mut out = BytesMut::from(&tracks.init()[..]);
    let mut ends = vec![out.len()];
    for i in 0..seconds {
        let start = i64::from(i) * 1_000_000;
        wall_clock(&tracks, 1_700_000_000_000_000 + start, start, &mut out);
        fragment(&tracks, i + 1, &samples(&second(start)), &mut out).unwrap();
        ends.push(out.len());
    }
    (out, ends)
}

/// What is found before an error, the error, and up to where the file is of use.
fn scan(file: &[u8]) -> (Option<Init>, Vec<Fragment>, Option<Malformed>, u64) {
    let mut scanner = Scanner::new(file.len() as u64);
    let (mut init, mut fragments, mut error) = (None, vec![], None);
    while let Some(Wanted { offset, len }) = scanner.wanted() {
        assert!(len <= limits::MP4_BOX_BYTES);
        let offset = usize::try_from(offset).unwrap();
        match scanner.handle_input(&file[offset..offset + len]) {
            Ok(None) => {}
            Ok(Some(Found::Init(found))) => assert!(init.replace(found).is_none()),
            Ok(Some(Found::Fragment(found))) => fragments.push(found),
            Err(e) => error = Some(e),
        }
    }
    (init, fragments, error, scanner.end())
}

fn range(file: &[u8], range: Range<u64>) -> &[u8] {
    &file[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

#[test]
fn init_segments_of_every_codec() {
    let hvcc =
        [&[1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0][..]]
            .concat();
    let av1c = &[0x81, 4, 0x0c, 0][..];
    let vpcc = &[0, 31, 0x82, 1, 1, 1, 0, 0][..];
    let video = [
        (avc_header(), "avc1.42c01e"),
        (frame(Codec::H265, Role::Header, hvcc), "hvc1.1.6.L93.90"),
        (frame(Codec::Av1, Role::Header, av1c), "av01.0.04M.08"),
        (frame(Codec::Vp9, Role::Header, vpcc), "vp09.00.31.08"),
    ];
    let audio = [
        (aac_header(), "mp4a.40.2", 44_100),
        (frame(Codec::Mp3, Role::Key, MP3_FRAME), "mp4a.6B", 44_100),
        (frame(Codec::Opus, Role::Header, OPUS_HEAD), "opus", 48_000),
    ];
    for (video, video_name) in &video {
        for (audio, audio_name, rate) in &audio {
            let tracks = Tracks::new(Some(video), Some(audio)).unwrap().with_size(640, 360);
            assert_eq!(tracks.codecs(), format!("{video_name},{audio_name}"));
            assert_eq!((tracks.video(), tracks.audio()), (Some(video.codec), Some(audio.codec)));
            // The header's size stands, where it has one.
            assert_eq!(tracks.resolution(), Some((640, 360)));
            let init = tracks.init();
            let (ftyp, at) = FtypBox::decode(&init).unwrap();
            assert!(ftyp.compatible_brands.iter().all(|b| b.get() != *b"cmfc"));
            let (moov, len) = MoovBox::decode(&init[at..]).unwrap();
            assert_eq!(at + len, init.len());
            let [v, a] = &moov.trak_boxes[..] else { panic!("two tracks") };
            assert_eq!((v.tkhd_box.track_id, a.tkhd_box.track_id), (1, 2));
            assert_eq!(v.mdia_box.mdhd_box.timescale.get(), 90_000);
            assert_eq!(a.mdia_box.mdhd_box.timescale.get(), *rate);
            let entry = &v.mdia_box.minf_box.stbl_box.stsd_box.entries[0];
            let visual = match (video.codec, entry) {
                (Codec::H264, SampleEntry::Avc1(b)) => {
                    assert_eq!(b.avcc_box.sps_list, [SPS]);
                    &b.visual
                }
                (Codec::H265, SampleEntry::Hvc1(b)) => {
                    assert_eq!(b.hvcc_box.general_level_idc, 93);
                    &b.visual
                }
                (Codec::Av1, SampleEntry::Av01(b)) => {
                    assert_eq!(b.av1c_box.seq_level_idx_0.get(), 4);
                    &b.visual
                }
                (Codec::Vp9, SampleEntry::Vp09(b)) => {
                    assert_eq!((b.vpcc_box.level, b.vpcc_box.bit_depth.get()), (31, 8));
                    &b.visual
                }
                other => panic!("{other:?}"),
            };
            assert_eq!((visual.width, visual.height), (640, 360));
            let entry = &a.mdia_box.minf_box.stbl_box.stsd_box.entries[0];
            assert_eq!(entry.audio_channel_count(), Some(2));
            match (audio.codec, entry) {
                (Codec::Aac, SampleEntry::Mp4a(b)) => {
                    let config = &b.esds_box.es.dec_config_descr;
                    assert_eq!(config.object_type_indication, 0x40);
                    assert_eq!(config.dec_specific_info.as_ref().unwrap().payload, [0x12, 0x10]);
                    assert_eq!(b.audio.samplerate.integer, 44_100);
                }
                (Codec::Mp3, SampleEntry::Mp4a(b)) => {
                    let config = &b.esds_box.es.dec_config_descr;
                    assert_eq!(config.object_type_indication, 0x6b);
                    assert!(config.dec_specific_info.is_none());
                }
                (Codec::Opus, SampleEntry::Opus(b)) => {
                    assert_eq!((b.dops_box.pre_skip, b.dops_box.input_sample_rate), (312, 48_000));
                }
                other => panic!("{other:?}"),
            }
            let trex = moov.mvex_box.unwrap().trex_boxes;
            let flags: Vec<_> = trex.iter().map(|t| t.default_sample_flags.get()).collect();
            assert_eq!(flags, [0x0101_0000, 0x0200_0000]);
        }
    }
}

#[test]
fn one_track_is_enough_and_says_cmaf() {
    let tracks = Tracks::new(None, Some(&aac_header())).unwrap();
    assert_eq!((tracks.codecs().as_str(), tracks.video(), tracks.resolution()), ("mp4a.40.2", None, None));
    let (ftyp, _) = FtypBox::decode(&tracks.init()).unwrap();
    assert!(ftyp.compatible_brands.iter().any(|b| b.get() == *b"cmfc"));
    assert_ne!(tracks, both());
    assert_eq!(both(), both());
}

#[test]
fn what_is_no_track() {
    let video = |f: &Frame| Tracks::new(Some(f), None).unwrap_err();
    let audio = |f: &Frame| Tracks::new(None, Some(f)).unwrap_err();
    assert_eq!(Tracks::new(None, None), Err(NotTracks::None));
    for codec in [Codec::Vp8, Codec::Other(2)] {
        assert_eq!(video(&frame(codec, Role::Key, &[0][..])), NotTracks::Unsupported(codec));
    }
    let speex = audio(&frame(Codec::Other(11), Role::Key, &[0][..]));
    assert_eq!(speex.to_string(), "FLV11 has no mapping to MP4 that players know");
    assert_eq!(audio(&frame(Codec::G711A, Role::Header, &[0][..])), NotTracks::NotHeader(Codec::G711A));
    assert_eq!(audio(&frame(Codec::Flac, Role::Key, &[0][..])), NotTracks::NotHeader(Codec::Flac));
    assert_eq!(video(&picture(Role::Key, 0, 0, 9)), NotTracks::NotHeader(Codec::H264));
    assert_eq!(video(&aac_header()), NotTracks::NotHeader(Codec::Aac));
    assert_eq!(audio(&avc_header()), NotTracks::NotHeader(Codec::H264));
    let crossed = Frame { kind: Kind::Video, ..aac_header() };
    assert_eq!(video(&crossed), NotTracks::NotHeader(Codec::Aac));
    let short = frame(Codec::H264, Role::Header, &[1][..]);
    assert!(matches!(video(&short), NotTracks::Malformed(Codec::H264, Malformed::Truncated { .. })));
}

#[test]
fn he_aac_counts_in_its_core_rate() {
    let header = frame(Codec::Aac, Role::Header, &[0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80][..]);
    let tracks = Tracks::new(None, Some(&header)).unwrap();
    assert_eq!(tracks.track(Kind::Audio).unwrap().timescale, 24_000);
    // 96 kHz doesn't fit the sample entry.
    let header = frame(Codec::Aac, Role::Header, &[0x10, 0x10][..]);
    let init = Tracks::new(None, Some(&header)).unwrap().init();
    let (_, at) = FtypBox::decode(&init).unwrap();
    let (moov, _) = MoovBox::decode(&init[at..]).unwrap();
    assert_eq!(moov.trak_boxes[0].mdia_box.mdhd_box.timescale.get(), 96_000);
}

#[test]
fn g711_is_a_track_of_flac() {
    let alaw = frame(Codec::G711A, Role::Key, vec![0xd5; 160]);
    let ulaw = Frame { codec: Codec::G711U, ..alaw.clone() };
    let tracks = Tracks::new(None, Some(&alaw)).unwrap();
    assert_eq!((tracks.audio(), tracks.codecs().as_str()), (Some(Codec::Flac), "fLaC"));
    assert_eq!(tracks, Tracks::new(None, Some(&ulaw)).unwrap(), "the one may follow the other");
    let header = frame(Codec::Flac, Role::Header, flac::header());
    assert_eq!(tracks, Tracks::new(None, Some(&header)).unwrap());
    // As it came it is no frame of that track.
    let mut out = BytesMut::new();
    let as_it_is = fragment(&tracks, 1, &[Sample { frame: &alaw, duration_us: 0 }], &mut out);
    assert_eq!(as_it_is, Err(Refused::Frame(Codec::G711A, Role::Key)));

    let (mut adapter, mut oracle) = (Adapter::default(), Fmp4SegmentDemuxer::new());
    oracle.handle_init_segment(&tracks.init()).unwrap();
    // Rounded to ms, as FLV has it; each is as long as it is, the last one too, whatever is said of it.
    let mut due = 0;
    for (ms, len) in [(0, 171), (21, 170), (43, 171), (64, 80)] {
        let payload = (0..len).map(|n| n as u8).collect::<Vec<_>>().into();
        let frames = adapter.adapt(&Frame { dts: ms * 1000, payload, ..ulaw.clone() });
        out.clear();
        let samples = [Sample { frame: &frames[0], duration_us: 40_000 }];
        fragment(&tracks, 1, &samples, &mut out).unwrap();
        let found = oracle.handle_media_segment(&out).unwrap();
        assert_eq!((found.len(), found[0].timestamp, found[0].duration), (1, due, len));
        due += u64::from(len);
    }
}

#[test]
fn high_rates_of_flac_are_divided_where_they_do_not_fit() {
    for (rate, said) in
        [(8000, 8000), (48_000, 48_000), (88_200, 44_100), (96_000, 48_000), (192_000, 48_000)]
    {
        let mut header = flac::header().to_vec();
        header[18..22].copy_from_slice(&(u32::to_be(rate << 12 | 1 << 9 | 23 << 4)).to_ne_bytes());
        let tracks = Tracks::new(None, Some(&frame(Codec::Flac, Role::Header, header))).unwrap();
        assert_eq!(tracks.track(Kind::Audio).unwrap().timescale, rate);
        let init = tracks.init();
        let at = init.windows(4).position(|name| name == b"fLaC").unwrap() + 4;
        let field = |from: usize| u16::from_be_bytes([init[at + from], init[at + from + 1]]);
        assert_eq!((field(16), field(18), u32::from(field(24))), (2, 24, said), "channels, bits and rate");
    }
}

#[test]
fn another_reader_finds_the_same_samples() {
    let tracks = both();
    let mut oracle = Fmp4SegmentDemuxer::new();
    oracle.handle_init_segment(&tracks.init()).unwrap();
    for start in [0, 1_000_000, 40 * 3_600_000_000] {
        let frames = second(start);
        let mut out = BytesMut::new();
        fragment(&tracks, 7, &samples(&frames), &mut out).unwrap();
        let found = oracle.handle_media_segment(&out).unwrap();
        assert_eq!(found.len(), frames.len());
        for (kind, theirs) in [(Kind::Video, TrackKind::Video), (Kind::Audio, TrackKind::Audio)] {
            let scale = tracks.track(kind).unwrap().timescale;
            let mine = frames.iter().map(|(f, d)| (f, d)).filter(|(f, _)| f.kind == kind);
            for ((frame, duration), found) in mine.zip(found.iter().filter(|s| s.track.kind == theirs)) {
                let time = ticks(frame.dts, scale);
                assert_eq!(found.timestamp, time);
                assert_eq!(u64::from(found.duration), ticks(frame.dts + duration, scale) - time);
                let offset = ticks(frame.pts, scale).cast_signed() - time.cast_signed();
                assert_eq!(found.composition_time_offset.unwrap_or(0), offset);
                assert_eq!(found.keyframe, frame.role == Role::Key);
                let at = found.data_offset as usize;
                assert_eq!(frame.payload, out[at..at + found.data_size]);
            }
        }
        let (moof, _) = MoofBox::decode(&out).unwrap();
        assert_eq!(moof.mfhd_box.sequence_number, 7);
        assert!(moof.traf_boxes.iter().all(|t| t.tfhd_box.default_base_is_moof));
        let trun = &moof.traf_boxes[0].trun_boxes[0];
        assert_eq!(trun.first_sample_flags.unwrap().get(), 0x0200_0000);
        assert!(trun.samples.iter().all(|s| s.flags.is_none()));
    }
}

#[test]
fn one_frame_alone_is_small_and_takes_no_memory_of_its_own() {
    let tracks = both();
    let mut out = BytesMut::with_capacity(4096);
    let at = out.as_ptr();
    for (frame, overhead) in [
        (sound(23_000, 50), 104),
        (picture(Role::Delta, 0, 0, 50), 104),
        (picture(Role::Key, 0, 0, 50), 108),
        (picture(Role::Delta, 0, 40_000, 50), 108),
    ] {
        out.clear();
        fragment(&tracks, 1, &[Sample { frame: &frame, duration_us: 40_000 }], &mut out).unwrap();
        assert_eq!(out.len(), 50 + overhead);
        assert_eq!(out.as_ptr(), at);
    }
}

#[test]
fn pictures_that_are_all_keys_and_those_that_come_late_say_so() {
    let tracks = both();
    for roles in
        [[Role::Key, Role::Key, Role::Delta], [Role::Delta, Role::Key, Role::Delta], [Role::Delta; 3]]
    {
        let frames = roles.map(|role| (picture(role, 0, 0, 1), 0));
        let mut out = BytesMut::from(&tracks.init()[..]);
        fragment(&tracks, 1, &samples(&frames), &mut out).unwrap();
        let (_, fragments, error, _) = scan(&out);
        assert_eq!(error, None);
        let keys: Vec<_> = fragments[0].runs[0].samples.iter().map(|s| s.key).collect();
        assert_eq!(keys, roles.map(|role| role == Role::Key));
        assert_eq!(fragments[0].key, roles[0] == Role::Key);
    }
}

#[test]
fn what_no_fragment_can_hold() {
    let tracks = both();
    let mut out = BytesMut::from(&b"before"[..]);
    let mut refused = |frames: &[Frame]| {
        let samples: Vec<_> = frames.iter().map(|frame| Sample { frame, duration_us: 0 }).collect();
        let cause = fragment(&tracks, 1, &samples, &mut out).unwrap_err();
        assert_eq!(out, &b"before"[..]);
        cause
    };
    assert_eq!(refused(&[]), Refused::Empty);
    assert_eq!(refused(&[avc_header()]), Refused::Frame(Codec::H264, Role::Header));
    assert_eq!(refused(&[frame(Codec::H264, Role::Mark, &[][..])]), Refused::Frame(Codec::H264, Role::Mark));
    let other = frame(Codec::Opus, Role::Key, &[0][..]);
    assert_eq!(refused(&[sound(0, 1), other]), Refused::Frame(Codec::Opus, Role::Key));
    let data = frame(Codec::Script, Role::Mark, &[0][..]);
    assert_eq!(refused(&[data]), Refused::Frame(Codec::Script, Role::Mark));
    assert_eq!(refused(&vec![sound(0, 0); limits::MP4_FRAGMENT_SAMPLES + 1]), Refused::TooLong);
    let one_mib = sound(0, 1024 * 1024);
    assert_eq!(refused(&vec![one_mib; limits::MP4_FRAGMENT_BYTES / 1024 / 1024 + 1]), Refused::TooLong);
}

#[test]
fn the_largest_fragment_can_be_read_back() {
    let tracks = both();
    let frames: Vec<_> = (0..limits::MP4_FRAGMENT_SAMPLES as i64)
        .map(|i| {
            let role = if i % 2 == 0 { Role::Delta } else { Role::Key };
            (picture(role, i, i + 100, 1), 1)
        })
        .collect();
    let mut out = BytesMut::from(&tracks.init()[..]);
    fragment(&tracks, 1, &samples(&frames), &mut out).unwrap();
    let (_, fragments, error, end) = scan(&out);
    assert_eq!((error, end), (None, out.len() as u64));
    assert_eq!(fragments[0].runs[0].samples.len(), frames.len());
}

#[test]
fn a_segment_begins_with_its_type() {
    let mut out = BytesMut::new();
    segment_type(&mut out);
    assert_eq!(out, &b"\0\0\0\x18stypmsdh\0\0\0\0msdhiso6"[..]);
}

#[test]
fn the_scanner_tells_times_keyframes_and_the_wall_clock() {
    let (file, ends) = file(3);
    let (init, fragments, error, end) = scan(&file);
    assert_eq!((error, end), (None, file.len() as u64));
    let init = init.unwrap();
    let video = init.video.unwrap();
    assert_eq!((video.timescale, video.width, video.height), (90_000, 640, 360));
    assert_eq!(init.audio.unwrap().timescale, 44_100);
    assert_eq!(fragments.len(), 3);
    for (i, f) in fragments.iter().enumerate() {
        let start = i as i64 * 1_000_000;
        assert_eq!((f.start_us, f.duration_us, f.key), (start, 1_000_000, true));
        assert_eq!(f.wall_us, Some(1_700_000_000_000_000 + start));
        assert_eq!((f.offset, f.offset + f.len), (ends[i] as u64, ends[i + 1] as u64));
    }
}

#[test]
fn a_file_cut_anywhere_keeps_its_whole_fragments() {
    let (file, ends) = file(2);
    let (_, all, _, _) = scan(&file);
    for len in 0..file.len() {
        let (init, fragments, error, end) = scan(&file[..len]);
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!((init.is_some(), error), (whole > 0, None), "{len}");
        assert_eq!(fragments, all[..whole.saturating_sub(1)], "{len}");
        assert_eq!(end, whole.checked_sub(1).map_or(0, |last| ends[last] as u64), "{len}");
    }
    // A file that was said to be longer than it is.
    let mut scanner = Scanner::new(100);
    assert_eq!(scanner.handle_input(&file[..7]), Ok(None));
    assert_eq!(scanner.wanted(), None);
    // What some file systems leave after a loss of power.
    let zeros = [&file[..], &[0; 100]].concat();
    let (_, fragments, error, end) = scan(&zeros);
    assert_eq!((fragments, error, end), (all, None, file.len() as u64));
}

#[test]
fn a_type_before_the_tracks_is_of_no_fragment() {
    let (file, ends) = file(1);
    let mut typed = BytesMut::new();
    segment_type(&mut typed);
    let before = typed.len() as u64;
    typed.extend_from_slice(&file);
    let (_, fragments, error, _) = scan(&typed);
    assert_eq!((fragments[0].offset, error), (before + ends[0] as u64, None));
}

#[test]
fn what_the_scanner_refuses() {
    let (file, ends) = file(1);
    let (_, _, error, _) = scan(&file[ends[0] + 32..]);
    assert_eq!(error, Some(Malformed::Missing(*b"moov")));
    let twice = [&file[..ends[0]], &file].concat();
    let (_, fragments, error, end) = scan(&twice);
    assert_eq!(error, Some(Malformed::Field { what: "second box", value: u32::from_be_bytes(*b"moov") }));
    assert_eq!((fragments.len(), end), (0, ends[0] as u64));
    let mut long = (limits::MP4_BOX_BYTES as u32 + 1).to_be_bytes().to_vec();
    long.extend(b"moov");
    long.resize(limits::MP4_BOX_BYTES + 1, 0);
    assert!(matches!(scan(&long).2, Some(Malformed::Limit { .. })));

    // A file that is finished has nothing to cut away.
    let (init, fragments, error, end) = scan(&plain(&file));
    assert_eq!(error, Some(Malformed::Missing(*b"mvex")));
    assert_eq!((init, fragments.len(), end), (None, 0, 0));

    // Samples of no bytes by the million, which trun may say in a few bytes.
    let mut bomb = file[..ends[0]].to_vec();
    for (name, body) in [(b"moof", &b"\0\0\0\x38traf\0\0\0\x10tfhd\0\x02\0\0\0\0\0\x01\0\0\0\x10tfdt\0\0\0\0\0\0\0\0\0\0\0\x10trun\0\0\0\0\xff\xff\xff\xff"[..]), (b"mdat", b"")] {
        bomb.extend((body.len() as u32 + 8).to_be_bytes());
        bomb.extend(name);
        bomb.extend(body);
    }
    let limit = limits::MP4_FRAGMENT_SAMPLES as u32;
    assert_eq!(scan(&bomb).2, Some(Malformed::Limit { what: "samples of a fragment", limit }));

    // A sample beyond its mdat.
    let mut beyond = file.to_vec();
    let at = beyond.windows(4).position(|w| w == b"trun").unwrap();
    beyond[at + 12..at + 16].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
    assert!(matches!(scan(&beyond).2, Some(Malformed::Field { what: "trun data offset", .. })));
}

/// The file that `Plain` makes of it.
fn plain(file: &[u8]) -> Vec<u8> {
    let (init, fragments, _, _) = scan(file);
    let mut plain = Plain::new(&init.unwrap());
    for fragment in &fragments {
        plain.push(fragment).unwrap();
    }
    let finished = plain.finish().unwrap();
    let mut out = finished.head.to_vec();
    for r in finished.ranges {
        out.extend_from_slice(range(file, r));
    }
    out
}

/// Kind, time, duration, composition offset, key and bytes of each sample, as another reader sees them.
type Seen = Vec<(Kind, u64, u32, i64, bool, Vec<u8>)>;

fn seen(file: &[u8]) -> Seen {
    let mut oracle = Mp4FileDemuxer::new();
    while let Some(wanted) = oracle.required_input() {
        let start = wanted.position as usize;
        let end = wanted.size.map_or(file.len(), |n| start + n);
        oracle.handle_input(Input { position: wanted.position, data: &file[start..end] });
    }
    let mut all = vec![];
    while let Some(s) = oracle.next_sample().unwrap() {
        let kind = if s.track.kind == TrackKind::Video { Kind::Video } else { Kind::Audio };
        let offset = s.composition_time_offset.unwrap_or(0);
        let data = file[s.data_offset as usize..][..s.data_size].to_vec();
        all.push((kind, s.timestamp, s.duration, offset, s.keyframe, data));
    }
    all
}

#[test]
fn a_plain_file_has_the_same_samples() {
    let (file, _) = file(3);
    let plain = plain(&file);
    let moov_at = FtypBox::decode(&plain).unwrap().1;
    let (moov, len) = MoovBox::decode(&plain[moov_at..]).unwrap();
    assert!(moov.mvex_box.is_none());
    assert_eq!((moov.mvhd_box.timescale.get(), moov.mvhd_box.duration), (1000, 3000));
    assert!(moov.trak_boxes.iter().all(|t| t.edts_box.is_none() && t.tkhd_box.duration == 3000));
    let mdat_at = moov_at + len;
    assert_eq!(&plain[mdat_at..mdat_at + 4], ((plain.len() - mdat_at) as u32).to_be_bytes());

    let seen = seen(&plain);
    let frames: Vec<_> = (0..3).flat_map(|i| second(i * 1_000_000)).collect();
    assert_eq!(seen.len(), frames.len());
    for kind in [Kind::Video, Kind::Audio] {
        let scale = both().track(kind).unwrap().timescale;
        let expected = frames.iter().filter(|(f, _)| f.kind == kind).map(|(f, duration)| {
            let time = ticks(f.dts, scale);
            let until = ticks(f.dts + duration, scale) - time;
            let offset = ticks(f.pts, scale).cast_signed() - time.cast_signed();
            (kind, time, until as u32, offset, f.role == Role::Key, f.payload.to_vec())
        });
        let found: Seen = seen.iter().filter(|s| s.0 == kind).cloned().collect();
        assert_eq!(found, expected.collect::<Seen>());
    }
}

#[test]
fn a_track_that_starts_late_and_a_gap_stay_where_they_are() {
    let tracks = both();
    let mut out = BytesMut::from(&tracks.init()[..]);
    let hour = 3_600_000_000;
    let frames = [
        [(sound(hour, 5), 500_000), (picture(Role::Key, hour + 250_000, hour + 290_000, 6), 40_000)],
        // Half a second is missing.
        [
            (sound(hour + 1_000_000, 7), 20_000),
            (picture(Role::Key, hour + 790_000, hour + 830_000, 8), 40_000),
        ],
    ];
    for (frames, i) in frames.iter().zip(1..) {
        fragment(&tracks, i, &samples(frames), &mut out).unwrap();
    }
    let plain = plain(&out);
    let moov_at = FtypBox::decode(&plain).unwrap().1;
    let (moov, _) = MoovBox::decode(&plain[moov_at..]).unwrap();
    let [video, audio] = &moov.trak_boxes[..] else { panic!("two tracks") };
    assert!(audio.edts_box.is_none());
    let edits = &video.edts_box.as_ref().unwrap().elst_box.as_ref().unwrap().entries;
    let edits: Vec<_> = edits.iter().map(|e| (e.edit_duration, e.media_time)).collect();
    // Shown from 290 ms on, which is 3600 ticks after its first is decoded.
    assert_eq!(edits, [(290, -1), (540, 3600)]);
    assert_eq!((video.tkhd_box.duration, audio.tkhd_box.duration), (830, 1020));
    assert_eq!(moov.mvhd_box.duration, 1020);
    let times: Vec<_> = seen(&plain).iter().map(|s| (s.0, s.1, s.2)).collect();
    assert!(times.contains(&(Kind::Video, 0, 48_600)) && times.contains(&(Kind::Audio, 0, 44_100)));
    assert!(times.contains(&(Kind::Video, 48_600, 3600)) && times.contains(&(Kind::Audio, 44_100, 882)));
}

#[test]
fn composition_offsets_are_signed_where_one_is_negative() {
    let tracks = both();
    for (pts, version) in [(200_000, 0), (60_000, 1)] {
        let frames =
            [(picture(Role::Key, 0, 120_000, 1), 100_000), (picture(Role::Delta, 100_000, pts, 1), 0)];
        let mut out = BytesMut::from(&tracks.init()[..]);
        fragment(&tracks, 1, &samples(&frames), &mut out).unwrap();
        let plain = plain(&out);
        let at = plain.windows(4).position(|w| w == b"ctts").unwrap();
        assert_eq!(plain[at + 4], version);
        let offsets: Vec<_> = seen(&plain).iter().map(|s| s.3).collect();
        assert_eq!(offsets, [10_800, (pts - 100_000) * 9 / 100]);
    }
}

#[test]
fn a_plain_file_beyond_four_gigabytes_has_long_offsets() {
    let (init, _, _, _) = scan(&both().init());
    let mut long = Plain::new(&init.unwrap());
    let sample = RunSample { size: 0x4000_0000, duration: 90_000, composition: 0, key: true };
    for i in 0..5u64 {
        let run = Run { kind: Kind::Video, time: i * 90_000, offset: i << 31, samples: vec![sample] };
        let (start_us, duration_us) = (i as i64 * 1_000_000, 1_000_000);
        let (offset, len) = (i << 31, 1 << 31);
        long.push(&Fragment {
            offset,
            len,
            start_us,
            duration_us,
            key: true,
            wall_us: None,
            runs: vec![run],
        })
        .unwrap();
    }
    let Finished { head, ranges } = long.finish().unwrap();
    assert_eq!(ranges.iter().map(|r| r.end - r.start).sum::<u64>(), 5 << 30);
    let moov_at = FtypBox::decode(&head).unwrap().1;
    let (moov, len) = MoovBox::decode(&head[moov_at..]).unwrap();
    assert_eq!(moov.trak_boxes.len(), 1, "audio has no samples");
    let offsets = match &moov.trak_boxes[0].mdia_box.minf_box.stbl_box.stco_or_co64_box {
        shiguredo_mp4::Either::B(co64) => co64.chunk_offsets.clone(),
        shiguredo_mp4::Either::A(_) => panic!("short offsets"),
    };
    let expected: Vec<u64> = (0..5).map(|i| head.len() as u64 + (i << 30)).collect();
    assert_eq!(offsets, expected);
    let mdat = [&[0, 0, 0, 1][..], b"mdat", &((5u64 << 30) + 16).to_be_bytes()].concat();
    assert_eq!(head[moov_at + len..], mdat);
}

#[test]
fn a_plain_file_has_its_limits_and_needs_samples() {
    let (init, _, _, _) = scan(&both().init());
    let init = init.unwrap();
    assert_eq!(Plain::new(&init).finish(), None);
    let sample = RunSample { size: 0, duration: 1, composition: 0, key: true };
    let of = |samples: usize, runs: usize| {
        let run = Run { kind: Kind::Audio, time: 0, offset: 0, samples: vec![sample; samples] };
        let (runs, wall_us) = (vec![run; runs], None);
        Fragment { offset: 0, len: 0, start_us: 0, duration_us: 0, key: true, wall_us, runs }
    };
    let mut plain = Plain::new(&init);
    plain.push(&of(limits::MP4_PLAIN_SAMPLES, 1)).unwrap();
    assert!(matches!(plain.push(&of(1, 1)), Err(Malformed::Limit { what: "samples of an MP4 file", .. })));
    let mut plain = Plain::new(&init);
    plain.push(&of(1, limits::MP4_PLAIN_CHUNKS)).unwrap();
    assert!(matches!(plain.push(&of(1, 1)), Err(Malformed::Limit { what: "chunks of an MP4 file", .. })));
    let mut plain = Plain::new(&init);
    assert!(plain.push(&of(limits::MP4_PLAIN_SAMPLES + 1, 1)).is_err());
    assert_eq!(plain.finish(), None, "nothing of it was added");
}

/// Frames of both tracks in any order, with times and sizes of all sorts.
fn any_frames() -> impl Strategy<Value = Vec<(Frame, i64)>> {
    let time = prop_oneof![any::<i64>(), -100_000..10_000_000i64];
    let one = (any::<bool>(), any::<bool>(), time.clone(), time, 0..40usize, any::<i64>()).prop_map(
        |(video, key, dts, pts, size, duration)| {
            let role = if key { Role::Key } else { Role::Delta };
            let frame = if video { picture(role, dts, pts, size) } else { sound(dts, size) };
            (Frame { pts, ..frame }, duration)
        },
    );
    prop::collection::vec(one, 1..20)
}

proptest! {
    #[test]
    fn any_frames_become_a_fragment_that_is_found_again(fragments in prop::collection::vec(any_frames(), 1..4)) {
        let tracks = both();
        let mut out = BytesMut::from(&tracks.init()[..]);
        for frames in &fragments {
            fragment(&tracks, 1, &samples(frames), &mut out).unwrap();
        }
        let (_, found, error, end) = scan(&out);
        prop_assert_eq!((error, end), (None, out.len() as u64));
        prop_assert_eq!(found.len(), fragments.len());
        for (found, frames) in found.iter().zip(&fragments) {
            for kind in [Kind::Video, Kind::Audio] {
                let mine: Vec<&Frame> = frames.iter().map(|(f, _)| f).filter(|f| f.kind == kind).collect();
                let run = found.runs.iter().find(|run| run.kind == kind);
                prop_assert_eq!(run.map_or(0, |run| run.samples.len()), mine.len());
                let Some(run) = run else { continue };
                prop_assert_eq!(run.time, ticks(mine[0].dts, tracks.track(kind).unwrap().timescale));
                let mut at = run.offset;
                for (sample, frame) in run.samples.iter().zip(mine) {
                    let end = at + u64::from(sample.size);
                    prop_assert_eq!(range(&out, at..end), &frame.payload[..]);
                    prop_assert_eq!(sample.key, frame.role == Role::Key || kind == Kind::Audio);
                    at = end;
                }
            }
        }
        let plain = plain(&out);
        prop_assert_eq!(seen(&plain).len(), fragments.iter().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn a_fragment_begins_where_the_one_before_ended(
        start in 0..1i64 << 50,
        durations in prop::collection::vec(prop::collection::vec(0..100_000i64, 1..10), 2..10),
    ) {
        let tracks = both();
        let mut out = BytesMut::from(&tracks.init()[..]);
        let mut dts = start;
        for durations in &durations {
            let mut frames = vec![];
            for duration in durations {
                frames.push((picture(Role::Key, dts, dts, 1), *duration));
                frames.push((sound(dts, 1), *duration));
                dts += duration;
            }
            fragment(&tracks, 1, &samples(&frames), &mut out).unwrap();
        }
        let (_, found, _, _) = scan(&out);
        prop_assert_eq!(found.len(), durations.len());
        for pair in found.windows(2) {
            for (before, after) in pair[0].runs.iter().zip(&pair[1].runs) {
                prop_assert_eq!(before.end(), after.time);
            }
        }
        for (run, scale) in found.last().unwrap().runs.iter().zip([90_000, 44_100]) {
            let exact = i128::from(dts) * i128::from(scale);
            prop_assert!((i128::from(run.end()) * 1_000_000 - exact).abs() <= 500_000);
        }
    }

    #[test]
    fn broken_bytes_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let (file, ends) = file(2);
        let (_, all, _, _) = scan(&file);
        let mut broken = file.to_vec();
        let mut first = broken.len();
        for (at, value) in changes {
            let at = at.index(broken.len());
            broken[at] = value;
            first = first.min(at);
        }
        let (init, found, _, end) = scan(&broken);
        let whole = ends.iter().filter(|end| **end <= first).count().saturating_sub(1);
        prop_assert!(found.len() >= whole && found[..whole] == all[..whole]);
        prop_assert!(end <= broken.len() as u64);
        if let Some(init) = init {
            let mut plain = Plain::new(&init);
            for fragment in &found {
                plain.push(fragment).unwrap();
            }
            if let Some(finished) = plain.finish() {
                for r in finished.ranges {
                    range(&broken, r);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_no_file_or_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        scan(&bytes);
    }

    #[test]
    fn times_are_the_nearest_tick(us in any::<i64>(), timescale in 1..1u32 << 24) {
        let exact = i128::from(us.max(0)) * i128::from(timescale);
        let found = ticks(us, timescale);
        if found < u64::MAX / 2 {
            prop_assert!((i128::from(found) * 1_000_000 - exact).abs() <= 500_000);
            // Back again, as far as a tick goes.
            let tick_us = 1 + 500_000 / i64::from(timescale);
            prop_assert!((micros(found, timescale) - us.max(0)).abs() <= tick_us);
        }
    }

    #[test]
    fn the_wall_clock_is_read_as_it_was_written(unix_us in 0..4_233_000_000_000_000i64, media_us in 0..1i64 << 50) {
        let tracks = both();
        let mut out = BytesMut::from(&tracks.init()[..]);
        wall_clock(&tracks, unix_us, media_us, &mut out);
        let frame = picture(Role::Key, media_us, media_us, 1);
        fragment(&tracks, 1, &[Sample { frame: &frame, duration_us: 1 }], &mut out).unwrap();
        let (_, found, _, _) = scan(&out);
        prop_assert_eq!(found[0].wall_us, Some(unix_us));
    }
}
