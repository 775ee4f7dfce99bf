//! Where samples stand and when they are due: out of a movie's tables (ISO/IEC 14496-12, 8.6 and 8.7), which
//! are walked through and never spread out, or out of a fragment's runs.

use std::collections::VecDeque;
use std::vec;

use super::super::boxes::{Boxes, Name};
use super::super::scan::{Run, RunSample, missing};
use crate::wire::{Malformed, Reader, limits};

/// A sample in its track's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) time: u64,
    pub(super) composition: i32,
    pub(super) key: bool,
    /// Number of its sample description, from 1 on.
    pub(super) description: u32,
}

/// The samples of a track, one after another.
#[derive(Debug)]
pub(super) enum Samples {
    Tables(Box<Tables>),
    Runs(Runs),
}

impl Iterator for Samples {
    type Item = Raw;

    fn next(&mut self) -> Option<Raw> {
        match self {
            Self::Tables(tables) => tables.next(),
            Self::Runs(runs) => runs.next(),
        }
    }
}

/// The runs of a fragment, each with its sample description.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: VecDeque<(Run, u32)>,
    samples: vec::IntoIter<RunSample>,
    time: u64,
    offset: u64,
    description: u32,
}

impl Runs {
    /// Adds a run behind those that are left.
    pub(super) fn push(&mut self, run: Run, description: u32) {
        if !run.samples.is_empty() {
            self.runs.push_back((run, description));
        }
    }
}

impl Iterator for Runs {
    type Item = Raw;

    fn next(&mut self) -> Option<Raw> {
        loop {
            if let Some(RunSample { size, duration, composition, key }) = self.samples.next() {
                let (offset, time, description) = (self.offset, self.time, self.description);
                self.offset = offset.saturating_add(size.into());
                self.time = time.saturating_add(duration.into());
                return Some(Raw { offset, size, time, composition, key, description });
            }
            let (run, description) = self.runs.pop_front()?;
            (self.time, self.offset, self.description) = (run.time, run.offset, description);
            self.samples = run.samples.into_iter();
        }
    }
}

/// The tables of `stbl`, and where their reading stands.
#[derive(Debug)]
pub(super) struct Tables {
    durations: Table,
    compositions: Table,
    /// Sizes, or one for all.
    sizes: Table,
    size: u32,
    /// Samples that are left, and the number of the next.
    left: u32,
    number: u32,
    /// Numbers of the samples at which decoding can begin; `None` if it can at all.
    syncs: Option<Table>,
    sync: u32,
    chunks: Table,
    /// The offsets have 64 bits.
    long: bool,
    /// What chunks have from which number on, and the entry that is next.
    layout: Table,
    next_layout: Option<Layout>,
    current: Layout,
    chunk: u32,
    left_in_chunk: u32,
    offset: u64,
    time: u64,
}

/// An entry of `stsc`.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    first_chunk: u32,
    samples: u32,
    description: u32,
}

impl Tables {
    pub(super) fn parse(stbl: &[u8]) -> Result<Self, Malformed> {
        let find = |name: &Name| Boxes::new(stbl).find(name).ok();
        let required = |name: &Name| find(name).ok_or(missing(name));
        let mut r = Reader::new(required(b"stsz")?);
        r.skip(4)?; // version and flags
        let (size, left) = (r.u32()?, r.u32()?);
        if usize::try_from(left).map_or(true, |left| left > limits::MP4_PLAIN_SAMPLES) {
            let limit = u32::try_from(limits::MP4_PLAIN_SAMPLES).unwrap_or(u32::MAX);
            return Err(Malformed::Limit { what: "samples of an MP4 file", limit });
        }
        let sizes = if size == 0 { Table::entries(&mut r, left, 4)? } else { Table::default() };
        let (chunks, long) = match find(b"stco") {
            Some(body) => (Table::parse(body, 4)?, false),
            None => (Table::parse(required(b"co64")?, 8)?, true),
        };
        let mut layout = Table::parse(required(b"stsc")?, 12)?;
        let next_layout = layout.layout();
        Ok(Self {
            durations: Table::parse(required(b"stts")?, 8)?,
            compositions: find(b"ctts").map(|body| Table::parse(body, 8)).transpose()?.unwrap_or_default(),
            sizes,
            size,
            left,
            number: 0,
            syncs: find(b"stss").map(|body| Table::parse(body, 4)).transpose()?,
            sync: 0,
            chunks,
            long,
            layout,
            next_layout,
            current: Layout::default(),
            chunk: 0,
            left_in_chunk: 0,
            offset: 0,
            time: 0,
        })
    }

