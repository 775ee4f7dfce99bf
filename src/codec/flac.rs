//! FLAC (RFC 9639): what a stream's header says, how long a frame is, and an encoder for what G.711 decodes to.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use crate::wire::{Malformed, Reader};

#[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
mod encoder;
#[cfg(all(test, any(feature = "http", feature = "hls", feature = "dvr")))]
mod tests;

#[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
pub use encoder::{encode, header};

/// What a FLAC file begins with (6).
const MARKER: &[u8] = b"fLaC";
/// Bytes of a STREAMINFO (8.2).
const STREAMINFO: usize = 34;
/// The type of its metadata block.
const STREAMINFO_TYPE: u8 = 0;
/// A metadata block after which no other follows, in the byte of its type.
const LAST: u8 = 0x80;

/// What STREAMINFO (8.2) says of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamInfo {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels, 1 to 8.
    pub channels: u8,
    /// Bits of a sample, 4 to 32.
    pub bits: u8,
}

impl StreamInfo {
    /// Reads a stream's header: the file's marker and metadata blocks, as Enhanced RTMP has it, or a
    /// STREAMINFO alone, as ffmpeg sends it.
    pub fn parse(header: &[u8]) -> Result<Self, Malformed> {
        let mut b = Bits::new(stream_info(header)?);
        b.skip(16 + 16 + 24 + 24)?; // the sizes of blocks and frames
        let sample_rate = b.bits(20)?;
        let channels = b.byte(3)?.saturating_add(1);
        let bits = b.byte(5)?.saturating_add(1);
        if sample_rate == 0 {
            return Err(Malformed::Field { what: "FLAC sample rate", value: 0 });
        }
        if bits < 4 {
            return Err(Malformed::Field { what: "FLAC bits per sample", value: bits.into() });
        }
        Ok(Self { sample_rate, channels, bits })
    }
}

/// The metadata blocks of `dfLa` ("Encapsulation of FLAC in ISO Base Media File Format", 3.3.2) for a header
/// that [`StreamInfo::parse`] takes: STREAMINFO and no other, since no other is of use to a decoder.
pub fn blocks(header: &[u8]) -> Result<Bytes, Malformed> {
    let info = stream_info(header)?;
    let mut out = BytesMut::with_capacity(4 + STREAMINFO);
    out.put_u8(LAST | STREAMINFO_TYPE);
    out.put_uint(STREAMINFO as u64, 3);
    out.put_slice(info);
    Ok(out.freeze())
}

/// The header of a stream, as a file would begin with it, by metadata blocks as `dfLa` has them.
pub fn with_marker(blocks: &[u8]) -> Bytes {
    [MARKER, blocks].concat().into()
}

fn stream_info(header: &[u8]) -> Result<&[u8], Malformed> {
    if header.len() == STREAMINFO {
        return Ok(header);
    }
    let mut r = Reader::new(header);
    let marker = r.u32()?;
    if marker.to_be_bytes() != MARKER {
        return Err(Malformed::Field { what: "FLAC marker", value: marker });
    }
    // It stands first.
    let block = r.u8()?;
    if block & !LAST != STREAMINFO_TYPE {
        return Err(Malformed::Field { what: "FLAC metadata block before STREAMINFO", value: block.into() });
    }
    let len = r.u24()?;
    if usize::try_from(len) != Ok(STREAMINFO) {
        return Err(Malformed::Field { what: "length of FLAC STREAMINFO", value: len });
    }
    r.take(STREAMINFO)
}

/// How many samples of each channel a frame holds, by its header (9.1).
pub fn block_samples(frame: &[u8]) -> Result<u32, Malformed> {
    let mut r = Reader::new(frame);
    let sync = r.u16()?;
    if sync & 0xfffe != 0xfff8 {
        return Err(Malformed::Field { what: "FLAC sync code", value: sync.into() });
    }
    let sizes = r.u8()?;
    r.skip(1)?;
    // A coded number of as many bytes as its first begins with ones; a byte that begins with none is alone.
    let ones = r.u8()?.leading_ones();
    r.skip(usize::try_from(ones.saturating_sub(1)).unwrap_or(0))?;
    Ok(match sizes >> 4 {
        0 => return Err(Malformed::Field { what: "FLAC block size", value: 0 }),
        1 => 192,
        code @ 2..=5 => 144 << code,
        6 => u32::from(r.u8()?).saturating_add(1),
        7 => u32::from(r.u16()?).saturating_add(1),
        code => 1 << code,
    })
}
