//! FLV: tag bodies, which are RTMP's audio, video and data messages too, and files.
//!
//! Legacy bodies follow Adobe's "Video File Format Specification", version 10, annex E; enhanced ones
//! "Enhanced RTMP", versions 1 and 2 (Veovera). A body is taken apart no further than a frame needs, and
//! what isn't understood is relayed as it is.

mod audio;
mod enhanced;
pub mod file;
mod hevc;
pub mod metadata;
mod video;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::media::{Chain, Codec, Frame, Kind, Role};
use crate::wire::Malformed;

pub use file::{Demuxer, Tag};
pub use hevc::{Hevc, body_as};
pub use metadata::{Metadata, metadata, script};

/// What an empty body has for a codec: it says nothing of one. Only with [`Role::Mark`].
const NO_CODEC: Codec = Codec::Other(0);

/// Makes a frame of the body of an FLV tag or an RTMP message. `dts_us` is its timestamp in µs. The body
/// becomes the frame's `relay`, and `payload` is a slice of it.
///
/// Of a body with several tracks (Enhanced RTMP v2, multitrack) the payload is the first track's. Only
/// track 0 has headers and keyframes of a role; another track's would pass for those of the main one.
pub fn frame(kind: Kind, dts_us: i64, body: Bytes) -> Result<Frame, Malformed> {
    let parts = match kind {
        Kind::Audio => audio::parse(&body)?,
        Kind::Video => video::parse(&body)?,
        Kind::Data => return metadata::frame(dts_us, &body),
    };
    let pts = dts_us.saturating_add(i64::from(parts.composition_ms).saturating_mul(1000));
    Ok(Frame {
        kind,
        codec: parts.codec,
        role: parts.role,
        dts: dts_us,
        pts,
        payload: body.slice_ref(parts.payload).into(),
        relay: body,
    })
}

/// The body of an FLV tag or an RTMP message for a frame: the bytes that it came with or, where it came
/// from an encoder, legacy for H.264, AAC, MP3 and G.711 and enhanced for the rest.
pub fn body(frame: &Frame) -> Chain {
    if !frame.relay.is_empty() {
        return frame.relay.clone().into();
    }
    if frame.role == Role::Mark && frame.codec == NO_CODEC {
        return Chain::default();
    }
    match frame.kind {
        Kind::Audio => audio::build(frame),
        Kind::Video => video::build(frame, Hevc::Enhanced),
        Kind::Data => frame.payload.clone(),
    }
}

/// Whether there is a body for frames of this codec: FLV has had a number for JPEG that nobody ever read, and the
/// enhanced form has no name for it.
pub fn carries(codec: Codec) -> bool {
    codec != Codec::Mjpeg
}

/// The timestamp, in ms, of a frame that goes out at the time `at` (µs). It wraps at 32 bits. Metadata is of the
/// whole stream and stands at 0: FFmpeg takes it for a track of text where it stands elsewhere.
pub fn timestamp(frame: &Frame, at: i64) -> u32 {
    let is_metadata = frame.kind == Kind::Data && frame.role == Role::Header;
    if is_metadata { 0 } else { at.div_euclid(1000) as u32 }
}

/// A body: what stands before the payload, and the payload, whose bytes are shared.
fn with_payload(head: &[u8], frame: &Frame) -> Chain {
    let head = Bytes::copy_from_slice(head);
    let pieces = std::iter::once(head).chain(frame.payload.pieces().iter().cloned());
    Chain::new(pieces).lent_as(&frame.payload)
}

/// What a body says.
#[derive(Debug)]
struct Parts<'a> {
    codec: Codec,
    role: Role,
    /// Milliseconds from decoding to showing.
    composition_ms: i32,
    payload: &'a [u8],
}

impl<'a> Parts<'a> {
    fn new(codec: Codec, role: Role, payload: &'a [u8]) -> Self {
        Self { codec, role, composition_ms: 0, payload }
    }

    /// A body without anything in it.
    fn empty(body: &'a [u8]) -> Self {
        Self::new(NO_CODEC, Role::Mark, body)
    }
}
