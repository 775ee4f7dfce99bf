//! AV1 and JPEG: each write is all of a picture.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::PackError;
use super::assemble::{AccessUnit, Finished, Times};
use super::input::View;
use super::nal::Extent;
use super::order::Place;
use crate::codec::av1::{self, ObuHead, SequenceHeader};
use crate::codec::jpeg::{self, Segment};
use crate::wire::{Malformed, limits};

/// A video track of AV1.
#[derive(Debug, Default)]
pub(super) struct Av1Track {
    sequence: Option<SequenceHeader>,
    record: Bytes,
    due: bool,
}

/// Bytes of a frame's payload that tell what it is.
const FRAME_BYTES: usize = 4;

impl Av1Track {
    /// Takes a sequence header that is given once: its OBU, or a configuration record with it.
    pub(super) fn configure(&mut self, config: &[u8]) -> Result<(), PackError> {
        let is_record = config.first() == Some(&0x81);
        let found = if is_record { av1::of_record(config) } else { av1::sequence_header(config) };
        let found = found.map_err(|cause| PackError::Config { what: "video_config", cause })?;
        let (sequence, obu) = found.ok_or(PackError::NoParameterSets { at: 0 })?;
        self.take(sequence, obu)?;
        Ok(())
    }

    /// The header has been lost: it is due again.
    pub(super) fn lost_header(&mut self) {
        self.due = !self.record.is_empty();
    }

    /// Takes a temporal unit. What is refused changes nothing.
    pub(super) fn write(
        &mut self,
        view: &View<'_>,
        times: Times,
        extent: Extent,
    ) -> Result<Option<Finished>, PackError> {
        let obus = obus(view)?;
        let (mut found, mut key) = (None, None);
        for obu in &obus {
            let payload = obu.payload.clone();
            match obu.head.kind {
                av1::OBU_SEQUENCE_HEADER if found.is_none() => {
                    let bytes = view.bytes(payload);
                    let sequence = SequenceHeader::parse(&bytes)
                        .map_err(|cause| PackError::Bitstream { at: obu.span.start, cause })?;
                    found = Some((sequence, obu));
                }
                av1::OBU_FRAME | av1::OBU_FRAME_HEADER if key.is_none() => {
                    let sequence = found.as_ref().map(|(sequence, _)| sequence).or(self.sequence.as_ref());
                    let sequence = sequence.ok_or(PackError::NoParameterSets { at: obu.span.start })?;
                    key = Some(av1::is_shown_key(&view.head(payload, FRAME_BYTES), sequence.is_reduced));
                }
                _ => {}
            }
        }
        let has_sequence = found.is_some();
        if let Some((sequence, obu)) = found {
            let mut sized = bytes::BytesMut::new();
            obu.head.put_sized(obu.payload.len(), &mut sized);
            sized.extend_from_slice(&view.bytes(obu.payload.clone()));
            self.take(sequence, &sized)?;
        }
        let Some(is_key) = key else {
            return if has_sequence { Ok(None) } else { Err(PackError::Empty) };
        };
        let mut unit = AccessUnit::new(view, times);
        for obu in obus {
            // What files leave out (AV1 in ISOBMFF, 2.4).
            if matches!(
                obu.head.kind,
                av1::OBU_TEMPORAL_DELIMITER
                    | av1::OBU_REDUNDANT_FRAME_HEADER
                    | av1::OBU_TILE_LIST
                    | av1::OBU_PADDING
            ) {
                continue;
            }
            if obu.head.payload.is_some() {
                unit.as_it_stands(view, obu.span);
            } else {
                unit.own(view, |out| obu.head.put_sized(obu.payload.len(), out));
                unit.as_it_stands(view, obu.payload);
            }
        }
        unit.close(view);
        Ok(Some(whole(unit, is_key, extent, std::mem::take(&mut self.due).then(|| self.record.clone()))))
    }

    fn take(&mut self, sequence: SequenceHeader, obu: &[u8]) -> Result<(), PackError> {
        let record = sequence.record(obu);
        self.due |= record != self.record;
        (self.sequence, self.record) = (Some(sequence), record);
        Ok(())
    }
}

/// A picture of JPEG.
pub(super) fn jpeg(view: &View<'_>, times: Times, extent: Extent) -> Result<Finished, PackError> {
    if !jpeg::is_start(&view.head(0..view.len(), jpeg::START_BYTES)) {
        return Err(PackError::Empty);
    }
    let mut at = jpeg::START_BYTES;
    loop {
        let head = view.head(at..view.len(), jpeg::SEGMENT_BYTES);
        match jpeg::segment(&head).map_err(|cause| PackError::Bitstream { at, cause })? {
            Segment::Frame(..) => break,
            Segment::Other(len) => at = at.saturating_add(len),
        }
    }
    let mut unit = AccessUnit::new(view, times);
    unit.as_it_stands(view, 0..view.len());
    unit.close(view);
    Ok(whole(unit, true, extent, None))
}

fn whole(mut unit: AccessUnit, is_key: bool, extent: Extent, header: Option<Bytes>) -> Finished {
    unit.has_picture = true;
    unit.is_key = is_key || extent.is_key;
    unit.discontinuity = extent.discontinuity;
    // Temporal units are decoded in the order in which they are shown, and so are pictures.
    unit.place = Place { reorder: Some(0), ..Place::default() };
    Finished { header, unit }
}

struct Obu {
    head: ObuHead,
    /// All of it, and its payload.
    span: Range<usize>,
    payload: Range<usize>,
}

fn obus(view: &View<'_>) -> Result<SmallVec<[Obu; 8]>, PackError> {
    let mut obus = SmallVec::new();
    let mut at = 0usize;
    while at < view.len() {
        if obus.len() >= limits::NALS_PER_ACCESS_UNIT {
            return Err(PackError::TooManyNals);
        }
        let bad = |cause| PackError::Bitstream { at, cause };
        let head = ObuHead::parse(&view.head(at..view.len(), ObuHead::BYTES)).map_err(bad)?;
        let start = at.saturating_add(head.len);
        let end = head.payload.map_or(view.len(), |len| start.saturating_add(len));
        if end > view.len() {
            let had = view.len().saturating_sub(start);
            return Err(bad(Malformed::Truncated { needed: end.saturating_sub(start), had }));
        }
        obus.push(Obu { head, span: at..end, payload: start..end });
        at = end;
    }
    Ok(obus)
}
