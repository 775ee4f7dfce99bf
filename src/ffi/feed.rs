//! What the host hands over, on its way into the library: names of streams, frames of encoders.

use std::ffi::c_char;

use smallvec::SmallVec;

use super::convert::{optional_text, read, text};
use super::types::*;
use crate::error::{Code, Error, Result};
use crate::media::{AudioFormat, Input, PackError, Packed, Packer};
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

impl Feed {
    /// # Safety
    /// The buffers of `tracks` are NULL or have as many readable bytes as it says.
    pub(super) unsafe fn new(tracks: &camrill_tracks_t) -> Result<Self> {
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
    pub(super) fn pack(&mut self, frame: &camrill_frame_t, input: Input<'_>) -> Result<Packed> {
        let (codec, pts, dts) = (frame.codec, frame.pts_us, frame.dts_us);
        let data = match input {
            Input::Copied(pieces) => pieces.concat(),
            Input::Lent(pieces) => pieces.concat(),
        };
        let data = &data[..];
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
    pub(super) fn pack_whole(&mut self, frame: &camrill_frame_t, input: Input<'_>) -> Result<Packed> {
        let dts = frame.dts_us;
        let packed = self.pack(frame, input)?;
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