    /// How long all samples last, in ticks.
    pub(super) fn duration(&self) -> u64 {
        let mut r = Reader::new(&self.durations.bytes);
        let mut total = 0u64;
        while let (Ok(count), Ok(duration)) = (r.u32(), r.u32()) {
            total = total.saturating_add(u64::from(count).saturating_mul(duration.into()));
        }
        total
    }

    /// Goes on to the next chunk that has samples.
    fn chunk(&mut self) -> Option<()> {
        while self.left_in_chunk == 0 {
            self.offset = if self.long { self.chunks.u64()? } else { self.chunks.u32()?.into() };
            self.chunk = self.chunk.saturating_add(1);
            while let Some(next) = self.next_layout.filter(|next| next.first_chunk <= self.chunk) {
                (self.current, self.next_layout) = (next, self.layout.layout());
            }
            self.left_in_chunk = self.current.samples;
        }
        self.left_in_chunk = self.left_in_chunk.saturating_sub(1);
        Some(())
    }

    fn is_sync(&mut self) -> bool {
        let Some(syncs) = &mut self.syncs else { return true };
        while self.sync < self.number {
            let Some(next) = syncs.u32() else { return false };
            self.sync = next;
        }
        self.sync == self.number
    }
}

impl Iterator for Tables {
    type Item = Raw;

    fn next(&mut self) -> Option<Raw> {
        self.left = self.left.checked_sub(1)?;
        self.number = self.number.saturating_add(1);
        self.chunk()?;
        let size = if self.size == 0 { self.sizes.u32()? } else { self.size };
        let raw = Raw {
            offset: self.offset,
            size,
            time: self.time,
            // Of version 0, unsigned, only what is beyond any real offset differs.
            composition: self.compositions.of_run().unwrap_or(0).cast_signed(),
            key: self.is_sync(),
            description: self.current.description,
        };
        self.offset = self.offset.saturating_add(size.into());
        self.time = self.time.saturating_add(self.durations.of_run().unwrap_or(0).into());
        Some(raw)
    }
}

/// A table that is read from its first entry to its last.
#[derive(Debug, Default)]
struct Table {
    bytes: Vec<u8>,
    at: usize,
    /// Where entries are a count and a value: how many more have this value.
    run: (u32, u32),
}

impl Table {
    /// A box of a version, flags, a count and so many entries of `size` bytes.
    fn parse(body: &[u8], size: usize) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        r.skip(4)?;
        let count = r.u32()?;
        Self::entries(&mut r, count, size)
    }

    fn entries(r: &mut Reader<'_>, count: u32, size: usize) -> Result<Self, Malformed> {
        let len = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(size);
        Ok(Self { bytes: r.take(len)?.to_vec(), ..Self::default() })
    }

    fn u32(&mut self) -> Option<u32> {
        let value = Reader::new(self.bytes.get(self.at..)?).u32().ok()?;
        self.at = self.at.saturating_add(4);
        Some(value)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    fn layout(&mut self) -> Option<Layout> {
        Some(Layout { first_chunk: self.u32()?, samples: self.u32()?, description: self.u32()? })
    }

    /// The next value, each as often as its count says.
    fn of_run(&mut self) -> Option<u32> {
        while self.run.0 == 0 {
            self.run = (self.u32()?, self.u32()?);
        }
        self.run.0 = self.run.0.saturating_sub(1);
        Some(self.run.1)
    }
}
