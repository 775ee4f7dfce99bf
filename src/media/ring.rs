//! The one bounded queue of frames that a stream keeps. It is the GOP cache, and what slow players
//! catch up from.
//!
//! Frames have sequence numbers that never restart; a player is one such number. The ring keeps the
//! newest GOP (where it is told to) and what the slowest player still needs, within its limits: of
//! bytes and frames always, of time for everything older than the newest GOP.

use std::collections::VecDeque;

use super::chain::{Copies, own_due};
use super::frame::{Frame, Kind, Role};
use crate::time::Time;

/// The bounds of a [`Ring`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Bytes of frames.
    pub bytes: usize,
    /// Frames.
    pub frames: usize,
    /// Microseconds from the oldest frame to the newest, the newest GOP aside.
    pub length_us: i64,
    /// Microseconds of the newest frames that are kept though nobody needs them: for players without video,
    /// who start a little earlier.
    pub linger_us: i64,
    /// Whether the newest GOP is kept for those who join.
    pub gop_cache: bool,
    /// Frames of one GOP beyond which it is no longer kept for those who join.
    pub gop_frames: usize,
}

/// What must go before a frame: metadata and the sequence headers in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// The stream's metadata.
    pub metadata: Option<Frame>,
    /// The video track's sequence header.
    pub video: Option<Frame>,
    /// The audio track's sequence header.
    pub audio: Option<Frame>,
}

impl Headers {
    /// In the order in which they go out.
    pub fn iter(&self) -> impl Iterator<Item = &Frame> {
        [&self.metadata, &self.video, &self.audio].into_iter().flatten()
    }

    /// Whether this very header is in force already.
    pub fn holds(&self, frame: &Frame) -> bool {
        self.slot(frame.kind).is_some_and(|held| held.codec == frame.codec && held.payload == frame.payload)
    }

    fn slot(&self, kind: Kind) -> Option<&Frame> {
        match kind {
            Kind::Data => self.metadata.as_ref(),
            Kind::Video => self.video.as_ref(),
            Kind::Audio => self.audio.as_ref(),
        }
    }

    fn set(&mut self, frame: Frame) {
        match frame.kind {
            Kind::Data => self.metadata = Some(frame),
            Kind::Video => self.video = Some(frame),
            Kind::Audio => self.audio = Some(frame),
        }
    }
}

/// A place to start playing: a keyframe and what must go before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The keyframe's sequence number.
    pub seq: u64,
    /// The headers in force at that keyframe.
    pub headers: Headers,
}

