//! What is recorded, where to, and when a file ends.

use crate::media::Correction;

/// What a file's name is where the path names only a folder, as in SRS.
const NAME: &str = "[stream].[timestamp].flv";

/// The container of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// FLV: takes every codec.
    Flv,
    /// Fragmented MP4: takes the codecs that MP4 has a mapping for. Script messages are left out.
    Mp4,
}

/// When a file ends (`dvr_plan`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// With the publish.
    Session,
    /// After [`Options::duration_us`], at the next keyframe, or with the publish.
    Segment,
    /// With the publish, and the next one goes on in the same file. Only FLV files can be gone on with
    /// once they are closed: with MP4 this is [`Plan::Session`].
    Append,
}

/// How a stream is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The file's name, with the variables of [`crate::template`]; `[timestamp]` is in ms since 1970,
    /// `[seq]` counts this recorder's files from 0, and `[duration]` is 0, as a name is given before it is
    /// known. The suffix says the format: `.mp4`, or else FLV. A path that ends in neither `.flv` nor
    /// `.mp4` is a folder.
    pub path: String,
    /// `[vhost]`
    pub vhost: String,
    /// `[app]`
    pub app: String,
    /// `[stream]`
    pub stream: String,
    /// When a file ends.
    pub plan: Plan,
    /// How long a file of [`Plan::Segment`] is, in µs. It ends at the first keyframe thereafter.
    pub duration_us: i64,
    /// Whether a file begins at a keyframe only. Without video any frame of audio will do.
    pub wait_keyframe: bool,
    /// How the timestamps of each file are corrected. But for [`Correction::Off`] they begin at zero.
    pub jitter: Correction,
    /// MP4: whether a file that has ended is to be rewritten with its index in front.
    pub faststart: bool,
    /// FLV: whether `onMetaData` gets an index of the keyframes.
    pub keyframe_index: bool,
    /// Whether frames are written only between [`super::Recorder::start`] and [`super::Recorder::stop`].
    pub on_demand: bool,
    /// How much of what came before `start` is written too, in µs; as much more as its GOP has. Zero is
    /// nothing: the file begins with the next keyframe.
    pub preroll_us: i64,
    /// The most memory that this may take, in bytes.
    pub preroll_bytes: usize,
    /// MP4: how long a fragment is at most, in µs: what a power cut may cost. Zero is a GOP,
    /// or 10 s.
    pub fragment_us: i64,
    /// How long a publisher may be away, in µs, for the file to go on.
    pub keep_us: u64,
}

impl Default for Options {
    /// The configuration's defaults, for a stream that has no name yet.
    fn default() -> Self {
        Self {
            path: String::from("[app]"),
            vhost: String::new(),
            app: String::new(),
            stream: String::new(),
            plan: Plan::Session,
            duration_us: 30_000_000,
            wait_keyframe: true,
            jitter: Correction::FULL,
            faststart: false,
            keyframe_index: false,
            on_demand: false,
            preroll_us: 0,
            preroll_bytes: 8 * 1024 * 1024,
            fragment_us: 1_000_000,
            keep_us: 0,
        }
    }
}

impl Options {
    /// The container that the path's suffix asks for.
    pub fn format(&self) -> Format {
        if self.path.ends_with(".mp4") { Format::Mp4 } else { Format::Flv }
    }

    /// The path with a file's name at its end.
    pub(super) fn template(&self) -> String {
        template_of(&self.path)
    }
}

/// The path with a file's name at its end.
pub(super) fn template_of(path: &str) -> String {
    match path {
        _ if path.ends_with(".flv") || path.ends_with(".mp4") => path.to_owned(),
        _ if path.is_empty() || path.ends_with('/') => [path, NAME].concat(),
        _ => [path, "/", NAME].concat(),
    }
}
