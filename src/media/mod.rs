//! What flows through the library, in no container's terms: frames, tracks, the ring that a stream
//! keeps, the lanes of wire images beside it, and the repair of timestamps.

mod chain;
mod clock;
mod elementary;
mod frame;
mod lane;
mod mix;
mod pack;
mod ring;
mod track;

pub use chain::{Chain, Copies, Gather, SHARED_MIN};
pub use clock::{Correction, Jitter, Unwrap};
pub use elementary::{Elementary, Nal, START_CODE, VideoConfig};
pub use frame::{Codec, Frame, Kind, Role};
pub use lane::{Lane, Mux};
pub use mix::MixQueue;
pub use pack::{Input, PackError, Packed, Packer, Setup, Write};
pub use ring::{Headers, Ring, RingLimits, Start};
pub use track::{AudioTrack, VideoTrack, audio_track, video_track};
