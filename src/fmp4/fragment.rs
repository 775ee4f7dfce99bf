//! Fragments: `moof` and `mdat` (ISO/IEC 14496-12, 8.8.4), and what may stand before them.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::boxes::{begin, begin_full, end, patch};
use super::tracks::Track;
use super::{
    FLAGS_NON_SYNC, FLAGS_SYNC, TFHD_BASE_IS_MOOF, TRUN_COMPOSITION, TRUN_DATA_OFFSET, TRUN_DURATION,
    TRUN_FIRST_FLAGS, TRUN_FLAGS, TRUN_SIZE, Tracks, default_flags, ticks, track_id,
};
use crate::codec::flac;
use crate::media::{Codec, Frame, Kind, Role};
use crate::wire::limits;

/// Seconds from NTP's first day, in 1900, to Unix's, in 1970 (RFC 5905, 6).
const NTP_TO_UNIX: i64 = 2_208_988_800;
/// More than the bytes of a fragment beside its samples and what `trun` says of each: for `moof` and
/// `mdat`, and for two tracks.
const FRAGMENT_OVERHEAD: usize = 192;
/// The most bytes that `trun` has for a sample.
const TRUN_ENTRY: usize = 16;

/// A frame and how long it lasts.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// A frame to decode, of one of the tracks.
    pub frame: &'a Frame,
    /// µs until the next frame of its track is decoded. It is used for the last one of each track in a
    /// fragment: one that isn't last lasts until the next, so that neither track drifts. Less than 0 counts
    /// as 0. A frame of FLAC that is last is as long as it says itself, whatever stands here.
    pub duration_us: i64,
}

/// Why there is no fragment. Nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no sample.
    Empty,
    /// A frame is of no track: of a codec that none has, a header, a mark, or data.
    Frame(Codec, Role),
    /// More samples than [`limits::MP4_FRAGMENT_SAMPLES`], or more bytes of them than
    /// [`limits::MP4_FRAGMENT_BYTES`].
    TooLong,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a fragment without samples"),
            Self::Frame(codec, role) => write!(f, "a frame that no track can hold: {codec}, {role:?}"),
            Self::TooLong => f.write_str("a fragment beyond its limits"),
        }
    }
}

impl std::error::Error for Refused {}

