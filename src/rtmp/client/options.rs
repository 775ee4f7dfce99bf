//! What a client session is to do, and how.

use std::time::Duration;

use super::auth::Auth;
use crate::amf::Value;
use crate::flv::Hevc;
use crate::rtmp::url::RtmpUrl;

/// What a client connects for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To send a stream.
    Publish,
    /// To get one.
    Play,
}

/// How a client shakes hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handshake {
    /// With a digest in C1, and any answer is taken. Adobe's servers give H.264 only to clients that have
    /// one, and the others take it for random bytes, so this serves nearly everywhere.
    #[default]
    Auto,
    /// With a digest, and the server has to prove that it knows them or answer a plain S1.
    Digest,
    /// As RTMP 1.0, 5.2 has it.
    Simple,
}

/// What a session is to do, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to connect for.
    pub purpose: Purpose,
    /// The stream. Its parameters go where they stand: after the app or after the stream.
    pub url: RtmpUrl,
    /// How to shake hands.
    pub handshake: Handshake,
    /// Our chunk size for a publish, in bytes; one who plays sends next to nothing and keeps 128.
    pub chunk_size: u32,
    /// `tcUrl`, where it isn't to be the URL's own. The app stays that of the URL.
    pub tc_url: Option<String>,
    /// `pageUrl`: the page that the player says it stands on; empty for none.
    pub page_url: String,
    /// `swfUrl`: the player that it says it is; empty for none.
    pub swf_url: String,
    /// `flashVer`, where it isn't to be that of an encoder or a player: some servers go by it.
    pub flash_ver: Option<String>,
    /// What `connect`'s object says besides.
    pub properties: Vec<(&'static str, Value)>,
    /// `connect`'s user arguments, an object of its own (RTMP 1.0, 7.2.1.1); empty for none.
    pub arguments: Vec<(&'static str, Value)>,
    /// Whether to say that we know Enhanced RTMP.
    pub enhanced: bool,
    /// How to write H.265 for a server that doesn't say what it knows.
    pub hevc: Hevc,
    /// Where to start playing, in ms: from 0 on in a recording, -1000 the live stream only, -2000 the live
    /// stream or else the recording of that name.
    pub start_ms: i32,
    /// How much a player says it buffers (RTMP 1.0, 7.1.7): servers of recordings send that much ahead.
    pub buffer: Duration,
    /// How long it may take until media may flow.
    pub timeout: Duration,
    /// How long a play may bring no media; `None` for as long as it likes.
    pub idle: Option<Duration>,
    /// What a session before this one was told to answer, by [`super::Event::Authenticate`].
    pub auth: Option<Auth>,
}

impl Options {
    /// What is usual.
    pub fn new(purpose: Purpose, url: RtmpUrl) -> Self {
        Self {
            purpose,
            url,
            handshake: Handshake::Auto,
            chunk_size: 60_000,
            tc_url: None,
            page_url: String::new(),
            swf_url: String::new(),
            flash_ver: None,
            properties: Vec::new(),
            arguments: Vec::new(),
            enhanced: true,
            hevc: Hevc::Enhanced,
            start_ms: -2000,
            buffer: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            idle: None,
            auth: None,
        }
    }

    pub(super) fn flash_ver(&self) -> &str {
        match (&self.flash_ver, self.purpose) {
            (Some(own), _) => own,
            (None, Purpose::Publish) => "FMLE/3.0 (compatible; camrill)",
            (None, Purpose::Play) => "LNX 9,0,124,2",
        }
    }
}
