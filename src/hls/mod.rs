//! HLS (RFC 8216 and rfc8216bis): frames in, segments, parts and playlists out; and the other way round, in
//! [`client`], by playlists as [`m3u8`] reads them.
//!
//! A [`Writer`] makes the media playlist of one stream. It is given every frame in order and the wall
//! clock, and gives out what is to be kept elsewhere ([`Output`]); kept in memory, it answers requests for
//! playlists and files itself ([`Answer`]).
//!
//! # Where segments end
//!
//! * At the first keyframe from `fragment_us` on, or at any video frame where `wait_keyframe` is off.
//! * At an earlier keyframe, where a GOP as long as the last would lead beyond the target duration.
//! * Without a keyframe, before a frame that would lead beyond the target duration or
//!   [`crate::wire::limits::HLS_SEGMENT_BYTES`]. A stream without keyframes is still cut.
//! * Audio alone: at any frame from `fragment_us` on. Each of its frames can be started at, so it needs
//!   no `aof_ratio`.
//!
//! # The target duration
//!
//! `EXT-X-TARGETDURATION` may not change while a playlist lives (rfc8216bis, 6.2.1), but how long GOPs are
//! is known only when some were seen. So it is chosen when the first segment ends, before which there is
//! no playlist: the largest of `fragment_us` × `td_ratio`, that segment, and what whole GOPs of the longest
//! length seen make of `fragment_us`. The first segment itself is bounded by `fragment_us` × `aof_ratio`.
//!
//! # Discontinuities
//!
//! `EXT-X-DISCONTINUITY` stands before the first segment after a publish that follows another, after a leap
//! of the timestamps, and after a change of codec, parameter sets or tracks. A change waits for the frame
//! at which a segment may begin; frames of a changed audio track are left out until then.
//!
//! # What HLS can't carry
//!
//! G.711 goes into fragmented MP4 as FLAC, which browsers play; MPEG-TS has no place for it, nor for Opus here.
//! A track whose codec the container has no place for is left out, and said to be
//! ([`Output::LeftOut`]). Where no track remains there is no playlist ([`Output::Refused`]).

mod cipher;
pub mod client;
mod list;
pub mod m3u8;
mod names;
mod options;
mod pack;
mod playlist;
mod recover;
mod writer;

#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use options::{Format, Invalid, Keys, Options};
pub use writer::Writer;

use crate::media::Codec;

/// What a [`Writer`] gives out, in the order in which a directory needs it: what a playlist names comes
/// before the playlist, what it no longer names comes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An initialization section (`EXT-X-MAP`).
    Init {
        /// Its file.
        name: String,
        /// All of it.
        bytes: Bytes,
    },
    /// A key (`EXT-X-KEY`).
    Key {
        /// Its file.
        name: String,
        /// The key.
        bytes: [u8; 16],
    },
    /// A part of the segment that has begun (`EXT-X-PART`).
    Part {
        /// Its file.
        name: String,
        /// All of it.
        bytes: Bytes,
    },
    /// A segment that has ended.
    Segment(Closed),
    /// The playlist, changed.
    Playlist {
        /// Its file.
        name: String,
        /// All of it.
        text: Bytes,
    },
    /// A file that no playlist names any more, and that nobody should be fetching any more.
    Expired {
        /// The file.
        name: String,
    },
    /// A track can't be carried; the stream goes on without it. Once per publish and codec.
    LeftOut {
        /// How it is coded.
        codec: Codec,
    },
    /// No track of this publish can be carried. Once per publish.
    Refused {
        /// How the track is coded that was left out last.
        codec: Codec,
    },
}

/// A segment that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its file.
    pub name: String,
    /// Its URI in the playlist.
    pub uri: String,
    /// All of it, encrypted where `keys` says so.
    pub bytes: Bytes,
    /// Its media sequence number.
    pub seq: u64,
    /// How long it is, in µs.
    pub duration_us: i64,
    /// When it began, in ms since 1970.
    pub date_ms: i64,
    /// Whether it begins with a keyframe.
    pub independent: bool,
    /// Whether it doesn't continue the segment before it.
    pub discontinuity: bool,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Here it is.
    Ready(Bytes),
    /// It is to come: ask again when frames were written, and answer 503 after three target durations
    /// (rfc8216bis, 6.2.5.2).
    NotYet,
    /// The request makes no sense: 400.
    BadRequest,
    /// There is no such thing, or no longer: 404.
    Absent,
}

/// The delivery directives of a playlist's request (rfc8216bis, 6.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reload {
    /// `_HLS_msn`: the segment to wait for.
    pub msn: Option<u64>,
    /// `_HLS_part`: the part of it to wait for.
    pub part: Option<u64>,
    /// `_HLS_skip`: whether a delta update will do.
    pub skip: bool,
}

impl Reload {
    /// Reads a URL's query, without its `?`. `None` where a number isn't one: 400.
    pub fn parse(query: &str) -> Option<Self> {
        let mut reload = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "_HLS_msn" => reload.msn = Some(decimal(value)?),
                "_HLS_part" => reload.part = Some(decimal(value)?),
                "_HLS_skip" => reload.skip = matches!(value, "YES" | "v2"),
                _ => {}
            }
        }
        Some(reload)
    }
}

/// A decimal-integer (RFC 8216, 4.2), which has no sign.
fn decimal(text: &str) -> Option<u64> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}
