// camrill: a live-streaming engine to link into a camera, a board or any C program.
//
// The shape of every program:
//
//     camrill_engine_t *engine;
//     camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
//     if (camrill_engine_new(&config, &engine) < 0) return 1;
//     camrill_config_set(engine, "listen", "1935");
//     if (camrill_config_apply(engine) < 0) return 1;
//     camrill_engine_run(engine);
//     camrill_engine_free(engine);
//
// Functions answer 0 or a positive count, or one of CAMRILL_E…, which are negative and never change.
// Outputs are written only on success. Strings are UTF-8 and end in NUL. Callbacks run only inside
// camrill_engine_poll() and camrill_engine_run() (log lines inside any call), and may call everything but
// these two. The library installs no signal handler, writes to no standard stream, and reads the
// environment only when asked to. It starts threads only while they have work: one that writes files, for
// recordings and HLS in a folder, and up to four that look up the names of servers for ingests and forwards,
// unless there is an on_resolve. They take no signals.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the Rust source: change it there, then `make header`.


#ifndef CAMRILL_H
#define CAMRILL_H

#include <stddef.h>
#include <stdint.h>

// Struct sizes let a program and a library of different ages meet: start every struct from its _INIT.
#define CAMRILL_ENGINE_CONFIG_INIT \
    { (uint32_t)sizeof(camrill_engine_config_t), 0, NULL, NULL, NULL, NULL, NULL, NULL }
#define CAMRILL_TRACKS_INIT { 0, 0, 0, 0, 0, { 0, 0, 0 }, NULL, 0, NULL, 0 }
#define CAMRILL_PUBLISHER_CONFIG_INIT \
    { (uint32_t)sizeof(camrill_publisher_config_t), 0, NULL, NULL, NULL, CAMRILL_TRACKS_INIT, NULL, NULL, NULL, \
      NULL, 0, 0, 0, 0 }
#define CAMRILL_FRAME_INIT \
    { (uint32_t)sizeof(camrill_frame_t), 0, 0, CAMRILL_TIME_NONE, NULL, 0, NULL, 0, 0, 0 }
#define CAMRILL_HLS_CONFIG_INIT \
    { (uint32_t)sizeof(camrill_hls_config_t), 0, NULL, NULL, NULL, CAMRILL_TRACKS_INIT, 0, 0, 0, 0, 0, 0, NULL, \
      NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }
#define CAMRILL_RECORDER_CONFIG_INIT \
    { (uint32_t)sizeof(camrill_recorder_config_t), 0, NULL, NULL, NULL, CAMRILL_TRACKS_INIT, NULL, 0, 0, 0, 0, \
      0, 0, 0, 0, 0, NULL, NULL, NULL, NULL }
#define CAMRILL_FILE_SINK_INIT { (uint32_t)sizeof(camrill_file_sink_t), 0, NULL, NULL, NULL }
#define CAMRILL_RETRY_INIT { 0, 0, 0, 0, 0, 0, { 0, 0 } }
#define CAMRILL_INGEST_CONFIG_INIT \
    { (uint32_t)sizeof(camrill_ingest_config_t), 0, NULL, NULL, NULL, NULL, 0, 0, 0, CAMRILL_RETRY_INIT, NULL, \
      NULL, NULL }
#define CAMRILL_FORWARD_CONFIG_INIT \
    { (uint32_t)sizeof(camrill_forward_config_t), 0, NULL, NULL, NULL, NULL, CAMRILL_RETRY_INIT, NULL, NULL, NULL }
#define CAMRILL_PLAYER_CONFIG_INIT \
    { (uint32_t)sizeof(camrill_player_config_t), 0, NULL, NULL, NULL, NULL, CAMRILL_RETRY_INIT, NULL, NULL, \
      NULL, NULL, NULL }
#define CAMRILL_TRANSPORT_INIT \
    { (uint32_t)sizeof(camrill_transport_t), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }
#define CAMRILL_HTTP_MOUNT_INIT \
    { (uint32_t)sizeof(camrill_http_mount_t), 0, NULL, NULL, NULL, NULL, NULL, NULL }


// Major version: what is built against one doesn't run with another.
#define CAMRILL_VERSION_MAJOR 0

// Minor version: grows with what is added.
#define CAMRILL_VERSION_MINOR 1

// Patch version.
#define CAMRILL_VERSION_PATCH 0

// The version that this header belongs to, as camrill_version() answers it:
// major * 65536 + minor * 256 + patch.
#define CAMRILL_VERSION (((CAMRILL_VERSION_MAJOR << 16) | (CAMRILL_VERSION_MINOR << 8)) | CAMRILL_VERSION_PATCH)

// Success. Positive answers are counts.
#define CAMRILL_OK 0

// An argument is NULL, out of its range, or not what the function takes.
#define CAMRILL_EINVAL -1

// A configuration's syntax, a directive or a value is wrong.
#define CAMRILL_ECONFIG -2

// There is no such thing: an id that has ended, an unknown path.
#define CAMRILL_ENOENT -3

// The frame is not what its codec says it is.
#define CAMRILL_EFRAME -4

// The call is not allowed in this state, or another thread is in the engine.
#define CAMRILL_ESTATE -100

// The call is not allowed from inside a callback.
#define CAMRILL_EREENTRANT -101

// The call is not allowed in a child after fork().
#define CAMRILL_EFORKED -102

// The name is being published by somebody else.
#define CAMRILL_EBUSY -103

// A socket or file call failed; camrill_engine_last_error() says which and why.
#define CAMRILL_EIO -200

// The address to listen at is in use, not allowed, or not one of this machine's.
#define CAMRILL_EADDRESS -201

// A peer broke its protocol.
#define CAMRILL_EPROTOCOL -300

// Not now: a bounded queue is full, or what is asked for is to come.
#define CAMRILL_EAGAIN -400

// A limit is reached.
#define CAMRILL_ELIMIT -401

// Out of memory.
#define CAMRILL_ENOMEM -402

// The buffer given is too small; nothing was written.
#define CAMRILL_EBUFFER -403

// A certificate or a key can't be used, or the library is built without TLS.
#define CAMRILL_ETLS -500

// A defect of the library was caught; from now on the engine answers nothing else.
#define CAMRILL_EPANIC -600

// Log level: what stops something from working.
#define CAMRILL_LOG_ERROR 1

// Log level: what somebody should look at: a refused client, a broken file.
#define CAMRILL_LOG_WARN 2

// Log level: who comes, publishes, plays and goes, and why.
#define CAMRILL_LOG_INFO 3

// Log level: more than that.
#define CAMRILL_LOG_DEBUG 4

// Log level: everything.
#define CAMRILL_LOG_TRACE 5

// A client has connected to an application.
#define CAMRILL_EVENT_CONNECTED 1

// A client that had connected is gone; `reason` says why.
#define CAMRILL_EVENT_CLOSED 2

// A stream is being published; `client` is 0 where this process publishes it.
#define CAMRILL_EVENT_PUBLISHED 3

// A stream is no longer published. Its players stay and wait.
#define CAMRILL_EVENT_UNPUBLISHED 4

// A client plays a stream, or waits for its publisher.
#define CAMRILL_EVENT_PLAY 5

// A client no longer plays.
#define CAMRILL_EVENT_STOP 6

// The configuration's recorder of a stream has begun a file, `path`.
#define CAMRILL_EVENT_RECORDING 7

// Such a file is complete: `path`, `duration_us`, `bytes`.
#define CAMRILL_EVENT_RECORDED 8

// Such a file could not be written, or not to its end; `reason` says why. `path` is empty where there is
// no file: the stream, or a track of it, is not recorded.
#define CAMRILL_EVENT_RECORD_FAILED 9

// An ingest has entered another state: `relay`, `state`, `url`, `reason`, `next_ms`. Those of the
// configuration tell it here, and those of camrill_ingest_new() that have no on_state.
#define CAMRILL_EVENT_INGEST 10

// The same of a forward.
#define CAMRILL_EVENT_FORWARD 11

// A client asks to connect to an application.
#define CAMRILL_ACTION_CONNECT 1

// A client asks to publish a stream.
#define CAMRILL_ACTION_PUBLISH 2

// A client asks to play a stream.
#define CAMRILL_ACTION_PLAY 3

// The client may.
#define CAMRILL_ALLOW 1

// The client may not; it is told so and closed.
#define CAMRILL_DENY 2

// The answer comes later, with camrill_auth_reply(). The client waits, the others don't.
#define CAMRILL_PENDING 3

// A client that has connected and neither publishes nor plays.
#define CAMRILL_CLIENT_IDLE 0

// A client that publishes.
#define CAMRILL_CLIENT_PUBLISHING 1

// A client that plays.
#define CAMRILL_CLIENT_PLAYING 2

// No codec: the stream has no such track.
#define CAMRILL_CODEC_NONE 0

// H.264 (ITU-T H.264): access units as camrill_tracks_t's video_format says.
#define CAMRILL_CODEC_H264 1

// AAC (ISO 14496-3): frames behind ADTS headers, with or without CRC, or one raw frame where an
// AudioSpecificConfig was given.
#define CAMRILL_CODEC_AAC 2

// H.265 (ITU-T H.265): access units as camrill_tracks_t's video_format says.
#define CAMRILL_CODEC_H265 3

// AV1: temporal units in the low-overhead format (AV1 specification, 5.2), with or without temporal
// delimiters; the last OBU may leave out its size.
#define CAMRILL_CODEC_AV1 4

// JPEG pictures (ITU-T T.81), each whole. No standard carries them in RTMP, FLV, HLS or MPEG-TS: they go to
// players of this process.
#define CAMRILL_CODEC_MJPEG 5

// MP3 (ISO 11172-3, 13818-3): whole frames, one or several.
#define CAMRILL_CODEC_MP3 6

// Opus (RFC 6716): one packet.
#define CAMRILL_CODEC_OPUS 7

// G.711 A-law of 8000 Hz, mono: any number of samples.
#define CAMRILL_CODEC_G711A 8

// G.711 µ-law of 8000 Hz, mono: any number of samples.
#define CAMRILL_CODEC_G711U 9

// VP9, of streams that come from the network: it is not taken from an encoder.
#define CAMRILL_CODEC_VP9 10

// FLAC, of streams that come from the network: it is not taken from an encoder.
#define CAMRILL_CODEC_FLAC 11

// A codec that the library relays without knowing it by a number of its own.
#define CAMRILL_CODEC_OTHER 255

// NAL units of H.264 and H.265 behind start codes of 3 or 4 bytes in any mix (annex B). The default.
#define CAMRILL_FORMAT_ANNEXB 0

// NAL units of H.264 and H.265 each behind its length: big-endian, of 4 bytes, or as many as an avcC or hvcC
// in video_config says.
#define CAMRILL_FORMAT_LENGTH_PREFIXED 1

