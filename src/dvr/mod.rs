//! Recording: frames in, files to write out, as FLV or MP4.
//!
//! A [`Recorder`] decides when a file begins and ends and what is written to it; whoever has it does
//! what its [`Output`]s say, in their order. It opens no file itself. What has been written at any time
//! is a file that plays: a power cut costs what was gathered in memory and, in MP4, the fragment begun.

mod file;
mod flv;
mod mp4;
mod names;
mod options;
mod preroll;
mod recorder;
mod tail;
mod timeshift;
mod tracks;

#[cfg(test)]
mod tests;

pub use names::Names;
pub use options::{Format, Options, Plan};
pub use recorder::{Cut, Output, Recorder, Refusal};
pub use tail::Tail;
pub use timeshift::{Init, Span, TimeShift};
