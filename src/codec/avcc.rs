//! H.264 as FLV and MP4 carry it: a decoder configuration record, and NAL units behind their lengths
//! (ISO/IEC 14496-15, 5.2.4.1 and 5.3.4.2).

use bytes::{BufMut, Bytes, BytesMut};

use super::annexb;
use super::h264::{self, Sps};
use crate::wire::{Malformed, Reader, limits};

/// Bytes before the first sequence parameter set's length.
const FIXED: usize = 6;

/// An AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.2.4.1). Parameter sets are NAL units without
/// start code or length, and share the record's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvcConfig {
    /// profile_idc.
    pub profile: u8,
    /// The constraint flags, profile_compatibility.
    pub compat: u8,
    /// level_idc, ten times the level.
    pub level: u8,
    /// Bytes of the length before each NAL unit, 1 to 4.
    pub length_size: u8,
    /// Sequence parameter sets, at most 31.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets, at most [`limits::PARAMETER_SETS`].
    pub pps: Vec<Bytes>,
}

impl AvcConfig {
    /// Reads a record. What High profiles have after the picture parameter sets is passed over: it
    /// repeats the sequence parameter set, and many encoders leave it out.
    pub fn parse(record: &Bytes) -> Result<Self, Malformed> {
        let mut r = Reader::new(record);
        let version = r.u8()?;
        if version != 1 {
            return Err(Malformed::Field { what: "AVC configuration version", value: u32::from(version) });
        }
        let (profile, compat, level) = (r.u8()?, r.u8()?, r.u8()?);
        let length_size = (r.u8()? & 3).saturating_add(1);
        let (mut sps, mut pps) = (Vec::new(), Vec::new());
        let count = r.u8()? & 0x1f;
        parameter_sets(record, &mut r, count.into(), &mut sps)?;
        let count = r.u8()?;
        parameter_sets(record, &mut r, count.into(), &mut pps)?;
        Ok(Self { profile, compat, level, length_size, sps, pps })
    }
}

/// Builds a record with lengths of four bytes from parameter sets as NAL units. The first sequence
/// parameter set gives profile and level and, for High profiles, chroma format and bit depths.
pub fn build(sps: &[&[u8]], pps: &[&[u8]]) -> Result<Bytes, Malformed> {
    let first = Sps::parse(sps.first().copied().unwrap_or_default())?;
    let sps_count = u8::try_from(sps.len()).ok().filter(|n| *n <= 31);
    let sps_count = sps_count.ok_or(Malformed::Limit { what: "sequence parameter sets", limit: 31 })?;
    let pps_count = u8::try_from(pps.len()).ok().filter(|n| usize::from(*n) <= limits::PARAMETER_SETS);
    let pps_count = pps_count.ok_or(too_many_parameter_sets())?;

    let bytes: usize = sps.iter().chain(pps).map(|s| s.len().saturating_add(2)).sum();
    let mut out = BytesMut::with_capacity(bytes.saturating_add(FIXED + 5));
    out.put_u8(1);
    out.put_slice(&[first.profile_idc, first.constraints, first.level_idc]);
    out.put_u8(0xfc | 3);
    out.put_u8(0xe0 | sps_count);
    put_parameter_sets(&mut out, sps)?;
    out.put_u8(pps_count);
    put_parameter_sets(&mut out, pps)?;
    if !matches!(first.profile_idc, 66 | 77 | 88) {
        out.put_u8(0xfc | first.chroma_format_idc);
        out.put_u8(0xf8 | first.bit_depth_luma.saturating_sub(8));
        out.put_u8(0xf8 | first.bit_depth_chroma.saturating_sub(8));
        out.put_u8(0);
    }
    Ok(out.freeze())
}

/// The NAL units of an access unit in which each stands behind its length of `length_size` bytes, 1 to 4.
/// Empty ones are left out; after an error there is nothing more.
pub fn length_prefixed_nals(data: &[u8], length_size: u8) -> LengthPrefixedNals<'_> {
    LengthPrefixedNals { r: Reader::new(data), length_size, left: limits::NALS_PER_ACCESS_UNIT }
}

/// The iterator of [`length_prefixed_nals`].
#[derive(Debug, Clone)]
pub struct LengthPrefixedNals<'a> {
    r: Reader<'a>,
    length_size: u8,
    left: usize,
}

impl<'a> LengthPrefixedNals<'a> {
    fn read(&mut self) -> Result<&'a [u8], Malformed> {
        self.left = self.left.checked_sub(1).ok_or(Malformed::Limit {
            what: "NAL units in an access unit",
            limit: u32::try_from(limits::NALS_PER_ACCESS_UNIT).unwrap_or(u32::MAX),
        })?;
        let len = match self.length_size {
            1 => u32::from(self.r.u8()?),
            2 => u32::from(self.r.u16()?),
            3 => self.r.u24()?,
            4 => self.r.u32()?,
            other => {
                return Err(Malformed::Field { what: "NAL unit length size", value: u32::from(other) });
            }
        };
        self.r.take(usize::try_from(len).unwrap_or(usize::MAX))
    }
}

impl<'a> Iterator for LengthPrefixedNals<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.r.is_empty() {
            match self.read() {
                Ok([]) => {}
                Ok(nal) => return Some(Ok(nal)),
                Err(e) => {
                    self.r = Reader::new(&[]);
                    return Some(Err(e));
                }
            }
        }
        None
    }
}

