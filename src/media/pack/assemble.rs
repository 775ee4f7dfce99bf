//! An access unit that is being put together, from one write or from several.

use std::ops::Range;

use bytes::BufMut;

use super::super::chain::{Chain, Gather};
use super::input::View;
use super::order::Place;

/// What goes in front of each NAL unit.
const LENGTH: usize = 4;

/// When a unit is shown and decoded on the encoder's clock, in µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) pts: i64,
    /// `None`: it is not told.
    pub(super) dts: Option<i64>,
}

/// An access unit, or what there is of it.
#[derive(Debug)]
pub(super) struct AccessUnit {
    gather: Gather,
    lent: bool,
    /// Bytes of the write at hand that are to be appended as they stand.
    open: Range<usize>,
    /// Bytes and NAL units in it, those that were left out too.
    pub(super) bytes: usize,
    pub(super) nals: usize,
    pub(super) times: Times,
    /// It has a slice of a picture.
    pub(super) has_picture: bool,
    /// Decoding can begin at it.
    pub(super) is_key: bool,
    /// It has a recovery point, from which so many frames on the picture is right.
    pub(super) recovery: Option<u32>,
    /// It has brought sequence parameter sets.
    pub(super) has_sps: bool,
    /// What came before has no connection with it.
    pub(super) discontinuity: bool,
    pub(super) place: Place,
    /// frame_num and whether it is the bottom one, of the field that it has.
    pub(super) field: Option<(u32, bool)>,
}

impl AccessUnit {
    /// With room for what a write of this size brings.
    pub(super) fn new(view: &View<'_>, times: Times) -> Self {
        // Start codes of three bytes become lengths of four.
        let room = if view.is_lent() { 256 } else { view.len().saturating_add(64) };
        Self {
            gather: Gather::with_capacity(room),
            lent: false,
            open: 0..0,
            bytes: 0,
            nals: 0,
            times,
            has_picture: false,
            is_key: false,
            recovery: None,
            has_sps: false,
            discontinuity: false,
            place: Place::default(),
            field: None,
        }
    }

    /// Appends a NAL unit of a write behind its length; `has_length` where that stands before it already.
    pub(super) fn nal(&mut self, view: &View<'_>, nal: Range<usize>, has_length: bool) {
        if has_length {
            self.as_it_stands(view, nal.start.saturating_sub(LENGTH)..nal.end);
            return;
        }
        self.close(view);
        // An access unit has less than 4 GB.
        self.gather.small().put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
        self.open = nal;
    }

    /// Appends bytes of a write. What follows on from each other is shared as one piece.
    pub(super) fn as_it_stands(&mut self, view: &View<'_>, span: Range<usize>) {
        if self.open.end == span.start && !self.open.is_empty() {
            self.open.end = span.end;
            return;
        }
        self.close(view);
        self.open = span;
    }

    /// Appends bytes of the library's own.
    pub(super) fn own(&mut self, view: &View<'_>, put: impl FnOnce(&mut bytes::BytesMut)) {
        self.close(view);
        put(self.gather.small());
    }

    /// The write is at its end: nothing of it may be referred to by its place any more.
    pub(super) fn close(&mut self, view: &View<'_>) {
        let open = std::mem::replace(&mut self.open, 0..0);
        if !open.is_empty() {
            self.lent |= view.is_lent();
            view.put(open, &mut self.gather);
        }
    }

    /// All of it.
    pub(super) fn payload(self) -> Chain {
        self.gather.finish(self.lent)
    }
}

/// An access unit that is complete.
#[derive(Debug)]
pub(super) struct Finished {
    /// The header that it needs before it, where that hasn't been handed out.
    pub(super) header: Option<bytes::Bytes>,
    pub(super) unit: AccessUnit,
}
