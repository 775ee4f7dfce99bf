//! H.264 (ITU-T H.264): the types of NAL units, and what a sequence parameter set says.

mod slice;

use super::bits::Bits;
use crate::wire::{Malformed, Reader, limits};

pub use slice::{SliceHead, SliceSyntax};

/// A slice of a picture that isn't IDR (table 7-1).
pub const NAL_SLICE: u8 = 1;
/// A slice of an IDR picture.
pub const NAL_IDR: u8 = 5;
/// Supplemental enhancement information.
pub const NAL_SEI: u8 = 6;
/// A sequence parameter set.
pub const NAL_SPS: u8 = 7;
/// A picture parameter set.
pub const NAL_PPS: u8 = 8;
/// An access unit delimiter.
pub const NAL_AUD: u8 = 9;
/// The end of a sequence.
pub const NAL_END_OF_SEQUENCE: u8 = 10;
/// The end of the stream.
pub const NAL_END_OF_STREAM: u8 = 11;
/// Filler data.
pub const NAL_FILLER: u8 = 12;

/// payloadType of a recovery point (D.1.1).
const SEI_RECOVERY_POINT: u32 = 6;
/// Pictures that a decoder can hold back, and so the most that may be out of order (A.3.1).
const REORDER_MAX: u8 = 16;

/// Aspect ratio given as two numbers rather than by a table (E.2.1).
const EXTENDED_SAR: u8 = 255;

/// nal_unit_type (7.3.1); `None` for an empty slice.
pub fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|b| b & 0x1f)
}

/// Whether this is a slice of an IDR picture, at which decoding can begin.
pub fn is_idr(nal: &[u8]) -> bool {
    nal_type(nal) == Some(NAL_IDR)
}

/// recovery_frame_cnt, if a NAL unit of supplemental information tells a recovery point: after so many frames the
/// picture is right for who begins here (7.3.2.3.1, D.1.8).
pub fn recovery_point(sei: &[u8]) -> Option<u32> {
    let mut r = Reader::new(sei);
    r.skip(1).ok()?;
    // What is left in the end are the trailing bits. Emulation prevention is let stand: it is in what is passed
    // over, if anywhere.
    while r.remaining() > 1 {
        let [kind, size] = [sei_number(&mut r).ok()?, sei_number(&mut r).ok()?];
        if kind == SEI_RECOVERY_POINT {
            return Bits::rbsp(r.rest()).ue().ok();
        }
        r.skip(usize::try_from(size).unwrap_or(usize::MAX)).ok()?;
    }
    None
}

/// A number in bytes of 255 and a last one.
fn sei_number(r: &mut Reader<'_>) -> Result<u32, Malformed> {
    let mut value = 0u32;
    loop {
        let byte = r.u8()?;
        value = value.saturating_add(byte.into());
        if byte != u8::MAX {
            return Ok(value);
        }
    }
}

/// pic_parameter_set_id of a picture parameter set (7.3.2.2).
pub fn pps_id(nal: &[u8]) -> Result<u32, Malformed> {
    Bits::rbsp(nal.get(1..).unwrap_or_default()).ue()
}

/// A sequence parameter set (7.3.2.1.1): what a container or a statistics page needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// profile_idc: 66 Baseline, 77 Main, 100 High, …
    pub profile_idc: u8,
    /// The constraint_set flags and the reserved bits, as a byte.
    pub constraints: u8,
    /// level_idc, ten times the level.
    pub level_idc: u8,
    /// chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// Bits of a luma sample, 8 to 14.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample, 8 to 14.
    pub bit_depth_chroma: u8,
    /// Width in pixels, after cropping.
    pub width: u32,
    /// Height in pixels, after cropping.
    pub height: u32,
    /// Frames per second as a reduced fraction, where the VUI's timing says so. Encoders of variable
    /// rate write what they like here.
    pub frame_rate: Option<(u32, u32)>,
    /// seq_parameter_set_id.
    pub id: u32,
    /// How many pictures may come before one that is shown earlier, where the VUI or the profile says.
    pub reorder: Option<u8>,
    /// What the heads of slices are read by.
    pub slices: SliceSyntax,
}

