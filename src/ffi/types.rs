//! The constants and structs of the C API.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};

/// Major version: what is built against one doesn't run with another.
pub const CAMRILL_VERSION_MAJOR: u32 = 0;
/// Minor version: grows with what is added.
pub const CAMRILL_VERSION_MINOR: u32 = 1;
/// Patch version.
pub const CAMRILL_VERSION_PATCH: u32 = 0;
/// The version that this header belongs to, as camrill_version() answers it:
/// major * 65536 + minor * 256 + patch.
pub const CAMRILL_VERSION: u32 =
    ((CAMRILL_VERSION_MAJOR << 16) | (CAMRILL_VERSION_MINOR << 8)) | CAMRILL_VERSION_PATCH;

/// Success. Positive answers are counts.
pub const CAMRILL_OK: i32 = 0;
/// An argument is NULL, out of its range, or not what the function takes.
pub const CAMRILL_EINVAL: i32 = -1;
/// A configuration's syntax, a directive or a value is wrong.
pub const CAMRILL_ECONFIG: i32 = -2;
/// There is no such thing: an id that has ended, an unknown path.
pub const CAMRILL_ENOENT: i32 = -3;
/// The frame is not what its codec says it is.
pub const CAMRILL_EFRAME: i32 = -4;
/// The call is not allowed in this state, or another thread is in the engine.
pub const CAMRILL_ESTATE: i32 = -100;
/// The call is not allowed from inside a callback.
pub const CAMRILL_EREENTRANT: i32 = -101;
/// The call is not allowed in a child after fork().
pub const CAMRILL_EFORKED: i32 = -102;
/// The name is being published by somebody else.
pub const CAMRILL_EBUSY: i32 = -103;
/// A socket or file call failed; camrill_engine_last_error() says which and why.
pub const CAMRILL_EIO: i32 = -200;
/// The address to listen at is in use, not allowed, or not one of this machine's.
pub const CAMRILL_EADDRESS: i32 = -201;
/// A peer broke its protocol.
pub const CAMRILL_EPROTOCOL: i32 = -300;
/// Not now: a bounded queue is full, or what is asked for is to come.
pub const CAMRILL_EAGAIN: i32 = -400;
/// A limit is reached.
pub const CAMRILL_ELIMIT: i32 = -401;
/// Out of memory.
pub const CAMRILL_ENOMEM: i32 = -402;
/// The buffer given is too small; nothing was written.
pub const CAMRILL_EBUFFER: i32 = -403;
/// A certificate or a key can't be used, or the library is built without TLS.
pub const CAMRILL_ETLS: i32 = -500;
/// A defect of the library was caught; from now on the engine answers nothing else.
pub const CAMRILL_EPANIC: i32 = -600;

/// Log level: what stops something from working.
pub const CAMRILL_LOG_ERROR: i32 = 1;
/// Log level: what somebody should look at: a refused client, a broken file.
pub const CAMRILL_LOG_WARN: i32 = 2;
/// Log level: who comes, publishes, plays and goes, and why.
pub const CAMRILL_LOG_INFO: i32 = 3;
/// Log level: more than that.
pub const CAMRILL_LOG_DEBUG: i32 = 4;
/// Log level: everything.
pub const CAMRILL_LOG_TRACE: i32 = 5;

