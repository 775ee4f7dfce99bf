//! H.264 and H.265: NAL units become access units, parameter sets become sequence headers.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::PackError;
use super::assemble::{AccessUnit, Finished, Times};
use super::input::View;
use super::order::Place;
use crate::codec::h264::{SliceHead, SliceSyntax};
use crate::codec::{annexb, avcc, h264, h265};
use crate::wire::{Malformed, limits};

/// Bytes of a NAL unit that tell what it is: the head of a slice is the longest.
const HEAD_BYTES: usize = SliceHead::BYTES;
/// Bytes of supplemental information that are looked at for a recovery point.
const SEI_BYTES: usize = 1024;

/// How a write relates to access units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// It has NAL units of one, rather than all of one.
    pub(super) partial: bool,
    /// It has the last of them.
    pub(super) last: bool,
    /// Players can start here.
    pub(super) is_key: bool,
    /// What came before has no connection with it.
    pub(super) discontinuity: bool,
}

/// A video track of NAL units.
#[derive(Debug)]
pub(super) struct NalTrack {
    h265: bool,
    /// Bytes of the length before each NAL unit; `None` where start codes separate them.
    length_size: Option<u8>,
    sets: Sets,
    /// The header is to be handed out.
    due: bool,
    /// What has come of an access unit.
    unit: Option<AccessUnit>,
}

/// The parameter sets in force, and what they say.
#[derive(Debug, Clone, Default)]
struct Sets {
    /// Video's (of H.265 only), sequences', pictures', each with its id.
    held: [Vec<(u32, Bytes)>; 3],
    /// The decoder configuration record made of them; empty before they are all there.
    record: Bytes,
    place: Place,
    /// By what the heads of H.264's slices are read.
    syntax: Option<SliceSyntax>,
}

/// A NAL unit of a write.
#[derive(Debug)]
struct Nal {
    /// Where it stands, without start code or length.
    span: Range<usize>,
    kind: Kind,
    /// It stands behind a length of four bytes.
    has_length: bool,
}

#[derive(Debug)]
enum Kind {
    /// A parameter set: its place in [`Sets::held`], its id.
    Set(usize, u32),
    Delimiter,
    Slice(Slice),
    /// A recovery point.
    Recovery(u32),
    /// What else stands before the slices of a picture.
    Prefix,
    /// What goes with the picture before it.
    Rest,
}

#[derive(Debug, Clone, Copy)]
struct Slice {
    /// The first of its picture.
    is_first: bool,
    is_key: bool,
    is_idr: bool,
    head: Option<SliceHead>,
}

impl Slice {
    fn field(&self) -> Option<(u32, bool)> {
        let head = self.head?;
        Some((head.frame_num, head.field?))
    }

    /// Whether another picture begins, rather than the second field of the frame at hand.
    fn begins(&self, before: Option<(u32, bool)>) -> bool {
        let is_second = match (before, self.field()) {
            (Some((frame_num, bottom)), Some(field)) => field == (frame_num, !bottom),
            _ => false,
        };
        self.is_first && !is_second
    }
}

type Nals = SmallVec<[Nal; 8]>;
type Out = SmallVec<[Finished; 2]>;

impl NalTrack {
    pub(super) fn new(h265: bool, length_prefixed: bool) -> Self {
        let length_size = length_prefixed.then_some(4);
        Self { h265, length_size, sets: Sets::default(), due: false, unit: None }
    }

    /// Takes parameter sets that are given once: behind start codes, or as a decoder configuration record, which also
    /// tells the size of lengths.
    pub(super) fn configure(&mut self, config: &[u8]) -> Result<(), PackError> {
        let is_annexb = config.starts_with(&[0, 0, 1]) || config.starts_with(&[0, 0, 0, 1]);
        let sets: Vec<Bytes> = if is_annexb {
            annexb::nals(config).map(Bytes::copy_from_slice).collect()
        } else {
            let bad = |cause| PackError::Config { what: "video_config", cause };
            let record = Bytes::copy_from_slice(config);
            let (length_size, sets) = if self.h265 {
                let config = h265::HevcConfig::parse(&record).map_err(bad)?;
                (config.length_size, [config.vps, config.sps, config.pps].concat())
            } else {
                let config = avcc::AvcConfig::parse(&record).map_err(bad)?;
                (config.length_size, [config.sps, config.pps].concat())
            };
            self.length_size = self.length_size.map(|_| length_size);
            sets
        };
        let pieces: Vec<&[u8]> = sets.iter().map(Bytes::as_ref).collect();
        let view = View::new(super::Input::Copied(&pieces));
        let mut nals = Nals::new();
        let (mut at, mut syntax) = (0usize, None);
        for set in &pieces {
            let span = at..at.saturating_add(set.len());
            at = span.end;
            self.add(&view, span, false, &mut syntax, &mut nals)?;
        }
        nals.retain(|nal| matches!(nal.kind, Kind::Set(..)));
        let sets = self.updated(&view, &nals)?.unwrap_or_default();
        if sets.record.is_empty() {
            return Err(PackError::NoParameterSets { at: 0 });
        }
        (self.sets, self.due) = (sets, true);
        Ok(())
    }

