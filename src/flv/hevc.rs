//! H.265 in the two forms that FLV and RTMP have for it.

use bytes::{BufMut, Bytes, BytesMut};

use super::enhanced::{self, CODED_FRAMES, HVC1, SEQUENCE_END, SEQUENCE_START};
use super::video::{self, CODEC_HEVC, CODED_FRAMES_X, ENHANCED, FRAME_COMMAND, HEAD, MULTITRACK};
use crate::media::{Chain, Codec, Frame, Kind};
use crate::wire::{Malformed, Reader};

/// How H.265 is written. Readers of the one may not know the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Hevc {
    /// Codec id 12, which encoders made up before there was a FourCC.
    Legacy,
    /// FourCC `hvc1` (Enhanced RTMP v1).
    #[default]
    Enhanced,
}

/// The body of an FLV tag or an RTMP message for a frame, as [`super::body`] but with H.265 in the form
/// that the reader knows. Where a frame came in that form, and for everything else, the bytes are those
/// that it came with.
///
/// `None` for what has no such form: HDR metadata and the further tracks of Enhanced RTMP v2 in the
/// legacy one.
pub fn body_as(frame: &Frame, form: Hevc) -> Option<Chain> {
    if frame.kind != Kind::Video || frame.codec != Codec::H265 {
        return Some(super::body(frame));
    }
    if frame.relay.is_empty() {
        return Some(video::build(frame, form));
    }
    let is_enhanced = frame.relay.first().is_some_and(|first| first & ENHANCED != 0);
    let body = match form {
        Hevc::Legacy if is_enhanced => to_legacy(&frame.relay).ok().flatten(),
        Hevc::Enhanced if !is_enhanced => to_enhanced(&frame.relay).ok().flatten(),
        _ => Some(frame.relay.clone()),
    };
    body.map(Chain::from)
}

fn to_legacy(body: &[u8]) -> Result<Option<Bytes>, Malformed> {
    let mut r = Reader::new(body);
    let first = r.u8()?;
    let packet_type = enhanced::after_modifiers(&mut r, first & 0x0f)?;
    let mut track = enhanced::track(&mut r, packet_type, MULTITRACK)?;
    if track.id != 0 || track.fourcc != HVC1 {
        return Ok(None);
    }
    let (packet_type, composition_ms) = match track.packet_type {
        SEQUENCE_START | SEQUENCE_END => (track.packet_type, 0),
        CODED_FRAMES => (CODED_FRAMES, track.body.i24()?),
        CODED_FRAMES_X => (CODED_FRAMES, 0),
        _ => return Ok(None),
    };
    let payload = if packet_type == SEQUENCE_END { &[] } else { track.body.rest() };
    let mut out = BytesMut::with_capacity(payload.len().saturating_add(HEAD));
    // The frame type stands in the same bits; only the first one is Enhanced RTMP's.
    out.put_u8(first & !ENHANCED & 0xf0 | CODEC_HEVC);
    out.put_u8(packet_type);
    out.put_int(composition_ms.into(), 3);
    out.put_slice(payload);
    Ok(Some(out.freeze()))
}

