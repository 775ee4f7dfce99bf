//! A file without fragments, made of one with them: what every player seeks in at once.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::boxes::{begin, end};
use super::fragment::offset;
use super::moov::{self, ChunkOffsets, MOVIE_TIMESCALE, Tables, Trak};
use super::scan::{Fragment, Init, InitTrack, RunSample};
use super::{SECOND_US, micros};
use crate::media::Kind;
use crate::wire::{Malformed, limits};

/// Bytes of `mdat`'s header with a size of 32 bits, and with one of 64.
const MDAT_HEADER: u64 = 8;
const MDAT_HEADER_LONG: u64 = 16;

/// Gathers the fragments of a file, in the order in which they were found.
#[derive(Debug)]
pub struct Plain {
    tracks: Vec<Track>,
    ranges: Vec<Range<u64>>,
    /// Bytes of all ranges.
    bytes: u64,
    samples: usize,
    chunks: usize,
}

/// A file without fragments: the head first, and then the ranges of the old file, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// `ftyp`, `moov` and the header of `mdat`.
    pub head: Bytes,
    /// Which bytes of the old file make up `mdat`.
    pub ranges: Vec<Range<u64>>,
}

#[derive(Debug)]
struct Track {
    kind: Kind,
    init: InitTrack,
    tables: Tables,
    /// When the first sample is decoded, in ticks.
    start: u64,
    /// When the first of all is shown, which need not be the first decoded.
    shown: u64,
    /// When the next one can be decoded, at the earliest.
    time: u64,
}

impl Plain {
    /// For a file with these tracks.
    pub fn new(init: &Init) -> Self {
        let tracks = [(Kind::Video, &init.video), (Kind::Audio, &init.audio)];
        let tracks = tracks.into_iter().filter_map(|(kind, init)| Some(Track::new(kind, init.clone()?)));
        Self { tracks: tracks.collect(), ranges: Vec::new(), bytes: 0, samples: 0, chunks: 0 }
    }

    /// Adds the next fragment. An error says that a limit is passed; the fragment was not added then, and
    /// the file is better left as it is.
    ///
    /// Times stay as they are: a gap makes the sample before it longer, and a sample that is decoded before
    /// the one before it counts as decoded with it.
    pub fn push(&mut self, fragment: &Fragment) -> Result<(), Malformed> {
        let samples =
            fragment.runs.iter().map(|run| run.samples.len()).fold(self.samples, usize::saturating_add);
        let chunks = self.chunks.saturating_add(fragment.runs.len());
        for (what, value, limit) in [
            ("samples of an MP4 file", samples, limits::MP4_PLAIN_SAMPLES),
            ("chunks of an MP4 file", chunks, limits::MP4_PLAIN_CHUNKS),
        ] {
            if value > limit {
                return Err(Malformed::Limit { what, limit: u32::try_from(limit).unwrap_or(u32::MAX) });
            }
        }
        (self.samples, self.chunks) = (samples, chunks);
        for run in &fragment.runs {
            let Some(track) = self.tracks.iter_mut().find(|t| t.kind == run.kind) else { continue };
            let count = u32::try_from(run.samples.len()).unwrap_or(u32::MAX);
            track.tables.chunks.push((self.bytes, count));
            let mut time = run.time;
            for sample in &run.samples {
                track.push(time, sample);
                time = time.saturating_add(sample.duration.into());
            }
            let bytes = run.bytes();
            self.bytes = self.bytes.saturating_add(bytes);
            let range = run.offset..run.offset.saturating_add(bytes);
            match self.ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.ranges.push(range),
            }
        }
        Ok(())
    }

    /// The file. `None` if there is no sample. Tracks without samples are left out.
    pub fn finish(self) -> Option<Finished> {
        let tracks = self.tracks.into_iter().filter(|t| !t.tables.sizes.is_empty());
        let tracks: Vec<Track> = tracks.collect();
        let first_us = tracks.iter().map(|t| micros(t.start, t.init.timescale)).min()?;
        let traks: Vec<Trak> = tracks.into_iter().map(|track| track.trak(first_us)).collect();

        let mut out = BytesMut::new();
        let ftyp = begin(&mut out, b"ftyp");
        // iso4 has the signed composition offsets.
        out.put_slice(b"isom\0\0\x02\0isomiso4mp41");
        end(&mut out, ftyp);
        // Once to know where mdat stands, and once to say it.
        let moov = out.len();
        let mut offsets = ChunkOffsets::Short(0);
        moov::write(&traks, false, offsets, &mut out);
        let short_end = (out.len() as u64).saturating_add(MDAT_HEADER);
        if short_end.saturating_add(self.bytes) > u64::from(u32::MAX) {
            offsets = ChunkOffsets::Long(0);
            out.truncate(moov);
            moov::write(&traks, false, offsets, &mut out);
        }
        let end = out.len() as u64;
        out.truncate(moov);
        match offsets {
            ChunkOffsets::Short(_) => {
                moov::write(&traks, false, ChunkOffsets::Short(short_end), &mut out);
                let size = self.bytes.saturating_add(MDAT_HEADER);
                out.put_u32(u32::try_from(size).unwrap_or(u32::MAX));
                out.put_slice(b"mdat");
            }
            ChunkOffsets::Long(_) => {
                let base = end.saturating_add(MDAT_HEADER_LONG);
                moov::write(&traks, false, ChunkOffsets::Long(base), &mut out);
                out.put_u32(1);
                out.put_slice(b"mdat");
                out.put_u64(self.bytes.saturating_add(MDAT_HEADER_LONG));
            }
        }
        Some(Finished { head: out.freeze(), ranges: self.ranges })
    }
}

