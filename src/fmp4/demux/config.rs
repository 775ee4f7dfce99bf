//! What sample descriptions say of the codec: the header frame of a track, and what stands among its samples
//! instead.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::boxes::{Boxes, Name};
use crate::codec::avcc::{self, AvcConfig, length_prefixed_nals};
use crate::codec::flac;
use crate::codec::h264;
use crate::codec::h265::{self, HevcConfig};
use crate::media::{Codec, Kind};
use crate::wire::{Malformed, Reader, limits};

/// Bytes of a sample entry before its boxes (8.5.2, 12.1.3, 12.2.3).
const VIDEO_ENTRY: usize = 78;
const AUDIO_ENTRY: usize = 28;
/// Bytes that QuickTime's versions 1 and 2 of an audio entry have more.
const QUICKTIME_1: usize = 16;
const QUICKTIME_2: usize = 36;
/// Where the records have lengthSizeMinusOne (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).
const AVCC_LENGTHS: usize = 4;
const HVCC_LENGTHS: usize = 21;

/// A sample description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) codec: Codec,
    /// As the codec's header frame has it; empty for one that has none.
    pub(super) header: Bytes,
    /// Parameter sets may stand among the samples.
    pub(super) in_band: bool,
}

impl Config {
    /// The sample descriptions of `stsd`, header included; `None` for those of codecs that aren't known.
    pub(super) fn of_track(stsd: &[u8], kind: Kind) -> Result<Vec<Option<Self>>, Malformed> {
        let mut r = Reader::new(stsd);
        r.skip(8 + 4 + 4)?;
        let mut configs = Vec::new();
        for entry in Boxes::new(r.rest()).take(limits::MP4_DESCRIPTIONS) {
            let (name, body) = entry?;
            configs.push(Self::parse(&name, body, kind)?);
        }
        Ok(configs)
    }

    fn parse(name: &Name, body: &[u8], kind: Kind) -> Result<Option<Self>, Malformed> {
        let in_band = matches!(name, b"avc3" | b"hev1");
        let mut r = Reader::new(body);
        if kind == Kind::Video {
            r.skip(VIDEO_ENTRY)?;
        } else {
            let version = Reader::new(body.get(8..).unwrap_or_default()).u16()?;
            r.skip(AUDIO_ENTRY)?;
            r.skip(match version {
                1 => QUICKTIME_1,
                2 => QUICKTIME_2,
                _ => 0,
            })?;
        }
        let find = |name: &Name| Boxes::new(r.rest()).find(name);
        let (codec, header) = match (kind, name) {
            (Kind::Video, b"avc1" | b"avc3") => (Codec::H264, Bytes::copy_from_slice(find(b"avcC")?)),
            (Kind::Video, b"hvc1" | b"hev1") => (Codec::H265, Bytes::copy_from_slice(find(b"hvcC")?)),
            (Kind::Video, b"av01") => (Codec::Av1, Bytes::copy_from_slice(find(b"av1C")?)),
            // Without the version and flags of the box.
            (Kind::Video, b"vp09") => {
                (Codec::Vp9, Bytes::copy_from_slice(find(b"vpcC")?.get(4..).unwrap_or_default()))
            }
            (Kind::Audio, b"Opus") => (Codec::Opus, opus_head(find(b"dOps")?)?),
            // Without the version and flags of the box.
            (Kind::Audio, b"fLaC") => {
                (Codec::Flac, flac::with_marker(find(b"dfLa")?.get(4..).unwrap_or_default()))
            }
            (Kind::Audio, b".mp3") => (Codec::Mp3, Bytes::new()),
            (Kind::Audio, b"mp4a") => {
                // QuickTime has it one box deeper.
                let esds = find(b"esds").or_else(|_| Boxes::new(find(b"wave")?).find(b"esds"))?;
                let Some(known) = stream_descriptor(esds)? else { return Ok(None) };
                known
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { codec, header, in_band }))
    }
}