    /// The header has been lost: it is due again.
    pub(super) fn lost_header(&mut self) {
        self.due = !self.sets.record.is_empty();
    }

    /// Takes a write. What is refused changes nothing, but that an access unit which became too large is dropped.
    pub(super) fn write(&mut self, view: &View<'_>, times: Times, extent: Extent) -> Result<Out, PackError> {
        let mut syntax = self.sets.syntax;
        let nals = match self.length_size {
            None => self.behind_start_codes(view, &mut syntax)?,
            Some(size) => self.behind_lengths(view, size, &mut syntax)?,
        };
        let mut sets = self.updated(view, &nals)?;
        let is_joined = extent.partial && !extent.discontinuity && self.joins(times);
        self.check(&nals, sets.as_ref(), extent, is_joined)?;

        let mut out = Out::new();
        if !is_joined {
            self.finish(&mut out);
        }
        self.check_size(view, nals.len())?;
        for nal in &nals {
            if extent.partial
                && let Some(unit) = &mut self.unit
                && unit.has_picture
                && nal.ends(unit.field)
            {
                unit.close(view);
                self.finish(&mut out);
            }
            if matches!(nal.kind, Kind::Set(..))
                && let Some(sets) = sets.take()
            {
                self.due |= sets.record != self.sets.record;
                self.sets = sets;
            }
            let place = self.sets.place;
            let unit = self.unit.get_or_insert_with(|| AccessUnit::new(view, times));
            unit.take(view, nal, times, place);
        }
        if let Some(unit) = &mut self.unit {
            unit.close(view);
            unit.bytes = unit.bytes.saturating_add(view.len());
            unit.is_key |= extent.is_key;
            unit.discontinuity |= extent.discontinuity;
        }
        if !extent.partial || extent.last {
            self.finish(&mut out);
        }
        Ok(out)
    }

    /// What has come of an access unit is all of it.
    pub(super) fn flush(&mut self) -> Out {
        let mut out = Out::new();
        self.finish(&mut out);
        out
    }

    /// Whether NAL units of this time may go on with what has come: those before a picture's first slice may have been
    /// given at any time.
    fn joins(&self, times: Times) -> bool {
        self.unit.as_ref().is_some_and(|unit| !unit.has_picture || unit.times.pts == times.pts)
    }

    fn finish(&mut self, out: &mut Out) {
        let Some(mut unit) = self.unit.take().filter(|unit| unit.has_picture) else { return };
        // Encoders with open GOPs have no IDR picture but the first. Those that refresh their pictures bit by bit
        // repeat the parameter sets where that begins.
        unit.is_key |= unit.recovery.is_some_and(|frames| frames == 0 || unit.has_sps);
        let header = std::mem::take(&mut self.due).then(|| self.sets.record.clone());
        out.push(Finished { header, unit });
    }

    /// Whether the write as a whole can be taken.
    fn check(
        &self,
        nals: &Nals,
        sets: Option<&Sets>,
        extent: Extent,
        is_joined: bool,
    ) -> Result<(), PackError> {
        let record = sets.map_or(&self.sets.record, |sets| &sets.record);
        let (mut has_set, mut picture) = (false, None);
        let mut field = self.unit.as_ref().filter(|_| is_joined).and_then(|unit| unit.field);
        for nal in nals {
            match nal.kind {
                Kind::Set(..) => has_set = true,
                Kind::Slice(slice) => {
                    if record.is_empty() {
                        return Err(PackError::NoParameterSets { at: nal.span.start });
                    }
                    if picture.is_some() && slice.begins(field) {
                        return Err(PackError::SecondPicture { at: nal.span.start });
                    }
                    if slice.is_first {
                        field = slice.field();
                    }
                    picture = Some(());
                }
                _ => {}
            }
        }
        if nals.is_empty() || !extent.partial && picture.is_none() && !has_set {
            return Err(PackError::Empty);
        }
        Ok(())
    }

    fn check_size(&mut self, view: &View<'_>, nals: usize) -> Result<(), PackError> {
        let (bytes, before) = self.unit.as_ref().map_or((0, 0), |unit| (unit.bytes, unit.nals));
        let error = if bytes.saturating_add(view.len()) > limits::RTMP_MESSAGE_BYTES {
            PackError::TooLarge
        } else if before.saturating_add(nals) > limits::NALS_PER_ACCESS_UNIT {
            PackError::TooManyNals
        } else {
            return Ok(());
        };
        self.unit = None;
        Err(error)
    }

