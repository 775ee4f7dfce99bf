//! The tracks of a file or a stream, made of their headers.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::adapt;
use super::boxes;
use super::codecs::{self, Entry};
use super::moov::{self, ChunkOffsets, Tables, Trak};
use crate::media::{Codec, Frame, Kind, Role, video_track};
use crate::wire::Malformed;

/// One video track, one audio track, or both. Two that are equal have the same init segment; where a
/// stream's tracks are no longer equal to those that were written, a new one must go before what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracks {
    video: Option<Track>,
    audio: Option<Track>,
}

/// What a track is in MP4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) codec: Codec,
    pub(super) timescale: u32,
    /// The sample entry's type.
    format: boxes::Name,
    /// The configuration's box, whole.
    config: Bytes,
    name: String,
    width: u16,
    height: u16,
    channels: u8,
    bits: u8,
}

/// Why there are no tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTracks {
    /// Neither video nor audio was given.
    None,
    /// The codec has no place in MP4, or none that players know.
    Unsupported(Codec),
    /// The frame is not a header of its track, nor one of MP3 or G.711.
    NotHeader(Codec),
    /// The header of a track with this codec isn't one.
    Malformed(Codec, Malformed),
}

impl fmt::Display for NotTracks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("neither a video nor an audio track"),
            Self::Unsupported(codec) => write!(f, "{codec} has no mapping to MP4 that players know"),
            Self::NotHeader(codec) => write!(f, "the frame of {codec} is not its track's header"),
            Self::Malformed(codec, e) => write!(f, "the header of {codec}: {e}"),
        }
    }
}

impl std::error::Error for NotTracks {}

impl Tracks {
    /// From the tracks' headers or, for MP3, G.711 and JPEG, which have none, from any frame of it. At least one.
    ///
    /// A track of G.711 is one of FLAC: its frames are to be made into that by an [`Adapter`](super::Adapter).
    /// VP8 and what is relayed without being understood are refused: there is no sample entry that
    /// browsers and players take. The caller may go on with the other track.
    pub fn new(video: Option<&Frame>, audio: Option<&Frame>) -> Result<Self, NotTracks> {
        if video.is_none() && audio.is_none() {
            return Err(NotTracks::None);
        }
        let video = video.map(|frame| Track::new(Kind::Video, frame)).transpose()?;
        let audio = audio.map(|frame| Track::new(Kind::Audio, frame)).transpose()?;
        Ok(Self { video, audio })
    }

    /// With the picture's size, in pixels, where the header didn't say (VP9's never does). Without it some
    /// players refuse the track; the stream's metadata may know.
    #[must_use]
    pub fn with_size(mut self, width: u32, height: u32) -> Self {
        if let (Some(video), Ok(width), Ok(height)) =
            (&mut self.video, u16::try_from(width), u16::try_from(height))
            && (video.width == 0 || video.height == 0)
        {
            (video.width, video.height) = (width, height);
        }
        self
    }

    /// The init segment: `ftyp` and `moov` (8.16.1, and "CMAF", 7.3.1 where there is one track only).
    pub fn init(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(1024);
        let ftyp = boxes::begin(&mut out, b"ftyp");
        out.put_slice(b"iso6\0\0\0\0iso6isommp41");
        if self.video.is_none() || self.audio.is_none() {
            out.put_slice(b"cmfc");
        }
        boxes::end(&mut out, ftyp);
        let traks: Vec<Trak> = self.kinds().map(|(kind, track)| track.trak(kind)).collect();
        moov::write(&traks, true, ChunkOffsets::Short(0), &mut out);
        out.freeze()
    }

    /// The tracks' codecs as MIME types and playlists name them (RFC 6381), video first:
    /// `avc1.64001f,mp4a.40.2`. MP3 is `mp4a.6B`, or `mp4a.69` at 24 kHz and below; FLAC is `fLaC`.
    pub fn codecs(&self) -> String {
        let mut all = String::new();
        for (_, track) in self.kinds() {
            if !all.is_empty() {
                all.push(',');
            }
            all.push_str(&track.name);
        }
        all
    }

    /// The video track's codec.
    pub fn video(&self) -> Option<Codec> {
        self.video.as_ref().map(|t| t.codec)
    }

