//! AV1 (AV1 Bitstream & Decoding Process Specification): open bitstream units, what a sequence header says, and
//! the configuration record by which MP4 and FLV carry it (AV1 Codec ISO Media File Format Binding, 2.3.3).

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use crate::wire::{Malformed, Reader};

/// A sequence header (6.2.2).
pub const OBU_SEQUENCE_HEADER: u8 = 1;
/// A temporal delimiter.
pub const OBU_TEMPORAL_DELIMITER: u8 = 2;
/// A frame's header.
pub const OBU_FRAME_HEADER: u8 = 3;
/// Tiles of a frame.
pub const OBU_TILE_GROUP: u8 = 4;
/// A frame's header and tiles.
pub const OBU_FRAME: u8 = 6;
/// A frame's header once more.
pub const OBU_REDUNDANT_FRAME_HEADER: u8 = 7;
/// Tiles of large scale coding.
pub const OBU_TILE_LIST: u8 = 8;
/// Padding.
pub const OBU_PADDING: u8 = 15;

/// frame_type of a key frame (6.8.2).
const KEY_FRAME: u8 = 0;
/// seq_profile of 4:4:4, and of all that the others don't have.
const PROFILE_HIGH: u8 = 1;
const PROFILE_PROFESSIONAL: u8 = 2;
/// color_primaries, transfer_characteristics and matrix_coefficients of sRGB (6.4.2).
const SRGB: (u8, u8, u8) = (1, 13, 0);
/// obu_has_size_field.
const HAS_SIZE: u8 = 0x02;

/// What an OBU begins with (5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObuHead {
    /// obu_type.
    pub kind: u8,
    /// Bytes of the header and of the size.
    pub len: usize,
    /// Bytes of the payload; `None` if it goes on to the end.
    pub payload: Option<usize>,
    header: [u8; 2],
    header_len: usize,
}

impl ObuHead {
    /// Bytes that a head has at most: the header, its extension, a size.
    pub const BYTES: usize = 2 + 8;

    /// Reads the head at the first byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let first = r.u8()?;
        if first & 0x81 != 0 {
            // obu_forbidden_bit and obu_reserved_1bit
            return Err(Malformed::Field { what: "OBU header", value: first.into() });
        }
        let has_extension = first & 0x04 != 0;
        let extension = if has_extension { r.u8()? } else { 0 };
        let payload = if first & HAS_SIZE != 0 { Some(leb128(&mut r)?) } else { None };
        Ok(Self {
            kind: first >> 3 & 0x0f,
            len: r.position(),
            payload,
            header: [first, extension],
            header_len: if has_extension { 2 } else { 1 },
        })
    }

    /// The same with a size, for a payload of so many bytes.
    pub fn put_sized(&self, payload: usize, out: &mut BytesMut) {
        let [first, extension] = self.header;
        out.put_u8(first | HAS_SIZE);
        if self.header_len > 1 {
            out.put_u8(extension);
        }
        let mut rest = payload;
        while rest >= 0x80 {
            out.put_u8((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.put_u8((rest & 0x7f) as u8);
    }
}

/// leb128() (4.10.5): at most eight bytes, of a value within 32 bits.
fn leb128(r: &mut Reader<'_>) -> Result<usize, Malformed> {
    let mut value = 0u64;
    for i in 0..8 {
        let byte = r.u8()?;
        value |= u64::from(byte & 0x7f) << (i * 7);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok().and_then(|value| usize::try_from(value).ok());
            return value.ok_or(Malformed::Limit { what: "OBU size", limit: u32::MAX });
        }
    }
    Err(Malformed::Limit { what: "bytes of an OBU size", limit: 8 })
}

/// What a sequence header says (5.5), as far as a container or a statistics page needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceHeader {
    /// seq_profile: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// seq_level_idx of the first operating point.
    pub level: u8,
    /// seq_tier of it.
    pub high_tier: bool,
    /// reduced_still_picture_header: there is one kind of frame, and its header is short.
    pub is_reduced: bool,
    /// The largest width in pixels.
    pub width: u32,
    /// The largest height in pixels.
    pub height: u32,
    /// Frames per second as a fraction in lowest terms, where they are said to be equally long.
    pub frame_rate: Option<(u32, u32)>,
    /// high_bitdepth, twelve_bit, mono_chrome, subsampling_x, subsampling_y, chroma_sample_position: as the
    /// record has them, in its order and widths.
    color: u8,
}

