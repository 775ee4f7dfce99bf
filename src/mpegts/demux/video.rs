//! Access units of H.264 and H.265 out of byte streams: start codes become lengths, parameter sets become a
//! header.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::pes::Times;
use crate::codec::{annexb, avcc, h264, h265};
use crate::media::{Codec, Frame, Kind, Role};
use crate::wire::limits;

/// A video track.
#[derive(Debug)]
pub(super) struct Video {
    h265: bool,
    /// The parameter sets in force: video's (of H.265 only), sequences', pictures'.
    sets: [Vec<Bytes>; 3],
    /// The decoder configuration record made of them; empty before they are there.
    record: Bytes,
    /// The header hasn't gone out yet.
    due: bool,
    /// A keyframe has come, and nothing is missing since.
    flowing: bool,
    /// The last frame's times, and how far its DTS was from the one before.
    last: Option<Times>,
    step: i64,
}

/// What a NAL unit is here.
enum Nal {
    /// A parameter set, by its place in [`Video::sets`].
    ParameterSet(usize),
    Delimiter,
    /// A slice of a picture at which decoding can begin.
    KeySlice,
    Slice,
    RecoveryPoint,
    Other,
}

impl Video {
    pub(super) fn new(h265: bool) -> Self {
        let sets = [const { Vec::new() }; 3];
        Self { h265, sets, record: Bytes::new(), due: false, flowing: false, last: None, step: 0 }
    }

    /// Something is missing: nothing can be decoded up to the next keyframe.
    pub(super) fn lost(&mut self) {
        self.flowing = false;
    }

    /// An access unit behind start codes.
    pub(super) fn unit(&mut self, times: Option<Times>, data: &[u8], out: &mut VecDeque<Frame>) {
        let Some(times) = self.time(times) else { return };
        let mut brought: [SmallVec<[&[u8]; 2]>; 3] = Default::default();
        let (mut picture, mut key, mut recovery, mut nals) = (false, false, false, 0usize);
        for nal in annexb::nals(data) {
            nals = nals.saturating_add(1);
            match self.kind(nal) {
                Nal::ParameterSet(kind) => {
                    if let Some(sets) = brought.get_mut(kind)
                        && sets.len() < limits::PARAMETER_SETS
                        && !sets.contains(&nal)
                    {
                        sets.push(nal);
                    }
                }
                Nal::KeySlice => (picture, key) = (true, true),
                Nal::Slice => picture = true,
                Nal::RecoveryPoint => recovery = true,
                Nal::Delimiter | Nal::Other => {}
            }
        }
        // Encoders with open GOPs have no IDR picture but the first: they repeat the parameter sets there.
        let [_, brought_sps, _] = &brought;
        key |= picture && recovery && !brought_sps.is_empty();
        self.parameter_sets(&brought);
        if nals > limits::NALS_PER_ACCESS_UNIT {
            self.lost();
            return;
        }
        self.flowing |= key;
        if !picture || !self.flowing || self.record.is_empty() {
            return;
        }

        let codec = if self.h265 { Codec::H265 } else { Codec::H264 };
        let frame = |role, payload| {
            let Times { pts, dts } = times;
            Frame { kind: Kind::Video, codec, role, dts, pts, payload, relay: Bytes::new() }
        };
        if std::mem::take(&mut self.due) {
            out.push_back(Frame { pts: times.dts, ..frame(Role::Header, self.record.clone().into()) });
        }
        let role = if key { Role::Key } else { Role::Delta };
        out.push_back(frame(role, self.length_prefixed(data).into()));
    }

    /// When this one is due. One that doesn't say follows the one before as that did the one before it.
    fn time(&mut self, times: Option<Times>) -> Option<Times> {
        let times = match (times, self.last) {
            (Some(times), _) => times,
            (None, Some(last)) => {
                let dts = last.dts.saturating_add(self.step);
                Times { pts: dts, dts }
            }
            (None, None) => return None,
        };
        self.step = self.last.map_or(0, |last| times.dts.saturating_sub(last.dts));
        self.last = Some(times);
        Some(times)
    }

    fn kind(&self, nal: &[u8]) -> Nal {
        if self.h265 {
            return match h265::nal_type(nal) {
                Some(h265::NAL_VPS) => Nal::ParameterSet(0),
                Some(h265::NAL_SPS) => Nal::ParameterSet(1),
                Some(h265::NAL_PPS) => Nal::ParameterSet(2),
                Some(h265::NAL_AUD) => Nal::Delimiter,
                _ if h265::is_irap(nal) => Nal::KeySlice,
                Some(..=h265::NAL_SLICE_LAST) => Nal::Slice,
                _ => Nal::Other,
            };
        }
        match h264::nal_type(nal) {
            Some(h264::NAL_SPS) => Nal::ParameterSet(1),
            Some(h264::NAL_PPS) => Nal::ParameterSet(2),
            Some(h264::NAL_AUD) => Nal::Delimiter,
            Some(h264::NAL_IDR) => Nal::KeySlice,
            Some(1..=4) => Nal::Slice,
            Some(h264::NAL_SEI) if h264::recovery_point(nal).is_some() => Nal::RecoveryPoint,
            _ => Nal::Other,
        }
    }

    /// Takes what an access unit brings of parameter sets: a kind that it brings replaces what was held. Those
    /// that are broken change nothing.
    fn parameter_sets(&mut self, brought: &[SmallVec<[&[u8]; 2]>; 3]) {
        let news = |(held, new): (&Vec<Bytes>, &SmallVec<[&[u8]; 2]>)| {
            !new.is_empty() && !held.iter().map(Bytes::as_ref).eq(new.iter().copied())
        };
        if !self.sets.iter().zip(brought).any(news) {
            return;
        }
        let mut sets = self.sets.clone();
        for (held, new) in sets.iter_mut().zip(brought).filter(|(_, new)| !new.is_empty()) {
            *held = new.iter().map(|set| Bytes::copy_from_slice(set)).collect();
        }
        let [vps, sps, pps] = sets.each_ref().map(|s| s.iter().map(Bytes::as_ref).collect::<Vec<_>>());
        let is_complete = !sps.is_empty() && !pps.is_empty() && (!self.h265 || !vps.is_empty());
        if is_complete {
            let record = if self.h265 { h265::build(&vps, &sps, &pps) } else { avcc::build(&sps, &pps) };
            let Ok(record) = record else { return };
            self.due |= record != self.record;
            self.record = record;
        }
        self.sets = sets;
    }

    /// The access unit as MP4 and FLV have it, without parameter sets and delimiters.
    fn length_prefixed(&self, data: &[u8]) -> Bytes {
        // Start codes of three bytes become lengths of four.
        let mut out = BytesMut::with_capacity(data.len().saturating_add(16));
        for nal in annexb::nals(data) {
            if !matches!(self.kind(nal), Nal::ParameterSet(_) | Nal::Delimiter)
                && let Ok(len) = u32::try_from(nal.len())
            {
                out.put_u32(len);
                out.put_slice(nal);
            }
        }
        out.freeze()
    }
}
