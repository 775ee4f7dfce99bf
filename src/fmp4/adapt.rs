//! What MP4 has no sample entry for that browsers know, as something that it has: G.711 as FLAC, sample by sample
//! what it decodes to.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::ticks;
use crate::codec::{flac, g711};
use crate::media::{Codec, Frame, Role};
use crate::wire::limits::{FLAC_BLOCK_SAMPLES, G711_FRAME_BYTES};

/// What a sample of G.711 lasts, in µs.
const SAMPLE_US: i64 = 125;
/// How far a frame's time may be behind the end of the samples before it, in µs, and still follow them: there are
/// cameras that say when they came to send a frame, and clocks that differ.
const AHEAD_US: i64 = 100_000;
/// How far it may be behind at most before its time is taken for a leap back, in µs.
const LEAP_US: i64 = 10_000_000;
/// Timestamps are rounded: no frame that is less late than that has a gap before it, in µs.
const ROUNDED_US: i64 = 2_000;

/// Frames as MP4 has them. One that is carried as it is comes as it is.
pub type Adapted = SmallVec<[Frame; 1]>;

/// Makes frames of one stream, in their order, into those that its [`Tracks`](super::Tracks) hold.
///
/// Times of G.711 are counted in samples, as long as what came is near to that, so that each frame begins where
/// the one before it ended. A gap of more than half a frame stays one. Frames whose samples are too many for their
/// times are left out once they are 100 ms ahead, since a player could only show them over one another; so are
/// those longer than [`limits::G711_FRAME_BYTES`](crate::wire::limits::G711_FRAME_BYTES).
#[derive(Debug, Default)]
pub struct Adapter {
    /// When the samples so far end, in µs.
    end: Option<i64>,
}

/// Whether frames of this codec go as others.
pub(super) fn is_due(codec: Codec) -> bool {
    matches!(codec, Codec::G711A | Codec::G711U)
}

impl Adapter {
    /// The frames that this one goes as. G.711 goes as FLAC; a frame of it that is longer than
    /// [`limits::FLAC_BLOCK_SAMPLES`](crate::wire::limits::FLAC_BLOCK_SAMPLES) as several.
    pub fn adapt(&mut self, frame: &Frame) -> Adapted {
        let decode = match (frame.codec, frame.role) {
            (Codec::G711A, Role::Key) => g711::alaw,
            (Codec::G711U, Role::Key) => g711::ulaw,
            _ => return SmallVec::from_elem(frame.clone(), 1),
        };
        let count = frame.payload.len();
        if !(1..=G711_FRAME_BYTES).contains(&count) {
            return Adapted::new();
        }
        let Some(mut dts) = self.place(frame.dts, duration_us(count)) else { return Adapted::new() };
        let samples: Vec<i16> = frame.payload.pieces().iter().flatten().map(|code| decode(*code)).collect();
        // All about as long as one another: none is left with a few samples.
        let block = count.div_ceil(count.div_ceil(FLAC_BLOCK_SAMPLES));
        let blocks = samples.chunks(block).map(|block| {
            let mut out = BytesMut::new();
            flac::encode(block, ticks(dts, g711::RATE), &mut out);
            let (payload, relay) = (out.freeze().into(), Bytes::new());
            let adapted = Frame { codec: Codec::Flac, dts, pts: dts, payload, relay, ..*frame };
            dts = dts.saturating_add(duration_us(block.len()));
            adapted
        });
        blocks.collect()
    }

    /// When a frame of this length begins that came with the time `dts`; `None` if it is left out.
    fn place(&mut self, dts: i64, length_us: i64) -> Option<i64> {
        let begin = match self.end {
            Some(end) if dts.saturating_sub(end) > (length_us / 2).max(ROUNDED_US) => dts,
            Some(end) if end.saturating_sub(dts) > LEAP_US => dts,
            Some(end) if end.saturating_sub(dts) > AHEAD_US => return None,
            Some(end) => end,
            None => dts,
        };
        self.end = Some(begin.saturating_add(length_us));
        Some(begin)
    }
}

