//! Parameter sets and framing of the codecs that the library understands, and G.711's way into FLAC. Slices in,
//! values out.

pub mod aac;
pub mod annexb;
pub mod av1;
pub mod avcc;
mod bits;
pub mod flac;
pub mod g711;
pub mod h264;
pub mod h265;
pub mod jpeg;
pub mod mp3;
pub mod opus;
