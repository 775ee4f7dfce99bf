//! camrill: a live-streaming engine to link into a camera, a board or any C program.
//!
//! One library, one C header, one thread. It hosts an RTMP server, takes frames straight from an
//! encoder's thread and hands every stream to any number of players. What C programs see is in
//! [`ffi`]; the rest is the same engine for Rust.
//!
//! # The rooms
//!
//! Arrows point down only; `tests/layering.rs` holds the `use` lines to this table.
//!
//! | room | what it is | may use |
//! |---|---|---|
//! | [`ffi`] | the C API: handles, panic guard, callbacks, log bridge; the only room with `unsafe` | all |
//! | [`engine`] | the loop: sockets, timers, sessions, virtual live, the ways across threads | all below |
//! | [`dvr`] | recording: when a file begins and ends, and what is written to it | flv fmp4 media wire |
//! | [`hls`] | segments, parts, playlists, keys, written and pulled | mpegts fmp4 media wire |
//! | [`hub`] | streams, who may publish, who plays, where each player stands | media config |
//! | [`config`] | the table of directives, the file's syntax, the environment, typed settings | wire |
//! | [`rtmp`] | handshake, chunks, messages, the sessions of both ends, URLs | amf flv media wire |
//! | [`http`] | requests, responses, the sessions of both ends, WebSocket, JSON | wire |
//! | [`mpegts`] | transport streams, written and read | codec media wire |
//! | [`fmp4`] | fragmented MP4 and plain files, written and read | codec media wire |
//! | [`flv`] | tags, legacy and enhanced; files | amf codec media wire |
//! | [`amf`] | AMF0 and AMF3 values, depth-limited | wire |
//! | [`media`] | frames, tracks, the ring, lanes, timestamp repair | codec wire |
//! | [`codec`] | parameter sets and framing of H.264, H.265, AV1, AAC, MP3, Opus, FLAC, JPEG; G.711 as FLAC | wire |
//! | [`wire`] | the bounds-checked reader and every limit by name | |
//! | [`error`], [`time`], [`table`], [`template`] | what went wrong, when, ids that go stale, names of files: for every room | |
//!
//! Everything from `rtmp` down is pure: bytes and a time in, bytes and events out; no socket, file,
//! clock, thread, random source or log call inside.

#![deny(unsafe_code)]

pub mod amf;
pub mod codec;
pub mod config;
#[cfg(feature = "dvr")]
pub mod dvr;
pub mod engine;
pub mod error;
#[allow(unsafe_code)]
pub mod ffi;
pub mod flv;
#[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
pub mod fmp4;
#[cfg(feature = "hls")]
pub mod hls;
#[cfg(feature = "http")]
pub mod http;
pub mod hub;
pub mod media;
#[cfg(any(feature = "http", feature = "hls"))]
pub mod mpegts;
pub mod rtmp;
pub mod table;
pub mod template;
pub mod time;
pub mod wire;