    fn behind_start_codes(
        &self,
        view: &View<'_>,
        syntax: &mut Option<SliceSyntax>,
    ) -> Result<Nals, PackError> {
        let mut starts: SmallVec<[usize; 16]> = SmallVec::new();
        view.start_codes(|at| {
            starts.push(at);
            starts.len() <= limits::NALS_PER_ACCESS_UNIT
        });
        if starts.len() > limits::NALS_PER_ACCESS_UNIT {
            return Err(PackError::TooManyNals);
        }
        // Nothing but zeros may stand before the first one (B.1.1).
        let first = starts.first().copied().unwrap_or(view.len());
        if starts.is_empty() || !view.without_trailing_zeros(0..first).is_empty() {
            return Err(PackError::NoStartCode);
        }
        let mut nals = Nals::new();
        let ends = starts.iter().skip(1).copied().chain([view.len()]);
        for (start, end) in starts.iter().zip(ends) {
            let start = start.saturating_add(annexb::START_CODE.len());
            let span = view.without_trailing_zeros(start..end);
            self.add(view, span, false, syntax, &mut nals)?;
        }
        Ok(nals)
    }

    fn behind_lengths(
        &self,
        view: &View<'_>,
        size: u8,
        syntax: &mut Option<SliceSyntax>,
    ) -> Result<Nals, PackError> {
        let mut nals = Nals::new();
        let (mut at, mut count) = (0usize, 0usize);
        while at < view.len() {
            count = count.saturating_add(1);
            if count > limits::NALS_PER_ACCESS_UNIT {
                return Err(PackError::TooManyNals);
            }
            let head = view.head(at..view.len(), size.into());
            let start = at.saturating_add(size.into());
            let len = head.iter().fold(0usize, |len, byte| len << 8 | usize::from(*byte));
            let end = start.saturating_add(len);
            if head.len() < size.into() || end > view.len() {
                let had = view.len().saturating_sub(start);
                return Err(PackError::Bitstream { at, cause: Malformed::Truncated { needed: len, had } });
            }
            self.add(view, start..end, size == 4, syntax, &mut nals)?;
            at = end;
        }
        Ok(nals)
    }

    /// Adds a NAL unit to those of a write, unless it is empty.
    fn add(
        &self,
        view: &View<'_>,
        span: Range<usize>,
        has_length: bool,
        syntax: &mut Option<SliceSyntax>,
        nals: &mut Nals,
    ) -> Result<(), PackError> {
        if span.is_empty() {
            return Ok(());
        }
        let at = span.start;
        let head = view.head(span.clone(), HEAD_BYTES);
        if let Some(first @ 0x80..) = head.first() {
            let cause = Malformed::Field { what: "NAL unit header", value: u32::from(*first) };
            return Err(PackError::Bitstream { at, cause });
        }
        let kind =
            if self.h265 { h265_kind(view, &span, &head) } else { h264_kind(view, &span, &head, syntax) };
        let kind = kind.map_err(|cause| PackError::Bitstream { at, cause })?;
        nals.push(Nal { span, kind, has_length });
        Ok(())
    }

    /// The parameter sets in force with those of a write; `None` where it brings no news.
    fn updated(&self, view: &View<'_>, nals: &Nals) -> Result<Option<Sets>, PackError> {
        let mut sets: Option<Sets> = None;
        let mut at = 0;
        for nal in nals {
            let Kind::Set(kind, id) = nal.kind else { continue };
            let bytes = view.bytes(nal.span.clone());
            let held = sets
                .as_ref()
                .unwrap_or(&self.sets)
                .held
                .get(kind)
                .and_then(|held| held.iter().find(|(held, _)| *held == id));
            if held.is_some_and(|(_, held)| *held == bytes[..]) {
                continue;
            }
            let sets = sets.get_or_insert_with(|| self.sets.clone());
            let Some(held) = sets.held.get_mut(kind) else { continue };
            held.retain(|(held, _)| *held != id);
            held.push((id, Bytes::copy_from_slice(&bytes)));
            held.sort_by_key(|(id, _)| *id);
            at = nal.span.start;
        }
        if let Some(sets) = &mut sets {
            sets.build(self.h265).map_err(|cause| PackError::Bitstream { at, cause })?;
        }
        Ok(sets)
    }
}

impl Nal {
    /// Whether it stands behind the end of an access unit that has a picture (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
    fn ends(&self, field: Option<(u32, bool)>) -> bool {
        match self.kind {
            Kind::Set(..) | Kind::Delimiter | Kind::Recovery(_) | Kind::Prefix => true,
            Kind::Slice(slice) => slice.begins(field),
            Kind::Rest => false,
        }
    }
}

