//! A track: its samples in µs, and the frames that they are.

use std::ops::Range;

use bytes::Bytes;

use super::super::boxes::{Boxes, version_and_flags};
use super::super::micros;
use super::super::scan::{self, Defaults, Trait, track_run};
use super::config::{self, Config};
use super::samples::{Raw, Runs, Samples, Tables};
use crate::media::{Codec, Frame, Kind, Packed, Role};
use crate::wire::{Malformed, Reader, limits};

/// A sample that is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) size: u32,
    /// In µs.
    pub(super) dts: i64,
    pts: i64,
    key: bool,
    description: u32,
}

#[derive(Debug)]
pub(super) struct Track {
    known: Trait,
    defaults: Defaults,
    configs: Vec<Option<Config>>,
    /// What the edit list adds to all times, in µs.
    shift_us: i64,
    samples: Samples,
    next: Option<Sample>,
    /// When a fragment begins that doesn't say, in ticks.
    end: u64,
    /// The codec and header that have gone out, and the sample description that they are of.
    header: Option<(Codec, Bytes)>,
    description: u32,
}

impl Track {
    /// `None` for one that is neither video nor audio, or of no codec that is known. The movie's header
    /// counts in `movie_timescale`.
    pub(super) fn parse(moov: &[u8], trak: &[u8], movie_timescale: u32) -> Result<Option<Self>, Malformed> {
        let Some((known, init)) = scan::track(trak)? else { return Ok(None) };
        let configs = Config::of_track(&init.descriptions, known.kind)?;
        if configs.iter().all(Option::is_none) {
            return Ok(None);
        }
        let shift_us = match Boxes::new(trak).find(b"edts") {
            Ok(edts) => edits(Boxes::new(edts).find(b"elst")?, movie_timescale, known.timescale)?,
            Err(_) => 0,
        };
        let mdia = Boxes::new(trak).find(b"mdia")?;
        let stbl = Boxes::new(Boxes::new(mdia).find(b"minf")?).find(b"stbl")?;
        let tables = Tables::parse(stbl)?;
        let end = tables.duration();
        Ok(Some(Self {
            known,
            // Without `mvex` there are none, and no fragments.
            defaults: scan::defaults(moov, known.id).unwrap_or_default(),
            configs,
            shift_us,
            samples: Samples::Tables(Box::new(tables)),
            next: None,
            end,
            header: None,
            description: 0,
        }))
    }

    pub(super) fn kind(&self) -> Kind {
        self.known.kind
    }

    pub(super) fn id(&self) -> u32 {
        self.known.id
    }

    pub(super) fn next(&self) -> Option<&Sample> {
        self.next.as_ref()
    }

    /// What has gone out for the track before is in force still.
    pub(super) fn take_over(&mut self, old: &Self) {
        self.header = old.header.clone();
    }

    /// The samples are those that a fragment will tell.
    pub(super) fn begin_fragment(&mut self) {
        (self.samples, self.next) = (Samples::Runs(Runs::default()), None);
    }

    /// Adds the samples of a `traf` (8.8.6) whose `tfhd` has been read up to what it says of them. Answers where
    /// their bytes end; without an offset of their own they begin at `base`. `description` is that of `tfhd`.
    pub(super) fn fragment(
        &mut self,
        traf: &[u8],
        base: u64,
        description: Option<u32>,
        flags: u32,
        r: &mut Reader<'_>,
        left: &mut usize,
    ) -> Result<u64, Malformed> {
        let defaults = self.defaults.in_fragment(flags, r)?;
        let mut time = self.end;
        if let Ok(tfdt) = Boxes::new(traf).find(b"tfdt") {
            let mut r = Reader::new(tfdt);
            let (version, _) = version_and_flags(&mut r)?;
            time = if version == 0 { r.u32()?.into() } else { r.u64()? };
        }
        let mut offset = base;
        for child in Boxes::new(traf) {
            let (name, body) = child?;
            if name == *b"trun" {
                let run = track_run(base, body, self.known.kind, (time, offset), defaults, left)?;
                (time, offset) = (run.end(), run.offset.saturating_add(run.bytes()));
                if let Samples::Runs(runs) = &mut self.samples {
                    runs.push(run, description.unwrap_or(1));
                }
            }
        }
        self.end = time;
        Ok(offset)
    }

