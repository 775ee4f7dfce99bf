//! The two tracks of a program: what their headers say, and how their frames become bytes.

use std::fmt;

use bytes::Bytes;

use super::packet::{PES_DATA_MAX, Pes};
use crate::codec::aac::{AdtsHeader, AudioSpecificConfig};
use crate::codec::avcc::length_prefixed_nals;
use crate::codec::mp3::Mp3Header;
use crate::codec::{h264, h265};
use crate::media::{Codec, Frame, Nal, Role, START_CODE, VideoConfig};
use crate::wire::Malformed;

/// An access unit delimiter that says nothing of the pictures' types.
const H264_AUD: &[u8] = &[0, 0, 0, 1, h264::NAL_AUD, 0xf0];
/// The same for H.265, whose header has two bytes.
const H265_AUD: &[u8] = &[0, 0, 0, 1, h265::NAL_AUD << 1, 1, 0x50];
/// Samples of a raw AAC frame: ADTS has no way to say 960.
const AAC_SAMPLES: u32 = 1024;

/// A codec that isn't written to transport streams; `Display` says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported {
    /// The codec.
    pub codec: Codec,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.codec {
            Codec::G711A | Codec::G711U => f.write_str("G.711 has no mapping in MPEG-TS"),
            codec @ (Codec::Av1 | Codec::Opus) => write!(f, "{codec} in MPEG-TS is read by few players"),
            codec => write!(f, "{codec} has no mapping in MPEG-TS"),
        }
    }
}

impl std::error::Error for Unsupported {}

/// Why a frame was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The codec isn't written to transport streams.
    Unsupported(Unsupported),
    /// The header that frames of this codec need hasn't come.
    NoHeader(Codec),
    /// The frame or header isn't what its codec says.
    Malformed(Malformed),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(e) => e.fmt(f),
            Self::NoHeader(codec) => write!(f, "a frame of {codec} before its sequence header"),
            Self::Malformed(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Malformed> for Refused {
    fn from(e: Malformed) -> Self {
        Self::Malformed(e)
    }
}

impl From<Unsupported> for Refused {
    fn from(e: Unsupported) -> Self {
        Self::Unsupported(e)
    }
}

/// Whether a codec is written to transport streams: H.264, H.265, AAC and MP3 are.
pub fn carries(codec: Codec) -> Result<(), Unsupported> {
    match codec {
        Codec::H264 | Codec::H265 | Codec::Aac | Codec::Mp3 => Ok(()),
        codec => Err(Unsupported { codec }),
    }
}

/// The video track.
#[derive(Debug)]
pub(super) struct Video {
    pub(super) codec: Codec,
    /// What the header says, once it has come.
    pub(super) config: Option<VideoConfig>,
}

impl Video {
    /// stream_type (table 2-34).
    pub(super) fn stream_type(&self) -> u8 {
        if self.codec == Codec::H265 { 0x24 } else { 0x1b }
    }
}

/// Reads an access unit through, so that a malformed one is refused before anything is written.
pub(super) fn access_unit<'a>(config: &'a VideoConfig, frame: &Frame) -> Result<AccessUnit<'a>, Malformed> {
    let payload = frame.payload.bytes();
    let mut len = delimiter(config).len();
    let mut entry = frame.role == Role::Key;
    let (mut seen, mut empty) = (0u8, true);
    for nal in length_prefixed_nals(&payload, config.length_size) {
        let nal = nal?;
        match config.kind(nal) {
            Nal::Delimiter => continue,
            Nal::Entry => entry = true,
            Nal::ParameterSet(kind) => seen |= kind,
            Nal::Other => {}
        }
        empty = false;
        len = len.saturating_add(START_CODE.len()).saturating_add(nal.len());
    }
    if empty {
        return Err(Malformed::Truncated { needed: 1, had: 0 });
    }
    let parameter_sets = config.lacking(entry, seen);
    len = len.saturating_add(parameter_sets.len());
    Ok(AccessUnit { config, payload, parameter_sets, len })
}