// No time is given: as dts_us, the encoder doesn't tell it and the library makes it of pts_us.
#define CAMRILL_TIME_NONE INT64_MIN

// Flag of a frame: one or more whole NAL units of an H.264 or H.265 access unit, in their order, rather than all
// of it. It is complete when the next one begins: with an access unit delimiter, with the first slice of
// another picture and what stands before it, at another pts_us; or with CAMRILL_FRAME_LAST.
#define CAMRILL_FRAME_NAL 1

// Flag of a frame, with CAMRILL_FRAME_NAL: these are the last ones of their access unit, which goes out at once.
#define CAMRILL_FRAME_LAST 2

// Flag of a frame: players can start here though the bytes don't say so, as with intra refresh.
#define CAMRILL_FRAME_KEY 4

// Flag of a frame: what came before has no connection with it. Frames were lost before it, and its clock begins
// anew, for both tracks: time goes on where the stream is. What video can't show without what was lost is left out
// up to the next keyframe.
#define CAMRILL_FRAME_DISCONTINUITY 8

// Only forwards count for a publisher's rate_hint: a viewer on a bad line changes nothing.
#define CAMRILL_PUBLISHER_RATE_FORWARDS 1

// A path is mounted at the web server's ports.
#define CAMRILL_PORTS_SERVER 1

// A path is mounted at the API's ports.
#define CAMRILL_PORTS_API 2

// Bytes of each name in an output struct, with the final NUL. Longer names are refused at the door.
#define CAMRILL_NAME_MAX 256

// Bytes of an address in an output struct (`[2001:db8::1]:1935`), with the final NUL.
#define CAMRILL_ADDRESS_MAX 64

// Bytes of a URL in an output struct, with the final NUL. Longer ones are cut.
#define CAMRILL_URL_MAX 1024

// Bytes of a reason in an output struct, with the final NUL. Longer ones are cut.
#define CAMRILL_REASON_MAX 256

// Segments of MPEG-TS.
#define CAMRILL_HLS_TS 1

// Segments of fragmented MP4.
#define CAMRILL_HLS_FMP4 2

// Flag of HLS: audio is left out.
#define CAMRILL_HLS_NO_AUDIO 1

// Flag of HLS: video is left out.
#define CAMRILL_HLS_NO_VIDEO 2

// A file of HLS: the playlist. Each one takes the place of the one before.
#define CAMRILL_HLS_PLAYLIST 1

// A file of HLS: a segment.
#define CAMRILL_HLS_SEGMENT 2

// A file of HLS: a part of the segment that has begun.
#define CAMRILL_HLS_PART 3

// A file of HLS: the header of fragmented MP4 segments.
#define CAMRILL_HLS_HEADER 4

// A file of HLS: a key.
#define CAMRILL_HLS_KEY 5

// A recorder's file ends with the publish.
#define CAMRILL_RECORDER_SESSION 1

// A recorder's file ends when it has its length, at the next keyframe.
#define CAMRILL_RECORDER_SEGMENT 2

// A recorder's file is gone on with by the next publish. FLV only: MP4 is as CAMRILL_RECORDER_SESSION.
#define CAMRILL_RECORDER_APPEND 3

// Flag of a recorder: nothing is written before camrill_recorder_start().
#define CAMRILL_RECORDER_ON_DEMAND 1

// Flag of a recorder: an MP4 file is rewritten as a plain one when it is finished.
#define CAMRILL_RECORDER_FASTSTART 2

// Flag of a cut: the file ends now, and what comes before the next keyframe is in no file.
#define CAMRILL_CUT_AT_ONCE 1

// A recorder's file is being written.
#define CAMRILL_RECORDER_OPENED 1

// A recorder's file is complete.
#define CAMRILL_RECORDER_CLOSED 2

// A recorder's file could not be written, or not to its end: another one is tried 10 s later. Without a path:
// nothing, or not this track, can be recorded.
#define CAMRILL_RECORDER_FAILED 3

// Frames were left out, since the disk or the sink was too slow.
#define CAMRILL_RECORDER_DROPPED 4

// An ingest: the stream is pulled in.
#define CAMRILL_RELAY_INGEST 1

// A forward: the stream is sent on.
#define CAMRILL_RELAY_FORWARD 2

// It waits: a forward for its stream to be published, an ingest for somebody who watches.
#define CAMRILL_RELAY_IDLE 1

// It is on its way: a name is looked up, a connection made, the stream asked for.
#define CAMRILL_RELAY_CONNECTING 2

// Frames flow.
#define CAMRILL_RELAY_RUNNING 3

// It has failed, and is tried again.
#define CAMRILL_RELAY_WAITING 4

// It has given up, or is over.
#define CAMRILL_RELAY_ENDED 5

// Flag of an ingest: files begin again when all have been played, here or on a server (a recorded HLS too).
#define CAMRILL_INGEST_LOOP 1

// Flag of an ingest: it runs only while somebody watches the stream.
#define CAMRILL_INGEST_ON_DEMAND 2

// Flag of a player: frames come as the library keeps them: NAL units behind their lengths, without the parameter
// sets that stand in the track's config, and AAC without ADTS headers. That is what goes into MP4, FLV and their
// kind. Without it they come as decoders take them: Annex B, and ADTS.
#define CAMRILL_PLAYER_STORED 1

// Flag of a player: it starts at the next keyframe, not at the newest that has passed, so that it is never behind.
#define CAMRILL_PLAYER_LIVE 2

// Flag of a player: no video.
#define CAMRILL_PLAYER_NO_VIDEO 4

// Flag of a player: no audio.
#define CAMRILL_PLAYER_NO_AUDIO 8

// Flag of a player: what comes beside the tracks too: metadata, cue points, captions, as AMF0 values of which the
// first is their name ("onMetaData").
#define CAMRILL_PLAYER_DATA 16

// Flag of a player of a file, here or on a server: it begins again when it has been played.
#define CAMRILL_PLAYER_LOOP 32

// A packet of the video track.
#define CAMRILL_TRACK_VIDEO 1

// A packet of the audio track.
#define CAMRILL_TRACK_AUDIO 2

// A packet of what comes beside the tracks.
#define CAMRILL_TRACK_DATA 3

// Decoding can begin here. Set for each packet of audio and of data, too.
#define CAMRILL_PACKET_KEY 1

// What came before has no connection with this: frames were left out before it, the player was paused, the stream
// is published anew or comes over a new connection. Not set for a player's very first packet.
#define CAMRILL_PACKET_DISCONTINUITY 2

// Where a state comes from: a player. `relay` is 0 then.
#define CAMRILL_RELAY_PLAYER 3

// An engine. Made by camrill_engine_new(), freed by camrill_engine_free().
typedef struct camrill_engine_t camrill_engine_t;

// A forward. Made by camrill_forward_new(), freed by camrill_forward_free().
typedef struct camrill_forward_t camrill_forward_t;

// HLS that is being made. Made by camrill_hls_new(), freed by camrill_hls_free().
typedef struct camrill_hls_t camrill_hls_t;

// An ingest. Made by camrill_ingest_new(), freed by camrill_ingest_free().
typedef struct camrill_ingest_t camrill_ingest_t;

// The socket beneath one connection of a transport. It is the library's, stays at its place until `close` has
// returned, and is to be used only inside the transport's functions.
typedef struct camrill_io_t camrill_io_t;

// One frame of a stream. Whoever holds it counts as one; the last to let go frees it. It never changes, and belongs
// to no thread: all functions on it are for any, and it may outlive its player and the engine. While it is kept it
// keeps its bytes, which it shares with the stream: also memory that an encoder has lent to the library.
typedef struct camrill_packet_t camrill_packet_t;

// A player. Made by camrill_player_new(), freed by camrill_player_free().
typedef struct camrill_player_t camrill_player_t;

// A stream that this process publishes. Made by camrill_publisher_new(), freed by
// camrill_publisher_free().
typedef struct camrill_publisher_t camrill_publisher_t;

// A recorder. Made by camrill_recorder_new(), freed by camrill_recorder_free().
typedef struct camrill_recorder_t camrill_recorder_t;

// Names a client, a stream, an ingest, a forward, a mount or a ticket. Never 0. When its owner ends, the id is
// stale: calls with it answer CAMRILL_ENOENT, also when its place has been taken by another.
typedef uint32_t camrill_id_t;

// What happened. All strings are UTF-8, never NULL, and valid only during the callback.
typedef struct camrill_event_t {
    // Bytes of this struct as the library knows it.
    uint32_t struct_size;
    // CAMRILL_EVENT_…
    int32_t type;
    // The client, 0 if none.
    camrill_id_t client;
    // The stream, 0 if none.
    camrill_id_t stream;
    // The vhost that serves it.
    const char *vhost;
    // The application.
    const char *app;
    // The stream's name, empty if none.
    const char *name;
    // The URL's parameters without '?', such as "token=…".
    const char *param;
    // The client's address and port, empty if none.
    const char *address;
    // Why, for CAMRILL_EVENT_CLOSED and CAMRILL_EVENT_RECORD_FAILED, and where an ingest or forward has failed;
    // else empty.
    const char *reason;
    // The file, for CAMRILL_EVENT_REC…; else empty.
    const char *path;
    // How long it plays, in µs, for CAMRILL_EVENT_RECORDED; else 0.
    int64_t duration_us;
    // Its length in bytes, for CAMRILL_EVENT_RECORDED; else 0.
    uint64_t bytes;
    // The ingest or forward, for camrill_relay_info(); 0 if none.
    camrill_id_t relay;
    // CAMRILL_RELAY_IDLE… for CAMRILL_EVENT_INGEST and CAMRILL_EVENT_FORWARD; else 0.
    int32_t state;
    // How long until it is tried again, in ms, for CAMRILL_RELAY_WAITING; else 0.
    uint32_t next_ms;
    // 0.
    uint32_t reserved;
    // Where the stream comes from or goes to, without password and parameters, for CAMRILL_EVENT_INGEST and
    // CAMRILL_EVENT_FORWARD; else empty.
    const char *url;
} camrill_event_t;

// What a client asks for. All strings are UTF-8, never NULL, and valid only during the callback.
typedef struct camrill_admission_t {
    // Bytes of this struct as the library knows it.
    uint32_t struct_size;
    // CAMRILL_ACTION_…
    int32_t action;
    // Names the question, for camrill_auth_reply().
    camrill_id_t ticket;
    // The client.
    camrill_id_t client;
    // The vhost that serves it.
    const char *vhost;
    // The application.
    const char *app;
    // The stream's name; empty for CAMRILL_ACTION_CONNECT.
    const char *name;
    // The URL's parameters without '?'.
    const char *param;
    // The client's address and port.
    const char *address;
    // The URL that the client connected to, as it sent it.
    const char *tc_url;
    // The page that the client's player stands on, as it sent it.
    const char *page_url;
} camrill_admission_t;