impl AccessUnit {
    fn take(&mut self, view: &View<'_>, nal: &Nal, times: Times, place: Place) {
        self.nals = self.nals.saturating_add(1);
        match nal.kind {
            Kind::Set(kind, _) => self.has_sps |= kind == 1,
            Kind::Slice(slice) => {
                if !self.has_picture {
                    (self.has_picture, self.times) = (true, times);
                    let order = slice.head.and_then(|head| head.order);
                    self.place = Place { order, is_idr: slice.is_idr, ..place };
                }
                if slice.is_first {
                    self.field = slice.field();
                }
                self.is_key |= slice.is_key;
            }
            Kind::Recovery(frames) => self.recovery = Some(frames),
            Kind::Delimiter | Kind::Prefix | Kind::Rest => {}
        }
        // Parameter sets stand in the header. Containers that have delimiters make their own.
        if !matches!(nal.kind, Kind::Set(..) | Kind::Delimiter) {
            self.nal(view, nal.span.clone(), nal.has_length);
        }
    }
}

impl Sets {
    /// Makes the record anew, once everything is there that it needs.
    fn build(&mut self, h265: bool) -> Result<(), Malformed> {
        let [vps, sps, pps] =
            self.held.each_ref().map(|held| held.iter().map(|(_, set)| set.as_ref()).collect::<Vec<&[u8]>>());
        if [&vps, &sps, &pps].iter().any(|sets| sets.len() > limits::PARAMETER_SETS) {
            let limit = u32::try_from(limits::PARAMETER_SETS).unwrap_or(u32::MAX);
            return Err(Malformed::Limit { what: "parameter sets", limit });
        }
        let Some(first) = sps.first() else { return Ok(()) };
        if h265 {
            let sps = h265::Sps::parse(first)?;
            self.place = Place { reorder: sps.reorder, frame_rate: sps.frame_rate, ..Place::default() };
        } else {
            let sps = h264::Sps::parse(first)?;
            self.place = Place { reorder: sps.reorder, frame_rate: sps.frame_rate, ..Place::default() };
            self.syntax = Some(sps.slices);
        }
        let is_complete = !pps.is_empty() && (!h265 || !vps.is_empty());
        if is_complete {
            self.record = if h265 { h265::build(&vps, &sps, &pps)? } else { avcc::build(&sps, &pps)? };
        }
        Ok(())
    }
}

fn h264_kind(
    view: &View<'_>,
    span: &Range<usize>,
    head: &[u8],
    syntax: &mut Option<SliceSyntax>,
) -> Result<Kind, Malformed> {
    let nal_type = h264::nal_type(head).unwrap_or(0);
    Ok(match nal_type {
        1..=5 => {
            let is_idr = nal_type == h264::NAL_IDR;
            let head_of_slice = syntax.as_ref().and_then(|syntax| SliceHead::parse(head, syntax).ok());
            // first_mb_in_slice is 0; parts B and C of a partitioned slice tell something else there.
            let is_first = !matches!(nal_type, 3 | 4) && head.get(1).is_some_and(|b| b & 0x80 != 0);
            Kind::Slice(Slice { is_first, is_key: is_idr, is_idr, head: head_of_slice.filter(|_| is_first) })
        }
        h264::NAL_SEI => {
            let sei = view.bytes(span.start..span.end.min(span.start.saturating_add(SEI_BYTES)));
            h264::recovery_point(&sei).map_or(Kind::Prefix, Kind::Recovery)
        }
        h264::NAL_SPS => {
            let sps = h264::Sps::parse(&view.bytes(span.clone()))?;
            *syntax = Some(sps.slices);
            Kind::Set(1, sps.id)
        }
        h264::NAL_PPS => Kind::Set(2, h264::pps_id(head)?),
        h264::NAL_AUD => Kind::Delimiter,
        14..=18 => Kind::Prefix,
        _ => Kind::Rest,
    })
}

fn h265_kind(view: &View<'_>, span: &Range<usize>, head: &[u8]) -> Result<Kind, Malformed> {
    let nal_type = h265::nal_type(head).unwrap_or(0);
    Ok(match nal_type {
        0..=h265::NAL_SLICE_LAST => Kind::Slice(Slice {
            is_first: h265::layer_id(head) == Some(0) && h265::is_first_slice(head),
            is_key: h265::is_irap(head),
            is_idr: h265::is_irap(head),
            head: None,
        }),
        h265::NAL_VPS => Kind::Set(0, h265::parameter_set_id(head)?),
        h265::NAL_SPS => Kind::Set(1, h265::Sps::parse(&view.bytes(span.clone()))?.id),
        h265::NAL_PPS => Kind::Set(2, h265::parameter_set_id(head)?),
        h265::NAL_AUD => Kind::Delimiter,
        h265::NAL_SEI_PREFIX | 41..=44 | 48..=55 => Kind::Prefix,
        _ => Kind::Rest,
    })
}
