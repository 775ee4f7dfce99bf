//! Audio: frames out of writes, each with its time.

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::chain::{Chain, Gather};
use super::super::frame::Codec;
use super::PackError;
use super::input::View;
use crate::codec::aac::{Adts, AudioSpecificConfig};
use crate::codec::mp3::Mp3Header;
use crate::codec::opus::{self, OpusHead};
use crate::wire::{Malformed, limits};

/// Samples in one AAC frame.
const AAC_SAMPLES: u64 = 1024;
/// Bytes of an ADTS header as far as it says something.
const ADTS_BYTES: usize = 7;
/// Bytes of an MP3 frame's header.
const MP3_BYTES: usize = 4;
/// Bytes of an Opus packet that tell how long it lasts.
const OPUS_BYTES: usize = 2;
/// Hz of G.711.
const G711_RATE: u32 = 8000;

/// An audio track.
#[derive(Debug)]
pub(super) struct AudioTrack {
    codec: Codec,
    /// The AudioSpecificConfig was given: frames come without headers.
    is_raw: bool,
    state: State,
}

/// What a write may change, and what is put back if it is refused.
#[derive(Debug, Clone, Default)]
struct State {
    /// Of AAC behind ADTS headers.
    config: Option<AudioSpecificConfig>,
    record: Bytes,
    /// The header is to be handed out.
    due: bool,
}

/// A frame of a write.
#[derive(Debug)]
pub(super) struct AudioFrame {
    /// The header that it needs before it, where that hasn't been handed out.
    pub(super) header: Option<Bytes>,
    /// From the write's time on, in µs.
    pub(super) at: i64,
    pub(super) payload: Chain,
}

type Out = SmallVec<[AudioFrame; 2]>;

impl AudioTrack {
    /// `config`: an AudioSpecificConfig or OpusHead, or nothing. `rate` and `channels` as the host says, 0 where
    /// it doesn't.
    pub(super) fn new(codec: Codec, config: &[u8], rate: u32, channels: u32) -> Result<Self, PackError> {
        let bad = |cause| PackError::Config { what: "audio_config", cause };
        let setup = |what, value, expected| Err(PackError::Setup { what, value, expected });
        let mut state = State::default();
        match codec {
            Codec::Aac if !config.is_empty() => {
                state.config = Some(AudioSpecificConfig::parse(config).map_err(bad)?);
                state.record = Bytes::copy_from_slice(config);
            }
            Codec::Opus if !config.is_empty() => {
                OpusHead::parse(config).map_err(bad)?;
                state.record = Bytes::copy_from_slice(config);
            }
            Codec::Opus => {
                if rate != 0 && !(8000..=opus::RATE).contains(&rate) {
                    return setup("audio_rate", rate, "0 or 8000 to 48000 for Opus");
                }
                let count = u8::try_from(if channels == 0 { 2 } else { channels }).unwrap_or(u8::MAX);
                if count > 2 {
                    return setup("audio_channels", channels, "0 to 2 for Opus without an OpusHead");
                }
                state.record = OpusHead::build(count, if rate == 0 { opus::RATE } else { rate });
            }
            Codec::G711A | Codec::G711U => {
                if !matches!(rate, 0 | G711_RATE) {
                    return setup("audio_rate", rate, "0 or 8000 for G.711");
                }
                if channels > 1 {
                    return setup("audio_channels", channels, "0 or 1 for G.711");
                }
            }
            _ => {}
        }
        state.due = !state.record.is_empty();
        Ok(Self { codec, is_raw: codec == Codec::Aac && !config.is_empty(), state })
    }

    /// The header has been lost: it is due again.
    pub(super) fn lost_header(&mut self) {
        self.state.due = !self.state.record.is_empty();
    }