// How an engine is made. Start from CAMRILL_ENGINE_CONFIG_INIT: all zero means the defaults.
typedef struct camrill_engine_config_t {
    // sizeof(camrill_engine_config_t).
    uint32_t struct_size;
    // The lines that on_log gets, up to this level: CAMRILL_LOG_…; 0 means CAMRILL_LOG_INFO.
    int32_t log_level;
    // Given to every callback.
    void *user;
    // Called last and exactly once, when the engine has been freed; may be NULL.
    void (*user_free)(void *user);
    // Gets log lines, each with the client that it concerns (0 if none). `line` is UTF-8 and valid only
    // during the call. Runs inside any call on the engine. NULL: nothing is logged.
    void (*on_log)(void *user, int32_t level, camrill_id_t client, const char *line);
    // Gets events. Runs inside camrill_engine_poll() and camrill_engine_run(). May be NULL.
    void (*on_event)(void *user, const struct camrill_event_t *event);
    // Is asked before a client connects, publishes or plays; answers CAMRILL_ALLOW, CAMRILL_DENY or
    // CAMRILL_PENDING. Runs inside camrill_engine_poll() and camrill_engine_run(). NULL: all may.
    int32_t (*on_admission)(void *user, const struct camrill_admission_t *request);
    // Is asked for the addresses of a server that an ingest or a forward connects to, unless its URL has a
    // numeric one. The answer is camrill_resolve_reply(), inside the callback or later; until it comes, or its
    // connect_ms are over, the ingest or forward waits, and nothing else does. `host` is valid only during the
    // callback. Runs inside camrill_engine_poll() and camrill_engine_run(). NULL: the library asks the system,
    // on a thread.
    void (*on_resolve)(void *user, camrill_id_t ticket, const char *host, uint16_t port);
} camrill_engine_config_t;

// What an engine has done and holds. Set struct_size before the call.
typedef struct camrill_stats_t {
    // sizeof(camrill_stats_t).
    uint32_t struct_size;
    // Connections now.
    uint32_t connections;
    // Streams now, published or waited for.
    uint32_t streams;
    // Streams that are published now.
    uint32_t publishers;
    // Players now.
    uint32_t players;
    // 0.
    uint32_t reserved;
    // Connections taken since the engine was made.
    uint64_t accepted;
    // Connections refused since then: max_connections was reached.
    uint64_t refused;
    // Bytes received from all connections since then.
    uint64_t received_bytes;
    // Bytes sent to all connections since then.
    uint64_t sent_bytes;
    // Bytes of frames and of their wire images held now.
    uint64_t media_bytes;
    // Microseconds since the engine was made.
    uint64_t uptime_us;
} camrill_stats_t;

// One stream. Set struct_size before the call.
typedef struct camrill_stream_info_t {
    // sizeof(camrill_stream_info_t).
    uint32_t struct_size;
    // The stream.
    camrill_id_t id;
    // 1 while somebody publishes it, else 0.
    int32_t published;
    // The client that publishes it; 0 if none, or this process.
    camrill_id_t publisher;
    // Players now.
    uint32_t players;
    // CAMRILL_CODEC_… of its video track.
    int32_t video_codec;
    // Pixels, 0 while unknown.
    uint32_t width;
    // Pixels, 0 while unknown.
    uint32_t height;
    // CAMRILL_CODEC_… of its audio track.
    int32_t audio_codec;
    // Hz, 0 while unknown.
    uint32_t sample_rate;
    // Audio channels, 0 while unknown.
    uint32_t channels;
    // The bitrate that its publisher's rate_hint was told last, in bits per second; 0: nothing limits it.
    uint32_t rate_hint;
    // Video frames that came in.
    uint64_t video_frames;
    // Audio frames that came in.
    uint64_t audio_frames;
    // Frames that were not taken: video before the first keyframe, repeated headers.
    uint64_t dropped_frames;
    // Bytes of frames that came in.
    uint64_t received_bytes;
    // Bytes of frames and wire images held now.
    uint64_t held_bytes;
    // Microseconds since the publish that is going on began.
    uint64_t live_us;
    // The vhost that serves it.
    char vhost[CAMRILL_NAME_MAX];
    // The application.
    char app[CAMRILL_NAME_MAX];
    // The stream's name.
    char name[CAMRILL_NAME_MAX];
} camrill_stream_info_t;

// One client. Set struct_size before the call.
typedef struct camrill_client_info_t {
    // sizeof(camrill_client_info_t).
    uint32_t struct_size;
    // The client.
    camrill_id_t id;
    // CAMRILL_CLIENT_…
    int32_t doing;
    // The stream that it publishes or plays, 0 if none.
    camrill_id_t stream;
    // How often it fell behind and was taken to a newer keyframe.
    uint32_t skips;
    // 0.
    uint32_t reserved;
    // Bytes received from it.
    uint64_t received_bytes;
    // Bytes sent to it.
    uint64_t sent_bytes;
    // Microseconds since it came.
    uint64_t alive_us;
    // Its address and port.
    char address[CAMRILL_ADDRESS_MAX];
    // The vhost that serves it.
    char vhost[CAMRILL_NAME_MAX];
    // The application.
    char app[CAMRILL_NAME_MAX];
    // The stream's name, empty if none.
    char name[CAMRILL_NAME_MAX];
} camrill_client_info_t;

// A program that the host is to run. Set struct_size before the call. The strings are the engine's: they
// are valid until camrill_programs() is called again or the engine is freed.
typedef struct camrill_program_info_t {
    // sizeof(camrill_program_info_t).
    uint32_t struct_size;
    // Strings in `argv`, at least 1.
    int32_t argc;
    // The block that asks for it, which stays the same from one configuration to the next and is no other
    // program's: "vhost/demo.example.com/ingest/camera".
    const char *name;
    // The program's path, or its name to be looked for in PATH, its arguments, and a NULL behind them.
    // Addresses in them may have passwords.
    const char *const *argv;
    // The file that its standard output and error are to be added to; empty where they are not to be kept.
    const char *log;
} camrill_program_info_t;

// The tracks that are written: part of the configs of publishers, HLS and recorders. Start from
// CAMRILL_TRACKS_INIT. The buffers are copied.
typedef struct camrill_tracks_t {
    // CAMRILL_CODEC_H264, H265, AV1 or MJPEG, or CAMRILL_CODEC_NONE for audio alone.
    int32_t video_codec;
    // CAMRILL_CODEC_AAC, MP3, OPUS, G711A or G711U, or CAMRILL_CODEC_NONE for video alone.
    int32_t audio_codec;
    // CAMRILL_FORMAT_ANNEXB or CAMRILL_FORMAT_LENGTH_PREFIXED, of H.264 and H.265.
    int32_t video_format;
    // Hz; 0 means as audio_config or the codec says: Opus 48000, G.711 8000, AAC and MP3 as their headers say.
    // Another number than these is refused, but for Opus, where it is that of the input, 8000 to 48000.
    uint32_t audio_rate;
    // Channels; 0 means as audio_config or the codec says: Opus 2, G.711 1, AAC and MP3 as their headers say.
    // Another number than these is refused, but for Opus, 1 or 2.
    uint32_t audio_channels;
    // 0.
    uint32_t reserved[3];
    // Parameter sets given once: of H.264 and H.265 in annex B, or as an avcC or hvcC record (ISO 14496-15); of
    // AV1 a sequence header OBU, or an av1C record. NULL: they come with the frames. Those that come with the
    // frames take their place.
    const uint8_t *video_config;
    // Bytes of it, up to 64 KiB.
    size_t video_config_size;
    // The AudioSpecificConfig of raw AAC (ISO 14496-3, 1.6.2.1), or an OpusHead (RFC 7845, 5.1). NULL: AAC comes
    // with ADTS headers, and of Opus one is made.
    const uint8_t *audio_config;
    // Bytes of it, up to 64 KiB.
    size_t audio_config_size;
} camrill_tracks_t;

// How a publisher is made. Start from CAMRILL_PUBLISHER_CONFIG_INIT. Strings and buffers are copied.
typedef struct camrill_publisher_config_t {
    // sizeof(camrill_publisher_config_t).
    uint32_t struct_size;
    // Bytes of frames that may wait for the loop; 0 means 4 MiB. At least 64 KiB.
    uint32_t queue_bytes;
    // The vhost; NULL or "" means the default one.
    const char *vhost;
    // The application, such as "live".
    const char *app;
    // The stream's name, such as "camera".
    const char *name;
    // What is written.
    struct camrill_tracks_t tracks;
    // Given to the callbacks.
    void *user;
    // Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    void (*user_free)(void *user);
    // The encoder should make a keyframe: frames were dropped, or a viewer waits for one. Runs inside
    // camrill_engine_poll() and camrill_engine_run(), on the loop's thread. May be NULL.
    void (*need_keyframe)(void *user);
    // The bitrate, in bits per second over all tracks, that what the stream goes out to holds has changed: the
    // encoder should make no more than that. 0: nothing limits it, as at first. Forwards and players over RTMP,
    // HTTP and WebSocket count, players of HLS don't; of three viewers or more the slowest quarter (at least
    // one) is left out. A few times a second at most. Runs inside camrill_engine_poll() and
    // camrill_engine_run(), on the loop's thread. NULL: connections are not looked at.
    void (*rate_hint)(void *user, uint32_t bits_per_second);
    // The least that is hinted, in bits per second; 0 means 100000.
    uint32_t rate_min;
    // The most that is hinted, in bits per second; 0 means no bound. At least rate_min.
    uint32_t rate_max;
    // CAMRILL_PUBLISHER_…, or 0.
    uint32_t flags;
    // How long memory given with camrill_publisher_write_ref() may be held, in ms; what is held longer is
    // copied. 1 to 60,000; 0 means 500.
    uint32_t max_hold_ms;
} camrill_publisher_config_t;

// A piece of a frame's bytes.
typedef struct camrill_iov_t {
    // The bytes; may be NULL if there are none.
    const uint8_t *data;
    // How many.
    size_t size;
} camrill_iov_t;

// One frame from an encoder. Start from CAMRILL_FRAME_INIT.
typedef struct camrill_frame_t {
    // sizeof(camrill_frame_t).
    uint32_t struct_size;
    // CAMRILL_CODEC_… of one of the tracks. Video is one whole access unit, or NAL units of one with
    // CAMRILL_FRAME_NAL, or parameter sets alone.
    int32_t codec;
    // When it is shown, in µs on any clock that both tracks share, from any beginning; may be negative. A step of
    // the clock, back or by more than 10 s, doesn't reach the stream: time goes on where it is.
    int64_t pts_us;
    // When it is decoded, in µs on the same clock, at most pts_us; goes up from frame to frame. CAMRILL_TIME_NONE,
    // as in CAMRILL_FRAME_INIT: it is made of pts_us, by the reordering that the parameter sets tell. Of no
    // meaning for audio.
    int64_t dts_us;
    // The bytes; NULL where `iov` has them.
    const uint8_t *data;
    // How many. An access unit has up to 8 MiB.
    size_t size;
    // The bytes in pieces, in their order, cut anywhere, also within a start code; NULL where `data` has them.
    const struct camrill_iov_t *iov;
    // How many pieces, up to 64.
    size_t iov_count;
    // CAMRILL_FRAME_…
    uint32_t flags;
    // 0.
    uint32_t reserved;
} camrill_frame_t;