/// A client has connected to an application.
pub const CAMRILL_EVENT_CONNECTED: i32 = 1;
/// A client that had connected is gone; `reason` says why.
pub const CAMRILL_EVENT_CLOSED: i32 = 2;
/// A stream is being published; `client` is 0 where this process publishes it.
pub const CAMRILL_EVENT_PUBLISHED: i32 = 3;
/// A stream is no longer published. Its players stay and wait.
pub const CAMRILL_EVENT_UNPUBLISHED: i32 = 4;
/// A client plays a stream, or waits for its publisher.
pub const CAMRILL_EVENT_PLAY: i32 = 5;
/// A client no longer plays.
pub const CAMRILL_EVENT_STOP: i32 = 6;
/// The configuration's recorder of a stream has begun a file, `path`.
pub const CAMRILL_EVENT_RECORDING: i32 = 7;
/// Such a file is complete: `path`, `duration_us`, `bytes`.
pub const CAMRILL_EVENT_RECORDED: i32 = 8;
/// Such a file could not be written, or not to its end; `reason` says why. `path` is empty where there is
/// no file: the stream, or a track of it, is not recorded.
pub const CAMRILL_EVENT_RECORD_FAILED: i32 = 9;
/// An ingest has entered another state: `relay`, `state`, `url`, `reason`, `next_ms`. Those of the
/// configuration tell it here, and those of camrill_ingest_new() that have no on_state.
pub const CAMRILL_EVENT_INGEST: i32 = 10;
/// The same of a forward.
pub const CAMRILL_EVENT_FORWARD: i32 = 11;

/// A client asks to connect to an application.
pub const CAMRILL_ACTION_CONNECT: i32 = 1;
/// A client asks to publish a stream.
pub const CAMRILL_ACTION_PUBLISH: i32 = 2;
/// A client asks to play a stream.
pub const CAMRILL_ACTION_PLAY: i32 = 3;

/// The client may.
pub const CAMRILL_ALLOW: i32 = 1;
/// The client may not; it is told so and closed.
pub const CAMRILL_DENY: i32 = 2;
/// The answer comes later, with camrill_auth_reply(). The client waits, the others don't.
pub const CAMRILL_PENDING: i32 = 3;

/// A client that has connected and neither publishes nor plays.
pub const CAMRILL_CLIENT_IDLE: i32 = 0;
/// A client that publishes.
pub const CAMRILL_CLIENT_PUBLISHING: i32 = 1;
/// A client that plays.
pub const CAMRILL_CLIENT_PLAYING: i32 = 2;

/// No codec: the stream has no such track.
pub const CAMRILL_CODEC_NONE: i32 = 0;
/// H.264 (ITU-T H.264): access units as camrill_tracks_t's video_format says.
pub const CAMRILL_CODEC_H264: i32 = 1;
/// AAC (ISO 14496-3): frames behind ADTS headers, with or without CRC, or one raw frame where an
/// AudioSpecificConfig was given.
pub const CAMRILL_CODEC_AAC: i32 = 2;
/// H.265 (ITU-T H.265): access units as camrill_tracks_t's video_format says.
pub const CAMRILL_CODEC_H265: i32 = 3;
/// AV1: temporal units in the low-overhead format (AV1 specification, 5.2), with or without temporal
/// delimiters; the last OBU may leave out its size.
pub const CAMRILL_CODEC_AV1: i32 = 4;
/// JPEG pictures (ITU-T T.81), each whole. No standard carries them in RTMP, FLV, HLS or MPEG-TS: they go to
/// players of this process.
pub const CAMRILL_CODEC_MJPEG: i32 = 5;
/// MP3 (ISO 11172-3, 13818-3): whole frames, one or several.
pub const CAMRILL_CODEC_MP3: i32 = 6;
/// Opus (RFC 6716): one packet.
pub const CAMRILL_CODEC_OPUS: i32 = 7;
/// G.711 A-law of 8000 Hz, mono: any number of samples.
pub const CAMRILL_CODEC_G711A: i32 = 8;
/// G.711 µ-law of 8000 Hz, mono: any number of samples.
pub const CAMRILL_CODEC_G711U: i32 = 9;
/// VP9, of streams that come from the network: it is not taken from an encoder.
pub const CAMRILL_CODEC_VP9: i32 = 10;
/// FLAC, of streams that come from the network: it is not taken from an encoder.
pub const CAMRILL_CODEC_FLAC: i32 = 11;
/// A codec that the library relays without knowing it by a number of its own.
pub const CAMRILL_CODEC_OTHER: i32 = 255;

