//! What each codec is in MP4: its sample entry's type, its configuration box, and its name in RFC 6381's
//! terms.

use bytes::{BufMut, Bytes, BytesMut};

use super::VIDEO_TIMESCALE;
use super::boxes::{self, Name};
use crate::codec::aac::AudioSpecificConfig;
use crate::codec::avcc::AvcConfig;
use crate::codec::flac::{self, StreamInfo};
use crate::codec::mp3::Mp3Header;
use crate::media::{Codec, Frame};
use crate::wire::{Malformed, Reader, limits};

/// Ticks per second of Opus, whatever went in (Opus in ISOBMFF, 4.3).
const OPUS_RATE: u32 = 48_000;
/// What samplesize says of codecs that have none of their own (12.2.3.2).
const SAMPLE_BITS: u8 = 16;
/// What OpusHead begins with (RFC 7845, 5.1).
const OPUS_MAGIC: &[u8] = b"OpusHead";
/// HEVCDecoderConfigurationRecord without its arrays (ISO/IEC 14496-15, 8.3.2.1).
const HVCC_FIXED: usize = 23;
/// VPCodecConfigurationRecord without initialization data.
const VPCC_FIXED: usize = 8;

/// objectTypeIndication (ISO/IEC 14496-1, table 5): Audio ISO/IEC 14496-3.
const OTI_AAC: u8 = 0x40;
/// Audio ISO/IEC 13818-3: MP3 at 24 kHz and below.
const OTI_MP3_LOW: u8 = 0x69;
/// Audio ISO/IEC 11172-3: MP3.
const OTI_MP3: u8 = 0x6b;
/// Visual ISO/IEC 10918-1: JPEG.
const OTI_JPEG: u8 = 0x6c;

/// streamType (ISO/IEC 14496-1, table 6): visual, audio.
const STREAM_VISUAL: u8 = 4;
const STREAM_AUDIO: u8 = 5;

/// A codec's side of a track.
pub(super) struct Entry {
    /// The sample entry's type.
    pub(super) format: Name,
    /// The box that stands in the sample entry, whole.
    pub(super) config: Bytes,
    /// Ticks per second.
    pub(super) timescale: u32,
    /// Channels and bits of a sample, for audio.
    pub(super) channels: u8,
    pub(super) bits: u8,
    /// As RFC 6381 and the codecs' own specifications name it.
    pub(super) name: String,
}

/// Whether there is a place in MP4 for frames of this codec that browsers and players know.
pub fn carries(codec: Codec) -> bool {
    use Codec::{Aac, Av1, Flac, G711A, G711U, H264, H265, Mp3, Opus, Vp9};
    matches!(codec, H264 | H265 | Av1 | Vp9 | Aac | Mp3 | Opus | Flac | G711A | G711U)
}

/// Reads the header of a track, or a frame of MP3 or G.711. `None` for a codec that has no place in MP4.
pub(super) fn entry(frame: &Frame) -> Option<Result<Entry, Malformed>> {
    if frame.codec == Codec::Mjpeg {
        return Some(Ok(jpeg()));
    }
    let record = &frame.payload.bytes();
    if record.len() > limits::MP4_CONFIG_BYTES {
        let limit = u32::try_from(limits::MP4_CONFIG_BYTES).unwrap_or(u32::MAX);
        return Some(Err(Malformed::Limit { what: "codec configuration", limit }));
    }
    Some(match frame.codec {
        Codec::H264 => avc(record),
        Codec::H265 => hevc(record),
        Codec::Av1 => av1(record),
        Codec::Vp9 => vp9(record),
        Codec::Aac => aac(record),
        Codec::Mp3 => mp3(record),
        Codec::Opus => opus(record),
        Codec::Flac => flac(record),
        // As which its samples go.
        Codec::G711A | Codec::G711U => flac(&flac::header()),
        Codec::Vp8 | Codec::Mjpeg | Codec::Other(_) | Codec::Script => return None,
    })
}

