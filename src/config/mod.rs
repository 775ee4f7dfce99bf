//! The configuration: SRS's file syntax, one table of directives, the environment, and typed settings.
//!
//! A [`Config`] is what was said: a file, what the host set, environment variables. [`Settings`] is what
//! it means: checked once, so that nothing below has to ask again. [`table`] is the one list of what may
//! be said, and [`mod@reference`] prints it for people.

pub mod reference;
pub mod settings;
pub mod table;
pub mod tree;

mod block;
mod check;
mod cluster;
mod ffmpeg;
mod forward;
mod ingest;
mod legacy;
mod outputs;
mod store;
mod tls;

use std::fmt;

pub use cluster::{Cluster, Edge, Origin, Protocol};
pub use forward::{Destination, Forward};
pub use ingest::{Ingest, Input};
pub use outputs::{Dvr, DvrPlan, Hls, HlsKeys, HttpServer, OnError, Remux};
pub use settings::{OnConflict, Play, Publish, Settings, TimeJitter, Vhost};
pub use store::Config;
pub use tls::{TlsClient, TlsServer};
pub use tree::{Files, Source, StdFiles};

/// Something that is accepted and will not do what its author may hope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub source: Source,
    /// What is the matter, without the place.
    pub message: String,
}

impl Warning {
    fn new(source: &Source, message: impl Into<String>) -> Self {
        Self { source: source.clone(), message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.message)
    }
}
