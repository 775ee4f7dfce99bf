//! What encoders hand over, whole, in pieces, NAL unit by NAL unit, and broken.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::media::SHARED_MIN;

/// 640x360, 25 frames per second, High, no reordering told but by the profile's limits.
const SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
    0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96,
];
/// 640x360, Constrained Baseline.
const OTHER_SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
    0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
const AUD: &[u8] = &[9, 0xf0];
const SEI: &[u8] = &[6, 5, 2, 1, 2, 0x80];
/// A recovery point after no frame, and after six.
const RECOVERY: &[u8] = &[6, 6, 1, 0xc4, 0x80];
const REFRESH: &[u8] = &[6, 6, 1, 0x3a, 0x80];
/// The first slice of an IDR picture, a later one of it, and the first one of another picture.
const IDR: &[u8] = &[0x65, 0x88, 2, 3];
const IDR_MORE: &[u8] = &[0x65, 0x08, 4, 5];
const SLICE: &[u8] = &[0x41, 0x9a, 6];
const SLICE_MORE: &[u8] = &[0x41, 0x1a, 7];

const VPS5: &[u8] = &[
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
    0x00, 0x03, 0x00, 0x3c, 0x95, 0x98, 0x09,
];
const SPS5: &[u8] = &[
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
    0x3c, 0xa0, 0x0a, 0x48, 0x0b, 0x9c, 0x95, 0x96, 0x56, 0x69, 0x24, 0xca, 0xf0, 0x16, 0x80, 0x80, 0x00,
    0x01, 0xf4, 0x80, 0x00, 0x3a, 0x98, 0x04,
];
const PPS5: &[u8] = &[0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40];

/// A sequence header of AV1 as libaom writes it, with its size; a key frame, and one after it.
const SEQUENCE: &[u8] = &[0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3d, 0x06, 0xd4, 0xda, 0xf9, 0x00, 0x40];
const KEY_OBU: &[u8] = &[0x32, 0x03, 0x10, 1, 2];
const INTER_OBU: &[u8] = &[0x32, 0x02, 0x30, 3];
const DELIMITER_OBU: &[u8] = &[0x12, 0x00];

/// AAC LC, 44.1 kHz, stereo: 7 + 2 bytes; the same with a checksum.
const ADTS: [u8; 9] = [0xff, 0xf1, 0x50, 0x80, 0x01, 0x3f, 0xfc, 0xaa, 0xbb];
const ADTS_CRC: [u8; 11] = [0xff, 0xf0, 0x50, 0x80, 0x01, 0x7f, 0xfc, 1, 2, 0xaa, 0xbb];

fn annexb(nals: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, nal) in nals.iter().enumerate() {
        let start: &[u8] = if i % 2 == 0 { &[0, 0, 0, 1] } else { &[0, 0, 1] };
        out.extend_from_slice(start);
        out.extend_from_slice(nal);
    }
    out
}

fn prefixed(nals: &[&[u8]], size: usize) -> Vec<u8> {
    let length = |nal: &&[u8]| (nal.len() as u32).to_be_bytes()[4 - size..].to_vec();
    nals.iter().flat_map(|nal| [length(nal), nal.to_vec()].concat()).collect()
}

fn packer(video: Option<Codec>, audio: Option<Codec>) -> Packer {
    Packer::new(&Setup { video, audio, ..Setup::default() }).unwrap()
}

fn h264() -> Packer {
    packer(Some(Codec::H264), None)
}

fn pack(p: &mut Packer, write: Write, data: &[u8]) -> Result<Packed, PackError> {
    p.pack(&write, Input::Copied(&[data]))
}

/// An access unit of H.264, shown when it is decoded.
fn whole(p: &mut Packer, pts: i64, nals: &[&[u8]]) -> Result<Packed, PackError> {
    pack(p, Write::whole(Codec::H264, pts), &annexb(nals))
}

fn part(p: &mut Packer, pts: i64, last: bool, nals: &[&[u8]]) -> Result<Packed, PackError> {
    pack(p, Write { partial: true, last, ..Write::whole(Codec::H264, pts) }, &annexb(nals))
}

fn roles(frames: &[Frame]) -> Vec<Role> {
    frames.iter().map(|frame| frame.role).collect()
}

fn length_of(nals: &[&[u8]]) -> Vec<u8> {
    prefixed(nals, 4)
}