fn avc(record: &Bytes) -> Result<Entry, Malformed> {
    let config = AvcConfig::parse(record)?;
    let name = format!("avc1.{:02x}{:02x}{:02x}", config.profile, config.compat, config.level);
    Ok(video(b"avc1", b"avcC", record, name))
}

/// The name of ISO/IEC 14496-15, E.3: profile, compatibility in reverse bit order, tier and level, and the
/// constraint flags as far as they aren't zero.
fn hevc(record: &[u8]) -> Result<Entry, Malformed> {
    let mut r = Reader::new(Reader::new(record).take(HVCC_FIXED)?);
    let version = r.u8()?;
    if version != 1 {
        return Err(Malformed::Field { what: "HEVC configuration version", value: u32::from(version) });
    }
    let profile = r.u8()?;
    let compatibility = r.u32()?.reverse_bits();
    let constraints = r.take(6)?;
    let level = r.u8()?;
    let space = ["", "A", "B", "C"].get(usize::from(profile >> 6)).copied().unwrap_or_default();
    let tier = if profile & 0x20 != 0 { 'H' } else { 'L' };
    let mut name = format!("hvc1.{space}{}.{compatibility:X}.{tier}{level}", profile & 0x1f);
    let used = constraints.iter().rposition(|b| *b != 0).map_or(0, |last| last.saturating_add(1));
    for flags in constraints.iter().take(used) {
        name.push_str(&format!(".{flags:X}"));
    }
    Ok(video(b"hvc1", b"hvcC", record, name))
}

