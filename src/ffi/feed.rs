//! What the host hands over, on its way into the library: names of streams, frames of encoders.

use std::ffi::c_char;

use super::convert::{optional_text, read, text};
use super::types::*;
use crate::error::{Code, Error, Result};
use crate::media::{AudioFormat, PackError, Packed, Packer};
#[cfg(any(feature = "hls", feature = "dvr"))]
use crate::media::{Frame, Role};
use crate::wire::limits;

/// What makes frames of an encoder's access units, by the tracks that were named beforehand.
#[derive(Debug)]
pub(super) struct Feed {
    packer: Packer,
    video: bool,
    audio: Option<AudioFormat>,
    /// What is held until every track has come.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    start: Option<Start>,
}

/// How much is held for a track that doesn't come.
#[cfg(any(feature = "hls", feature = "dvr"))]
const START_BYTES: usize = 4 * 1024 * 1024;
/// How long, in µs of the other track.
#[cfg(any(feature = "hls", feature = "dvr"))]
const START_US: i64 = 2_000_000;

#[cfg(any(feature = "hls", feature = "dvr"))]
#[derive(Debug, Default)]
struct Start {
    headers: Vec<Frame>,
    frames: Vec<Frame>,
    bytes: usize,
}

/// The tracks of a config.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tracks {
    pub(super) video_codec: i32,
    pub(super) audio_codec: i32,
    pub(super) audio_config: *const u8,
    pub(super) audio_config_size: usize,
}

impl Feed {
    /// # Safety
    /// `audio_config` is NULL or has as many readable bytes as it says.
    pub(super) unsafe fn new(tracks: Tracks) -> Result<Self> {
        let wrong = |what: &str, value: i32, expected: &str| {
            Error::new(Code::InvalidArgument, format!("{what} is {value}; {expected} expected"))
        };
        let video = match tracks.video_codec {
            CAMRILL_CODEC_NONE => false,
            CAMRILL_CODEC_H264 => true,
            other => return Err(wrong("video_codec", other, "CAMRILL_CODEC_H264 or CAMRILL_CODEC_NONE")),
        };
        let mut packer = Packer::default();
        let audio = match tracks.audio_codec {
            CAMRILL_CODEC_NONE => None,
            CAMRILL_CODEC_AAC if tracks.audio_config.is_null() => Some(AudioFormat::Adts),
            CAMRILL_CODEC_AAC => {
                let size = tracks.audio_config_size.min(limits::AMF_STRING_BYTES);
                // SAFETY: not NULL, and that many bytes by the caller's contract.
                let bytes = unsafe { std::slice::from_raw_parts(tracks.audio_config, size) };
                packer.aac_config(bytes).map_err(|e| {
                    Error::new(Code::InvalidArgument, format!("audio_config is no AudioSpecificConfig: {e}"))
                })?;
                Some(AudioFormat::Raw)
            }
            other => return Err(wrong("audio_codec", other, "CAMRILL_CODEC_AAC or CAMRILL_CODEC_NONE")),
        };
        if !video && audio.is_none() {
            return Err(Error::new(Code::InvalidArgument, "neither video_codec nor audio_codec is set"));
        }
        Ok(Self {
            packer,
            video,
            audio,
            #[cfg(any(feature = "hls", feature = "dvr"))]
            start: Some(Start::default()),
        })
    }

    /// The frames that an access unit becomes.
    pub(super) fn pack(&mut self, codec: i32, data: &[u8], pts: i64, dts: i64) -> Result<Packed> {
        let bad = |e: PackError| Error::new(Code::BadFrame, e.to_string());
        match (codec, self.audio) {
            (CAMRILL_CODEC_H264, _) if self.video => self.packer.h264(data, pts, dts).map_err(bad),
            (CAMRILL_CODEC_AAC, Some(format)) => self.packer.aac(format, data, pts).map_err(bad),
            (other, _) => {
                let message = format!("codec is {other}, which is none of the tracks that were named");
                Err(Error::new(Code::InvalidArgument, message))
            }
        }
    }

    /// The same for what has no stream in between: nothing comes before the first keyframe, and then nothing
    /// before every track has shown what it is, for a while, so that no file begins with one track alone.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    pub(super) fn pack_whole(&mut self, codec: i32, data: &[u8], pts: i64, dts: i64) -> Result<Packed> {
        let packed = self.pack(codec, data, pts, dts)?;
        let Some(start) = &mut self.start else { return Ok(packed) };
        for frame in packed {
            if frame.role == Role::Header {
                start.headers.retain(|header| header.kind != frame.kind);
                start.headers.push(frame);
            } else if frame.is_video_key() || !self.video || !start.frames.is_empty() {
                start.bytes = start.bytes.saturating_add(frame.size());
                start.frames.push(frame);
            }
        }
        let tracks = usize::from(self.video) + usize::from(self.audio.is_some());
        let first = start.frames.first().map_or(dts, |first| first.dts);
        let waits = start.headers.len() < tracks
            && start.bytes < START_BYTES
            && (0..START_US).contains(&dts.saturating_sub(first));
        if waits || start.frames.is_empty() {
            return Ok(Packed::new());
        }
        let start = self.start.take().unwrap_or_default();
        Ok(start.headers.into_iter().chain(start.frames).collect())
    }

    /// Headers that were packed went nowhere: they come again with the next frame of their track.
    pub(super) fn lost_headers(&mut self) {
        self.packer.lost_headers();
    }
}

/// A frame as the host gives it, and its bytes.
///
/// # Safety
/// `frame` is NULL, or valid and its data readable for `'a`.
pub(super) unsafe fn frame_and_data<'a>(
    frame: *const camrill_frame_t,
) -> Result<(camrill_frame_t, &'a [u8])> {
    // SAFETY: the caller's contract.
    let frame = unsafe { read(frame) }?;
    if frame.data.is_null() || frame.size == 0 {
        return Err(Error::new(Code::InvalidArgument, "the frame has no data"));
    }
    if frame.size > limits::RTMP_MESSAGE_BYTES {
        return Err(Error::new(Code::BadFrame, PackError::TooLarge.to_string()));
    }
    // SAFETY: not NULL, and `size` bytes by the caller's contract.
    let data = unsafe { std::slice::from_raw_parts(frame.data, frame.size) };
    Ok((frame, data))
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
