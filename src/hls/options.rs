//! What a writer is told beforehand.

use std::fmt;

use crate::template::Unsafe;

/// The container of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// MPEG-TS: H.264, H.265, AAC, MP3.
    #[default]
    Ts,
    /// Fragmented MP4: what MPEG-TS has, AV1, VP9, Opus, FLAC, and G.711 as FLAC.
    Fmp4,
}

/// How segments are encrypted: AES-128 (RFC 8216, 4.3.2.4), with the media sequence number as IV.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// 32 random bytes, secret and new for each writer: the keys are drawn from them.
    pub seed: [u8; 32],
    /// Segments for which one key is used, 1 or more.
    pub fragments_per_key: u32,
    /// The URL of the folder that players fetch keys from; empty where keys lie beside the playlist.
    pub url: String,
    /// A key's file, as in `[app]/[stream]-[seq].key`; `[seq]` is its first segment's number.
    pub file: String,
}

impl fmt::Debug for Keys {
    /// Without the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("fragments_per_key", &self.fragments_per_key)
            .field("url", &self.url)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// What a writer is told beforehand; the defaults are SRS's. Names of files have the variables of
/// [`crate::template`], and are relative to one folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The container.
    pub format: Format,
    /// How long a segment is at least, in µs; 0.1 s to 600 s, what is beyond is taken as that.
    pub fragment_us: i64,
    /// How long the playlist is at least, in µs. Three target durations are kept in any case (RFC 8216,
    /// 6.2.2).
    pub window_us: i64,
    /// The target duration is at least this multiple of `fragment_us`.
    pub td_ratio: f64,
    /// The first segment, which the target duration is found by, is at most this multiple of `fragment_us`.
    pub aof_ratio: f64,
    /// Whether segments wait for a keyframe to end.
    pub wait_keyframe: bool,
    /// Whether `[timestamp]` counts fragments since 1970, and not milliseconds.
    pub ts_floor: bool,
    /// Low latency: how long a part is at most, in µs. A part holds at least one frame, so it is longer
    /// where frames are.
    pub part_us: Option<i64>,
    /// Encryption.
    pub keys: Option<Keys>,
    /// What stands before names in the playlist; empty for names relative to it.
    pub entry_prefix: String,
    /// The playlist's file.
    pub playlist: String,
    /// A segment's file. In low latency its name is given before its end, and `[duration]` is 0.
    pub segment: String,
    /// The initialization section's file. One that replaces another has its first segment's number beside it.
    pub init: String,
    /// `[vhost]`
    pub vhost: String,
    /// `[app]`
    pub app: String,
    /// `[stream]`
    pub stream: String,
    /// Whether video is carried.
    pub video: bool,
    /// Whether audio is carried.
    pub audio: bool,
    /// Whether decoding times are taken as they came. If not, those of AAC and MP3 are counted in samples
    /// as long as what came is less than half a frame away: that takes out the rounding to milliseconds.
    pub dts_directly: bool,
    /// Whether the writer keeps what it makes and answers for files.
    pub keep_bytes: bool,
    /// Bytes kept at most. What has left the playlist goes first, then the playlist's oldest segments; the
    /// newest stays. A segment ends at a third of it.
    pub max_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Ts,
            fragment_us: 10_000_000,
            window_us: 60_000_000,
            td_ratio: 1.0,
            aof_ratio: 2.1,
            wait_keyframe: true,
            ts_floor: false,
            part_us: None,
            keys: None,
            entry_prefix: String::new(),
            playlist: "[app]/[stream].m3u8".into(),
            segment: "[app]/[stream]-[seq].ts".into(),
            init: "[app]/[stream]/init.mp4".into(),
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            stream: "livestream".into(),
            video: true,
            audio: true,
            dts_directly: true,
            keep_bytes: true,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Why there can be no such writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// A name leads out of its folder.
    Name(Unsafe),
    /// Parts are of fragmented MP4 only.
    PartsOfTs,
    /// Fragmented MP4 is not encrypted: its initialization section would need a key and an IV of its own,
    /// which players differ about.
    KeysOfFmp4,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(cause) => cause.fmt(f),
            Self::PartsOfTs => f.write_str("low latency needs fragmented MP4"),
            Self::KeysOfFmp4 => f.write_str("only MPEG-TS segments are encrypted"),
        }
    }
}

impl std::error::Error for Invalid {}

impl From<Unsafe> for Invalid {
    fn from(cause: Unsafe) -> Self {
        Self::Name(cause)
    }
}