/// The name of "AV1 Codec ISO Media File Format Binding", 5.
fn av1(record: &[u8]) -> Result<Entry, Malformed> {
    let mut r = Reader::new(record);
    let marker_and_version = r.u8()?;
    if marker_and_version != 0x81 {
        return Err(Malformed::Field { what: "AV1 marker and version", value: marker_and_version.into() });
    }
    let profile_and_level = r.u8()?;
    let flags = r.u8()?;
    r.skip(1)?; // initial_presentation_delay
    let (profile, level) = (profile_and_level >> 5, profile_and_level & 0x1f);
    let tier = if flags & 0x80 != 0 { 'H' } else { 'M' };
    let bits = match (flags & 0x40 != 0, flags & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let name = format!("av01.{profile}.{level:02}{tier}.{bits:02}");
    Ok(video(b"av01", b"av1C", record, name))
}

/// "VP Codec ISO Media File Format Binding". The record is that of `vpcC`; some senders put the version and
/// flags of the full box before it.
fn vp9(record: &[u8]) -> Result<Entry, Malformed> {
    const VERSION_1: [u8; 4] = [1, 0, 0, 0];
    // Without them the second byte is the level, of which none is 0.
    let record = record.strip_prefix(&VERSION_1).unwrap_or(record);
    let mut r = Reader::new(Reader::new(record).take(VPCC_FIXED)?);
    let (profile, level, bits) = (r.u8()?, r.u8()?, r.u8()? >> 4);
    let name = format!("vp09.{profile:02}.{level:02}.{bits:02}");
    let mut body = BytesMut::with_capacity(record.len().saturating_add(VERSION_1.len()));
    body.put_slice(&VERSION_1);
    body.put_slice(record);
    Ok(video(b"vp09", b"vpcC", &body, name))
}

fn aac(record: &[u8]) -> Result<Entry, Malformed> {
    let config = AudioSpecificConfig::parse(record)?;
    // The object type that a decoder must know to play all of it.
    let object_type = match config.sbr_sample_rate {
        _ if config.ps => 29,
        Some(_) => 5,
        None => config.object_type,
    };
    let name = format!("mp4a.40.{object_type}");
    Ok(mp4a(OTI_AAC, record, config.sample_rate, config.output_channels(), name))
}

/// The MPEG-4 visual entry with JPEG's indication, as FFmpeg writes and reads it.
fn jpeg() -> Entry {
    let config = esds(OTI_JPEG, STREAM_VISUAL, &[]);
    let name = format!("mp4v.{OTI_JPEG:02X}");
    Entry { format: *b"mp4v", config, timescale: VIDEO_TIMESCALE, channels: 0, bits: 0, name }
}

/// Named by its object type indication, as RFC 6381, 3.3 has it. `mp4a.40.34` would be MP3 within MPEG-4
/// audio, whose AudioSpecificConfig is not what players look for here.
fn mp3(frame: &[u8]) -> Result<Entry, Malformed> {
    let header = Mp3Header::parse(frame)?;
    let indication = if header.sample_rate > 24_000 { OTI_MP3 } else { OTI_MP3_LOW };
    let name = format!("mp4a.{indication:02X}");
    Ok(mp4a(indication, &[], header.sample_rate, header.channels, name))
}

/// dOps has what OpusHead has, big-endian and of version 0 ("Encapsulation of Opus in ISO Base Media File
/// Format", 4.3.2).
fn opus(head: &[u8]) -> Result<Entry, Malformed> {
    let mut r = Reader::new(head);
    if r.take(OPUS_MAGIC.len())? != OPUS_MAGIC {
        return Err(Malformed::Field { what: "OpusHead signature", value: Reader::new(head).u32()? });
    }
    let version = r.u8()?;
    if version >> 4 != 0 {
        return Err(Malformed::Field { what: "OpusHead version", value: u32::from(version) });
    }
    let channels = r.u8()?;
    let pre_skip = r.u16()?.swap_bytes();
    let rate = r.u32_le()?;
    let gain = r.u16()?.swap_bytes();
    let family = r.u8()?;
    // A family other than 0 has a table: streams, coupled streams, and a byte per channel.
    let table = if family == 0 { &[][..] } else { r.take(usize::from(channels).saturating_add(2))? };
    if channels == 0 || (family == 0 && channels > 2) {
        return Err(Malformed::Field { what: "OpusHead channels", value: u32::from(channels) });
    }

    let mut config = BytesMut::with_capacity(19usize.saturating_add(table.len()));
    let at = boxes::begin(&mut config, b"dOps");
    config.put_u8(0);
    config.put_u8(channels);
    config.put_u16(pre_skip);
    config.put_u32(rate);
    config.put_u16(gain);
    config.put_u8(family);
    config.put_slice(table);
    boxes::end(&mut config, at);
    let name = "opus".into();
    Ok(Entry {
        format: *b"Opus",
        config: config.freeze(),
        timescale: OPUS_RATE,
        channels,
        bits: SAMPLE_BITS,
        name,
    })
}

/// "Encapsulation of FLAC in ISO Base Media File Format". Browsers take the name as it is written here and in
/// small letters, Apple's players only as it is here.
fn flac(header: &[u8]) -> Result<Entry, Malformed> {
    let info = StreamInfo::parse(header)?;
    let blocks = flac::blocks(header)?;
    let mut config = BytesMut::with_capacity(blocks.len().saturating_add(12));
    let at = boxes::begin_full(&mut config, b"dfLa", 0, 0);
    config.put_slice(&blocks);
    boxes::end(&mut config, at);
    let StreamInfo { sample_rate: timescale, channels, bits } = info;
    Ok(Entry { format: *b"fLaC", config: config.freeze(), timescale, channels, bits, name: "fLaC".into() })
}

fn video(format: &Name, config_name: &Name, record: &[u8], name: String) -> Entry {
    let mut config = BytesMut::with_capacity(record.len().saturating_add(8));
    let at = boxes::begin(&mut config, config_name);
    config.put_slice(record);
    boxes::end(&mut config, at);
    Entry { format: *format, config: config.freeze(), timescale: VIDEO_TIMESCALE, channels: 0, bits: 0, name }
}

fn mp4a(indication: u8, specific: &[u8], timescale: u32, channels: u8, name: String) -> Entry {
    Entry {
        format: *b"mp4a",
        config: esds(indication, STREAM_AUDIO, specific),
        timescale,
        channels,
        bits: SAMPLE_BITS,
        name,
    }
}

/// An elementary stream descriptor (ISO/IEC 14496-1, 7.2.6.5) in its box (ISO/IEC 14496-14, 5.6).
fn esds(indication: u8, stream_type: u8, specific: &[u8]) -> Bytes {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    const SL_CONFIG: u8 = 6;
    /// Bytes of a tag and its size.
    const HEAD: usize = 5;
    let specific_len = if specific.is_empty() { 0 } else { specific.len().saturating_add(HEAD) };
    let decoder_len = specific_len.saturating_add(13);

    let mut out = BytesMut::with_capacity(specific_len.saturating_add(64));
    let at = boxes::begin_full(&mut out, b"esds", 0, 0);
    descriptor(&mut out, ES, decoder_len.saturating_add(3 + HEAD + HEAD + 1));
    out.put_u16(0); // ES_ID: 0 in a file (ISO/IEC 14496-14, 3.1.2)
    out.put_u8(0);
    descriptor(&mut out, DECODER_CONFIG, decoder_len);
    out.put_u8(indication);
    out.put_u8(stream_type << 2 | 1); // and the reserved bit
    out.put_bytes(0, 3 + 4 + 4); // bufferSizeDB, maxBitrate, avgBitrate: not known
    if !specific.is_empty() {
        descriptor(&mut out, DECODER_SPECIFIC, specific.len());
        out.put_slice(specific);
    }
    descriptor(&mut out, SL_CONFIG, 1);
    out.put_u8(2); // as MP4 files have it
    boxes::end(&mut out, at);
    out.freeze()
}

/// A tag and a size of four bytes, seven bits in each (ISO/IEC 14496-1, 8.3.3); 64 KiB at most here.
fn descriptor(out: &mut BytesMut, tag: u8, len: usize) {
    out.put_u8(tag);
    for shift in [21, 14, 7] {
        out.put_u8((len >> shift & 0x7f) as u8 | 0x80);
    }
    out.put_u8((len & 0x7f) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Kind, Role};

    fn name(codec: Codec, payload: &[u8]) -> Result<String, Malformed> {
        let payload = Bytes::copy_from_slice(payload);
        let (kind, role) = (Kind::Video, Role::Header);
        let frame = Frame { kind, codec, role, dts: 0, pts: 0, payload: payload.into(), relay: Bytes::new() };
        entry(&frame).expect("a codec of MP4").map(|e| e.name)
    }

    fn hvcc(profile: u8, compatibility: u32, constraints: [u8; 6], level: u8) -> Vec<u8> {
        let mut record = vec![1, profile];
        record.extend(compatibility.to_be_bytes());
        record.extend(constraints);
        record.push(level);
        record.extend([0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0]);
        record
    }

    #[test]
    fn names_of_video() {
        assert_eq!(name(Codec::H264, &[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]).unwrap(), "avc1.64001f");
        // The examples of ISO/IEC 14496-15, E.3, and of Apple's authoring specification.
        let main = hvcc(1, 0x6000_0000, [0xb0, 0, 0, 0, 0, 0], 93);
        assert_eq!(name(Codec::H265, &main).unwrap(), "hvc1.1.6.L93.B0");
        let space = hvcc(0x40 | 0x20 | 4, 0x0800_0000, [0x9d, 0, 8, 0, 0, 0], 120);
        assert_eq!(name(Codec::H265, &space).unwrap(), "hvc1.A4.10.H120.9D.0.8");
        let bare = hvcc(1, 0x6000_0000, [0; 6], 93);
        assert_eq!(name(Codec::H265, &bare).unwrap(), "hvc1.1.6.L93");
        assert_eq!(name(Codec::Av1, &[0x81, 0x04, 0x0c, 0]).unwrap(), "av01.0.04M.08");
        assert_eq!(name(Codec::Av1, &[0x81, 0x4d, 0xe0, 0]).unwrap(), "av01.2.13H.12");
        let record = [0, 31, 0x82, 1, 1, 1, 0, 0];
        assert_eq!(name(Codec::Vp9, &record).unwrap(), "vp09.00.31.08");
        let full = [&[1, 0, 0, 0][..], &record].concat();
        assert_eq!(name(Codec::Vp9, &full).unwrap(), "vp09.00.31.08");
    }

    #[test]
    fn names_of_audio() {
        assert_eq!(name(Codec::Aac, &[0x12, 0x10]).unwrap(), "mp4a.40.2");
        assert_eq!(name(Codec::Aac, &[0x2b, 0x92, 0x08, 0x00]).unwrap(), "mp4a.40.5");
        assert_eq!(name(Codec::Aac, &[0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80]).unwrap(), "mp4a.40.29");
        assert_eq!(name(Codec::Mp3, &[0xff, 0xfb, 0x90, 0x64]).unwrap(), "mp4a.6B");
        assert_eq!(name(Codec::Mp3, &[0xff, 0xf3, 0x84, 0xc4]).unwrap(), "mp4a.69");
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
        assert_eq!(name(Codec::Opus, head).unwrap(), "opus");
        assert_eq!(name(Codec::Flac, &flac::header()).unwrap(), "fLaC");
        assert_eq!(name(Codec::G711U, &[0xff]).unwrap(), "fLaC");
    }

    #[test]
    fn what_is_no_header() {
        let long = vec![1; limits::MP4_CONFIG_BYTES + 1];
        for codec in [
            Codec::H264,
            Codec::H265,
            Codec::Av1,
            Codec::Vp9,
            Codec::Aac,
            Codec::Mp3,
            Codec::Opus,
            Codec::Flac,
        ] {
            for bytes in [&[][..], &[1], &[0; 7], &long] {
                assert!(name(codec, bytes).is_err(), "{codec} {:x?}", bytes.get(..8));
            }
        }
        assert!(name(Codec::H265, &hvcc(1, 0, [0; 6], 93)[..22]).is_err());
        for head in [
            &b"OpusHead\x01\x03\x38\x01\x80\xbb\0\0\0\0\0"[..],
            b"OpusHead\x11\x02\x38\x01\x80\xbb\0\0\0\0\0",
        ] {
            assert!(name(Codec::Opus, head).is_err());
        }
    }

    #[test]
    fn a_table_of_opus_channels() {
        let head = b"OpusHead\x01\x03\x38\x01\x80\xbb\0\0\xfe\xff\x01\x02\x01\0\x02\x01";
        let (kind, role) = (Kind::Audio, Role::Header);
        let payload = Bytes::from_static(head);
        let frame = Frame {
            kind,
            codec: Codec::Opus,
            role,
            dts: 0,
            pts: 0,
            payload: payload.into(),
            relay: Bytes::new(),
        };
        let entry = entry(&frame).unwrap().unwrap();
        assert_eq!(
            entry.config,
            &b"\0\0\0\x18dOps\0\x03\x01\x38\0\0\xbb\x80\xff\xfe\x01\x02\x01\0\x02\x01"[..]
        );
        assert_eq!((entry.timescale, entry.channels), (48_000, 3));
    }

    #[test]
    fn the_metadata_block_of_flac() {
        let header = flac::header();
        let entry = flac(&header).unwrap();
        assert_eq!(entry.config[..16], *b"\0\0\0\x32dfLa\0\0\0\0\x80\0\0\x22");
        assert_eq!(entry.config[16..], header[8..]);
        assert_eq!((entry.timescale, entry.channels, entry.bits), (8000, 1, 16));
    }
}