    /// The audio track's codec.
    pub fn audio(&self) -> Option<Codec> {
        self.audio.as_ref().map(|t| t.codec)
    }

    /// Width and height in pixels; `None` without video, or where they aren't known.
    pub fn resolution(&self) -> Option<(u32, u32)> {
        let video = self.video.as_ref().filter(|t| t.width > 0 && t.height > 0)?;
        Some((video.width.into(), video.height.into()))
    }

    pub(super) fn track(&self, kind: Kind) -> Option<&Track> {
        match kind {
            Kind::Video => self.video.as_ref(),
            Kind::Audio => self.audio.as_ref(),
            Kind::Data => None,
        }
    }

    /// The track by whose time the file goes: video, or else audio.
    pub(super) fn main(&self) -> Option<(Kind, &Track)> {
        self.kinds().next()
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (Kind, &Track)> {
        [Kind::Video, Kind::Audio].into_iter().filter_map(|kind| Some((kind, self.track(kind)?)))
    }
}

impl Track {
    fn new(kind: Kind, frame: &Frame) -> Result<Self, NotTracks> {
        let codec = frame.codec;
        let is_header = frame.role == if codec.has_header() { Role::Header } else { Role::Key };
        // A codec of the other kind has no place in this track either.
        let is_audio =
            matches!(codec, Codec::Aac | Codec::Mp3 | Codec::Opus | Codec::Flac) || adapt::is_due(codec);
        let entry = codecs::entry(frame).ok_or(NotTracks::Unsupported(codec))?;
        if frame.kind != kind || is_audio != (kind == Kind::Audio) || !is_header {
            return Err(NotTracks::NotHeader(codec));
        }
        let Entry { format, config, timescale, channels, bits, name } =
            entry.map_err(|e| NotTracks::Malformed(codec, e))?;
        let size = video_track(frame).map_or((0, 0), |t| (t.width, t.height));
        let width = u16::try_from(size.0).unwrap_or(0);
        let height = u16::try_from(size.1).unwrap_or(0);
        let codec = if adapt::is_due(codec) { Codec::Flac } else { codec };
        Ok(Self { codec, timescale, format, config, name, width, height, channels, bits })
    }

    fn trak(&self, kind: Kind) -> Trak {
        Trak {
            kind,
            timescale: self.timescale,
            width: self.width,
            height: self.height,
            descriptions: self.descriptions(kind),
            start: 0,
            media_time: 0,
            duration: 0,
            tables: Tables::default(),
        }
    }

    /// `stsd` with its one sample entry (8.5.2, 12.1.3, 12.2.3).
    fn descriptions(&self, kind: Kind) -> Bytes {
        let mut out = BytesMut::with_capacity(self.config.len().saturating_add(128));
        let stsd = boxes::begin_full(&mut out, b"stsd", 0, 0);
        out.put_u32(1);
        let entry = boxes::begin(&mut out, &self.format);
        out.put_bytes(0, 6);
        out.put_u16(1); // data_reference_index
        if kind == Kind::Video {
            out.put_bytes(0, 16);
            out.put_u16(self.width);
            out.put_u16(self.height);
            out.put_u32(72 << 16); // dots per inch
            out.put_u32(72 << 16);
            out.put_u32(0);
            out.put_u16(1); // frame_count
            out.put_bytes(0, 32); // compressorname
            out.put_u16(24); // depth: colour without alpha
            out.put_i16(-1);
        } else {
            out.put_bytes(0, 8);
            out.put_u16(self.channels.into());
            out.put_u16(self.bits.into()); // samplesize
            out.put_u32(0);
            // 16.16; a rate beyond 65535 stands in the configuration only, FLAC's divided here (its 3.3.1).
            let fits = |rate: &u32| self.codec == Codec::Flac || *rate == self.timescale;
            let rates = [self.timescale, self.timescale / 2, self.timescale / 4];
            let rate = rates.iter().filter(|rate| fits(rate)).find_map(|rate| u16::try_from(*rate).ok());
            out.put_u16(rate.unwrap_or(0));
            out.put_u16(0);
        }
        out.put_slice(&self.config);
        boxes::end(&mut out, entry);
        boxes::end(&mut out, stsd);
        out.freeze()
    }
}
