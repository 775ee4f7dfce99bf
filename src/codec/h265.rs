//! H.265 (ITU-T H.265): the types of NAL units, what a sequence parameter set says, and the decoder
//! configuration record by which FLV and MP4 carry it (ISO/IEC 14496-15, 8.3.3.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::avcc;
use super::bits::Bits;
use super::h264;
use crate::wire::{Malformed, Reader, limits};

/// The first type of intra random access pictures, at which decoding can begin (table 7-1).
pub const NAL_IRAP_FIRST: u8 = 16;
/// The last type of intra random access pictures, those reserved included.
pub const NAL_IRAP_LAST: u8 = 23;
/// A video parameter set.
pub const NAL_VPS: u8 = 32;
/// A sequence parameter set.
pub const NAL_SPS: u8 = 33;
/// A picture parameter set.
pub const NAL_PPS: u8 = 34;
/// An access unit delimiter.
pub const NAL_AUD: u8 = 35;

/// The last type of slices, those reserved included (table 7-1).
pub const NAL_SLICE_LAST: u8 = 31;
/// Supplemental enhancement information before the slices.
pub const NAL_SEI_PREFIX: u8 = 39;

/// Aspect ratio given as two numbers rather than by a table (E.3.1).
const EXTENDED_SAR: u8 = 255;
/// Pictures that a decoder can hold back, and so the most that may be out of order (A.4.2).
const REORDER_MAX: u8 = 15;
/// Short-term reference picture sets in a sequence parameter set (7.4.3.2.1).
const SHORT_TERM_SETS: u32 = 64;
/// Pictures in one of them, which is the largest sps_max_dec_pic_buffering_minus1 (A.4.2).
const SHORT_TERM_PICTURES: u32 = 16;
/// Long-term reference pictures in a sequence parameter set (7.4.3.2.1).
const LONG_TERM_PICTURES: u32 = 32;
/// Bytes of a record before its first array.
const FIXED: usize = 23;
/// Bytes of an array before its first NAL unit.
const ARRAY: usize = 3;

/// nal_unit_type (7.3.1.2); `None` for an empty slice.
pub fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|b| b >> 1 & 0x3f)
}

/// nuh_layer_id (7.3.1.2): 0 for what every decoder shows.
pub fn layer_id(nal: &[u8]) -> Option<u8> {
    Some((nal.first()? & 1) << 5 | nal.get(1)? >> 3)
}

/// first_slice_segment_in_pic_flag of a slice (7.3.6.1).
pub fn is_first_slice(nal: &[u8]) -> bool {
    nal.get(2).is_some_and(|b| b & 0x80 != 0)
}

/// vps_video_parameter_set_id (7.3.2.1) or pps_pic_parameter_set_id (7.3.2.3).
pub fn parameter_set_id(nal: &[u8]) -> Result<u32, Malformed> {
    let mut b = Bits::rbsp(nal.get(2..).unwrap_or_default());
    if nal_type(nal) == Some(NAL_VPS) { b.bits(4) } else { b.ue() }
}

/// Whether this is a slice of an intra random access picture, at which decoding can begin.
pub fn is_irap(nal: &[u8]) -> bool {
    nal_type(nal).is_some_and(|t| (NAL_IRAP_FIRST..=NAL_IRAP_LAST).contains(&t))
}

/// What a decoder must be able to do: the general part of profile_tier_level (7.3.3), which a decoder
/// configuration record repeats byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// general_profile_space, 0 to 3.
    pub space: u8,
    /// general_tier_flag: whether it is the High tier.
    pub high_tier: bool,
    /// general_profile_idc: 1 Main, 2 Main 10, 4 range extensions, …
    pub idc: u8,
    /// The general_profile_compatibility flags; that of profile 0 is the highest bit.
    pub compatibility: u32,
    /// The progressive, interlaced and constraint flags, 48 bits.
    pub constraints: [u8; 6],
    /// general_level_idc, thirty times the level.
    pub level_idc: u8,
}

impl Profile {
    fn parse(b: &mut Bits<'_>) -> Result<Self, Malformed> {
        let (space, high_tier, idc) = (b.byte(2)?, b.bit()?, b.byte(5)?);
        let compatibility = b.bits(32)?;
        let mut constraints = [0; 6];
        for byte in &mut constraints {
            *byte = b.byte(8)?;
        }
        Ok(Self { space, high_tier, idc, compatibility, constraints, level_idc: b.byte(8)? })
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_u8(self.space << 6 | u8::from(self.high_tier) << 5 | self.idc);
        out.put_u32(self.compatibility);
        out.put_slice(&self.constraints);
        out.put_u8(self.level_idc);
    }
}

