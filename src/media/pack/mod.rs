//! What an encoder hands over becomes frames: NAL units, OBUs and ADTS frames are taken out of their framing, parameter
//! sets become sequence headers, times become those of a stream. What is large is copied once, on the encoder's own
//! thread, or not at all where its memory is lent.

mod assemble;
mod audio;
mod clock;
mod input;
mod nal;
mod obu;
mod order;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use smallvec::SmallVec;

use super::frame::{Codec, Frame, Kind, Role};
use crate::wire::{Malformed, limits};
use assemble::{Finished, Times};
use audio::AudioTrack;
use clock::{Clock, Track};
use input::View;
use nal::{Extent, NalTrack};
use obu::Av1Track;
use order::Order;

pub use input::Input;

/// The frames that a write becomes: a sequence header if that changed, then the access unit.
pub type Packed = SmallVec<[Frame; 2]>;

/// The tracks of an encoder.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup<'a> {
    /// H.264, H.265, AV1 or MJPEG.
    pub video: Option<Codec>,
    /// AAC, MP3, Opus or G.711.
    pub audio: Option<Codec>,
    /// NAL units stand behind their lengths rather than start codes.
    pub length_prefixed: bool,
    /// Hz of audio; 0 as its configuration or codec says.
    pub rate: u32,
    /// Channels of audio; 0 as its configuration or codec says.
    pub channels: u32,
    /// Parameter sets that are given once: behind start codes, or a record (avcC, hvcC, av1C). May be empty.
    pub video_config: &'a [u8],
    /// An AudioSpecificConfig of raw AAC, or an OpusHead. May be empty.
    pub audio_config: &'a [u8],
}

/// What is known of a write beside its bytes. Times are in µs on the encoder's clock.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    /// Of which track.
    pub codec: Codec,
    /// When it is shown.
    pub pts: i64,
    /// When it is decoded; `None` where the encoder doesn't tell.
    pub dts: Option<i64>,
    /// It has NAL units of an access unit, rather than all of one.
    pub partial: bool,
    /// With `partial`: it has the last of them.
    pub last: bool,
    /// Players can start here though the bytes don't say so.
    pub is_key: bool,
    /// What came before has no connection with it.
    pub discontinuity: bool,
}

impl Write {
    /// All of an access unit that is decoded when it is shown.
    pub fn whole(codec: Codec, pts: i64) -> Self {
        let dts = Some(pts);
        Self { codec, pts, dts, partial: false, last: false, is_key: false, discontinuity: false }
    }
}

/// What is wrong with a write, or with what is known of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackError {
    /// No picture, no parameter set and no audio frame in it.
    Empty,
    /// The bytes don't begin with a start code.
    NoStartCode,
    /// A picture came before its parameter sets.
    NoParameterSets {
        /// Where, in bytes.
        at: usize,
    },
    /// There is more than one picture in it.
    SecondPicture {
        /// Where the second one begins, in bytes.
        at: usize,
    },
    /// It is larger than [`limits::RTMP_MESSAGE_BYTES`].
    TooLarge,
    /// It has more than [`limits::NALS_PER_ACCESS_UNIT`] NAL units.
    TooManyNals,
    /// The bitstream is broken.
    Bitstream {
        /// Where the broken part begins, in bytes.
        at: usize,
        /// How.
        cause: Malformed,
    },
    /// It is decoded after it is shown.
    DecodedLate {
        /// When it is shown.
        pts: i64,
        /// When it is decoded.
        dts: i64,
    },
    /// It is of a track that there isn't.
    NoTrack(Codec),
    /// It has NAL units of an access unit, and its codec has none.
    NoNals(Codec),
    /// A configuration is broken.
    Config {
        /// Which.
        what: &'static str,
        /// How.
        cause: Malformed,
    },
    /// A number is not one that can be.
    Setup {
        /// Which.
        what: &'static str,
        /// What it is.
        value: u32,
        /// What it may be.
        expected: &'static str,
    },
    /// Such a track is not taken from an encoder.
    NotTaken(Codec),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no picture, parameter set or audio frame in it"),
            Self::NoStartCode => f.write_str("byte 0: no Annex B start code (00 00 01 or 00 00 00 01)"),
            Self::NoParameterSets { at } => write!(
                f,
                "byte {at}: a picture came before its parameter sets (SPS and PPS; of H.265 the VPS too)"
            ),
            Self::SecondPicture { at } => {
                write!(f, "byte {at}: a second picture begins; one access unit at a time expected")
            }
            Self::TooLarge => write!(f, "an access unit of more than {} bytes", limits::RTMP_MESSAGE_BYTES),
            Self::TooManyNals => {
                write!(f, "an access unit of more than {} NAL units", limits::NALS_PER_ACCESS_UNIT)
            }
            Self::Bitstream { at, cause } => write!(f, "byte {at}: {cause}"),
            Self::DecodedLate { pts, dts } => {
                write!(f, "the decoding time {dts} is after the time of display {pts}")
            }
            Self::NoTrack(codec) => write!(f, "there is no track of {codec}"),
            Self::NoNals(codec) => write!(f, "{codec} has no NAL units to be assembled"),
            Self::Config { what, cause } => write!(f, "{what}: {cause}"),
            Self::Setup { what, value, expected } => write!(f, "{what} is {value}; {expected} expected"),
            Self::NotTaken(codec) => write!(f, "{codec} is not taken from an encoder"),
        }
    }
}

