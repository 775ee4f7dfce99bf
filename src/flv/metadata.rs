//! Script bodies: `onMetaData` and what else is sent beside the tracks (FLV, E.4.4).

use bytes::{Bytes, BytesMut};

use crate::amf::{Value, amf0};
use crate::media::{Chain, Codec, Frame, Kind, Role};
use crate::wire::{Malformed, Reader};

/// The name of metadata.
const ON_META_DATA: &str = "onMetaData";
/// What a publisher puts before a script message that the server shall keep, as an AMF0 string.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";
/// What is true of a file and not of a live stream.
const OF_FILES: [&str; 2] = ["duration", "filesize"];

/// A stream's metadata, as it is handed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// `onMetaData` and an ECMA array of everything that the publisher said, in its order, without
    /// `@setDataFrame`, `duration` and `filesize`.
    pub body: Bytes,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// kbit/s of video.
    pub video_data_rate: Option<f64>,
    /// kbit/s of audio.
    pub audio_data_rate: Option<f64>,
    /// The program that encodes.
    pub encoder: Option<String>,
    /// Whether the publisher asks for its timestamps to be kept: `bravo_atc`.
    pub atc: bool,
}

/// Reads metadata from a script body as published, with or without `@setDataFrame`. `None` for any other
/// script message.
pub fn metadata(payload: &Bytes) -> Result<Option<Metadata>, Malformed> {
    let message = script(payload);
    let mut r = Reader::new(&message);
    if amf0::read(&mut r)?.as_str() != Some(ON_META_DATA) {
        return Ok(None);
    }
    let values = if r.is_empty() { Value::Null } else { amf0::read(&mut r)? };
    let entries = match values {
        Value::Object(p) | Value::EcmaArray(p) | Value::TypedObject(_, p) => p,
        _ => Vec::new(),
    };
    let entries: Vec<_> =
        entries.into_iter().filter(|(name, _)| !OF_FILES.contains(&name.as_str())).collect();

    let mut body = BytesMut::with_capacity(message.len());
    amf0::string(&mut body, ON_META_DATA);
    amf0::ecma_array(&mut body, &entries);

    let values = Value::EcmaArray(entries);
    let number = |name| values.property(name).and_then(Value::as_f64);
    let atc = values.property("bravo_atc");
    Ok(Some(Metadata {
        body: body.freeze(),
        width: number("width").and_then(pixels),
        height: number("height").and_then(pixels),
        frame_rate: number("framerate"),
        video_data_rate: number("videodatarate"),
        audio_data_rate: number("audiodatarate"),
        encoder: values.property("encoder").and_then(Value::as_str).map(str::to_owned),
        atc: atc.is_some_and(|v| v.as_bool() == Some(true) || v.as_str() == Some("true")),
    }))
}

/// A script body as it is handed on: without `@setDataFrame`.
pub fn script(payload: &Bytes) -> Bytes {
    if payload.starts_with(SET_DATA_FRAME) { payload.slice(SET_DATA_FRAME.len()..) } else { payload.clone() }
}

/// Makes a frame of a script body. What players get has no `@setDataFrame`, so neither has the relay.
pub(super) fn frame(dts: i64, body: &Bytes) -> Result<Frame, Malformed> {
    let message = script(body);
    let role = if message.is_empty() {
        Role::Mark
    } else {
        match amf0::read(&mut Reader::new(&message))? {
            Value::String(name) if name == ON_META_DATA => Role::Header,
            Value::String(_) => Role::Mark,
            _ => return Err(Malformed::Field { what: "script message's name", value: 0 }),
        }
    };
    let payload = Chain::from(message.clone());
    Ok(Frame { kind: Kind::Data, codec: Codec::Script, role, dts, pts: dts, payload, relay: message })
}