/// NAL units of H.264 and H.265 behind start codes of 3 or 4 bytes in any mix (annex B). The default.
pub const CAMRILL_FORMAT_ANNEXB: i32 = 0;
/// NAL units of H.264 and H.265 each behind its length: big-endian, of 4 bytes, or as many as an avcC or hvcC
/// in video_config says.
pub const CAMRILL_FORMAT_LENGTH_PREFIXED: i32 = 1;

/// No time is given: as dts_us, the encoder doesn't tell it and the library makes it of pts_us.
pub const CAMRILL_TIME_NONE: i64 = i64::MIN;

/// Flag of a frame: one or more whole NAL units of an H.264 or H.265 access unit, in their order, rather than all
/// of it. It is complete when the next one begins: with an access unit delimiter, with the first slice of
/// another picture and what stands before it, at another pts_us; or with CAMRILL_FRAME_LAST.
pub const CAMRILL_FRAME_NAL: u32 = 1;
/// Flag of a frame, with CAMRILL_FRAME_NAL: these are the last ones of their access unit, which goes out at once.
pub const CAMRILL_FRAME_LAST: u32 = 2;
/// Flag of a frame: players can start here though the bytes don't say so, as with intra refresh.
pub const CAMRILL_FRAME_KEY: u32 = 4;
/// Flag of a frame: what came before has no connection with it. Frames were lost before it, and its clock begins
/// anew, for both tracks: time goes on where the stream is. What video can't show without what was lost is left out
/// up to the next keyframe.
pub const CAMRILL_FRAME_DISCONTINUITY: u32 = 8;

/// Only forwards count for a publisher's rate_hint: a viewer on a bad line changes nothing.
pub const CAMRILL_PUBLISHER_RATE_FORWARDS: u32 = 1;

/// A path is mounted at the web server's ports.
pub const CAMRILL_PORTS_SERVER: u32 = 1;
/// A path is mounted at the API's ports.
pub const CAMRILL_PORTS_API: u32 = 2;

/// Bytes of each name in an output struct, with the final NUL. Longer names are refused at the door.
pub const CAMRILL_NAME_MAX: usize = 256;
/// Bytes of an address in an output struct (`[2001:db8::1]:1935`), with the final NUL.
pub const CAMRILL_ADDRESS_MAX: usize = 64;

/// Bytes of a URL in an output struct, with the final NUL. Longer ones are cut.
pub const CAMRILL_URL_MAX: usize = 1024;
/// Bytes of a reason in an output struct, with the final NUL. Longer ones are cut.
pub const CAMRILL_REASON_MAX: usize = 256;

/// Names a client, a stream, an ingest, a forward, a mount or a ticket. Never 0. When its owner ends, the id is
/// stale: calls with it answer CAMRILL_ENOENT, also when its place has been taken by another.
pub type camrill_id_t = u32;

/// What happened. All strings are UTF-8, never NULL, and valid only during the callback.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_event_t {
    /// Bytes of this struct as the library knows it.
    pub struct_size: u32,
    /// CAMRILL_EVENT_…
    pub r#type: i32,
    /// The client, 0 if none.
    pub client: camrill_id_t,
    /// The stream, 0 if none.
    pub stream: camrill_id_t,
    /// The vhost that serves it.
    pub vhost: *const c_char,
    /// The application.
    pub app: *const c_char,
    /// The stream's name, empty if none.
    pub name: *const c_char,
    /// The URL's parameters without '?', such as "token=…".
    pub param: *const c_char,
    /// The client's address and port, empty if none.
    pub address: *const c_char,
    /// Why, for CAMRILL_EVENT_CLOSED and CAMRILL_EVENT_RECORD_FAILED, and where an ingest or forward has failed;
    /// else empty.
    pub reason: *const c_char,
    /// The file, for CAMRILL_EVENT_REC…; else empty.
    pub path: *const c_char,
    /// How long it plays, in µs, for CAMRILL_EVENT_RECORDED; else 0.
    pub duration_us: i64,
    /// Its length in bytes, for CAMRILL_EVENT_RECORDED; else 0.
    pub bytes: u64,
    /// The ingest or forward, for camrill_relay_info(); 0 if none.
    pub relay: camrill_id_t,
    /// CAMRILL_RELAY_IDLE… for CAMRILL_EVENT_INGEST and CAMRILL_EVENT_FORWARD; else 0.
    pub state: i32,
    /// How long until it is tried again, in ms, for CAMRILL_RELAY_WAITING; else 0.
    pub next_ms: u32,
    /// 0.
    pub reserved: u32,
    /// Where the stream comes from or goes to, without password and parameters, for CAMRILL_EVENT_INGEST and
    /// CAMRILL_EVENT_FORWARD; else empty.
    pub url: *const c_char,
}

