//! Which tracks of a stream MP4 takes.

use bytes::Bytes;

use crate::fmp4;
use crate::media::{Codec, Frame, Headers, Kind, Role};

use super::recorder::Refusal;

/// What was found out about each track, so that it is asked anew only when its header changes.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    video: Option<Verdict>,
    audio: Option<Verdict>,
}

#[derive(Debug)]
struct Verdict {
    codec: Codec,
    /// The header that was judged, where the codec has one.
    header: Option<Bytes>,
    is_taken: bool,
}

impl Tracks {
    /// Whether MP4 takes the frame: none but frames to decode, of codecs that it has a mapping for and
    /// whose header is known. The first time that it doesn't, it says why.
    pub(super) fn takes(&mut self, frame: &Frame, headers: &Headers) -> Result<bool, Refusal> {
        if frame.kind == Kind::Data || !matches!(frame.role, Role::Key | Role::Delta) {
            return Ok(false);
        }
        self.judge(frame, description(frame, headers))
    }

    /// Whether MP4 takes the track with this header. The first time that it doesn't, it says why.
    pub(super) fn takes_header(&mut self, header: &Frame) -> Result<bool, Refusal> {
        self.judge(header, Some(header))
    }

    fn judge(&mut self, frame: &Frame, description: Option<&Frame>) -> Result<bool, Refusal> {
        let seen = if frame.kind == Kind::Video { &mut self.video } else { &mut self.audio };
        let header = description.filter(|_| frame.codec.has_header()).map(|d| d.payload.bytes());
        if let Some(seen) = seen
            && seen.codec == frame.codec
            && seen.header == header
        {
            return Ok(seen.is_taken);
        }
        let why = match description {
            None => Some(String::from("no sequence header has come before it")),
            Some(d) if frame.kind == Kind::Video => {
                fmp4::Tracks::new(Some(d), None).err().map(|e| e.to_string())
            }
            Some(d) => fmp4::Tracks::new(None, Some(d)).err().map(|e| e.to_string()),
        };
        *seen = Some(Verdict { codec: frame.codec, header, is_taken: why.is_none() });
        match why {
            None => Ok(true),
            Some(why) => Err(Refusal::Track { kind: frame.kind, codec: frame.codec, why }),
        }
    }
}

/// What describes the frame's track: its header or, where the codec has none, the frame itself.
pub(super) fn description<'a>(frame: &'a Frame, headers: &'a Headers) -> Option<&'a Frame> {
    if !frame.codec.has_header() {
        return Some(frame);
    }
    let header = if frame.kind == Kind::Video { &headers.video } else { &headers.audio };
    header.as_ref().filter(|header| header.codec == frame.codec)
}
