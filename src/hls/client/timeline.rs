//! The clock of what is pulled: the times that segments have, shifted at discontinuities so that time goes on,
//! by as much for the renditions of audio and video.

use std::collections::VecDeque;

use crate::media::{Frame, Kind, Role};

/// Renditions that are pulled together: the variant's own, and one of audio.
pub(super) const RENDITIONS: usize = 2;

/// How far time may go on at a discontinuity to be taken as it is, in µs; and how long a frame may be.
const STEP_MAX_US: i64 = 1_000_000;
/// How far apart renditions may begin that share their time though their numbers differ, in µs.
const APART_MAX_US: i64 = 60_000_000;
/// How long a frame is taken to be before two of them came, in µs.
const STEP_US: i64 = 40_000;
/// The clock of MPEG-TS wraps after so many µs: 2^33 ticks of 90 kHz.
const WRAP_US: i64 = 95_443_717_689;
/// Spans that are remembered for the rendition that is behind: it is so by two segments at most.
const SPANS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// The last frames of video and audio.
    last: [Option<Last>; 2],
    spans: VecDeque<Span>,
    /// The number of the span that comes next.
    next: u64,
    /// The numbers of the spans that the renditions are in.
    current: [Option<u64>; RENDITIONS],
}

/// The last frame of a track, and how far it was from the one before, in µs.
#[derive(Debug, Clone, Copy)]
struct Last {
    dts: i64,
    step: i64,
}

impl Last {
    fn end(self) -> i64 {
        self.dts.saturating_add(self.step)
    }
}

/// What lies between two discontinuities.
#[derive(Debug)]
struct Span {
    number: u64,
    /// The discontinuity sequence number, by which renditions find each other.
    sequence: u64,
    /// What is added to its times, in µs.
    shift: i64,
    /// The rendition that made it had been in none.
    is_start: bool,
    /// The newest time in it, unshifted.
    newest: Option<i64>,
    /// What is added for each rendition besides, where its clock has wrapped.
    wraps: [Option<i64>; RENDITIONS],
    /// Whether a frame of video and audio was in it.
    tracks: [bool; 2],
    entered: [bool; RENDITIONS],
}

impl Timeline {
    /// A rendition comes to a discontinuity, or begins.
    pub(super) fn enter(&mut self, rendition: usize, sequence: u64) {
        let before = self.span(rendition).map(|span| span.shift.saturating_add(span.wrap(rendition)));
        let shift = before.or(self.spans.back().map(|span| span.shift)).unwrap_or(0);
        let is_start = before.is_none();
        let known = self.spans.iter_mut().rev().find(|span| span.sequence == sequence);
        // One that the rendition was in already is another of the same number.
        let entered = known.filter(|span| !span.entered.get(rendition).copied().unwrap_or(true));
        let number = match entered {
            Some(span) => {
                if let Some(entered) = span.entered.get_mut(rendition) {
                    *entered = true;
                }
                span.number
            }
            None => {
                let number = self.next;
                self.next = number.wrapping_add(1);
                if self.spans.len() >= SPANS {
                    self.spans.pop_front();
                }
                let mut entered = [false; RENDITIONS];
                entered.iter_mut().skip(rendition).take(1).for_each(|entered| *entered = true);
                let (newest, wraps, tracks) = (None, [None; RENDITIONS], [false; 2]);
                self.spans.push_back(Span {
                    number,
                    sequence,
                    shift,
                    is_start,
                    newest,
                    wraps,
                    tracks,
                    entered,
                });
                number
            }
        };
        if let Some(current) = self.current.get_mut(rendition) {
            *current = Some(number);
        }
    }

    /// A rendition goes on with another demuxer, whose clock may have wrapped otherwise.
    pub(super) fn rejoin(&mut self, rendition: usize) {
        if let Some(wrap) = self.span(rendition).and_then(|span| span.wraps.get_mut(rendition)) {
            *wrap = None;
        }
    }

    /// Puts a frame of a rendition where it belongs.
    pub(super) fn place(&mut self, rendition: usize, frame: &mut Frame) {
        let track = usize::from(frame.kind == Kind::Audio);
        let last = self.last.get(track).copied().flatten();
        let latest = self.last.iter().flatten().map(|last| last.end()).max();
        if let Some(span) = self.span(rendition) {
            let shift = span.shift_of(rendition, track, frame.dts, last, latest);
            frame.dts = frame.dts.saturating_add(shift);
            frame.pts = frame.pts.saturating_add(shift);
        }
        if frame.role != Role::Header
            && let Some(last) = self.last.get_mut(track)
        {
            let before = last.map_or(STEP_US, |last| last.step);
            let step = last.map_or(before, |last| frame.dts.saturating_sub(last.dts));
            let step = if (1..=STEP_MAX_US).contains(&step) { step } else { before };
            *last = Some(Last { dts: frame.dts, step });
        }
    }

    fn span(&mut self, rendition: usize) -> Option<&mut Span> {
        let number = self.current.get(rendition).copied().flatten()?;
        self.spans.iter_mut().find(|span| span.number == number)
    }
}

impl Span {
    fn wrap(&self, rendition: usize) -> i64 {
        self.wraps.get(rendition).copied().flatten().unwrap_or(0)
    }

