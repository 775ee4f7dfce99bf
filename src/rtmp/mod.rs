//! RTMP 1.0: the handshake, the chunk stream, messages and the names in its URLs.
//!
//! Each part is bytes in, bytes or messages out; a session puts them in a row.

pub mod chunk;
pub mod handshake;
pub mod message;
pub mod url;
