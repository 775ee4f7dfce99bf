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
//! | [`hub`] | streams, who may publish, who plays, where each player stands | media config |
//! | [`config`] | the table of directives, the file's syntax, the environment, typed settings | wire |
//! | [`rtmp`] | handshake, chunks, messages, the server's session, URLs | amf flv media wire |
//! | [`flv`] | tags, legacy and enhanced; files | amf codec media wire |
//! | [`amf`] | AMF0 and AMF3 values, depth-limited | wire |
//! | [`media`] | frames, tracks, the ring, lanes, timestamp repair | codec wire |
//! | [`codec`] | parameter sets and framing of H.264, AAC, MP3 | wire |
//! | [`wire`] | the bounds-checked reader and every limit by name | |
//! | [`error`], [`time`], [`table`] | what went wrong, when, and ids that go stale: for every room | |
//!
//! Everything from `rtmp` down is pure: bytes and a time in, bytes and events out; no socket, file,
//! clock, thread, random source or log call inside.

#![deny(unsafe_code)]

pub mod amf;
pub mod codec;
pub mod config;
pub mod engine;
pub mod error;
#[allow(unsafe_code)]
pub mod ffi;
pub mod flv;
pub mod hub;
pub mod media;
pub mod rtmp;
pub mod table;
pub mod time;
pub mod wire;
