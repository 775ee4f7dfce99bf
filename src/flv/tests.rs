//! Bodies into frames and back.

use proptest::prelude::*;

use super::*;

fn video(body: &[u8]) -> Frame {
    frame(Kind::Video, 1_000_000, Bytes::copy_from_slice(body)).unwrap()
}

fn audio(body: &[u8]) -> Frame {
    frame(Kind::Audio, 1_000_000, Bytes::copy_from_slice(body)).unwrap()
}

fn says(f: &Frame) -> (Codec, Role, &[u8]) {
    (f.codec, f.role, &f.payload)
}

#[test]
fn legacy_avc() {
    assert_eq!(says(&video(b"\x17\x00\x00\x00\x00cfg")), (Codec::H264, Role::Header, &b"cfg"[..]));
    let key = video(b"\x17\x01\x00\x00\x50nal");
    assert_eq!(says(&key), (Codec::H264, Role::Key, &b"nal"[..]));
    assert_eq!(key.pts, 1_080_000);
    assert_eq!(video(b"\x27\x01\xff\xff\xffnal").pts, 999_000);
    assert_eq!(says(&video(b"\x27\x01\x00\x00\x00n")).1, Role::Delta);
    assert_eq!(says(&video(b"\x17\x02\x00\x00\x00")).1, Role::Mark);
    assert_eq!(says(&video(b"\x17\x02")).1, Role::Mark);
    assert_eq!(says(&video(b"\x17\x01\x00\x00\x00")).1, Role::Mark);
    assert_eq!(says(&video(b"\x57\x00")).1, Role::Mark);
    assert!(frame(Kind::Video, 0, Bytes::from_static(b"\x17\x01\x00")).is_err());
}

#[test]
fn legacy_others() {
    assert_eq!(says(&video(b"\x1c\x01\x00\x00\x00n")), (Codec::H265, Role::Key, &b"n"[..]));
    assert_eq!(says(&video(b"\x12xy")), (Codec::Other(2), Role::Key, &b"xy"[..]));
    assert_eq!(says(&video(b"\x34xy")), (Codec::Other(4), Role::Delta, &b"xy"[..]));
    assert_eq!(says(&video(b"\x46xy")), (Codec::Other(6), Role::Key, &b"xy"[..]));
    assert_eq!(says(&video(b"")), (Codec::Other(0), Role::Mark, &b""[..]));
}

#[test]
fn enhanced_video() {
    assert_eq!(says(&video(b"\x90hvc1cfg")), (Codec::H265, Role::Header, &b"cfg"[..]));
    let timed = video(b"\x91hvc1\x00\x00\x28nal");
    assert_eq!(says(&timed), (Codec::H265, Role::Key, &b"nal"[..]));
    assert_eq!(timed.pts, 1_040_000);
    assert_eq!(says(&video(b"\xa3hvc1nal")), (Codec::H265, Role::Delta, &b"nal"[..]));
    assert_eq!(says(&video(b"\x91avc1\x00\x00\x00nal")), (Codec::H264, Role::Key, &b"nal"[..]));
    assert_eq!(says(&video(b"\x91av01obu")), (Codec::Av1, Role::Key, &b"obu"[..]));
    assert_eq!(says(&video(b"\xa1vp09x")), (Codec::Vp9, Role::Delta, &b"x"[..]));
    assert_eq!(says(&video(b"\xa1vp08x")), (Codec::Vp8, Role::Delta, &b"x"[..]));
    assert_eq!(says(&video(b"\x95av01x")).1, Role::Header);
    assert_eq!(says(&video(b"\x92hvc1")).1, Role::Mark);
    assert_eq!(says(&video(b"\xd4hvc1x")), (Codec::H265, Role::Mark, &b"x"[..]));
    assert_eq!(says(&video(b"\xd1\x00")).1, Role::Mark);
    assert_eq!(video(b"\x91abcdx").codec, Codec::Other(u32::from_be_bytes(*b"abcd")));
}

#[test]
fn a_fourcc_is_never_taken_for_a_codec_id() {
    assert_eq!(video(b"\x1axy").codec, Codec::Other(10));
    for body in [&b"\x91\0\0\0\x0axy"[..], b"\x96\x01\0\0\0\x0a\0xy"] {
        assert!(frame(Kind::Video, 0, Bytes::copy_from_slice(body)).is_err());
    }
    assert!(frame(Kind::Audio, 0, Bytes::from_static(b"\x91\0\0\0\x02x")).is_err());
}

