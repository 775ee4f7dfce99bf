//! `mix_correct`: brings audio and video that a publisher sends out of order into order.

use std::collections::VecDeque;

use super::chain::{Copies, own_due};
use super::frame::{Frame, Kind, Role};
use crate::time::Time;

/// Frames of one kind that wait at most for one of the other kind.
const WAIT_FOR_OTHER: usize = 10;
/// Frames of each kind that are held so that the order can be told.
const HOLD: usize = 2;

/// Holds a few frames back and hands them out by decoding time; frames of the same time and of the same
/// kind keep their order. Headers pass through the queue in their place: nothing that follows one goes
/// before it.
#[derive(Debug, Default)]
pub struct MixQueue {
    frames: VecDeque<Frame>,
    audio: usize,
    video: usize,
    data: usize,
}

impl MixQueue {
    /// Adds a frame at its place in time.
    pub fn push(&mut self, frame: Frame) {
        match frame.kind {
            Kind::Audio => self.audio += 1,
            Kind::Video => self.video += 1,
            Kind::Data => self.data += 1,
        }
        let stays_before = |f: &Frame| f.dts <= frame.dts || f.kind == frame.kind || f.role == Role::Header;
        let at = self.frames.iter().rposition(stays_before).map_or(0, |i| i + 1);
        self.frames.insert(at, frame);
    }

    /// The next frame whose place is certain.
    pub fn pop(&mut self) -> Option<Frame> {
        let certain = (self.audio >= HOLD && self.video >= HOLD)
            || self.audio >= WAIT_FOR_OTHER
            || self.video >= WAIT_FOR_OTHER
            || self.data >= WAIT_FOR_OTHER;
        if certain { self.take() } else { None }
    }

    /// The next frame, certain or not: the publisher has ended.
    pub fn take(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        match frame.kind {
            Kind::Audio => self.audio -= 1,
            Kind::Video => self.video -= 1,
            Kind::Data => self.data -= 1,
        }
        Some(frame)
    }

    /// Has frames whose lent memory is wanted back by `until` lie in memory of our own. Answers how many there
    /// were, and when the next is wanted back.
    pub fn own(&mut self, until: Time, copies: &mut Copies) -> (usize, Option<Time>) {
        own_due(self.frames.iter_mut().map(|frame| &mut frame.payload), until, copies)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::chain::Chain;
    use super::super::frame::Codec;
    use super::*;

    fn frame(kind: Kind, dts: i64) -> Frame {
        let codec = if kind == Kind::Audio { Codec::Aac } else { Codec::H264 };
        Frame { kind, codec, role: Role::Key, dts, pts: dts, payload: Chain::default(), relay: Bytes::new() }
    }

    #[test]
    fn brings_two_tracks_into_order() {
        let mut q = MixQueue::default();
        let mut out = Vec::new();
        for i in 0..50 {
            q.push(frame(Kind::Video, i * 40));
            q.push(frame(Kind::Audio, i * 40 - 30));
            while let Some(f) = q.pop() {
                out.push(f.dts);
            }
        }
        while let Some(f) = q.take() {
            out.push(f.dts);
        }
        assert_eq!(out.len(), 100);
        assert!(out.windows(2).all(|w| w[0] <= w[1]), "{out:?}");
    }

    #[test]
    fn one_track_alone_is_held_at_most_ten_frames() {
        let mut q = MixQueue::default();
        for i in 0..100 {
            q.push(frame(Kind::Video, i));
            while q.pop().is_some() {}
            assert!(q.frames.len() < WAIT_FOR_OTHER);
        }
    }

    #[test]
    fn scripts_alone_are_held_at_most_ten() {
        let mut q = MixQueue::default();
        q.push(frame(Kind::Audio, 0));
        for i in 0..100 {
            q.push(frame(Kind::Data, i));
            while q.pop().is_some() {}
            assert!(q.frames.len() <= WAIT_FOR_OTHER);
        }
    }

    #[test]
    fn a_track_keeps_its_order_and_nothing_goes_before_a_header() {
        let mut q = MixQueue::default();
        let header = Frame { role: Role::Header, ..frame(Kind::Video, 100) };
        for f in [frame(Kind::Audio, 100), header, frame(Kind::Video, 90), frame(Kind::Video, 80)] {
            q.push(f);
        }
        q.push(frame(Kind::Audio, 70));
        let order: Vec<_> = std::iter::from_fn(|| q.take()).map(|f| (f.kind, f.dts)).collect();
        let (a, v) = (Kind::Audio, Kind::Video);
        assert_eq!(order, [(a, 100), (v, 100), (a, 70), (v, 90), (v, 80)]);
    }
}
