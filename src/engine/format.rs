//! The formats that players get frames in: what names each one's lane, and what makes its images.

use std::borrow::Cow;

use bytes::Bytes;

use super::Engine;
use crate::flv::Hevc;
use crate::hub::{LaneKey, Player, Stream};
use crate::media::{Chain, Frame, Headers, Mux, Ring};
use crate::rtmp::relay;
use crate::time::Time;

#[cfg(feature = "http")]
use super::web::live::Live;

/// How a player gets frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// RTMP messages.
    Rtmp(Rtmp),
    /// The body of an HTTP response, or WebSocket messages.
    #[cfg(feature = "http")]
    Http(Live),
}

/// RTMP messages of one message stream, in chunks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rtmp {
    message_stream: u32,
    chunk_size: u32,
    /// The form of H.265 where it goes to a server; a player gets what came.
    server: Option<Hevc>,
}

impl Rtmp {
    /// For a player.
    pub(super) fn player(message_stream: u32, chunk_size: u32) -> Self {
        Self { message_stream, chunk_size, server: None }
    }

    /// For a server that we publish to.
    pub(super) fn server(message_stream: u32, chunk_size: u32, hevc: Hevc) -> Self {
        Self { message_stream, chunk_size, server: Some(hevc) }
    }

    fn lane(self) -> LaneKey {
        let receiver = match self.server {
            None => 0,
            Some(Hevc::Enhanced) => 1,
            Some(Hevc::Legacy) => 2,
        };
        // A chunk size has 24 bits.
        LaneKey::Free(u64::from(self.message_stream) << 32 | receiver << 24 | u64::from(self.chunk_size))
    }
}

impl Format {
    /// The lane of images in this format.
    pub(super) fn lane(self) -> LaneKey {
        match self {
            Self::Rtmp(rtmp) => rtmp.lane(),
            #[cfg(feature = "http")]
            Self::Http(live) => live.lane(),
        }
    }

    /// What makes the images.
    pub(super) fn mux(self) -> Box<dyn Mux> {
        match self {
            Self::Rtmp(rtmp) => Box::new(rtmp),
            #[cfg(feature = "http")]
            Self::Http(live) => live.mux(),
        }
    }

    /// Whether enough is known of the stream to begin, whose publish may be one that `ends`.
    #[cfg_attr(not(feature = "http"), allow(unused_variables))]
    pub(super) fn may_start(self, now: Time, stream: &Stream, ends: bool) -> bool {
        match self {
            Self::Rtmp(_) => true,
            #[cfg(feature = "http")]
            Self::Http(live) => live.may_start(now, stream, ends),
        }
    }

    /// What a player who starts is told of the tracks: the stream's headers, and more where it takes more.
    #[cfg_attr(not(feature = "http"), allow(unused_variables))]
    pub(super) fn headers<'a>(self, ring: &Ring, headers: &'a Headers) -> Cow<'a, Headers> {
        match self {
            Self::Rtmp(_) => Cow::Borrowed(headers),
            #[cfg(feature = "http")]
            Self::Http(live) => live.headers(ring, headers),
        }
    }

    /// What is sent before everything else, once.
    #[cfg_attr(not(feature = "http"), allow(unused_variables))]
    pub(super) fn opening(self, stream: &Stream, player: &mut Player) -> Bytes {
        match self {
            Self::Rtmp(_) => Bytes::new(),
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
            return Some(Box::new(Rtmp::player(1, 60_000)));
        }
        #[cfg(feature = "http")]
        return super::web::live::mux(suffix, websocket);
        #[cfg(not(feature = "http"))]
        {
            let _ = websocket;
            None
        }
    }
}

impl Mux for Rtmp {
    fn start(&mut self, _: &Headers) {}

    fn image(&mut self, frame: &Frame) -> Chain {
        match self.server {
            None => relay::image(frame, self.chunk_size, self.message_stream),
            Some(hevc) => relay::image_as(frame, hevc, self.chunk_size, self.message_stream),
        }
    }

    fn preamble(&mut self, headers: &Headers, at: i64) -> Bytes {
        match self.server {
            None => relay::headers(headers, at, self.chunk_size, self.message_stream),
            Some(hevc) => relay::headers_as(headers, hevc, at, self.chunk_size, self.message_stream),
        }
    }
}