impl SequenceHeader {
    /// Reads a sequence header: the payload of its OBU.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut b = Bits::new(payload);
        let profile = b.byte(3)?;
        if profile > PROFILE_PROFESSIONAL {
            return Err(Malformed::Field { what: "AV1 profile", value: profile.into() });
        }
        let _still_picture = b.bit()?;
        let is_reduced = b.bit()?;
        let (mut frame_rate, mut level, mut high_tier) = (None, 0, false);
        if is_reduced {
            level = b.byte(5)?;
        } else {
            let mut delay_bits = None;
            if b.bit()? {
                frame_rate = timing_info(&mut b)?;
                if b.bit()? {
                    delay_bits = Some(b.bits(5)?.saturating_add(1));
                    b.skip(32 + 5 + 5)?; // the decoder's tick, two more lengths
                }
            }
            let has_display_delay = b.bit()?;
            for i in 0..=b.bits(5)? {
                b.skip(12)?; // operating_point_idc
                let point_level = b.byte(5)?;
                let point_tier = point_level > 7 && b.bit()?;
                if i == 0 {
                    (level, high_tier) = (point_level, point_tier);
                }
                if let Some(bits) = delay_bits
                    && b.bit()?
                {
                    b.skip(bits.saturating_mul(2).saturating_add(1))?;
                }
                if has_display_delay && b.bit()? {
                    b.skip(4)?; // initial_display_delay_minus_1
                }
            }
        }
        let (width_bits, height_bits) = (b.bits(4)?.saturating_add(1), b.bits(4)?.saturating_add(1));
        let width = b.bits(width_bits)?.saturating_add(1);
        let height = b.bits(height_bits)?.saturating_add(1);
        skip_tools(&mut b, is_reduced)?;
        let color = color_config(&mut b, profile)?;
        Ok(Self { profile, level, high_tier, is_reduced, width, height, frame_rate, color })
    }

    /// The configuration record, an AV1CodecConfigurationRecord, with `obu`, the sequence header's, in it.
    pub fn record(&self, obu: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(obu.len().saturating_add(4));
        out.put_u8(0x81);
        out.put_u8(self.profile << 5 | self.level);
        out.put_u8(u8::from(self.high_tier) << 7 | self.color);
        out.put_u8(0); // initial_presentation_delay: not told
        out.put_slice(obu);
        out.freeze()
    }
}

/// The sequence header in a configuration record, and its OBU, if there is one.
pub fn of_record(record: &[u8]) -> Result<Option<(SequenceHeader, &[u8])>, Malformed> {
    let mut r = Reader::new(record);
    let marker_and_version = r.u8()?;
    if marker_and_version != 0x81 {
        return Err(Malformed::Field { what: "AV1 marker and version", value: marker_and_version.into() });
    }
    r.skip(3)?;
    sequence_header(r.rest())
}

/// The first sequence header among OBUs, and its OBU.
pub fn sequence_header(obus: &[u8]) -> Result<Option<(SequenceHeader, &[u8])>, Malformed> {
    let mut r = Reader::new(obus);
    while !r.is_empty() {
        let head = ObuHead::parse(r.rest())?;
        let len = head.payload.map_or(r.remaining(), |payload| payload.saturating_add(head.len));
        let obu = r.take(len)?;
        if head.kind == OBU_SEQUENCE_HEADER {
            return Ok(Some((SequenceHeader::parse(obu.get(head.len..).unwrap_or_default())?, obu)));
        }
    }
    Ok(None)
}

/// Whether the frame whose header this is begins a sequence: a key frame that is shown (5.9.2). `payload` is that of a
/// frame or a frame header.
pub fn is_shown_key(payload: &[u8], is_reduced: bool) -> bool {
    let read = || -> Result<bool, Malformed> {
        let mut b = Bits::new(payload);
        let show_existing_frame = b.bit()?;
        Ok(!show_existing_frame && b.byte(2)? == KEY_FRAME && b.bit()?)
    };
    is_reduced || read().unwrap_or(false)
}

/// timing_info() (5.5.3).
fn timing_info(b: &mut Bits<'_>) -> Result<Option<(u32, u32)>, Malformed> {
    let (ticks, per_second) = (u64::from(b.bits(32)?), u64::from(b.bits(32)?));
    if !b.bit()? {
        return Ok(None);
    }
    let ticks_per_picture = u64::from(b.ue()?).saturating_add(1);
    Ok(super::h264::reduced(per_second, ticks.saturating_mul(ticks_per_picture)))
}

