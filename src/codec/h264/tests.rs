//! Parameter sets as x264 writes them, and some that it doesn't.

use proptest::prelude::*;

use super::*;

/// 1280x720, 25 frames per second, High.
pub(in crate::codec) const HIGH_SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
];

/// 640x360, 30000/1001 frames per second, Constrained Baseline.
pub(in crate::codec) const BASELINE_SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
    0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
];

/// 1920x1080, 30 frames per second, interlaced.
const INTERLACED_SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x04, 0x4f, 0xde, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00,
    0x20, 0x00, 0x00, 0x07, 0x83, 0xe2, 0xc5, 0xb2, 0xc0,
];

/// 322x182, 50 frames per second, 4:4:4.
const PREDICTIVE_SPS: &[u8] = &[
    0x67, 0xf4, 0x00, 0x15, 0x91, 0x9b, 0x28, 0x2a, 0x33, 0xc7, 0xc5, 0xe0, 0x22, 0x00, 0x00, 0x03, 0x00,
    0x02, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x1e, 0x2c, 0x5b, 0x2c,
];

/// 322x182, 50 frames per second, 4:2:2 of 10 bits.
const HIGH_422_SPS: &[u8] = &[
    0x67, 0x7a, 0x00, 0x15, 0xb6, 0xcd, 0x94, 0x15, 0x19, 0xe2, 0x22, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x00,
    0x01, 0x00, 0x00, 0x03, 0x00, 0x64, 0x0f, 0x16, 0x2d, 0x96,
];

fn size_and_rate(sps: &[u8]) -> (u32, u32, Option<(u32, u32)>) {
    let sps = Sps::parse(sps).unwrap();
    (sps.width, sps.height, sps.frame_rate)
}

/// Bits written one field after the other.
#[derive(Default)]
pub(in crate::codec) struct Writer(Vec<bool>);

impl Writer {
    pub(in crate::codec) fn bits(mut self, n: u32, value: u32) -> Self {
        self.0.extend((0..n).rev().map(|i| value >> i & 1 != 0));
        self
    }

    pub(in crate::codec) fn ue(self, value: u32) -> Self {
        let len = (value + 1).ilog2();
        self.bits(len, 0).bits(len + 1, value + 1)
    }

    pub(in crate::codec) fn nal(self) -> Vec<u8> {
        let mut nal = vec![];
        for chunk in self.bits(1, 1).0.chunks(8) {
            nal.push(chunk.iter().enumerate().fold(0, |b, (i, bit)| b | u8::from(*bit) << (7 - i)));
        }
        nal
    }
}

fn main_profile() -> Writer {
    Writer::default().bits(8, 0x67).bits(8, 77).bits(8, 0).bits(8, 30).ue(0).ue(0)
}

#[test]
fn what_x264_writes() {
    assert_eq!(size_and_rate(HIGH_SPS), (1280, 720, Some((25, 1))));
    assert_eq!(size_and_rate(BASELINE_SPS), (640, 360, Some((30000, 1001))));
    assert_eq!(size_and_rate(INTERLACED_SPS), (1920, 1080, Some((30, 1))));
    assert_eq!(size_and_rate(PREDICTIVE_SPS), (322, 182, Some((50, 1))));
    assert_eq!(size_and_rate(HIGH_422_SPS), (322, 182, Some((50, 1))));

    let sps = Sps::parse(HIGH_422_SPS).unwrap();
    assert_eq!((sps.profile_idc, sps.level_idc, sps.chroma_format_idc), (122, 21, 2));
    assert_eq!((sps.bit_depth_luma, sps.bit_depth_chroma), (10, 10));
}

#[test]
fn scaling_lists_are_passed_over() {
    let head = Writer::default().bits(8, 0x67).bits(8, 100).bits(8, 0).bits(8, 30).ue(0);
    let mut w = head.ue(1).ue(0).ue(0).bits(1, 0).bits(1, 1);
    // A full list of 16, one that ends at once (se -8 makes the next scale 0), and six absent ones.
    w = w.bits(1, 1);
    for _ in 0..16 {
        w = w.ue(1);
    }
    w = w.bits(1, 1).ue(16).bits(6, 0);
    let nal = w.ue(0).ue(2).ue(1).bits(1, 0).ue(19).ue(14).bits(4, 0b1100).nal();
    assert_eq!(size_and_rate(&nal), (320, 240, None));
}

#[test]
fn picture_order_count_type_1() {
    let nal = main_profile().ue(1).bits(1, 0).ue(1).ue(2).ue(2).ue(3).ue(4);
    let nal = nal.ue(1).bits(1, 0).ue(19).ue(14).bits(4, 0b1100).nal();
    assert_eq!(size_and_rate(&nal), (320, 240, None));
    assert!(Sps::parse(&main_profile().ue(3).nal()).is_err());
}

#[test]
fn a_vui_cut_short_costs_only_the_rate() {
    assert_eq!(size_and_rate(&HIGH_SPS[..16]), (1280, 720, None));
    assert!(Sps::parse(&HIGH_SPS[..8]).is_err());
}

#[test]
fn absurd_pictures_are_refused() {
    let huge = main_profile().ue(2).ue(1).bits(1, 0).ue(2000).ue(14).bits(4, 0b1100).nal();
    assert!(matches!(Sps::parse(&huge), Err(Malformed::Limit { .. })));
    let cropped = main_profile().ue(2).ue(1).bits(1, 0).ue(0).ue(0).bits(3, 0b111).ue(8).ue(0).ue(0).ue(0);
    assert!(matches!(Sps::parse(&cropped.bits(1, 0).nal()), Err(Malformed::Field { .. })));
}

#[test]
fn other_nal_units_are_no_parameter_sets() {
    assert!(Sps::parse(&[0x68, 0xeb]).is_err());
    assert!(Sps::parse(&[]).is_err());
    assert!(is_idr(&[0x65, 1]));
    assert!(!is_idr(&[0x41]) && !is_idr(&[]));
}

proptest! {
    #[test]
    fn any_bytes_are_a_parameter_set_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut nal = vec![0x67];
        nal.extend_from_slice(&bytes);
        let _ = Sps::parse(&nal);
    }

    #[test]
    fn a_damaged_parameter_set_is_one_or_malformed(at in 1usize..26, byte in any::<u8>(), end in 1usize..26) {
        let mut nal = HIGH_SPS.to_vec();
        nal[at] = byte;
        let _ = Sps::parse(&nal);
        let _ = Sps::parse(&nal[..end]);
    }
}