/// Appends the NAL units of `data`, behind start codes, as NAL units behind lengths of four bytes; those
/// only whose H.264 type `keep` accepts.
pub fn annexb_to_length_prefixed(data: &[u8], keep: impl Fn(u8) -> bool, out: &mut BytesMut) {
    for nal in annexb::nals(data) {
        // An encoder's access unit has less than 4 GB.
        let (Some(true), Ok(len)) = (h264::nal_type(nal).map(&keep), u32::try_from(nal.len())) else {
            continue;
        };
        out.put_u32(len);
        out.put_slice(nal);
    }
}

/// Reads `count` parameter sets, each behind its length, to those of its kind.
pub(super) fn parameter_sets(
    record: &Bytes,
    r: &mut Reader<'_>,
    count: u16,
    sets: &mut Vec<Bytes>,
) -> Result<(), Malformed> {
    if sets.len().saturating_add(count.into()) > limits::PARAMETER_SETS {
        return Err(too_many_parameter_sets());
    }
    sets.reserve_exact(count.into());
    for _ in 0..count {
        let len = usize::from(r.u16()?);
        let start = r.position();
        r.skip(len)?;
        sets.push(record.slice(start..r.position()));
    }
    Ok(())
}

pub(super) fn put_parameter_sets(out: &mut BytesMut, sets: &[&[u8]]) -> Result<(), Malformed> {
    for set in sets {
        let len = u16::try_from(set.len());
        out.put_u16(len.map_err(|_| Malformed::Limit { what: "parameter set", limit: u32::from(u16::MAX) })?);
        out.put_slice(set);
    }
    Ok(())
}

pub(super) fn too_many_parameter_sets() -> Malformed {
    let limit = u32::try_from(limits::PARAMETER_SETS).unwrap_or(u32::MAX);
    Malformed::Limit { what: "parameter sets", limit }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::h264::tests::{BASELINE_SPS, HIGH_SPS};
    use super::*;

    const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];

    #[test]
    fn what_is_built_is_parsed() {
        let record = build(&[HIGH_SPS], &[PPS, PPS]).unwrap();
        let config = AvcConfig::parse(&record).unwrap();
        assert_eq!((config.profile, config.compat, config.level, config.length_size), (100, 0, 31, 4));
        assert_eq!(config.sps, [HIGH_SPS]);
        assert_eq!(config.pps, [PPS, PPS]);
        assert_eq!(record[record.len() - 4..], [0xfd, 0xf8, 0xf8, 0]);
    }

    #[test]
    fn only_high_profiles_have_the_extension() {
        let record = build(&[BASELINE_SPS], &[PPS]).unwrap();
        assert!(record.ends_with(PPS));
    }

    #[test]
    fn parameter_sets_are_required_and_limited() {
        assert!(build(&[], &[PPS]).is_err());
        assert!(build(&[PPS], &[PPS]).is_err());
        assert!(matches!(build(&[HIGH_SPS; 32], &[PPS]), Err(Malformed::Limit { .. })));
        assert!(matches!(build(&[HIGH_SPS], &[PPS; 33]), Err(Malformed::Limit { .. })));
        let record = build(&[HIGH_SPS; 31], &[PPS; 32]).unwrap();
        assert!(AvcConfig::parse(&record).is_ok());
    }

    #[test]
    fn lengths_of_every_size() {
        for (size, data) in
            [(1, &b"\x02ab\x00\x01c"[..]), (2, b"\x00\x02ab\x00\x01c"), (3, b"\x00\x00\x02ab\x00\x00\x01c")]
        {
            let nals: Result<Vec<_>, _> = length_prefixed_nals(data, size).collect();
            assert_eq!(nals, Ok(vec![&b"ab"[..], b"c"]));
        }
        assert!(length_prefixed_nals(b"\x01a", 5).next().unwrap().is_err());
    }

    #[test]
    fn a_length_beyond_the_end_is_the_last_thing() {
        let mut nals = length_prefixed_nals(b"\x00\x00\x00\x01a\xff\xff\xff\xffb", 4);
        assert_eq!(nals.next(), Some(Ok(&b"a"[..])));
        assert!(matches!(nals.next(), Some(Err(Malformed::Truncated { .. }))));
        assert_eq!(nals.next(), None);
    }

    #[test]
    fn access_unit_delimiters_and_parameter_sets_can_be_left_out() {
        let mut out = BytesMut::new();
        let data = [0, 0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x65, 1, 2];
        annexb_to_length_prefixed(&data, |t| t != h264::NAL_AUD, &mut out);
        assert_eq!(out[..], [0, 0, 0, 3, 0x65, 1, 2]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_malformed(
            mut bytes in prop::collection::vec(any::<u8>(), 0..100), valid_start in any::<bool>(),
        ) {
            if valid_start && let Some(first) = bytes.first_mut() {
                *first = 1;
            }
            let _ = AvcConfig::parse(&Bytes::from(bytes));
        }

        #[test]
        fn any_bytes_are_nals_or_malformed(
            bytes in prop::collection::vec(0u8..6, 0..100), size in 0u8..6,
        ) {
            for nal in length_prefixed_nals(&bytes, size) {
                let _ = nal;
            }
        }
    }
}