/// A stream's frames. See the module's documentation.
#[derive(Debug)]
pub struct Ring {
    frames: VecDeque<Frame>,
    base: u64,
    bytes: usize,
    headers: Headers,
    start: Option<Start>,
    limits: RingLimits,
    /// Whether this publish has brought video, and whether its first keyframe has come.
    video: Video,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Video {
    None,
    BeforeKey,
    Flowing,
}

impl Ring {
    /// An empty ring.
    pub fn new(limits: RingLimits) -> Self {
        Self {
            frames: VecDeque::new(),
            base: 0,
            bytes: 0,
            headers: Headers::default(),
            start: None,
            limits,
            video: Video::None,
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> &RingLimits {
        &self.limits
    }

    /// Takes new limits; they hold from the next frame on.
    pub fn set_limits(&mut self, limits: RingLimits) {
        self.limits = limits;
    }

    /// A publisher begins or has ended: metadata, headers and the place to start are forgotten. The
    /// frames stay for those who are still catching up, and sequence numbers go on.
    pub fn restart(&mut self) {
        self.headers = Headers::default();
        self.start = None;
        self.video = Video::None;
    }

    /// Adds a frame. `false` if it was not taken: video before this publish's first keyframe, which
    /// nobody could decode.
    pub fn push(&mut self, frame: Frame) -> bool {
        if frame.kind == Kind::Video {
            match frame.role {
                Role::Key => self.video = Video::Flowing,
                Role::Delta if self.video != Video::Flowing => {
                    self.video = Video::BeforeKey;
                    return false;
                }
                Role::Header if self.video == Video::None => self.video = Video::BeforeKey,
                _ => {}
            }
        }
        if frame.is_video_key() {
            self.start = Some(Start { seq: self.head(), headers: self.headers.clone() });
        }
        if frame.role == Role::Header {
            self.headers.set(frame.clone());
        }
        self.bytes += frame.size();
        self.frames.push_back(frame);
        self.bound();
        true
    }

    /// Lets go of what neither a player at `oldest_cursor` or later nor one who joins needs.
    pub fn trim(&mut self, oldest_cursor: u64) {
        let gop = self.start.as_ref().filter(|_| self.limits.gop_cache).map_or(u64::MAX, |start| start.seq);
        let keep = gop.min(oldest_cursor).min(self.head());
        let newest = self.frames.back().map_or(0, |frame| frame.dts);
        let lingers = |frame: &Frame| newest.saturating_sub(frame.dts) < self.limits.linger_us;
        let stays = self.frames.iter().position(lingers).unwrap_or(self.frames.len()) as u64;
        let keep = keep.min(self.base + stays);
        while self.base < keep && self.pop() {}
    }

    /// The oldest frame held that is younger than `us` before the newest.
    pub fn since(&self, us: i64) -> u64 {
        let newest = self.frames.back().map_or(0, |frame| frame.dts);
        let young = |frame: &&Frame| newest.saturating_sub(frame.dts) < us;
        self.head() - self.frames.iter().rev().take_while(young).count() as u64
    }

    /// Where one who joins starts: at the newest keyframe if the GOP cache is on, or else at the first
    /// keyframe from `joined` on.
    pub fn join(&self, joined: u64) -> Option<&Start> {
        self.start.as_ref().filter(|start| self.limits.gop_cache || start.seq >= joined)
    }

    /// The newest keyframe still held, for a player that has fallen behind `cursor`.
    pub fn newest_key(&self, cursor: u64) -> Option<&Start> {
        self.start.as_ref().filter(|start| start.seq > cursor || cursor < self.base)
    }

    /// Whether a keyframe of this publish is held.
    pub fn has_key(&self) -> bool {
        self.start.is_some()
    }

    /// Whether the publish that is going on has video.
    pub fn has_video(&self) -> bool {
        self.video != Video::None
    }

    /// The headers in force at the head.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The sequence number of the oldest frame held.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The sequence number that the next frame will get.
    pub fn head(&self) -> u64 {
        self.base + self.frames.len() as u64
    }

    /// The frame `seq`, if it is held.
    pub fn frame(&self, seq: u64) -> Option<&Frame> {
        self.frames.get(usize::try_from(seq.checked_sub(self.base)?).ok()?)
    }

    /// Has the frames from `from` on whose lent memory is wanted back by `until` lie in memory of our own. Answers
    /// how many there were, and when the next is wanted back.
    pub fn own(&mut self, from: u64, until: Time, copies: &mut Copies) -> (usize, Option<Time>) {
        let skipped = usize::try_from(from.saturating_sub(self.base)).unwrap_or(usize::MAX);
        own_due(self.frames.iter_mut().skip(skipped).map(|frame| &mut frame.payload), until, copies)
    }

    /// How far the frame at `cursor` is behind the newest, in µs.
    pub fn lag_us(&self, cursor: u64) -> i64 {
        match (self.frame(cursor), self.frames.back()) {
            (Some(at), Some(newest)) => newest.dts.saturating_sub(at.dts),
            _ => 0,
        }
    }

    /// Bytes of the frames held from `cursor` on.
    pub fn bytes_from(&self, cursor: u64) -> usize {
        let passed = usize::try_from(cursor.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.frames.iter().skip(passed).map(Frame::size).sum()
    }

    /// Bytes of frames held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames held.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no frame is held.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn bound(&mut self) {
        if let Some(start) = &self.start
            && self.head() - start.seq > self.limits.gop_frames as u64
        {
            self.start = None;
        }
        while self.bytes > self.limits.bytes || self.frames.len() > self.limits.frames {
            if !self.pop() {
                break;
            }
        }
        let newest = self.frames.back().map_or(0, |f| f.dts);
        let gop = self.start.as_ref().map_or(u64::MAX, |start| start.seq);
        while self.base < gop
            && self.frames.front().is_some_and(|f| newest.saturating_sub(f.dts) > self.limits.length_us)
        {
            self.pop();
        }
    }

    fn pop(&mut self) -> bool {
        let Some(frame) = self.frames.pop_front() else { return false };
        self.bytes -= frame.size();
        self.base += 1;
        if self.start.as_ref().is_some_and(|start| start.seq < self.base) {
            self.start = None;
        }
        if self.frames.capacity() > 256 && self.frames.len() < self.frames.capacity() / 8 {
            self.frames.shrink_to(self.frames.len() * 2);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::frame::Codec;
    use super::*;

    const LIMITS: RingLimits = RingLimits {
        bytes: 10_000,
        frames: 100,
        length_us: 2_000_000,
        linger_us: 0,
        gop_cache: true,
        gop_frames: 50,
    };

    fn video(role: Role, ms: i64, size: usize) -> Frame {
        let dts = ms * 1000;
        let payload = Bytes::from(vec![0; size]);
        Frame {
            kind: Kind::Video,
            codec: Codec::H264,
            role,
            dts,
            pts: dts,
            payload: payload.into(),
            relay: Bytes::new(),
        }
    }

    fn audio(ms: i64, size: usize) -> Frame {
        Frame { kind: Kind::Audio, codec: Codec::Aac, role: Role::Key, ..video(Role::Key, ms, size) }
    }

    #[test]
    fn keeps_the_newest_gop_and_the_headers_of_its_time() {
        let mut ring = Ring::new(LIMITS);
        let first = video(Role::Header, 0, 7);
        let second = video(Role::Header, 80, 8);
        assert!(ring.push(first.clone()));
        assert!(ring.push(video(Role::Key, 0, 100)));
        assert!(ring.push(video(Role::Delta, 40, 10)));
        assert!(ring.push(second.clone()));
        let start = ring.join(0).unwrap();
        assert_eq!((start.seq, start.headers.video.as_ref()), (1, Some(&first)));
        assert!(ring.push(video(Role::Key, 80, 100)));
        ring.trim(u64::MAX);
        let start = ring.join(0).unwrap();
        assert_eq!((start.seq, start.headers.video.as_ref()), (4, Some(&second)));
        assert_eq!((ring.base(), ring.len(), ring.bytes()), (4, 1, 100));
    }

    #[test]
    fn nothing_is_kept_without_cache_and_players() {
        let mut ring = Ring::new(RingLimits { gop_cache: false, ..LIMITS });
        ring.push(video(Role::Key, 0, 10));
        assert!(ring.join(0).is_some());
        assert!(ring.join(1).is_none());
        ring.trim(1);
        assert!(ring.is_empty());
    }

    #[test]
    fn video_before_the_first_keyframe_is_not_taken() {
        let mut ring = Ring::new(LIMITS);
        assert!(!ring.push(video(Role::Delta, 0, 10)));
        assert!(ring.has_video());
        assert!(ring.push(audio(0, 10)));
        assert!(ring.push(video(Role::Key, 0, 10)));
        assert!(ring.push(video(Role::Delta, 0, 10)));
        ring.restart();
        assert!(!ring.push(video(Role::Delta, 0, 10)));
    }

    #[test]
    fn limits_hold_for_a_stream_without_keyframes_and_for_audio_alone() {
        let mut ring = Ring::new(LIMITS);
        ring.push(video(Role::Key, 0, 10));
        for i in 0..10_000 {
            ring.push(video(Role::Delta, i, 500));
            assert!(ring.bytes() <= LIMITS.bytes && ring.len() <= LIMITS.frames);
        }
        assert_eq!(ring.join(0), None, "a GOP that is too long is not a place to start");
        let mut ring = Ring::new(LIMITS);
        for i in 0..10_000 {
            ring.push(audio(i * 23, 10));
            assert!(ring.lag_us(ring.base()) <= LIMITS.length_us);
        }
    }

    #[test]
    fn the_newest_frames_linger_where_that_is_asked_for() {
        let mut ring = Ring::new(RingLimits { linger_us: 1_000_000, ..LIMITS });
        for i in 0..100 {
            ring.push(audio(i * 100, 10));
            ring.trim(u64::MAX);
        }
        assert_eq!((ring.base(), ring.head()), (90, 100));
        assert_eq!((ring.since(500_000), ring.since(0), ring.since(i64::MAX)), (95, 100, 90));
    }

    #[test]
    fn a_laggard_finds_the_newest_keyframe() {
        let mut ring = Ring::new(LIMITS);
        for gop in 0..10 {
            ring.push(video(Role::Key, gop * 1000, 10));
            for i in 1..10 {
                ring.push(video(Role::Delta, gop * 1000 + i * 100, 10));
            }
            ring.trim(0);
        }
        assert!(ring.lag_us(ring.base()) <= LIMITS.length_us);
        assert_eq!(ring.newest_key(0).map(|s| s.seq), Some(90));
        assert_eq!(ring.newest_key(95), None, "nothing newer than where it stands");
    }
}
