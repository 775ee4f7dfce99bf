//! What the host hands over, on its way into the library: names of streams, frames of encoders.

use std::ffi::c_char;

use smallvec::SmallVec;

use super::convert::{optional_text, read, text};
use super::types::*;
use crate::error::{Code, Error, Result};
use crate::media::{Codec, Input, PackError, Packed, Packer, Setup, Write};
#[cfg(any(feature = "hls", feature = "dvr"))]
use crate::media::{Frame, Kind, Role};
use crate::wire::limits;

/// What makes frames of an encoder's access units, by the tracks that were named beforehand.
#[derive(Debug)]
pub(super) struct Feed {
    packer: Packer,
    /// What is held until every track has come.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    start: Option<Start>,
}

/// What is taken as video, and as audio.
const VIDEO_CODECS: [i32; 4] =
    [CAMRILL_CODEC_H264, CAMRILL_CODEC_H265, CAMRILL_CODEC_AV1, CAMRILL_CODEC_MJPEG];
const AUDIO_CODECS: [i32; 5] =
    [CAMRILL_CODEC_AAC, CAMRILL_CODEC_MP3, CAMRILL_CODEC_OPUS, CAMRILL_CODEC_G711A, CAMRILL_CODEC_G711U];
/// What a frame's flags may be.
const FRAME_FLAGS: u32 =
    CAMRILL_FRAME_NAL | CAMRILL_FRAME_LAST | CAMRILL_FRAME_KEY | CAMRILL_FRAME_DISCONTINUITY;

/// How much is held for a track that doesn't come.
#[cfg(any(feature = "hls", feature = "dvr"))]
const START_BYTES: usize = 4 * 1024 * 1024;
/// How long, in µs of the other track.
#[cfg(any(feature = "hls", feature = "dvr"))]
const START_US: i64 = 2_000_000;

#[cfg(any(feature = "hls", feature = "dvr"))]
#[derive(Debug)]
struct Start {
    headers: Vec<Frame>,
    frames: Vec<Frame>,
    bytes: usize,
    /// The latest time that has come.
    latest: i64,
}

#[cfg(any(feature = "hls", feature = "dvr"))]
impl Default for Start {
    fn default() -> Self {
        Self { headers: Vec::new(), frames: Vec::new(), bytes: 0, latest: i64::MIN }
    }
}

impl Feed {
    /// # Safety
    /// The buffers of `tracks` are NULL or have as many readable bytes as it says.
    pub(super) unsafe fn new(tracks: &camrill_tracks_t) -> Result<Self> {
        let wrong = |message: String| Error::new(Code::InvalidArgument, message);
        let codec = |what: &str, code: i32, taken: &[i32]| {
            if code == CAMRILL_CODEC_NONE {
                return Ok(None);
            }
            let known = codec(code).filter(|_| taken.contains(&code));
            known.map(Some).ok_or_else(|| {
                wrong(format!("{what} is {code}; one of {taken:?} (CAMRILL_CODEC_…) or 0 for none expected"))
            })
        };
        let video = codec("video_codec", tracks.video_codec, &VIDEO_CODECS)?;
        let audio = codec("audio_codec", tracks.audio_codec, &AUDIO_CODECS)?;
        if video.is_none() && audio.is_none() {
            return Err(wrong("neither video_codec nor audio_codec is set".into()));
        }
        let length_prefixed = match tracks.video_format {
            CAMRILL_FORMAT_ANNEXB => false,
            CAMRILL_FORMAT_LENGTH_PREFIXED => true,
            other => {
                return Err(wrong(format!(
                    "video_format is {other}; CAMRILL_FORMAT_ANNEXB or CAMRILL_FORMAT_LENGTH_PREFIXED expected"
                )));
            }
        };
        // SAFETY: the caller's contract.
        let (video_config, audio_config) = unsafe {
            (
                buffer("video_config", tracks.video_config, tracks.video_config_size)?,
                buffer("audio_config", tracks.audio_config, tracks.audio_config_size)?,
            )
        };
        let packer = Packer::new(&Setup {
            video,
            audio,
            length_prefixed,
            rate: tracks.audio_rate,
            channels: tracks.audio_channels,
            video_config,
            audio_config,
        });
        Ok(Self {
            packer: packer.map_err(|e| wrong(e.to_string()))?,
            #[cfg(any(feature = "hls", feature = "dvr"))]
            start: Some(Start::default()),
        })
    }