fn to_enhanced(body: &[u8]) -> Result<Option<Bytes>, Malformed> {
    let mut r = Reader::new(body);
    let first = ENHANCED | r.u8()? & 0xf0;
    let mut out = BytesMut::with_capacity(body.len().saturating_add(HEAD));
    if first >> 4 & 7 == FRAME_COMMAND {
        // A command is one byte, which has no FourCC before it.
        out.put_u8(first | CODED_FRAMES);
        out.put_slice(r.rest());
        return Ok(Some(out.freeze()));
    }
    let packet_type = r.u8()?;
    // Some leave the composition time out at the end of the sequence.
    let composition_ms = if packet_type == SEQUENCE_END { 0 } else { r.i24()? };
    let (packet_type, payload) = match packet_type {
        SEQUENCE_END => (SEQUENCE_END, &[][..]),
        SEQUENCE_START if !r.is_empty() => (SEQUENCE_START, r.rest()),
        CODED_FRAMES if composition_ms == 0 => (CODED_FRAMES_X, r.rest()),
        CODED_FRAMES => (CODED_FRAMES, r.rest()),
        _ => return Ok(None),
    };
    out.put_u8(first | packet_type);
    out.put_u32(HVC1);
    if packet_type == CODED_FRAMES {
        out.put_int(composition_ms.into(), 3);
    }
    out.put_slice(payload);
    Ok(Some(out.freeze()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flv;
    use crate::media::Role;

    fn parse(body: &[u8]) -> Frame {
        flv::frame(Kind::Video, 1_000_000, Bytes::copy_from_slice(body)).unwrap()
    }

    fn becomes(body: &[u8], form: Hevc) -> Option<Vec<u8>> {
        body_as(&parse(body), form).map(|b| b.to_vec())
    }

    /// Bodies that say the same, legacy and enhanced.
    const PAIRS: [(&[u8], &[u8]); 7] = [
        (b"\x1c\x00\x00\x00\x00cfg", b"\x90hvc1cfg"),
        (b"\x1c\x01\x00\x00\x28nal", b"\x91hvc1\x00\x00\x28nal"),
        (b"\x1c\x01\x00\x00\x00nal", b"\x93hvc1nal"),
        (b"\x2c\x01\xff\xff\xffnal", b"\xa1hvc1\xff\xff\xffnal"),
        (b"\x3c\x01\x00\x00\x00nal", b"\xb3hvc1nal"),
        (b"\x4c\x01\x80\x00\x00nal", b"\xc1hvc1\x80\x00\x00nal"),
        (b"\x1c\x02\x00\x00\x00", b"\x92hvc1"),
    ];

    #[test]
    fn each_form_is_rewritten_into_the_other() {
        for (legacy, enhanced) in PAIRS {
            assert_eq!(becomes(legacy, Hevc::Enhanced).as_deref(), Some(enhanced));
            assert_eq!(becomes(enhanced, Hevc::Legacy).as_deref(), Some(legacy));
            let (a, b) = (parse(legacy), parse(enhanced));
            assert_eq!((a.role, a.pts, a.payload), (b.role, b.pts, b.payload));
        }
    }

    #[test]
    fn what_fits_is_handed_on_as_the_same_bytes() {
        for (legacy, enhanced) in PAIRS {
            for (body, form) in [(legacy, Hevc::Legacy), (enhanced, Hevc::Enhanced)] {
                let frame = parse(body);
                assert_eq!(body_as(&frame, form).unwrap().as_ptr(), frame.relay.as_ptr());
            }
        }
        // Other codecs have one form here, and audio and data none to choose from.
        for body in [&b"\x17\x01\x00\x00\x00nal"[..], b"\x91av01obu", b"\x97\x02abc\x01avc1\x00\x00\x00n"] {
            for form in [Hevc::Legacy, Hevc::Enhanced] {
                assert_eq!(becomes(body, form).as_deref(), Some(body));
            }
        }
        let audio = flv::frame(Kind::Audio, 0, Bytes::from_static(b"\xaf\x01raw")).unwrap();
        assert_eq!(body_as(&audio, Hevc::Legacy), Some(audio.relay.into()));
    }

    #[test]
    fn an_encoders_frames_are_written_in_either_form() {
        let frame = |role, composition_us| Frame {
            kind: Kind::Video,
            codec: Codec::H265,
            role,
            dts: 0,
            pts: composition_us,
            payload: Bytes::from_static(b"nal").into(),
            relay: Bytes::new(),
        };
        let legacy = |role, us| body_as(&frame(role, us), Hevc::Legacy).unwrap().bytes().to_vec();
        assert_eq!(legacy(Role::Header, 0), b"\x1c\x00\x00\x00\x00nal");
        assert_eq!(legacy(Role::Key, 40_000), b"\x1c\x01\x00\x00\x28nal");
        assert_eq!(legacy(Role::Delta, 0), b"\x2c\x01\x00\x00\x00nal");
        assert_eq!(legacy(Role::Mark, 0), b"\x1c\x02\x00\x00\x00");
        assert_eq!(body_as(&frame(Role::Key, 0), Hevc::Enhanced).unwrap(), &b"\x93hvc1nal"[..]);
    }

    #[test]
    fn modifiers_and_the_first_track_are_unwrapped() {
        let legacy = Some(b"\x1c\x01\x00\x00\x00nal".to_vec());
        assert_eq!(becomes(b"\x97\x02abc\x03hvc1nal", Hevc::Legacy), legacy);
        assert_eq!(becomes(b"\x96\x03hvc1\x00nal", Hevc::Legacy), legacy);
        let several = b"\x96\x13hvc1\x00\x00\x00\x03nal\x01\x00\x00\x01m";
        assert_eq!(becomes(several, Hevc::Legacy), legacy);
    }

    #[test]
    fn what_has_no_such_form_is_left_out() {
        assert_eq!(becomes(b"\x96\x03hvc1\x01nal", Hevc::Legacy), None);
        assert_eq!(becomes(b"\xd4hvc1\x02\x00\x00", Hevc::Legacy), None);
        assert_eq!(becomes(b"\x1c\x07\x00\x00\x00x", Hevc::Enhanced), None);
        assert_eq!(becomes(b"\x1c\x00\x00\x00\x00", Hevc::Enhanced), None);
        // A command, and a sequence's end without its composition time.
        assert_eq!(becomes(b"\x5c\x01", Hevc::Enhanced).as_deref(), Some(&b"\xd1\x01"[..]));
        assert_eq!(becomes(b"\x1c\x02", Hevc::Enhanced).as_deref(), Some(&b"\x92hvc1"[..]));
    }

    proptest! {
        #[test]
        fn frames_stay_what_they_are(
            head in prop::sample::select(vec![
                &b"\x1c\x00"[..], b"\x1c\x01", b"\x2c\x01", b"\x90hvc1", b"\x91hvc1", b"\xa1hvc1", b"\x93hvc1",
                b"\xa3hvc1", b"\x97\x00\x00\x03hvc1", b"\x96\x03hvc1\x00", b"\x92hvc1", b"\x1c\x02",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..20),
            legacy: bool,
        ) {
            let body = Bytes::from([head, &rest].concat());
            let Ok(frame) = flv::frame(Kind::Video, 7, body) else { return Ok(()) };
            let form = if legacy { Hevc::Legacy } else { Hevc::Enhanced };
            let Some(body) = body_as(&frame, form) else {
                prop_assert!(frame.role == Role::Mark || frame.role == Role::Header && frame.payload.is_empty());
                return Ok(());
            };
            let again = flv::frame(Kind::Video, 7, body.bytes()).unwrap();
            prop_assert_eq!(body[0] & ENHANCED == 0, legacy);
            prop_assert_eq!((again.codec, again.pts), (frame.codec, frame.pts));
            prop_assert_eq!(body_as(&again, form), Some(body));
            if frame.role != Role::Mark && !frame.payload.is_empty() {
                prop_assert_eq!((again.role, again.payload), (frame.role, frame.payload));
            }
        }

        #[test]
        fn any_bytes_do_no_harm(first: u8, bytes in prop::collection::vec(0u8..16, 0..40)) {
            for hvc1 in [false, true] {
                let fourcc = if hvc1 { &b"hvc1"[..] } else { &[] };
                let body = Bytes::from([&[first][..], fourcc, &bytes].concat());
                if let Ok(frame) = flv::frame(Kind::Video, 0, body) {
                    for form in [Hevc::Legacy, Hevc::Enhanced] {
                        if let Some(body) = body_as(&frame, form) {
                            prop_assert!(flv::frame(Kind::Video, 0, body.bytes()).is_ok());
                        }
                    }
                }
            }
        }
    }
}