// What a publisher has done. Set struct_size before the call.
typedef struct camrill_publisher_stats_t {
    // sizeof(camrill_publisher_stats_t).
    uint32_t struct_size;
    // Frames that were queued. Wraps.
    uint32_t written;
    // Frames that were dropped since the queue was full. Wraps.
    uint32_t dropped;
    // Bytes that wait for the loop now.
    uint32_t queued_bytes;
    // Buffers given with camrill_publisher_write_ref() and not yet released.
    uint32_t held;
    // Frames in them that were copied since max_hold_ms was over. Wraps.
    uint32_t late_copies;
} camrill_publisher_stats_t;

// A request for a mounted path. Strings are UTF-8, never NULL; they and the body are valid only during the
// callback.
typedef struct camrill_http_request_t {
    // Bytes of this struct as the library knows it.
    uint32_t struct_size;
    // Names the request when it is answered, inside the callback or later.
    camrill_id_t ticket;
    // The client.
    camrill_id_t client;
    // The mount.
    camrill_id_t mount;
    // "GET", "HEAD", "POST", "PUT" or "DELETE". OPTIONS is answered by the library.
    const char *method;
    // The path: decoded, without "." and "..".
    const char *path;
    // What stands behind '?', as it was sent.
    const char *query;
    // The client's address and port.
    const char *address;
    // The header fields, for camrill_http_request_header(): name, NUL, value, NUL, and so on; a NUL in place
    // of a name is the end.
    const char *headers;
    // The body, up to 256 KiB, with no NUL behind it; NULL if there is none.
    const uint8_t *body;
    // Bytes of it.
    size_t body_size;
} camrill_http_request_t;

// A path that the host answers for. Start from CAMRILL_HTTP_MOUNT_INIT.
typedef struct camrill_http_mount_t {
    // sizeof(camrill_http_mount_t).
    uint32_t struct_size;
    // CAMRILL_PORTS_SERVER, CAMRILL_PORTS_API or both; 0 means both.
    uint32_t ports;
    // The path, decoded: "/config" is that path, "/cam/*" all that begin with "/cam/", "/" the root alone.
    // It is copied.
    const char *path;
    // Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    void *user;
    // Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    void (*user_free)(void *user);
    // Gets each request, and answers it there or later by its ticket. Not NULL.
    void (*on_request)(void *user, const struct camrill_http_request_t *request);
    // The client has taken what was written: camrill_http_write() takes more after its CAMRILL_EAGAIN. May be
    // NULL.
    void (*on_writable)(void *user, camrill_id_t ticket);
    // The ticket is over before the host has ended the answer: the client is gone, HEAD was asked, or 60 s
    // have passed. May be NULL.
    void (*on_closed)(void *user, camrill_id_t ticket);
} camrill_http_mount_t;

// A file of HLS. The name and the data are valid only during the callback.
typedef struct camrill_hls_file_t {
    // Bytes of this struct as the library knows it.
    uint32_t struct_size;
    // CAMRILL_HLS_PLAYLIST, CAMRILL_HLS_SEGMENT, CAMRILL_HLS_PART, CAMRILL_HLS_HEADER or CAMRILL_HLS_KEY.
    int32_t kind;
    // Its name, as it is made of the config's; with '/' where that has one.
    const char *name;
    // All of it.
    const uint8_t *data;
    // Bytes of it.
    size_t size;
    // How long it plays, in µs; 0 for what isn't a segment.
    int64_t duration_us;
} camrill_hls_file_t;

// How HLS is made. Start from CAMRILL_HLS_CONFIG_INIT. Strings and buffers are copied.
typedef struct camrill_hls_config_t {
    // sizeof(camrill_hls_config_t).
    uint32_t struct_size;
    // CAMRILL_HLS_TS or CAMRILL_HLS_FMP4; 0 means TS, and fMP4 where part_ms is set.
    int32_t format;
    // The vhost; NULL or "" means the default one.
    const char *vhost;
    // The application. With `name` NULL too it is made of the frames that camrill_hls_write() is given.
    const char *app;
    // The stream's name. It is made of that stream whenever it is published, by whomever.
    const char *name;
    // What is written, without a stream: as of a publisher. With one of no meaning.
    struct camrill_tracks_t tracks;
    // Least length of a segment, which ends at the next keyframe; 0 means 10000.
    uint32_t fragment_ms;
    // Length of the playlist; 0 means 60000.
    uint32_t window_ms;
    // Length of a part, 100 to 5000, for low latency; 0 means that there are none.
    uint32_t part_ms;
    // Most bytes of files kept in memory, and as much again waiting for on_file; 0 means 32 MiB. 64 KiB to
    // 1 GiB.
    uint32_t max_bytes;
    // CAMRILL_HLS_NO_AUDIO, CAMRILL_HLS_NO_VIDEO.
    uint32_t flags;
    // Segments that are encrypted (AES-128) with one key, before another is drawn; MPEG-TS only. 0 means that they are
    // not encrypted.
    uint32_t fragments_per_key;
    // The folder that it is written to; NULL or "" means that it is kept in memory, for camrill_hls_get().
    const char *path;
    // The playlist's name; NULL means `[app]/[stream].m3u8`, without a stream `live.m3u8`.
    const char *playlist;
    // A segment's name, with `[seq]` for its number; NULL means `[app]/[stream]-[seq].ts` (.m4s), without a
    // stream `[seq].ts`.
    const char *segment;
    // The fMP4 header's name; NULL means `[app]/[stream]/init.mp4`, without a stream `init.mp4`.
    const char *header;
    // Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    void *user;
    // Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    void (*user_free)(void *user);
    // Gets each file when it is whole: what a playlist names before that playlist. It is told as it comes and not
    // again, so one that can't be stored at once is to be copied, or left out. May be NULL.
    void (*on_file)(void *user, const struct camrill_hls_file_t *file);
    // A file that no playlist names any more and nobody should be fetching any more. May be NULL.
    void (*on_remove)(void *user, const char *name);
    // A key's name; NULL means `[app]/[stream]-[seq].key`, without a stream `[seq].key`. It goes where the segments go:
    // who serves it sees to it that not everybody gets it.
    const char *key;
    // The URL of the folder that players fetch keys from; NULL or "" means relative to the playlist.
    const char *key_url;
} camrill_hls_config_t;

// What became of a recorder's file. Strings are UTF-8, never NULL, and valid only during the callback.
typedef struct camrill_recorder_file_t {
    // Bytes of this struct as the library knows it.
    uint32_t struct_size;
    // CAMRILL_RECORDER_OPENED, CAMRILL_RECORDER_CLOSED, CAMRILL_RECORDER_FAILED or CAMRILL_RECORDER_DROPPED.
    int32_t what;
    // The file; empty where none is concerned.
    const char *path;
    // Why, for CAMRILL_RECORDER_FAILED; else empty.
    const char *reason;
    // How long it plays, in µs, for CAMRILL_RECORDER_CLOSED; else 0.
    int64_t duration_us;
    // Its length in bytes, for CAMRILL_RECORDER_CLOSED; else 0.
    uint64_t bytes;
    // How many frames were left out, for CAMRILL_RECORDER_DROPPED; else 0.
    uint32_t frames;
    // 0.
    uint32_t reserved;
} camrill_recorder_file_t;

// Where a recorder's files go instead of the disk: a card with a file system of its own, an encrypted one, memory,
// a socket. Start from CAMRILL_FILE_SINK_INIT; all functions must be there.
//
// They are given the recorder's `user`, run on the loop's thread inside camrill_engine_poll() and
// camrill_engine_run(), and may call what other callbacks may. They should return soon: meanwhile nothing else is
// done. One that can't answers CAMRILL_EAGAIN and is asked for the same again, 20 ms later; what is to be written
// until then waits, up to 4 MiB and preroll_bytes, and beyond that frames are left out up to a keyframe, which
// on_file is told with CAMRILL_RECORDER_DROPPED.
//
// camrill_engine_free() has what is left written and the files closed, before it calls `user_free`: then whoever
// answers CAMRILL_EAGAIN is asked no more, and the file is closed as it is. In a child after fork() nothing is
// called.
typedef struct camrill_file_sink_t {
    // sizeof(camrill_file_sink_t).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Opens an empty file of this name, which is the config's `path` with its variables filled in; whether it may
    // be there already, and what to do then, is the host's affair. Answers CAMRILL_OK and writes what the others
    // are given as `file`, which may be NULL; or CAMRILL_EAGAIN, or another negative number: the file has failed.
    int32_t (*open)(void *user, const char *path, void **file);
    // Writes all `size` bytes at `offset` from the file's beginning: most often at its end, and never beyond it. They
    // come once 64 KiB are there, or a second has passed. When an FLV file is complete its duration and index are
    // written over what stands near its beginning; MP4 is only written at its end. Answers CAMRILL_OK, CAMRILL_EAGAIN if it has written none of them, or another
    // negative number: the file has failed, and is closed next. `data` is valid only during the call.
    int32_t (*write)(void *user, void *file, uint64_t offset, const uint8_t *data, size_t size);
    // Closes a file, once for each that was opened. `complete` is 1 if all of it was written, or 0: after a
    // failure, or where the engine's end has cut it short, when it plays as far as it goes. Answers CAMRILL_OK, or a
    // negative number: the file has failed; it is closed all the same.
    int32_t (*close)(void *user, void *file, int32_t complete);
} camrill_file_sink_t;