impl std::error::Error for PackError {}

/// Packs what one encoder hands over. Remembers the parameter sets in force.
#[derive(Debug)]
pub struct Packer {
    video: Option<(Codec, Video)>,
    audio: Option<(Codec, AudioTrack)>,
    clock: Clock,
    order: Order,
    /// Frames were lost: nothing can be decoded before the next keyframe.
    waits_for_key: bool,
}

#[derive(Debug)]
enum Video {
    Nal(NalTrack),
    Av1(Av1Track),
    Jpeg,
}

impl Packer {
    /// For these tracks.
    pub fn new(setup: &Setup<'_>) -> Result<Self, PackError> {
        let config = setup.video_config;
        let video = match setup.video {
            None => None,
            Some(codec @ (Codec::H264 | Codec::H265)) => {
                let mut track = NalTrack::new(codec == Codec::H265, setup.length_prefixed);
                if !config.is_empty() {
                    track.configure(config)?;
                }
                Some((codec, Video::Nal(track)))
            }
            Some(codec @ Codec::Av1) => {
                let mut track = Av1Track::default();
                if !config.is_empty() {
                    track.configure(config)?;
                }
                Some((codec, Video::Av1(track)))
            }
            Some(codec @ Codec::Mjpeg) => Some((codec, Video::Jpeg)),
            Some(codec) => return Err(PackError::NotTaken(codec)),
        };
        let audio = match setup.audio {
            None => None,
            Some(codec @ (Codec::Aac | Codec::Mp3 | Codec::Opus | Codec::G711A | Codec::G711U)) => {
                let track = AudioTrack::new(codec, setup.audio_config, setup.rate, setup.channels)?;
                Some((codec, track))
            }
            Some(codec) => return Err(PackError::NotTaken(codec)),
        };
        Ok(Self { video, audio, clock: Clock::default(), order: Order::default(), waits_for_key: false })
    }

    /// How video is coded, if there is any.
    pub fn video(&self) -> Option<Codec> {
        self.video.as_ref().map(|(codec, _)| *codec)
    }

    /// How audio is coded, if there is any.
    pub fn audio(&self) -> Option<Codec> {
        self.audio.as_ref().map(|(codec, _)| *codec)
    }

    /// Whether video is left out up to the next keyframe, since what was before it is lost.
    pub fn waits_for_key(&self) -> bool {
        self.waits_for_key
    }

