//! PES packets put together from packets, their times, and the tracks that they are of
//! (ISO/IEC 13818-1, 2.4.3.6).

use std::collections::VecDeque;

use super::audio::Audio;
use super::sections::{AAC_ADTS, H265, StreamEntry};
use super::video::Video;
use super::{Arrival, Continuity, Packet};
use crate::media::Frame;
use crate::wire::{Malformed, Reader, limits};

/// Bytes of a PES packet up to the end of its length.
const HEADER: usize = 6;
/// A PTS or DTS has so many bits.
const STAMP_BITS: u32 = 33;

/// The times of a PES packet, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) pts: i64,
    pub(super) dts: i64,
}

/// What stamps are counted on from: both tracks share it, so that a wrap finds them together.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The last DTS, in ticks of 90 kHz that don't wrap.
    last: Option<i64>,
}

impl Clock {
    pub(super) fn times(&mut self, pts: u64, dts: u64) -> Times {
        let last = match self.last {
            None => dts.cast_signed(),
            Some(last) => last.saturating_add(distance(last.cast_unsigned(), dts)),
        };
        self.last = Some(last);
        Times { pts: micros(last.saturating_add(distance(dts, pts))), dts: micros(last) }
    }
}

/// How far it is from one stamp to another, the shorter way round.
fn distance(from: u64, to: u64) -> i64 {
    let unused = u64::BITS - STAMP_BITS;
    (to.wrapping_sub(from) << unused).cast_signed() >> unused
}

fn micros(ticks: i64) -> i64 {
    ticks.saturating_mul(100).div_euclid(9)
}

/// A track: its stream, the PES packet that is coming, and what is made of them.
#[derive(Debug)]
pub(super) struct Track {
    entry: StreamEntry,
    continuity: Continuity,
    /// The PES packet, from its first byte on; `None` before one has begun.
    unit: Option<Vec<u8>>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Video(Video),
    Audio(Audio),
}

impl Track {
    pub(super) fn new(entry: StreamEntry) -> Self {
        let content = if entry.is_video() {
            Content::Video(Video::new(entry.stream_type == H265))
        } else {
            Content::Audio(Audio::new(entry.stream_type == AAC_ADTS))
        };
        Self { entry, continuity: Continuity::default(), unit: None, content }
    }

    pub(super) fn entry(&self) -> StreamEntry {
        self.entry
    }

    pub(super) fn pid(&self) -> u16 {
        self.entry.pid
    }

    pub(super) fn packet(&mut self, packet: &Packet<'_>, clock: &mut Clock, out: &mut VecDeque<Frame>) {
        let payload = match self.continuity.arrival(packet) {
            Arrival::Next(payload) => payload,
            Arrival::AfterLoss(payload) => {
                self.lost();
                payload
            }
            Arrival::Nothing => return,
        };
        if packet.start {
            self.end(clock, out);
            self.unit = Some(Vec::new());
        }
        let limit = self.limit();
        let Some(unit) = &mut self.unit else { return };
        if unit.len().saturating_add(payload.len()) > limit {
            self.lost();
            return;
        }
        unit.extend_from_slice(payload);
        // One that tells its length doesn't wait for the next.
        if announced(unit).is_some_and(|len| unit.len() >= len) {
            self.end(clock, out);
        }
    }

    /// What is held is all that there is, and what follows needn't continue it.
    pub(super) fn flush(&mut self, clock: &mut Clock, out: &mut VecDeque<Frame>) {
        self.end(clock, out);
        self.continuity = Continuity::default();
        if let Content::Audio(audio) = &mut self.content {
            audio.lost();
        }
    }

    /// The PES packet that is held ends here.
    fn end(&mut self, clock: &mut Clock, out: &mut VecDeque<Frame>) {
        let Some(unit) = self.unit.take() else { return };
        if self.give(&unit, clock, out).is_err() {
            self.lost();
        }
    }