/// A whole number of pixels.
fn pixels(n: f64) -> Option<u32> {
    // A cast from a float saturates, and makes zero of what is no number.
    Some(n as u32).filter(|n| (1..u32::MAX).contains(n))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn published(name: &str, value: &Value) -> Bytes {
        let mut out = BytesMut::new();
        amf0::string(&mut out, "@setDataFrame");
        amf0::string(&mut out, name);
        amf0::write(&mut out, value);
        out.freeze()
    }

    fn ffmpeg_says() -> Value {
        Value::EcmaArray(vec![
            ("duration".into(), 0.0.into()),
            ("width".into(), 1280.0.into()),
            ("height".into(), 720.0.into()),
            ("videodatarate".into(), 2000.0.into()),
            ("framerate".into(), 25.0.into()),
            ("audiodatarate".into(), 128.0.into()),
            ("private".into(), Value::StrictArray(vec![1.0.into()])),
            ("encoder".into(), "Lavf60".into()),
            ("filesize".into(), 0.0.into()),
        ])
    }

    #[test]
    fn what_a_publisher_says_is_kept_in_order() {
        let m = metadata(&published("onMetaData", &ffmpeg_says())).unwrap().unwrap();
        assert_eq!((m.width, m.height, m.frame_rate), (Some(1280), Some(720), Some(25.0)));
        assert_eq!((m.video_data_rate, m.audio_data_rate), (Some(2000.0), Some(128.0)));
        assert_eq!((m.encoder.as_deref(), m.atc), (Some("Lavf60"), false));

        let values = amf0::read_all(&m.body).unwrap();
        assert_eq!(values[0].as_str(), Some("onMetaData"));
        let names: Vec<_> = values[1].properties().unwrap().iter().map(|(n, _)| n.as_str()).collect();
        let expected =
            ["width", "height", "videodatarate", "framerate", "audiodatarate", "private", "encoder"];
        assert_eq!(names, expected);
        // What is handed on can be handed on again.
        assert_eq!(metadata(&m.body).unwrap().unwrap(), m);
    }

    #[test]
    fn atc_is_a_boolean_or_a_word() {
        for (value, atc) in
            [(true.into(), true), ("true".into(), true), ("false".into(), false), (1.0.into(), false)]
        {
            let object = Value::Object(vec![("bravo_atc".into(), value)]);
            assert_eq!(metadata(&published("onMetaData", &object)).unwrap().unwrap().atc, atc);
        }
    }

    #[test]
    fn numbers_that_are_no_pixels() {
        for n in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let object = Value::Object(vec![("width".into(), n.into())]);
            assert_eq!(metadata(&published("onMetaData", &object)).unwrap().unwrap().width, None);
        }
    }

    #[test]
    fn other_messages_lose_only_the_prefix() {
        let text = published("onTextData", &Value::Null);
        assert_eq!(metadata(&text), Ok(None));
        let stripped = script(&text);
        assert_eq!(amf0::read_all(&stripped), Ok(vec!["onTextData".into(), Value::Null]));
        assert_eq!(script(&stripped), stripped);

        let f = frame(0, &text).unwrap();
        assert_eq!((f.role, f.codec, f.relay), (Role::Mark, Codec::Script, stripped));
        assert_eq!(frame(0, &published("onMetaData", &Value::Null)).unwrap().role, Role::Header);
    }

    #[test]
    fn metadata_without_values() {
        let m = metadata(&Bytes::from_static(b"\x02\x00\x0aonMetaData")).unwrap().unwrap();
        assert_eq!(m.width, None);
        assert!(frame(0, &Bytes::from_static(b"\x05")).is_err());
        assert_eq!(frame(0, &Bytes::new()).unwrap().role, Role::Mark);
    }

    proptest! {
        #[test]
        fn any_bytes_are_metadata_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = metadata(&Bytes::from(bytes.clone()));
            let mut named = b"\x02\x00\x0aonMetaData".to_vec();
            named.extend_from_slice(&bytes);
            let _ = metadata(&Bytes::from(named));
        }
    }
}