/// The parameter sets that a keyframe brings, as the header that they make in place of the one in force;
/// `None` if they are no news, or make none.
pub(super) fn in_band(codec: Codec, header: &Bytes, sample: &[u8]) -> Option<Bytes> {
    let h265 = codec == Codec::H265;
    let (length_size, held) = if h265 {
        let config = HevcConfig::parse(header).ok()?;
        (config.length_size, [config.vps, config.sps, config.pps])
    } else {
        let config = AvcConfig::parse(header).ok()?;
        (config.length_size, [Vec::new(), config.sps, config.pps])
    };
    let mut brought: [Vec<&[u8]>; 3] = Default::default();
    for nal in length_prefixed_nals(sample, length_size) {
        let nal = nal.ok()?;
        let kind = match (h265, h264::nal_type(nal), h265::nal_type(nal)) {
            (true, _, Some(h265::NAL_VPS)) => 0,
            (false, Some(h264::NAL_SPS), _) | (true, _, Some(h265::NAL_SPS)) => 1,
            (false, Some(h264::NAL_PPS), _) | (true, _, Some(h265::NAL_PPS)) => 2,
            _ => continue,
        };
        let sets = brought.get_mut(kind)?;
        if !sets.contains(&nal) && sets.len() < limits::PARAMETER_SETS {
            sets.push(nal);
        }
    }
    if held
        .iter()
        .zip(&brought)
        .all(|(held, brought)| brought.iter().all(|set| held.iter().any(|h| h == set)))
    {
        return None;
    }
    // A kind that comes replaces what was in force.
    for (brought, held) in brought.iter_mut().zip(&held).filter(|(brought, _)| brought.is_empty()) {
        brought.extend(held.iter().map(Bytes::as_ref));
    }
    let [vps, sps, pps] = &brought;
    let record = if h265 { h265::build(vps, sps, pps) } else { avcc::build(sps, pps) };
    // The samples keep their lengths as they are.
    let mut record = BytesMut::from(&record.ok()?[..]);
    let lengths = record.get_mut(if h265 { HVCC_LENGTHS } else { AVCC_LENGTHS })?;
    *lengths = *lengths & !3 | length_size.saturating_sub(1) & 3;
    Some(record.freeze())
}

/// Whether the header has the parameter sets without which nothing can be decoded.
pub(super) fn is_complete(codec: Codec, header: &Bytes) -> bool {
    match codec {
        Codec::H264 => AvcConfig::parse(header).is_ok_and(|c| !c.sps.is_empty() && !c.pps.is_empty()),
        Codec::H265 => HevcConfig::parse(header).is_ok_and(|c| !c.sps.is_empty() && !c.pps.is_empty()),
        _ => true,
    }
}

/// OpusHead of what dOps has big-endian and of version 0 ("Encapsulation of Opus in ISO Base Media File
/// Format", 4.3.2; RFC 7845, 5.1).
fn opus_head(dops: &[u8]) -> Result<Bytes, Malformed> {
    let mut r = Reader::new(dops);
    let version = r.u8()?;
    if version != 0 {
        return Err(Malformed::Field { what: "dOps version", value: version.into() });
    }
    let (channels, pre_skip, rate, gain) = (r.u8()?, r.u16()?, r.u32()?, r.u16()?);
    let mut head = BytesMut::with_capacity(dops.len().saturating_add(8));
    head.put_slice(b"OpusHead\x01");
    head.put_u8(channels);
    head.put_u16_le(pre_skip);
    head.put_u32_le(rate);
    head.put_u16_le(gain);
    head.put_slice(r.rest());
    Ok(head.freeze())
}

/// What an elementary stream descriptor (ISO/IEC 14496-1, 7.2.6.5) is of: AAC with its AudioSpecificConfig, or
/// MP3.
fn stream_descriptor(esds: &[u8]) -> Result<Option<(Codec, Bytes)>, Malformed> {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    let mut r = Reader::new(esds);
    r.skip(4)?;
    let mut r = descriptor(&mut r, ES)?;
    r.skip(2)?; // ES_ID
    let flags = r.u8()?;
    r.skip(if flags & 0x80 != 0 { 2 } else { 0 })?; // dependsOn_ES_ID
    if flags & 0x40 != 0 {
        let len = r.u8()?;
        r.skip(len.into())?; // URL
    }
    r.skip(if flags & 0x20 != 0 { 2 } else { 0 })?; // OCR_ES_Id
    let mut r = descriptor(&mut r, DECODER_CONFIG)?;
    let indication = r.u8()?;
    r.skip(1 + 3 + 4 + 4)?; // stream type, buffer size, bit rates
    match indication {
        // MPEG-4's, and MPEG-2's profiles.
        0x40 | 0x66..=0x68 => {
            let config = descriptor(&mut r, DECODER_SPECIFIC)?;
            Ok(Some((Codec::Aac, Bytes::copy_from_slice(config.rest()))))
        }
        0x69 | 0x6b => Ok(Some((Codec::Mp3, Bytes::new()))),
        _ => Ok(None),
    }
}

/// The body of the next descriptor, which must have this tag.
fn descriptor<'a>(r: &mut Reader<'a>, expected: u8) -> Result<Reader<'a>, Malformed> {
    let tag = r.u8()?;
    if tag != expected {
        return Err(Malformed::Field { what: "descriptor tag", value: tag.into() });
    }
    let mut len = 0usize;
    // Seven bits in each byte, of four at most.
    for _ in 0..4 {
        let byte = r.u8()?;
        len = len << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(Reader::new(r.take(len)?))
}
