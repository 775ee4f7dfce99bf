//! Frames out of RTMP's audio, video and data messages.

use bytes::Bytes;

use super::message::type_id;
use crate::flv;
use crate::media::{Codec, Frame, Kind, Role};
use crate::wire::Malformed;

/// The frame in a message's body, with its time in µs, and whether it is metadata that says the timestamps
/// are absolute (`bravo_atc`); or what was to be one and why it is none. `None` for other messages, and for
/// data without anything in it.
pub(super) fn parse(type_id: u8, dts: i64, body: Bytes) -> Option<Result<(Frame, bool), (Kind, Malformed)>> {
    let kind = match type_id {
        type_id::AUDIO => Kind::Audio,
        type_id::VIDEO => Kind::Video,
        type_id::DATA_AMF0 => return data(dts, body),
        // Type 15 is AMF0 behind a format byte of zero, which some leave out.
        type_id::DATA_AMF3 if body.starts_with(&[0]) => return data(dts, body.slice(1..)),
        type_id::DATA_AMF3 => return data(dts, body),
        _ => return None,
    };
    Some(flv::frame(kind, dts, body).map(|frame| (frame, false)).map_err(|cause| (kind, cause)))
}

/// A script message: the stream's metadata, or one to relay as it is.
fn data(dts: i64, body: Bytes) -> Option<Result<(Frame, bool), (Kind, Malformed)>> {
    if body.is_empty() {
        return None;
    }
    let (role, payload, atc) = match flv::metadata(&body) {
        Ok(Some(metadata)) => (Role::Header, metadata.body, metadata.atc),
        Ok(None) => (Role::Mark, flv::script(&body), false),
        Err(cause) => return Some(Err((Kind::Data, cause))),
    };
    let (kind, codec, relay) = (Kind::Data, Codec::Script, Bytes::new());
    Some(Ok((Frame { kind, codec, role, dts, pts: dts, payload: payload.into(), relay }, atc)))
}
