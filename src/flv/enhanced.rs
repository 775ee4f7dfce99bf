//! What enhanced audio and video have in common (Enhanced RTMP v2, "ExAudioTagHeader" and
//! "ExVideoTagHeader"): modifiers, multitrack, FourCCs.

use crate::media::Codec;
use crate::wire::{Malformed, Reader};

/// The sequence header follows.
pub(super) const SEQUENCE_START: u8 = 0;
/// Coded frames follow; for some video codecs a composition time first.
pub(super) const CODED_FRAMES: u8 = 1;
/// The end of the sequence.
pub(super) const SEQUENCE_END: u8 = 2;
/// A modifier, after which another packet type stands.
const MOD_EX: u8 = 7;

/// AvMultitrackType: one track, of which no size is given.
const ONE_TRACK: u8 = 0;

pub(super) const AVC1: u32 = u32::from_be_bytes(*b"avc1");
pub(super) const HVC1: u32 = u32::from_be_bytes(*b"hvc1");
pub(super) const VVC1: u32 = u32::from_be_bytes(*b"vvc1");
const AV01: u32 = u32::from_be_bytes(*b"av01");
const VP09: u32 = u32::from_be_bytes(*b"vp09");
const VP08: u32 = u32::from_be_bytes(*b"vp08");
const MP4A: u32 = u32::from_be_bytes(*b"mp4a");
const OPUS: u32 = u32::from_be_bytes(*b"Opus");
const FLAC: u32 = u32::from_be_bytes(*b"fLaC");
const MP3: u32 = u32::from_be_bytes(*b".mp3");

/// The codec of a FourCC.
pub(super) fn codec(fourcc: u32) -> Codec {
    match fourcc {
        AVC1 => Codec::H264,
        HVC1 => Codec::H265,
        AV01 => Codec::Av1,
        VP09 => Codec::Vp9,
        VP08 => Codec::Vp8,
        MP4A => Codec::Aac,
        OPUS => Codec::Opus,
        FLAC => Codec::Flac,
        MP3 => Codec::Mp3,
        other => Codec::Other(other),
    }
}

/// The FourCC of a codec that has one.
pub(super) fn fourcc(codec: Codec) -> Option<u32> {
    match codec {
        Codec::H264 => Some(AVC1),
        Codec::H265 => Some(HVC1),
        Codec::Av1 => Some(AV01),
        Codec::Vp9 => Some(VP09),
        Codec::Vp8 => Some(VP08),
        Codec::Aac => Some(MP4A),
        Codec::Opus => Some(OPUS),
        Codec::Flac => Some(FLAC),
        Codec::Mp3 => Some(MP3),
        Codec::Other(fourcc) if fourcc >= 16 => Some(fourcc),
        Codec::Other(_) | Codec::Mjpeg | Codec::G711A | Codec::G711U | Codec::Script => None,
    }
}

/// Reads through modifiers, which change nothing that we need, to the packet type that counts.
pub(super) fn after_modifiers(r: &mut Reader<'_>, packet_type: u8) -> Result<u8, Malformed> {
    let mut packet_type = packet_type;
    while packet_type == MOD_EX {
        let mut size = usize::from(r.u8()?).saturating_add(1);
        if size == 256 {
            size = usize::from(r.u16()?).saturating_add(1);
        }
        r.skip(size)?;
        packet_type = r.u8()? & 0x0f;
    }
    Ok(packet_type)
}

/// The first track of a body, or its only one.
#[derive(Debug)]
pub(super) struct Track<'a> {
    pub(super) packet_type: u8,
    pub(super) fourcc: u32,
    /// 0 outside multitrack.
    pub(super) id: u8,
    /// What stands after the FourCC, the track's id and its size.
    pub(super) body: Reader<'a>,
}

/// Reads from after the modifiers to where the first track's body begins. `multitrack` is the packet type
/// that stands for multitrack: audio and video differ.
pub(super) fn track<'a>(r: &mut Reader<'a>, packet_type: u8, multitrack: u8) -> Result<Track<'a>, Malformed> {
    if packet_type != multitrack {
        return Ok(Track { packet_type, fourcc: read_fourcc(r)?, id: 0, body: *r });
    }

    let types = r.u8()?;
    let (multitrack_type, packet_type) = (types >> 4, types & 0x0f);
    // One FourCC for all tracks, or one before each: the first track's stands here either way.
    let fourcc = read_fourcc(r)?;
    let id = r.u8()?;
    if multitrack_type == ONE_TRACK {
        return Ok(Track { packet_type, fourcc, id, body: *r });
    }
    let size = usize::try_from(r.u24()?).unwrap_or(usize::MAX);
    Ok(Track { packet_type, fourcc, id, body: Reader::new(r.take(size)?) })
}

/// A FourCC. The smallest values are FLV's own codec ids in [`Codec::Other`] and no four characters.
fn read_fourcc(r: &mut Reader<'_>) -> Result<u32, Malformed> {
    match r.u32()? {
        value @ 0..16 => Err(Malformed::Field { what: "FourCC", value }),
        fourcc => Ok(fourcc),
    }
}