#[test]
fn a_keyframe_brings_its_header_once() {
    let mut p = h264();
    let au = [AUD, SPS, PPS, SEI, IDR];
    let frames =
        pack(&mut p, Write { pts: 40_000, dts: Some(0), ..Write::whole(Codec::H264, 0) }, &annexb(&au))
            .unwrap();
    assert_eq!(roles(&frames), [Role::Header, Role::Key]);
    assert_eq!(frames[1].payload, length_of(&[SEI, IDR]));
    assert_eq!((frames[1].dts, frames[1].pts), (0, 40_000));
    assert_eq!(
        roles(&whole(&mut p, 50_000, &au).unwrap()),
        [Role::Key],
        "the same parameter sets are no news"
    );
    assert_eq!(roles(&whole(&mut p, 60_000, &[SLICE]).unwrap()), [Role::Delta]);
    p.lost_headers();
    assert_eq!(whole(&mut p, 70_000, &au).unwrap().len(), 2);
}

#[test]
fn parameter_sets_may_come_alone_and_before() {
    let mut p = h264();
    assert_eq!(whole(&mut p, 0, &[IDR]), Err(PackError::NoParameterSets { at: 4 }));
    assert!(whole(&mut p, 0, &[SPS]).unwrap().is_empty());
    assert_eq!(whole(&mut p, 0, &[IDR]), Err(PackError::NoParameterSets { at: 4 }));
    assert!(whole(&mut p, 0, &[PPS]).unwrap().is_empty());
    assert_eq!(roles(&whole(&mut p, 0, &[IDR]).unwrap()), [Role::Header, Role::Key]);
    assert_eq!(
        roles(&whole(&mut p, 1, &[OTHER_SPS, IDR]).unwrap()),
        [Role::Header, Role::Key],
        "another size"
    );
}

#[test]
fn parameter_sets_given_once() {
    let mut first = h264();
    let record = whole(&mut first, 0, &[SPS, PPS, IDR]).unwrap()[0].payload.bytes();
    for config in [&annexb(&[SPS, PPS])[..], &record] {
        let setup = Setup { video: Some(Codec::H264), video_config: config, ..Setup::default() };
        let mut p = Packer::new(&setup).unwrap();
        let frames = whole(&mut p, 0, &[IDR]).unwrap();
        assert_eq!(roles(&frames), [Role::Header, Role::Key]);
        assert_eq!(frames[0].payload, record);
    }
    for config in [&[1, 2, 3][..], &annexb(&[SPS]), &annexb(&[&[0x67, 1], PPS])] {
        let setup = Setup { video: Some(Codec::H264), video_config: config, ..Setup::default() };
        assert!(Packer::new(&setup).is_err(), "{config:x?}");
    }
}

#[test]
fn lengths_of_every_size() {
    for size in [1, 2, 4] {
        let mut record = {
            let mut p = h264();
            whole(&mut p, 0, &[SPS, PPS, IDR]).unwrap()[0].payload.bytes().to_vec()
        };
        record[4] = 0xfc | (size as u8 - 1);
        let setup = Setup {
            video: Some(Codec::H264),
            length_prefixed: true,
            video_config: &record,
            ..Setup::default()
        };
        let mut p = Packer::new(&setup).unwrap();
        let write = Write::whole(Codec::H264, 0);
        let frames = pack(&mut p, write, &prefixed(&[AUD, SEI, IDR, &[], IDR_MORE], size)).unwrap();
        assert_eq!(frames[1].payload, length_of(&[SEI, IDR, IDR_MORE]));
        let cut = prefixed(&[IDR], size);
        let error = pack(&mut p, write, &cut[..cut.len() - 1]).unwrap_err();
        assert!(error.to_string().starts_with("byte 0: truncated"), "{error}");
        assert!(pack(&mut p, write, &cut).is_ok());
    }
}