    /// Goes on to the next sample. One that lies elsewhere than `within` is the end: the file has been cut off.
    pub(super) fn advance(&mut self, within: &Range<u64>) -> Result<(), Malformed> {
        self.next = None;
        let Some(raw) = self.samples.find(|raw| raw.size > 0) else { return Ok(()) };
        let Raw { offset, size, time, composition, key, description } = raw;
        if usize::try_from(size).map_or(true, |size| size > limits::MP4_SAMPLE_BYTES) {
            let limit = u32::try_from(limits::MP4_SAMPLE_BYTES).unwrap_or(u32::MAX);
            return Err(Malformed::Limit { what: "bytes of an MP4 sample", limit });
        }
        if offset < within.start || offset.saturating_add(size.into()) > within.end {
            self.begin_fragment();
            return Ok(());
        }
        let us = |ticks: u64| micros(ticks, self.known.timescale).saturating_add(self.shift_us);
        let shown = time.checked_add_signed(composition.into());
        // Before zero there are no ticks: this far it goes back from zero.
        let before = || {
            us(0).saturating_sub(micros(
                time.abs_diff(composition.unsigned_abs().into()),
                self.known.timescale,
            ))
        };
        let pts = shown.map_or_else(before, us);
        self.next = Some(Sample { offset, size, dts: us(time), pts, key, description });
        Ok(())
    }

    /// The frame of the next sample, which is these bytes, behind its header if that is due.
    pub(super) fn frame(&mut self, bytes: &[u8], within: &Range<u64>) -> Result<Packed, Malformed> {
        let mut frames = Packed::new();
        let Some(sample) = self.next else { return Ok(frames) };
        self.advance(within)?;
        let at = usize::try_from(sample.description.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(Some(config)) = self.configs.get(at) else { return Ok(frames) };
        let codec = config.codec;
        let (kind, dts) = (self.known.kind, sample.dts);
        let frame = |role, pts, payload| Frame { kind, codec, role, dts, pts, payload, relay: Bytes::new() };

        let mut header = None;
        if self.description != sample.description && !config.header.is_empty() {
            header = Some(config.header.clone());
        }
        if config.in_band && sample.key {
            let known = self.header.as_ref().filter(|(known, _)| *known == codec).map(|(_, header)| header);
            let in_force = header.as_ref().or(known).unwrap_or(&config.header);
            header = config::in_band(codec, in_force, bytes).or(header);
        }
        self.description = sample.description;
        if let Some(header) = header.filter(|header| config::is_complete(codec, header)) {
            let new = Some((codec, header));
            if self.header != new {
                frames.extend(new.iter().map(|(_, header)| frame(Role::Header, dts, header.clone().into())));
                self.header = new;
            }
        }
        if codec.has_header() && self.header.as_ref().is_none_or(|(known, _)| *known != codec) {
            return Ok(frames);
        }
        let is_key = sample.key || kind == Kind::Audio;
        let role = if is_key { Role::Key } else { Role::Delta };
        frames.push(frame(role, sample.pts, Bytes::copy_from_slice(bytes).into()));
        Ok(frames)
    }
}

/// What an edit list (8.6.6) adds to all times, in µs: the track begins after what it leaves empty, with what
/// it shows first. What else it says is for players that show a file from its beginning to its end.
fn edits(elst: &[u8], movie_timescale: u32, timescale: u32) -> Result<i64, Malformed> {
    const NOTHING: i64 = -1;
    let mut r = Reader::new(elst);
    let (version, _) = version_and_flags(&mut r)?;
    let mut empty = 0u64;
    for _ in 0..r.u32()? {
        let (duration, media_time) = match version {
            0 => (r.u32()?.into(), r.u32()?.cast_signed().into()),
            _ => (r.u64()?, r.u64()?.cast_signed()),
        };
        r.skip(4)?; // media_rate
        if media_time != NOTHING {
            let from = micros(u64::try_from(media_time).unwrap_or(0), timescale);
            return Ok(micros(empty, movie_timescale).saturating_sub(from));
        }
        empty = empty.saturating_add(duration);
    }
    Ok(micros(empty, movie_timescale))
}