    /// What is added to the times of a rendition. The first frame decides; the first one of the other track
    /// may show that it isn't enough.
    fn shift_of(
        &mut self,
        rendition: usize,
        track: usize,
        dts: i64,
        last: Option<Last>,
        latest: Option<i64>,
    ) -> i64 {
        let begins = self.newest.is_none();
        if let Some(wrap) = self.wraps.get_mut(rendition) {
            let behind = self.newest.unwrap_or(dts).saturating_sub(dts);
            let wraps = behind.saturating_add(WRAP_US / 2).div_euclid(WRAP_US);
            wrap.get_or_insert(wraps.saturating_mul(WRAP_US));
        }
        let wrap = self.wrap(rendition);
        self.newest = self.newest.max(Some(dts.saturating_add(wrap)));
        let known = self.tracks.get_mut(track).is_none_or(|known| std::mem::replace(known, true));
        if !known {
            let at = dts.saturating_add(wrap).saturating_add(self.shift);
            if begins && let Some(latest) = latest {
                let step = at.saturating_sub(last.map_or(latest, |last| last.dts));
                let continues = if self.is_start { -APART_MAX_US..=APART_MAX_US } else { 1..=STEP_MAX_US };
                if !continues.contains(&step) {
                    self.shift = latest.saturating_sub(dts);
                }
            } else if let Some(last) = last.filter(|last| at <= last.dts) {
                self.shift = self.shift.saturating_add(last.end().saturating_sub(at));
            }
        }
        self.shift.saturating_add(wrap)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::Codec;

    const SECOND: i64 = 1_000_000;

    fn place(timeline: &mut Timeline, rendition: usize, kind: Kind, dts: i64) -> i64 {
        let (codec, role, payload) = (Codec::Other(1), Role::Key, Bytes::new());
        let mut frame =
            Frame { kind, codec, role, dts, pts: dts + 7, payload: payload.clone().into(), relay: payload };
        timeline.place(rendition, &mut frame);
        assert_eq!(frame.pts, frame.dts + 7);
        frame.dts
    }

    #[test]
    fn audio_that_begins_earlier_moves_what_follows() {
        let mut timeline = Timeline::default();
        timeline.enter(0, 0);
        let (video, audio) = (Kind::Video, Kind::Audio);
        assert_eq!(place(&mut timeline, 0, video, 0), 0);
        assert_eq!(place(&mut timeline, 0, audio, 10_000), 10_000);
        assert_eq!(place(&mut timeline, 0, video, 40_000), 40_000);
        assert_eq!(place(&mut timeline, 0, audio, 31_000), 31_000);
        timeline.enter(0, 1);
        assert_eq!(place(&mut timeline, 0, video, 9 * SECOND), 80_000);
        // 60 ms before the video, where the last audio would be after it.
        assert_eq!(place(&mut timeline, 0, audio, 9 * SECOND - 60_000), 52_000);
        assert_eq!(place(&mut timeline, 0, video, 9 * SECOND + 40_000), 152_000);
    }

    #[test]
    fn renditions_find_each_other_by_their_numbers() {
        let mut timeline = Timeline::default();
        let (video, audio) = (Kind::Video, Kind::Audio);
        timeline.enter(0, 5);
        timeline.enter(1, 5);
        assert_eq!(place(&mut timeline, 0, video, 100 * SECOND), 100 * SECOND);
        assert_eq!(place(&mut timeline, 1, audio, 94 * SECOND), 94 * SECOND);
        timeline.enter(0, 6);
        assert_eq!(place(&mut timeline, 0, video, 0), 100 * SECOND + STEP_US);
        assert_eq!(place(&mut timeline, 1, audio, 99 * SECOND), 99 * SECOND);
        timeline.enter(1, 6);
        assert_eq!(place(&mut timeline, 1, audio, 30_000), 100 * SECOND + STEP_US + 30_000);
        // The same number once more is another discontinuity.
        timeline.enter(0, 6);
        assert_eq!(place(&mut timeline, 0, video, 500 * SECOND), 100 * SECOND + 2 * STEP_US + 30_000);
    }

    #[test]
    fn numbers_that_differ_at_the_start_are_no_discontinuity() {
        let mut timeline = Timeline::default();
        timeline.enter(0, 5);
        assert_eq!(place(&mut timeline, 0, Kind::Video, 100 * SECOND), 100 * SECOND);
        timeline.enter(1, 0);
        assert_eq!(place(&mut timeline, 1, Kind::Audio, 94 * SECOND), 94 * SECOND);
    }

    #[test]
    fn a_wrap_between_renditions_and_demuxers_is_none() {
        let mut timeline = Timeline::default();
        timeline.enter(0, 0);
        timeline.enter(1, 0);
        let end = WRAP_US - SECOND;
        assert_eq!(place(&mut timeline, 0, Kind::Video, end), end);
        assert_eq!(place(&mut timeline, 1, Kind::Audio, SECOND), WRAP_US + SECOND);
        // One demuxer counts on, the next begins after the wrap.
        assert_eq!(place(&mut timeline, 0, Kind::Video, WRAP_US + SECOND), WRAP_US + SECOND);
        timeline.rejoin(0);
        assert_eq!(place(&mut timeline, 0, Kind::Video, 2 * SECOND), WRAP_US + 2 * SECOND);
        // So much for a discontinuity: time goes on by itself.
        timeline.enter(0, 1);
        timeline.enter(1, 1);
        assert_eq!(place(&mut timeline, 0, Kind::Video, 2 * SECOND + 40_000), WRAP_US + 2 * SECOND + 40_000);
        assert_eq!(place(&mut timeline, 1, Kind::Audio, 2 * SECOND + 50_000), WRAP_US + 2 * SECOND + 50_000);
    }
}
