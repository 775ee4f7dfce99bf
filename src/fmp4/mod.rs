//! Fragmented MP4 (ISO/IEC 14496-12): frames in, init segments and fragments out, and recordings read
//! back.
//!
//! [`Tracks`] are what a file or a stream holds: their init segment goes first, and is due anew when they
//! are no longer equal. [`fragment`] appends the frames, one or a whole segment at a time. [`Scanner`] finds
//! the fragments of a file again, however it was cut off, and [`Plain`] makes a file without fragments of
//! them. What MP4 has no sample entry for that browsers know goes through an [`Adapter`] first.
//! [`FileDemuxer`] and [`Demuxer`] make frames of any MP4, from wherever it is.

mod adapt;
mod boxes;
mod codecs;
mod demux;
mod fragment;
mod moov;
mod plain;
mod scan;
mod tracks;

#[cfg(test)]
mod tests;

pub use adapt::{Adapted, Adapter};
pub use codecs::carries;
pub use demux::{DemuxError, Demuxer, FileDemuxer};
pub use fragment::{Refused, Sample, fragment, segment_type, wall_clock};
pub use plain::{Finished, Plain};
pub use scan::{Found, Fragment, Init, InitTrack, Run, RunSample, Scanner, Wanted};
pub use tracks::{NotTracks, Tracks};

use crate::media::Kind;

/// Microseconds in a second.
const SECOND_US: u32 = 1_000_000;
/// Ticks per second of every video track: what MPEG-TS has, and a whole number for each ms.
const VIDEO_TIMESCALE: u32 = 90_000;
/// The video track's track_ID.
const VIDEO_ID: u32 = 1;
/// The audio track's track_ID.
const AUDIO_ID: u32 = 2;
/// The next track_ID that nobody uses.
const NEXT_ID: u32 = 3;

/// sample_depends_on "no", sample_is_non_sync_sample 0 (8.8.3.1).
const FLAGS_SYNC: u32 = 0x0200_0000;
/// sample_depends_on "yes", sample_is_non_sync_sample 1.
const FLAGS_NON_SYNC: u32 = 0x0101_0000;
/// sample_is_non_sync_sample.
const NON_SYNC: u32 = 0x0001_0000;

// tfhd's and trun's flags (8.8.7, 8.8.8).
const TFHD_BASE_DATA_OFFSET: u32 = 0x1;
const TFHD_DESCRIPTION: u32 = 0x2;
const TFHD_DURATION: u32 = 0x8;
const TFHD_SIZE: u32 = 0x10;
const TFHD_FLAGS: u32 = 0x20;
const TFHD_BASE_IS_MOOF: u32 = 0x2_0000;
const TRUN_DATA_OFFSET: u32 = 0x1;
const TRUN_FIRST_FLAGS: u32 = 0x4;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;

/// The track_ID of the track of this kind; data has none.
fn track_id(kind: Kind) -> Option<u32> {
    match kind {
        Kind::Video => Some(VIDEO_ID),
        Kind::Audio => Some(AUDIO_ID),
        Kind::Data => None,
    }
}

/// What a sample of the kind is where nothing else is said: trex's default_sample_flags.
fn default_flags(kind: Kind) -> u32 {
    if kind == Kind::Video { FLAGS_NON_SYNC } else { FLAGS_SYNC }
}

/// A time in µs in a track's ticks, to the nearest. A time before zero counts as zero.
fn ticks(us: i64, timescale: u32) -> u64 {
    let us = u64::try_from(us).unwrap_or(0);
    let (second, scale) = (u64::from(SECOND_US), u64::from(timescale));
    // Second by second: the product of both would not fit.
    let part = (us % second).saturating_mul(scale).saturating_add(second / 2) / second;
    (us / second).saturating_mul(scale).saturating_add(part)
}

/// A track's ticks in µs, to the nearest.
fn micros(ticks: u64, timescale: u32) -> i64 {
    let (second, scale) = (u64::from(SECOND_US), u64::from(timescale.max(1)));
    let part = (ticks % scale).saturating_mul(second).saturating_add(scale / 2) / scale;
    let us = (ticks / scale).saturating_mul(second).saturating_add(part);
    i64::try_from(us).unwrap_or(i64::MAX)
}
