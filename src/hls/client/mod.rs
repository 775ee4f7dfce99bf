//! The client's side of HLS (RFC 8216, 6.3): one stream pulled, playlists and segments in, frames out.
//!
//! A [`Session`] fetches nothing itself. It says what it wants ([`Output::Fetch`]), by references that stand in
//! playlists; the caller fetches and hands over the bytes as they come. So does the caller play: what comes is
//! at most one segment ahead of the position that the session is told.
//!
//! # What is chosen
//!
//! Of a multivariant playlist, the variant of the highest BANDWIDTH within [`Options::bandwidth_max`], or the
//! lowest if none is; those with formats that can't be carried only where all are such. A rendition of audio of
//! its own is pulled too, and both are brought together by their times.
//!
//! # Where it begins, and where it goes on
//!
//! A playlist that is over is pulled from its beginning to its end. A live one is begun three target durations
//! before its end and asked for again each target duration, or half of one after an answer without news. After
//! six without news it has stalled. An answer that is behind what was seen is an old copy; the third one in a
//! row is a server that has begun anew, and is begun with as at first; so is one of which the next segment has left
//! the playlist, or is nine target durations before its end.
//!
//! # What is left out
//!
//! A segment that isn't there, can't be decrypted or is broken, which [`Output::LeftOut`] tells; what failed
//! otherwise is asked for three times, a second apart. What had come of it isn't taken again. After six segments
//! in a row without a frame it is over.
//!
//! # Time
//!
//! Times begin as the container has them. At a discontinuity, or where segments were passed over to catch up, they are shifted so that time goes on where it
//! was, by as much for video and audio. Where they go on by themselves, within a second, they are left alone.

mod container;
mod following;
mod rendition;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::m3u8::{self, Master, Playlist, Variant};
use crate::media::{Frame, Kind};
use crate::time::Time;

use rendition::{Ended, Rendition};
use timeline::Timeline;

/// What formats begin with that can be carried (RFC 6381): H.264, H.265, AV1, VP9, AAC and MP3, Opus, FLAC.
const FORMATS: [&str; 11] =
    ["avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "mp4a", "opus", "Opus", "fLaC", "flac"];

/// What a session is told beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The highest BANDWIDTH that is chosen, in bits per second; [`u64::MAX`] for no bound.
    pub bandwidth_max: u64,
    /// Whether only a stream that goes on is pulled: a playlist that is over when it first comes is a failure.
    pub live: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { bandwidth_max: u64::MAX, live: false }
    }
}

/// What a session gives out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// This is to be fetched. Of each playlist and what it names one thing at a time is, so that at most two
    /// fetches are under way.
    Fetch(Fetch),
    /// The fetch of this id is no longer of use.
    Cancel(u32),
    /// The next frame, in the order of the container, or by DTS where there are two renditions. A header comes
    /// before the first frame that needs it, and again behind a discontinuity.
    Frame(Frame),
    /// A segment, or what is left of it, isn't played.
    LeftOut {
        /// Its URI.
        uri: String,
        /// Why not, in a sentence.
        why: String,
    },
    /// The stream is over, and all frames are given out. For ever.
    End,
    /// It can't be gone on with, and nothing more is to be fetched. For ever.
    Failed(Error),
    /// Nothing more now; [`Session::handle_timeout`] is to be called at this time.
    Timeout(Option<Time>),
}

/// Something that is to be fetched by GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// What the session calls it; never used twice within 4 billion.
    pub id: u32,
    /// What it is.
    pub resource: Resource,
    /// What the reference is relative to: the URL that led to this playlist in the end, behind its redirects.
    /// `None` for the URL that the session is for.
    pub base: Option<PlaylistId>,
    /// The reference (RFC 3986, 4.1), as it stands in the playlist. Empty for the base itself.
    pub uri: String,
    /// Only these bytes: an answer of others (200, and not 206) is a failure.
    pub range: Option<Range<u64>>,
}

/// What is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A playlist. References in it are relative to where it is found.
    Playlist(PlaylistId),
    /// A media initialization section.
    Map,
    /// A media segment. Its frames come as its bytes do.
    Segment,
    /// A key, which is secret.
    Key,
}

/// A playlist of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlaylistId {
    /// What the URL leads to that the session is for.
    Main,
    /// That of the variant chosen.
    Variant,
    /// That of its audio.
    Audio,
}

impl fmt::Display for PlaylistId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "the playlist",
            Self::Variant => "the variant's playlist",
            Self::Audio => "the audio's playlist",
        })
    }
}

/// Why something could not be fetched, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Asking again is of no use: it isn't there, or not for us (4xx).
    Refused(String),
    /// Asking again may be.
    Broken(String),
}

