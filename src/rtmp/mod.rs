//! RTMP: handshake, chunks, messages, URLs, and the sessions of both ends. No socket, no clock.

mod acks;
pub mod chunk;
pub mod client;
mod frames;
pub mod handshake;
pub mod message;
pub mod relay;
pub mod server;
pub mod url;

/// The chunk stream of protocol control messages (RTMP 1.0, 5.4).
pub const CONTROL_CSID: u32 = 2;
/// The chunk stream of the connection's commands.
pub const COMMAND_CSID: u32 = 3;
/// The chunk stream of a message stream's status.
pub const STATUS_CSID: u32 = 5;
/// The chunk stream of audio.
pub const AUDIO_CSID: u32 = 4;
/// The chunk stream of video.
pub const VIDEO_CSID: u32 = 6;
/// The chunk stream of data messages.
pub const DATA_CSID: u32 = 7;
