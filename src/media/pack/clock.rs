//! An encoder's clock: where it steps, and both tracks with it, time goes on where the stream is.
//!
//! The stream's own correction ([`super::super::Correction::ENCODER`]) sees one sequence of both tracks, in which a
//! small step back may be either that audio and video interleave or that somebody set the clock. Here each track is
//! by itself.

/// How far a track's time may go back and still be the same clock: encoders exist that take times as frames arrive.
const BACK_US: i64 = 500_000;
/// How far it may go ahead: a camera may well send one frame every few seconds.
const AHEAD_US: i64 = 10_000_000;
/// How far it may go ahead where the encoder says that its clock begins anew.
const AHEAD_ANEW_US: i64 = 1_000_000;
/// From frame to frame, where a track has had only one.
const FRAME_US: i64 = 10_000;
/// The longest step that is gone on with.
const STEP_MAX_US: i64 = 1_000_000;

/// Which track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Track {
    Video,
    Audio,
}

/// The clock of one publisher.
#[derive(Debug, Default)]
pub(super) struct Clock {
    video: Line,
    audio: Line,
    /// What is added to the encoder's time since the last step.
    shift: i64,
    /// How many steps there were.
    epoch: u32,
    /// The latest time given out.
    latest: Option<i64>,
}

/// One track's time.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    last: Option<Last>,
    /// What is added to the encoder's time.
    shift: i64,
    /// At which step that was.
    epoch: u32,
}

/// What a track has given out.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// The decoding time given out last; no other may be before it.
    floor: i64,
    /// The latest time given out.
    top: i64,
    /// From one frame to the next.
    step: i64,
}

impl Clock {
    /// What is to be added to the times of a frame that is due at `time` on the encoder's clock. `anew`: the
    /// encoder says that its clock begins anew.
    pub(super) fn shift(&mut self, track: Track, time: i64, anew: bool) -> i64 {
        let line = *self.line(track);
        let joined = time.saturating_add(self.shift);
        let Some(last) = line.last else {
            // A track with a clock of its own, which is not allowed, is still to be played.
            let distance = |latest: i64| latest.saturating_sub(joined).saturating_abs();
            let shift = match self.latest {
                Some(latest) if distance(latest) > AHEAD_US => latest.saturating_sub(time),
                _ => self.shift,
            };
            *self.line(track) = Line { last: None, shift, epoch: self.epoch };
            return shift;
        };
        let ahead = if anew { AHEAD_ANEW_US } else { AHEAD_US };
        let near = last.floor.saturating_sub(BACK_US)..=last.top.saturating_add(ahead);
        let far = |time: i64| time.saturating_sub(last.top).saturating_abs();
        let own = time.saturating_add(line.shift);
        // Where the other track has stepped: this one too, or not yet.
        let follows = line.epoch != self.epoch
            && near.contains(&joined)
            && (!near.contains(&own) || far(joined) < far(own));
        if near.contains(&own) && !follows {
            return line.shift;
        }
        if !follows {
            let on = last.top.saturating_add(last.step);
            self.shift = self.latest.map_or(on, |latest| latest.max(on)).saturating_sub(time);
            self.epoch = self.epoch.wrapping_add(1);
        }
        *self.line(track) = Line { last: line.last, shift: self.shift, epoch: self.epoch };
        self.shift
    }

    /// A frame goes out: its decoding time, and the latest time that it has.
    pub(super) fn went(&mut self, track: Track, dts: i64, latest: i64) {
        self.latest = Some(self.latest.map_or(dts, |all| all.max(dts)));
        let line = self.line(track);
        line.last = Some(match line.last {
            None => Last { floor: dts, top: latest, step: FRAME_US },
            Some(Last { top, step, .. }) => {
                let passed = latest.saturating_sub(top);
                let step = if (1..=STEP_MAX_US).contains(&passed) { passed } else { step };
                Last { floor: dts, top: top.max(latest), step }
            }
        });
    }

