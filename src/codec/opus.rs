//! Opus: the header of its streams (RFC 7845, 5.1), and what a packet's first byte says (RFC 6716, 3.1).

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Malformed, Reader};

/// What OpusHead begins with.
const MAGIC: &[u8] = b"OpusHead";
/// Samples per second by which times are counted, whatever went in.
pub const RATE: u32 = 48_000;
/// The longest packet: 120 ms.
const SAMPLES_MAX: u32 = RATE / 1000 * 120;

/// An OpusHead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusHead {
    /// Channels, 1 to 255.
    pub channels: u8,
    /// Samples at 48 kHz that a decoder drops at the beginning.
    pub pre_skip: u16,
    /// Hz of what went in; 0 if unknown.
    pub input_rate: u32,
    /// Channel mapping family: 0 for mono and stereo.
    pub family: u8,
}

impl OpusHead {
    /// Reads a header. Of families other than 0 the table behind it is passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.take(MAGIC.len())? != MAGIC {
            return Err(Malformed::Field { what: "OpusHead signature", value: Reader::new(bytes).u32()? });
        }
        let version = r.u8()?;
        if version >> 4 != 0 {
            return Err(Malformed::Field { what: "OpusHead version", value: version.into() });
        }
        let channels = r.u8()?;
        let pre_skip = r.u16()?.swap_bytes();
        let input_rate = r.u32_le()?;
        r.skip(2)?; // output gain
        let family = r.u8()?;
        if channels == 0 || family == 0 && channels > 2 {
            return Err(Malformed::Field { what: "OpusHead channels", value: channels.into() });
        }
        if family != 0 {
            r.skip(usize::from(channels).saturating_add(2))?;
        }
        Ok(Self { channels, pre_skip, input_rate, family })
    }

    /// The header of mono or stereo, from whose beginning nothing is dropped.
    pub fn build(channels: u8, input_rate: u32) -> Bytes {
        let mut out = BytesMut::with_capacity(MAGIC.len().saturating_add(11));
        out.put_slice(MAGIC);
        out.put_slice(&[1, channels]);
        out.put_u16_le(0); // pre-skip
        out.put_u32_le(input_rate);
        out.put_u16_le(0); // output gain
        out.put_u8(0); // channel mapping family
        out.freeze()
    }
}

/// Samples of a packet at 48 kHz.
pub fn samples(packet: &[u8]) -> Result<u32, Malformed> {
    let mut r = Reader::new(packet);
    let toc = r.u8()?;
    // Frames of SILK last 10 to 60 ms, of the hybrid 10 or 20, of CELT 2.5 to 20 (table 2).
    let per_frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880].get(usize::from(config & 3)).copied().unwrap_or(0),
        config @ 12..=15 => 480u32 << (config & 1),
        config => 120u32 << (config & 3),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(r.u8()? & 0x3f),
    };
    let samples = per_frame.saturating_mul(frames);
    if frames == 0 || samples > SAMPLES_MAX {
        return Err(Malformed::Field { what: "frames in an Opus packet", value: frames });
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_built_is_parsed() {
        let head = OpusHead { channels: 2, pre_skip: 0, input_rate: 16_000, family: 0 };
        let built = OpusHead::build(2, 16_000);
        assert_eq!((OpusHead::parse(&built), built.len()), (Ok(head), 19));
        assert!(OpusHead::parse(&built[..18]).is_err());
        let mut wrong = built.to_vec();
        wrong[9] = 3;
        assert!(OpusHead::parse(&wrong).is_err());
        wrong[0] = b'o';
        assert!(OpusHead::parse(&wrong).is_err());
    }

    #[test]
    fn how_long_packets_last() {
        for (packet, expected) in [
            (&[0x00][..], 480), // SILK, 10 ms
            (&[0x18], 2880),    // 60 ms
            (&[0x60], 480),     // hybrid, 10 ms
            (&[0x68], 960),     // 20 ms
            (&[0x80], 120),     // CELT, 2.5 ms
            (&[0xfc], 960),     // 20 ms
            (&[0xfd], 1920),    // two frames of it
            (&[0xff, 6], 5760), // six
        ] {
            assert_eq!(samples(packet), Ok(expected), "{packet:x?}");
        }
        assert!(samples(&[]).is_err() && samples(&[0xff]).is_err());
        assert!(samples(&[0xff, 0]).is_err() && samples(&[0xff, 7]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = OpusHead::parse(&[MAGIC, &bytes].concat());
            let _ = samples(&bytes);
        }
    }
}