/// A sequence parameter set (7.3.2.2): what a container or a statistics page needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// Profile, tier and level.
    pub profile: Profile,
    /// Temporal sub-layers, 1 to 7.
    pub sub_layers: u8,
    /// sps_temporal_id_nesting_flag.
    pub temporal_id_nesting: bool,
    /// chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// Bits of a luma sample, 8 to 16.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample, 8 to 16.
    pub bit_depth_chroma: u8,
    /// Width in pixels, within the conformance window.
    pub width: u32,
    /// Height in pixels, within the conformance window.
    pub height: u32,
    /// Frames per second as a reduced fraction, where the VUI's timing says so.
    pub frame_rate: Option<(u32, u32)>,
    /// sps_seq_parameter_set_id.
    pub id: u32,
    /// How many pictures may come before one that is shown earlier (sps_max_num_reorder_pics).
    pub reorder: Option<u8>,
}

impl Sps {
    /// Reads a sequence parameter set: a NAL unit, its header of two bytes first, without start code or
    /// length.
    pub fn parse(nal: &[u8]) -> Result<Self, Malformed> {
        let mut b = Bits::rbsp(nal);
        let nal_type = b.byte(7)?;
        if nal_type != NAL_SPS {
            return Err(Malformed::Field { what: "nal_unit_type", value: u32::from(nal_type) });
        }
        b.skip(6 + 3)?; // nuh_layer_id, nuh_temporal_id_plus1

        b.skip(4)?; // sps_video_parameter_set_id
        let max_sub_layers_minus1 = h264::at_most(b.bits(3)?, 6, "sps_max_sub_layers_minus1")?;
        let temporal_id_nesting = b.bit()?;
        let profile = Profile::parse(&mut b)?;
        skip_sub_layer_levels(&mut b, max_sub_layers_minus1)?;
        let id = b.ue()?;
        let chroma_format_idc = h264::at_most(b.ue()?, 3, "chroma_format_idc")?;
        if chroma_format_idc == 3 {
            b.skip(1)?; // separate_colour_plane_flag
        }

        let (mut width, mut height) = (b.ue()?, b.ue()?);
        if b.bit()? {
            // SubWidthC and SubHeightC (table 6-1).
            let (unit_x, unit_y) = match chroma_format_idc {
                1 => (2, 2),
                2 => (2, 1),
                _ => (1, 1),
            };
            let (left, right, top, bottom) = (b.ue()?, b.ue()?, b.ue()?, b.ue()?);
            width = h264::cropped(width, left, right, unit_x)?;
            height = h264::cropped(height, top, bottom, unit_y)?;
        }
        for side in [width, height] {
            if side > limits::PICTURE_SIDE {
                return Err(Malformed::Limit { what: "picture's side", limit: limits::PICTURE_SIDE });
            }
        }
        let bit_depth_luma = h264::at_most(b.ue()?, 8, "bit_depth_luma_minus8")?.saturating_add(8);
        let bit_depth_chroma = h264::at_most(b.ue()?, 8, "bit_depth_chroma_minus8")?.saturating_add(8);

        let mut more = More::default();
        // The picture is known without it, and what stands before some of it is long.
        let _ = more.parse(&mut b, max_sub_layers_minus1);
        Ok(Self {
            profile,
            sub_layers: max_sub_layers_minus1.saturating_add(1),
            temporal_id_nesting,
            chroma_format_idc,
            bit_depth_luma,
            bit_depth_chroma,
            width,
            height,
            frame_rate: more.frame_rate,
            id,
            reorder: more.reorder,
        })
    }
}

/// An HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1). Parameter sets are NAL units without
/// start code or length, and share the record's bytes; at most [`limits::PARAMETER_SETS`] of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HevcConfig {
    /// Profile, tier and level.
    pub profile: Profile,
    /// Bytes of the length before each NAL unit, 1 to 4.
    pub length_size: u8,
    /// Video parameter sets.
    pub vps: Vec<Bytes>,
    /// Sequence parameter sets.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets.
    pub pps: Vec<Bytes>,
}

