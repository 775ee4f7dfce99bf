//! What the engine tells its host, and what the host can ask about.

use std::net::SocketAddr;

use crate::hub::Name;
use crate::media::{AudioTrack, VideoTrack};

/// What happened. Drained with [`super::Engine::poll_event`] after each turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client has connected.
    Connected(Subject),
    /// A client that had connected is gone, and why.
    Closed(Subject, String),
    /// A stream is being published; the client is 0 where this process publishes it.
    Published(Subject),
    /// A stream is published no longer.
    Unpublished(Subject),
    /// A client plays.
    Play(Subject),
    /// A client plays no longer.
    Stop(Subject),
    /// An ingest or a forward has entered another state.
    Relay(super::RelayNews),
    /// An ingest or a forward is gone; nothing more is told of it.
    RelayGone {
        /// Its id.
        relay: u32,
    },
    /// A player of the host's has something to give, by [`super::Engine::player_next`].
    PlayerReady {
        /// The player.
        player: u32,
    },
    /// Such a player has ended; nothing more is told of it.
    PlayerEnded {
        /// The player.
        player: u32,
    },
    /// A name is to be looked up, where the host does that ([`super::Engine::resolve_by_host`]); the answer is
    /// [`super::Engine::resolved`].
    Resolve {
        /// Names the question when it is answered.
        ticket: u32,
        /// The name.
        host: String,
        /// The port that will be connected to.
        port: u16,
    },
    /// A client waits for the host's word, by [`super::Engine::reply`].
    Admission(Admission),
    /// A writer of the host's ([`super::Engine::hls_open`]) has made a file.
    #[cfg(feature = "hls")]
    HlsFile {
        /// The writer.
        hls: u32,
        /// What it is.
        kind: super::HlsFile,
        /// Its name.
        name: String,
        /// All of it.
        bytes: bytes::Bytes,
        /// How long it plays, in µs; 0 for what isn't a segment.
        duration_us: i64,
    },
    /// A file of such a writer's is needed no longer.
    #[cfg(feature = "hls")]
    HlsGone {
        /// The writer.
        hls: u32,
        /// Its name.
        name: String,
    },
    /// Such a writer has ended; nothing more is told of it.
    #[cfg(feature = "hls")]
    HlsEnded {
        /// The writer.
        hls: u32,
    },
    /// Something became of a recording's file.
    #[cfg(feature = "dvr")]
    Recording {
        /// The recorder.
        recorder: u32,
        /// The stream's id; 0 if it is gone, or there is none.
        stream: u32,
        /// The stream.
        name: Name,
        /// The file; empty where none is concerned.
        path: String,
        /// What became of it.
        news: super::DvrNews,
    },
    /// A recorder whose files the host writes wants something done; the answer is [`super::Engine::dvr_done`].
    #[cfg(feature = "dvr")]
    RecorderFile {
        /// The recorder.
        recorder: u32,
        /// What is to be done.
        job: super::FileJob,
    },
    /// A recorder has ended, and its files are written; nothing more is told of it.
    #[cfg(feature = "dvr")]
    RecorderEnded {
        /// The recorder.
        recorder: u32,
    },
    /// An encoder's stream has ended: the encoder has, or another publisher took its place.
    EncoderEnded {
        /// The encoder.
        encoder: u32,
    },
    /// A player waits for a keyframe of this encoder's, or frames of it were dropped.
    NeedKeyframe {
        /// The encoder.
        encoder: u32,
    },
    /// The bitrate that what an encoder's stream goes out to holds has changed; see
    /// [`super::Engine::hint_rate`].
    Rate {
        /// The encoder.
        encoder: u32,
        /// Bits per second over all tracks; 0 where nothing limits.
        bits: u32,
    },
    /// A client asks for a path that the host has mounted; see [`super::Engine::mount`].
    #[cfg(feature = "http")]
    HttpRequest(super::HttpRequest),
    /// The client has taken what [`super::Engine::http_write`] had to wait for.
    #[cfg(feature = "http")]
    HttpWritable {
        /// The mount.
        mount: u32,
        /// The request.
        ticket: u32,
    },
    /// A request's ticket is over before the host has ended its answer: the client is gone, wanted no body, or
    /// the host has taken too long.
    #[cfg(feature = "http")]
    HttpClosed {
        /// The mount.
        mount: u32,
        /// The request.
        ticket: u32,
    },
    /// A mount has ended; nothing more is told of it.
    #[cfg(feature = "http")]
    Unmounted {
        /// The mount.
        mount: u32,
    },
}

/// Whom and what an event concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The client's id, 0 if none.
    pub client: u32,
    /// The stream's id, 0 if none.
    pub stream: u32,
    /// The client's address.
    pub address: Option<SocketAddr>,
    /// The stream's name; of a connection that has none yet only vhost and app.
    pub name: Name,
    /// The URL's parameters, without `?`.
    pub param: String,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To connect to an application.
    Connect,
    /// To publish a stream.
    Publish,
    /// To play a stream.
    Play,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Play => "play",
        }
    }
}

/// A client waits for the host's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Names the question when it is answered.
    pub ticket: u32,
    /// What the client asks for.
    pub action: Action,
    /// Who asks, and for what.
    pub subject: Subject,
    /// The URL that the client connected to.
    pub tc_url: String,
    /// The page that the client's player stands on.
    pub page_url: String,
}

/// What the engine has done and holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Microseconds since the engine was made.
    pub uptime_us: u64,
    /// Connections.
    pub connections: u32,
    /// Connections taken since the start.
    pub accepted: u64,
    /// Connections refused since the start: too many.
    pub refused: u64,
    /// Streams, published or waited for.
    pub streams: u32,
    /// Streams that are being published.
    pub publishers: u32,
    /// Players.
    pub players: u32,
    /// Bytes received over all connections since the start.
    pub received: u64,
    /// Bytes sent over all connections since the start.
    pub sent: u64,
    /// Bytes of frames and wire images held.
    pub media_bytes: u64,
}

/// One stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamInfo {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: Name,
    /// Whether somebody publishes it.
    pub published: bool,
    /// The client that publishes it, 0 if none or this process.
    pub publisher: u32,
    /// Who plays it.
    pub players: u32,
    /// Its video track.
    pub video: Option<VideoTrack>,
    /// Its audio track.
    pub audio: Option<AudioTrack>,
    /// Video frames in.
    pub video_frames: u64,
    /// Audio frames in.
    pub audio_frames: u64,
    /// Bytes of frames in.
    pub received: u64,
    /// Frames that were not taken.
    pub dropped: u64,
    /// Bytes of frames and wire images held.
    pub held: u64,
    /// Microseconds since the publish began.
    pub live_us: u64,
    /// The bitrate that was hinted to its encoder, 0 if none.
    pub rate_hint: u32,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Has connected, neither publishes nor plays.
    Idle,
    /// Publishes.
    Publishing,
    /// Plays.
    Playing,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its id.
    pub id: u32,
    /// Its address.
    pub address: SocketAddr,
    /// What it does.
    pub doing: Doing,
    /// The stream, 0 if none.
    pub stream: u32,
    /// The stream's name, or where it has connected to.
    pub name: Name,
    /// Bytes received from it.
    pub received: u64,
    /// Bytes sent to it.
    pub sent: u64,
    /// How often it fell behind and jumped to a keyframe.
    pub skips: u32,
    /// Microseconds since it came.
    pub alive_us: u64,
}
