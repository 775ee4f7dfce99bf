//! One media playlist as it is pulled: what is to be fetched for it, one thing after another, and the frames
//! that come of it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::super::cipher::{BLOCK, Decrypter};
use super::super::m3u8::{self, Key, Map, Media, Segment};
use super::container::Container;
use super::following::{Following, Stalled};
use super::timeline::Timeline;
use super::{Error, Failure, Fetch, Output, PlaylistId, Resource};
use crate::media::{Frame, Kind};
use crate::time::Time;
use crate::wire::limits;

/// How often something is asked for before it is given up.
const ATTEMPTS: u32 = 3;
/// How long it is waited before it is asked for again.
const RETRY: Duration = Duration::from_secs(1);
/// So many segments in a row of which nothing came are the end.
const BARREN_SEGMENTS: u32 = 6;

#[derive(Debug)]
pub(super) struct Rendition {
    /// Its place among those that are pulled together.
    index: usize,
    playlist: PlaylistId,
    /// How its playlist is asked for.
    base: Option<PlaylistId>,
    uri: String,
    /// Frames of this kind only.
    only: Option<Kind>,
    following: Following,
    fetching: Option<Fetching>,
    /// How often what is next has failed, and when it is asked for again.
    attempts: u32,
    retry_at: Option<Time>,
    /// The segment that is being fetched or was last, by number.
    segment: Option<u64>,
    /// Its discontinuity sequence number.
    discontinuity: Option<u64>,
    /// Bytes of it, or of its initialization section, that have been taken.
    taken: u64,
    decrypter: Option<Decrypter>,
    container: Container,
    /// The initialization section that the container has.
    map: Option<Arc<Map>>,
    key: Option<(String, [u8; BLOCK])>,
    /// When the first frame is due of the newest segment that had one.
    segment_dts: Option<i64>,
    /// Whether the segment that is being fetched has had one.
    is_fertile: bool,
    /// Segments in a row that had none, and why the last segment was left out.
    barren: u32,
    why: Option<String>,
    frames: VecDeque<Frame>,
    /// Bytes that the frames hold.
    held: usize,
    /// When the last frame was due.
    last_dts: Option<i64>,
}

/// What has been asked for.
#[derive(Debug)]
struct Fetching {
    id: u32,
    task: Task,
    /// Bytes of it that have come.
    received: u64,
}

#[derive(Debug)]
enum Task {
    Playlist(BytesMut),
    Key(Arc<Key>, Vec<u8>),
    Map(Arc<Map>),
    Segment,
}

/// What an end of a body leads to.
#[derive(Debug)]
pub(super) enum Ended {
    /// A playlist is there to be read.
    Playlist(BytesMut),
    /// A segment was left out, or there is nothing to tell.
    Other(Option<Output>),
}

/// What is to be asked for, as it stands in the playlist.
struct Wanted {
    resource: Resource,
    uri: String,
    range: Option<Range<u64>>,
    task: Task,
}

impl Rendition {
    /// Pulls the playlist that is at `uri` in the playlist `base`.
    pub(super) fn new(
        now: Time,
        index: usize,
        playlist: PlaylistId,
        base: Option<PlaylistId>,
        uri: String,
        only: Option<Kind>,
    ) -> Self {
        let mut following = Following::default();
        following.ask(now);
        Self {
            index,
            playlist,
            base,
            uri,
            only,
            following,
            fetching: None,
            attempts: 0,
            retry_at: None,
            segment: None,
            discontinuity: None,
            taken: 0,
            decrypter: None,
            container: Container::default(),
            map: None,
            key: None,
            segment_dts: None,
            is_fertile: false,
            barren: 0,
            why: None,
            frames: VecDeque::new(),
            held: 0,
            last_dts: None,
        }
    }

    pub(super) fn playlist(&self) -> PlaylistId {
        self.playlist
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.following.is_loaded()
    }

    /// Whether its playlist has been one that goes on.
    pub(super) fn is_live(&self) -> bool {
        self.following.is_live()
    }

    /// How long it is gone on without a new segment.
    pub(super) fn patience(&self) -> Duration {
        self.following.patience()
    }