#[test]
fn modifiers_are_read_through() {
    // Three bytes of nanoseconds, then a second modifier of one byte, then coded frames.
    assert_eq!(says(&video(b"\x97\x02abc\x07\x00x\x03hvc1nal")), (Codec::H265, Role::Key, &b"nal"[..]));
    let mut long = b"\x97\xff\x01\x00".to_vec();
    long.extend_from_slice(&[0; 257]);
    long.extend_from_slice(b"\x03hvc1nal");
    assert_eq!(says(&video(&long)), (Codec::H265, Role::Key, &b"nal"[..]));
    assert_eq!(says(&audio(b"\x97\x02abc\x01Opusx")), (Codec::Opus, Role::Key, &b"x"[..]));
    assert!(frame(Kind::Video, 0, Bytes::from_static(b"\x97\xff")).is_err());
}

#[test]
fn of_several_tracks_the_first_counts() {
    // One track; many of one codec; many of many codecs.
    assert_eq!(says(&video(b"\x96\x00avc1\x00cfg")), (Codec::H264, Role::Header, &b"cfg"[..]));
    let many = video(b"\x96\x11avc1\x00\x00\x00\x04\x00\x00\x00n\x01\x00\x00\x04\x00\x00\x00m");
    assert_eq!(says(&many), (Codec::H264, Role::Key, &b"n"[..]));
    let mixed = video(b"\x96\x23hvc1\x00\x00\x00\x01navc1\x01\x00\x00\x01m");
    assert_eq!(says(&mixed), (Codec::H265, Role::Key, &b"n"[..]));
    assert_eq!(says(&audio(b"\x95\x01Opus\x00x")), (Codec::Opus, Role::Key, &b"x"[..]));

    // A further track alone must not pass for the main one.
    assert_eq!(says(&video(b"\x96\x00avc1\x01cfg")).1, Role::Mark);
    assert_eq!(says(&video(b"\x96\x03avc1\x01nal")).1, Role::Delta);
    assert_eq!(says(&audio(b"\x95\x00mp4a\x01cfg")).1, Role::Mark);
}

#[test]
fn legacy_audio() {
    assert_eq!(says(&audio(b"\xaf\x00cfg")), (Codec::Aac, Role::Header, &b"cfg"[..]));
    assert_eq!(says(&audio(b"\xaf\x01raw")), (Codec::Aac, Role::Key, &b"raw"[..]));
    assert_eq!(says(&audio(b"\xaf\x01")).1, Role::Mark);
    assert_eq!(says(&audio(b"\xaf")).1, Role::Mark);
    assert_eq!(says(&audio(b"")), (Codec::Other(0), Role::Mark, &b""[..]));
    assert_eq!(says(&audio(b"\x2fx")), (Codec::Mp3, Role::Key, &b"x"[..]));
    assert_eq!(says(&audio(b"\xe2x")), (Codec::Mp3, Role::Key, &b"x"[..]));
    assert_eq!(says(&audio(b"\x72x")), (Codec::G711A, Role::Key, &b"x"[..]));
    assert_eq!(says(&audio(b"\x82x")), (Codec::G711U, Role::Key, &b"x"[..]));
    assert_eq!(says(&audio(b"\xb2x")), (Codec::Other(11), Role::Key, &b"x"[..]));
}

#[test]
fn enhanced_audio() {
    assert_eq!(says(&audio(b"\x90mp4acfg")), (Codec::Aac, Role::Header, &b"cfg"[..]));
    assert_eq!(says(&audio(b"\x91Opusx")), (Codec::Opus, Role::Key, &b"x"[..]));
    assert_eq!(says(&audio(b"\x90Opus")), (Codec::Opus, Role::Header, &b""[..]));
    assert_eq!(says(&audio(b"\x91.mp3x")), (Codec::Mp3, Role::Key, &b"x"[..]));
    assert_eq!(says(&audio(b"\x90fLaCh")), (Codec::Flac, Role::Header, &b"h"[..]));
    assert_eq!(says(&audio(b"\x91fLaCx")), (Codec::Flac, Role::Key, &b"x"[..]));
    assert_eq!(audio(b"\x91ac-3x").codec, Codec::Other(u32::from_be_bytes(*b"ac-3")));
    assert_eq!(says(&audio(b"\x92Opus")).1, Role::Mark);
    assert_eq!(says(&audio(b"\x94Opus\x00\x02")).1, Role::Mark);
}

