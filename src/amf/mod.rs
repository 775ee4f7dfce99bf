//! amf.
