//! Parameter sets and framing of the codecs that the library understands. Slices in, values out.

pub mod aac;
pub mod annexb;
pub mod av1;
pub mod avcc;
mod bits;
pub mod h264;
pub mod h265;
pub mod jpeg;
pub mod mp3;
pub mod opus;