    pub(super) fn is_fetching(&self, id: u32) -> bool {
        self.fetching.as_ref().is_some_and(|fetching| fetching.id == id)
    }

    /// No frame will come any more, beside those that are there.
    pub(super) fn is_over(&self) -> bool {
        self.following.is_over() && self.fetching.is_none()
    }

    /// Why there never was a frame, where segments were left out.
    pub(super) fn fault(&self) -> Option<Error> {
        let why = self.why.clone().filter(|_| self.segment_dts.is_none())?;
        Some(Error::Barren { segments: self.barren, why })
    }

    /// When there is something to be asked for that nothing else leads to.
    pub(super) fn timeout(&self) -> Option<Time> {
        if self.fetching.is_some() { None } else { self.retry_at.or(self.following.due()) }
    }

    pub(super) fn front(&self) -> Option<&Frame> {
        self.frames.front()
    }

    pub(super) fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.held = self.held.saturating_sub(frame.size());
        Some(frame)
    }

    /// Whether frames that are due then needn't wait for this rendition's.
    pub(super) fn has_reached(&self, dts: i64) -> bool {
        self.is_over() || self.last_dts.is_some_and(|last| last >= dts)
    }

    /// Whether it holds as much as it may.
    pub(super) fn is_full(&self) -> bool {
        self.held > limits::HLS_MERGE_BYTES
    }

    /// What is to be fetched now, if anything is, under this id. `position` is how far playing is.
    pub(super) fn next_fetch(
        &mut self,
        now: Time,
        id: u32,
        position: Option<i64>,
        timeline: &mut Timeline,
    ) -> Option<Fetch> {
        if self.fetching.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        self.retry_at = None;
        let Wanted { resource, uri, range, task } = if self.following.due().is_some_and(|due| due <= now) {
            self.following.ask(now);
            let (resource, task) = (Resource::Playlist(self.playlist), Task::Playlist(BytesMut::new()));
            Wanted { resource, uri: self.uri.clone(), range: None, task }
        } else {
            self.next_of_segments(position, timeline)?
        };
        let base = if matches!(task, Task::Playlist(_)) { self.base } else { Some(self.playlist) };
        self.fetching = Some(Fetching { id, task, received: 0 });
        Some(Fetch { id, resource, base, uri, range })
    }

    /// Bytes have come. What was asked for is no longer, if they are too many or not what they have to be.
    pub(super) fn handle_body(
        &mut self,
        now: Time,
        bytes: &[u8],
        timeline: &mut Timeline,
    ) -> Result<Option<Output>, Error> {
        let Some(Fetching { task, received, .. }) = &mut self.fetching else { return Ok(None) };
        let before = *received;
        *received = before.saturating_add(bytes.len() as u64);
        let result = match task {
            Task::Playlist(held) if held.len().saturating_add(bytes.len()) > limits::M3U8_BYTES => {
                Err(m3u8::Error { line: 0, fault: m3u8::Fault::TooLong }.to_string())
            }
            Task::Playlist(held) => {
                held.extend_from_slice(bytes);
                Ok(())
            }
            Task::Key(_, held) => {
                held.extend_from_slice(bytes.get(..bytes.len().min(BLOCK + 1)).unwrap_or_default());
                if held.len() > BLOCK { Err(format!("more than the {BLOCK} bytes of a key")) } else { Ok(()) }
            }
            Task::Map(_) | Task::Segment => {
                // What came before a failure isn't taken again.
                let again = usize::try_from(self.taken.saturating_sub(before)).unwrap_or(usize::MAX);
                let bytes = bytes.get(again..).unwrap_or_default();
                self.taken = self.taken.saturating_add(bytes.len() as u64);
                self.take(bytes, timeline)
            }
        };
        match result {
            Ok(()) => Ok(None),
            Err(why) => self.fail(now, true, why, timeline),
        }
    }

    /// What was asked for is whole.
    pub(super) fn handle_end(&mut self, now: Time, timeline: &mut Timeline) -> Result<Ended, Error> {
        let result = match self.fetching.as_mut().map(|fetching| &mut fetching.task) {
            None => return Ok(Ended::Other(None)),
            Some(Task::Playlist(text)) => {
                let text = std::mem::take(text);
                self.fetching = None;
                if !self.is_loaded() {
                    self.attempts = 0;
                }
                return Ok(Ended::Playlist(text));
            }
            Some(Task::Key(key, held)) => match <[u8; BLOCK]>::try_from(&held[..]) {
                Ok(bytes) => {
                    self.key = Some((key.uri.clone(), bytes));
                    Ok(())
                }
                Err(_) => Err(format!("{} bytes; the {BLOCK} of a key were expected", held.len())),
            },
            Some(Task::Map(map)) => {
                let map = map.clone();
                self.finish(timeline).map(|()| self.map = Some(map))
            }
            Some(Task::Segment) => match self.finish(timeline) {
                Ok(()) if !self.is_fertile => Err(self.container.nothing()),
                Ok(()) => {
                    self.following.advance();
                    self.barren = 0;
                    Ok(())
                }
                Err(why) => Err(why),
            },
        };
        match result {
            Ok(()) => {
                self.fetching = None;
                self.begin_task();
                Ok(Ended::Other(None))
            }
            Err(why) => self.fail(now, true, why, timeline).map(Ended::Other),
        }
    }

    /// What was asked for isn't to be had.
    pub(super) fn handle_failure(
        &mut self,
        now: Time,
        failure: Failure,
        timeline: &mut Timeline,
    ) -> Result<Option<Output>, Error> {
        match failure {
            Failure::Refused(why) => self.fail(now, true, why, timeline),
            Failure::Broken(why) => self.fail(now, false, why, timeline),
        }
    }

    /// The playlist is this now.
    pub(super) fn update(&mut self, now: Time, media: Media) -> Result<(), Error> {
        self.following.update(now, media).map_err(|stalled| self.stalled(stalled))
    }

    /// The playlist was there before, and is nothing now that can be gone on with.
    pub(super) fn cannot_update(&mut self, now: Time, why: String) -> Result<(), Error> {
        self.following.failed(now, why).map_err(|stalled| self.stalled(stalled))
    }

    fn stalled(&self, Stalled { ms, why }: Stalled) -> Error {
        Error::Stalled { playlist: self.playlist, ms, why }
    }

    /// The segment that is next, or what it needs.
    fn next_of_segments(&mut self, position: Option<i64>, timeline: &mut Timeline) -> Option<Wanted> {
        while self.following.next().is_some_and(|(_, segment)| segment.gap) {
            self.following.advance();
        }
        // The newest one is being played before another comes.
        if self.segment_dts.is_some_and(|dts| position.is_none_or(|position| position < dts)) {
            return None;
        }
        let (number, segment) = self.following.next()?;
        let segment = segment.clone();
        if self.segment != Some(number) || self.following.is_anew() {
            self.begin_segment(number, &segment, timeline);
        }
        let map = segment.map.filter(|map| self.map.as_ref() != Some(map));
        let key = map.as_ref().map_or(&segment.key, |map| &map.key);
        let decrypter = match (key, &self.key) {
            (None, _) => None,
            (Some(key), Some((uri, bytes))) if *uri == key.uri => {
                let iv = key.iv.unwrap_or(u128::from(number).to_be_bytes());
                Some(Decrypter::new(bytes, &iv))
            }
            (Some(key), _) => {
                let (resource, uri) = (Resource::Key, key.uri.clone());
                return Some(Wanted { resource, uri, range: None, task: Task::Key(key.clone(), Vec::new()) });
            }
        };
        // If some of it has been taken, it goes on from there.
        if self.taken == 0 {
            self.decrypter = decrypter;
            self.container.begin();
        }
        Some(match map {
            Some(map) => {
                let (uri, range) = (map.uri.clone(), map.range.clone());
                Wanted { resource: Resource::Map, uri, range, task: Task::Map(map) }
            }
            None => {
                let (uri, range) = (segment.uri, segment.range);
                Wanted { resource: Resource::Segment, uri, range, task: Task::Segment }
            }
        })
    }

    /// Another segment is next.
    fn begin_segment(&mut self, number: u64, segment: &Segment, timeline: &mut Timeline) {
        if self.taken > 0 {
            // The one before has left the playlist half taken.
            self.reset(timeline);
        }
        self.begin_task();
        (self.segment, self.is_fertile) = (Some(number), false);
        let sequence = Some(segment.discontinuity_sequence);
        if self.following.is_anew() || segment.discontinuity || self.discontinuity != sequence {
            self.reset(timeline);
            timeline.enter(self.index, segment.discontinuity_sequence);
        } else if self.map.is_some() && segment.map.is_none() {
            self.reset(timeline);
        }
        self.discontinuity = sequence;
        self.following.begin();
    }

    /// What is next to be asked for hasn't been before.
    fn begin_task(&mut self) {
        (self.attempts, self.retry_at, self.taken) = (0, None, 0);
    }

    /// Goes on with another demuxer.
    fn reset(&mut self, timeline: &mut Timeline) {
        (self.container, self.map) = (Container::default(), None);
        timeline.rejoin(self.index);
    }

    /// What was asked for isn't to be had; asking again is of no use if `is_final`.
    fn fail(
        &mut self,
        now: Time,
        is_final: bool,
        why: String,
        timeline: &mut Timeline,
    ) -> Result<Option<Output>, Error> {
        let Some(Fetching { task, .. }) = self.fetching.take() else { return Ok(None) };
        let is_playlist = matches!(task, Task::Playlist(_));
        if is_playlist && self.is_loaded() {
            return self.cannot_update(now, why).map(|()| None);
        }
        self.attempts = self.attempts.saturating_add(1);
        if !is_final && self.attempts < ATTEMPTS {
            self.retry_at = Some(now + RETRY);
            return Ok(None);
        }
        let why = match task {
            Task::Playlist(_) => return Err(Error::Unreachable { playlist: self.playlist, why }),
            Task::Key(..) => format!("its key: {why}"),
            Task::Map(_) => format!("its initialization section: {why}"),
            Task::Segment => why,
        };
        self.leave_out(why, timeline).map(Some)
    }

    /// Leaves out the segment that is next, or what is left of it.
    fn leave_out(&mut self, why: String, timeline: &mut Timeline) -> Result<Output, Error> {
        if self.taken > 0 {
            self.reset(timeline);
        }
        self.begin_task();
        let uri = self.following.next().map_or_else(String::new, |(_, segment)| segment.uri.clone());
        self.following.advance();
        self.barren = if self.is_fertile { 0 } else { self.barren.saturating_add(1) };
        if self.barren >= BARREN_SEGMENTS {
            return Err(Error::Barren { segments: self.barren, why });
        }
        self.why = Some(why.clone());
        Ok(Output::LeftOut { uri, why })
    }

    /// Takes bytes of a segment or an initialization section.
    fn take(&mut self, bytes: &[u8], timeline: &mut Timeline) -> Result<(), String> {
        match &mut self.decrypter {
            None => self.demux(bytes, false, timeline),
            Some(decrypter) => {
                let clear = decrypter.update(bytes);
                self.demux(&clear, false, timeline)
            }
        }
    }

    /// It has been taken as a whole.
    fn finish(&mut self, timeline: &mut Timeline) -> Result<(), String> {
        let rest = self.decrypter.take().map(|mut decrypter| decrypter.finish()).unwrap_or_default();
        self.demux(&rest, true, timeline)
    }

    fn demux(&mut self, bytes: &[u8], ends: bool, timeline: &mut Timeline) -> Result<(), String> {
        let mut frames = std::mem::take(&mut self.frames);
        let mut put = |mut frame: Frame| {
            if self.only.is_none_or(|kind| kind == frame.kind) {
                timeline.place(self.index, &mut frame);
                if !std::mem::replace(&mut self.is_fertile, true) {
                    self.segment_dts = Some(frame.dts);
                }
                self.last_dts = self.last_dts.max(Some(frame.dts));
                self.held = self.held.saturating_add(frame.size());
                frames.push_back(frame);
            }
        };
        let mut result = self.container.handle_input(bytes, &mut put);
        if result.is_ok() && ends {
            result = self.container.end(&mut put);
        }
        self.frames = frames;
        result
    }
}
