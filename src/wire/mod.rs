//! Reading bytes from elsewhere: a bounds-checked [`Reader`], and [`limits`], every bound that holds a
//! parser, queue or cache, by name.

pub mod limits;
mod reader;

pub use reader::{Malformed, Reader};
