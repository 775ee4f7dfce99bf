//! MP3: the header that each frame begins with (ISO/IEC 11172-3, 2.4.1.3; ISO/IEC 13818-3 for the lower
//! rates, MPEG-2.5 by custom).

use super::bits::Bits;
use crate::wire::Malformed;

/// Samples per second of MPEG-1, by index. MPEG-2 halves them, MPEG-2.5 again.
const RATES: [u32; 3] = [44100, 48000, 32000];
/// kbit/s by index from 1, for layers I, II and III of MPEG-1.
const BITRATES_1: [[u32; 14]; 3] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
];
/// kbit/s by index from 1, for layer I and for layers II and III of MPEG-2 and MPEG-2.5.
const BITRATES_2: [[u32; 14]; 2] = [
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mp3Header {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels, 1 or 2.
    pub channels: u8,
    /// Bits per second of this frame.
    pub bitrate: u32,
    /// Samples of each channel in the frame.
    pub samples_per_frame: u32,
    /// The layer: 1, 2 or 3.
    pub layer: u8,
    /// Bytes of the frame, header included.
    pub frame_len: usize,
}

impl Mp3Header {
    /// Reads the header at the first byte. Free-format streams, whose frames don't tell their length, are
    /// refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut b = Bits::new(bytes);
        let syncword = b.bits(11)?;
        if syncword != 0x7ff {
            return Err(Malformed::Field { what: "MP3 syncword", value: syncword });
        }
        let (version, layer_code) = (b.bits(2)?, b.bits(2)?);
        b.skip(1)?; // protection_bit
        let (bitrate_index, rate_index) = (b.bits(4)?, b.bits(2)?);
        let padding = b.bits(1)?;
        b.skip(1)?; // private_bit
        let channels = if b.bits(2)? == 3 { 1 } else { 2 };

        let halvings = match version {
            3 => 0,
            2 => 1,
            0 => 2,
            _ => return Err(Malformed::Field { what: "MP3 version", value: version }),
        };
        let first = halvings == 0;
        let (layer, table, samples_per_frame) = match (layer_code, first) {
            (3, true) => (1, &BITRATES_1[0], 384),
            (3, false) => (1, &BITRATES_2[0], 384),
            (2, true) => (2, &BITRATES_1[1], 1152),
            (2, false) => (2, &BITRATES_2[1], 1152),
            (1, true) => (3, &BITRATES_1[2], 1152),
            (1, false) => (3, &BITRATES_2[1], 576),
            _ => return Err(Malformed::Field { what: "MP3 layer", value: layer_code }),
        };
        let at = |index: u32| usize::try_from(index).unwrap_or(usize::MAX);
        let rate = RATES.get(at(rate_index)).copied();
        let sample_rate =
            rate.ok_or(Malformed::Field { what: "MP3 sampling frequency", value: rate_index })? >> halvings;
        let kbits = bitrate_index.checked_sub(1).and_then(|i| table.get(at(i))).copied();
        let bitrate = kbits
            .ok_or(Malformed::Field { what: "MP3 bitrate index", value: bitrate_index })?
            .saturating_mul(1000);

        // Layer I counts in slots of four bytes (2.4.3.1).
        let slot = if layer == 1 { 4u32 } else { 1 };
        let slots = (samples_per_frame / (8 * slot)).saturating_mul(bitrate).checked_div(sample_rate);
        let frame_len = slots.unwrap_or(0).saturating_add(padding).saturating_mul(slot);
        Ok(Self {
            sample_rate,
            channels,
            bitrate,
            samples_per_frame,
            layer,
            frame_len: usize::try_from(frame_len).unwrap_or(usize::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(bytes: [u8; 4]) -> (u32, u8, u32, u32, usize) {
        let h = Mp3Header::parse(&bytes).unwrap();
        (h.sample_rate, h.channels, h.bitrate, h.samples_per_frame, h.frame_len)
    }

    #[test]
    fn headers_of_all_versions() {
        assert_eq!(parsed([0xff, 0xfb, 0x90, 0x00]), (44100, 2, 128_000, 1152, 417));
        assert_eq!(parsed([0xff, 0xfb, 0x92, 0xc0]), (44100, 1, 128_000, 1152, 418));
        assert_eq!(parsed([0xff, 0xf3, 0x84, 0xc4]), (24000, 1, 64_000, 576, 192));
        assert_eq!(parsed([0xff, 0xe3, 0x18, 0xc4]), (8000, 1, 8_000, 576, 72));
        assert_eq!(parsed([0xff, 0xfd, 0xa4, 0x00]), (48000, 2, 192_000, 1152, 576));
        assert_eq!(parsed([0xff, 0xff, 0x18, 0x00]), (32000, 2, 32_000, 384, 48));
    }

    #[test]
    fn what_is_no_header() {
        for bytes in [
            &[][..],
            &[0xff, 0xfb],
            &[0xfe, 0xfb, 0x90, 0x00],
            &[0xff, 0xeb, 0x90, 0x00],
            &[0xff, 0xf9, 0x90, 0x00],
            &[0xff, 0xfb, 0x00, 0x00],
            &[0xff, 0xfb, 0xf0, 0x00],
            &[0xff, 0xfb, 0x9c, 0x00],
        ] {
            assert!(Mp3Header::parse(bytes).is_err(), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_malformed(bytes: [u8; 3]) {
            let _ = Mp3Header::parse(&[0xff, bytes[0], bytes[1], bytes[2]]);
        }
    }
}