impl HevcConfig {
    /// Reads a record. Arrays of other NAL units than parameter sets are passed over, and so is what it
    /// repeats of the sequence parameter set.
    pub fn parse(record: &Bytes) -> Result<Self, Malformed> {
        let mut r = Reader::new(record);
        let version = r.u8()?;
        // Encoders of the draft's time wrote 0.
        if version > 1 {
            return Err(Malformed::Field { what: "HEVC configuration version", value: u32::from(version) });
        }
        let profile = Profile::parse(&mut Bits::new(r.take(12)?))?;
        // min_spatial_segmentation_idc, parallelismType, chromaFormat, bit depths, avgFrameRate.
        r.skip(2 + 1 + 1 + 2 + 2)?;
        let length_size = (r.u8()? & 3).saturating_add(1);

        let mut config = Self { profile, length_size, vps: Vec::new(), sps: Vec::new(), pps: Vec::new() };
        for _ in 0..r.u8()? {
            let nal_type = r.u8()? & 0x3f;
            let count = r.u16()?;
            let sets = match nal_type {
                NAL_VPS => &mut config.vps,
                NAL_SPS => &mut config.sps,
                NAL_PPS => &mut config.pps,
                _ => {
                    for _ in 0..count {
                        let len = r.u16()?;
                        r.skip(len.into())?;
                    }
                    continue;
                }
            };
            avcc::parameter_sets(record, &mut r, count, sets)?;
        }
        Ok(config)
    }
}

/// Builds a record with lengths of four bytes from parameter sets as NAL units, which are then all there
/// are (array_completeness). The first sequence parameter set gives what the record repeats of it.
pub fn build(vps: &[&[u8]], sps: &[&[u8]], pps: &[&[u8]]) -> Result<Bytes, Malformed> {
    let first = Sps::parse(sps.first().copied().unwrap_or_default())?;
    let arrays = [(NAL_VPS, vps), (NAL_SPS, sps), (NAL_PPS, pps)];
    let bytes: usize = arrays.iter().flat_map(|(_, sets)| *sets).map(|s| s.len().saturating_add(2)).sum();

    let mut out = BytesMut::with_capacity(bytes.saturating_add(FIXED + 3 * ARRAY));
    out.put_u8(1);
    first.profile.put(&mut out);
    out.put_u16(0xf000); // min_spatial_segmentation_idc: not told
    out.put_u8(0xfc); // parallelismType: not told
    out.put_u8(0xfc | first.chroma_format_idc);
    out.put_u8(0xf8 | first.bit_depth_luma.saturating_sub(8));
    out.put_u8(0xf8 | first.bit_depth_chroma.saturating_sub(8));
    out.put_u16(0); // avgFrameRate: not told
    out.put_u8(first.sub_layers << 3 | u8::from(first.temporal_id_nesting) << 2 | 3);
    out.put_u8(3);
    for (nal_type, sets) in arrays {
        let count = u16::try_from(sets.len()).ok().filter(|n| usize::from(*n) <= limits::PARAMETER_SETS);
        out.put_u8(0x80 | nal_type);
        out.put_u16(count.ok_or(avcc::too_many_parameter_sets())?);
        avcc::put_parameter_sets(&mut out, sets)?;
    }
    Ok(out.freeze())
}

/// The sub-layers' part of profile_tier_level (7.3.3).
fn skip_sub_layer_levels(b: &mut Bits<'_>, max_sub_layers_minus1: u8) -> Result<(), Malformed> {
    if max_sub_layers_minus1 == 0 {
        return Ok(());
    }
    let mut bits = 0u32;
    for layer in 0..8 {
        let (profile, level) = (b.bit()?, b.bit()?);
        if layer < max_sub_layers_minus1 {
            bits = bits.saturating_add(if profile { 88 } else { 0 } + if level { 8 } else { 0 });
        }
    }
    b.skip(bits)
}

/// What stands behind the bit depths, as far as it could be read.
#[derive(Default)]
struct More {
    frame_rate: Option<(u32, u32)>,
    reorder: Option<u8>,
}

