//! The C API: what `include/camrill.h` is generated from.
//!
//! The only room with `unsafe`. Handles are checked for NULL, structs are read by their `struct_size`,
//! a panic is caught and poisons the engine, and the engine is never borrowed while the host's callbacks
//! run, so these may call anything.

mod config;
mod control;
mod convert;
mod dispatch;
mod engine;
mod feed;
mod handle;
#[cfg(feature = "hls")]
mod hls;
#[cfg(feature = "http")]
mod http;
mod lent;
mod logger;
mod owned;
mod player;
mod programs;
mod publisher;
mod queue;
#[cfg(feature = "dvr")]
mod recorder;
mod relays;
#[cfg(any(feature = "hls", feature = "dvr"))]
mod settings;
mod signal;
#[cfg(feature = "dvr")]
mod sink;
mod tls;
mod transport;
mod types;

pub use config::*;
pub use control::*;
pub use engine::*;
pub use handle::camrill_engine_t;
#[cfg(feature = "hls")]
pub use hls::*;
#[cfg(feature = "http")]
pub use http::*;
pub use player::*;
pub use programs::*;
pub use publisher::*;
#[cfg(feature = "dvr")]
pub use recorder::*;
pub use relays::*;
#[cfg(feature = "dvr")]
pub use sink::*;
pub use tls::*;
pub use transport::*;
pub use types::*;