// How a recorder is made. Start from CAMRILL_RECORDER_CONFIG_INIT. Strings and buffers are copied.
typedef struct camrill_recorder_config_t {
    // sizeof(camrill_recorder_config_t).
    uint32_t struct_size;
    // CAMRILL_RECORDER_SESSION, CAMRILL_RECORDER_SEGMENT or CAMRILL_RECORDER_APPEND; 0 means SESSION.
    int32_t plan;
    // The vhost; NULL or "" means the default one.
    const char *vhost;
    // The application. With `name` NULL too it records the frames that camrill_recorder_write() is given.
    const char *app;
    // The stream's name. It is recorded whenever it is published, by whomever.
    const char *name;
    // What is written, without a stream: as of a publisher. With one of no meaning.
    struct camrill_tracks_t tracks;
    // A file's name, such as `/sd/[2006]-[01]-[02]/[15].[04].[05].mp4`: the suffix chooses FLV or MP4, and a
    // path without either is a folder. `[vhost] [app] [stream] [seq] [timestamp]` are known too. One that is
    // there is not written over: the next free name like it is taken, where the library writes it. Not NULL.
    const char *path;
    // Length of a file of CAMRILL_RECORDER_SEGMENT; 0 means 30000.
    uint32_t duration_ms;
    // Length of an MP4 file's fragments, 100 to 60000: what a power cut may cost; 0 means 1000.
    uint32_t fragment_ms;
    // How much of what came before camrill_recorder_start() is recorded too, up to 60000, and as much more as
    // its GOP has; 0 means nothing.
    uint32_t preroll_ms;
    // Most memory that this takes, in bytes, 64 KiB to 1 GiB; 0 means 16 MiB.
    uint32_t preroll_bytes;
    // A publisher that returns within this time goes on with the same file; 0 means that a file ends with its
    // publish.
    uint32_t keep_ms;
    // Older recordings beneath the path's fixed folder are removed, in s; 0 means never.
    uint32_t max_age_s;
    // Beyond this many bytes the oldest recordings beneath that folder are removed; 0 means never.
    uint64_t max_bytes;
    // CAMRILL_RECORDER_ON_DEMAND, CAMRILL_RECORDER_FASTSTART.
    uint32_t flags;
    // 0.
    uint32_t reserved;
    // Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    void *user;
    // Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    void (*user_free)(void *user);
    // Is told what became of each file. May be NULL.
    void (*on_file)(void *user, const struct camrill_recorder_file_t *file);
    // Who writes the files; copied. NULL: the library does, to the disk. With one there is no looking for a name that
    // is free, and CAMRILL_EINVAL for what would have to look through a folder or to read a file: max_age_s,
    // max_bytes, CAMRILL_RECORDER_APPEND, CAMRILL_RECORDER_FASTSTART.
    const struct camrill_file_sink_t *sink;
} camrill_recorder_config_t;

// How often, and for how long, an ingest or a forward is tried. A part of their configs, which doesn't grow.
typedef struct camrill_retry_t {
    // The wait after the first failure; it doubles with each further one, and all differ by up to a quarter, so
    // that many don't come back at once. 0 means 500.
    uint32_t first_ms;
    // The longest wait; 0 means 10000, or first_ms if that is more.
    uint32_t longest_ms;
    // Failures in a row after which it gives up; 0 means that it never does.
    uint32_t tries;
    // How long frames have to flow until earlier failures no longer count; 0 means 10000.
    uint32_t stable_ms;
    // How long it may take from the server's name to the first frame, or until the server takes the stream;
    // 0 means 10000.
    uint32_t connect_ms;
    // How long the server may bring nothing, or take nothing; 0 means 10000.
    uint32_t stall_ms;
    // 0.
    uint32_t reserved[2];
} camrill_retry_t;

// The state that an ingest, a forward or a player has entered. Strings are UTF-8, never NULL, and valid only during the
// callback.
typedef struct camrill_relay_state_t {
    // Bytes of this struct as the library knows it.
    uint32_t struct_size;
    // CAMRILL_RELAY_INGEST, CAMRILL_RELAY_FORWARD or CAMRILL_RELAY_PLAYER.
    int32_t direction;
    // Names it, for camrill_relay_info(); 0 for a player.
    camrill_id_t relay;
    // The stream, 0 while there is none.
    camrill_id_t stream;
    // CAMRILL_RELAY_IDLE, CAMRILL_RELAY_CONNECTING, CAMRILL_RELAY_RUNNING, CAMRILL_RELAY_WAITING or
    // CAMRILL_RELAY_ENDED.
    int32_t state;
    // How long until it is tried again, in ms, for CAMRILL_RELAY_WAITING; else 0.
    uint32_t next_ms;
    // Why, where it has failed, with the server's own words where it has said some; else empty.
    const char *reason;
    // Where the stream comes from or goes to now, without password and parameters.
    const char *url;
} camrill_relay_state_t;

// How an ingest is made. Start from CAMRILL_INGEST_CONFIG_INIT. Strings are copied.
typedef struct camrill_ingest_config_t {
    // sizeof(camrill_ingest_config_t).
    uint32_t struct_size;
    // CAMRILL_INGEST_LOOP, CAMRILL_INGEST_ON_DEMAND.
    uint32_t flags;
    // The vhost that it is published in; NULL or "" means the default one.
    const char *vhost;
    // The application, such as "live".
    const char *app;
    // The stream's name, such as "camera".
    const char *name;
    // Where it comes from: URLs (`rtmp://[user[:password]@]host[:port]/app/stream`, `http://…`), each of which is
    // tried at once when the one before it fails, while the stream stays published; or paths of files, which
    // are played one after another as if they were live.
    const char *const *inputs;
    // How many, 1 to 256.
    size_t input_count;
    // With CAMRILL_INGEST_ON_DEMAND how long it goes on after the last viewer; 0 means 10000.
    uint32_t linger_ms;
    // 0.
    uint32_t reserved;
    // When it is tried again, which is when all inputs have failed.
    struct camrill_retry_t retry;
    // Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    void *user;
    // Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    void (*user_free)(void *user);
    // Is told each state that it enters; it begins in CAMRILL_RELAY_IDLE untold. NULL: on_event of the engine is
    // told.
    void (*on_state)(void *user, const struct camrill_relay_state_t *state);
} camrill_ingest_config_t;

// One ingest or forward. Set struct_size before the call.
typedef struct camrill_relay_info_t {
    // sizeof(camrill_relay_info_t).
    uint32_t struct_size;
    // The ingest or forward.
    camrill_id_t id;
    // The stream, 0 while there is none.
    camrill_id_t stream;
    // CAMRILL_RELAY_INGEST or CAMRILL_RELAY_FORWARD.
    int32_t direction;
    // CAMRILL_RELAY_IDLE, CAMRILL_RELAY_CONNECTING, CAMRILL_RELAY_RUNNING, CAMRILL_RELAY_WAITING or
    // CAMRILL_RELAY_ENDED.
    int32_t state;
    // How long until it is tried again, in ms, for CAMRILL_RELAY_WAITING; else 0.
    uint32_t next_ms;
    // Failures in a row.
    uint32_t failures;
    // How often frames have begun to flow.
    uint32_t starts;
    // How often the server of a forward fell behind and was taken to a newer keyframe.
    uint32_t skips;
    // 0.
    uint32_t reserved;
    // Bytes received or sent, over all its connections.
    uint64_t bytes;
    // Microseconds since frames flow, 0 while they don't.
    uint64_t running_us;
    // The stream's vhost.
    char vhost[CAMRILL_NAME_MAX];
    // Its application.
    char app[CAMRILL_NAME_MAX];
    // Its name.
    char name[CAMRILL_NAME_MAX];
    // Where it comes from or goes to now, without password and parameters.
    char url[CAMRILL_URL_MAX];
    // What it failed of last, empty if it never has.
    char reason[CAMRILL_REASON_MAX];
} camrill_relay_info_t;

// How a forward is made. Start from CAMRILL_FORWARD_CONFIG_INIT. Strings are copied.
typedef struct camrill_forward_config_t {
    // sizeof(camrill_forward_config_t).
    uint32_t struct_size;
    // 0.
    uint32_t flags;
    // The vhost of the stream; NULL or "" means the default one.
    const char *vhost;
    // Its application.
    const char *app;
    // Its name.
    const char *name;
    // Where it goes: `rtmp://[user[:password]@]host[:port]/app/stream[?parameters]`.
    const char *url;
    // When it is tried again.
    struct camrill_retry_t retry;
    // Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    void *user;
    // Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    void (*user_free)(void *user);
    // Is told each state that it enters; it begins in CAMRILL_RELAY_IDLE untold. NULL: on_event of the engine is
    // told.
    void (*on_state)(void *user, const struct camrill_relay_state_t *state);
} camrill_forward_config_t;

// What a track is. What isn't known is 0. Valid only during the callback, as what it points to.
typedef struct camrill_track_info_t {
    // Bytes of this struct as the library knows it.
    uint32_t struct_size;
    // CAMRILL_CODEC_…
    int32_t codec;
    // Of CAMRILL_CODEC_OTHER its FourCC, the first letter in the highest byte, or its number in FLV (0 to 15).
    uint32_t fourcc;
    // Of video pixels.
    uint32_t width;
    // Of video pixels.
    uint32_t height;
    // Of video frames per second, a fraction, where the parameter sets say.
    uint32_t frame_rate_num;
    // The fraction's denominator.
    uint32_t frame_rate_den;
    // profile_idc (H.264), general_profile_idc (H.265), the audio object type (AAC).
    uint32_t profile;
    // level_idc (H.264), general_level_idc (H.265).
    uint32_t level;
    // Of audio Hz, as it is heard.
    uint32_t sample_rate;
    // Of audio channels, as they are heard.
    uint32_t channels;
    // 0.
    uint32_t reserved;
    // The codec's configuration, whatever the packets' format: avcC, hvcC (ISO 14496-15), av1C, vpcC without its box,
    // AudioSpecificConfig (ISO 14496-3, 1.6.2.1), OpusHead (RFC 7845, 5.1). NULL for codecs that have none.
    const uint8_t *config;
    // Bytes of it.
    size_t config_size;
} camrill_track_info_t;

// How a player is made. Start from CAMRILL_PLAYER_CONFIG_INIT. Strings are copied.
typedef struct camrill_player_config_t {
    // sizeof(camrill_player_config_t).
    uint32_t struct_size;
    // CAMRILL_PLAYER_…
    uint32_t flags;
    // The vhost of the stream; NULL or "" means the default one. Of a URL the vhost whose `play` settings hold.
    const char *vhost;
    // The application of a stream of this engine's, such as "live". With a URL NULL.
    const char *app;
    // The stream's name. With a URL NULL.
    const char *name;
    // Where it comes from instead: a URL as an ingest has it (`rtmp://[user[:password]@]host[:port]/app/stream`,
    // `rtmps://…`, `http://…` and `https://…` for FLV, MPEG-TS and HLS), or a file's path. It is published nowhere.
    const char *url;
    // When a URL is tried again.
    struct camrill_retry_t retry;
    // Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    void *user;
    // Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    void (*user_free)(void *user);
    // Is told the tracks before the first packet, and again before the first packet to which others apply; NULL for
    // one that there is not, or that isn't known yet: one that comes a second after the other or later, say. May be
    // NULL.
    void (*on_tracks)(void *user,
                      const struct camrill_track_info_t *video,
                      const struct camrill_track_info_t *audio);
    // Gets each frame in the order of decoding. The packet is valid during the call; keep it with
    // camrill_packet_ref(). Not NULL.
    void (*on_packet)(void *user, struct camrill_packet_t *packet);
    // Is told each state that it enters, among packets where it belongs; it begins in CAMRILL_RELAY_IDLE untold.
    // A stream of this engine's is CAMRILL_RELAY_RUNNING while it is published, and else CAMRILL_RELAY_IDLE. May
    // be NULL.
    void (*on_state)(void *user, const struct camrill_relay_state_t *state);
} camrill_player_config_t;

