//! Playlists as they are read (RFC 8216, rfc8216bis): text in, what it names out.
//!
//! URIs stay as they stand: references (RFC 3986, 4.1) relative to the playlist's own URL. Tags that say
//! nothing about which bytes to fetch are passed over, those of low latency among them: parts come again as
//! whole segments.

mod attributes;
mod parser;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::wire::limits;

/// A playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Playlist {
    /// Of segments.
    Media(Media),
    /// Of media playlists: a multivariant, or master, playlist.
    Master(Master),
}

/// A media playlist (RFC 8216, 4.3.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Media {
    /// EXT-X-VERSION; 1 if it isn't told.
    pub version: u64,
    /// EXT-X-TARGETDURATION, in µs.
    pub target_us: i64,
    /// EXT-X-MEDIA-SEQUENCE: the number of the first segment.
    pub media_sequence: u64,
    /// EXT-X-PLAYLIST-TYPE.
    pub kind: Option<MediaKind>,
    /// Nothing will be added to it: it has EXT-X-ENDLIST, or is of the type VOD.
    pub ended: bool,
    /// The segments, at most [`limits::M3U8_SEGMENTS`].
    pub segments: Vec<Segment>,
}

impl Media {
    /// The media sequence number behind the last segment.
    pub fn end(&self) -> u64 {
        self.media_sequence.saturating_add(self.segments.len() as u64)
    }

    /// The segment of this media sequence number.
    pub fn segment(&self, number: u64) -> Option<&Segment> {
        self.segments.get(usize::try_from(number.checked_sub(self.media_sequence)?).ok()?)
    }
}

/// What becomes of a media playlist (RFC 8216, 4.3.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// Segments are only added.
    Event,
    /// Nothing changes.
    Vod,
}

/// A media segment (RFC 8216, 4.3.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// Where it is.
    pub uri: String,
    /// EXTINF, in µs.
    pub duration_us: i64,
    /// Which bytes of it, if not all.
    pub range: Option<Range<u64>>,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// The discontinuity sequence number.
    pub discontinuity_sequence: u64,
    /// How it is encrypted.
    pub key: Option<Arc<Key>>,
    /// What its container needs before it.
    pub map: Option<Arc<Map>>,
    /// EXT-X-PROGRAM-DATE-TIME: when its first frame was taken, in ms since 1970. Only where it is told and
    /// is a date.
    pub date_ms: Option<i64>,
    /// EXT-X-GAP: it isn't there, and is not to be fetched.
    pub gap: bool,
}

/// An AES-128 key (RFC 8216, 4.3.2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where its 16 bytes are.
    pub uri: String,
    /// The initialization vector; if there is none it is the segment's media sequence number.
    pub iv: Option<[u8; 16]>,
}

/// A media initialization section (RFC 8216, 4.3.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Where it is.
    pub uri: String,
    /// Which bytes of it, if not all.
    pub range: Option<Range<u64>>,
    /// How it is encrypted; always with an initialization vector.
    pub key: Option<Arc<Key>>,
}

/// A multivariant playlist (RFC 8216, 4.3.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Master {
    /// EXT-X-STREAM-INF; at least one, at most [`limits::M3U8_VARIANTS`].
    pub variants: Vec<Variant>,
    /// EXT-X-MEDIA of the type AUDIO, at most [`limits::M3U8_VARIANTS`].
    pub audio: Vec<Rendition>,
}

/// One of the streams to choose from (RFC 8216, 4.3.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its media playlist.
    pub uri: String,
    /// The most that it and its renditions take, in bits per second.
    pub bandwidth: u64,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// The formats of all that it has (RFC 6381), separated by commas.
    pub codecs: Option<String>,
    /// The GROUP-ID of its audio.
    pub audio: Option<String>,
}

/// A rendition of audio (RFC 8216, 4.3.4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// GROUP-ID.
    pub group: String,
    /// NAME.
    pub name: String,
    /// LANGUAGE (RFC 5646).
    pub language: Option<String>,
    /// It is what is played where nobody has chosen.
    pub default: bool,
    /// Its media playlist; `None` if the audio is in the variant itself.
    pub uri: Option<String>,
}

/// Why a text is no playlist, or none that can be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1 on; 0 where it is none in particular.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It doesn't begin with EXTM3U.
    NotAPlaylist,
    /// It has more than [`limits::M3U8_BYTES`].
    TooLong,
    /// The line has more than [`limits::M3U8_LINE_BYTES`].
    LineTooLong,
    /// There are more than so many.
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A tag doesn't hold what it has to.
    Tag {
        /// The tag, without `#`.
        tag: &'static str,
        /// What it has to hold.
        expected: &'static str,
    },
    /// Segments are encrypted in a way that isn't known: the method, or the key's format.
    Encryption(String),
    /// A URI without the tag that says what it is.
    Uri,
    /// A tag of media playlists and one of multivariant playlists.
    Mixed,
    /// A media playlist without EXT-X-TARGETDURATION.
    NoTargetDuration,
    /// A multivariant playlist without a variant.
    NoVariant,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        match &self.fault {
            Fault::NotAPlaylist => f.write_str("#EXTM3U was expected"),
            Fault::TooLong => write!(f, "at most {} bytes were expected", limits::M3U8_BYTES),
            Fault::LineTooLong => write!(f, "at most {} bytes were expected", limits::M3U8_LINE_BYTES),
            Fault::TooMany { what, limit } => write!(f, "at most {limit} {what} were expected"),
            Fault::Tag { tag, expected } => write!(f, "#{tag}: {expected} was expected"),
            Fault::Encryption(how) => {
                write!(f, "#EXT-X-KEY: encrypted by {how:?}; AES-128 with a plain key was expected")
            }
            Fault::Uri => f.write_str("a URI; #EXTINF or #EXT-X-STREAM-INF was expected before it"),
            Fault::Mixed => f.write_str("tags of segments and of variants; one kind was expected"),
            Fault::NoTargetDuration => f.write_str("#EXT-X-TARGETDURATION was expected"),
            Fault::NoVariant => f.write_str("#EXT-X-STREAM-INF was expected"),
        }
    }
}

impl std::error::Error for Error {}

impl Playlist {
    /// Reads a playlist. Bytes that aren't UTF-8 are let stand for something that names nothing: they are in
    /// titles, which nobody needs.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        parser::parse(bytes)
    }
}