/// What a client asks for. All strings are UTF-8, never NULL, and valid only during the callback.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_admission_t {
    /// Bytes of this struct as the library knows it.
    pub struct_size: u32,
    /// CAMRILL_ACTION_…
    pub action: i32,
    /// Names the question, for camrill_auth_reply().
    pub ticket: camrill_id_t,
    /// The client.
    pub client: camrill_id_t,
    /// The vhost that serves it.
    pub vhost: *const c_char,
    /// The application.
    pub app: *const c_char,
    /// The stream's name; empty for CAMRILL_ACTION_CONNECT.
    pub name: *const c_char,
    /// The URL's parameters without '?'.
    pub param: *const c_char,
    /// The client's address and port.
    pub address: *const c_char,
    /// The URL that the client connected to, as it sent it.
    pub tc_url: *const c_char,
    /// The page that the client's player stands on, as it sent it.
    pub page_url: *const c_char,
}

/// How an engine is made. Start from CAMRILL_ENGINE_CONFIG_INIT: all zero means the defaults.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_engine_config_t {
    /// sizeof(camrill_engine_config_t).
    pub struct_size: u32,
    /// The lines that on_log gets, up to this level: CAMRILL_LOG_…; 0 means CAMRILL_LOG_INFO.
    pub log_level: i32,
    /// Given to every callback.
    pub user: *mut c_void,
    /// Called last and exactly once, when the engine has been freed; may be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Gets log lines, each with the client that it concerns (0 if none). `line` is UTF-8 and valid only
    /// during the call. Runs inside any call on the engine. NULL: nothing is logged.
    pub on_log: Option<
        unsafe extern "C" fn(user: *mut c_void, level: i32, client: camrill_id_t, line: *const c_char),
    >,
    /// Gets events. Runs inside camrill_engine_poll() and camrill_engine_run(). May be NULL.
    pub on_event: Option<unsafe extern "C" fn(user: *mut c_void, event: *const camrill_event_t)>,
    /// Is asked before a client connects, publishes or plays; answers CAMRILL_ALLOW, CAMRILL_DENY or
    /// CAMRILL_PENDING. Runs inside camrill_engine_poll() and camrill_engine_run(). NULL: all may.
    pub on_admission:
        Option<unsafe extern "C" fn(user: *mut c_void, request: *const camrill_admission_t) -> i32>,
    /// Is asked for the addresses of a server that an ingest or a forward connects to, unless its URL has a
    /// numeric one. The answer is camrill_resolve_reply(), inside the callback or later; until it comes, or its
    /// connect_ms are over, the ingest or forward waits, and nothing else does. `host` is valid only during the
    /// callback. Runs inside camrill_engine_poll() and camrill_engine_run(). NULL: the library asks the system,
    /// on a thread.
    pub on_resolve:
        Option<unsafe extern "C" fn(user: *mut c_void, ticket: camrill_id_t, host: *const c_char, port: u16)>,
}

