//! What flows through the library, in no container's terms: frames, tracks, the ring that a stream
//! keeps, the lanes of wire images beside it, and the repair of timestamps.

mod frame;
mod track;

pub use frame::{Codec, Frame, Kind, Role};
pub use track::{AudioTrack, VideoTrack, audio_track, video_track};