    /// Takes a write. What is refused changes nothing: frames before the broken one are not handed out, nor is the
    /// header that was among them.
    pub(super) fn write(&mut self, view: &View<'_>) -> Result<Out, PackError> {
        let mut out = Out::new();
        let mut state = self.state.clone();
        match self.codec {
            Codec::Aac if !self.is_raw => adts(view, &mut state, &mut out)?,
            Codec::Mp3 => mp3(view, &mut state, &mut out)?,
            Codec::Opus => {
                let head = view.head(0..view.len(), OPUS_BYTES);
                opus::samples(&head).map_err(|cause| PackError::Bitstream { at: 0, cause })?;
                state.push(view, 0..view.len(), 0, &mut out);
            }
            _ => state.push(view, 0..view.len(), 0, &mut out),
        }
        if out.is_empty() {
            return Err(PackError::Empty);
        }
        self.state = state;
        Ok(out)
    }
}

impl State {
    fn push(&mut self, view: &View<'_>, span: std::ops::Range<usize>, at: i64, out: &mut Out) {
        let header = std::mem::take(&mut self.due).then(|| self.record.clone());
        let mut payload = Gather::with_capacity(if view.is_lent() { 0 } else { span.len() });
        view.put(span, &mut payload);
        out.push(AudioFrame { header, at, payload: payload.finish(view.is_lent()) });
    }
}

fn adts(view: &View<'_>, state: &mut State, out: &mut Out) -> Result<(), PackError> {
    let (mut at, mut passed) = (0usize, Passed::default());
    while at < view.len() {
        let bad = |cause| PackError::Bitstream { at, cause };
        let header = Adts::parse(&view.head(at..view.len(), ADTS_BYTES)).map_err(bad)?;
        let end = frame_end(view, at, header.frame_len, out.len())?;
        if state.config.as_ref() != Some(&header.config) {
            let record = header.config.build().map_err(bad)?;
            (state.config, state.record, state.due) = (Some(header.config), record, true);
        }
        state.push(view, at.saturating_add(header.header_len)..end, passed.us, out);
        passed.add(AAC_SAMPLES, header.config.sample_rate);
        at = end;
    }
    Ok(())
}

fn mp3(view: &View<'_>, state: &mut State, out: &mut Out) -> Result<(), PackError> {
    let (mut at, mut passed) = (0usize, Passed::default());
    while at < view.len() {
        let bad = |cause| PackError::Bitstream { at, cause };
        let header = Mp3Header::parse(&view.head(at..view.len(), MP3_BYTES)).map_err(bad)?;
        let end = frame_end(view, at, header.frame_len, out.len())?;
        state.push(view, at..end, passed.us, out);
        passed.add(header.samples_per_frame.into(), header.sample_rate);
        at = end;
    }
    Ok(())
}

/// Where a frame of `len` bytes at `at` ends; `before` have come before it.
fn frame_end(view: &View<'_>, at: usize, len: usize, before: usize) -> Result<usize, PackError> {
    if before >= limits::AUDIO_FRAMES_PER_WRITE {
        let limit = u32::try_from(limits::AUDIO_FRAMES_PER_WRITE).unwrap_or(u32::MAX);
        return Err(PackError::Bitstream {
            at,
            cause: Malformed::Limit { what: "audio frames in a write", limit },
        });
    }
    let end = at.saturating_add(len);
    if len == 0 || end > view.len() {
        let had = view.len().saturating_sub(at);
        return Err(PackError::Bitstream { at, cause: Malformed::Truncated { needed: len, had } });
    }
    Ok(end)
}

/// How much time frames take, without rounding from frame to frame.
#[derive(Debug, Default)]
struct Passed {
    us: i64,
    samples: u64,
}

impl Passed {
    fn add(&mut self, samples: u64, rate: u32) {
        self.samples = self.samples.saturating_add(samples);
        let us = self.samples.saturating_mul(1_000_000).checked_div(rate.into()).unwrap_or(0);
        self.us = i64::try_from(us).unwrap_or(i64::MAX);
    }
}
