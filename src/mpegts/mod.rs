//! MPEG transport streams (ISO/IEC 13818-1): frames in, packets out ([`Muxer`]), and packets in, frames out
//! ([`Demuxer`]).
//!
//! One program of at most one video and one audio track. Access units become Annex B byte streams, and
//! raw AAC frames get their ADTS headers; and the other way round. [`PackedAudio`] is what HLS has for audio
//! alone, with the same times and without packets.

mod demux;
mod muxer;
mod packet;
mod psi;
mod track;

pub use demux::{Demuxer, NoSync, NoTimestamp, PackedAudio};
pub use muxer::{AUDIO_HOLD_MAX_US, Muxer, Options};
pub use packet::{OFFSET_US, PACKET_BYTES};
pub use track::{Refused, Unsupported, carries};

#[cfg(test)]
mod tests;