impl More {
    fn parse(&mut self, b: &mut Bits<'_>, max_sub_layers_minus1: u8) -> Result<(), Malformed> {
        let poc_lsb_bits = u32::from(h264::at_most(b.ue()?, 12, "log2_max_pic_order_cnt_lsb_minus4")?) + 4;
        let ordering_infos = if b.bit()? { max_sub_layers_minus1.saturating_add(1) } else { 1 };
        for _ in 0..ordering_infos {
            let _max_dec_pic_buffering_minus1 = b.ue()?;
            // The last one is that of all sub-layers.
            self.reorder = Some(h264::at_most(b.ue()?, REORDER_MAX, "sps_max_num_reorder_pics")?);
            let _max_latency_increase_plus1 = b.ue()?;
        }
        skip_ue(b, 6)?; // sizes of coding and transform blocks
        if b.bit()? && b.bit()? {
            skip_scaling_lists(b)?;
        }
        b.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
        if b.bit()? {
            b.skip(4 + 4)?; // bit depths of PCM samples
            skip_ue(b, 2)?;
            b.skip(1)?; // pcm_loop_filter_disabled_flag
        }
        skip_short_term_sets(b)?;
        if b.bit()? {
            for _ in 0..limited(b.ue()?, LONG_TERM_PICTURES, "num_long_term_ref_pics_sps")? {
                b.skip(poc_lsb_bits)?;
                b.skip(1)?; // used_by_curr_pic_lt_sps_flag
            }
        }
        b.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
        if b.bit()? {
            self.frame_rate = vui_frame_rate(b)?;
        }
        Ok(())
    }
}

/// vui_parameters up to its timing (E.2.1).
fn vui_frame_rate(b: &mut Bits<'_>) -> Result<Option<(u32, u32)>, Malformed> {
    if b.bit()? && b.byte(8)? == EXTENDED_SAR {
        b.skip(32)?;
    }
    if b.bit()? {
        b.skip(1)?; // overscan_appropriate_flag
    }
    if b.bit()? {
        b.skip(4)?; // video_format, video_full_range_flag
        if b.bit()? {
            b.skip(24)?; // colour description
        }
    }
    if b.bit()? {
        skip_ue(b, 2)?; // where chroma samples lie
    }
    b.skip(1)?; // neutral_chroma_indication_flag
    let field_seq = b.bit()?;
    b.skip(1)?; // frame_field_info_present_flag
    if b.bit()? {
        skip_ue(b, 4)?; // default display window
    }
    if !b.bit()? {
        return Ok(None);
    }
    // A tick is a picture, and a picture may be a field.
    let (ticks, per_second) = (u64::from(b.bits(32)?), u64::from(b.bits(32)?));
    Ok(h264::reduced(per_second, ticks.saturating_mul(if field_seq { 2 } else { 1 })))
}

/// scaling_list_data (7.3.4).
fn skip_scaling_lists(b: &mut Bits<'_>) -> Result<(), Malformed> {
    // (how many lists, coefficients of each, whether the first stands apart)
    for (lists, coefficients, dc) in [(6, 16, false), (6, 64, false), (6, 64, true), (2, 64, true)] {
        for _ in 0..lists {
            if b.bit()? {
                skip_ue(b, coefficients)?;
                skip_ue(b, u32::from(dc))?;
            } else {
                skip_ue(b, 1)?; // scaling_list_pred_matrix_id_delta
            }
        }
    }
    Ok(())
}

/// num_short_term_ref_pic_sets, and each st_ref_pic_set (7.3.7).
fn skip_short_term_sets(b: &mut Bits<'_>) -> Result<(), Malformed> {
    let mut pictures = 0;
    for set in 0..limited(b.ue()?, SHORT_TERM_SETS, "num_short_term_ref_pic_sets")? {
        if set > 0 && b.bit()? {
            // Predicted from the set before: a flag or two for each of its pictures, and one more.
            b.skip(1)?; // delta_rps_sign
            skip_ue(b, 1)?; // abs_delta_rps_minus1
            let mut kept = 0u32;
            for _ in 0..=pictures {
                let used_by_curr_pic = b.bit()?;
                if used_by_curr_pic || b.bit()? {
                    kept = kept.saturating_add(1);
                }
            }
            pictures = limited(kept, SHORT_TERM_PICTURES, "NumDeltaPocs")?;
        } else {
            pictures = limited(b.ue()?.saturating_add(b.ue()?), SHORT_TERM_PICTURES, "NumDeltaPocs")?;
            for _ in 0..pictures {
                skip_ue(b, 1)?; // delta_poc_minus1
                b.skip(1)?; // used_by_curr_pic_flag
            }
        }
    }
    Ok(())
}

/// Passes over `n` Exp-Golomb codes, signed or unsigned: they are of one length.
fn skip_ue(b: &mut Bits<'_>, n: u32) -> Result<(), Malformed> {
    for _ in 0..n {
        b.ue()?;
    }
    Ok(())
}

fn limited(value: u32, max: u32, what: &'static str) -> Result<u32, Malformed> {
    if value <= max { Ok(value) } else { Err(Malformed::Field { what, value }) }
}

#[cfg(test)]
mod tests;