#[test]
fn what_needs_no_change_is_shared_as_it_stands() {
    let big = [IDR, &[7; 2 * SHARED_MIN]].concat();
    let config = annexb(&[SPS, PPS]);
    let setup =
        Setup { video: Some(Codec::H264), length_prefixed: true, video_config: &config, ..Setup::default() };
    let mut p = Packer::new(&setup).unwrap();
    let given = Bytes::from(prefixed(&[SEI, &big, IDR_MORE], 4));
    let frames = p.pack(&Write::whole(Codec::H264, 0), Input::Lent(std::slice::from_ref(&given))).unwrap();
    assert!(frames[1].payload.is_lent());
    assert_eq!(frames[1].payload.bytes().as_ptr(), given.as_ptr());
    assert_eq!(frames[1].payload.len(), given.len());

    // Start codes give way to lengths, between which the NAL units are shared.
    let mut p = h264();
    let given = Bytes::from(annexb(&[SPS, PPS, SEI, &big]));
    let (front, back) = (given.slice(..given.len() - 2500), given.slice(given.len() - 2500..));
    let frames = p.pack(&Write::whole(Codec::H264, 0), Input::Lent(&[front, back])).unwrap();
    assert!(frames[1].payload.is_lent() && !frames[0].payload.is_lent());
    assert_eq!(frames[1].payload, length_of(&[SEI, &big]));
    let is_given = |piece: &&Bytes| given.as_ptr_range().contains(&piece.as_ptr());
    let shared = frames[1].payload.pieces().iter().filter(is_given).map(Bytes::len).sum::<usize>();
    assert_eq!(shared, 2500, "what is in the first piece is too small to be shared");

    // What is small is copied.
    let given = Bytes::from(annexb(&[SLICE]));
    let frames = p.pack(&Write::whole(Codec::H264, 40_000), Input::Lent(&[given])).unwrap();
    assert!(!frames[0].payload.is_lent());
}

#[test]
fn a_nal_unit_at_a_time() {
    let mut p = h264();
    assert!(part(&mut p, 0, false, &[SPS]).unwrap().is_empty());
    assert!(part(&mut p, 0, false, &[PPS]).unwrap().is_empty());
    assert!(part(&mut p, 0, false, &[IDR]).unwrap().is_empty());
    let frames = part(&mut p, 0, true, &[IDR_MORE]).unwrap();
    assert_eq!(roles(&frames), [Role::Header, Role::Key]);
    assert_eq!(frames[1].payload, length_of(&[IDR, IDR_MORE]));

    // What begins the next one ends the one before: its first slice, a delimiter, information, another time.
    assert!(part(&mut p, 40_000, false, &[SLICE]).unwrap().is_empty());
    assert!(part(&mut p, 40_000, false, &[SLICE_MORE]).unwrap().is_empty());
    let frames = part(&mut p, 40_000, false, &[SLICE]).unwrap();
    assert_eq!((frames.len(), &frames[0].payload), (1, &length_of(&[SLICE, SLICE_MORE]).into()));
    assert_eq!(part(&mut p, 80_000, false, &[AUD]).unwrap().len(), 1);
    assert!(
        part(&mut p, 90_000, false, &[SEI]).unwrap().is_empty(),
        "what stands before it may have any time"
    );
    assert!(part(&mut p, 120_000, false, &[SLICE]).unwrap().is_empty());
    let frames = part(&mut p, 160_000, false, &[SLICE_MORE]).unwrap();
    assert_eq!((frames[0].pts, &frames[0].payload), (120_000, &length_of(&[SEI, SLICE]).into()));
    assert_eq!(part(&mut p, 160_000, false, &[SEI, SLICE]).unwrap()[0].payload, length_of(&[SLICE_MORE]));
    let filler: &[u8] = &[12, 0xff, 0x80];
    let frames = part(&mut p, 160_000, false, &[filler, SEI, SLICE]).unwrap();
    assert_eq!(
        frames[0].payload,
        length_of(&[SEI, SLICE, filler]),
        "the end of one and the beginning of another"
    );
    assert_eq!(part(&mut p, 160_000, false, &[SLICE_MORE, SLICE]), Err(PackError::SecondPicture { at: 10 }));
    assert_eq!(p.flush()[0].payload, length_of(&[SEI, SLICE]));
    assert!(p.flush().is_empty());
}

#[test]
fn a_whole_one_ends_what_was_being_put_together() {
    let mut p = h264();
    whole(&mut p, 0, &[SPS, PPS, IDR]).unwrap();
    assert!(part(&mut p, 40_000, false, &[SLICE]).unwrap().is_empty());
    let frames = whole(&mut p, 80_000, &[SLICE]).unwrap();
    assert_eq!(frames.iter().map(|f| f.pts).collect::<Vec<_>>(), [40_000, 80_000]);
}

