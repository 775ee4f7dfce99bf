//! What a slice's head says (7.3.3), as far as it tells pictures apart and in which order they are shown.

use super::super::bits::Bits;
use super::{NAL_IDR, nal_type};
use crate::wire::Malformed;

/// What the head of a slice is read by: of its sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceSyntax {
    /// separate_colour_plane_flag.
    pub separate_planes: bool,
    /// Bits of frame_num, 4 to 16.
    pub frame_num_bits: u8,
    /// frame_mbs_only_flag: there are no fields.
    pub frame_mbs_only: bool,
    /// Bits of pic_order_cnt_lsb, 4 to 16; 0 where slices don't tell it.
    pub order_bits: u8,
}

/// The head of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceHead {
    /// first_mb_in_slice: 0 where a picture begins.
    pub first_mb: u32,
    /// frame_num: the same for both fields of a frame.
    pub frame_num: u32,
    /// Whether it is of a field, and then whether of the bottom one.
    pub field: Option<bool>,
    /// pic_order_cnt_lsb, where slices tell it.
    pub order: Option<u32>,
}

impl SliceHead {
    /// Bytes of a NAL unit in which a head ends at the latest.
    pub const BYTES: usize = 32;

    /// Reads the head of a slice: a NAL unit, of which its first [`Self::BYTES`] are enough.
    pub fn parse(nal: &[u8], syntax: &SliceSyntax) -> Result<Self, Malformed> {
        let mut b = Bits::rbsp(nal.get(1..).unwrap_or_default());
        let first_mb = b.ue()?;
        let (_slice_type, _pic_parameter_set_id) = (b.ue()?, b.ue()?);
        if syntax.separate_planes {
            b.skip(2)?; // colour_plane_id
        }
        let frame_num = b.bits(syntax.frame_num_bits.into())?;
        let field = if !syntax.frame_mbs_only && b.bit()? { Some(b.bit()?) } else { None };
        if nal_type(nal) == Some(NAL_IDR) {
            let _idr_pic_id = b.ue()?;
        }
        let order = match syntax.order_bits {
            0 => None,
            bits => Some(b.bits(bits.into())?),
        };
        Ok(Self { first_mb, frame_num, field, order })
    }
}
