//! Frames of AAC and MP3 out of PES packets, however they lie across them.

use std::collections::VecDeque;

use bytes::Bytes;

use super::pes::Times;
use crate::codec::aac::{Adts, AudioSpecificConfig};
use crate::codec::mp3::Mp3Header;
use crate::media::{Codec, Frame, Kind, Role};
use crate::wire::Malformed;

/// Samples of a raw AAC frame: ADTS has no way to say 960.
const AAC_SAMPLES: u32 = 1024;

/// An audio track.
#[derive(Debug)]
pub(super) struct Audio {
    aac: bool,
    /// How the frames are coded, and the record that says so; empty if none can.
    config: Option<AudioSpecificConfig>,
    record: Bytes,
    /// The header hasn't gone out yet.
    due: bool,
    /// A frame that goes on in the next PES packet. Frames have 8191 bytes at most.
    partial: Vec<u8>,
    /// The newest time told, in µs, and how many samples came since; `None` before one was told.
    time: Option<(i64, u64)>,
}

/// A frame's header.
struct Head {
    /// Bytes of the header that is left out, and of the frame with it.
    header_len: usize,
    frame_len: usize,
    samples: u32,
    sample_rate: u32,
    /// For AAC.
    config: Option<AudioSpecificConfig>,
}

impl Audio {
    pub(super) fn new(aac: bool) -> Self {
        Self { aac, config: None, record: Bytes::new(), due: false, partial: Vec::new(), time: None }
    }

    /// What follows doesn't continue what came before.
    pub(super) fn lost(&mut self) {
        self.partial.clear();
        self.time = None;
    }

    /// The data of a PES packet. Its time is that of the first frame that begins in it (2.4.3.7).
    pub(super) fn unit(&mut self, times: Option<Times>, data: &[u8], out: &mut VecDeque<Frame>) {
        let carried = self.partial.len();
        let mut held = std::mem::take(&mut self.partial);
        held.extend_from_slice(data);
        let mut told = times.map(|times| times.pts);
        let mut at = 0usize;
        while let Some(rest) = held.get(at..).filter(|rest| !rest.is_empty()) {
            if at >= carried
                && let Some(pts) = told.take()
            {
                self.time = Some((pts, 0));
            }
            match self.head(rest) {
                Ok(head) => {
                    let Some(frame) = rest.get(..head.frame_len) else { break };
                    self.frame(&head, frame.get(head.header_len..).unwrap_or_default(), out);
                    at = at.saturating_add(head.frame_len.max(1));
                }
                Err(Malformed::Truncated { .. }) => break,
                // Something else stands here: on to what may be a syncword.
                Err(_) => {
                    let next = rest.iter().skip(1).position(|b| *b == 0xff);
                    at = at.saturating_add(next.map_or(rest.len(), |next| next.saturating_add(1)));
                }
            }
        }
        self.partial = held.split_off(at.min(held.len()));
    }

    fn head(&self, bytes: &[u8]) -> Result<Head, Malformed> {
        if self.aac {
            let Adts { config, header_len, frame_len } = Adts::parse(bytes)?;
            let (samples, sample_rate) = (AAC_SAMPLES, config.sample_rate);
            return Ok(Head { header_len, frame_len, samples, sample_rate, config: Some(config) });
        }
        let header = Mp3Header::parse(bytes)?;
        if header.layer != 3 {
            return Err(Malformed::Field { what: "layer of MPEG audio", value: header.layer.into() });
        }
        Ok(Head {
            header_len: 0,
            frame_len: header.frame_len,
            samples: header.samples_per_frame,
            sample_rate: header.sample_rate,
            config: None,
        })
    }

    fn frame(&mut self, head: &Head, payload: &[u8], out: &mut VecDeque<Frame>) {
        let Some((told, samples)) = &mut self.time else { return };
        let since = samples.saturating_mul(1_000_000).checked_div(head.sample_rate.into()).unwrap_or(0);
        let pts = told.saturating_add(i64::try_from(since).unwrap_or(i64::MAX));
        *samples = samples.saturating_add(head.samples.into());

        if head.config != self.config
            && let Some(config) = &head.config
        {
            // Channels that only the frame itself tells have no record.
            self.record = config.build().unwrap_or_default();
            self.due = !self.record.is_empty();
            self.config = head.config;
        }
        if payload.is_empty() || self.aac && self.record.is_empty() {
            return;
        }
        let codec = if self.aac { Codec::Aac } else { Codec::Mp3 };
        let frame = |role, payload| Frame {
            kind: Kind::Audio,
            codec,
            role,
            dts: pts,
            pts,
            payload,
            relay: Bytes::new(),
        };
        if std::mem::take(&mut self.due) {
            out.push_back(frame(Role::Header, self.record.clone().into()));
        }
        out.push_back(frame(Role::Key, Bytes::copy_from_slice(payload).into()));
    }
}
