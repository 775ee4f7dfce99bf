//! Frames out of MP4, fragmented or not: of a file that can be read anywhere, and of a stream as it comes.

mod config;
mod samples;
mod stream;
#[cfg(test)]
mod tests;
mod track;

use std::fmt;
use std::ops::Range;

use super::boxes::{Boxes, Header, version_and_flags};
use super::scan::{Wanted, missing};
use super::{TFHD_BASE_DATA_OFFSET, TFHD_BASE_IS_MOOF, TFHD_DESCRIPTION};
use crate::media::{Kind, Packed};
use crate::wire::{Malformed, Reader, limits};

pub use stream::Demuxer;
use track::Track;

/// Bytes of a box's header whose size has 32 bits.
const HEADER_BYTES: usize = 8;

/// Why there are no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemuxError {
    /// It is not as the format says, or beyond a limit.
    Malformed(Malformed),
    /// No track is of a codec that is known: H.264, H.265, AV1, VP9, AAC, MP3 or Opus.
    NoTracks,
    /// The stream has its tables behind what they speak of, or goes back otherwise: only a file can be read
    /// that way.
    OutOfOrder,
}

impl fmt::Display for DemuxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(cause) => write!(f, "MP4: {cause}"),
            Self::NoTracks => f.write_str("MP4 without a track of a known codec"),
            Self::OutOfOrder => f.write_str("MP4 that can't be read from its beginning to its end"),
        }
    }
}

impl std::error::Error for DemuxError {}

impl From<Malformed> for DemuxError {
    fn from(cause: Malformed) -> Self {
        Self::Malformed(cause)
    }
}

/// Takes a file apart, wherever its tables stand: the first video and the first audio track of a known codec.
///
/// It says which bytes it wants ([`FileDemuxer::wanted`]), the caller reads them and hands them over
/// ([`FileDemuxer::handle_input`]), until it wants nothing more. Frames of both tracks come by their DTS, which
/// follow the file's edit lists as far as these say when a track begins. A header frame comes before the first
/// frame of a track, and when its sample description or, where they stand among the samples, its parameter
/// sets change. What a file that was cut off lacks at its end is left out.
#[derive(Debug)]
pub struct FileDemuxer {
    /// Bytes of the file.
    len: u64,
    state: State,
    tracks: Vec<Track>,
    /// Fragments follow the movie.
    fragmented: bool,
    /// The tables told of samples, which come once their `mdat` is there.
    pending: Pending,
    cut_off: bool,
}

#[derive(Debug, Clone)]
enum State {
    /// At a box, of whose header so many bytes are to be read.
    Header {
        at: u64,
        len: usize,
    },
    /// In one that is read as a whole.
    Body {
        at: u64,
        header: Header,
        end: u64,
    },
    /// At samples that lie within these bytes, and then at a box, if there are more.
    Samples {
        within: Range<u64>,
        resume: Option<u64>,
    },
    Done,
    Failed(DemuxError),
}

impl State {
    /// At a box.
    fn header(at: u64) -> Self {
        Self::Header { at, len: HEADER_BYTES }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Nothing,
    Movie,
    Fragment,
}

impl FileDemuxer {
    /// At the first byte of a file of `len` bytes.
    pub fn new(len: u64) -> Self {
        let (state, pending) = (State::header(0), Pending::Nothing);
        Self { len, state, tracks: Vec::new(), fragmented: false, pending, cut_off: false }
    }

    /// Which bytes it wants next, at most [`limits::MP4_MOVIE_BYTES`]; `None` when there is nothing more.
    pub fn wanted(&self) -> Option<Wanted> {
        match &self.state {
            State::Header { at, len } => {
                // Less than a header is the rest of something cut off.
                let left = self.len.saturating_sub(*at);
                (left >= *len as u64).then_some(Wanted { offset: *at, len: *len })
            }
            State::Body { at, header, end } => {
                let offset = at.saturating_add(header.len);
                Some(Wanted { offset, len: usize::try_from(end.saturating_sub(offset)).ok()? })
            }
            State::Samples { .. } => {
                let sample = self.tracks.iter().filter_map(Track::next).min_by_key(|sample| sample.dts)?;
                Some(Wanted { offset: sample.offset, len: usize::try_from(sample.size).ok()? })
            }
            State::Done | State::Failed(_) => None,
        }
    }

