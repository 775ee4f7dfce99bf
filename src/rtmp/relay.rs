//! Frames as RTMP players get them, and servers that are forwarded to.

use bytes::{Bytes, BytesMut};

use super::chunk;
use super::message::type_id;
use super::{AUDIO_CSID, DATA_CSID, VIDEO_CSID};
use crate::amf::amf0;
use crate::flv::{self, Hevc};
use crate::media::{Chain, Frame, Headers, Kind, Role};

/// The wire image of a frame: one message, whole in itself, so that every peer of the same chunk size
/// and message stream can be sent the same bytes. Empty where RTMP has no place for its codec.
pub fn image(frame: &Frame, chunk_size: u32, stream: u32) -> Chain {
    image_at(frame, frame.dts, &flv::body(frame), chunk_size, stream)
}

/// A frame as a server gets it that we publish to: H.265 in the form that it knows, metadata for it to keep.
/// Empty where the frame has no such form.
pub fn image_as(frame: &Frame, hevc: Hevc, chunk_size: u32, stream: u32) -> Chain {
    match body_as(frame, hevc) {
        Some(body) => image_at(frame, frame.dts, &body, chunk_size, stream),
        None => Chain::default(),
    }
}

/// The wire images of the headers, one after the other, given at the time `at` (µs).
pub fn headers(headers: &Headers, at: i64, chunk_size: u32, stream: u32) -> Bytes {
    let bodies = headers.iter().map(|frame| (frame, flv::body(frame)));
    all_at(bodies, at, chunk_size, stream)
}

/// The headers as a server gets them that we publish to; see [`image_as`].
pub fn headers_as(headers: &Headers, hevc: Hevc, at: i64, chunk_size: u32, stream: u32) -> Bytes {
    let bodies = headers.iter().filter_map(|frame| Some((frame, body_as(frame, hevc)?)));
    all_at(bodies, at, chunk_size, stream)
}

/// The body of the message that a server gets.
pub(super) fn body_as(frame: &Frame, hevc: Hevc) -> Option<Chain> {
    let body = flv::body_as(frame, hevc)?;
    if frame.kind != Kind::Data || frame.role != Role::Header {
        return Some(body);
    }
    let mut kept = BytesMut::with_capacity(body.len().saturating_add(16));
    amf0::string(&mut kept, "@setDataFrame");
    body.put(&mut kept);
    Some(kept.freeze().into())
}

fn all_at<'a>(
    bodies: impl Iterator<Item = (&'a Frame, Chain)>,
    at: i64,
    chunk_size: u32,
    stream: u32,
) -> Bytes {
    let mut out = BytesMut::new();
    for (frame, body) in bodies {
        image_at(frame, at, &body, chunk_size, stream).put(&mut out);
    }
    out.freeze()
}

fn image_at(frame: &Frame, at: i64, body: &Chain, chunk_size: u32, stream: u32) -> Chain {
    if !flv::carries(frame.codec) {
        return Chain::default();
    }
    let (csid, type_id) = channel(frame.kind);
    chunk::image(chunk_size, csid, flv::timestamp(frame, at), type_id, stream, body)
}

/// The chunk stream and the message type of frames of a kind.
pub(super) fn channel(kind: Kind) -> (u32, u8) {
    match kind {
        Kind::Audio => (AUDIO_CSID, type_id::AUDIO),
        Kind::Video => (VIDEO_CSID, type_id::VIDEO),
        Kind::Data => (DATA_CSID, type_id::DATA_AMF0),
    }
}