impl Track {
    fn new(kind: Kind, init: InitTrack) -> Self {
        Self { kind, init, tables: Tables::default(), start: 0, shown: u64::MAX, time: 0 }
    }

    /// Adds a sample that is decoded at `time`.
    fn push(&mut self, time: u64, sample: &RunSample) {
        let tables = &mut self.tables;
        if tables.sizes.is_empty() {
            (self.start, self.time) = (time, time);
        } else if let Some(gap) = time.checked_sub(self.time).filter(|gap| *gap > 0)
            && let Some((_, last)) = pop(&mut tables.durations)
        {
            let longer = last.saturating_add(u32::try_from(gap).unwrap_or(u32::MAX));
            self.time = self.time.saturating_add(longer.saturating_sub(last).into());
            push(&mut tables.durations, longer);
        }
        let end = time.saturating_add(sample.duration.into());
        let duration = u32::try_from(end.saturating_sub(self.time)).unwrap_or(u32::MAX);
        push(&mut tables.durations, duration);
        let shown = time.saturating_add_signed(sample.composition.into());
        push(&mut tables.compositions, offset(shown, self.time));
        self.shown = self.shown.min(shown);
        tables.sizes.push(sample.size);
        if sample.key {
            tables.syncs.push(u32::try_from(tables.sizes.len()).unwrap_or(u32::MAX));
        }
        self.time = self.time.saturating_add(duration.into());
    }

    /// The track, in a movie that begins at `first_us`.
    fn trak(self, first_us: i64) -> Trak {
        let us_per_ms = i64::from(SECOND_US / MOVIE_TIMESCALE);
        let since_first = |time: u64| {
            let us = micros(time, self.init.timescale).saturating_sub(first_us);
            u64::try_from(us.saturating_add(us_per_ms / 2) / us_per_ms).unwrap_or(0)
        };
        // A track that begins with the movie needs no edit.
        let (start, media_time) = match since_first(self.start) {
            0 => (0, 0),
            _ => {
                let shown = self.shown.max(self.start);
                (since_first(shown), shown.saturating_sub(self.start))
            }
        };
        Trak {
            kind: self.kind,
            timescale: self.init.timescale,
            width: self.init.width,
            height: self.init.height,
            descriptions: self.init.descriptions,
            start,
            media_time,
            duration: self.time.saturating_sub(self.start),
            tables: self.tables,
        }
    }
}

/// Adds a value to runs of equal ones.
fn push<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value => *count = count.saturating_add(1),
        _ => runs.push((1, value)),
    }
}

/// Takes the last value from runs of equal ones.
fn pop(runs: &mut Vec<(u32, u32)>) -> Option<(u32, u32)> {
    let (count, value) = runs.last_mut()?;
    let taken = (1, *value);
    *count = count.saturating_sub(1);
    if *count == 0 {
        runs.pop();
    }
    Some(taken)
}