    /// Takes the bytes that it wants, and answers the frame that they are, if they are one: behind its header
    /// if that is due. Fewer bytes mean that the file is shorter than was said; that ends it. After an error it
    /// answers the same error for ever.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<Packed, DemuxError> {
        let result = self.take(bytes);
        if let Err(e) = result {
            (self.state, self.tracks) = (State::Failed(e), Vec::new());
        }
        result
    }

    /// Whether a box that it has come upon goes on behind the file's end.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// What follows is another file, of which the tracks of this one are.
    fn restart(&mut self) {
        if !matches!(self.state, State::Failed(_)) {
            (self.state, self.pending) = (State::header(0), Pending::Nothing);
            self.tracks.iter_mut().for_each(Track::begin_fragment);
        }
    }

    /// Bytes before this place of the file won't be wanted any more, if the file is in order.
    fn needed_from(&self) -> u64 {
        let offset = match &self.state {
            State::Samples { .. } => self.tracks.iter().filter_map(Track::next).map(|s| s.offset).min(),
            _ => self.wanted().map(|wanted| wanted.offset),
        };
        offset.unwrap_or(u64::MAX)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<Packed, DemuxError> {
        if let State::Failed(e) = self.state {
            return Err(e);
        }
        let Some(bytes) = self.wanted().and_then(|wanted| bytes.get(..wanted.len)) else {
            self.state = State::Done;
            return Ok(Packed::new());
        };
        match std::mem::replace(&mut self.state, State::Done) {
            State::Header { at, .. } => self.at_box(at, bytes)?,
            State::Body { at, header, end } => self.body(at, header, end, bytes)?,
            State::Samples { within, resume } => {
                let tracks = self.tracks.iter_mut();
                let next = tracks.filter(|t| t.next().is_some()).min_by_key(|t| t.next().map(|s| s.dts));
                let frames = next.map(|track| track.frame(bytes, &within)).transpose()?;
                self.samples(within, resume)?;
                return Ok(frames.unwrap_or_default());
            }
            State::Done | State::Failed(_) => {}
        }
        Ok(Packed::new())
    }

    fn at_box(&mut self, at: u64, bytes: &[u8]) -> Result<(), DemuxError> {
        let header = match Header::parse(&mut Reader::new(bytes)) {
            // The size is behind the name: not many have that.
            Err(Malformed::Truncated { .. }) => {
                self.state = State::Header { at, len: Header::LEN_MAX };
                return Ok(());
            }
            header => header?,
        };
        let end = if header.size == 0 { self.len } else { at.saturating_add(header.size) };
        self.cut_off |= end > self.len;
        let limit = match &header.name {
            b"moov" => limits::MP4_MOVIE_BYTES,
            b"moof" => limits::MP4_BOX_BYTES,
            b"mdat" => {
                let data = at.saturating_add(header.len);
                return match std::mem::replace(&mut self.pending, Pending::Nothing) {
                    Pending::Nothing => {
                        self.state = State::header(end);
                        Ok(())
                    }
                    Pending::Movie => self.samples(0..self.len, self.fragmented.then_some(end)),
                    Pending::Fragment => self.samples(data..end.min(self.len), Some(end)),
                };
            }
            _ => {
                self.state = State::header(end);
                return Ok(());
            }
        };
        if end.saturating_sub(at) > limit as u64 {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            return Err(Malformed::Limit { what: "bytes of an MP4 box", limit }.into());
        }
        // One that is cut off can't be read.
        self.state = if end > self.len { State::Done } else { State::Body { at, header, end } };
        Ok(())
    }

    fn body(&mut self, at: u64, header: Header, end: u64, body: &[u8]) -> Result<(), DemuxError> {
        self.state = State::header(end);
        if header.name == *b"moof" {
            if self.tracks.is_empty() {
                return Err(missing(b"moov").into());
            }
            self.pending = Pending::Fragment;
            return Ok(movie_fragment(at, body, &mut self.tracks)?);
        }
        self.fragmented = Boxes::new(body).find(b"mvex").is_ok();
        let tracks = movie(body, &self.tracks)?;
        if tracks.is_empty() {
            return Err(DemuxError::NoTracks);
        }
        self.tracks = tracks;
        let within = 0..self.len;
        for track in &mut self.tracks {
            track.advance(&within)?;
        }
        match self.tracks.iter().filter_map(Track::next).map(|sample| sample.offset).min() {
            None => self.pending = Pending::Nothing,
            // What is to come is waited for, so that a stream is read in order.
            Some(first) if first >= end => self.pending = Pending::Movie,
            Some(_) => self.samples(within, Some(end))?,
        }
        Ok(())
    }

    /// Goes on to the next sample within these bytes or, if there is none, to what follows.
    fn samples(&mut self, within: Range<u64>, resume: Option<u64>) -> Result<(), DemuxError> {
        for track in self.tracks.iter_mut().filter(|track| track.next().is_none()) {
            track.advance(&within)?;
        }
        self.state = match resume {
            _ if self.tracks.iter().any(|track| track.next().is_some()) => State::Samples { within, resume },
            Some(at) => State::header(at),
            None => State::Done,
        };
        Ok(())
    }
}

/// The tracks of `moov` of a known codec: the first of video and the first of audio. What has gone out for
/// the `old` ones is in force still.
fn movie(body: &[u8], old: &[Track]) -> Result<Vec<Track>, Malformed> {
    let mut r = Reader::new(Boxes::new(body).find(b"mvhd")?);
    let (version, _) = version_and_flags(&mut r)?;
    r.skip(if version == 0 { 8 } else { 16 })?;
    let timescale = r.u32()?;
    let mut tracks: Vec<Track> = Vec::new();
    for child in Boxes::new(body) {
        let (name, trak) = child?;
        if name != *b"trak" {
            continue;
        }
        if let Some(mut track) = Track::parse(body, trak, timescale)?
            && tracks.iter().all(|other| other.kind() != track.kind())
        {
            if let Some(old) = old.iter().find(|old| old.kind() == track.kind()) {
                track.take_over(old);
            }
            tracks.push(track);
        }
    }
    // Of frames that are due together, video goes first.
    tracks.sort_by_key(|track| track.kind() != Kind::Video);
    Ok(tracks)
}

/// Has the tracks go on with the samples of a `moof` that stands at `at` (8.8.4).
fn movie_fragment(at: u64, body: &[u8], tracks: &mut [Track]) -> Result<(), Malformed> {
    let mut left = limits::MP4_FRAGMENT_SAMPLES;
    // Where one that doesn't say begins: where the one before ends.
    let mut implied = at;
    tracks.iter_mut().for_each(Track::begin_fragment);
    for child in Boxes::new(body) {
        let (name, traf) = child?;
        if name != *b"traf" {
            continue;
        }
        let mut r = Reader::new(Boxes::new(traf).find(b"tfhd")?);
        let (_, flags) = version_and_flags(&mut r)?;
        let id = r.u32()?;
        let base = if flags & TFHD_BASE_DATA_OFFSET != 0 {
            r.u64()?
        } else if flags & TFHD_BASE_IS_MOOF != 0 {
            at
        } else {
            implied
        };
        let description = if flags & TFHD_DESCRIPTION != 0 { Some(r.u32()?) } else { None };
        if let Some(track) = tracks.iter_mut().find(|track| track.id() == id) {
            implied = track.fragment(traf, base, description, flags, &mut r, &mut left)?;
        }
    }
    Ok(())
}