/// What an engine has done and holds. Set struct_size before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_stats_t {
    /// sizeof(camrill_stats_t).
    pub struct_size: u32,
    /// Connections now.
    pub connections: u32,
    /// Streams now, published or waited for.
    pub streams: u32,
    /// Streams that are published now.
    pub publishers: u32,
    /// Players now.
    pub players: u32,
    /// 0.
    pub reserved: u32,
    /// Connections taken since the engine was made.
    pub accepted: u64,
    /// Connections refused since then: max_connections was reached.
    pub refused: u64,
    /// Bytes received from all connections since then.
    pub received_bytes: u64,
    /// Bytes sent to all connections since then.
    pub sent_bytes: u64,
    /// Bytes of frames and of their wire images held now.
    pub media_bytes: u64,
    /// Microseconds since the engine was made.
    pub uptime_us: u64,
}

/// One stream. Set struct_size before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_stream_info_t {
    /// sizeof(camrill_stream_info_t).
    pub struct_size: u32,
    /// The stream.
    pub id: camrill_id_t,
    /// 1 while somebody publishes it, else 0.
    pub published: i32,
    /// The client that publishes it; 0 if none, or this process.
    pub publisher: camrill_id_t,
    /// Players now.
    pub players: u32,
    /// CAMRILL_CODEC_… of its video track.
    pub video_codec: i32,
    /// Pixels, 0 while unknown.
    pub width: u32,
    /// Pixels, 0 while unknown.
    pub height: u32,
    /// CAMRILL_CODEC_… of its audio track.
    pub audio_codec: i32,
    /// Hz, 0 while unknown.
    pub sample_rate: u32,
    /// Audio channels, 0 while unknown.
    pub channels: u32,
    /// The bitrate that its publisher's rate_hint was told last, in bits per second; 0: nothing limits it.
    pub rate_hint: u32,
    /// Video frames that came in.
    pub video_frames: u64,
    /// Audio frames that came in.
    pub audio_frames: u64,
    /// Frames that were not taken: video before the first keyframe, repeated headers.
    pub dropped_frames: u64,
    /// Bytes of frames that came in.
    pub received_bytes: u64,
    /// Bytes of frames and wire images held now.
    pub held_bytes: u64,
    /// Microseconds since the publish that is going on began.
    pub live_us: u64,
    /// The vhost that serves it.
    pub vhost: [c_char; CAMRILL_NAME_MAX],
    /// The application.
    pub app: [c_char; CAMRILL_NAME_MAX],
    /// The stream's name.
    pub name: [c_char; CAMRILL_NAME_MAX],
}

/// One client. Set struct_size before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_client_info_t {
    /// sizeof(camrill_client_info_t).
    pub struct_size: u32,
    /// The client.
    pub id: camrill_id_t,
    /// CAMRILL_CLIENT_…
    pub doing: i32,
    /// The stream that it publishes or plays, 0 if none.
    pub stream: camrill_id_t,
    /// How often it fell behind and was taken to a newer keyframe.
    pub skips: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes received from it.
    pub received_bytes: u64,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// Microseconds since it came.
    pub alive_us: u64,
    /// Its address and port.
    pub address: [c_char; CAMRILL_ADDRESS_MAX],
    /// The vhost that serves it.
    pub vhost: [c_char; CAMRILL_NAME_MAX],
    /// The application.
    pub app: [c_char; CAMRILL_NAME_MAX],
    /// The stream's name, empty if none.
    pub name: [c_char; CAMRILL_NAME_MAX],
}