impl Sps {
    /// Reads a sequence parameter set: a NAL unit, header byte first, without start code or length.
    pub fn parse(nal: &[u8]) -> Result<Self, Malformed> {
        let mut b = Bits::rbsp(nal);
        let nal_type = b.byte(8)? & 0x1f;
        if nal_type != NAL_SPS {
            return Err(Malformed::Field { what: "nal_unit_type", value: u32::from(nal_type) });
        }
        let (profile_idc, constraints, level_idc) = (b.byte(8)?, b.byte(8)?, b.byte(8)?);
        let id = b.ue()?;
        let format = if has_chroma_format(profile_idc) {
            Format::parse(&mut b)?
        } else {
            Format { chroma_format_idc: 1, separate_planes: false, bit_depth_luma: 8, bit_depth_chroma: 8 }
        };

        let frame_num_bits = at_most(b.ue()?, 12, "log2_max_frame_num_minus4")?.saturating_add(4);
        let order = PictureOrder::parse(&mut b)?;
        let _max_num_ref_frames = b.ue()?;
        let _gaps_in_frame_num_allowed = b.bit()?;
        let width_in_mbs = b.ue()?.saturating_add(1);
        let height_in_map_units = b.ue()?.saturating_add(1);
        let frame_mbs_only = b.bit()?;
        if !frame_mbs_only {
            b.skip(1)?; // mb_adaptive_frame_field_flag
        }
        b.skip(1)?; // direct_8x8_inference_flag

        // Field pairs: a map unit is two macroblocks high, and cropping counts in lines of one field.
        let fields = if frame_mbs_only { 1 } else { 2 };
        let (unit_x, unit_y) = format.crop_units();
        let mut width = width_in_mbs.saturating_mul(16);
        let mut height = height_in_map_units.saturating_mul(16).saturating_mul(fields);
        if b.bit()? {
            let (left, right, top, bottom) = (b.ue()?, b.ue()?, b.ue()?, b.ue()?);
            width = cropped(width, left, right, unit_x)?;
            height = cropped(height, top, bottom, unit_y.saturating_mul(fields))?;
        }
        for side in [width, height] {
            if side > limits::PICTURE_SIDE {
                return Err(Malformed::Limit { what: "picture's side", limit: limits::PICTURE_SIDE });
            }
        }

        // Cameras exist whose VUI is cut short; the picture is known without it.
        let mut vui = Vui::default();
        let _ = vui.parse(&mut b);
        // Pictures in order: by their profile (A.2.1, and intra profiles by constraint_set3_flag), or since their
        // order follows from that of decoding.
        let is_intra_only = constraints & 0x10 != 0 && matches!(profile_idc, 44 | 86 | 100 | 110 | 122 | 244);
        let in_order = profile_idc == 66 || is_intra_only || order == PictureOrder::Decoding;
        Ok(Self {
            profile_idc,
            constraints,
            level_idc,
            chroma_format_idc: format.chroma_format_idc,
            bit_depth_luma: format.bit_depth_luma,
            bit_depth_chroma: format.bit_depth_chroma,
            width,
            height,
            frame_rate: vui.frame_rate,
            id,
            reorder: if in_order { Some(0) } else { vui.reorder },
            slices: SliceSyntax {
                separate_planes: format.separate_planes,
                frame_num_bits,
                frame_mbs_only,
                order_bits: if let PictureOrder::Told { bits } = order { bits } else { 0 },
            },
        })
    }
}

/// How samples are stored.
struct Format {
    chroma_format_idc: u8,
    separate_planes: bool,
    bit_depth_luma: u8,
    bit_depth_chroma: u8,
}

