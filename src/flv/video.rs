//! Video bodies, legacy (FLV, E.4.3) and enhanced (Enhanced RTMP v2, "Enhanced Video").

use bytes::{BufMut, BytesMut};

use super::enhanced::{self, CODED_FRAMES, SEQUENCE_END, SEQUENCE_START};
use super::{Hevc, Parts};
use crate::media::{Chain, Codec, Frame, Role};
use crate::wire::{Malformed, Reader};

/// The longest head of a body: a byte, the FourCC and a composition time.
pub(super) const HEAD: usize = 8;

/// IsExVideoHeader.
pub(super) const ENHANCED: u8 = 0x80;

const FRAME_KEY: u8 = 1;
const FRAME_INTER: u8 = 2;
const FRAME_GENERATED_KEY: u8 = 4;
pub(super) const FRAME_COMMAND: u8 = 5;

const CODEC_AVC: u8 = 7;
/// Not in the specification: what encoders wrote before there was a FourCC for H.265.
pub(super) const CODEC_HEVC: u8 = 12;

/// Coded frames whose composition time is zero and left out.
pub(super) const CODED_FRAMES_X: u8 = 3;
const METADATA: u8 = 4;
const MPEG2_TS_SEQUENCE_START: u8 = 5;
pub(super) const MULTITRACK: u8 = 6;

/// Takes a body apart.
pub(super) fn parse(body: &[u8]) -> Result<Parts<'_>, Malformed> {
    let mut r = Reader::new(body);
    let Ok(first) = r.u8() else {
        return Ok(Parts::empty(body));
    };
    let (frame_type, low) = (first >> 4 & 7, first & 0x0f);
    if first & ENHANCED != 0 {
        return parse_enhanced(r, frame_type, low);
    }

    let codec = match low {
        CODEC_AVC => Codec::H264,
        CODEC_HEVC => Codec::H265,
        id => Codec::Other(u32::from(id)),
    };
    if frame_type == FRAME_COMMAND {
        return Ok(Parts::new(codec, Role::Mark, r.rest()));
    }
    if !matches!(low, CODEC_AVC | CODEC_HEVC) {
        return Ok(Parts::new(codec, coded(frame_type, r.rest()), r.rest()));
    }
    let packet_type = r.u8()?;
    if packet_type == SEQUENCE_END {
        // Its composition time is left out by some.
        return Ok(Parts::new(codec, Role::Mark, &[]));
    }
    let composition_ms = r.i24()?;
    let payload = r.rest();
    Ok(match packet_type {
        SEQUENCE_START if !payload.is_empty() => Parts::new(codec, Role::Header, payload),
        CODED_FRAMES => Parts { codec, role: coded(frame_type, payload), composition_ms, payload },
        _ => Parts::new(codec, Role::Mark, payload),
    })
}

fn parse_enhanced(mut r: Reader<'_>, frame_type: u8, packet_type: u8) -> Result<Parts<'_>, Malformed> {
    let packet_type = enhanced::after_modifiers(&mut r, packet_type)?;
    if frame_type == FRAME_COMMAND && packet_type != METADATA {
        return Ok(Parts::empty(r.rest()));
    }
    let mut track = enhanced::track(&mut r, packet_type, MULTITRACK)?;
    let codec = enhanced::codec(track.fourcc);
    let with_composition = matches!(track.fourcc, enhanced::AVC1 | enhanced::HVC1 | enhanced::VVC1);
    let composition_ms =
        if track.packet_type == CODED_FRAMES && with_composition { track.body.i24()? } else { 0 };
    let payload = track.body.rest();

    let main = track.id == 0;
    let role = match track.packet_type {
        SEQUENCE_START | MPEG2_TS_SEQUENCE_START if main => Role::Header,
        CODED_FRAMES | CODED_FRAMES_X => match coded(frame_type, payload) {
            Role::Key if !main => Role::Delta,
            role => role,
        },
        _ => Role::Mark,
    };
    Ok(Parts { codec, role, composition_ms, payload })
}

/// The role of coded frames.
fn coded(frame_type: u8, payload: &[u8]) -> Role {
    match frame_type {
        _ if payload.is_empty() => Role::Mark,
        FRAME_KEY | FRAME_GENERATED_KEY => Role::Key,
        _ => Role::Delta,
    }
}

/// Builds the body of a frame that came without one; H.265 in this form.
pub(super) fn build(frame: &Frame, hevc: Hevc) -> Chain {
    let mut head = BytesMut::with_capacity(HEAD);
    let frame_type = if frame.role == Role::Delta { FRAME_INTER } else { FRAME_KEY };
    let composition_ms = composition_ms(frame);
    let legacy = match (frame.codec, hevc) {
        (Codec::H264, _) => Some(CODEC_AVC),
        (Codec::H265, Hevc::Legacy) => Some(CODEC_HEVC),
        _ => None,
    };
    match (frame.codec, legacy) {
        (_, Some(id)) => {
            head.put_u8(frame_type << 4 | id);
            let (packet_type, composition_ms) = match frame.role {
                Role::Header => (SEQUENCE_START, 0),
                Role::Key | Role::Delta => (CODED_FRAMES, composition_ms),
                Role::Mark => (SEQUENCE_END, 0),
            };
            head.put_u8(packet_type);
            head.put_int(i64::from(composition_ms), 3);
            if packet_type == SEQUENCE_END {
                return head.freeze().into();
            }
        }
        (Codec::Other(id @ 0..16), _) => {
            let frame_type = if frame.role == Role::Mark { FRAME_COMMAND } else { frame_type };
            head.put_u8(frame_type << 4 | id.to_be_bytes()[3]);
        }
        (codec, _) => {
            let Some(fourcc) = enhanced::fourcc(codec) else {
                return frame.payload.clone();
            };
            let timed = matches!(fourcc, enhanced::AVC1 | enhanced::HVC1 | enhanced::VVC1);
            let packet_type = match frame.role {
                Role::Header => SEQUENCE_START,
                Role::Key | Role::Delta if timed && composition_ms == 0 => CODED_FRAMES_X,
                Role::Key | Role::Delta => CODED_FRAMES,
                Role::Mark => SEQUENCE_END,
            };
            head.put_u8(ENHANCED | frame_type << 4 | packet_type);
            head.put_u32(fourcc);
            if packet_type == SEQUENCE_END {
                return head.freeze().into();
            }
            if packet_type == CODED_FRAMES && timed {
                head.put_int(i64::from(composition_ms), 3);
            }
        }
    }
    super::with_payload(&head, frame)
}

/// Milliseconds from decoding to showing, as far as 24 bits hold them.
fn composition_ms(frame: &Frame) -> i32 {
    const MAX: i64 = (1 << 23) - 1;
    let ms = frame.pts.saturating_sub(frame.dts).div_euclid(1000).clamp(-MAX, MAX);
    i32::try_from(ms).unwrap_or(0)
}