/// Why a stream can't be gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A playlist is none, or can't be played.
    Playlist {
        /// Which.
        playlist: PlaylistId,
        /// Why.
        cause: m3u8::Error,
    },
    /// A variant is a multivariant playlist again.
    Nested,
    /// The stream is over that was to go on.
    Over,
    /// A playlist could not be fetched.
    Unreachable {
        /// Which.
        playlist: PlaylistId,
        /// Why not.
        why: String,
    },
    /// A live playlist brought no new segment for too long.
    Stalled {
        /// Which.
        playlist: PlaylistId,
        /// For how long, in ms.
        ms: u64,
        /// Why the last answer was none, if it wasn't.
        why: Option<String>,
    },
    /// So many segments in a row had no frame.
    Barren {
        /// How many.
        segments: u32,
        /// Why the last one had none.
        why: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Playlist { playlist, cause } => write!(f, "HLS: {playlist}: {cause}"),
            Self::Nested => f.write_str("HLS: the variant's playlist names variants; segments were expected"),
            Self::Over => f.write_str("HLS: the stream is over"),
            Self::Unreachable { playlist, why } => write!(f, "HLS: {playlist}: {why}"),
            Self::Stalled { playlist, ms, why } => {
                write!(f, "HLS: {playlist} brought no new segment for {ms} ms")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, "; the last answer: {why}"))
            }
            Self::Barren { segments, why } => {
                write!(f, "HLS: no frame in {segments} segments in a row; of the last: {why}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// One stream, pulled.
///
/// After each call of a `handle_` function, [`Session::poll_output`] is drained until it answers
/// [`Output::Timeout`], [`Output::End`] or [`Output::Failed`]. What comes to an id that isn't under way is passed
/// over.
#[derive(Debug)]
pub struct Session {
    options: Options,
    renditions: Vec<Rendition>,
    timeline: Timeline,
    position: Option<i64>,
    next_id: u32,
    out: VecDeque<Output>,
    /// How it ended.
    end: Option<Result<(), Error>>,
}

impl Session {
    /// A session that fetches its playlist first.
    pub fn new(now: Time, options: Options) -> Self {
        let main = Rendition::new(now, 0, PlaylistId::Main, None, String::new(), None);
        let mut session = Self {
            options,
            renditions: vec![main],
            timeline: Timeline::default(),
            position: None,
            next_id: 0,
            out: VecDeque::new(),
            end: None,
        };
        session.advance(now);
        session
    }

    /// The next bytes of what a fetch brings. How they are cut changes nothing.
    pub fn handle_body(&mut self, now: Time, id: u32, bytes: &[u8]) {
        self.of_fetch(now, id, |session, index| {
            let Some(rendition) = session.renditions.get_mut(index) else { return Ok(None) };
            let result = rendition.handle_body(now, bytes, &mut session.timeline);
            if !rendition.is_fetching(id) {
                session.out.push_back(Output::Cancel(id));
            }
            result
        });
    }

    /// A fetch has brought everything.
    pub fn handle_end(&mut self, now: Time, id: u32) {
        self.of_fetch(now, id, |session, index| {
            let Some(rendition) = session.renditions.get_mut(index) else { return Ok(None) };
            match rendition.handle_end(now, &mut session.timeline)? {
                Ended::Playlist(text) => session.playlist(now, index, &text).map(|()| None),
                Ended::Other(output) => Ok(output),
            }
        });
    }

    /// A fetch has failed, whether bytes had come or not.
    pub fn handle_failure(&mut self, now: Time, id: u32, failure: Failure) {
        self.of_fetch(now, id, |session, index| {
            let Some(rendition) = session.renditions.get_mut(index) else { return Ok(None) };
            rendition.handle_failure(now, failure, &mut session.timeline)
        });
    }

    /// Frames up to this DTS, in µs, have been played. The next segment is fetched once the one that was fetched
    /// last is being played.
    pub fn handle_position(&mut self, now: Time, dts: i64) {
        self.position = Some(dts);
        self.advance(now);
    }

    /// Whether it is a stream that goes on, or went on until now: not one that was over when it was first asked
    /// for. Known with the first playlist of segments.
    pub fn is_live(&self) -> bool {
        self.renditions.iter().any(Rendition::is_live)
    }

    /// How long it may bring no frame at the least, before the session itself finds that it has stalled.
    pub fn patience(&self) -> Duration {
        self.renditions.iter().map(Rendition::patience).max().unwrap_or_default()
    }

    /// The time that [`Output::Timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.advance(now);
    }

    /// What the session gives out, to be drained until it answers that there is nothing more.
    pub fn poll_output(&mut self) -> Output {
        match (self.out.pop_front(), &self.end) {
            (Some(output), _) => output,
            (None, Some(Ok(()))) => Output::End,
            (None, Some(Err(e))) => Output::Failed(e.clone()),
            (None, None) => Output::Timeout(self.renditions.iter().filter_map(Rendition::timeout).min()),
        }
    }

    /// Does what a fetch leads to for the rendition that it is for, if it is under way.
    fn of_fetch(
        &mut self,
        now: Time,
        id: u32,
        handle: impl FnOnce(&mut Self, usize) -> Result<Option<Output>, Error>,
    ) {
        let index = self.renditions.iter().position(|rendition| rendition.is_fetching(id));
        let Some(index) = index.filter(|_| self.end.is_none()) else { return };
        match handle(self, index) {
            Ok(output) => self.out.extend(output),
            Err(e) => self.end = Some(Err(e)),
        }
        self.advance(now);
    }

    /// A playlist has come.
    fn playlist(&mut self, now: Time, index: usize, text: &[u8]) -> Result<(), Error> {
        let Some(rendition) = self.renditions.get_mut(index) else { return Ok(()) };
        let playlist = rendition.playlist();
        match Playlist::parse(text) {
            Ok(Playlist::Media(media)) if media.ended && self.options.live && !rendition.is_live() => {
                Err(Error::Over)
            }
            Ok(Playlist::Media(media)) => rendition.update(now, media),
            Err(cause) if rendition.is_loaded() => rendition.cannot_update(now, cause.to_string()),
            Ok(Playlist::Master(_)) if rendition.is_loaded() => {
                rendition.cannot_update(now, Error::Nested.to_string())
            }
            Ok(Playlist::Master(master)) if playlist == PlaylistId::Main => {
                self.choose(now, &master);
                Ok(())
            }
            Ok(Playlist::Master(_)) => Err(Error::Nested),
            Err(cause) => Err(Error::Playlist { playlist, cause }),
        }
    }

    fn choose(&mut self, now: Time, master: &Master) {
        let Some(variant) = variant(master, self.options.bandwidth_max) else { return };
        let audio = audio(master, variant);
        let main = Some(PlaylistId::Main);
        let only = audio.is_some().then_some(Kind::Video);
        self.renditions = vec![Rendition::new(now, 0, PlaylistId::Variant, main, variant.uri.clone(), only)];
        if let Some(uri) = audio {
            let only = Some(Kind::Audio);
            self.renditions.push(Rendition::new(now, 1, PlaylistId::Audio, main, uri.into(), only));
        }
    }

    /// Gives out the frames whose turn it is, and asks for what is due.
    fn advance(&mut self, now: Time) {
        self.merge();
        if self.end.is_some() {
            return;
        }
        for rendition in &mut self.renditions {
            if let Some(fetch) = rendition.next_fetch(now, self.next_id, self.position, &mut self.timeline) {
                self.next_id = self.next_id.wrapping_add(1);
                self.out.push_back(Output::Fetch(fetch));
            }
        }
        if self.renditions.iter().all(|rendition| rendition.is_over()) {
            self.merge();
            self.end = Some(self.renditions.iter().find_map(Rendition::fault).map_or(Ok(()), Err));
        }
    }

    /// Gives out frames of both renditions by their DTS, as far as it is certain.
    fn merge(&mut self) {
        loop {
            let due = |rendition: &Rendition| rendition.front().map(|frame| frame.dts);
            let first = self.renditions.iter().enumerate().filter_map(|(n, r)| Some((due(r)?, n))).min();
            let Some((dts, index)) = first else { return };
            let is_certain = self.end.is_some()
                || self.renditions.iter().all(|other| other.front().is_some() || other.has_reached(dts));
            if !is_certain && !self.renditions.iter().any(Rendition::is_full) {
                return;
            }
            self.out.extend(self.renditions.get_mut(index).and_then(Rendition::pop).map(Output::Frame));
        }
    }
}

/// The variant of the highest bandwidth up to `max`, or else of the lowest.
fn variant(master: &Master, max: u64) -> Option<&Variant> {
    let is_known = |format: &str| FORMATS.iter().any(|known| format.trim().starts_with(known));
    let can_be_carried =
        |variant: &&Variant| variant.codecs.as_ref().is_none_or(|codecs| codecs.split(',').all(is_known));
    let any = master.variants.iter().any(|variant| can_be_carried(&variant));
    let usable = || master.variants.iter().filter(|variant| !any || can_be_carried(variant));
    // Of equals the first, which the server prefers.
    let within = usable().filter(|variant| variant.bandwidth <= max).rev();
    within.max_by_key(|variant| variant.bandwidth).or(usable().min_by_key(|variant| variant.bandwidth))
}

/// The playlist of the variant's audio, if it has one of its own.
fn audio<'a>(master: &'a Master, variant: &Variant) -> Option<&'a str> {
    let group = variant.audio.as_ref()?;
    let mut renditions = master.audio.iter().filter(|rendition| rendition.group == *group);
    let first = renditions.clone().next();
    let uri = renditions.find(|rendition| rendition.default).or(first)?.uri.as_deref()?;
    // A variant of audio alone is its own rendition.
    (uri != variant.uri).then_some(uri)
}