impl Format {
    fn parse(b: &mut Bits<'_>) -> Result<Self, Malformed> {
        let chroma_format_idc = at_most(b.ue()?, 3, "chroma_format_idc")?;
        let separate_planes = chroma_format_idc == 3 && b.bit()?;
        let bit_depth_luma = at_most(b.ue()?, 6, "bit_depth_luma_minus8")?.saturating_add(8);
        let bit_depth_chroma = at_most(b.ue()?, 6, "bit_depth_chroma_minus8")?.saturating_add(8);
        b.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if b.bit()? {
            for i in 0..if chroma_format_idc == 3 { 12 } else { 8 } {
                if b.bit()? {
                    skip_scaling_list(b, if i < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(Self { chroma_format_idc, separate_planes, bit_depth_luma, bit_depth_chroma })
    }

    /// CropUnitX, and CropUnitY for frames (7.4.2.1.1).
    fn crop_units(&self) -> (u32, u32) {
        match self.chroma_format_idc {
            1 => (2, 2),
            2 => (2, 1),
            // Monochrome and 4:4:4, separate planes or not.
            _ => (1, 1),
        }
    }
}

/// The profiles whose parameter set has a chroma format (7.3.2.1.1).
fn has_chroma_format(profile_idc: u8) -> bool {
    matches!(profile_idc, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

pub(super) fn at_most(value: u32, max: u8, what: &'static str) -> Result<u8, Malformed> {
    u8::try_from(value).ok().filter(|v| *v <= max).ok_or(Malformed::Field { what, value })
}

pub(super) fn cropped(side: u32, before: u32, after: u32, unit: u32) -> Result<u32, Malformed> {
    let crop = before.saturating_add(after).saturating_mul(unit);
    match side.checked_sub(crop) {
        Some(rest) if rest > 0 => Ok(rest),
        _ => Err(Malformed::Field { what: "frame cropping", value: crop }),
    }
}

/// scaling_list (7.3.2.1.1.1).
fn skip_scaling_list(b: &mut Bits<'_>, size: u32) -> Result<(), Malformed> {
    let mut last = 8i32;
    for _ in 0..size {
        let next = last.saturating_add(b.se()?) & 0xff;
        if next == 0 {
            // The rest repeats the last one.
            return Ok(());
        }
        last = next;
    }
    Ok(())
}

/// How pictures tell their order (pic_order_cnt_type).
#[derive(PartialEq, Eq)]
enum PictureOrder {
    /// Each slice does, in so many bits.
    Told { bits: u8 },
    /// By an expected cycle and differences from it.
    Cycle,
    /// They are shown as they are decoded.
    Decoding,
}

impl PictureOrder {
    fn parse(b: &mut Bits<'_>) -> Result<Self, Malformed> {
        match b.ue()? {
            0 => {
                let bits = at_most(b.ue()?, 12, "log2_max_pic_order_cnt_lsb_minus4")?.saturating_add(4);
                Ok(Self::Told { bits })
            }
            1 => {
                b.skip(1)?; // delta_pic_order_always_zero_flag
                let _offset_for_non_ref_pic = b.se()?;
                let _offset_for_top_to_bottom_field = b.se()?;
                let count = at_most(b.ue()?, 255, "num_ref_frames_in_pic_order_cnt_cycle")?;
                for _ in 0..count {
                    let _offset_for_ref_frame = b.se()?;
                }
                Ok(Self::Cycle)
            }
            2 => Ok(Self::Decoding),
            value => Err(Malformed::Field { what: "pic_order_cnt_type", value }),
        }
    }
}

/// What the VUI says (E.1.1), as far as it could be read.
#[derive(Default)]
struct Vui {
    frame_rate: Option<(u32, u32)>,
    reorder: Option<u8>,
}

impl Vui {
    /// From the flag of its presence on.
    fn parse(&mut self, b: &mut Bits<'_>) -> Result<(), Malformed> {
        if !b.bit()? {
            return Ok(());
        }
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
            let _chroma_sample_loc_type_top_field = b.ue()?;
            let _chroma_sample_loc_type_bottom_field = b.ue()?;
        }
        if b.bit()? {
            // Two ticks are a frame (E.2.1), also where frames are coded whole.
            let (ticks, per_second) = (u64::from(b.bits(32)?).saturating_mul(2), u64::from(b.bits(32)?));
            self.frame_rate = reduced(per_second, ticks);
            b.skip(1)?; // fixed_frame_rate_flag
        }
        let mut has_hrd = false;
        for _ in 0..2 {
            if b.bit()? {
                skip_hrd(b)?;
                has_hrd = true;
            }
        }
        // low_delay_hrd_flag, pic_struct_present_flag
        b.skip(if has_hrd { 2 } else { 1 })?;
        if b.bit()? {
            b.skip(1)?; // motion_vectors_over_pic_boundaries_flag
            for _ in 0..4 {
                b.ue()?; // what a macroblock and its vectors take at most
            }
            self.reorder = Some(at_most(b.ue()?, REORDER_MAX, "max_num_reorder_frames")?);
        }
        Ok(())
    }
}

/// hrd_parameters (E.1.2).
fn skip_hrd(b: &mut Bits<'_>) -> Result<(), Malformed> {
    let count = at_most(b.ue()?, 31, "cpb_cnt_minus1")?;
    b.skip(4 + 4)?; // bit_rate_scale, cpb_size_scale
    for _ in 0..=count {
        let _bit_rate_value_minus1 = b.ue()?;
        let _cpb_size_value_minus1 = b.ue()?;
        b.skip(1)?; // cbr_flag
    }
    b.skip(5 * 4) // lengths of delays, time_offset_length
}

/// The fraction `num / den` in its lowest terms; `None` if it is not a positive number in 32 bits each.
pub(super) fn reduced(num: u64, den: u64) -> Option<(u32, u32)> {
    let divisor = gcd(num, den);
    let num = u32::try_from(num.checked_div(divisor)?).ok()?;
    let den = u32::try_from(den.checked_div(divisor)?).ok()?;
    (num > 0 && den > 0).then_some((num, den))
}

fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

#[cfg(test)]
pub(super) mod tests;