/// Appends one `moof` and its `mdat` with the samples of both tracks: all video, then all audio, each in
/// the order in which it stands here. `sequence` goes up by one with each fragment of a stream.
///
/// Times are absolute: each is rounded by itself from µs, so that a fragment begins where the one before
/// ended whenever the durations given say so. Times before zero count as zero, and a frame that is decoded
/// before the one before it counts as decoded with it. It needs no memory but `out`'s.
pub fn fragment(
    tracks: &Tracks,
    sequence: u32,
    samples: &[Sample<'_>],
    out: &mut BytesMut,
) -> Result<(), Refused> {
    let bytes = check(tracks, samples)?;
    let tables = samples.len().saturating_mul(TRUN_ENTRY).saturating_add(FRAGMENT_OVERHEAD);
    out.reserve(bytes.saturating_add(tables));

    let moof = begin(out, b"moof");
    let mfhd = begin_full(out, b"mfhd", 0, 0);
    out.put_u32(sequence);
    end(out, mfhd);
    // Where each track's samples begin is known when both tables are written.
    let mut offsets = [None, None];
    for ((kind, track), offset) in tracks.kinds().zip(&mut offsets) {
        *offset = traf(kind, track, samples, out);
    }
    end(out, moof);

    let mdat = begin(out, b"mdat");
    for ((kind, _), offset) in tracks.kinds().zip(offsets) {
        if let Some(at) = offset {
            let data_offset = u32::try_from(out.len().saturating_sub(moof)).unwrap_or(u32::MAX);
            patch(out, at, data_offset);
        }
        for sample in samples.iter().filter(|s| s.frame.kind == kind) {
            sample.frame.payload.put(out);
        }
    }
    end(out, mdat);
    Ok(())
}

/// Appends the `styp` that an HLS segment begins with (8.16.2).
pub fn segment_type(out: &mut BytesMut) {
    let styp = begin(out, b"styp");
    out.put_slice(b"msdh\0\0\0\0msdhiso6");
    end(out, styp);
}

/// Appends a `prft` (8.16.5), for the fragment that follows: at `media_us` of the stream the wall clock
/// showed `unix_us`, in µs since 1970 and up to 2104. Nothing is appended without tracks.
pub fn wall_clock(tracks: &Tracks, unix_us: i64, media_us: i64, out: &mut BytesMut) {
    let Some((kind, track)) = tracks.main() else { return };
    let prft = begin_full(out, b"prft", 1, 0);
    out.put_u32(track_id(kind).unwrap_or(0));
    out.put_u64(ntp(unix_us));
    out.put_u64(ticks(media_us, track.timescale));
    end(out, prft);
}

/// 32 bits of seconds, which wrap in 2036, and 32 bits of their fraction (RFC 5905, 6).
fn ntp(unix_us: i64) -> u64 {
    let seconds = unix_us.div_euclid(1_000_000).saturating_add(NTP_TO_UNIX);
    let fraction = unix_us.rem_euclid(1_000_000).wrapping_shl(32).saturating_add(500_000) / 1_000_000;
    seconds.wrapping_shl(32).wrapping_add(fraction).cast_unsigned()
}

/// The reverse of [`ntp`]. Seconds below half of what 32 bits hold are of the era that begins in 2036.
pub(super) fn unix_us(ntp: u64) -> i64 {
    let [fraction, seconds] = [ntp & 0xffff_ffff, ntp >> 32].map(|half| i64::try_from(half).unwrap_or(0));
    let era = if seconds >> 31 == 0 { 1 << 32 } else { 0 };
    let us = fraction.saturating_mul(1_000_000).saturating_add(1 << 31) >> 32;
    seconds.saturating_add(era).saturating_sub(NTP_TO_UNIX).saturating_mul(1_000_000).saturating_add(us)
}

/// The bytes of all samples, if each is of a track.
fn check(tracks: &Tracks, samples: &[Sample<'_>]) -> Result<usize, Refused> {
    if samples.is_empty() {
        return Err(Refused::Empty);
    }
    let mut bytes = 0usize;
    for Sample { frame, .. } in samples {
        let known = tracks.track(frame.kind).is_some_and(|track| track.codec == frame.codec);
        if !known || !matches!(frame.role, Role::Key | Role::Delta) {
            return Err(Refused::Frame(frame.codec, frame.role));
        }
        bytes = bytes.saturating_add(frame.payload.len());
    }
    if samples.len() > limits::MP4_FRAGMENT_SAMPLES || bytes > limits::MP4_FRAGMENT_BYTES {
        return Err(Refused::TooLong);
    }
    Ok(bytes)
}

/// Appends the track's `traf`, if it has samples here. Answers where the offset of their bytes is to be
/// written.
fn traf(kind: Kind, track: &Track, samples: &[Sample<'_>], out: &mut BytesMut) -> Option<usize> {
    let timed = Timed::new(kind, track.timescale, samples)?;
    let first_flags = timed.first_flags();
    let (count, flags) = timed.trun();

    let traf = begin(out, b"traf");
    let tfhd = begin_full(out, b"tfhd", 0, TFHD_BASE_IS_MOOF);
    out.put_u32(track_id(kind).unwrap_or(0));
    end(out, tfhd);
    let tfdt = begin_full(out, b"tfdt", 1, 0);
    out.put_u64(timed.time);
    end(out, tfdt);

    let trun = begin_full(out, b"trun", 1, flags);
    out.put_u32(count);
    let offset = out.len();
    out.put_u32(0);
    if flags & TRUN_FIRST_FLAGS != 0 {
        out.put_u32(first_flags);
    }
    for entry in timed {
        out.put_u32(entry.duration);
        out.put_u32(entry.size);
        if flags & TRUN_FLAGS != 0 {
            out.put_u32(entry.flags);
        }
        if flags & TRUN_COMPOSITION != 0 {
            out.put_i32(entry.composition);
        }
    }
    end(out, trun);
    end(out, traf);
    Some(offset)
}

/// What `trun` says of a sample.
struct Entry {
    duration: u32,
    size: u32,
    flags: u32,
    composition: i32,
}

/// The samples of one track, with their times in its ticks.
#[derive(Clone)]
struct Timed<'a> {
    kind: Kind,
    timescale: u32,
    rest: std::slice::Iter<'a, Sample<'a>>,
    next: Option<&'a Sample<'a>>,
    /// When the next one is decoded.
    time: u64,
}

impl<'a> Timed<'a> {
    /// `None` if there is none.
    fn new(kind: Kind, timescale: u32, samples: &'a [Sample<'a>]) -> Option<Self> {
        let mut timed = Self { kind, timescale, rest: samples.iter(), next: None, time: 0 };
        timed.advance();
        timed.time = ticks(timed.next?.frame.dts, timescale);
        Some(timed)
    }

    fn advance(&mut self) {
        self.next = self.rest.find(|s| s.frame.kind == self.kind);
    }

    fn first_flags(&self) -> u32 {
        self.next.map_or(0, |s| sample_flags(s.frame))
    }

    /// How many there are, and the flags of a `trun` that says no more of them than it must.
    fn trun(&self) -> (u32, u32) {
        let (mut count, mut flags) = (0u32, TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE);
        for entry in self.clone() {
            if entry.flags != default_flags(self.kind) {
                flags |= if count == 0 { TRUN_FIRST_FLAGS } else { TRUN_FLAGS };
            }
            if entry.composition != 0 {
                flags |= TRUN_COMPOSITION;
            }
            count = count.saturating_add(1);
        }
        // Both at once are not allowed.
        (count, if flags & TRUN_FLAGS != 0 { flags & !TRUN_FIRST_FLAGS } else { flags })
    }
}

impl Iterator for Timed<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let Sample { frame, duration_us } = self.next?;
        self.advance();
        let until =
            |us: i64| u32::try_from(ticks(us, self.timescale).saturating_sub(self.time)).unwrap_or(u32::MAX);
        let given = || until(frame.dts.saturating_add((*duration_us).max(0)));
        let duration = match self.next {
            Some(next) => until(next.frame.dts),
            // Ticks are samples.
            None if frame.codec == Codec::Flac => {
                flac::block_samples(&frame.payload.bytes()).unwrap_or_else(|_| given())
            }
            None => given(),
        };
        let entry = Entry {
            duration,
            size: u32::try_from(frame.payload.len()).unwrap_or(u32::MAX),
            flags: sample_flags(frame),
            composition: offset(ticks(frame.pts, self.timescale), self.time),
        };
        self.time = self.time.saturating_add(duration.into());
        Some(entry)
    }
}

fn sample_flags(frame: &Frame) -> u32 {
    if frame.is_video_key() || frame.kind == Kind::Audio { FLAGS_SYNC } else { FLAGS_NON_SYNC }
}

/// From decoding to showing, as far as 32 bits hold it.
pub(super) fn offset(shown: u64, decoded: u64) -> i32 {
    let ahead = i32::try_from(shown.saturating_sub(decoded)).unwrap_or(i32::MAX);
    let behind = i32::try_from(decoded.saturating_sub(shown)).unwrap_or(i32::MAX);
    ahead.saturating_sub(behind)
}