    /// The frames that a write becomes.
    pub(super) fn pack(&mut self, frame: &camrill_frame_t, input: Input<'_>) -> Result<Packed> {
        let wrong = |message: String| Error::new(Code::InvalidArgument, message);
        let tracks = [self.packer.video(), self.packer.audio()];
        let codec = codec(frame.codec).filter(|codec| tracks.contains(&Some(*codec)));
        let codec = codec.ok_or_else(|| {
            wrong(format!("codec is {}, which is none of the tracks that were named", frame.codec))
        })?;
        if frame.pts_us == CAMRILL_TIME_NONE {
            return Err(wrong("pts_us is CAMRILL_TIME_NONE; a time expected".into()));
        }
        if frame.flags & !FRAME_FLAGS != 0 {
            return Err(wrong(format!("flags is {}; some of CAMRILL_FRAME_… expected", frame.flags)));
        }
        let has = |flag: u32| frame.flags & flag != 0;
        let write = Write {
            codec,
            pts: frame.pts_us,
            // Audio is heard in the order in which it is decoded.
            dts: (frame.dts_us != CAMRILL_TIME_NONE && tracks.first() == Some(&Some(codec)))
                .then_some(frame.dts_us),
            partial: has(CAMRILL_FRAME_NAL),
            last: has(CAMRILL_FRAME_LAST),
            is_key: has(CAMRILL_FRAME_KEY),
            discontinuity: has(CAMRILL_FRAME_DISCONTINUITY),
        };
        self.packer.pack(&write, input).map_err(|e| {
            let code = match e {
                PackError::NoTrack(_) | PackError::NoNals(_) => Code::InvalidArgument,
                _ => Code::BadFrame,
            };
            Error::new(code, e.to_string())
        })
    }

    /// What has come of an access unit is all of it.
    pub(super) fn flush(&mut self) -> Packed {
        self.packer.flush()
    }

    /// Whether video is left out up to the next keyframe, since what was before it is lost.
    pub(super) fn waits_for_key(&self) -> bool {
        self.packer.waits_for_key()
    }

    /// The same for what has no stream in between: nothing comes before the first keyframe, and then nothing
    /// before every track has shown what it is, for a while, so that no file begins with one track alone.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    pub(super) fn pack_whole(&mut self, frame: &camrill_frame_t, input: Input<'_>) -> Result<Packed> {
        let packed = self.pack(frame, input)?;
        Ok(self.hold(packed, false))
    }

    /// What is held and what has come of an access unit is all there is.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    pub(super) fn flush_whole(&mut self) -> Packed {
        let packed = self.flush();
        self.hold(packed, true)
    }

    #[cfg(any(feature = "hls", feature = "dvr"))]
    fn hold(&mut self, packed: Packed, is_end: bool) -> Packed {
        let Some(start) = &mut self.start else { return packed };
        let has_video = self.packer.video().is_some();
        for frame in packed {
            start.latest = start.latest.max(frame.dts);
            if frame.role == Role::Header {
                start.headers.retain(|header| header.kind != frame.kind);
                start.headers.push(frame);
            } else if frame.is_video_key() || !has_video || !start.frames.is_empty() {
                start.bytes = start.bytes.saturating_add(frame.size());
                start.frames.push(frame);
            }
        }
        let shows = |kind: Kind, codec: Codec| {
            let all = if codec.has_header() { &start.headers } else { &start.frames };
            all.iter().any(|frame| frame.kind == kind)
        };
        let is_complete = self.packer.video().is_none_or(|codec| shows(Kind::Video, codec))
            && self.packer.audio().is_none_or(|codec| shows(Kind::Audio, codec));
        let first = start.frames.first().map_or(start.latest, |first| first.dts);
        let waits = !is_end
            && !is_complete
            && start.bytes < START_BYTES
            && (0..START_US).contains(&start.latest.saturating_sub(first));
        if waits || start.frames.is_empty() {
            return Packed::new();
        }
        let start = self.start.take().unwrap_or_default();
        start.headers.into_iter().chain(start.frames).collect()
    }

    /// Headers that were packed went nowhere: they come again with the next frame of their track.
    pub(super) fn lost_headers(&mut self) {
        self.packer.lost_headers();
    }
}

/// The codec of a number.
fn codec(number: i32) -> Option<Codec> {
    Some(match number {
        CAMRILL_CODEC_H264 => Codec::H264,
        CAMRILL_CODEC_H265 => Codec::H265,
        CAMRILL_CODEC_AV1 => Codec::Av1,
        CAMRILL_CODEC_MJPEG => Codec::Mjpeg,
        CAMRILL_CODEC_AAC => Codec::Aac,
        CAMRILL_CODEC_MP3 => Codec::Mp3,
        CAMRILL_CODEC_OPUS => Codec::Opus,
        CAMRILL_CODEC_G711A => Codec::G711A,
        CAMRILL_CODEC_G711U => Codec::G711U,
        _ => return None,
    })
}

