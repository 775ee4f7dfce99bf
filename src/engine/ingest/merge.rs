//! Two tracks brought into one order: each comes by its decoding times, but not together.

use std::collections::VecDeque;

use crate::media::{Frame, Kind};

/// How far one track may be behind the other, in µs: writers gather sound for up to half a second, and a
/// picture is whole only when the next begins.
const WINDOW_US: i64 = 1_000_000;
/// Frames that are held at most.
const FRAMES: usize = 1024;
/// Bytes of frames that are held at most; one frame may be beyond it.
const BYTES: usize = 8 * 1024 * 1024;

/// Holds frames back until nothing earlier can come. Those of one track keep their order, also where its times
/// jump.
#[derive(Debug, Default)]
pub(super) struct Merge {
    frames: VecDeque<Frame>,
    bytes: usize,
    video: usize,
}

impl Merge {
    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes = self.bytes.saturating_add(frame.size());
        self.video = self.video.saturating_add(usize::from(frame.kind == Kind::Video));
        let stays_before = |f: &Frame| {
            f.kind == frame.kind || f.dts <= frame.dts || f.dts.saturating_sub(frame.dts) > WINDOW_US
        };
        let at = self.frames.iter().rposition(stays_before).map_or(0, |last| last.saturating_add(1));
        self.frames.insert(at, frame);
    }

    /// The next frame whose place is certain.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let (first, last) = (self.frames.front()?, self.frames.back()?);
        let has_both = self.video > 0 && self.video < self.frames.len();
        let is_full = self.frames.len() > FRAMES
            || self.bytes > BYTES
            || last.dts.abs_diff(first.dts) > WINDOW_US.unsigned_abs();
        if has_both || is_full { self.take() } else { None }
    }

    /// The frame that would be next.
    #[cfg(feature = "http")]
    pub(super) fn first(&self) -> Option<&Frame> {
        self.frames.front()
    }

    /// Frames that it holds.
    #[cfg(feature = "http")]
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Bytes of frames that it holds.
    #[cfg(feature = "http")]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next frame, certain or not: there are no more.
    pub(super) fn take(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(frame.size());
        self.video = self.video.saturating_sub(usize::from(frame.kind == Kind::Video));
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::{Codec, Role};

    fn frame(kind: Kind, ms: i64, len: usize) -> Frame {
        let (codec, dts) = (if kind == Kind::Video { Codec::H264 } else { Codec::Aac }, ms * 1000);
        let payload = Bytes::from(vec![0; len]);
        Frame { kind, codec, role: Role::Key, dts, pts: dts, payload: payload.into(), relay: Bytes::new() }
    }

    fn merged(frames: impl IntoIterator<Item = Frame>) -> Vec<(Kind, i64)> {
        let mut merge = Merge::default();
        let mut out = Vec::new();
        for frame in frames {
            merge.push(frame);
            out.extend(std::iter::from_fn(|| merge.pop()));
        }
        out.extend(std::iter::from_fn(|| merge.take()));
        assert_eq!((merge.bytes, merge.video), (0, 0));
        out.into_iter().map(|f| (f.kind, f.dts / 1000)).collect()
    }

    #[test]
    fn sound_that_comes_in_heaps_is_put_between_the_pictures() {
        let mut frames = Vec::new();
        for n in 0..100 {
            frames.push(frame(Kind::Video, n * 20, 10));
            if n % 25 == 24 {
                frames.extend((n - 24..=n).map(|n| frame(Kind::Audio, n * 20 + 1, 10)));
            }
        }
        let out = merged(frames);
        assert_eq!(out.len(), 200);
        assert!(out.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{out:?}");
    }

    #[test]
    fn one_track_alone_is_held_for_a_second_or_its_bytes() {
        let mut merge = Merge::default();
        for n in 0..100 {
            merge.push(frame(Kind::Video, n * 40, 10));
            let out = merge.pop();
            assert_eq!(out.map(|f| f.dts / 1000), (n > 25).then(|| (n - 26) * 40));
        }
        let mut merge = Merge::default();
        for n in 0..=BYTES / (1024 * 1024) {
            assert_eq!(merge.pop(), None);
            merge.push(frame(Kind::Video, n as i64, 1024 * 1024));
        }
        assert_eq!(merge.pop().map(|f| f.dts), Some(0));
        let mut merge = Merge::default();
        for _ in 0..=FRAMES {
            assert_eq!(merge.pop(), None);
            merge.push(frame(Kind::Video, 0, 0));
        }
        assert!(merge.pop().is_some());
    }

    #[test]
    fn a_jump_keeps_neither_track_back() {
        let (a, v) = (Kind::Audio, Kind::Video);
        let order = [(a, 90_000), (v, 90_010), (v, 0), (a, 90_020), (v, 40), (a, 10), (a, 30)];
        let out = merged(order.map(|(kind, ms)| frame(kind, ms, 1)));
        assert_eq!(out, [(a, 90_000), (v, 90_010), (v, 0), (a, 90_020), (a, 10), (a, 30), (v, 40)]);
    }
}
