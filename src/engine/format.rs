//! The formats that players get frames in: what names each one's lane, and what makes its images.

use std::borrow::Cow;

use bytes::Bytes;

use super::Engine;
use crate::hub::{LaneKey, Player, Stream};
use crate::media::{Frame, Headers, Mux, Ring};
use crate::rtmp::relay;
use crate::time::Time;

#[cfg(feature = "http")]
use super::web::live::Live;

/// How a player gets frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// RTMP messages of one message stream, in chunks of one size.
    Rtmp { message_stream: u32, chunk_size: u32 },
    /// The body of an HTTP response, or WebSocket messages.
    #[cfg(feature = "http")]
    Http(Live),
}

impl Format {
    /// The lane of images in this format.
    pub(super) fn lane(self) -> LaneKey {
        match self {
            Self::Rtmp { message_stream, chunk_size } => {
                LaneKey::Free(u64::from(message_stream) << 32 | u64::from(chunk_size))
            }
            #[cfg(feature = "http")]
            Self::Http(live) => live.lane(),
        }
    }

    /// What makes the images.
    pub(super) fn mux(self) -> Box<dyn Mux> {
        match self {
            Self::Rtmp { message_stream, chunk_size } => Box::new(RtmpMux { message_stream, chunk_size }),
            #[cfg(feature = "http")]
            Self::Http(live) => live.mux(),
        }
    }

    /// Whether enough is known of the stream to begin.
    #[cfg_attr(not(feature = "http"), allow(unused_variables))]
    pub(super) fn may_start(self, now: Time, stream: &Stream) -> bool {
        match self {
            Self::Rtmp { .. } => true,
            #[cfg(feature = "http")]
            Self::Http(live) => live.may_start(now, stream),
        }
    }

    /// What a player who starts is told of the tracks: the stream's headers, and more where it takes more.
    #[cfg_attr(not(feature = "http"), allow(unused_variables))]
    pub(super) fn headers<'a>(self, ring: &Ring, headers: &'a Headers) -> Cow<'a, Headers> {
        match self {
            Self::Rtmp { .. } => Cow::Borrowed(headers),
            #[cfg(feature = "http")]
            Self::Http(live) => live.headers(ring, headers),
        }
    }

    /// What is sent before everything else, once.
    #[cfg_attr(not(feature = "http"), allow(unused_variables))]
    pub(super) fn opening(self, stream: &Stream, player: &mut Player) -> Bytes {
        match self {
            Self::Rtmp { .. } => Bytes::new(),
            #[cfg(feature = "http")]
            Self::Http(live) => live.opening(stream, player),
        }
    }
}

impl Engine {
    /// What makes the wire images of a format, for those who measure it: `rtmp` (in chunks of 60,000
    /// bytes), or a suffix that players over HTTP ask for. `None` if there is no such format.
    #[doc(hidden)]
    #[cfg_attr(not(feature = "http"), allow(unused_variables))]
    pub fn mux(suffix: &str, websocket: bool) -> Option<Box<dyn Mux>> {
        if suffix == "rtmp" {
            return Some(Format::Rtmp { message_stream: 1, chunk_size: 60_000 }.mux());
        }
        #[cfg(feature = "http")]
        return super::web::live::mux(suffix, websocket);
        #[cfg(not(feature = "http"))]
        return None;
    }
}

#[derive(Debug)]
struct RtmpMux {
    message_stream: u32,
    chunk_size: u32,
}

impl Mux for RtmpMux {
    fn start(&mut self, _: &Headers) {}

    fn image(&mut self, frame: &Frame) -> Bytes {
        relay::image(frame, self.chunk_size, self.message_stream)
    }

    fn preamble(&mut self, headers: &Headers, at: i64) -> Bytes {
        relay::headers(headers, at, self.chunk_size, self.message_stream)
    }
}