    fn give(&mut self, unit: &[u8], clock: &mut Clock, out: &mut VecDeque<Frame>) -> Result<(), Malformed> {
        // Shorter than announced: a multiple of sixteen packets is missing, which no counter tells.
        let unit = Reader::new(unit).take(announced(unit).unwrap_or(unit.len()))?;
        let Some(pes) = Pes::parse(unit)? else { return Ok(()) };
        let times = pes.stamps.map(|(pts, dts)| clock.times(pts, dts));
        match &mut self.content {
            Content::Video(video) => video.unit(times, pes.data, out),
            Content::Audio(audio) => audio.unit(times, pes.data, out),
        }
        Ok(())
    }

    fn lost(&mut self) {
        self.unit = None;
        match &mut self.content {
            Content::Video(video) => video.lost(),
            Content::Audio(audio) => audio.lost(),
        }
    }

    fn limit(&self) -> usize {
        match self.content {
            Content::Video(_) => limits::TS_VIDEO_PES_BYTES,
            Content::Audio(_) => limits::TS_AUDIO_PES_BYTES,
        }
    }
}

/// Bytes of the whole PES packet, where it tells them.
fn announced(unit: &[u8]) -> Option<usize> {
    let [_, _, _, _, high, low, ..] = unit else { return None };
    let len = u16::from_be_bytes([*high, *low]);
    (len != 0).then(|| usize::from(len).saturating_add(HEADER))
}

/// A PES packet that has been read through.
struct Pes<'a> {
    /// PTS and DTS, in ticks of 90 kHz.
    stamps: Option<(u64, u64)>,
    data: &'a [u8],
}

impl<'a> Pes<'a> {
    /// `None` for one that is encrypted.
    fn parse(unit: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let mut r = Reader::new(unit);
        let prefix = r.u24()?;
        if prefix != 1 {
            return Err(Malformed::Field { what: "packet_start_code_prefix", value: prefix });
        }
        r.skip(1 + 2)?; // stream_id, PES_packet_length
        let scrambling = r.u8()?;
        if scrambling & 0xc0 != 0x80 {
            return Err(Malformed::Field { what: "PES header marker", value: scrambling.into() });
        }
        let flags = r.u8()?;
        let len = r.u8()?;
        let mut optional = Reader::new(r.take(len.into())?);
        if scrambling & 0x30 != 0 {
            return Ok(None);
        }
        let stamps = match flags >> 6 {
            2 => {
                let pts = stamp(&mut optional)?;
                Some((pts, pts))
            }
            3 => Some((stamp(&mut optional)?, stamp(&mut optional)?)),
            _ => None,
        };
        Ok(Some(Self { stamps, data: r.rest() }))
    }
}

/// A stamp of 33 bits in five bytes, each part before a marker bit.
fn stamp(r: &mut Reader<'_>) -> Result<u64, Malformed> {
    let (high, middle, low) = (r.u8()?, r.u16()?, r.u16()?);
    Ok(u64::from(high >> 1 & 7) << 30 | u64::from(middle >> 1) << 15 | u64::from(low >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_go_on_over_their_wrap_both_ways() {
        let wrap = 1u64 << 33;
        let mut clock = Clock::default();
        let mut dts = |ticks: u64| clock.times(ticks % wrap, ticks % wrap).dts;
        assert_eq!(dts(wrap - 900), 95_443_707_688);
        assert_eq!(dts(wrap + 900), 95_443_727_688);
        assert_eq!(dts(wrap - 1800), 95_443_697_688);
        assert_eq!(dts(wrap / 2), 47_721_858_844);
        let times = Clock::default().times(9, wrap - 9);
        assert_eq!(times.pts - times.dts, 200);
        let times = Clock::default().times(wrap - 9, 9);
        assert_eq!((times.pts, times.dts), (-100, 100));
    }

    #[test]
    fn a_stamp_is_in_three_parts() {
        assert_eq!(stamp(&mut Reader::new(&[0x2f, 0xff, 0xff, 0xff, 0xff])), Ok((1 << 33) - 1));
        assert_eq!(stamp(&mut Reader::new(&[0x21, 0, 1, 0, 1])), Ok(0));
        assert_eq!(stamp(&mut Reader::new(&[0x23, 0, 3, 0, 3])), Ok(1 << 30 | 1 << 15 | 1));
    }
}