fn duration_us(samples: usize) -> i64 {
    i64::try_from(samples).unwrap_or(i64::MAX).saturating_mul(SAMPLE_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Kind;

    fn sound(ms: i64, len: usize) -> Frame {
        let (kind, codec, role, dts) = (Kind::Audio, Codec::G711A, Role::Key, ms * 1000);
        let payload = (0..len).map(|n| n as u8).collect::<Vec<_>>().into();
        Frame { kind, codec, role, dts, pts: dts, payload, relay: Bytes::from_static(b"xyz") }
    }

    /// When each of the frames goes that came at these times, in samples; each is of 160 of them.
    fn placed(times_ms: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut adapter = Adapter::default();
        let all = times_ms.into_iter().filter_map(|ms| adapter.place(ms * 1000, duration_us(160)));
        all.map(|dts| dts / SAMPLE_US).collect()
    }

    #[test]
    fn g711_becomes_flac_and_nothing_else_does() {
        let mut adapter = Adapter::default();
        let frames = adapter.adapt(&sound(1000, 160));
        assert_eq!(frames.len(), 1);
        let Frame { kind, codec, role, dts, pts, ref payload, ref relay } = frames[0];
        assert_eq!(
            (kind, codec, role, dts, pts),
            (Kind::Audio, Codec::Flac, Role::Key, 1_000_000, 1_000_000)
        );
        assert_eq!((flac::block_samples(payload), relay.len()), (Ok(160), 0));
        for other in [
            Frame { codec: Codec::Aac, ..sound(5, 9) },
            Frame { role: Role::Mark, ..sound(5, 0) },
            Frame { kind: Kind::Video, codec: Codec::H264, ..sound(5, 9) },
        ] {
            assert_eq!(adapter.adapt(&other)[..], [other]);
        }
    }

    #[test]
    fn times_are_counted_in_samples() {
        // Rounded to ms, and moved by when they were sent.
        assert_eq!(placed([0, 20, 41, 59, 80]), [0, 160, 320, 480, 640]);
        assert_eq!(placed([7, 26, 47, 60, 97]), [56, 216, 376, 536, 696]);
        // A frame is missing; times leap back.
        assert_eq!(placed([0, 20, 60, 80]), [0, 160, 480, 640]);
        assert_eq!(placed([20_000, 20_020, 0, 20]), [160_000, 160_160, 0, 160]);
        // A clock that is a little slow, and one that is a little fast, for an hour.
        for step in [19_990, 20_010] {
            let times: Vec<i64> = (0..180_000).map(|n| n * step / 1000).collect();
            let begin = placed(times.iter().copied());
            let (kept, last) = (begin.len(), begin[begin.len() - 1]);
            assert!(
                begin.windows(2).all(|w| w[1] >= w[0] + 160),
                "none begins before the one before it ends"
            );
            assert!((last / 8 - times[times.len() - 1]).abs() <= 121, "{last}");
            assert!(kept > 179_000, "{kept}");
        }
    }

    #[test]
    fn more_samples_than_there_is_time_for_are_left_out() {
        assert_eq!(placed(vec![0; 1000]).len(), 6);
        assert!(Adapter::default().adapt(&sound(0, G711_FRAME_BYTES + 1)).is_empty());
        assert!(Adapter::default().adapt(&sound(0, 0)).is_empty());
    }

    #[test]
    fn a_long_frame_becomes_several() {
        let frames = Adapter::default().adapt(&sound(0, 8000));
        let blocks: Vec<_> = frames.iter().map(|f| (f.dts, flac::block_samples(&f.payload))).collect();
        assert_eq!(blocks, [(0, Ok(4000)), (500_000, Ok(4000))]);
        assert_eq!(Adapter::default().adapt(&sound(0, FLAC_BLOCK_SAMPLES)).len(), 1);
        assert_eq!(Adapter::default().adapt(&sound(0, G711_FRAME_BYTES)).len(), 15);
    }
}