#[test]
fn fields_of_one_frame_are_one_access_unit() {
    // frame_mbs_only_flag 0, frame_num of 4 bits: 1920x1080 as x264 writes it.
    const INTERLACED: &[u8] = &[
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x04, 0x4f, 0xde, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00,
        0x20, 0x00, 0x00, 0x07, 0x83, 0xe2, 0xc5, 0xb2, 0xc0,
    ];
    // first_mb 0, slice_type 7, pps 0, frame_num 3, then field and bottom: 1 00001000 1 0011 1 b.
    let field = |frame_num: u8, bottom: u8| {
        let bits = 0b1_0001_0001u32 << 6 | u32::from(frame_num) << 2 | 2 | u32::from(bottom);
        let bytes = (bits << 17).to_be_bytes();
        vec![0x41, bytes[0], bytes[1], bytes[2], 0x80, 1]
    };
    let mut p = h264();
    whole(&mut p, 0, &[INTERLACED, PPS, IDR]).unwrap();
    let (top, bottom, next) = (field(3, 0), field(3, 1), field(4, 0));
    assert_eq!(whole(&mut p, 1, &[&top, &bottom]).unwrap().len(), 1);
    assert!(part(&mut p, 2, false, &[&top]).unwrap().is_empty());
    assert!(part(&mut p, 2, false, &[&bottom]).unwrap().is_empty());
    assert_eq!(part(&mut p, 2, false, &[&next]).unwrap()[0].payload, length_of(&[&top, &bottom]));
    assert_eq!(whole(&mut p, 3, &[&top, &bottom, &next]), Err(PackError::SecondPicture { at: 23 }));
}

#[test]
fn keyframes_by_the_bytes_and_by_the_host() {
    let mut p = h264();
    let role = |frames: Packed| frames.last().unwrap().role;
    assert_eq!(role(whole(&mut p, 0, &[SPS, PPS, IDR]).unwrap()), Role::Key);
    assert_eq!(role(whole(&mut p, 1, &[SEI, SLICE]).unwrap()), Role::Delta);
    assert_eq!(role(whole(&mut p, 2, &[RECOVERY, SLICE]).unwrap()), Role::Key, "an open GOP");
    assert_eq!(role(whole(&mut p, 3, &[REFRESH, SLICE]).unwrap()), Role::Delta);
    assert_eq!(role(whole(&mut p, 4, &[SPS, PPS, REFRESH, SLICE]).unwrap()), Role::Key);
    let write = Write { is_key: true, ..Write::whole(Codec::H264, 5) };
    assert_eq!(role(pack(&mut p, write, &annexb(&[SLICE])).unwrap()), Role::Key);
}

#[test]
fn after_a_discontinuity_comes_a_keyframe() {
    let mut p = h264();
    whole(&mut p, 0, &[SPS, PPS, IDR]).unwrap();
    let anew = |pts| Write { discontinuity: true, ..Write::whole(Codec::H264, pts) };
    assert!(pack(&mut p, anew(60_000_000), &annexb(&[SLICE])).unwrap().is_empty());
    assert!(p.waits_for_key());
    assert!(whole(&mut p, 60_040_000, &[OTHER_SPS, SLICE]).unwrap().is_empty());
    let frames = whole(&mut p, 60_080_000, &[IDR]).unwrap();
    assert_eq!(roles(&frames), [Role::Header, Role::Key], "the header is not lost with what was left out");
    assert_eq!(frames[1].pts, 10_000 + 80_000);
    assert!(!p.waits_for_key());
}

#[test]
fn times_that_are_not_told() {
    let mut p = h264();
    let at = |p: &mut Packer, n: i64, nals: &[&[u8]]| {
        let write = Write { dts: None, ..Write::whole(Codec::H264, n * 40_000) };
        let frames = pack(p, write, &annexb(nals)).unwrap();
        let frame = frames.last().unwrap();
        (frame.dts, frame.pts / 40_000)
    };
    // The sequence parameter set tells a depth of two.
    assert_eq!(at(&mut p, 0, &[SPS, PPS, IDR]), (-80_000, 0));
    assert_eq!(at(&mut p, 3, &[SLICE]), (-40_000, 3));
    assert_eq!(at(&mut p, 1, &[SLICE]), (0, 1));
    assert_eq!(at(&mut p, 2, &[SLICE]), (40_000, 2));
}