/// The tracks that are written: part of the configs of publishers, HLS and recorders. Start from
/// CAMRILL_TRACKS_INIT. The buffers are copied.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_tracks_t {
    /// CAMRILL_CODEC_H264, H265, AV1 or MJPEG, or CAMRILL_CODEC_NONE for audio alone.
    pub video_codec: i32,
    /// CAMRILL_CODEC_AAC, MP3, OPUS, G711A or G711U, or CAMRILL_CODEC_NONE for video alone.
    pub audio_codec: i32,
    /// CAMRILL_FORMAT_ANNEXB or CAMRILL_FORMAT_LENGTH_PREFIXED, of H.264 and H.265.
    pub video_format: i32,
    /// Hz; 0 means as audio_config or the codec says: Opus 48000, G.711 8000, AAC and MP3 as their headers say.
    /// Another number than these is refused, but for Opus, where it is that of the input, 8000 to 48000.
    pub audio_rate: u32,
    /// Channels; 0 means as audio_config or the codec says: Opus 2, G.711 1, AAC and MP3 as their headers say.
    /// Another number than these is refused, but for Opus, 1 or 2.
    pub audio_channels: u32,
    /// 0.
    pub reserved: [u32; 3],
    /// Parameter sets given once: of H.264 and H.265 in annex B, or as an avcC or hvcC record (ISO 14496-15); of
    /// AV1 a sequence header OBU, or an av1C record. NULL: they come with the frames. Those that come with the
    /// frames take their place.
    pub video_config: *const u8,
    /// Bytes of it, up to 64 KiB.
    pub video_config_size: usize,
    /// The AudioSpecificConfig of raw AAC (ISO 14496-3, 1.6.2.1), or an OpusHead (RFC 7845, 5.1). NULL: AAC comes
    /// with ADTS headers, and of Opus one is made.
    pub audio_config: *const u8,
    /// Bytes of it, up to 64 KiB.
    pub audio_config_size: usize,
}

/// How a publisher is made. Start from CAMRILL_PUBLISHER_CONFIG_INIT. Strings and buffers are copied.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_publisher_config_t {
    /// sizeof(camrill_publisher_config_t).
    pub struct_size: u32,
    /// Bytes of frames that may wait for the loop; 0 means 4 MiB. At least 64 KiB.
    pub queue_bytes: u32,
    /// The vhost; NULL or "" means the default one.
    pub vhost: *const c_char,
    /// The application, such as "live".
    pub app: *const c_char,
    /// The stream's name, such as "camera".
    pub name: *const c_char,
    /// What is written.
    pub tracks: camrill_tracks_t,
    /// Given to the callbacks.
    pub user: *mut c_void,
    /// Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// The encoder should make a keyframe: frames were dropped, or a viewer waits for one. Runs inside
    /// camrill_engine_poll() and camrill_engine_run(), on the loop's thread. May be NULL.
    pub need_keyframe: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// The bitrate, in bits per second over all tracks, that what the stream goes out to holds has changed: the
    /// encoder should make no more than that. 0: nothing limits it, as at first. Forwards and players over RTMP,
    /// HTTP and WebSocket count, players of HLS don't; of three viewers or more the slowest quarter (at least
    /// one) is left out. A few times a second at most. Runs inside camrill_engine_poll() and
    /// camrill_engine_run(), on the loop's thread. NULL: connections are not looked at.
    pub rate_hint: Option<unsafe extern "C" fn(user: *mut c_void, bits_per_second: u32)>,
    /// The least that is hinted, in bits per second; 0 means 100000.
    pub rate_min: u32,
    /// The most that is hinted, in bits per second; 0 means no bound. At least rate_min.
    pub rate_max: u32,
    /// CAMRILL_PUBLISHER_…, or 0.
    pub flags: u32,
    /// How long memory given with camrill_publisher_write_ref() may be held, in ms; what is held longer is
    /// copied. 1 to 60,000; 0 means 500.
    pub max_hold_ms: u32,
}

/// A piece of a frame's bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_iov_t {
    /// The bytes; may be NULL if there are none.
    pub data: *const u8,
    /// How many.
    pub size: usize,
}

