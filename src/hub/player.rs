//! Where one player stands in a stream.

use crate::media::{Frame, Headers, Kind, Ring, Role};

/// What a player gets next.
#[derive(Debug)]
pub enum Step<'a> {
    /// Nothing now.
    Wait,
    /// The headers to send before the frame that follows, with the time that they are given (µs).
    Headers(&'a Headers, i64),
    /// The frame with this sequence number.
    Frame(u64, &'a Frame),
}

/// A player's place in a stream's ring. A few words, whatever the stream.
#[derive(Debug, Clone)]
pub struct Player {
    cursor: u64,
    place: Place,
    /// Whether the player has asked for no more frames until it asks again.
    paused: bool,
    wants_audio: bool,
    wants_video: bool,
    skips: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Has asked, has got nothing.
    Joining,
    /// Was there before the publish: gets all of it, once it may start.
    Early,
    /// Waits for a keyframe from this sequence number on.
    ForKey(u64),
    /// The same, whatever the stream keeps for those who join.
    ForNext(u64),
    /// Follows.
    Following,
}

impl Player {
    /// A player who joins a stream whose head is `head`.
    pub fn new(head: u64) -> Self {
        Self {
            cursor: head,
            place: Place::Joining,
            paused: false,
            wants_audio: true,
            wants_video: true,
            skips: 0,
        }
    }

    /// What comes next. Moves the player to where it is; [`Player::taken`] moves it on.
    pub fn step<'a>(&mut self, ring: &'a Ring, queue_us: i64) -> Step<'a> {
        if self.paused {
            return Step::Wait;
        }
        match self.place {
            Place::Joining | Place::Early => return self.start(ring, self.cursor),
            Place::ForKey(from) | Place::ForNext(from) => return self.start(ring, from),
            Place::Following => {}
        }
        if self.cursor == ring.head() {
            return Step::Wait;
        }
        if (self.cursor < ring.base() || ring.lag_us(self.cursor) > queue_us)
            && let Some(step) = self.skip(ring)
        {
            return step;
        }
        loop {
            match ring.frame(self.cursor) {
                None => return Step::Wait,
                Some(frame) if self.wants(frame) => return Step::Frame(self.cursor, frame),
                Some(_) => self.cursor += 1,
            }
        }
    }

    /// Whether the newest frame, `seq`, is all that it lacks.
    pub fn lacks_only(&self, seq: u64, frame: &Frame) -> bool {
        self.cursor == seq && self.place == Place::Following && !self.paused && self.wants(frame)
    }

    /// The frame that [`Player::step`] gave is on its way.
    pub fn taken(&mut self) {
        self.cursor += 1;
    }

    /// The frame `seq` and what follows it didn't go out after all.
    pub fn back_to(&mut self, seq: u64) {
        self.cursor = seq;
    }

    /// The oldest frame that this player still needs.
    pub fn cursor(&self) -> u64 {
        let holds = matches!(self.place, Place::Following | Place::Early) && !self.paused;
        if holds { self.cursor } else { u64::MAX }
    }

    /// The frame that comes next, needed or not.
    pub fn at(&self) -> u64 {
        self.cursor
    }

    /// How often it has fallen behind and jumped to a keyframe.
    pub fn skips(&self) -> u32 {
        self.skips
    }

    /// Whether it waits for a keyframe that the encoder could be asked for.
    pub fn waits_for_key(&self) -> bool {
        matches!(self.place, Place::ForKey(_) | Place::ForNext(_))
    }

    /// Starts at the frame `seq` instead of the head: a player without video, who wants a little of what
    /// has passed.
    pub fn start_at(&mut self, seq: u64) {
        if self.place == Place::Joining {
            self.cursor = seq;
        }
    }

    /// Whether it has a place in the stream; else it takes one with the next [`Player::step`] that finds one.
    pub fn is_following(&self) -> bool {
        self.place == Place::Following
    }

    /// Starts at no keyframe before the frame `seq`, whatever the stream keeps for those who join.
    pub fn not_before(&mut self, seq: u64) {
        if self.place == Place::Joining {
            self.place = Place::ForNext(seq);
        }
    }

    /// Keeps the place at which it joined, where nothing is published yet: it can't start before more is known
    /// of the stream, and nothing of that is to be lost.
    pub fn keep_place(&mut self) {
        if self.place == Place::Joining {
            self.place = Place::Early;
        }
    }

    /// Whether it has asked for no more frames.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Pauses, or goes on live from a keyframe.
    pub fn pause(&mut self, paused: bool, head: u64) {
        if self.paused && !paused {
            self.place = Place::Joining;
            self.cursor = head;
        }
        self.paused = paused;
    }

    /// Whether it wants frames of that kind.
    pub fn receive(&mut self, kind: Kind, wanted: bool, head: u64) {
        match kind {
            Kind::Audio => self.wants_audio = wanted,
            Kind::Video => {
                if wanted && !self.wants_video {
                    // Video can only begin again at a keyframe.
                    self.place = Place::Joining;
                    self.cursor = head;
                }
                self.wants_video = wanted;
            }
            Kind::Data => {}
        }
    }

    fn start<'a>(&mut self, ring: &'a Ring, from: u64) -> Step<'a> {
        let is_early = self.place == Place::Early;
        self.place = if is_early { Place::Joining } else { self.place };
        let is_for_next = matches!(self.place, Place::ForNext(_));
        let (cursor, headers) = match ring.join(from).filter(|start| !is_for_next || start.seq >= from) {
            _ if is_early && from >= ring.base() => (self.first_wanted(ring), ring.headers()),
            Some(start) if self.wants_video => (start.seq, &start.headers),
            None if ring.has_video() && self.wants_video => {
                self.place = if is_for_next { self.place } else { Place::ForKey(from) };
                return Step::Wait;
            }
            // No video: from where it joined, or what is left of that. Nothing published yet: everything that
            // will come.
            // What is left of a publish that is over, without its beginning, is of no use.
            _ if self.cursor < ring.base() && ring.headers().iter().next().is_none() => {
                (ring.head(), ring.headers())
            }
            _ if is_for_next || self.place == Place::Joining => {
                (self.cursor.max(ring.base()), ring.headers())
            }
            _ => (ring.head(), ring.headers()),
        };
        self.cursor = cursor;
        self.place = Place::Following;
        self.headers(ring, headers)
    }

    /// The first frame from its place on that is more than a header.
    fn first_wanted(&self, ring: &Ring) -> u64 {
        let is_media = |frame: &Frame| matches!(frame.role, Role::Key | Role::Delta) && self.wants(frame);
        let found = (self.cursor..ring.head()).find(|seq| ring.frame(*seq).is_some_and(is_media));
        found.unwrap_or(ring.head())
    }

    /// Jumps to the newest keyframe, or waits for the next. `None` where it goes on in place: there is
    /// no keyframe to jump to and what it needs is still held.
    fn skip<'a>(&mut self, ring: &'a Ring) -> Option<Step<'a>> {
        if !ring.has_video() || !self.wants_video {
            self.skips = self.skips.saturating_add(1);
            self.cursor = ring.head();
            return Some(self.headers(ring, ring.headers()));
        }
        if let Some(start) = ring.newest_key(self.cursor) {
            self.skips = self.skips.saturating_add(1);
            self.cursor = start.seq;
            return Some(self.headers(ring, &start.headers));
        }
        if self.cursor >= ring.base() && ring.has_key() {
            // It is inside the newest GOP, which alone is longer than the queue: a jump gains nothing.
            return None;
        }
        self.skips = self.skips.saturating_add(1);
        self.place = Place::ForKey(ring.head());
        Some(Step::Wait)
    }

    fn headers<'a>(&self, ring: &'a Ring, headers: &'a Headers) -> Step<'a> {
        let newest = ring.head().checked_sub(1).and_then(|seq| ring.frame(seq));
        let at = ring.frame(self.cursor).or(newest).map_or(0, |frame| frame.dts);
        Step::Headers(headers, at)
    }

    fn wants(&self, frame: &Frame) -> bool {
        match frame.kind {
            Kind::Audio => self.wants_audio,
            Kind::Video => self.wants_video,
            Kind::Data => true,
        }
    }
}