#[test]
fn what_is_wrong_is_told_and_changes_nothing() {
    let mut p = h264();
    let wrong = |p: &mut Packer, data: &[u8]| pack(p, Write::whole(Codec::H264, 0), data).unwrap_err();
    whole(&mut p, 0, &[SPS, PPS, IDR]).unwrap();
    assert_eq!(wrong(&mut p, &[]), PackError::NoStartCode);
    assert_eq!(wrong(&mut p, &[1, 2, 3]), PackError::NoStartCode);
    assert_eq!(wrong(&mut p, &prefixed(&[&[0x65; 600]], 4)), PackError::NoStartCode);
    assert_eq!(wrong(&mut p, &[0, 0, 0, 1]), PackError::Empty);
    assert_eq!(wrong(&mut p, &[0, 0, 1, 0, 0, 0, 0, 1]), PackError::Empty);
    assert_eq!(wrong(&mut p, &annexb(&[SEI])), PackError::Empty);
    assert_eq!(wrong(&mut p, &annexb(&[IDR, IDR_MORE, SLICE])), PackError::SecondPicture { at: 19 });
    assert!(matches!(wrong(&mut p, &annexb(&[&[0xe5, 1]])), PackError::Bitstream { at: 4, .. }));
    let error = wrong(&mut p, &annexb(&[&[0x67], PPS, IDR]));
    assert!(matches!(error, PackError::Bitstream { at: 4, .. }), "{error}");
    assert_eq!(wrong(&mut p, &annexb(&[&[0x67], PPS, IDR])), error, "each time");
    assert_eq!(wrong(&mut p, &annexb(&[SLICE; 513][..])), PackError::TooManyNals);
    let late = Write { dts: Some(1), ..Write::whole(Codec::H264, 0) };
    assert_eq!(pack(&mut p, late, &annexb(&[SLICE])), Err(PackError::DecodedLate { pts: 0, dts: 1 }));
    let aac = Write::whole(Codec::Aac, 0);
    assert_eq!(pack(&mut p, aac, &ADTS), Err(PackError::NoTrack(Codec::Aac)));
    let large = vec![0; limits::RTMP_MESSAGE_BYTES + 1];
    assert_eq!(wrong(&mut p, &large), PackError::TooLarge);
    assert_eq!(roles(&whole(&mut p, 40_000, &[SLICE]).unwrap()), [Role::Delta]);

    // A start code or zeros at the very end are no NAL unit; bytes that prevent emulation stay.
    let odd = [0x41, 0x9a, 0, 0, 3, 1, 0, 0, 3];
    let data = [&annexb(&[&odd])[..], &[0, 0, 0, 0, 1]].concat();
    let frames = pack(&mut p, Write::whole(Codec::H264, 80_000), &data).unwrap();
    assert_eq!(frames[0].payload, length_of(&[&odd]));
}

#[test]
fn an_access_unit_that_grows_too_large_is_dropped() {
    let mut p = h264();
    whole(&mut p, 0, &[SPS, PPS, IDR]).unwrap();
    let half = [SLICE_MORE, &vec![7; limits::RTMP_MESSAGE_BYTES / 2]].concat();
    assert!(part(&mut p, 1, false, &[SLICE, &half]).unwrap().is_empty());
    assert_eq!(part(&mut p, 1, false, &[&half]), Err(PackError::TooLarge));
    assert!(p.flush().is_empty());
    for _ in 0..limits::NALS_PER_ACCESS_UNIT {
        assert!(part(&mut p, 2, false, &[SLICE_MORE]).unwrap().is_empty());
    }
    assert_eq!(part(&mut p, 2, false, &[SLICE_MORE]), Err(PackError::TooManyNals));
    assert_eq!(whole(&mut p, 3, &[SLICE]).unwrap().len(), 1);
}