fn delimiter(config: &VideoConfig) -> &'static [u8] {
    if config.h265 { H265_AUD } else { H264_AUD }
}

/// An access unit that has been read through.
pub(super) struct AccessUnit<'a> {
    config: &'a VideoConfig,
    payload: Bytes,
    /// What the access unit lacks of them.
    parameter_sets: &'a [u8],
    /// Bytes that [`AccessUnit::put`] puts.
    pub(super) len: usize,
}

impl AccessUnit<'_> {
    pub(super) fn put(&self, pes: &mut Pes<'_>) {
        // A delimiter of the encoder's gives way to ours, so that there is one and it stands first.
        pes.put(delimiter(self.config));
        pes.put(self.parameter_sets);
        for nal in length_prefixed_nals(&self.payload, self.config.length_size).flatten() {
            if !matches!(self.config.kind(nal), Nal::Delimiter) {
                pes.put(&START_CODE);
                pes.put(nal);
            }
        }
    }
}

/// The audio track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audio {
    /// AAC; what its header says, once it has come.
    Aac(Option<AacConfig>),
    /// MP3, and whether at the lower rates of MPEG-2.
    Mp3 { lower: bool },
}

/// How raw AAC frames are framed, and how long each lasts, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AacConfig {
    adts: AdtsHeader,
    duration_us: i64,
}

impl AacConfig {
    pub(super) fn parse(config: &[u8]) -> Result<Self, Malformed> {
        let sample_rate = AudioSpecificConfig::parse(config)?.sample_rate;
        Ok(Self { adts: AdtsHeader::new(config)?, duration_us: duration_us(AAC_SAMPLES, sample_rate) })
    }
}

impl Audio {
    /// stream_type (table 2-34).
    pub(super) fn stream_type(&self) -> u8 {
        match self {
            Self::Aac(_) => 0x0f,
            Self::Mp3 { lower: false } => 0x03,
            Self::Mp3 { lower: true } => 0x04,
        }
    }
}

/// An audio frame that has been read through.
#[derive(Debug, Clone)]
pub(super) struct AudioFrame {
    adts: Option<[u8; AdtsHeader::LEN]>,
    pub(super) payload: Bytes,
    pub(super) duration_us: i64,
}

impl AudioFrame {
    /// Reads a frame of `track`, or the first frame of a track of MP3. Answers the track that there is
    /// from now on.
    pub(super) fn parse(frame: &Frame, track: Option<Audio>) -> Result<(Self, Audio), Refused> {
        let payload = frame.payload.bytes();
        if payload.is_empty() {
            return Err(Malformed::Truncated { needed: 1, had: 0 }.into());
        }
        match (frame.codec, track) {
            (Codec::Aac, Some(track @ Audio::Aac(Some(config)))) => {
                let adts = Some(config.adts.of_frame(payload.len())?);
                Ok((Self { adts, payload, duration_us: config.duration_us }, track))
            }
            (Codec::Mp3, _) => {
                let header = Mp3Header::parse(&payload)?;
                if payload.len() > PES_DATA_MAX {
                    let limit = u32::try_from(PES_DATA_MAX).unwrap_or(u32::MAX);
                    return Err(Malformed::Limit { what: "audio frame in a PES packet", limit }.into());
                }
                let duration_us = duration_us(header.samples_per_frame, header.sample_rate);
                let track = Audio::Mp3 { lower: header.sample_rate < 32000 };
                Ok((Self { adts: None, payload, duration_us }, track))
            }
            (codec, _) => Err(Refused::NoHeader(codec)),
        }
    }

    /// What goes before the payload.
    pub(super) fn header(&self) -> &[u8] {
        self.adts.as_ref().map_or(&[], |adts| &adts[..])
    }

    /// Bytes of header and payload.
    pub(super) fn len(&self) -> usize {
        self.header().len().saturating_add(self.payload.len())
    }
}

fn duration_us(samples: u32, sample_rate: u32) -> i64 {
    i64::from(samples).saturating_mul(1_000_000).checked_div(i64::from(sample_rate)).unwrap_or(0)
}
