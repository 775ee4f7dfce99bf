//! Parameter sets as x265 writes them, and some that it doesn't.

use proptest::prelude::*;

use super::super::h264::tests::Writer;
use super::*;

/// Main, level 2.
const MAIN_VPS: &[u8] = &[
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
    0x00, 0x03, 0x00, 0x3c, 0x95, 0x98, 0x09,
];

/// 322x182, 30000/1001 frames per second, Main, level 2.
const MAIN_SPS: &[u8] = &[
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
    0x3c, 0xa0, 0x0a, 0x48, 0x0b, 0x9c, 0x95, 0x96, 0x56, 0x69, 0x24, 0xca, 0xf0, 0x16, 0x80, 0x80, 0x00,
    0x01, 0xf4, 0x80, 0x00, 0x3a, 0x98, 0x04,
];

/// The same stream's.
const MAIN_PPS: &[u8] = &[0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40];

/// 1920x1080, 25 frames per second, 4:2:2 of 10 bits, an aspect ratio and colours in the VUI.
const RANGE_SPS: &[u8] = &[
    0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9d, 0x08, 0x00, 0x00, 0x03, 0x00, 0x00, 0x78,
    0xb0, 0x03, 0xc0, 0x80, 0x10, 0xe4, 0xd9, 0x65, 0x66, 0x92, 0x4e, 0x57, 0x82, 0x37, 0x01, 0x01, 0x01,
    0x04, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0x64, 0x20,
];

fn size_and_rate(sps: &[u8]) -> (u32, u32, Option<(u32, u32)>) {
    let sps = Sps::parse(sps).unwrap();
    (sps.width, sps.height, sps.frame_rate)
}

/// Up to the bit depths: 320x240, Main, with `sub_layers` beyond the first, each with profile and level.
fn head(sub_layers: u32) -> Writer {
    let mut w = Writer::default().bits(16, 0x4201).bits(4, 0).bits(3, sub_layers).bits(1, 0);
    w = w.bits(8, 1).bits(32, 0x6000_0000).bits(24, 0x90_0000).bits(24, 0).bits(8, 93);
    if sub_layers > 0 {
        for layer in 0..8 {
            w = w.bits(2, if layer < sub_layers { 3 } else { 0 });
        }
        for _ in 0..sub_layers * 12 {
            w = w.bits(8, 0xa5);
        }
    }
    w.ue(0).ue(1).ue(320).ue(240).bits(1, 0)
}

/// From the VUI's presence on: nothing but 50 fields or frames per second.
fn timing(w: Writer, field_seq: u32) -> Vec<u8> {
    w.bits(1, 1)
        .bits(5, 0)
        .bits(1, field_seq)
        .bits(2, 0)
        .bits(1, 1)
        .bits(32, 0x0101)
        .bits(32, 0x0101 * 50)
        .nal()
}

#[test]
fn what_x265_writes() {
    assert_eq!(size_and_rate(MAIN_SPS), (322, 182, Some((30000, 1001))));
    assert_eq!(size_and_rate(RANGE_SPS), (1920, 1080, Some((25, 1))));

    let sps = Sps::parse(MAIN_SPS).unwrap();
    let profile = Profile {
        space: 0,
        high_tier: false,
        idc: 1,
        compatibility: 0x6000_0000,
        constraints: [0x90, 0, 0, 0, 0, 0],
        level_idc: 60,
    };
    assert_eq!(sps.profile, profile);
    assert_eq!((sps.sub_layers, sps.temporal_id_nesting), (1, true));
    assert_eq!((sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma), (1, 8, 8));

    let sps = Sps::parse(RANGE_SPS).unwrap();
    assert_eq!((sps.profile.idc, sps.profile.level_idc), (4, 120));
    assert_eq!(sps.profile.constraints, [0x9d, 0x08, 0, 0, 0, 0]);
    assert_eq!((sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma), (2, 10, 10));
}

#[test]
fn what_stands_before_the_timing_is_passed_over() {
    // Bit depths, then 4 more bits of picture order count, an ordering info of each of 3 sub-layers, blocks.
    let mut w = head(2).ue(0).ue(0).ue(4).bits(1, 1);
    for _ in 0..9 + 6 {
        w = w.ue(5);
    }
    // Scaling lists: of each size one that is copied, the others in full.
    w = w.bits(2, 0b11);
    for (lists, codes) in [(6, 16), (6, 64), (6, 65), (2, 65)] {
        w = w.bits(1, 0).ue(1);
        for _ in 1..lists {
            w = w.bits(1, 1);
            for code in 0..codes {
                w = w.ue(code % 7);
            }
        }
    }
    // PCM samples.
    w = w.bits(2, 0).bits(1, 1).bits(8, 0x77).ue(0).ue(2).bits(1, 0);
    // Three short-term sets: of 2 + 1 pictures; predicted, 3 of 4 kept; predicted, all of 4 kept.
    w = w.ue(3).ue(2).ue(1).ue(0).bits(1, 1).ue(3).bits(1, 0).ue(1).bits(1, 1);
    w = w.bits(1, 1).bits(1, 0).ue(6).bits(1, 1).bits(2, 0b01).bits(2, 0b00).bits(1, 1);
    w = w.bits(1, 1).bits(1, 1).ue(0).bits(4, 0b1111);
    // Two long-term pictures of 8 + 1 bits.
    w = w.bits(1, 1).ue(2).bits(9, 0x155).bits(9, 0x0aa);
    assert_eq!(size_and_rate(&timing(w.bits(2, 0b11), 0)), (320, 240, Some((50, 1))));
}