#[test]
fn h265() {
    let mut p = packer(Some(Codec::H265), None);
    let idr: &[u8] = &[0x26, 0x01, 0xaf, 1];
    let more: &[u8] = &[0x26, 0x01, 0x2f, 2];
    let slice: &[u8] = &[0x02, 0x01, 0xd0, 3];
    let suffix: &[u8] = &[0x50, 0x01, 0x84, 4];
    let enhancement: &[u8] = &[0x02, 0x09, 0xd0, 5];
    let aud: &[u8] = &[0x46, 0x01, 0x10];
    let write = Write::whole(Codec::H265, 0);
    let nals = [aud, VPS5, SPS5, PPS5, idr, more, suffix];
    let frames = pack(&mut p, write, &annexb(&nals)).unwrap();
    assert_eq!(roles(&frames), [Role::Header, Role::Key]);
    assert_eq!(frames[1].payload, length_of(&[idr, more, suffix]));
    assert!(matches!(pack(&mut p, write, &annexb(&[slice, slice])), Err(PackError::SecondPicture { .. })));
    let partial = Write { partial: true, ..write };
    assert!(pack(&mut p, partial, &annexb(&[slice])).unwrap().is_empty());
    assert!(pack(&mut p, partial, &annexb(&[enhancement])).unwrap().is_empty());
    assert!(pack(&mut p, partial, &annexb(&[suffix])).unwrap().is_empty());
    let frames = pack(&mut p, partial, &annexb(&[slice])).unwrap();
    assert_eq!(
        (frames[0].role, &frames[0].payload),
        (Role::Delta, &length_of(&[slice, enhancement, suffix]).into())
    );
    let config = frames_config(&nals);
    let setup = Setup { video: Some(Codec::H265), video_config: &config, ..Setup::default() };
    assert_eq!(pack(&mut Packer::new(&setup).unwrap(), write, &annexb(&[idr])).unwrap().len(), 2);
}

/// The header of these NAL units.
fn frames_config(nals: &[&[u8]]) -> Bytes {
    let mut p = packer(Some(Codec::H265), None);
    pack(&mut p, Write::whole(Codec::H265, 0), &annexb(nals)).unwrap()[0].payload.bytes()
}

#[test]
fn av1() {
    let write = Write::whole(Codec::Av1, 0);
    let mut p = packer(Some(Codec::Av1), None);
    assert_eq!(pack(&mut p, write, KEY_OBU), Err(PackError::NoParameterSets { at: 0 }));
    let unit = [DELIMITER_OBU, SEQUENCE, KEY_OBU].concat();
    let frames = pack(&mut p, write, &unit).unwrap();
    assert_eq!(roles(&frames), [Role::Header, Role::Key]);
    assert_eq!(frames[0].payload, [&[0x81, 0, 0x0c, 0], SEQUENCE].concat());
    assert_eq!(frames[1].payload, [SEQUENCE, KEY_OBU].concat());
    assert_eq!(roles(&pack(&mut p, write, INTER_OBU).unwrap()), [Role::Delta]);
    // Without its size: the last one may leave it out.
    let bare = [SEQUENCE, &[0x30, 0x10, 1, 2]].concat();
    assert_eq!(pack(&mut p, write, &bare).unwrap()[0].payload, [SEQUENCE, KEY_OBU].concat());
    assert!(pack(&mut p, write, SEQUENCE).unwrap().is_empty());
    assert_eq!(pack(&mut p, write, DELIMITER_OBU), Err(PackError::Empty));
    assert!(matches!(pack(&mut p, write, &[0x12, 0, 0x32, 9, 0]), Err(PackError::Bitstream { at: 2, .. })));
    assert_eq!(pack(&mut p, Write { partial: true, ..write }, KEY_OBU), Err(PackError::NoNals(Codec::Av1)));
    for config in [SEQUENCE, &frames[0].payload.bytes()] {
        let setup = Setup { video: Some(Codec::Av1), video_config: config, ..Setup::default() };
        assert_eq!(pack(&mut Packer::new(&setup).unwrap(), write, KEY_OBU).unwrap().len(), 2);
    }
}

#[test]
fn jpeg() {
    let mut p = packer(Some(Codec::Mjpeg), None);
    let picture = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 11, 8, 1, 0, 2, 0x80, 3];
    let frames = pack(&mut p, Write::whole(Codec::Mjpeg, 0), &picture).unwrap();
    assert_eq!((frames[0].role, &frames[0].payload), (Role::Key, &picture[..].to_vec().into()));
    assert!(matches!(
        pack(&mut p, Write::whole(Codec::Mjpeg, 0), &picture[..10]),
        Err(PackError::Bitstream { at: 8, .. })
    ));
    assert_eq!(pack(&mut p, Write::whole(Codec::Mjpeg, 0), b"\x89PNG"), Err(PackError::Empty));
}