#[test]
fn bodies_for_frames_from_an_encoder() {
    let made = |kind, codec, role, composition_ms: i64, payload: &'static [u8]| {
        body(&Frame {
            kind,
            codec,
            role,
            dts: 0,
            pts: composition_ms * 1000,
            payload: Bytes::from_static(payload).into(),
            relay: Bytes::new(),
        })
    };
    let v = Kind::Video;
    assert_eq!(made(v, Codec::H264, Role::Header, 0, b"c"), &b"\x17\x00\x00\x00\x00c"[..]);
    assert_eq!(made(v, Codec::H264, Role::Key, 40, b"n"), &b"\x17\x01\x00\x00\x28n"[..]);
    assert_eq!(made(v, Codec::H264, Role::Delta, -1, b"n"), &b"\x27\x01\xff\xff\xffn"[..]);
    assert_eq!(made(v, Codec::H264, Role::Mark, 0, b""), &b"\x17\x02\x00\x00\x00"[..]);
    assert_eq!(made(v, Codec::H265, Role::Key, 0, b"n"), &b"\x93hvc1n"[..]);
    assert_eq!(made(v, Codec::H265, Role::Delta, 40, b"n"), &b"\xa1hvc1\x00\x00\x28n"[..]);
    assert_eq!(made(v, Codec::Av1, Role::Key, 0, b"n"), &b"\x91av01n"[..]);
    let a = Kind::Audio;
    assert_eq!(made(a, Codec::Aac, Role::Header, 0, b"c"), &b"\xaf\x00c"[..]);
    assert_eq!(made(a, Codec::Aac, Role::Key, 0, b"r"), &b"\xaf\x01r"[..]);
    assert_eq!(made(a, Codec::Mp3, Role::Key, 0, b"\xff\xfb\x90\xc0"), &b"\x2e\xff\xfb\x90\xc0"[..]);
    assert_eq!(made(a, Codec::Mp3, Role::Key, 0, b"\xff\xe3\x18\xc4"), &b"\xe2\xff\xe3\x18\xc4"[..]);
    assert_eq!(made(a, Codec::G711A, Role::Key, 0, b"x"), &b"\x72x"[..]);
    assert_eq!(made(a, Codec::G711U, Role::Key, 0, b"x"), &b"\x82x"[..]);
    assert_eq!(made(a, Codec::Opus, Role::Header, 0, b"h"), &b"\x90Opush"[..]);
}

fn any_encoded() -> impl Strategy<Value = Frame> {
    let video = prop::sample::select(vec![Codec::H264, Codec::H265, Codec::Av1, Codec::Vp9, Codec::Other(2)]);
    let audio = prop::sample::select(vec![
        Codec::Aac,
        Codec::Mp3,
        Codec::Opus,
        Codec::Flac,
        Codec::G711A,
        Codec::G711U,
    ]);
    let track = prop_oneof![video.prop_map(|c| (Kind::Video, c)), audio.prop_map(|c| (Kind::Audio, c))];
    let payload = prop::collection::vec(any::<u8>(), 1..40);
    (track, 0..3, any::<i32>(), -0x7f_ffffi64..0x7f_ffff, payload).prop_map(
        |((kind, codec), role, dts, composition_ms, payload)| {
            let dts = i64::from(dts);
            let role = match role {
                0 if codec.has_header() => Role::Header,
                1 if kind == Kind::Video => Role::Delta,
                _ => Role::Key,
            };
            let timed = matches!(codec, Codec::H264 | Codec::H265) && role != Role::Header;
            let pts = if timed { dts + composition_ms * 1000 } else { dts };
            Frame { kind, codec, role, dts, pts, payload: payload.into(), relay: Bytes::new() }
        },
    )
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Audio, Kind::Video, Kind::Data])
}

proptest! {
    #[test]
    fn what_is_built_is_taken_apart_again(encoded in any_encoded()) {
        let built = body(&encoded);
        let read = frame(encoded.kind, encoded.dts, built.bytes()).unwrap();
        prop_assert_eq!(&built, &read.relay);
        prop_assert_eq!(Frame { relay: Bytes::new(), ..read }, encoded);
    }

    #[test]
    fn any_bytes_are_a_frame_or_malformed(
        kind in any_kind(), dts: i64, bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let bytes = Bytes::from(bytes);
        if let Ok(f) = frame(kind, dts, bytes.clone()) {
            if kind != Kind::Data {
                prop_assert_eq!(&body(&f), &bytes);
            }
            // Without its bytes it is still something that can be taken apart.
            let rebuilt = body(&Frame { relay: Bytes::new(), ..f });
            prop_assert!(frame(kind, dts, rebuilt.bytes()).is_ok());
        }
    }

    #[test]
    fn any_enhanced_bytes_are_a_frame_or_malformed(
        first in 0x90u8..0xa8, bytes in prop::collection::vec(0u8..10, 0..60),
    ) {
        let mut whole = vec![first];
        whole.extend_from_slice(&bytes);
        for kind in [Kind::Audio, Kind::Video] {
            let _ = frame(kind, 0, Bytes::from(whole.clone()));
        }
    }
}