#[test]
fn two_fields_are_a_frame() {
    let w = head(0).ue(0).ue(0).ue(4).bits(1, 0).ue(4).ue(0).ue(0);
    let w = w.ue(0).ue(0).ue(0).ue(0).ue(0).ue(0).bits(4, 0).ue(0).bits(1, 0).bits(2, 0);
    assert_eq!(size_and_rate(&timing(w, 1)), (320, 240, Some((25, 1))));
}

#[test]
fn a_set_cut_behind_its_picture_costs_only_the_rate() {
    assert_eq!(size_and_rate(&MAIN_SPS[..30]), (322, 182, None));
    assert!(Sps::parse(&MAIN_SPS[..20]).is_err());
    assert_eq!(size_and_rate(&head(0).ue(0).ue(0).ue(13).nal()), (320, 240, None));
}

#[test]
fn what_is_no_parameter_set() {
    for nal in [&[][..], MAIN_VPS, MAIN_PPS, &head(7).ue(0).ue(0).nal(), &head(0).ue(9).ue(0).nal()] {
        assert!(Sps::parse(nal).is_err(), "{nal:x?}");
    }
}

#[test]
fn types_of_nal_units() {
    assert_eq!(
        [MAIN_VPS, MAIN_SPS, MAIN_PPS, &[]].map(nal_type),
        [Some(NAL_VPS), Some(NAL_SPS), Some(NAL_PPS), None]
    );
    for (header, irap) in
        [(0x02, false), (0x1e, false), (0x20, true), (0x26, true), (0x2e, true), (0x30, false)]
    {
        assert_eq!(is_irap(&[header, 1]), irap, "{header:x}");
    }
    assert!(!is_irap(&[]));
}

#[test]
fn what_is_built_is_parsed() {
    let record = build(&[MAIN_VPS], &[MAIN_SPS], &[MAIN_PPS, MAIN_PPS]).unwrap();
    let config = HevcConfig::parse(&record).unwrap();
    assert_eq!(config.profile, Sps::parse(MAIN_SPS).unwrap().profile);
    assert_eq!(config.length_size, 4);
    assert_eq!((&config.vps[..], &config.sps[..]), (&[MAIN_VPS.into()][..], &[MAIN_SPS.into()][..]));
    assert_eq!(config.pps, [MAIN_PPS, MAIN_PPS]);
}

/// What ffmpeg makes of the same stream, up to the parameter sets: Main, 4:2:0 of 8 bits, one sub-layer.
#[test]
fn a_record_as_ffmpeg_writes_it() {
    let mut record = vec![0x01, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 0x3c];
    record.extend_from_slice(&[0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 3]);
    for (head, set) in [(0xa0, MAIN_VPS), (0xa1, MAIN_SPS), (0xa2, MAIN_PPS)] {
        record.extend_from_slice(&[head, 0, 1, 0, set.len() as u8]);
        record.extend_from_slice(set);
    }
    assert_eq!(build(&[MAIN_VPS], &[MAIN_SPS], &[MAIN_PPS]).unwrap(), record);
}

#[test]
fn other_arrays_are_passed_over_and_all_are_limited() {
    let record = build(&[MAIN_VPS], &[MAIN_SPS], &[MAIN_PPS]).unwrap();
    let mut more = record.to_vec();
    more[22] = 5;
    more.extend_from_slice(&[0xa7, 0, 2, 0, 3, 0x4e, 1, 5, 0, 0]);
    more.extend_from_slice(&[0xa2, 0, 1, 0, 2, 0x44, 1]);
    let config = HevcConfig::parse(&more.into()).unwrap();
    assert_eq!(config.pps, [MAIN_PPS, &[0x44, 1]]);

    assert!(matches!(build(&[], &[MAIN_SPS], &[MAIN_PPS; 33]), Err(Malformed::Limit { .. })));
    let full = build(&[], &[MAIN_SPS], &[&[0x44u8, 1][..]; 32]).unwrap();
    assert_eq!(HevcConfig::parse(&full).unwrap().pps.len(), 32);
    let mut beyond = full.to_vec();
    beyond[22] = 4;
    beyond.extend_from_slice(&[0xa2, 0, 1, 0, 2, 0x44, 1]);
    assert!(matches!(HevcConfig::parse(&beyond.into()), Err(Malformed::Limit { .. })));
}

#[test]
fn what_is_no_record() {
    let record = build(&[MAIN_VPS], &[MAIN_SPS], &[MAIN_PPS]).unwrap();
    for end in 0..record.len() {
        assert!(HevcConfig::parse(&record.slice(..end)).is_err(), "{end}");
    }
    assert!(HevcConfig::parse(&Bytes::from_static(&[2; 23])).is_err());
    assert!(build(&[MAIN_VPS], &[], &[MAIN_PPS]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_something_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut nal = vec![0x42, 0x01];
        nal.extend_from_slice(&bytes);
        let _ = Sps::parse(&nal);
        let mut record = vec![1];
        record.extend_from_slice(&bytes);
        let _ = HevcConfig::parse(&record.into());
    }

    #[test]
    fn a_damaged_parameter_set_is_one_or_malformed(at in 2usize..41, byte: u8, end in 2usize..=41) {
        let mut nal = MAIN_SPS.to_vec();
        nal[at] = byte;
        let _ = Sps::parse(&nal);
        let _ = Sps::parse(&nal[..end]);
    }
}
