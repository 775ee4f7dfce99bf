//! Frames that come in heaps, given one after another as their timestamps say.

use std::time::Duration;

use super::merge::Merge;
use super::timeline::Timeline;
use crate::media::Frame;
use crate::time::Time;

/// A frame that is this late is not made up for: the clock starts anew.
const LATE: Duration = Duration::from_millis(500);
/// Bytes of frames beyond which none are read until some have been given: 10 s of 12 Mbit/s.
const FULL_BYTES: usize = 16 * 1024 * 1024;
/// The same in frames.
const FULL_FRAMES: usize = 16 * 1024;

/// Holds frames until they are due.
///
/// The first one is so at once. If none is left, the clock stands still from half a second on; what is ahead of
/// it is bounded by whoever pushes, who is told by [`Pacer::is_full`].
#[derive(Debug, Default)]
pub(super) struct Pacer {
    merge: Merge,
    /// The frame that is next, in its place.
    next: Option<(i64, Frame)>,
    timeline: Timeline,
    /// The wall time of timestamp 0, once a frame was given.
    start: Option<Time>,
    /// The frames that are there wait for no other track.
    settled: bool,
}

impl Pacer {
    pub(super) fn push(&mut self, frame: Frame) {
        self.merge.push(frame);
        self.settled = false;
    }

    /// The reading has come to a stop: the frames that are there wait for no other track.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }

    /// What is pushed from now on, when all that came before has been given, has timestamps of its own.
    pub(super) fn begin_next(&mut self) {
        self.timeline.begin_next();
    }

    /// The next frame, if it is due, and the timestamp that it came with.
    pub(super) fn pop(&mut self, now: Time) -> Option<(i64, Frame)> {
        self.look(now);
        let due = self.due()?;
        if due > now {
            return None;
        }
        let (at, frame) = self.next.take()?;
        let late = now.since(due);
        match self.start {
            Some(start) if late > LATE => self.start = Some(start + late),
            Some(_) => {}
            None => self.start = Some(now - micros(at)),
        }
        Some((self.timeline.source(at), frame))
    }

    /// When the next frame is due; or may be, where another one could still belong before it.
    pub(super) fn due(&self) -> Option<Time> {
        let Some(start) = self.start else { return self.next.as_ref().map(|_| Time::ZERO) };
        let at = match &self.next {
            Some((at, _)) => *at,
            None => self.timeline.at(self.merge.first()?.dts),
        };
        Some(start + micros(at))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next.is_none() && self.merge.first().is_none()
    }

    /// Whether it holds as much as it may.
    pub(super) fn is_full(&self) -> bool {
        self.merge.bytes() > FULL_BYTES || self.merge.len() > FULL_FRAMES
    }

    /// Whether it has room for some time.
    pub(super) fn has_room(&self) -> bool {
        self.merge.bytes() <= FULL_BYTES / 2 && self.merge.len() <= FULL_FRAMES / 2
    }

    /// Puts the next frame in its place, if there is one: one whose turn is certain, or has come.
    fn look(&mut self, now: Time) {
        if self.next.is_some() {
            return;
        }
        let frame = self.merge.pop().or_else(|| {
            let is_due = self.due().is_some_and(|due| due <= now);
            if is_due || self.settled { self.merge.take() } else { None }
        });
        self.next = frame.map(|frame| self.timeline.place(frame));
    }
}

fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::{Codec, Kind, Role};

    fn frame(kind: Kind, ms: i64, len: usize) -> Frame {
        let (codec, dts) = (if kind == Kind::Video { Codec::H264 } else { Codec::Aac }, ms * 1000);
        let payload = Bytes::from(vec![0; len]);
        Frame { kind, codec, role: Role::Key, dts, pts: dts, payload: payload.into(), relay: Bytes::new() }
    }

    /// What is given until then, with the time of each in ms.
    fn given(pacer: &mut Pacer, from: u64, until: u64) -> Vec<(u64, i64)> {
        let mut out = Vec::new();
        for ms in from..=until {
            while let Some((dts, _)) = pacer.pop(Time::from_millis(ms)) {
                out.push((ms, dts / 1000));
            }
        }
        out
    }

    #[test]
    fn a_heap_is_given_in_time_and_in_order() {
        let mut pacer = Pacer::default();
        (0..4).for_each(|n| pacer.push(frame(Kind::Video, 5000 + n * 40, 1)));
        (0..4).for_each(|n| pacer.push(frame(Kind::Audio, 5010 + n * 40, 1)));
        let expected = [(70, 5000), (80, 5010), (110, 5040), (120, 5050), (150, 5080), (160, 5090)];
        assert_eq!(given(&mut pacer, 70, 160), expected);
        // The last ones are certain when their time comes, too.
        assert_eq!(given(&mut pacer, 161, 1000), [(190, 5120), (200, 5130)]);
        assert!(pacer.is_empty());
    }

    #[test]
    fn one_track_begins_when_nothing_else_comes() {
        let mut pacer = Pacer::default();
        (0..3).for_each(|n| pacer.push(frame(Kind::Video, n * 40, 1)));
        assert_eq!(given(&mut pacer, 0, 50), []);
        assert_eq!(pacer.due(), None);
        pacer.settle();
        assert_eq!(given(&mut pacer, 60, 200), [(60, 0), (100, 40), (140, 80)]);
    }

    #[test]
    fn the_clock_waits_where_frames_are_far_too_late() {
        let mut pacer = Pacer::default();
        let add = |pacer: &mut Pacer, ms| {
            pacer.push(frame(Kind::Video, ms, 1));
            pacer.settle();
        };
        add(&mut pacer, 0);
        assert_eq!(given(&mut pacer, 0, 0), [(0, 0)]);
        // A little late is made up for.
        [40, 80, 600].into_iter().for_each(|ms| add(&mut pacer, ms));
        assert_eq!(given(&mut pacer, 400, 700), [(400, 40), (400, 80), (600, 600)]);
        // By two seconds is not.
        [640, 680].into_iter().for_each(|ms| add(&mut pacer, ms));
        assert_eq!(given(&mut pacer, 2640, 3000), [(2640, 640), (2680, 680)]);
    }

    #[test]
    fn what_begins_anew_goes_on_where_it_was() {
        let mut pacer = Pacer::default();
        let mut places = Vec::new();
        for round in 0..2 {
            (0..3).for_each(|n| pacer.push(frame(Kind::Video, 9000 + n * 40, 1)));
            pacer.settle();
            while let Some((dts, frame)) = pacer.pop(Time::from_millis(1000)) {
                places.push((dts / 1000, frame.dts / 1000));
            }
            while let Some((dts, frame)) = pacer.pop(Time::from_millis(1080 + round * 120)) {
                places.push((dts / 1000, frame.dts / 1000));
            }
            pacer.begin_next();
        }
        let expected = [(9000, 0), (9040, 40), (9080, 80), (9000, 120), (9040, 160), (9080, 200)];
        assert_eq!(places, expected);
    }

    #[test]
    fn it_says_when_it_holds_enough() {
        let mut pacer = Pacer::default();
        let mut ms = 0;
        while !pacer.is_full() {
            pacer.push(frame(Kind::Video, ms, 1024 * 1024));
            ms += 40;
        }
        assert_eq!(ms, 17 * 40);
        given(&mut pacer, 0, 0);
        assert!(!pacer.is_full() && !pacer.has_room());
        given(&mut pacer, 1, 9 * 40);
        assert!(pacer.has_room());
    }
}
