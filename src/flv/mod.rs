//! flv.
