//! Frames as RTMP players get them.

use bytes::{Bytes, BytesMut};

use super::chunk;
use super::message::type_id;
use super::{AUDIO_CSID, DATA_CSID, VIDEO_CSID};
use crate::flv;
use crate::media::{Frame, Headers, Kind};

/// The wire image of a frame: one message, whole in itself, so that every player of the same chunk size
/// and message stream can be sent the same bytes.
pub fn image(frame: &Frame, chunk_size: u32, stream: u32) -> Bytes {
    image_at(frame, frame.dts, chunk_size, stream)
}

/// The wire images of the headers, one after the other, given at the time `at` (µs).
pub fn headers(headers: &Headers, at: i64, chunk_size: u32, stream: u32) -> Bytes {
    let mut out = BytesMut::new();
    for frame in headers.iter() {
        out.extend_from_slice(&image_at(frame, at, chunk_size, stream));
    }
    out.freeze()
}

fn image_at(frame: &Frame, at: i64, chunk_size: u32, stream: u32) -> Bytes {
    let (csid, type_id) = match frame.kind {
        Kind::Audio => (AUDIO_CSID, type_id::AUDIO),
        Kind::Video => (VIDEO_CSID, type_id::VIDEO),
        Kind::Data => (DATA_CSID, type_id::DATA_AMF0),
    };
    // RTMP's milliseconds wrap at 32 bits (RTMP 1.0, 5.3.1).
    let timestamp = at.div_euclid(1000) as u32;
    chunk::image(chunk_size, csid, timestamp, type_id, stream, &flv::body(frame))
}