/// From the frame's size to the colours.
fn skip_tools(b: &mut Bits<'_>, is_reduced: bool) -> Result<(), Malformed> {
    if !is_reduced && b.bit()? {
        b.skip(4 + 3)?; // lengths of frame ids
    }
    b.skip(3)?; // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if !is_reduced {
        b.skip(4)?; // inter-intra and masked compounds, warped motion, dual filter
        let has_order_hint = b.bit()?;
        if has_order_hint {
            b.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
        }
        let chooses_screen_content_tools = b.bit()?;
        let screen_content_tools = chooses_screen_content_tools || b.bit()?;
        if screen_content_tools && !b.bit()? {
            b.skip(1)?; // seq_force_integer_mv
        }
        if has_order_hint {
            b.skip(3)?; // order_hint_bits_minus_1
        }
    }
    b.skip(3) // enable_superres, enable_cdef, enable_restoration
}

/// color_config() (5.5.2), as a byte of the record without its highest bit.
fn color_config(b: &mut Bits<'_>, profile: u8) -> Result<u8, Malformed> {
    let high_bitdepth = b.bit()?;
    let twelve_bit = profile == PROFILE_PROFESSIONAL && high_bitdepth && b.bit()?;
    let mono_chrome = profile != PROFILE_HIGH && b.bit()?;
    let description = if b.bit()? { Some((b.byte(8)?, b.byte(8)?, b.byte(8)?)) } else { None };
    let (mut x, mut y, mut position) = (true, true, 0);
    if mono_chrome {
        b.skip(1)?; // color_range
    } else if description == Some(SRGB) {
        (x, y) = (false, false);
    } else {
        b.skip(1)?; // color_range
        (x, y) = match profile {
            0 => (true, true),
            PROFILE_HIGH => (false, false),
            _ if twelve_bit => {
                let x = b.bit()?;
                (x, x && b.bit()?)
            }
            _ => (true, false),
        };
        if x && y {
            position = b.byte(2)?;
        }
    }
    let flags = [high_bitdepth, twelve_bit, mono_chrome, x, y];
    let flags = flags.iter().fold(0u8, |all, flag| all << 1 | u8::from(*flag));
    Ok(flags << 2 | position)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As libaom writes it: 322x182, 8 bits, 4:2:0, Main.
    const AOM: &[u8] = &[0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3d, 0x06, 0xd4, 0xda, 0xf9, 0x00, 0x40];

    #[test]
    fn heads_with_and_without_size() {
        let head = ObuHead::parse(&[0x0a, 0x85, 0x01, 9]).unwrap();
        assert_eq!((head.kind, head.len, head.payload), (OBU_SEQUENCE_HEADER, 3, Some(133)));
        let head = ObuHead::parse(&[0x34, 0x48]).unwrap();
        assert_eq!((head.kind, head.len, head.payload), (OBU_FRAME, 2, None));
        let mut out = BytesMut::new();
        head.put_sized(300, &mut out);
        assert_eq!(out[..], [0x36, 0x48, 0xac, 0x02]);
        assert!(ObuHead::parse(&[0x8a, 0]).is_err());
        assert!(ObuHead::parse(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(ObuHead::parse(&[0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]).is_err());
    }

    #[test]
    fn what_libaom_writes() {
        let (header, obu) = sequence_header(AOM).unwrap().unwrap();
        assert_eq!((header.width, header.height, header.profile), (322, 182, 0));
        assert_eq!(obu, AOM);
        let record = header.record(obu);
        assert_eq!(record[..4], [0x81, 0x00, 0x0c, 0x00]);
        assert_eq!(of_record(&record).unwrap().unwrap(), (header, AOM));
        assert_eq!(of_record(&record[..4]).unwrap(), None);
        assert!(of_record(&[0x82, 0, 0, 0]).is_err());
    }

    #[test]
    fn key_frames_that_are_shown() {
        assert!(is_shown_key(&[0x10], false));
        assert!(!is_shown_key(&[0x00], false), "hidden");
        assert!(!is_shown_key(&[0x30], false), "an inter frame");
        assert!(!is_shown_key(&[0x80], false), "one that was there before");
        assert!(is_shown_key(&[], true) && !is_shown_key(&[], false));
    }

    proptest! {
        #[test]
        fn any_bytes_are_obus_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = sequence_header(&bytes);
            let _ = of_record(&bytes);
            let _ = SequenceHeader::parse(&bytes);
        }

        #[test]
        fn a_size_is_read_as_it_was_written(len in 0usize..20_000_000) {
            let mut out = BytesMut::new();
            ObuHead::parse(&[0x30]).unwrap().put_sized(len, &mut out);
            let head = ObuHead::parse(&out).unwrap();
            prop_assert_eq!((head.kind, head.len, head.payload), (OBU_FRAME, out.len(), Some(len)));
        }
    }
}
