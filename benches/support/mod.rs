//! What the benches share.

pub(crate) mod floor;
pub(crate) mod hls;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod media;
pub(crate) mod publish;
pub(crate) mod report;
pub(crate) mod rtmp;
pub(crate) mod servers;
pub(crate) mod sys;