    /// The frames that a write becomes; none if it has parameter sets alone, or NAL units of an access unit that isn't
    /// complete. What is refused changes nothing, and others go on.
    pub fn pack(&mut self, write: &Write, input: Input<'_>) -> Result<Packed, PackError> {
        let view = View::new(input);
        if view.len() > limits::RTMP_MESSAGE_BYTES {
            return Err(PackError::TooLarge);
        }
        if let Some(dts) = write.dts.filter(|dts| *dts > write.pts) {
            return Err(PackError::DecodedLate { pts: write.pts, dts });
        }
        let mut out = Packed::new();
        let extent = Extent {
            partial: write.partial,
            last: write.last,
            is_key: write.is_key,
            discontinuity: write.discontinuity,
        };
        let times = Times { pts: write.pts, dts: write.dts };
        if let Some((_, track)) = self.audio.as_mut().filter(|(codec, _)| *codec == write.codec) {
            let frames = track.write(&view)?;
            self.audio_frames(frames, write, &mut out);
            return Ok(out);
        }
        let Some((codec, track)) = self.video.as_mut().filter(|(codec, _)| *codec == write.codec) else {
            return Err(PackError::NoTrack(write.codec));
        };
        if write.partial && !matches!(track, Video::Nal(_)) {
            return Err(PackError::NoNals(*codec));
        }
        match track {
            Video::Nal(track) => {
                for finished in track.write(&view, times, extent)? {
                    self.video_frame(finished, &mut out);
                }
            }
            Video::Av1(track) => {
                if let Some(finished) = track.write(&view, times, extent)? {
                    self.video_frame(finished, &mut out);
                }
            }
            Video::Jpeg => {
                let finished = obu::jpeg(&view, times, extent)?;
                self.video_frame(finished, &mut out);
            }
        }
        Ok(out)
    }

    /// What has come of an access unit is all of it.
    pub fn flush(&mut self) -> Packed {
        let mut out = Packed::new();
        if let Some((_, Video::Nal(track))) = &mut self.video {
            for finished in track.flush() {
                self.video_frame(finished, &mut out);
            }
        }
        out
    }

    /// Headers that were handed out have been lost: they are due again.
    pub fn lost_headers(&mut self) {
        self.lost_video_header();
        if let Some((_, track)) = &mut self.audio {
            track.lost_header();
        }
    }

    fn lost_video_header(&mut self) {
        match &mut self.video {
            Some((_, Video::Nal(track))) => track.lost_header(),
            Some((_, Video::Av1(track))) => track.lost_header(),
            Some((_, Video::Jpeg)) | None => {}
        }
    }

    fn video_frame(&mut self, finished: Finished, out: &mut Packed) {
        let Some(codec) = self.video() else { return };
        let Finished { header, unit } = finished;
        let Times { pts, dts } = unit.times;
        self.waits_for_key |= unit.discontinuity;
        self.waits_for_key &= !unit.is_key;
        let shift = self.clock.shift(Track::Video, dts.unwrap_or(pts), unit.discontinuity);
        let pts = pts.saturating_add(shift);
        let (dts, pts, latest) = match dts {
            Some(dts) => {
                let (dts, pts) = self.order.told(dts.saturating_add(shift), pts);
                (dts, pts, dts)
            }
            None => {
                let (dts, pts) = self.order.made(pts, &unit.place);
                (dts, pts, pts)
            }
        };
        self.clock.went(Track::Video, dts, latest);
        if self.waits_for_key {
            if header.is_some() {
                self.lost_video_header();
            }
            return;
        }
        if let Some(record) = header {
            out.push(self::header(Kind::Video, codec, dts, record));
        }
        let role = if unit.is_key { Role::Key } else { Role::Delta };
        let (kind, payload, relay) = (Kind::Video, unit.payload(), Bytes::new());
        out.push(Frame { kind, codec, role, dts, pts, payload, relay });
    }

    fn audio_frames(
        &mut self,
        frames: impl IntoIterator<Item = audio::AudioFrame>,
        write: &Write,
        out: &mut Packed,
    ) {
        let shift = self.clock.shift(Track::Audio, write.pts, write.discontinuity);
        let start = write.pts.saturating_add(shift);
        for frame in frames {
            let time = start.saturating_add(frame.at);
            let pts = self.clock.floor(Track::Audio).map_or(time, |floor| time.max(floor));
            self.clock.went(Track::Audio, pts, pts);
            if let Some(record) = frame.header {
                out.push(header(Kind::Audio, write.codec, pts, record));
            }
            out.push(Frame {
                kind: Kind::Audio,
                codec: write.codec,
                role: Role::Key,
                dts: pts,
                pts,
                payload: frame.payload,
                relay: Bytes::new(),
            });
        }
    }
}

fn header(kind: Kind, codec: Codec, dts: i64, payload: Bytes) -> Frame {
    Frame { kind, codec, role: Role::Header, dts, pts: dts, payload: payload.into(), relay: Bytes::new() }
}