    /// The least decoding time that the track's next frame may have.
    pub(super) fn floor(&self, track: Track) -> Option<i64> {
        let line = match track {
            Track::Video => &self.video,
            Track::Audio => &self.audio,
        };
        line.last.map(|last| last.floor)
    }

    fn line(&mut self, track: Track) -> &mut Line {
        match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1_000_000;
    const MS: i64 = 1000;

    /// What a frame's time becomes.
    fn at(clock: &mut Clock, track: Track, time: i64, anew: bool) -> i64 {
        let out = time.saturating_add(clock.shift(track, time, anew));
        clock.went(track, out, out);
        out
    }

    #[test]
    fn a_steady_clock_is_let_be() {
        let mut clock = Clock::default();
        for i in 0..100 {
            assert_eq!(at(&mut clock, Track::Video, -7 * S + i * 40 * MS, false), -7 * S + i * 40 * MS);
            assert_eq!(
                at(&mut clock, Track::Audio, -7 * S + i * 40 * MS + 5, i == 50),
                -7 * S + i * 40 * MS + 5
            );
        }
        assert_eq!(at(&mut clock, Track::Video, 2 * S, false), 2 * S, "a gap of some seconds is one");
    }

    #[test]
    fn both_tracks_step_together_and_go_on() {
        for step in [-3600 * S, -2 * S, -700 * MS, 11 * S, 3600 * S] {
            let mut clock = Clock::default();
            for i in 0..50 {
                at(&mut clock, Track::Video, i * 40 * MS, false);
                at(&mut clock, Track::Audio, i * 40 * MS, false);
            }
            // The clock is set between a video frame and its audio, which was taken before.
            assert_eq!(at(&mut clock, Track::Video, 2 * S + step, false), 2 * S, "{step}");
            assert_eq!(at(&mut clock, Track::Audio, 2 * S, false), 2 * S, "{step}");
            assert_eq!(
                at(&mut clock, Track::Audio, 2 * S + 40 * MS + step, false),
                2 * S + 40 * MS,
                "{step}"
            );
            assert_eq!(
                at(&mut clock, Track::Video, 2 * S + 40 * MS + step, false),
                2 * S + 40 * MS,
                "{step}"
            );
        }
    }

    #[test]
    fn a_clock_that_begins_anew_needs_no_large_step() {
        let mut clock = Clock::default();
        for i in 0..50 {
            at(&mut clock, Track::Video, i * 40 * MS, false);
            at(&mut clock, Track::Audio, i * 40 * MS, false);
        }
        assert_eq!(at(&mut clock, Track::Video, 7 * S, true), 2 * S);
        assert_eq!(at(&mut clock, Track::Audio, 7 * S, true), 2 * S, "the same step, not another");
        assert_eq!(at(&mut clock, Track::Video, 7 * S + 40 * MS, false), 2 * S + 40 * MS);
    }

    #[test]
    fn tracks_with_clocks_of_their_own_are_put_together() {
        let mut clock = Clock::default();
        assert_eq!(at(&mut clock, Track::Video, 1_000_000 * S, false), 1_000_000 * S);
        assert_eq!(at(&mut clock, Track::Audio, 0, false), 1_000_000 * S);
        assert_eq!(at(&mut clock, Track::Audio, 20 * MS, false), 1_000_000 * S + 20 * MS);
        assert_eq!(at(&mut clock, Track::Video, 1_000_000 * S + 40 * MS, false), 1_000_000 * S + 40 * MS);
    }

    proptest! {
        #[test]
        fn any_times_are_taken(times in prop::collection::vec((any::<i64>(), any::<bool>(), any::<bool>()), 0..40)) {
            let mut clock = Clock::default();
            for (time, video, anew) in times {
                at(&mut clock, if video { Track::Video } else { Track::Audio }, time, anew);
            }
        }
    }
}
