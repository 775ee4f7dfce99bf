//! Audio bodies, legacy (FLV, E.4.2) and enhanced (Enhanced RTMP v2, "Enhanced Audio").

use bytes::{BufMut, BytesMut};

use super::Parts;
use super::enhanced::{self, CODED_FRAMES, SEQUENCE_END, SEQUENCE_START};
use crate::codec::mp3::Mp3Header;
use crate::media::{Chain, Codec, Frame, Role};
use crate::wire::{Malformed, Reader};

const FORMAT_MP3: u8 = 2;
const FORMAT_G711A: u8 = 7;
const FORMAT_G711U: u8 = 8;
/// ExHeader: the low four bits are a packet type.
const FORMAT_ENHANCED: u8 = 9;
const FORMAT_AAC: u8 = 10;
const FORMAT_MP3_8K: u8 = 14;

const AAC_HEADER: u8 = 0;
const AAC_RAW: u8 = 1;

const MULTITRACK: u8 = 5;

/// The longest head of a body: a byte and the FourCC.
const HEAD: usize = 5;

/// SoundSize: samples of 16 bits, as everything compressed says.
const SIZE_16: u8 = 0x02;
const STEREO: u8 = 0x01;
/// SoundRate 44 kHz, which AAC always says, with 16 bits and stereo.
const AAC_FLAGS: u8 = 0x0f;

/// Takes a body apart.
pub(super) fn parse(body: &[u8]) -> Result<Parts<'_>, Malformed> {
    let mut r = Reader::new(body);
    let Ok(first) = r.u8() else {
        return Ok(Parts::empty(body));
    };
    let codec = match first >> 4 {
        FORMAT_ENHANCED => return parse_enhanced(r, first & 0x0f),
        FORMAT_AAC => return parse_aac(r),
        FORMAT_MP3 | FORMAT_MP3_8K => Codec::Mp3,
        FORMAT_G711A => Codec::G711A,
        FORMAT_G711U => Codec::G711U,
        id => Codec::Other(u32::from(id)),
    };
    Ok(Parts::new(codec, coded(r.rest()), r.rest()))
}

fn parse_aac(mut r: Reader<'_>) -> Result<Parts<'_>, Malformed> {
    // A single byte is how some say that there is silence.
    let Ok(packet_type) = r.u8() else {
        return Ok(Parts::new(Codec::Aac, Role::Mark, r.rest()));
    };
    let payload = r.rest();
    let role = match packet_type {
        AAC_HEADER if !payload.is_empty() => Role::Header,
        AAC_RAW => coded(payload),
        _ => Role::Mark,
    };
    Ok(Parts::new(Codec::Aac, role, payload))
}

fn parse_enhanced(mut r: Reader<'_>, packet_type: u8) -> Result<Parts<'_>, Malformed> {
    let packet_type = enhanced::after_modifiers(&mut r, packet_type)?;
    let track = enhanced::track(&mut r, packet_type, MULTITRACK)?;
    let payload = track.body.rest();
    let role = match track.packet_type {
        SEQUENCE_START if track.id == 0 => Role::Header,
        CODED_FRAMES => coded(payload),
        // The end of the sequence, the order of channels, and what isn't known yet.
        _ => Role::Mark,
    };
    Ok(Parts::new(enhanced::codec(track.fourcc), role, payload))
}

fn coded(payload: &[u8]) -> Role {
    if payload.is_empty() { Role::Mark } else { Role::Key }
}

/// Builds the body of a frame that came without one.
pub(super) fn build(frame: &Frame) -> Chain {
    let mut head = BytesMut::with_capacity(HEAD);
    match frame.codec {
        Codec::Aac => {
            let packet_type = if frame.role == Role::Header { AAC_HEADER } else { AAC_RAW };
            head.put_slice(&[FORMAT_AAC << 4 | AAC_FLAGS, packet_type]);
        }
        Codec::Mp3 => head.put_u8(mp3_flags(&frame.payload.bytes())),
        // G.711 is 8 kHz and mono whatever the flags say; these are the ones that ffmpeg writes.
        Codec::G711A => head.put_u8(FORMAT_G711A << 4 | SIZE_16),
        Codec::G711U => head.put_u8(FORMAT_G711U << 4 | SIZE_16),
        Codec::Other(id @ 0..16) => head.put_u8(id.to_be_bytes()[3] << 4 | AAC_FLAGS),
        codec => {
            let Some(fourcc) = enhanced::fourcc(codec) else {
                return frame.payload.clone();
            };
            let packet_type = match frame.role {
                Role::Header => SEQUENCE_START,
                Role::Key | Role::Delta => CODED_FRAMES,
                Role::Mark => SEQUENCE_END,
            };
            head.put_u8(FORMAT_ENHANCED << 4 | packet_type);
            head.put_u32(fourcc);
            if packet_type == SEQUENCE_END {
                return head.freeze().into();
            }
        }
    }
    super::with_payload(&head, frame)
}

/// The first byte of an MP3 body, from the frame's own header.
fn mp3_flags(payload: &[u8]) -> u8 {
    let (sample_rate, channels) = match Mp3Header::parse(payload) {
        Ok(header) => (header.sample_rate, header.channels),
        Err(_) => (44100, 2),
    };
    // Rates that FLV can't say are said to be the highest; players go by the frame.
    let (format, rate) = match sample_rate {
        8000 => (FORMAT_MP3_8K, 0),
        11025 => (FORMAT_MP3, 1),
        22050 => (FORMAT_MP3, 2),
        _ => (FORMAT_MP3, 3),
    };
    let stereo = if channels == 1 { 0 } else { STEREO };
    format << 4 | rate << 2 | SIZE_16 | stereo
}