/// A buffer of a config; empty where it is NULL.
///
/// # Safety
/// `data` is NULL or has `size` bytes that stay readable for `'a`.
unsafe fn buffer<'a>(what: &str, data: *const u8, size: usize) -> Result<&'a [u8]> {
    let wrong = |message: String| Error::new(Code::InvalidArgument, message);
    if data.is_null() {
        return match size {
            0 => Ok(&[]),
            _ => Err(wrong(format!("{what} is NULL, and its size {size}"))),
        };
    }
    if !(1..=limits::TRACK_CONFIG_BYTES).contains(&size) {
        return Err(wrong(format!("{what} has {size} bytes; 1 to {} expected", limits::TRACK_CONFIG_BYTES)));
    }
    // SAFETY: not NULL, and that many bytes by the caller's contract.
    Ok(unsafe { std::slice::from_raw_parts(data, size) })
}

/// The bytes of a frame, in their order.
pub(super) type Pieces<'a> = SmallVec<[&'a [u8]; 4]>;

/// A frame as the host gives it, and its bytes.
///
/// # Safety
/// `frame` is NULL, or valid and its data readable for `'a`.
pub(super) unsafe fn frame_and_pieces<'a>(
    frame: *const camrill_frame_t,
) -> Result<(camrill_frame_t, Pieces<'a>)> {
    let wrong = |message: String| Error::new(Code::InvalidArgument, message);
    // SAFETY: the caller's contract.
    let frame = unsafe { read(frame) }?;
    let mut pieces = Pieces::new();
    if frame.iov.is_null() {
        if frame.iov_count != 0 {
            return Err(wrong(format!("iov is NULL, and iov_count {}", frame.iov_count)));
        }
        if frame.data.is_null() || frame.size == 0 {
            return Err(wrong("the frame has no data".into()));
        }
        // SAFETY: not NULL, and `size` bytes by the caller's contract.
        pieces.push(unsafe { slice(frame.data, frame.size) }?);
        return Ok((frame, pieces));
    }
    if !frame.data.is_null() || frame.size != 0 {
        return Err(wrong("the frame has both data and iov; one of them expected".into()));
    }
    if !(1..=limits::FRAME_PIECES).contains(&frame.iov_count) {
        let message = format!("iov_count is {}; 1 to {} expected", frame.iov_count, limits::FRAME_PIECES);
        return Err(wrong(message));
    }
    // SAFETY: not NULL, and so many of them by the caller's contract.
    let given = unsafe { std::slice::from_raw_parts(frame.iov, frame.iov_count) };
    let mut left = limits::RTMP_MESSAGE_BYTES;
    for (i, piece) in given.iter().enumerate() {
        if piece.size == 0 {
            continue;
        }
        if piece.data.is_null() {
            return Err(wrong(format!("iov[{i}].data is NULL, and its size {}", piece.size)));
        }
        left = left.checked_sub(piece.size).ok_or_else(too_large)?;
        // SAFETY: not NULL, and `size` bytes by the caller's contract.
        pieces.push(unsafe { slice(piece.data, piece.size) }?);
    }
    if pieces.is_empty() {
        return Err(wrong("the frame has no data: all of iov is empty".into()));
    }
    Ok((frame, pieces))
}

/// # Safety
/// `data` is not NULL and has `size` bytes that stay readable for `'a`.
unsafe fn slice<'a>(data: *const u8, size: usize) -> Result<&'a [u8]> {
    if size > limits::RTMP_MESSAGE_BYTES {
        return Err(too_large());
    }
    // SAFETY: the caller's contract; a slice has at most isize::MAX bytes.
    Ok(unsafe { std::slice::from_raw_parts(data, size) })
}

fn too_large() -> Error {
    Error::new(Code::BadFrame, PackError::TooLarge.to_string())
}

/// The three parts of a stream's name, checked as those of a network publisher are.
///
/// # Safety
/// The strings are NULL or end in NUL and outlive the result.
pub(super) unsafe fn names<'a>(
    vhost: *const c_char,
    app: *const c_char,
    name: *const c_char,
) -> Result<(&'a str, &'a str, &'a str)> {
    // SAFETY: the caller's contract.
    let (vhost, app, name) =
        unsafe { (optional_text(vhost, "vhost")?, text(app, "app")?, text(name, "name")?) };
    for (what, part) in [("vhost", vhost), ("app", app), ("name", name)] {
        let empty = part.is_empty() && what != "vhost";
        let slash = part.contains('/') && what != "app";
        let dots = part.split('/').any(|segment| segment == "..");
        if empty || slash || dots || part.len() > limits::NAME_BYTES || part.chars().any(char::is_control) {
            let message = format!("{what} is {part:?}; a name of 1 to {} bytes expected", limits::NAME_BYTES);
            return Err(Error::new(Code::InvalidArgument, message));
        }
    }
    Ok((vhost, app, name))
}