/// One frame from an encoder. Start from CAMRILL_FRAME_INIT.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_frame_t {
    /// sizeof(camrill_frame_t).
    pub struct_size: u32,
    /// CAMRILL_CODEC_… of one of the tracks. Video is one whole access unit, or NAL units of one with
    /// CAMRILL_FRAME_NAL, or parameter sets alone.
    pub codec: i32,
    /// When it is shown, in µs on any clock that both tracks share, from any beginning; may be negative. A step of
    /// the clock, back or by more than 10 s, doesn't reach the stream: time goes on where it is.
    pub pts_us: i64,
    /// When it is decoded, in µs on the same clock, at most pts_us; goes up from frame to frame. CAMRILL_TIME_NONE,
    /// as in CAMRILL_FRAME_INIT: it is made of pts_us, by the reordering that the parameter sets tell. Of no
    /// meaning for audio.
    pub dts_us: i64,
    /// The bytes; NULL where `iov` has them.
    pub data: *const u8,
    /// How many. An access unit has up to 8 MiB.
    pub size: usize,
    /// The bytes in pieces, in their order, cut anywhere, also within a start code; NULL where `data` has them.
    pub iov: *const camrill_iov_t,
    /// How many pieces, up to 64.
    pub iov_count: usize,
    /// CAMRILL_FRAME_…
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

/// What a publisher has done. Set struct_size before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_publisher_stats_t {
    /// sizeof(camrill_publisher_stats_t).
    pub struct_size: u32,
    /// Frames that were queued. Wraps.
    pub written: u32,
    /// Frames that were dropped since the queue was full. Wraps.
    pub dropped: u32,
    /// Bytes that wait for the loop now.
    pub queued_bytes: u32,
    /// Buffers given with camrill_publisher_write_ref() and not yet released.
    pub held: u32,
    /// Frames in them that were copied since max_hold_ms was over. Wraps.
    pub late_copies: u32,
}

/// A request for a mounted path. Strings are UTF-8, never NULL; they and the body are valid only during the
/// callback.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_http_request_t {
    /// Bytes of this struct as the library knows it.
    pub struct_size: u32,
    /// Names the request when it is answered, inside the callback or later.
    pub ticket: camrill_id_t,
    /// The client.
    pub client: camrill_id_t,
    /// The mount.
    pub mount: camrill_id_t,
    /// "GET", "HEAD", "POST", "PUT" or "DELETE". OPTIONS is answered by the library.
    pub method: *const c_char,
    /// The path: decoded, without "." and "..".
    pub path: *const c_char,
    /// What stands behind '?', as it was sent.
    pub query: *const c_char,
    /// The client's address and port.
    pub address: *const c_char,
    /// The header fields, for camrill_http_request_header(): name, NUL, value, NUL, and so on; a NUL in place
    /// of a name is the end.
    pub headers: *const c_char,
    /// The body, up to 256 KiB, with no NUL behind it; NULL if there is none.
    pub body: *const u8,
    /// Bytes of it.
    pub body_size: usize,
}

/// A path that the host answers for. Start from CAMRILL_HTTP_MOUNT_INIT.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_http_mount_t {
    /// sizeof(camrill_http_mount_t).
    pub struct_size: u32,
    /// CAMRILL_PORTS_SERVER, CAMRILL_PORTS_API or both; 0 means both.
    pub ports: u32,
    /// The path, decoded: "/config" is that path, "/cam/*" all that begin with "/cam/", "/" the root alone.
    /// It is copied.
    pub path: *const c_char,
    /// Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    pub user: *mut c_void,
    /// Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Gets each request, and answers it there or later by its ticket. Not NULL.
    pub on_request: Option<unsafe extern "C" fn(user: *mut c_void, request: *const camrill_http_request_t)>,
    /// The client has taken what was written: camrill_http_write() takes more after its CAMRILL_EAGAIN. May be
    /// NULL.
    pub on_writable: Option<unsafe extern "C" fn(user: *mut c_void, ticket: camrill_id_t)>,
    /// The ticket is over before the host has ended the answer: the client is gone, HEAD was asked, or 60 s
    /// have passed. May be NULL.
    pub on_closed: Option<unsafe extern "C" fn(user: *mut c_void, ticket: camrill_id_t)>,
}