// What a player has done. Set struct_size before the call.
typedef struct camrill_player_info_t {
    // sizeof(camrill_player_info_t).
    uint32_t struct_size;
    // CAMRILL_RELAY_IDLE, CAMRILL_RELAY_CONNECTING, CAMRILL_RELAY_RUNNING, CAMRILL_RELAY_WAITING or
    // CAMRILL_RELAY_ENDED.
    int32_t state;
    // The stream of this engine's, 0 for a URL.
    camrill_id_t stream;
    // 1 while it is paused, else 0.
    int32_t paused;
    // How long until a URL is tried again, in ms, for CAMRILL_RELAY_WAITING; else 0.
    uint32_t next_ms;
    // Failures of a URL in a row.
    uint32_t failures;
    // How often frames have begun to flow.
    uint32_t starts;
    // How often it fell behind and was taken to a newer keyframe.
    uint32_t skips;
    // Packets that on_packet got.
    uint64_t packets;
    // Bytes of these.
    uint64_t bytes;
    // Bytes received of a URL, over all its connections.
    uint64_t received_bytes;
    // Where a URL's stream comes from now, without password and parameters; empty for a stream of this engine's.
    char url[CAMRILL_URL_MAX];
    // What a URL failed of last, empty if it never has.
    char reason[CAMRILL_REASON_MAX];
} camrill_player_info_t;

// What a packet is. Set struct_size before the call. The pointers are valid for as long as the packet is.
typedef struct camrill_packet_info_t {
    // sizeof(camrill_packet_info_t).
    uint32_t struct_size;
    // CAMRILL_TRACK_VIDEO, CAMRILL_TRACK_AUDIO or CAMRILL_TRACK_DATA.
    int32_t track;
    // CAMRILL_CODEC_…; CAMRILL_CODEC_NONE for CAMRILL_TRACK_DATA.
    int32_t codec;
    // CAMRILL_PACKET_KEY, CAMRILL_PACKET_DISCONTINUITY.
    uint32_t flags;
    // When it is shown, in µs on the stream's clock, which both tracks share and which starts near 0.
    int64_t pts_us;
    // When it is decoded, in µs on the same clock.
    int64_t dts_us;
    // Its bytes, where they lie in one piece already, else NULL: camrill_packet_data() puts them together.
    const uint8_t *data;
    // Bytes of it in all.
    size_t size;
    // Its pieces in their order.
    const struct camrill_iov_t *iov;
    // How many, 1 at least.
    size_t iov_count;
} camrill_packet_info_t;

// TLS of the host's: mbedTLS, OpenSSL or another. Start from CAMRILL_TRANSPORT_INIT. `open`, `handshake`,
// `read`, `write` and `close` are not NULL.
//
// Its functions run inside other calls, mostly camrill_engine_poll(), on the same thread, and end at once: what
// camrill_io_send() or camrill_io_recv() can't do now they answer with CAMRILL_EAGAIN, and are called again
// when the socket can do something, whatever that is. They must not use the engine: it answers
// CAMRILL_EREENTRANT to all but what is marked [any thread].
typedef struct camrill_transport_t {
    // sizeof(camrill_transport_t).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Given to `open`.
    void *user;
    // Called last and exactly once, when no connection needs it any more: inside poll,
    // camrill_engine_set_transport() or camrill_engine_free(). It must not use the engine either. May be NULL.
    void (*user_free)(void *user);
    // Begins a connection over `io` and answers what the other functions are given. `host` is the name or
    // address of the server that is connected to, which the handshake is to verify; NULL where this is the
    // server. NULL: there is no connection. Nothing can be sent or received yet.
    void *(*open)(void *user, struct camrill_io_t *io, const char *host);
    // Goes on with the handshake: 0 when it is done, CAMRILL_EAGAIN, or another negative number if it fails.
    int32_t (*handshake)(void *connection);
    // Reads up to `size` bytes; answers how many, 0 at the end, CAMRILL_EAGAIN, or another negative number.
    int32_t (*read)(void *connection, void *buffer, size_t size);
    // Writes up to `size` bytes; answers how many, CAMRILL_EAGAIN, or another negative number. After
    // CAMRILL_EAGAIN the next call has the same bytes, at the same place.
    int32_t (*write)(void *connection, const void *data, size_t size);
    // Writes a sentence about the last error, without NUL, to `buffer` and answers its length; for the log. May
    // be NULL.
    size_t (*error)(void *connection, char *buffer, size_t size);
    // Says goodbye to the peer, if the socket takes it at once, and frees the connection. The last call.
    void (*close)(void *connection);
} camrill_transport_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that is linked: major * 65536 + minor * 256 + patch, as CAMRILL_VERSION
// is of the header. [any thread]
uint32_t camrill_version(void);

// What an error number means, in a few English words; never NULL. What exactly went wrong is in
// camrill_engine_last_error(). [any thread]
const char *camrill_strerror(int32_t error);

// Makes an engine and writes it to `out`. It serves nothing until it is configured and
// camrill_config_apply() is called. `config` may be NULL: all defaults, no callbacks. On failure
// `user_free` is not called, and camrill_engine_last_error(NULL, …) has the sentence. [any thread]
//
// Everything else on the engine is to be called from one thread at a time, and while a poll or run is
// going on only from its callbacks, unless a function is marked [any thread].
int32_t camrill_engine_new(const struct camrill_engine_config_t *config,
                           struct camrill_engine_t **out);

// Frees an engine: every connection is closed and every callback's `user_free` runs. NULL is allowed.
// Inside a callback it is legal and done when the call that is going on returns; no callback but
// `user_free` runs after it, and nothing may be called on the engine. Publishers, HLS, recorders, ingests and
// forwards of it stay valid, to be freed, and calls with them answer CAMRILL_ESTATE. Their `user_free` come
// before the engine's. Recordings that are going on are written to their ends, for which it waits up to 5 s,
// without telling on_file; it waits for nothing else.
void camrill_engine_free(struct camrill_engine_t *engine);

// The descriptor to wait for in the host's own loop: when it is readable, or when
// camrill_engine_timeout_ms() has passed, call camrill_engine_poll(engine, 0). It stays the engine's
// and stays the same; don't read, write or close it.
int32_t camrill_engine_fd(const struct camrill_engine_t *engine);

// How long the host's own loop may wait before the next camrill_engine_poll(), in milliseconds, rounded
// up; 2147483647 (INT32_MAX) where nothing but the descriptor matters. Ask again after each poll.
int32_t camrill_engine_timeout_ms(const struct camrill_engine_t *engine);

// One turn of the loop: waits up to `timeout_ms` (0: not at all, negative: without end) for something to
// do, does it, and runs the callbacks. Answers how many events it handed out. CAMRILL_EREENTRANT from
// inside a callback. After camrill_engine_stop() it returns at once, once.
int32_t camrill_engine_poll(struct camrill_engine_t *engine,
                            int32_t timeout_ms);

// Runs the loop on the calling thread until camrill_engine_stop(), then answers 0. A stop that came
// before it counts.
int32_t camrill_engine_run(struct camrill_engine_t *engine);

// Makes camrill_engine_run() return soon. May be called from a signal handler, which keeps errno itself.
// [any thread]
int32_t camrill_engine_stop(const struct camrill_engine_t *engine);

// Ends the wait of the poll or run that is going on, or of the next one. May be called from a signal
// handler, which keeps errno itself. [any thread]
int32_t camrill_engine_wake(const struct camrill_engine_t *engine);

// Has the loop's thread run `fn(user)` after its current or next turn; from there everything may be
// called but poll and run. Calls run in order. CAMRILL_EAGAIN while 1024 are waiting. A call that has
// not run when the engine is freed never runs. [any thread]
int32_t camrill_engine_call(const struct camrill_engine_t *engine,
                            void (*fn)(void *user),
                            void *user);

// Writes the sentence of the last error on this engine (what was wrong, where, what was expected) and a
// NUL to `buffer`, cut to `size` bytes; answers its whole length. With NULL for the engine: of the last
// call on this thread that had none, such as camrill_engine_new().
size_t camrill_engine_last_error(const struct camrill_engine_t *engine,
                                 char *buffer,
                                 size_t size);

// Loads a file in SRS's syntax and what it includes, in place of what was loaded or set before.
// It holds from camrill_config_apply() on. CAMRILL_ECONFIG with "file:line: directive: what was
// expected" as the last error; CAMRILL_ENOENT or CAMRILL_EIO if it can't be read: then what stood
// before still stands. Directives of SRS that the library has not are logged as warnings.
int32_t camrill_config_load_file(struct camrill_engine_t *engine, const char *path);

// The same from a string; `name` stands for the file in messages. It can't include files.
int32_t camrill_config_load_text(struct camrill_engine_t *engine,
                                 const char *name,
                                 const char *content);

// Takes this process's environment variables that begin with SRS_ (SRS_LISTEN=1935). They stand above
// the file and camrill_config_set(), the vhost ones for every vhost. Nothing else ever reads the
// environment.
int32_t camrill_config_load_env(struct camrill_engine_t *engine);

// Sets one directive: camrill_config_set(e, "listen", "1935"),
// camrill_config_set(e, "vhost/cam.example.com/play/gop_cache", "off"). Blocks on the way are made.
// It holds from camrill_config_apply() on. CAMRILL_ENOENT for a path that isn't one, CAMRILL_ECONFIG
// for a value that doesn't fit.
int32_t camrill_config_set(struct camrill_engine_t *engine,
                           const char *path,
                           const char *value);

// Writes the value that a directive has, by environment, file, camrill_config_set() or default, and a
// NUL to `buffer`; answers its length without the NUL. With size 0 nothing is written. CAMRILL_ENOENT
// for a path that isn't one, CAMRILL_EBUFFER if it doesn't fit.
int32_t camrill_config_get(const struct camrill_engine_t *engine,
                           const char *path,
                           char *buffer,
                           size_t size);

// Writes the whole configuration as it stands, in the file's syntax, and a NUL to `buffer`; answers and
// fails as camrill_config_get() does.
int32_t camrill_config_print(const struct camrill_engine_t *engine,
                             char *buffer,
                             size_t size);

// Looks whether the configuration as it stands could be applied, without listening or changing
// anything. CAMRILL_ECONFIG with the sentence as the last error.
int32_t camrill_config_check(struct camrill_engine_t *engine);

// Takes the configuration as it stands: the first time this starts serving, later it is a reload, which
// leaves connections and streams as they are. All of it holds afterwards, or nothing has changed:
// CAMRILL_ECONFIG, CAMRILL_EADDRESS.
int32_t camrill_config_apply(struct camrill_engine_t *engine);

