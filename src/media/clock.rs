//! Timestamps: 32-bit ones that wrap become a clock that doesn't, and steps are repaired.

/// The step, in µs, beyond which a publisher's timestamps are taken to have jumped (SRS's 250 ms).
const JUMP_US: i64 = 250_000;
/// The step beyond which an encoder's own timestamps are taken to have jumped: a camera may well send
/// one frame every few seconds, and its clock needs no guessing.
const ENCODER_JUMP_US: i64 = 10_000_000;
/// What a jump counts as, in µs (SRS's 10 ms).
const FRAME_US: i64 = 10_000;

/// Extends 32-bit millisecond timestamps, which wrap after 49.7 days, to 64 bits of microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwrap {
    last: Option<(u32, i64)>,
}

impl Unwrap {
    /// The microseconds of `ms`, taken as the value nearest to the one before it.
    pub fn extend(&mut self, ms: u32) -> i64 {
        let extended = match self.last {
            None => i64::from(ms),
            Some((raw, value)) => value.saturating_add(i64::from(ms.wrapping_sub(raw) as i32)),
        };
        self.last = Some((ms, extended));
        extended.saturating_mul(1000)
    }
}

/// How a stream's timestamps are corrected (`time_jitter`, `atc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Starts near zero and is monotone: a step outside `±jump_us` counts as 10 ms.
    Full {
        /// The largest step that is taken as it is, in µs.
        jump_us: i64,
    },
    /// Starts at zero; steps pass.
    Zero,
    /// As published.
    Off,
}

impl Correction {
    /// SRS's `full`, for what comes from a network.
    pub const FULL: Self = Self::Full { jump_us: JUMP_US };
    /// `full` for what an encoder hands over.
    pub const ENCODER: Self = Self::Full { jump_us: ENCODER_JUMP_US };
}

/// Corrects the timestamps of one stream; lives as long as the stream, so that one publisher's end and
/// the next one's start join.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jitter {
    /// The last timestamp of this publisher's.
    last_in: Option<i64>,
    /// What it became.
    last_out: Option<i64>,
    /// The latest timestamp given: of the track that is ahead. After a jump time goes on from there, so
    /// that neither track goes back.
    latest: i64,
}

impl Jitter {
    /// What `dts` (µs) is on the stream's clock.
    pub fn correct(&mut self, how: Correction, dts: i64) -> i64 {
        let on = self.latest.saturating_add(FRAME_US);
        let out = match (how, self.last_out, self.last_in) {
            (Correction::Off, ..) => dts,
            (Correction::Zero, None, _) => 0,
            // A publisher that starts within a jump of zero keeps its start, as players expect of the
            // first few frames that an encoder's delay has shifted.
            (Correction::Full { .. }, None, _) if (0..=JUMP_US).contains(&dts) => dts,
            (Correction::Full { .. }, None, _) => 0,
            // Another publisher, with a clock of its own.
            (_, Some(_), None) => on,
            (Correction::Zero, Some(last_out), Some(last_in)) => {
                last_out.saturating_add(dts.saturating_sub(last_in)).max(0)
            }
            (Correction::Full { jump_us }, Some(last_out), Some(last_in)) => {
                let delta = dts.saturating_sub(last_in);
                match (-jump_us..=jump_us).contains(&delta) {
                    true => last_out.saturating_add(delta).max(0),
                    false => on,
                }
            }
        };
        self.latest = self.latest.max(out);
        (self.last_in, self.last_out) = (Some(dts), Some(out));
        out
    }

    /// The last corrected timestamp, in µs: what headers and scripts, which don't move the clock, get.
    pub fn now(&self) -> i64 {
        self.last_out.unwrap_or(0)
    }

    /// Another publisher begins, with a clock of its own.
    pub fn restart(&mut self) {
        self.last_in = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_become_a_straight_line() {
        let mut u = Unwrap::default();
        assert_eq!(u.extend(u32::MAX - 9), i64::from(u32::MAX - 9) * 1000);
        assert_eq!(u.extend(10), (i64::from(u32::MAX) + 11) * 1000);
        assert_eq!(u.extend(5), (i64::from(u32::MAX) + 6) * 1000);
        assert_eq!(u.extend(u32::MAX), i64::from(u32::MAX) * 1000);
    }

    #[test]
    fn full_keeps_small_steps_and_counts_jumps_as_ten_ms() {
        let mut j = Jitter::default();
        let mut at = |ms: i64| j.correct(Correction::FULL, ms * 1000) / 1000;
        assert_eq!(at(40), 40);
        assert_eq!(at(80), 80);
        assert_eq!(at(70), 70); // audio and video interleave
        assert_eq!(at(86_400_000), 90); // a day's jump, from the track that is ahead
        assert_eq!(at(86_400_040), 130);
        assert_eq!(at(0), 140); // and back
        assert_eq!(at(250), 390);
        assert_eq!(at(501), 400);
    }

    #[test]
    fn full_starts_a_late_publisher_at_zero() {
        assert_eq!(Jitter::default().correct(Correction::FULL, 5_000_000), 0);
        assert_eq!(Jitter::default().correct(Correction::FULL, -5), 0);
    }

    #[test]
    fn another_publisher_goes_on_where_the_last_one_ended() {
        for how in [Correction::FULL, Correction::Zero] {
            let mut j = Jitter::default();
            j.restart();
            assert_eq!((j.correct(how, 0), j.correct(how, 100_000)), (0, 100_000));
            j.restart();
            assert_eq!((j.correct(how, 0), j.correct(how, 40_000)), (110_000, 150_000));
            j.restart();
            assert_eq!(j.correct(how, 9_000_000), 160_000);
        }
    }

    #[test]
    fn an_encoder_may_send_a_frame_every_few_seconds() {
        let mut j = Jitter::default();
        assert_eq!(j.correct(Correction::ENCODER, 77_000_000), 0);
        assert_eq!(j.correct(Correction::ENCODER, 82_000_000), 5_000_000);
        assert_eq!(j.correct(Correction::ENCODER, 182_000_000), 5_010_000);
    }

    #[test]
    fn zero_and_off() {
        let mut j = Jitter::default();
        assert_eq!(j.correct(Correction::Zero, 1_000_000), 0);
        assert_eq!(j.correct(Correction::Zero, 3_000_000), 2_000_000);
        assert_eq!(j.correct(Correction::Off, 9_000_000), 9_000_000);
        assert_eq!(j.now(), 9_000_000);
    }
}