#[test]
fn adts_frames_in_one_write_get_their_own_times() {
    let mut p = packer(None, Some(Codec::Aac));
    let frames = pack(&mut p, Write::whole(Codec::Aac, 1000), &[&ADTS[..], &ADTS_CRC].concat()).unwrap();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0].payload.as_ref(), [0x12, 0x10]);
    assert_eq!((frames[1].pts, &frames[1].payload), (1000, &vec![0xaa, 0xbb].into()));
    assert_eq!((frames[2].pts, &frames[2].payload), (1000 + 23_219, &vec![0xaa, 0xbb].into()));
    assert!(pack(&mut p, Write::whole(Codec::Aac, 0), &ADTS[..8]).is_err());

    let mut p = packer(None, Some(Codec::Aac));
    assert!(pack(&mut p, Write::whole(Codec::Aac, 0), &[&ADTS[..], &[1, 2, 3]].concat()).is_err());
    assert_eq!(pack(&mut p, Write::whole(Codec::Aac, 0), &ADTS).unwrap()[0].role, Role::Header);
}

#[test]
fn raw_aac_has_its_config() {
    let setup = Setup { audio: Some(Codec::Aac), audio_config: &[0x12, 0x10], ..Setup::default() };
    let mut p = Packer::new(&setup).unwrap();
    let frames = pack(&mut p, Write::whole(Codec::Aac, 7), &[1, 2]).unwrap();
    assert_eq!(roles(&frames), [Role::Header, Role::Key]);
    assert_eq!(frames[0].payload.as_ref(), [0x12, 0x10]);
    assert!(Packer::new(&Setup { audio_config: &[0x12], ..setup }).is_err());
}

#[test]
fn other_audio() {
    let mut p = packer(None, Some(Codec::G711A));
    let frames = pack(&mut p, Write::whole(Codec::G711A, 0), &[0xd5; 37]).unwrap();
    assert_eq!((frames.len(), frames[0].payload.len()), (1, 37));

    let mut mp3 = vec![0; 417];
    mp3[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
    let mut p = packer(None, Some(Codec::Mp3));
    let frames = pack(&mut p, Write::whole(Codec::Mp3, 0), &[&mp3[..], &mp3].concat()).unwrap();
    assert_eq!(frames.iter().map(|f| f.pts).collect::<Vec<_>>(), [0, 26_122]);
    let cut = pack(&mut p, Write::whole(Codec::Mp3, 0), &mp3[..416]);
    assert!(matches!(cut, Err(PackError::Bitstream { at: 0, .. })));

    let opus = Setup { audio: Some(Codec::Opus), channels: 1, rate: 16_000, ..Setup::default() };
    let mut p = Packer::new(&opus).unwrap();
    let frames = pack(&mut p, Write::whole(Codec::Opus, 0), &[0xfc, 1, 2]).unwrap();
    assert_eq!(frames[0].payload, b"OpusHead\x01\x01\x00\x00\x80\x3e\x00\x00\x00\x00\x00");
    assert_eq!(frames[1].payload, [0xfc, 1, 2]);
    assert!(pack(&mut p, Write::whole(Codec::Opus, 0), &[0xff]).is_err());
    for wrong in
        [Setup { channels: 3, ..opus }, Setup { rate: 7999, ..opus }, Setup { audio_config: b"Opus", ..opus }]
    {
        assert!(Packer::new(&wrong).is_err());
    }
    let g711 = Setup { audio: Some(Codec::G711U), ..Setup::default() };
    assert!(
        Packer::new(&Setup { rate: 16_000, ..g711 }).is_err()
            && Packer::new(&Setup { channels: 2, ..g711 }).is_err()
    );
    for codec in [Codec::Vp9, Codec::Aac] {
        assert!(Packer::new(&Setup { video: Some(codec), ..Setup::default() }).is_err());
    }
}

#[test]
fn audio_never_goes_back() {
    let mut p = packer(None, Some(Codec::G711U));
    let mut at = |pts| pack(&mut p, Write::whole(Codec::G711U, pts), &[1]).unwrap()[0].pts;
    assert_eq!([at(0), at(20_000), at(19_000), at(40_000)], [0, 20_000, 20_000, 40_000]);
    assert_eq!([at(-5_000_000), at(-4_980_000)], [60_000, 80_000], "a clock that was set");
}

/// A stream of access units, each as NAL units.
fn access_units() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let body = || {
        prop::collection::vec(0u8..4, 0..30).prop_map(|mut body| {
            // No start code within: emulation is prevented.
            for i in 0..body.len().saturating_sub(2) {
                if body[i..i + 2] == [0, 0] && body[i + 2] < 3 {
                    body[i + 2] = 3;
                }
            }
            body.push(0x80);
            body
        })
    };
    let slice = move |head: &'static [u8]| body().prop_map(move |body| [head, &body].concat());
    let unit = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        slice(IDR),
        slice(SLICE),
        prop::collection::vec(slice(SLICE_MORE), 0..3),
    )
        .prop_map(|(key, aud, sei, idr, first, more)| {
            let mut nals: Vec<Vec<u8>> = Vec::new();
            nals.extend(aud.then(|| AUD.to_vec()));
            if key {
                nals.extend([SPS.to_vec(), PPS.to_vec()]);
            }
            nals.extend(sei.then(|| SEI.to_vec()));
            nals.push(if key { idr } else { first });
            nals.extend(more);
            nals
        });
    prop::collection::vec(unit, 1..6)
}