// Forgets what was loaded or set since the last camrill_config_apply() that succeeded, such as what that
// one has refused; before the first one, everything.
int32_t camrill_config_revert(struct camrill_engine_t *engine);

// The port that a protocol is served at, with the real number where the configuration says 0: the first
// one if there are several. `protocol` is "rtmp", "http" for the web server or "api" for the HTTP API; behind
// TLS "rtmps", "https" or "api_https". CAMRILL_ENOENT if it isn't served.
int32_t camrill_engine_port(const struct camrill_engine_t *engine,
                            const char *protocol);

// Answers a question that on_admission left CAMRILL_PENDING, or answers it from inside the callback with
// a reason. `verdict` is CAMRILL_ALLOW or CAMRILL_DENY; `why` is what a refused client is told, NULL for
// a general sentence. CAMRILL_ENOENT if it is answered, or its client is gone.
int32_t camrill_auth_reply(struct camrill_engine_t *engine,
                           camrill_id_t ticket,
                           int32_t verdict,
                           const char *why);

// Answers on_resolve: `addresses` are up to 16 numeric ones in the order in which they are to be tried, with
// commas between them ("2001:db8::1,192.0.2.1"); NULL or "" if the name is not known. CAMRILL_ENOENT if the
// question is answered, or the address no longer needed. CAMRILL_EINVAL for what is no address: the question
// still stands then.
int32_t camrill_resolve_reply(struct camrill_engine_t *engine,
                              camrill_id_t ticket,
                              const char *addresses);

// Closes a client's connection, at the latest with the next turn. CAMRILL_ENOENT if it is gone.
int32_t camrill_client_kick(struct camrill_engine_t *engine, camrill_id_t client);

// Writes what the engine has done and holds.
int32_t camrill_stats(const struct camrill_engine_t *engine, struct camrill_stats_t *out);

// Writes the ids of up to `max` streams to `ids` and answers how many there are in all, which may be
// more. With max 0 `ids` may be NULL.
int32_t camrill_streams(const struct camrill_engine_t *engine,
                        camrill_id_t *ids,
                        size_t max);

// The same for clients that have connected.
int32_t camrill_clients(const struct camrill_engine_t *engine, camrill_id_t *ids, size_t max);

// Writes what there is to say of a stream. CAMRILL_ENOENT if it is gone.
int32_t camrill_stream_info(const struct camrill_engine_t *engine,
                            camrill_id_t stream,
                            struct camrill_stream_info_t *out);

// Writes what there is to say of a client. CAMRILL_ENOENT if it is gone.
int32_t camrill_client_info(const struct camrill_engine_t *engine,
                            camrill_id_t client,
                            struct camrill_client_info_t *out);

// Looks which programs the configuration, as it was last applied, asks for, and answers how many:
// FFmpeg for an ingest that the library can't do itself. The library starts no process. The host runs them,
// each once, starts them again when they end, and calls this after each camrill_config_apply() that
// succeeded: those whose arguments have changed, or that are gone, are to be stopped.
int32_t camrill_programs(struct camrill_engine_t *engine);

// Writes what there is to say of one of the programs that camrill_programs() has counted, from 0 on.
// CAMRILL_ENOENT if there are not so many.
int32_t camrill_program_info(const struct camrill_engine_t *engine,
                             size_t index,
                             struct camrill_program_info_t *out);

// Publishes a stream of this process's own and writes the publisher to `out`. It is published at once;
// frames come with camrill_publisher_write(). CAMRILL_EBUSY if the name is being published and the
// vhost's on_conflict is refuse, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not called on
// failure. On the loop's thread.
int32_t camrill_publisher_new(struct camrill_engine_t *engine,
                              const struct camrill_publisher_config_t *config,
                              struct camrill_publisher_t **out);

// Queues one frame for the loop and returns at once; the data is copied. Parameter sets alone, and NAL units of
// an access unit that isn't complete, are kept for what follows. What is refused changes nothing. When the queue
// is full the frame is dropped, and video up to the next keyframe with it: CAMRILL_EAGAIN, need_keyframe is called,
// and the loss is counted. CAMRILL_EFRAME if it is not what its codec says. CAMRILL_ESTATE if the stream
// is no longer this publisher's: the engine is freed, or another publisher took its place.
// Never waits, neither for the loop nor for a lock. One thread at a time per publisher, any one: a second
// one gets CAMRILL_ESTATE, and its frame is not taken. [any thread]
int32_t camrill_publisher_write(struct camrill_publisher_t *publisher,
                                const struct camrill_frame_t *frame);

// camrill_publisher_write() without a copy: the frame's memory is lent, and goes to RTMP and FLV players as it
// stands. Until `release` has run it must stay as it is. `release(user)` runs exactly once whatever is answered:
// inside this call where the frame is refused, dropped or too small to be worth it (below 2 KiB), else from any
// thread that lets go of the last piece: the loop's as a rule, inside camrill_engine_poll(),
// camrill_engine_run() or camrill_engine_free(), or one that calls camrill_publisher_free(), or this one, where
// the loop was done with the frame before the call was. It must be quick and use no engine; it may write to a
// publisher. After a fork it runs in the parent only.
//
// What the loop still holds after max_hold_ms (camrill_publisher_config_t), for slow players or as the GOP cache,
// it copies, so that the encoder gets its memory back; the copies are counted (late_copies). HLS and recordings
// copy each frame at once. While the loop stands still what is in the queue stays held, up to queue_bytes.
// Answers as camrill_publisher_write() does, and CAMRILL_EINVAL if `release` is NULL. [any thread]
//
// ```c
// static void give_back(void *buffer) { encoder_queue_buffer(buffer); }
// ...
// frame.data = buffer->data;
// frame.size = buffer->used;
// camrill_publisher_write_ref(publisher, &frame, give_back, buffer);
// ```
int32_t camrill_publisher_write_ref(struct camrill_publisher_t *publisher,
                                    const struct camrill_frame_t *frame,
                                    void (*release)(void *user),
                                    void *user);

// Writes what the publisher has done. [any thread]
int32_t camrill_publisher_stats(const struct camrill_publisher_t *publisher,
                                struct camrill_publisher_stats_t *out);

// Ends a publisher: what is queued and what has come of an access unit still goes out, then the stream is published no longer and
// `user_free` runs on the loop's thread. NULL is allowed. Not while a write is going on; before or after
// camrill_engine_free(). [any thread]
void camrill_publisher_free(struct camrill_publisher_t *publisher);

// Answers for a path from now on, before streams, HLS and files are looked at, and writes the mount's id to
// `out`, which may be NULL. Of several mounts that fit a path the exact one is taken, else the longest.
// OPTIONS and CORS are the server's, as it is configured. CAMRILL_EINVAL for a path that can't be asked for,
// CAMRILL_EBUSY if it is mounted, CAMRILL_ELIMIT while 64 are. `user_free` is not called on failure.
int32_t camrill_http_mount(struct camrill_engine_t *engine,
                           const struct camrill_http_mount_t *config,
                           camrill_id_t *out);

// Ends a mount: none of its callbacks runs any more but `user_free`, with the next poll. Who waits for its
// answer gets 503, an answer that has begun is cut, and their tickets are over. CAMRILL_ENOENT if it has
// ended.
int32_t camrill_http_unmount(struct camrill_engine_t *engine,
                             camrill_id_t mount);

// The value of the first header field of that name, in any case; valid as long as the request is. NULL if
// there is none.
const char *camrill_http_request_header(const struct camrill_http_request_t *request,
                                        const char *name);

// Answers a request as a whole, and ends its ticket. `status` is 200 to 599. `headers` are lines of
// "Name: value" as in "Content-Type: image/jpeg\r\nCache-Control: no-store", without those that the server
// writes itself (Content-Length, Connection, Transfer-Encoding, Date, Server); NULL for none. The body is
// copied; it is left out where HEAD was asked.
//
// CAMRILL_ENOENT if the ticket is over: answered, its client gone, or 60 s passed. CAMRILL_ESTATE if the
// answer has begun. CAMRILL_EINVAL for a wrong status or line: the request still waits then.
int32_t camrill_http_respond(struct camrill_engine_t *engine,
                             camrill_id_t ticket,
                             int32_t status,
                             const char *headers,
                             const uint8_t *body,
                             size_t size);

// Begins an answer whose body follows with camrill_http_write(): `length` bytes of it, or as many as come
// where `length` is negative. It may take as long as it likes. Fails as camrill_http_respond() does. Where
// HEAD was asked, or the status has no body (204, 304), the answer is whole with this: on_closed is called,
// and the ticket is over.
int32_t camrill_http_begin(struct camrill_engine_t *engine,
                           camrill_id_t ticket,
                           int32_t status,
                           const char *headers,
                           int64_t length);

// The next bytes of an answer; they are copied. All are taken or none: CAMRILL_EAGAIN while 256 KiB wait for
// the client, and on_writable says when to go on. CAMRILL_ENOENT if the ticket is over, CAMRILL_ESTATE if the
// answer has not begun, CAMRILL_EINVAL for more than the length that was named.
int32_t camrill_http_write(struct camrill_engine_t *engine,
                           camrill_id_t ticket,
                           const uint8_t *data,
                           size_t size);

// Ends an answer and its ticket. One that is shorter than the length that was named ends with its connection.
// CAMRILL_ENOENT and CAMRILL_ESTATE as for camrill_http_write().
int32_t camrill_http_end(struct camrill_engine_t *engine,
                         camrill_id_t ticket);

// Has HLS made of a stream, or of frames that come with camrill_hls_write(), and writes it to `out`. It is
// apart from the configuration's, joins a stream that is published at its next keyframe, and is not served:
// the host takes the files. CAMRILL_EINVAL for a value out of its range, CAMRILL_ECONFIG for a stream whose
// name can't be a file's, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not called on failure.
int32_t camrill_hls_new(struct camrill_engine_t *engine,
                        const struct camrill_hls_config_t *config,
                        struct camrill_hls_t **out);

// Adds one frame, as camrill_publisher_write() does; what comes before the first keyframe is left out,
// and what comes then is held until each track of the config has come, for at most 2 s of it.
// CAMRILL_EAGAIN while more than max_bytes of files wait for on_file: poll, then write the same frame again.
// CAMRILL_EFRAME if it is not what its codec says. CAMRILL_ESTATE if it is made of a stream, or the engine
// is freed.
int32_t camrill_hls_write(struct camrill_hls_t *hls,
                          const struct camrill_frame_t *frame);

// Copies a file that is kept in memory to `buffer` and answers its length; there is no NUL behind it. With
// size 0 nothing is written. `name` is a file's as on_file has it, and NULL or "" the playlist, for which
// `query` is that of the player's request, without '?': _HLS_msn, _HLS_part and _HLS_skip are obeyed. NULL
// for none.
//
// CAMRILL_EAGAIN if it is to come: ask again after frames have come, and answer 503 after three target
// durations. CAMRILL_ENOENT if there is no such file, or no longer. CAMRILL_EINVAL for a request that makes
// no sense, which is 400. CAMRILL_EBUFFER if it doesn't fit.
int32_t camrill_hls_get(const struct camrill_hls_t *hls,
                        const char *name,
                        const char *query,
                        uint8_t *buffer,
                        size_t size);

