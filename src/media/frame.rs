//! One frame: an access unit, a codec's configuration, or a stream's metadata.

use std::fmt;

use bytes::Bytes;

use super::chain::Chain;

/// What a frame is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The audio track.
    Audio,
    /// The video track.
    Video,
    /// Data beside the tracks: metadata, captions, cue points.
    Data,
}

/// How a track is coded, or that the frame is data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264, payload as length-prefixed NAL units, header an AVCDecoderConfigurationRecord.
    H264,
    /// H.265, payload as length-prefixed NAL units, header an HEVCDecoderConfigurationRecord.
    H265,
    /// AV1, payload as a temporal unit, header an AV1CodecConfigurationRecord.
    Av1,
    /// VP9, header a VPCodecConfigurationRecord.
    Vp9,
    /// VP8.
    Vp8,
    /// JPEG pictures, no header.
    Mjpeg,
    /// AAC, payload as raw frames, header an AudioSpecificConfig.
    Aac,
    /// MP3, no header.
    Mp3,
    /// Opus, header an OpusHead.
    Opus,
    /// FLAC, header the file's marker and metadata blocks, or a STREAMINFO alone.
    Flac,
    /// G.711 A-law, no header.
    G711A,
    /// G.711 µ-law, no header.
    G711U,
    /// A codec that is relayed without being understood: its id in FLV (0 to 15) or its FourCC.
    Other(u32),
    /// An AMF0 script message: its name (`onMetaData`, …) and its values.
    Script,
}

impl Codec {
    /// Whether frames need a header (a sequence header) before the first of them can be decoded.
    pub fn has_header(self) -> bool {
        matches!(self, Self::H264 | Self::H265 | Self::Av1 | Self::Vp9 | Self::Aac | Self::Opus | Self::Flac)
    }
}

impl fmt::Display for Codec {
    /// The names that SRS's API uses for the codecs that it knows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "H264",
            Self::H265 => "HEVC",
            Self::Av1 => "AV1",
            Self::Vp9 => "VP9",
            Self::Vp8 => "VP8",
            Self::Mjpeg => "MJPEG",
            Self::Aac => "AAC",
            Self::Mp3 => "MP3",
            Self::Opus => "Opus",
            Self::Flac => "FLAC",
            Self::G711A => "PCMA",
            Self::G711U => "PCMU",
            Self::Script => "Script",
            Self::Other(id) if *id < 16 => return write!(f, "FLV{id}"),
            Self::Other(id) => {
                for b in id.to_be_bytes() {
                    write!(f, "{}", if b.is_ascii_graphic() { b as char } else { '?' })?;
                }
                return Ok(());
            }
        })
    }
}

/// What a frame is to those who join, drop or cut a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Needed before the frames that follow: a sequence header, or the stream's metadata.
    Header,
    /// Decodable by itself: a video keyframe, any audio frame.
    Key,
    /// Decodable only after others.
    Delta,
    /// Carries nothing to decode: an end of sequence, an empty audio frame, a command frame. Relayed.
    Mark,
}

/// One frame of a stream. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which track.
    pub kind: Kind,
    /// How it is coded.
    pub codec: Codec,
    /// What it is to those who join, drop or cut.
    pub role: Role,
    /// When it is decoded, in µs on the stream's own clock. Never wraps.
    pub dts: i64,
    /// When it is shown, in µs on the stream's own clock.
    pub pts: i64,
    /// The access unit, header or values, as [`Codec`] says.
    pub payload: Chain,
    /// The bytes that it came with, where it came in a container: an FLV tag's body, with `payload` a
    /// slice of it. Empty for frames from an encoder. It is relayed as it is.
    pub relay: Bytes,
}

impl Frame {
    /// The bytes that this frame holds in memory.
    pub fn size(&self) -> usize {
        if self.relay.is_empty() { self.payload.len() } else { self.relay.len() }
    }

    /// Whether a player can start here: a video keyframe.
    pub fn is_video_key(&self) -> bool {
        self.kind == Kind::Video && self.role == Role::Key
    }
}