fn slices(nals: &[Vec<u8>]) -> Vec<&[u8]> {
    nals.iter().map(Vec::as_slice).collect()
}

proptest! {
    #[test]
    fn any_cut_gives_the_same(
        units in access_units(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20), lent: bool, prefixed: bool,
    ) {
        let config = annexb(&[SPS, PPS]);
        let setup = Setup {
            video: Some(Codec::H264), length_prefixed: prefixed, video_config: &config, ..Setup::default()
        };
        let (mut one, mut cut) = (Packer::new(&setup).unwrap(), Packer::new(&setup).unwrap());
        for (i, unit) in units.iter().enumerate() {
            let data = if prefixed { self::prefixed(&slices(unit), 4) } else { annexb(&slices(unit)) };
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).chain([0, data.len()]).collect();
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &data[w[0]..w[1]]).collect();
            let shared: Vec<Bytes> = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
            let write = Write::whole(Codec::H264, i as i64 * 40_000);
            let input = if lent { Input::Lent(&shared) } else { Input::Copied(&pieces) };
            prop_assert_eq!(cut.pack(&write, input), one.pack(&write, Input::Copied(&[&data])));
        }
    }

    #[test]
    fn nal_by_nal_gives_the_same_as_whole(units in access_units(), last: bool, told: bool) {
        let config = annexb(&[SPS, PPS]);
        let setup = Setup { video: Some(Codec::H264), video_config: &config, ..Setup::default() };
        let (mut one, mut many) = (Packer::new(&setup).unwrap(), Packer::new(&setup).unwrap());
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for (i, unit) in units.iter().enumerate() {
            let pts = i as i64 * 40_000;
            let write = Write { dts: told.then_some(pts), ..Write::whole(Codec::H264, pts) };
            expected.extend(pack(&mut one, write, &annexb(&slices(unit))).unwrap());
            for (n, nal) in unit.iter().enumerate() {
                let write = Write { partial: true, last: last && n + 1 == unit.len(), ..write };
                got.extend(pack(&mut many, write, &annexb(&[nal])).unwrap());
            }
        }
        got.extend(many.flush());
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn any_bytes_are_packed_or_refused(
        writes in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..60), any::<bool>(), any::<[bool; 4]>(), any::<i64>(), any::<Option<i64>>()), 1..6,
        ),
        codec in 0usize..9, prefixed: bool,
    ) {
        let video = [Codec::H264, Codec::H265, Codec::Av1, Codec::Mjpeg];
        let audio = [Codec::Aac, Codec::Mp3, Codec::Opus, Codec::G711A, Codec::G711U];
        let codec = *video.iter().chain(&audio).nth(codec).unwrap();
        let is_video = video.contains(&codec);
        let setup = Setup {
            video: is_video.then_some(codec), audio: (!is_video).then_some(codec), length_prefixed: prefixed,
            ..Setup::default()
        };
        let mut p = Packer::new(&setup).unwrap();
        let mut last = i64::MIN;
        for (data, starts, [partial, is_last, is_key, discontinuity], pts, dts) in writes {
            let data = if starts { [&[0, 0, 1], &data[..]].concat() } else { data };
            let write = Write { codec, pts, dts, partial, last: is_last, is_key, discontinuity };
            for frame in pack(&mut p, write, &data).unwrap_or_default() {
                prop_assert!(frame.dts <= frame.pts && frame.dts >= last);
                last = frame.dts;
            }
        }
    }
}