// Ends HLS: its last segment ends, the playlist says that it is over, on_file gets both with the next poll,
// and then `user_free` runs. Files in a folder stay. NULL is allowed. Inside a callback it is legal. On the
// loop's thread; once the engine is freed, which has run `user_free` already, on any.
void camrill_hls_free(struct camrill_hls_t *hls);

// Makes a recorder of a stream, or of frames that come with camrill_recorder_write(), and writes it to `out`.
// It is apart from the configuration's, and joins a stream that is published at its next keyframe. Files are
// written on the library's disk thread, so that a card that stalls holds nothing up, or by the config's `sink`.
// CAMRILL_EINVAL for a value out of its range, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not called on failure.
int32_t camrill_recorder_new(struct camrill_engine_t *engine,
                             const struct camrill_recorder_config_t *config,
                             struct camrill_recorder_t **out);

// Adds one frame, as camrill_publisher_write() does; what comes before the first keyframe is left out,
// and what comes then is held until each track of the config has come, for at most 2 s of it. It
// never waits for the disk: one that is too slow costs frames, which on_file is told. CAMRILL_EFRAME if it is
// not what its codec says. CAMRILL_ESTATE if the recorder is of a stream, or the engine is freed.
int32_t camrill_recorder_write(struct camrill_recorder_t *recorder,
                               const struct camrill_frame_t *frame);

// Begins to write, with preroll_ms of what came before, from a keyframe on. Nothing happens if it has begun.
int32_t camrill_recorder_start(struct camrill_recorder_t *recorder);

// Ends the file, and writes no more until camrill_recorder_start().
int32_t camrill_recorder_stop(struct camrill_recorder_t *recorder);

// Ends the file and begins another, at the next keyframe or with CAMRILL_CUT_AT_ONCE now. Nothing happens if
// there is no file.
int32_t camrill_recorder_cut(struct camrill_recorder_t *recorder,
                             uint32_t flags);

// Ends a recorder: its file is written to its end, on_file is told, and then `user_free` runs, inside a poll
// that may come some time later. NULL is allowed. Inside a callback it is legal. On the loop's thread; once
// the engine is freed, which has run `user_free` already, on any.
void camrill_recorder_free(struct camrill_recorder_t *recorder);

// Has the recorder that the configuration (`dvr`) keeps for a stream begin to write, as
// camrill_recorder_start() does. `vhost` NULL or "" means the default one. CAMRILL_ENOENT if the stream is not
// published, or not to be recorded.
int32_t camrill_dvr_start(struct camrill_engine_t *engine,
                          const char *vhost,
                          const char *app,
                          const char *name);

// The same as camrill_recorder_stop(): the configuration's recorder ends its file and waits for
// camrill_dvr_start(). CAMRILL_ENOENT as there.
int32_t camrill_dvr_stop(struct camrill_engine_t *engine,
                         const char *vhost,
                         const char *app,
                         const char *name);

// The same as camrill_recorder_cut(). CAMRILL_ENOENT as in camrill_dvr_start().
int32_t camrill_dvr_cut(struct camrill_engine_t *engine,
                        const char *vhost,
                        const char *app,
                        const char *name,
                        uint32_t flags);

// Pulls a stream in and publishes it here, and writes the ingest to `out`. It goes on, whatever becomes of the
// server, until it is freed or its tries are over; each state that it enters is told. The stream is published
// with the first frame, and no longer when all inputs have failed. CAMRILL_EINVAL for a URL that can't be one,
// CAMRILL_EBUSY if the stream has an ingest, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not
// called on failure.
int32_t camrill_ingest_new(struct camrill_engine_t *engine,
                           const struct camrill_ingest_config_t *config,
                           struct camrill_ingest_t **out);

// Writes what there is to say of an ingest, as camrill_relay_info() does. CAMRILL_ESTATE if the engine is
// freed.
int32_t camrill_ingest_info(const struct camrill_ingest_t *ingest,
                            struct camrill_relay_info_t *out);

// Ends an ingest: its stream is published no longer. With the next poll on_state is told CAMRILL_RELAY_ENDED,
// and then `user_free` runs. NULL is allowed. Inside a callback it is legal. On the loop's thread; once the
// engine is freed, which has run `user_free` already, on any.
void camrill_ingest_free(struct camrill_ingest_t *ingest);

// Sends a stream on to another server whenever it is published, by whomever, and writes the forward to `out`.
// It goes on, whatever becomes of the server, until it is freed or its tries are over; each state that it
// enters is told. A server that is too slow loses frames up to a keyframe, as a player does; the others don't
// notice. CAMRILL_EINVAL for a URL that can't be one, CAMRILL_ENOENT if the vhost is not configured.
// `user_free` is not called on failure.
int32_t camrill_forward_new(struct camrill_engine_t *engine,
                            const struct camrill_forward_config_t *config,
                            struct camrill_forward_t **out);

// Writes what there is to say of a forward, as camrill_relay_info() does. CAMRILL_ESTATE if the engine is
// freed.
int32_t camrill_forward_info(const struct camrill_forward_t *forward,
                             struct camrill_relay_info_t *out);

// Ends a forward: the server is told that the stream is over. With the next poll on_state is told
// CAMRILL_RELAY_ENDED, and then `user_free` runs. NULL is allowed. Inside a callback it is legal. On the loop's
// thread; once the engine is freed, which has run `user_free` already, on any.
void camrill_forward_free(struct camrill_forward_t *forward);

// Writes the ids of up to `max` ingests and forwards, the host's own and the configuration's, to `ids` and
// answers how many there are in all, as camrill_streams() does.
int32_t camrill_relays(const struct camrill_engine_t *engine,
                       camrill_id_t *ids,
                       size_t max);

// Writes what there is to say of an ingest or a forward. CAMRILL_ENOENT if it is gone.
int32_t camrill_relay_info(const struct camrill_engine_t *engine,
                           camrill_id_t relay,
                           struct camrill_relay_info_t *out);

// Has a stream's frames given to on_packet, and writes the player to `out`. A stream of this engine's (`app` and
// `name`) is waited for when it is not published, followed when it is published anew, and has one viewer more: an
// ingest on demand and an edge fetch it. A URL is pulled as an ingest does, and tried again as one; what comes is
// no stream of the engine's: nobody else can play it, and it is neither recorded nor listed.
//
// It starts at a keyframe, the newest that has passed where the vhost's `gop_cache` is on, and at once where
// there is no video; where it waits for a keyframe the encoder is asked for one. The first packet waits for up to a
// second of the publish until both tracks are known, unless its publisher has named those that it has. A host that is slow loses frames up to a keyframe when
// `queue_length` is over, as other players do.
//
// CAMRILL_EINVAL for a URL that can't be one, or both a stream and a URL; CAMRILL_ENOENT if the vhost is not
// configured; CAMRILL_ELIMIT if there are too many players. `user_free` is not called on failure.
int32_t camrill_player_new(struct camrill_engine_t *engine,
                           const struct camrill_player_config_t *config,
                           struct camrill_player_t **out);

// Has a player give no more packets (`paused` 1), or go on (0): with the first keyframe after what it has given
// that it still finds. It stays a viewer, and a URL goes on being pulled. At once, inside callbacks too.
int32_t camrill_player_pause(struct camrill_player_t *player,
                             int32_t paused);

// Writes what there is to say of a player.
int32_t camrill_player_info(const struct camrill_player_t *player,
                            struct camrill_player_info_t *out);

// Ends a player: no callback runs any more but, with the next poll, `user_free`. Packets that were kept stay. NULL
// is allowed. Inside a callback it is legal. On the loop's thread; once the engine is freed, which has run
// `user_free` already, on any.
void camrill_player_free(struct camrill_player_t *player);

// Writes what a packet is. Nothing is copied. [any thread]
int32_t camrill_packet_info(const struct camrill_packet_t *packet,
                            struct camrill_packet_info_t *out);

// Writes where all bytes of a packet lie in one piece. Where there are several they are copied, once for all who hold
// the frame in this format, other players' packets of it too. Valid for as long as the packet is. [any thread]
int32_t camrill_packet_data(const struct camrill_packet_t *packet,
                            const uint8_t **data,
                            size_t *size);

// Keeps a packet: it is to be given back once more with camrill_packet_free(). NULL is allowed. [any thread]
void camrill_packet_ref(struct camrill_packet_t *packet);

// Gives back a packet that camrill_packet_ref() has kept, once for each time. NULL is allowed. [any thread]
void camrill_packet_free(struct camrill_packet_t *packet);

// Takes certificate and key from memory instead of from files, for all ports behind TLS and from the next
// connection on. Both are PEM: the certificate with those that it was issued by, the key in PKCS #8, PKCS #1 or
// SEC 1 without a password. They are copied. NULL for both: from files again. CAMRILL_ETLS if they can't be
// used or don't belong together, or if the library is built without TLS; what was before holds on then.
int32_t camrill_tls_set_certificate(struct camrill_engine_t *engine,
                                    const char *cert_pem,
                                    size_t cert_size,
                                    const char *key_pem,
                                    size_t key_size);

// Takes the certificates that servers are trusted by from memory, in PEM; they are copied. NULL: those of
// `tls/ca_file`, or the system's. CAMRILL_ETLS if none can be used, or if the library is built without TLS.
int32_t camrill_tls_set_roots(struct camrill_engine_t *engine,
                              const char *roots_pem,
                              size_t roots_size);

// Has connections made secure by the host's TLS from now on: RTMPS, HTTPS and WSS as the configuration turns
// them on, without its `key` and `cert`, and outgoing ones. It goes before TLS of the library's own. Before
// camrill_config_apply(), where that turns on ports behind TLS. NULL takes it back for new connections; those
// that are there keep it. The struct is copied. `user_free` is not called on failure.
int32_t camrill_engine_set_transport(struct camrill_engine_t *engine,
                                     const struct camrill_transport_t *transport);

// Sends bytes of a transport's: answers how many the socket took, CAMRILL_EAGAIN if it takes none now, or
// CAMRILL_EIO if the connection is lost. It raises no SIGPIPE. CAMRILL_ESTATE outside of the transport's
// functions.
int32_t camrill_io_send(struct camrill_io_t *io,
                        const void *data,
                        size_t size);

// Receives bytes for a transport: answers how many, 0 at the end, CAMRILL_EAGAIN if there are none now, or
// CAMRILL_EIO if the connection is lost. CAMRILL_ESTATE outside of the transport's functions.
int32_t camrill_io_recv(struct camrill_io_t *io,
                        void *buffer,
                        size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CAMRILL_H */
